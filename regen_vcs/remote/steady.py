"""Patience: what is tried again, how often, and when a remote counts as gone.

Every call has `patience` seconds in which nothing need come; then it raises Unreachable. A stream goes on where it
broke, or starts anew and drops what it had, and has to keep bringing bytes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from regen_vcs.remote.base import Unreachable
from regen_vcs.remote.bucket import Body, Bucket, Silence, Transient

Result = TypeVar("Result")

SLOWEST = 1024  # bytes a second: what brings less is as good as silent
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_MOST_STARTS_ANEW = 5  # of one stream, by a server that cannot go on where it broke


class Steady:
    """Calls of one bucket, repeated while it makes sense. where: the remote's name, for messages.

    After the first Unreachable every call raises it again at once: a dead server is asked once a command.
    """

    def __init__(self, where: str, patience: float):
        self.where, self.patience = where, patience
        self._gone: Unreachable | None = None

    def call(self, attempt: Callable[[], Result], *, from_first_failure: bool = False) -> Result:
        """What `attempt` returns. Unreachable once patience is spent.

        from_first_failure: an attempt may rightly take long (an upload), so the clock starts when one has failed.
        """
        pauses = Pauses(self.patience, None if from_first_failure else time.monotonic())
        while True:
            self.check()
            try:
                return attempt()
            except Transient as error:
                if not pauses.pause(error.for_seconds):
                    raise self.gone(error.words) from error
            except Silence as error:
                raise self.gone(f"nothing came for {self.patience:g} s") from error

    def check(self) -> None:
        """Unreachable, at once, if that was found before."""
        if self._gone is not None:
            raise Unreachable(self._gone.what, self._gone.hint)

    def gone(self, words: str) -> Unreachable:
        """The error to raise now and from now on."""
        self._gone = Unreachable(f"remote {self.where} cannot be reached: {words}", f"regen-vcs remote check {self.where}")
        return self._gone

    def stream(self, bucket: Bucket, name: str) -> tuple[int | None, Iterator[bytes]] | None:
        """(bytes announced or None, the stored bytes of a name in chunks), None where there is nothing.

        Asks at once, so that whether it is there is known before the first chunk.
        """
        rate = Rate(self.patience)
        body = self.call(lambda: bucket.read(name))
        return None if body is None else (body.total, self._follow(bucket, name, body, rate))

    def listing(self, begin: Callable[[], Iterator[tuple[str, int]]]) -> Iterator[tuple[str, int]]:
        """What `begin` lists. Where that breaks it begins anew, and names come twice."""
        pauses = Pauses(self.patience, None)
        while True:
            self.check()
            try:
                yield from begin()
                return
            except Transient as error:
                if not pauses.pause(error.for_seconds):
                    raise self.gone(error.words) from error
            except Silence as error:
                raise self.gone("a listing stalled") from error

    def _follow(self, bucket: Bucket, name: str, body: Body, rate: Rate) -> Iterator[bytes]:
        done = starts = 0
        pauses = Pauses(self.patience, None)
        while True:
            try:
                for chunk in _from(body, done, rate):
                    done += len(chunk)
                    pauses.reset()
                    yield chunk
                if body.total is None or done >= body.total:
                    return
                raise Transient("a transfer ended early")
            except Silence as error:
                raise self.gone("a transfer stalled") from error
            except Transient as error:
                if not pauses.pause(error.for_seconds):
                    raise self.gone(error.words) from error
            finally:
                _close(body.chunks)
            body = self._again(bucket, name, done)
            starts += body.start == 0 and done > 0
            if starts > _MOST_STARTS_ANEW:
                _close(body.chunks)
                raise self.gone("transfers break and cannot be resumed")
            rate.begin()

    def _again(self, bucket: Bucket, name: str, done: int) -> Body:
        body = self.call(lambda: bucket.read(name, done))
        if body is None:  # somebody prunes: no reason to give the remote up
            raise Unreachable(f"remote {self.where}: an object vanished while it was read")
        return body


class Pauses:
    """Growing pauses, in all as long as patience lasts since `since` (None: since the first failure)."""

    def __init__(self, patience: float, since: float | None):
        self._patience, self._since, self._first_failure = patience, since, None
        self._length = _FIRST_PAUSE

    def reset(self) -> None:
        """There was progress: whatever fails now, fails for the first time."""
        self._first_failure, self._length = None, _FIRST_PAUSE

    def pause(self, for_seconds: float | None) -> bool:
        """Sleep before the next try; False, at once, if there is none."""
        now = time.monotonic()
        if self._first_failure is None:
            self._first_failure = now
        left = (self._since or self._first_failure) + self._patience - now
        if for_seconds is not None:
            left = min(left, self._first_failure + for_seconds - now)
        # Clients that a server has thrown off together should not come back together.
        length = self._length * random.uniform(0.8, 1.2)
        if length >= left:
            return False
        time.sleep(length)
        self._length = min(2 * self._length, _LONGEST_PAUSE)
        return True


class Rate:
    """Tells a stream that drips from one that flows, over windows of half of patience, spent waiting for the server."""

    def __init__(self, patience: float):
        self._window = patience / 2
        self.begin()

    def begin(self) -> None:
        self._waited, self._bytes = 0.0, 0

    def moved(self, count: int, waited: float) -> None:
        self._bytes += count
        self._waited += waited

    def check(self) -> None:
        """To be asked before waiting on: Silence if the window that ended brought next to nothing."""
        if self._waited < self._window:
            return
        if self._bytes < SLOWEST * self._waited:
            raise Silence
        self.begin()


def _from(body: Body, done: int, rate: Rate) -> Iterator[bytes]:
    """The chunks of a body from offset `done` of the object on."""
    at = body.start
    if at > done:
        raise Transient("the server skipped a part")
    while True:
        if at != body.total:
            rate.check()
        before = time.monotonic()
        chunk = next(body.chunks, None)
        if chunk is None:
            return
        rate.moved(len(chunk), time.monotonic() - before)
        at += len(chunk)
        if at > done:
            yield chunk[done - at :]
            done = at


def _close(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
