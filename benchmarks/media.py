"""Deterministic stand-ins for generated media that no compression makes smaller, in three versions.

Version B differs from A in every file, C in one of twenty. `notes.txt` is not media: no tool has work with it.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import namedtuple

KIB, MIB = 1 << 10, 1 << 20
VERSIONS = ("A", "B", "C")
_END = 4096  # bytes compared at both ends of a file

Group = namedtuple("Group", ("suffix", "count", "size", "per_folder"))
WORKLOADS = {
    "W1": (Group("png", 5000, 32 * KIB, 100),),
    "W2": (Group("mp4", 8, 128 * MIB, 8),),
    "W3": (Group("png", 1000, 300 * KIB, 50), Group("mp4", 10, 50 * MIB, 10)),
}


class Media:
    """The files of one workload, made once under `pool`. paths: relative to a repository's root."""

    def __init__(self, groups: tuple[Group, ...], pool: str, scale: float):
        self.pool = pool
        self.sizes: dict[str, int] = {}
        for group in groups:
            for number in range(max(1, round(group.count * scale))):
                path = f"media/{group.suffix}{number // group.per_folder:03d}/{number:05d}.{group.suffix}"
                self.sizes[path] = group.size
        self.paths = list(self.sizes)
        self.in_c = set(self.paths[::20])
        self.total = sum(self.sizes.values())
        for version in VERSIONS:
            for path in self.paths:
                if self.origin(path, version) == version:
                    self._make(path, version)

    def origin(self, path: str, version: str) -> str:
        """The version from which a file has its bytes."""
        return "A" if version == "C" and path not in self.in_c else version

    def source(self, path: str, version: str) -> str:
        return f"{self.pool}/{self.origin(path, version)}/{path}"

    def changed(self, old: str | None, new: str) -> list[str]:
        return [path for path in self.paths if old is None or self.origin(path, old) != self.origin(path, new)]

    def put(self, root: str, old: str | None, new: str) -> None:
        """What a generator does: new files in place of old ones, never written into (they may be links)."""
        for path in self.changed(old, new):
            target = f"{root}/{path}"
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.lexists(target):
                os.unlink(target)
            shutil.copyfile(self.source(path, new), target)

    def wrong(self, root: str, version: str) -> list[str]:
        """Files that do not hold what this version says, by their size and both ends."""
        return [path for path in self.paths if not _alike(f"{root}/{path}", self.source(path, version))]

    def _make(self, path: str, version: str) -> None:
        target = f"{self.pool}/{version}/{path}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        draw = random.Random(f"{version}/{path}")
        with open(target, "wb") as file:
            for start in range(0, self.sizes[path], MIB):
                file.write(draw.randbytes(min(MIB, self.sizes[path] - start)))


def _alike(left: str, right: str) -> bool:
    try:
        with open(left, "rb") as one, open(right, "rb") as other:
            size = os.fstat(one.fileno()).st_size
            if size != os.fstat(other.fileno()).st_size or one.read(_END) != other.read(_END):
                return False
            for file in (one, other):
                file.seek(max(0, size - _END))
            return one.read() == other.read()
    except OSError:
        return False
