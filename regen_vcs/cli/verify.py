"""`regen-vcs verify`."""

from __future__ import annotations

import os
import sys

import click

from regen_vcs.cli.main import one_line
from regen_vcs.cli.terminal import (
    MakingProgress,
    chosen_by,
    note,
    print_json,
    require_matches,
    say,
    workspace,
)
from regen_vcs.engine import verify
from regen_vcs.engine.proofs import BYTES, CONTENT, DIFFERENT
from regen_vcs.engine.verify import FAILED, SKIPPED, Candidate, Verified
from regen_vcs.errors import Interrupted, RegenError, UsageError, worst_exit_code
from regen_vcs.generators import registry
from regen_vcs.model.quantities import human_duration, human_size

_WORDS = {BYTES: "same", CONTENT: "alike", DIFFERENT: "differs", FAILED: "failed", SKIPPED: "skipped"}
_COLOURS = {BYTES: "32", CONTENT: "36", DIFFERENT: "31;1", FAILED: "31;1", SKIPPED: "2"}
_SCREENFUL = 50
_SHOWN = 4  # files of a sequence that are named one by one


@click.command("verify")
@click.argument("paths", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Also what is proven already, or known to differ.")
@click.option("--sample", metavar="5%", help="Of everything that share, by bytes: what was not looked at for longest.")
@click.option("--paid", is_flag=True, help="Also what costs money, within the budget.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="How many at once.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be run, and how long it would take.")
@click.option("--json", "as_json", is_flag=True, help="What came out of each, as JSON.")
def verify_command(paths, everything, sample, paid, jobs, dry_run, as_json) -> int:
    """Make accepted takes again, and note whether they come out the same.

    Runs into scratch and keeps nothing of it: no file, recipe or accepted take is touched. What came out with the same
    bytes is proven, and may be evicted by gc; what came out differently no longer is. Without PATHS: all of which
    nothing is known yet. The exit code is 1 where anything differs or failed.

    \b
    Examples:
      regen-vcs verify shots/010
      regen-vcs verify --sample 5% --jobs 2
    """
    share = share_of(sample) if sample is not None else None
    with workspace() as ws:
        snapshot, found = verify.candidates(ws, chosen_by(ws, paths), paid=paid)
        require_matches(paths, found)
        fit = [each for each in found if each.reason is None]
        if share is not None:
            chosen = verify.due(fit, share)
        else:
            named = {ws.asset_arg(path, os.getcwd()) for path in paths}
            chosen = [each for each in fit if everything or each.path in named or not (each.proof or each.differed)]
        chosen = verify.upstream_first(snapshot, chosen)
        refused = [each for each in found if each.reason is not None]
        left = [] if share is not None else [each for each in fit if each not in chosen]
        if dry_run:
            return _tell_plan(chosen, refused, left, as_json)
        results = _run(ws, snapshot, chosen, jobs, quiet=as_json)
        if as_json:
            print_json(_document(results, refused))
        else:
            _tell_refused(refused)
            say(_summary(results, left))
        return _exit_code(results, refused)


def share_of(text: str) -> float:
    """0..1 of "5%"; UsageError for anything else."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / 100 if text.strip().endswith("%") else -1.0
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample {text}: wants a share of the bytes", "as in: regen-vcs verify --sample 5%")
    return share


def _run(ws, snapshot, chosen: list[Candidate], jobs: int | None, *, quiet: bool) -> list[Verified]:
    results: list[Verified] = []
    # On a screen a long row of good news would push the rest out of sight.
    brief = sys.stdout.isatty() and len(chosen) > _SCREENFUL
    try:
        with MakingProgress(len(chosen)) as progress:
            for each in verify.verify(ws, snapshot, chosen, workers=jobs or _workers(ws, chosen), progress=progress):
                results.append(each)
                progress.finished(each.path)
                if not quiet and not (brief and each.outcome == BYTES):
                    progress.say(_rest(each), lead=_word(each.outcome))
    except (KeyboardInterrupt, Interrupted):
        hint = f"{len(results)} of {len(chosen)} are verified, and noted; the rest: the same command again"
        raise Interrupted("interrupted", hint) from None
    return results


def _workers(ws, chosen: list[Candidate]) -> int:
    """As set; where nothing is, built-ins on every processor, and others one at a time: they may fill a GPU."""
    if ws.settings.origin("jobs") != "default":
        return ws.settings.get("jobs")
    return (os.cpu_count() or 1) if all(registry.is_exact_built_in(each.generator) for each in chosen) else 1


# -- words -----------------------------------------------------------------------------------------------------------


def _rest(each: Verified) -> str:
    told = _told(each)
    return one_line(each.path) + (f"  ({one_line(told)})" if told else "")


def _told(each: Verified) -> str:
    if each.error is not None:
        return each.error.what.removeprefix(f"{each.path}: ")
    parts = []
    if each.outcome == CONTENT:
        parts.append("the same content in other bytes")
    if each.outcome == DIFFERENT:
        parts.append("cannot be compared" if each.score is None else f"score {each.score:.3f}")
    if each.differing:
        parts.append(_named_files(each.differing))
    if each.withdrawn:
        parts.append("its proof is withdrawn")
    if each.note:
        parts.append(each.note)
    if each.outcome != SKIPPED:
        parts.append(f"{human_size(each.size)} in {human_duration(each.seconds)}")
    if each.cost is not None:
        parts.append(f"${each.cost:.2f}")
    return ", ".join(parts)


def _named_files(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _word(outcome: str) -> str:
    """One of our own words, in a column and with its colour."""
    word = f"{_WORDS[outcome]:<8}"
    has_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[{_COLOURS[outcome]}m{word}\x1b[0m " if has_colour else f"{word} "


def _tell_refused(refused: list[Candidate]) -> None:
    """A line a reason: what could not be run at all."""
    for reason, names in _by_reason(refused).items():
        note(f"{_WORDS[SKIPPED]:<8} {_named_files(tuple(map(one_line, names)))}  ({one_line(reason)})")
    hints = dict.fromkeys(each.error.hint for each in refused if each.error is not None and each.error.hint)
    for hint in hints:
        note(f"  hint: {one_line(hint)}")


def _by_reason(refused: list[Candidate]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in refused:
        found.setdefault(each.reason, []).append(each.path)
    return found


def _summary(results: list[Verified], left: list[Candidate]) -> str:
    """`14 verified: 12 the same bytes, 1 the same content, 1 different (3.4 GB, 2 min); 40 proven already`."""
    words = {BYTES: "the same bytes", CONTENT: "the same content", DIFFERENT: "different", FAILED: "failed", SKIPPED: "skipped"}
    counts = {outcome: sum(each.outcome == outcome for each in results) for outcome in words}
    ran = [each for each in results if each.outcome != SKIPPED]
    before = _left_out(left)
    if not results:
        return f"nothing to verify: {before}" if before else "nothing to verify"
    parts = ", ".join(f"{count} {words[outcome]}" for outcome, count in counts.items() if count)
    size, seconds = sum(each.size for each in ran), sum(each.seconds for each in ran)
    cost = sum(each.cost or 0.0 for each in ran)
    spent = f", ${cost:.2f}" if any(each.cost is not None for each in ran) else ""
    return f"{len(results)} verified: {parts} ({human_size(size)}, {human_duration(seconds)} of making{spent})" + (f"; {before}" if before else "")


def _left_out(left: list[Candidate]) -> str:
    proven = sum(each.proof is not None for each in left)
    parts = [f"{proven} proven already"] if proven else []
    if len(left) > proven:
        parts.append(f"{len(left) - proven} known to differ (again with --all)")
    return ", ".join(parts)


def _tell_plan(chosen: list[Candidate], refused: list[Candidate], left: list[Candidate], as_json: bool) -> int:
    seconds, unknown = verify.total_estimate(chosen)
    if as_json:
        print_json({"would": [_planned(each) for each in chosen], "skipped": [_skipped(each) for each in refused], "seconds": seconds})
        return 0
    for each in chosen:
        parts = [human_size(each.size), "time unknown" if each.seconds is None else human_duration(each.seconds)]
        parts += [] if each.cost is None else [f"${each.cost:.2f}"]
        parts.append(f"last looked at {each.last[:10]}" if each.last else "never looked at")
        say(f"would verify {one_line(each.path)}  ({', '.join(parts)})")
    _tell_refused(refused)
    more = f" and {unknown} of which nobody knows how long they take" if unknown else ""
    before = _left_out(left)
    if not chosen:
        say("nothing to verify" + (f": {before}" if before else ""))
        return 0
    say(f"{len(chosen)} to verify: {human_size(sum(each.size for each in chosen))}, about {human_duration(seconds)}{more}" + (f"; {before}" if before else ""))
    return 0


def _exit_code(results: list[Verified], refused: list[Candidate]) -> int:
    codes = [each.error.exit_code if each.error else RegenError.exit_code for each in results if each.outcome in (DIFFERENT, FAILED)]
    codes += [each.error.exit_code for each in refused if each.error is not None]
    return worst_exit_code(codes)


# -- JSON ------------------------------------------------------------------------------------------------------------


def _document(results: list[Verified], refused: list[Candidate]) -> dict:
    counts: dict[str, int] = {}
    for outcome in [*(each.outcome for each in results), *(SKIPPED for _ in refused)]:
        counts[outcome] = counts.get(outcome, 0) + 1
    return {"assets": [_verified(each) for each in results] + [_skipped(each) for each in refused], "summary": counts}


def _verified(each: Verified) -> dict:
    reason = each.error.what.removeprefix(f"{each.path}: ") if each.error else each.note
    return {
        "path": each.path, "outcome": each.outcome, "proof": each.proof, "score": each.score, "differing": list(each.differing),
        "withdrawn": each.withdrawn, "size": each.size, "seconds": round(each.seconds, 3), "cost": each.cost, "reason": reason,
    }


def _planned(each: Candidate) -> dict:
    return {"path": each.path, "size": each.size, "seconds": each.seconds, "cost": each.cost, "last": each.last or None,
            "proof": each.proof.kind if each.proof else None}


def _skipped(each: Candidate) -> dict:
    return {"path": each.path, "outcome": SKIPPED, "reason": each.reason}
