"""What happened to objects on this machine, as its own runs saw it: made by a run, a run's log, accepted by somebody.

`<keep>/v1/witness`: a line `<what> <hash> <seconds since 1970>` each, only ever appended to by those who did it. Records
may come from anywhere; this file never does. gc takes nothing for a take, or a log, that is not in it. Hot path.
"""

from __future__ import annotations

import os
import time
from collections import namedtuple
from collections.abc import Iterable

from regen_vcs.platform import files
from regen_vcs.stores import durable

MADE, LOG, ACCEPTED = "made", "log", "accepted"
_LINE, _FEW = 90, 10_000  # bytes, lines

# made, logs: {hash: seconds since 1970} of the last time. accepted: {hash}.
Testimony = namedtuple("Testimony", ("made", "logs", "accepted"))


class Witness:
    """Append to it under the store's shared lock; gc alone rewrites it."""

    def __init__(self, keep_root: str):
        self.path = f"{keep_root}/witness"

    def saw(self, what: str, hashes: Iterable[str]) -> None:
        """Note that this happened to these objects. RegenError."""
        now = int(time.time())
        lines = "".join(f"{what} {hash} {now}\n" for hash in hashes)
        if not lines:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | files.O_CLOEXEC | files.O_BINARY
        try:
            try:
                fd = os.open(self.path, flags, 0o644)
            except FileNotFoundError:
                durable.make_folder(os.path.dirname(self.path))
                fd = os.open(self.path, flags, 0o644)
            try:
                files.write_all(fd, f"\n{lines}".encode())  # LF first: it ends a line that a crash tore
            finally:
                os.close(fd)
        except OSError as error:
            raise files.write_error(error, f"writing {self.path}") from error

    def read(self) -> Testimony:
        """All of it. A torn line says nothing. RegenError where it is there and cannot be read."""
        try:
            with open(self.path, encoding="ascii", errors="replace") as file:
                lines = file.read().split("\n")
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise files.write_error(error, f"reading {self.path}") from error
        found = Testimony({}, {}, set())
        for line in lines:
            words = line.split(" ")
            if len(words) != 3 or len(words[1]) != 64 or not words[2].isdigit():
                continue
            what, hash, seconds = words[0], words[1], int(words[2])
            if what == ACCEPTED:
                found.accepted.add(hash)
            elif what in (MADE, LOG):
                times = found.made if what == MADE else found.logs
                times[hash] = max(times.get(hash, 0), seconds)
        return found

    def forget_all_but(self, hashes: set[str]) -> None:
        """Drop what is said of other objects; to be called while nobody relies on the store. OSError.

        Not before most of the file would go: it is read as a whole, and each line costs little.
        """
        try:
            if os.path.getsize(self.path) < _LINE * (2 * len(hashes) + _FEW):
                return
        except FileNotFoundError:
            return
        known = self.read()
        lines = [f"{MADE} {hash} {at}\n" for hash, at in known.made.items() if hash in hashes]
        lines += [f"{LOG} {hash} {at}\n" for hash, at in known.logs.items() if hash in hashes]
        lines += [f"{ACCEPTED} {hash} 0\n" for hash in sorted(known.accepted) if hash in hashes]
        files.write_atomic(self.path, "".join(lines).encode(), durable=True)
