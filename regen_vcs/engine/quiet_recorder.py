"""Writing down what a full status rests on, so that the next one may be quick (engine/quiet.py).

Whatever is hard to be sure of (patterns of `track`, the in-place layout, named roots, globs of code, another index) is
not recorded; neither is a file that could still change within its own time stamp's tick.
"""

from __future__ import annotations

import os
import time

from regen_vcs.engine.memory import is_racy, sig_of
from regen_vcs.engine.queue_file import queue_path
from regen_vcs.engine.quiet import ABSENT, FOLDER, answer_of, path_of, text_of
from regen_vcs.errors import RegenError
from regen_vcs.model.paths import parse_sequence
from regen_vcs.platform.files import write_atomic

_WILD = frozenset("*?[")


class Recorder:
    """Made before a status looks at anything; `record` is called with what it saw."""

    def __init__(self, ws):
        self._ws = ws
        self._began_ns = time.time_ns()
        self._watched: dict[str, str] = {}
        self._fixed = _fixed_paths(ws.repo)
        self._before = {path: _sig_at(path) for path in self._fixed}

    def record(self, snapshot, statuses) -> None:
        """Write down the answer and what it rests on; nothing where one of these is not sure to show its next change."""
        if "GIT_INDEX_FILE" in self._ws.environ or not self._watch(snapshot):
            return
        now = {path: _sig_at(path) for path in self._fixed}
        watched = {**self._watched, **now}
        if now != self._before or any(
            sig not in (ABSENT, FOLDER) and is_racy(sig, self._began_ns) for sig in watched.values()
        ):
            return
        try:
            write_atomic(path_of(self._ws.repo), text_of(self._ws.repo, answer_of(statuses), watched))
        except OSError:
            return  # a read-only repository can still be looked at

    def _watch(self, snapshot) -> bool:
        """Note the stat of everything the answer rests on; False where that cannot be said."""
        root, watched, folders = self._ws.root, self._watched, set()
        rows = self._ws.state.rows
        for path, desired in snapshot.assets.items():
            watched[f"{root}/{path}.regen.json"] = desired.side_sig or ABSENT
            folders.add(path.rpartition("/")[0])
            if desired.facts.problem or desired.unmerged:
                continue
            try:
                if not self._watch_origin(snapshot, desired):
                    return False
            except RegenError:
                return False  # an input outside the repository, a generator that nothing defines
        for path in rows.keys() - snapshot.assets.keys():
            watched[f"{root}/{path}.regen.json"] = ABSENT
            folders.add(path.rpartition("/")[0])
        for path, seen in snapshot.observed.items():
            if seen.kind == "foreign":
                return False
            if not seen.files:
                watched[f"{root}/{path}"] = ABSENT
            elif not (len(seen.files) == 1 and path in seen.files):
                self._watch_folders(path)
            for each, (_, sig) in seen.files.items():
                watched[f"{root}/{each}"] = sig
        for folder in folders:
            while folder:
                watched.setdefault(f"{root}/{folder}", FOLDER)
                folder = folder.rpartition("/")[0]
        return True

    def _watch_folders(self, path: str) -> None:
        """A directory or a sequence: a file more shows in its folders' stat only."""
        sequence = parse_sequence(path)
        if sequence:
            inner = [f"{self._ws.root}/{sequence.directory}".rstrip("/")]
        else:
            inner = [folder for folder, _, _ in os.walk(f"{self._ws.root}/{path}")]
        self._watched.update((folder, _sig_at(folder)) for folder in inner)

    def _watch_origin(self, snapshot, desired) -> bool:
        """The files beside the sidecar that decide whether it is stale."""
        facts, root = desired.facts, self._ws.root
        if facts.inputs:
            for target in snapshot.inputs.targets(desired).values():
                if target.startswith("@"):
                    return False
                if not snapshot.inputs.is_asset(target):
                    self._watched[f"{root}/{target}"] = _sig_at(f"{root}/{target}")
        if facts.definition is not None:
            table = snapshot.definitions_on_disk.table(facts.generator)
            if any(_WILD.intersection(glob) for glob in table.get("code", ())):
                return False
            for source, _ in snapshot.definitions_on_disk.code(facts.generator).values():
                self._watched[f"{root}/{source}"] = _sig_at(f"{root}/{source}")
        return True


def _fixed_paths(repo) -> list[str]:
    """What any answer rests on: the index, what configures us, our own memory, and the queue."""
    names = [f"{repo.root}/{name}" for name in ("regen.toml", ".gitattributes", ".gitignore")]
    names += [f"{repo.state_dir}/{name}" for name in ("state.json", "journal", "workset")]
    return [f"{repo.git_dir}/index", *names, *(queue_path(repo.shared_dir) + end for end in ("", "-wal"))]


def _sig_at(path: str) -> str:
    try:
        return sig_of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
