"""How fast regen-vcs is beside the floor and its peers, in one run on one machine.

    python benchmarks/run.py [--workload W1 W2 W3 hooks status filter ingest parse queue gc] [--scale 0.1] [--repeat N]
                             [--json FILE] [--peers DIR] [--also NAME=PROGRAM] [--tmp DIR]

Only ratios count: each figure stands beside what plain git, cp and ln take for the same work in the same minutes.
Repetitions begin in fresh folders; within each the contenders take turns, another one first each time; medians
are shown. After every operation that should bring a version, every file is looked at: nobody wins by doing nothing.
Peers that are not installed (git-lfs, DVC, git-annex; --peers DIR with their `bin` folders) are passed over.

The exit status is 1 if an operation failed or left wrong content. A target that is missed is no failure: it depends
on how quiet the machine is. docs/performance.md says what the lines mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from statistics import median

import probes
from contenders import Contender, line_up
from measure import Cost, Failed, guarded_environment, run
from media import VERSIONS, WORKLOADS, Media
from targets import MEMORY_BYTES, line_of, render, target_of

_PROBES = ("hooks", "status", "filter", "ingest", "parse", "queue", "gc")
_ORDER = ("add + commit", "switch, first time", "switch, back again", "git status after it", "switch, 5 % changed",
          "switch, no sidecar", "own status", "second worktree", "push, three versions", "clone with media")


class Site:
    """One contender's repository in one repetition."""

    def __init__(self, tool: Contender, folder: str, media: Media, path: list[str]):
        self.tool, self.media = tool, media
        self.repo, self.second, self.clone_path = f"{folder}/repo", f"{folder}/second", f"{folder}/clone"
        self._changed = f"{folder}/changed"
        for each in (self.repo, f"{folder}/store"):
            os.makedirs(each)
        self.env = guarded_environment(f"{folder}/home", [*tool.folders(), *path], tool.environment(folder))
        self.env |= {"REPO": self.repo, "STORE": f"{folder}/store", "DST": self.second, "CHANGED": self._changed}
        self.env |= {"REMOTE": f"{folder}/remote", "CLONE": self.clone_path}
        self.costs: dict[str, Cost] = {}
        self._version: str | None = None
        self.do("git init -q && echo 0 >notes.txt && git add -A && git commit -qm notes")
        self.do(tool.setup)

    def do(self, command: str, ref: str = "") -> Cost:
        return run(command, self.repo, self.env | {"REF": ref})

    def record(self, version: str) -> None:
        if version != "A":
            self._list_changed("A")
            if self._version != "A":
                self.do(self.tool.switch, "A")
            self._version = "A"
        self.do(f"git switch -qc {version}")
        self._list_changed(version)
        self.media.put(self.repo, self._version, version)
        if self.tool.text:
            self._write_text(version)
        cost = self.do(self.tool.record, version)
        self.costs.setdefault("add + commit", cost)
        self._arrived(version)

    def switch(self, work: str, version: str) -> None:
        self._list_changed(version)
        self.costs[work] = self.do(self.tool.switch, version)
        self._arrived(version)

    def note(self) -> None:
        """Between two commits that differ in a file that is no sidecar."""
        self.do("git switch -qc note && echo 1 >notes.txt && git commit -qam note && git switch -q A")
        self.costs["switch, no sidecar"] = self.do("git switch -q note")
        self.do("git switch -q A")

    def statuses(self) -> None:
        if self.tool.status:
            self.do(self.tool.status)
            self.costs["own status"] = self.do(self.tool.status)

    def worktree(self) -> None:
        if self.tool.worktree:
            self.costs["second worktree"] = self.do(self.tool.worktree, "C")
            self._check(self.second, "C")

    def share(self) -> None:
        """To a place that is shared, and back into a clone with nothing of its own."""
        if self.tool.push and self.tool.clone:
            self.costs["push, three versions"] = self.do(self.tool.push)
            os.sync()
            self.costs["clone with media"] = self.do(self.tool.clone)
            self._check(self.clone_path, "A")

    def _list_changed(self, new: str) -> None:
        with open(self._changed, "wb") as file:
            file.writelines(os.fsencode(path) + b"\0" for path in self.media.changed(self._version, new))

    def _write_text(self, version: str) -> None:
        for path in self.media.changed(self._version, version):
            with open(f"{self.repo}/{path}.json", "w", encoding="ascii") as file:
                json.dump({"version": version, "path": path, "hash": "0" * 64}, file, indent=2)

    def _arrived(self, version: str) -> None:
        self._check(self.repo, version)
        self._version = version

    def _check(self, root: str, version: str) -> None:
        wrong = self.media.wrong(root, version)
        if wrong:
            raise Failed(f"{len(wrong)} of {len(self.media.paths)} files wrong in {version}, e.g. {wrong[0]}")


STEPS = (
    *(lambda site, version=version: site.record(version) for version in VERSIONS),
    lambda site: site.switch("to A", "A"),
    lambda site: site.switch("switch, first time", "B"),
    lambda site: site.costs.update({"git status after it": site.do("git status --porcelain")}),
    lambda site: site.switch("switch, back again", "A"),
    lambda site: site.switch("switch, 5 % changed", "C"),
    lambda site: site.switch("to A", "A"),
    lambda site: site.note(),
    lambda site: site.statuses(),
    lambda site: site.worktree(),
    lambda site: site.share(),
)


class Bench:
    """One run: its contenders, its temporary folder, and what came out."""

    def __init__(self, args: argparse.Namespace, folder: str):
        self.args, self.folder = args, folder
        self.path = [os.path.join(args.peers, each, "bin") for each in sorted(os.listdir(args.peers))] if args.peers else []
        self.tools: list[Contender] = []
        self.failures: list[str] = []
        self.document: dict = {"machine": f"{platform.platform()}, {os.cpu_count()} processors", "scale": args.scale}
        whole_path = os.pathsep.join([*self.path, os.environ["PATH"]])
        for tool in line_up(args.also):
            if tool.is_here(whole_path):
                self.tools.append(tool)
            else:
                print(f"{tool.name}: not installed, passed over", file=sys.stderr)
        self.ours = [tool.name for tool in self.tools if tool.own]
        self.peers = [tool.name for tool in self.tools if not tool.own and tool.name not in ("floor", "cp")]
        env = guarded_environment(f"{folder}/home", self.tools[self._at("regen")].folders(), {})
        self.python_start = median(run("regen-vcs --version", folder, env).seconds for _ in range(9))

    def _at(self, name: str) -> int:
        return [tool.name for tool in self.tools].index(name)

    def workload(self, name: str) -> None:
        media = Media(WORKLOADS[name], f"{self.folder}/{name}-pool", self.args.scale)
        times: dict[str, dict[str, list[float]]] = {}
        peaks: dict[str, int] = {}
        for number in range(self.args.repeat):
            for site in self._repetition(name, number, media):
                for work, cost in site.costs.items():
                    times.setdefault(work, {}).setdefault(site.tool.name, []).append(cost.seconds)
                    peaks[site.tool.name] = max(peaks.get(site.tool.name, 0), cost.peak_bytes)
        self._report(name, media, times, peaks)
        shutil.rmtree(media.pool)

    def _repetition(self, name: str, number: int, media: Media) -> list[Site]:
        """Everybody does every step once; who failed is out."""
        turn = number % len(self.tools)
        folder = f"{self.folder}/{name}-{number}"
        sites: list[Site] = []
        for tool in self.tools[turn:] + self.tools[:turn]:
            self._try(name, tool, sites, lambda tool=tool: sites.append(Site(tool, f"{folder}/{tool.name}", media, self.path)))
        for step in STEPS:
            for site in list(sites):
                if not self._try(name, site.tool, sites, lambda step=step, site=site: step(site)):
                    sites.remove(site)
            os.sync()  # what one step left to be written is not the next one's
        if media.total * 4 * len(self.tools) * self.args.repeat > shutil.disk_usage(self.folder).free / 2:
            _remove(folder)  # else only at the end: ext4 is slow for a while after many deletions
        return sites

    def _try(self, name: str, tool: Contender, sites: list[Site], act) -> bool:
        try:
            act()
        except Failed as error:
            self.failures.append(f"{name} {tool.name}: {error}")
            return False
        return True

    def _report(self, name: str, media: Media, times: dict, peaks: dict[str, int]) -> None:
        title = f"{name}: {len(media.paths)} files, {media.total / 2**20:.0f} MiB, {self.args.repeat} repetitions"
        for tool in self.ours:
            lines = []
            for work in _ORDER:
                if tool in times.get(work, {}):
                    target = target_of(name, work, tool, len(media.paths), self.python_start)
                    lines.append(line_of(work, tool, times[work], target, self.peers))
            print(render(title, tool, lines, self.peers))
        known = {tool: peak for tool, peak in peaks.items() if peak}
        for tool in self.ours:
            if tool in known:
                reached = "yes" if known[tool] < MEMORY_BYTES else "no"
                print(f"{tool}: the largest process took {known[tool] / 2**20:.0f} MiB; to reach: < 100 MiB: {reached}\n")
        self.document[name] = {"files": len(media.paths), "bytes": media.total, "seconds": times, "peak_bytes": peaks}

    def probe(self, name: str) -> None:
        tool = self.tools[self._at("regen")]
        try:
            result = getattr(probes, name)(tool, f"{self.folder}/{name}", self.args.scale, self.args.repeat)
        except Failed as error:
            self.failures.append(f"{name}: {error}")
            return
        print(f"## {name}\n")
        print("\n".join(f"- {what}: {value}" for what, value in result.items()), end="\n\n")
        self.document[name] = result


def _remove(folder: str) -> None:
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)  # git-annex leaves folders read-only
    shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workload", nargs="+", choices=[*WORKLOADS, *_PROBES], default=["W1", "W2", *_PROBES])
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of files")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    parser.add_argument("--peers", metavar="DIR", help="a folder of virtual environments with peers in them")
    parser.add_argument("--also", nargs="+", default=[], metavar="NAME=PROGRAM", help="other builds of regen-vcs, side by side")
    parser.add_argument("--tmp", metavar="DIR", help="where the temporary folder is made")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="regen-bench-", dir=args.tmp)
    try:
        bench = Bench(args, folder)
        for name in args.workload:
            (bench.workload if name in WORKLOADS else bench.probe)(name)
    finally:
        _remove(folder)
    for failure in bench.failures:
        print(f"FAILED {failure}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(bench.document | {"failures": bench.failures}, file, indent=1)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
