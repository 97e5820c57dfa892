"""`regen-vcs watch`: a sync whenever sidecars change on disk, for where no hook runs: editors, GUI clients, shared disks.

One sync for a burst of changes, as a hook makes it, however many files the burst is about. What syncs write themselves
starts no other: an asset counts as changed only where its stat is not the one that the last sync noted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping

from regen_vcs.engine.changes import EVERYTHING, Changes, watching
from regen_vcs.engine.checkout import Report, check_out
from regen_vcs.engine.memory import State, parse_sig
from regen_vcs.engine.sync import HOOK, SEQUENCER_HOOK
from regen_vcs.engine.workspace import PROJECT_FILE, Workspace
from regen_vcs.errors import Interrupted, RegenError
from regen_vcs.git.repo import Repo
from regen_vcs.model.paths import SIDECAR_SUFFIX, frame_of, parse_sequence
from regen_vcs.platform.files import sig

# How long git may hold its lock before a sync goes ahead: one that a crash has left behind would stop us for ever.
_GIT_PATIENCE = 10.0
_GIT_POLL = 0.05


def watch(
    root: str, environ: Mapping[str, str], *, polling: bool = False, tell: Callable[[str], None]
) -> Iterator[Report | RegenError]:
    """Sync once, and then after each burst of changes, for ever; what each sync did, or why it could not.

    root: of a worktree. polling: look at the files every few seconds in place of being told by the system; done
    without being asked where the system cannot watch that many folders. tell: is given remarks for the user.

    Ends with KeyboardInterrupt, with Interrupted, and with RegenError where the worktree is gone.
    """
    repo = Repo.discover(root, environ)
    changes = Changes(repo.root, repo.git_dir)
    with watching(changes, polling=polling, tell=tell) as eyes:
        yield _sync(repo.root, environ)
        took = 0.0
        while True:
            paths = changes.take(took)  # where a sync takes long, more is gathered for one
            if not os.path.isdir(repo.root):
                raise RegenError(f"{repo.root}: the worktree is gone")
            _wait_for_git(repo)
            paths |= changes.take_more()
            eyes.check(paths)
            if matters(State(repo.state_dir), repo.root, paths):
                began = time.monotonic()
                report = _sync(repo.root, environ)
                took = time.monotonic() - began
                yield report


def _sync(root: str, environ: Mapping[str, str]) -> Report | RegenError:
    """As after a hook. The workspace is opened anew: settings and the repository itself may have changed."""
    try:
        ws = Workspace.open(root, environ)
        try:
            return check_out(ws, SEQUENCER_HOOK if ws.repo.in_sequence() else HOOK)
        finally:
            ws.close()
    except Interrupted:
        raise  # we are told to end, and the sync was in the middle of its work
    except RegenError as error:
        return error
    except OSError as error:
        return RegenError(f"{error.filename or root}: {error.strerror or error}")


def _wait_for_git(repo: Repo) -> None:
    """While git writes, its index is not yet the one of the files on disk."""
    lock = os.path.join(repo.git_dir, "index.lock")
    deadline = time.monotonic() + _GIT_PATIENCE
    while os.path.exists(lock) and time.monotonic() < deadline:
        time.sleep(_GIT_POLL)


def matters(state: State, root: str, paths: set[str]) -> bool:
    """Whether any of these changes is about an asset or its recipe. state: as of the last sync.

    paths: relative to the worktree; a folder's ends with "/". EVERYTHING, and a name in `.git`, always matter.
    """
    if EVERYTHING in paths:
        return True
    known = _Known(state, root)
    return any(_is_about_recipes(path) or known.has_changed(path) for path in paths)


def _is_about_recipes(path: str) -> bool:
    if path.endswith((SIDECAR_SUFFIX, "/")) or path.startswith(".git/"):
        return True
    return path == PROJECT_FILE or path.rpartition("/")[2] == ".gitattributes"


class _Known:
    """The assets' files as the last sync left them."""

    def __init__(self, state: State, root: str):
        self._rows, self._root = state.rows, root
        self._files = {path: found for row in state.rows.values() for path, found in row.files.items()}
        self._sequences: dict[str, list] = {}
        for path in state.rows:
            sequence = parse_sequence(path)
            if sequence:
                self._sequences.setdefault(path.rpartition("/")[0], []).append(sequence)

    def has_changed(self, path: str) -> bool:
        """Whether this is an asset's file, or part of one, and not what the last sync saw there."""
        if path in self._files:
            return not self._is_as_noted(path)
        return path in self._rows or self._is_in_folder_asset(path) or self._is_frame(path)

    def _is_as_noted(self, path: str) -> bool:
        try:
            return sig(os.lstat(os.path.join(self._root, path))) == parse_sig(self._files[path][1])
        except OSError:
            return False

    def _is_in_folder_asset(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        while folder:
            if folder in self._rows:
                return True
            folder = folder.rpartition("/")[0]
        return False

    def _is_frame(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return any(frame_of(sequence, name) is not None for sequence in self._sequences.get(folder, ()))
