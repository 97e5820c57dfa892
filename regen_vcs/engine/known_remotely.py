"""What each remote was last seen to hold: a memory of one repository, so that `status` asks no network.

Advisory, never proof: whoever acts on what a remote has (gc, push) asks it now. A file of lines for each remote in the git
common dir, appended to; the last line about a thing counts. It can be deleted at any time. Hot path.

    @<digest of the URL>      the first line: of another URL nothing is known
    +<hash>  -<hash>          an object was there, was not there
    v<hash>                   it was there, and its bytes were right: uploaded from here, fetched, or checked
    r<name>  k<key>           a result record, a recipe was put there
    t<bytes a second> <seconds an object>     how quick the last transfers were
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from blake3 import blake3

from regen_vcs.platform.files import write_all, write_atomic

HELD, ABSENT, VERIFIED = "+", "-", "v"
_MANY = 10_000  # lines: below, a file is never written anew


class KnownRemotely:
    """The memory of one remote. `note_*` are safe to call from many threads; `save` writes what is new."""

    def __init__(self, folder: str, name: str, url: str):
        self._path = f"{folder}/{_file_name(name)}"
        self._head = f"@{blake3(url.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"
        self._objects: dict[str, str] | None = None
        self._put: set[str] = set()
        self._speed: tuple[float, float] | None = None
        self._lines = 0
        self._fresh: list[str] = []

    @classmethod
    def of(cls, ws, remote) -> KnownRemotely:
        memory = cls(_folder(ws.repo.shared_dir), remote.name, remote.url)
        memory._loaded()  # here, since threads may ask next
        return memory

    @staticmethod
    def forget(shared_dir: str, name: str) -> None:
        """Drop what is known of a remote."""
        try:
            os.unlink(f"{_folder(shared_dir)}/{_file_name(name)}")
        except OSError:
            pass  # nothing was known, or a read-only repository: it is advisory

    # -- asking ----------------------------------------------------------------------------------------------------

    def has(self, hash: str) -> bool | None:
        """Whether the object was there when last asked; None: never asked."""
        state = self._loaded().get(hash)
        return None if state is None else state != ABSENT

    def is_verified(self, hash: str) -> bool:
        """Whether this machine has seen the right bytes there, and not seen them gone since."""
        return self._loaded().get(hash) == VERIFIED

    def was_put(self, mark: str) -> bool:
        """Whether a record (`r` and its name) or a recipe (`k` and its key) was put there from here."""
        self._loaded()
        return mark in self._put

    @property
    def speed(self) -> tuple[float, float] | None:
        """(bytes a second, seconds an object) of the last transfers together; None: there were none."""
        self._loaded()
        return self._speed

    # -- noting ----------------------------------------------------------------------------------------------------

    def note_held(self, hash: str) -> None:
        if self._loaded().get(hash) not in (HELD, VERIFIED):
            self._note(hash, HELD)

    def note_verified(self, hash: str) -> None:
        if self._loaded().get(hash) != VERIFIED:
            self._note(hash, VERIFIED)

    def note_absent(self, hash: str) -> None:
        if self._loaded().get(hash) != ABSENT:
            self._note(hash, ABSENT)

    def note_put(self, mark: str) -> None:
        self._loaded()
        if mark not in self._put:
            self._put.add(mark)
            self._fresh.append(mark)

    def note_speed(self, bytes_a_second: float, seconds_an_object: float) -> None:
        self._loaded()
        self._speed = bytes_a_second, seconds_an_object
        self._fresh.append(f"t{bytes_a_second:.0f} {seconds_an_object:.6f}")

    def _note(self, hash: str, state: str) -> None:
        self._objects[hash] = state
        self._fresh.append(state + hash)

    def save(self) -> None:
        """Append what is new. A disk that is full or read-only is no error: it is asked again."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, []
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._write(fresh)
        except OSError:
            return

    def _write(self, fresh: list[str]) -> None:
        if self._lines and self._lines + len(fresh) < _MANY + 2 * (len(self._objects) + len(self._put)):
            text = "".join(f"\n{line}" for line in fresh) + "\n"  # LF first: it ends a torn line
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                write_all(fd, text.encode("ascii"))
            finally:
                os.close(fd)
            self._lines += len(fresh)
            return
        lines = [self._head, *(state + hash for hash, state in self._objects.items()), *self._put]
        if self._speed:
            lines.append(f"t{self._speed[0]:.0f} {self._speed[1]:.6f}")
        write_atomic(self._path, "\n".join([*lines, ""]).encode("ascii"))
        self._lines = len(lines)

    def _loaded(self) -> dict[str, str]:
        if self._objects is None:
            objects: dict[str, str] = {}
            lines = self._read()
            for line in lines:
                kind = line[:1]
                if len(line) == 65 and kind in "+-v":
                    objects[line[1:]] = kind
                elif len(line) == 65 and kind in "rk":
                    self._put.add(line)
                elif kind == "t":
                    self._speed = _parse_speed(line)
            self._lines = len(lines)
            self._objects = objects
        return self._objects

    def _read(self) -> list[str]:
        try:
            with open(self._path, encoding="ascii", errors="replace") as file:
                lines = file.read().split("\n")
        except OSError:
            return []
        return lines if lines[0] == self._head else []


def known_hashes(ws, hashes: Iterable[str]) -> dict[str, bool | None]:
    """{hash: whether any active remote was last seen to hold it; None where none was ever asked}. Never a network call."""
    memories = [
        KnownRemotely(_folder(ws.repo.shared_dir), name, table["url"])
        for name, table in ws.settings.remotes().items() if table.get("url")
    ]
    found: dict[str, bool | None] = {}
    for hash in hashes:
        answers = [memory.has(hash) for memory in memories]
        found[hash] = True if True in answers else (False if False in answers else None)
    return found


def _folder(shared_dir: str) -> str:
    return f"{shared_dir}/remotes"


def _file_name(name: str) -> str:
    """Names that `remote add` gives are file names already; what a hand wrote into git config need not be."""
    bare = name.replace(".", "").replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() and not name.startswith(".") else blake3(name.encode("utf-8", "surrogateescape")).hexdigest()


def _parse_speed(line: str) -> tuple[float, float] | None:
    try:
        rate, each = line[1:].split(" ")
        rate, each = float(rate), float(each)
    except ValueError:
        return None
    return (rate, each) if rate > 0 and each >= 0 else None
