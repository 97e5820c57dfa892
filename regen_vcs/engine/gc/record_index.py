"""What is on record of each output, as far as marking needs it; remembered from one gc to the next.

`<keep>/v1/gc/records`: a line a key. A folder's ctime moves whenever a record comes into it, so what has the ctime of the last
look need not be read again. It is a cache: whatever in it cannot be read, or is of the seconds before that look, is read anew.
"""

from __future__ import annotations

import os
import time
from collections import namedtuple
from collections.abc import Iterator

from regen_vcs.engine.gc.names import may_name_trees, names_in
from regen_vcs.platform.files import write_atomic, write_error
from regen_vcs.stores import durable

_HEADER = "regen-vcs records 1"
# A folder that changed this recently may change again without its ctime moving (ticks, and clocks of other machines).
_RACY_NS = 5_000_000_000

# All that is on record of an output under one key. names: the objects that it names besides. is_tree: it may be a manifest.
Record = namedtuple("Record", ("key", "names", "is_tree"))


class RecordIndex:
    """Of the store at `keep_root`. Whoever would act on what a record claims reads it (`Results.takes`)."""

    def __init__(self, keep_root: str):
        self._root = f"{keep_root}/results"
        self._path = f"{keep_root}/gc/records"
        self._lines: list[str] = []

    def read(self) -> dict[str, list[Record]]:
        """{output hash: what is on record of it}, without a look at whether each file is a record at all.

        RegenError where a folder or a record cannot be read.
        """
        known = self._load()
        racy_from = time.time_ns() - _RACY_NS
        found: dict[str, list[Record]] = {}
        self._lines = [_HEADER]
        try:
            for shard in _names(self._root):
                for key in _names(f"{self._root}/{shard}"):
                    if len(key) == 64:
                        self._read_key(f"{self._root}/{shard}/{key}", key, known.get(key), racy_from, found)
        except OSError as error:
            raise write_error(error, f"reading {self._root}") from error
        return found

    def save(self) -> None:
        """Remember what `read` has found. RegenError."""
        try:
            durable.make_folder(os.path.dirname(self._path))
            write_atomic(self._path, "\n".join(self._lines).encode())
        except OSError as error:
            raise write_error(error, f"writing {self._path}") from error

    def _read_key(self, folder: str, key: str, known: str | None, racy_from: int, found: dict[str, list[Record]]) -> None:
        born = _ctime_ns(folder)
        outputs = _parse(known, born) if known is not None else None
        if outputs is None or not all(_ctime_ns(f"{folder}/{output}") == at for output, at, _, _ in outputs):
            outputs = [_read_output(f"{folder}/{output}", output) for output in _names(folder) if len(output) == 64]
        for output, _, is_tree, names in outputs:
            found.setdefault(output, []).append(Record(key, names, is_tree))
        if born < racy_from and all(at < racy_from for _, at, _, _ in outputs):
            parts = (f"{output}:{at}:{'T' if is_tree else ''}:{','.join(names)}" for output, at, is_tree, names in outputs)
            self._lines.append(f"{key} {born} {' '.join(parts)}")

    def _load(self) -> dict[str, str]:
        try:
            with open(self._path, encoding="ascii") as file:
                lines = file.read().split("\n")
        except (OSError, ValueError):
            return {}
        if lines[0] != _HEADER:
            return {}
        return {line[:64]: line[65:] for line in lines[1:] if len(line) > 65}


def _parse(line: str, born: int) -> list[tuple[str, int, bool, tuple[str, ...]]] | None:
    """The outputs of a remembered key whose folder is as old as it was; None for anything else."""
    at, *parts = line.split(" ")
    if at != str(born):
        return None
    outputs = []
    for part in parts:
        fields = part.split(":")
        if len(fields) != 4 or len(fields[0]) != 64 or not fields[1].isdigit():
            return None
        outputs.append((fields[0], int(fields[1]), bool(fields[2]), tuple(fields[3].split(",")) if fields[3] else ()))
    return outputs


def _read_output(folder: str, output: str) -> tuple[str, int, bool, tuple[str, ...]]:
    at = _ctime_ns(folder)  # before its content: what comes meanwhile moves it
    names: set[str] = set()
    is_tree = False
    for data in _contents(folder):
        names |= names_in(data)
        is_tree = is_tree or may_name_trees(data)
    names.discard(output)
    return output, at, is_tree, tuple(names)


def _ctime_ns(folder: str) -> int:
    try:
        return os.stat(folder).st_ctime_ns
    except FileNotFoundError:
        return 0


def _contents(folder: str) -> Iterator[bytes]:
    for name in _names(folder):
        try:
            fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        try:
            yield os.read(fd, 1 << 20)
        except IsADirectoryError:
            continue
        finally:
            os.close(fd)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []

