"""What a server or a folder has to be able to do so that a remote can live there: named byte strings, nothing else.

A bucket knows neither hashes nor the layout nor compression, and it never tries twice: `steady.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from regen_vcs.remote.base import Refused


class Transient(Exception):
    """It did not work this time: reset, 500, 503, 429, a body that ended early. Never reaches a user.

    for_seconds: how long tries of the same are worth it at most (None: as long as patience lasts; 0: no other try).
    """

    def __init__(self, words: str, *, for_seconds: float | None = None):
        super().__init__(words)
        self.words, self.for_seconds = words, for_seconds


class Silence(Exception):
    """Nothing came for as long as patience lasts. Never reaches a user."""


class Unlistable(Refused):
    """This bucket gives out what one can name, and does not say what it has."""


class Body(NamedTuple):
    """An object as it comes. start: where in the object the first chunk begins (a server need not obey a range).

    total: the bytes of the whole object as the server announced them, None where it did not.
    """

    start: int
    total: int | None
    chunks: Iterator[bytes]


class Content(NamedTuple):
    """What is to be written. chunks() begins anew each time; size: all bytes of it, None where unknown beforehand."""

    size: int | None
    chunks: Callable[[], Iterator[bytes]]


def content_of(data: bytes) -> Content:
    """A byte string as content, in one chunk (none for no bytes)."""
    return Content(len(data), lambda: iter((data,) if data else ()))


class Bucket(Protocol):
    """Names are relative POSIX paths of the layout's own letters. Every method is safe to call from many threads.

    Each may raise Transient, Silence or Refused, and nothing else a remote can cause.
    """

    def size(self, name: str) -> int | None:
        """Bytes, None where there is nothing of that name."""

    def read(self, name: str, start: int = 0) -> Body | None:
        """None where there is nothing of that name. The chunks may raise Transient and Silence too."""

    def write(self, name: str, content: Content) -> None:
        """Replace; visible only when the whole is there."""

    def list(self, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        """(name, bytes) of everything at most `depth` folders below a prefix that ends in `/`. Unlistable."""

    def remove(self, names: Iterable[str]) -> None:
        """What is not there is no error."""

    def establish(self) -> None:
        """Make the place itself where that is ours to do (a folder)."""

    def sweep(self) -> None:
        """Remove what writers that died long ago left half-written, where the bucket has such things."""

    def close(self) -> None:
        """Let go of connections and descriptors; a later call opens them again."""
