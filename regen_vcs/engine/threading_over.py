"""Many small waits at once: one function over many things, in threads, as they come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from regen_vcs.errors import RegenError

Item = TypeVar("Item")

THREADS = 16  # measured best for what the store clients do
_TICK = 0.1
_LAST_WORDS = 1.0  # seconds that all threads get to put down what they hold when everything is called off


class CalledOff(Exception):
    """Raised in a thread whose work nobody waits for any more. Never reaches a user."""


def over(
    act: Callable[[Item], Any], items: Iterable[Item], *, tick: Callable[[], None] | None = None, threads: int = THREADS,
    called_off: threading.Event | None = None,
) -> Iterator[tuple[Item, Any, RegenError | OSError | None]]:
    """(item, what `act` returned, or the error it raised) for each item, as they end. Errors of other kinds are raised.

    tick: called in this thread, several times a second; what it raises calls everything off, and so does leaving the
    iterator. called_off: set then; long acts look at it.
    """
    waiting = iter(items)
    off = called_off or threading.Event()
    guard = threading.Lock()
    results: SimpleQueue = SimpleQueue()
    end = object()

    def work() -> None:
        while not off.is_set():
            with guard:
                item = next(waiting, end)
            if item is end:
                break
            try:
                results.put((item, act(item), None))
            except BaseException as error:
                results.put((item, None, error))
        results.put(end)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    left = len(workers)
    try:
        while left:
            try:
                result = results.get(timeout=_TICK)
            except Empty:
                result = None
            if tick:
                tick()
            if result is end:
                left -= 1
            elif result is not None:
                if result[2] is not None and not isinstance(result[2], RegenError | OSError):
                    raise result[2]
                yield result
    finally:
        if left:
            off.set()
        until = time.monotonic() + _LAST_WORDS
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))
