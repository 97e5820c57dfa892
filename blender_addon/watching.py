"""Signs that a project has moved: a few files, looked at by `stat` alone. Nothing here knows Blender."""

from __future__ import annotations

import os

# What git and regen-vcs write when something happens. `quiet` and locks are written by a mere look.
_OURS = ("generation", "listing", "state.json", "queue.sqlite", "queue.sqlite-wal")
_MAX_CONFIG = 1 << 20


def git_folders(root: str) -> tuple[str, str]:
    """(the worktree's own git folder, the one that worktrees share). Both the same where there is one worktree."""
    place = os.path.join(root, ".git")
    if os.path.isfile(place):
        place = _pointed_at(place, b"gitdir:", root) or place
    shared = _pointed_at(os.path.join(place, "commondir"), b"", place) or place
    return place, shared


def _pointed_at(path: str, prefix: bytes, base: str) -> str | None:
    try:
        with open(path, "rb") as file:
            line = file.read(4096).strip()
    except OSError:
        return None
    if not line.startswith(prefix):
        return None
    target = os.fsdecode(line[len(prefix) :].strip())
    return os.path.normpath(os.path.join(base, target)) if target else None


def is_set_up(root: str) -> bool:
    """Whether `regen-vcs init` was called in this repository: its git configuration speaks of our drivers."""
    _own, shared = git_folders(root)
    try:
        with open(os.path.join(shared, "config"), "rb") as file:
            text = file.read(_MAX_CONFIG)
    except OSError:
        return False
    return b'[merge "regen"]' in text


class Watch:
    """What `look` saw last. kinds: "index" (git's), "head", "project" (regen.toml), "regen" (what regen-vcs notes)."""

    def __init__(self, root: str):
        own, shared = git_folders(root)
        self._files = {
            "index": [os.path.join(own, "index")],
            "head": [os.path.join(own, "HEAD"), os.path.join(own, "logs", "HEAD")],
            "project": [os.path.join(root, "regen.toml")],
            "regen": [os.path.join(folder, "regen", name) for folder in dict.fromkeys((own, shared)) for name in _OURS],
        }
        self._seen: dict[str, tuple] = {}
        self.look()

    def look(self) -> set[str]:
        """The kinds of files that have moved since the last look."""
        now = {kind: tuple(map(_sign, paths)) for kind, paths in self._files.items()}
        moved = {kind for kind, sign in now.items() if self._seen.get(kind, sign) != sign}
        self._seen = now
        return moved


def _sign(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
