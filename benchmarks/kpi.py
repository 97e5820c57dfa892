"""The figures that PRD-007 asks for, measured on a film, beside their targets.

    python benchmarks/kpi.py [--assets 1000] [--films N] [--kills N] [--json FILE] [--tmp DIR] [--verbose]

Everything is made here: a film of that many images and a hundredth as many films, in a temporary folder with a home of its
own. The exit status is 1 if a target is missed or something failed. docs/performance.md says what each line means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections import namedtuple

from kpi_film import Day, Film, Jobs, Storage
from kpi_integrity import Integrity, run_integrity
from kpi_paths import Situation, run_paths
from kpi_recovery import Recovery, run_recovery
from kpi_site import Machine, little_film
from measure import Failed

# value: a share, 0..1, or a count; detail: in words. told: lines worth knowing.
Line = namedtuple("Line", ("name", "target", "value", "reached", "detail", "told"))


def storage_lines(found: Storage) -> list[Line]:
    """What is saved against committing the media."""
    in_git = 1 - found.git_ours / found.git_media
    at_rest = 1 - found.rest_ours / found.disk_media
    present = f"with the media in the working tree and in the stores {_size(found.present_ours)}"
    return [
        Line("storage in git", "≥ 95 % less", in_git, in_git >= 0.95,
             f"{_size(found.git_ours)} of recipes, where the media would be {_size(found.git_media)}", []),
        Line("storage on disk", "≥ 95 % less", at_rest, at_rest >= 0.95,
             f"{_size(found.rest_ours)} with all media given up ({found.how}), where git would have {_size(found.disk_media)}", [present]),
    ]


def day_line(found: Day) -> Line:
    rate = 1 - found.made / found.needed if found.needed else 0.0
    detail = f"{found.needed - found.made} of {found.needed} media in {found.switches} switches; {found.made} were made"
    return Line("cache hit rate", "> 80 %", rate, rate > 0.8, detail, [])


def jobs_line(found: Jobs) -> Line:
    rate = found.right / found.asked
    return Line("regeneration success", "> 99 %", rate, rate > 0.99, f"{found.right} of {found.asked} jobs, with the accepted bytes", [])


def paths_line(found: list[Situation]) -> Line:
    references, resolved = sum(each.references for each in found), sum(each.resolved for each in found)
    rate = resolved / references
    whole = sum(each.resolved == each.references for each in found)
    told = [f"not resolved: {each.name} ({each.references - each.resolved} of {each.references})"
            for each in found if each.resolved != each.references]
    detail = f"{resolved} of {references} references that were moved or broken; {whole} of {len(found)} situations whole"
    return Line("path resolution", "> 95 %", rate, rate > 0.95, detail, told)


def recovery_line(found: list[Recovery]) -> Line:
    whole = sum(not each.wrong for each in found)
    told = [f"not recovered: {each.name}: {', '.join(each.wrong[:4])}" for each in found if each.wrong]
    return Line("recovery from missing files", "100 %", whole / len(found), whole == len(found), f"{whole} of {len(found)} scenarios", told)


def integrity_line(found: Integrity) -> Line:
    detail = f"{found.kills} writers killed ({found.killed} alive), {found.inputs} bad inputs"
    return Line("parameter corruption", "0", len(found.corrupted), not found.corrupted, detail, found.corrupted[:10])


def measure(folder: str, assets: int, films: int, kills: int, inputs: int, names: int | None, say) -> list[Line]:
    """All lines. names: how many situations and scenarios, None: all."""
    say(f"making a film of {assets} images and {films} films, and two branches of it")
    film = Film(f"{folder}/film", assets, films)
    say("a day of switching")
    lines = [day_line(film.work_a_day(12 if names is None else 4))]
    say("making everything again")
    lines.append(jobs_line(film.make_everything_again()))
    say("measuring what it takes")
    lines = storage_lines(film.measure_storage()) + lines
    shutil.rmtree(f"{folder}/film")
    template = little_film(Machine(f"{folder}/little"))
    from kpi_paths import SITUATIONS
    from kpi_recovery import SCENARIOS

    say("moving and breaking projects")
    lines.append(paths_line(run_paths(template, f"{folder}/paths", _some(SITUATIONS, names))))
    say("losing files")
    lines.append(recovery_line(run_recovery(template, f"{folder}/recovery", _some(SCENARIOS, names))))
    say("killing writers")
    lines.append(integrity_line(run_integrity(template, folder, kills, inputs)))
    return lines


def _some(table: dict, count: int | None) -> list[str]:
    """All names, or a few from the whole of the table."""
    names = list(table)
    return names if count is None else names[:: max(1, len(names) // count)][:count]


def render(lines: list[Line]) -> str:
    rows = [["figure", "target", "measured", "reached", "of what"], ["---"] * 5]
    for line in lines:
        value = str(line.value) if isinstance(line.value, int) else f"{line.value:.1%}"
        rows.append([line.name, line.target, value, "yes" if line.reached else "NO", line.detail])
    table = ["| " + " | ".join(row) + " |" for row in rows]
    told = [f"- {line.name}: {each}" for line in lines for each in line.told]
    return "\n".join([*table, *([""] if told else []), *told])


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=int, default=1000, help="images of the film")
    parser.add_argument("--films", type=int, help="films; by default a hundredth of the images")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--inputs", type=int, default=5000, help="damaged texts")
    parser.add_argument("--few", type=int, help="only so many situations and scenarios: to try it out")
    parser.add_argument("--json", help="write the figures into this file too")
    parser.add_argument("--tmp", help="where to work; by default the system's folder for that")
    args = parser.parse_args()
    films = max(1, args.assets // 100) if args.films is None else args.films
    began = time.time()
    folder = tempfile.mkdtemp(prefix="regen-kpi-", dir=args.tmp)

    def say(text: str) -> None:
        print(f"[{time.time() - began:4.0f} s] {text}", file=sys.stderr, flush=True)

    try:
        lines = measure(folder, args.assets, films, args.kills, args.inputs, args.few, say)
    except Failed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = f"{time.time() - began:.0f} s, of {used.ru_utime + used.ru_stime + time.process_time():.0f} s of processors' time"
    print(f"{args.assets} images, {films} films; {platform.platform()}, {os.cpu_count()} processors; {work}\n")
    print(render(lines))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump([line._asdict() for line in lines], file, indent=1)
    return 0 if all(line.reached for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
