"""Named roots: inputs such as `@plates/x.exr`, which lie in a folder that each user maps on his machine (a NAS, mostly).

They count by their bytes, as any input; what was read once is known by the file's stat. They are never copied into a store:
a recipe that needs them is blocked, and has not failed, while they cannot be had (docs/decisions/0016-workset.md).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping

from blake3 import blake3

from regen_vcs.engine.memory import Memo, is_racy, sig_of
from regen_vcs.errors import RegenError
from regen_vcs.platform.files import READ_FLAGS

# While git waits, files longer than this are not read; a worker does that.
_QUICK_BYTES = 32 << 20
_CHUNK = 1 << 20


class RootAway(RegenError):
    """An input below a named root cannot be had now: whatever needs it is blocked, and may go well another time."""


class NotRead(RootAway):
    """It is there, but was never read on this machine, and is too long to be read while git waits."""


class NamedRoots:
    """The roots of one user. roots: {name: absolute folder}. hurried: git waits, so that nothing long is read."""

    def __init__(self, roots: Mapping[str, str], memo: Memo):
        self._roots, self._memo = roots, memo
        self._real: dict[str, str] = {}
        self._read: dict[str, str] = {}  # what this command has read, also of what changed a moment ago
        self.hurried = False

    def place(self, target: str) -> str:
        """Absolute path, through no symlink, of the file that `@root/rest` is. RootAway; RegenError where it is none."""
        return self._found(target)[0]

    def hash_of(self, target: str) -> str:
        """BLAKE3 of the file's bytes. RootAway, RegenError."""
        path, st = self._found(target)
        name = f"r:{path}:{sig_of(st)}"
        known = self._read.get(name) or self._memo.get(name)
        if known is not None:
            return known
        began_ns = time.time_ns()
        if self.hurried and st.st_size > _QUICK_BYTES:
            raise NotRead(f"{target}: was not read on this machine yet", "run: regen-vcs sync")
        try:
            with open(os.open(path, READ_FLAGS), "rb", buffering=0) as file:
                digest = _hash(file)
                after = os.fstat(file.fileno())
        except OSError as error:
            raise self._away(target, error) from None
        if sig_of(after) != sig_of(st):
            raise RootAway(f"{target}: changed while it was read", "try again when it is written")
        self._read[name] = digest
        if not is_racy(sig_of(st), began_ns):
            self._memo.put(name, digest)
        return digest

    def problem(self, target: str) -> RegenError | None:
        """Why its bytes cannot be had; None where they can."""
        try:
            self.hash_of(target)
        except RegenError as error:
            return error
        return None

    def is_mapped(self, target: str) -> bool:
        return target[1:].partition("/")[0] in self._roots

    def _found(self, target: str) -> tuple[str, os.stat_result]:
        name, _, rest = target[1:].partition("/")
        folder = self._roots.get(name)
        if folder is None:
            raise RootAway(f"{target}: the root {name} is not mapped on this machine", f"regen-vcs root add {name} FOLDER")
        real = self._real.get(name) or self._real.setdefault(name, os.path.realpath(folder))
        path = os.path.realpath(os.path.join(real, *rest.split("/")))
        if not path.startswith(real.rstrip(os.sep) + os.sep):
            raise RegenError(f"{target}: leads out of its root {folder} through a symlink", "name the file where it lies")
        try:
            st = os.stat(path)
        except OSError as error:
            raise self._away(target, error) from None
        if not stat.S_ISREG(st.st_mode):
            what = "a folder" if stat.S_ISDIR(st.st_mode) else "no regular file"
            raise RegenError(f"{target}: is {what}; an input is a file", "name the files one by one")
        return path, st

    def _away(self, target: str, error: OSError) -> RootAway:
        name = target[1:].partition("/")[0]
        folder = self._roots[name]
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            where = f"is not in {folder}" if os.path.isdir(folder) else f"{folder} is not there"
        else:
            where = f"cannot be read: {error.strerror}"
        return RootAway(f"{target}: {where}", f"is it mounted? another place: regen-vcs root add {name} FOLDER")


def _hash(file) -> str:
    hasher = blake3()
    while chunk := file.read(_CHUNK):
        hasher.update(chunk)
    return hasher.hexdigest()
