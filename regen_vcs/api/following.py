"""Progress and cancellation of one call: what generators' threads tell comes out in the thread that called."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from regen_vcs.api.results import Result
from regen_vcs.errors import Withdrawn
from regen_vcs.model.plan import REGENERATE, Step


class CancelToken(Protocol):
    """What `cancel=` takes: a `threading.Event`, or anything else that can tell whether it is set."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that has happened. path: the asset. fraction: of it, 0..1. message: the generator's own words.

    action: "regenerate", or what a sync does: "materialise", "remove", "rescue", "fetch". finished, total: assets, as far
    as known. result: only in the last event of an asset that was made.
    """

    path: str
    fraction: float
    message: str
    finished: int
    total: int
    action: str = REGENERATE
    result: Result | None = None


class Following:
    """Collects what is told from any thread; `tick`, called in the caller's, hands it on and asks about cancellation."""

    def __init__(self, total: int, progress: Callable[[Progress], object] | None, cancel: CancelToken | None):
        self._progress, self._cancel = progress, cancel
        self._total, self._finished = total, 0
        self._news: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._raised: Exception | None = None

    def note(self, path: str, fraction: float, message: str) -> None:
        """From any thread. Of what one asset tells between two ticks the last counts."""
        if self._progress is not None:
            with self._lock:
                self._news[path] = (fraction, message)

    def tick(self) -> None:
        """Hand on what was told. `Withdrawn` where the caller wants it to end."""
        if self._progress is not None:
            with self._lock:
                news, self._news = self._news, {}
            for path, (fraction, message) in news.items():
                self._tell(Progress(path, fraction, message, self._finished, self._total))
        self._check()

    def finished(self, result: Result) -> None:
        """One asset is done with."""
        self._finished += 1
        self._total = max(self._total, self._finished)
        if self._progress is None:
            return
        with self._lock:
            self._news.pop(result.path, None)
        fraction = 1.0 if result.ok else 0.0
        self._tell(Progress(result.path, fraction, result.verdict, self._finished, self._total, result=result))

    def step(self, step: Step, number: int, total: int) -> None:
        """Before a step of a sync."""
        if self._progress is not None:
            self._tell(Progress(step.path, 0.0, step.reason or "", number, total, step.action))
        self._check()

    def reraise(self) -> None:
        """After `Withdrawn`: the caller's own exception, if that was what ended it."""
        if self._raised is not None:
            raise self._raised

    def _tell(self, event: Progress) -> None:
        try:
            self._progress(event)
        except Exception as error:  # it ends the work as a cancel does, and comes out at the end of that
            self._raised = self._raised or error

    def _check(self) -> None:
        if self._raised is not None or (self._cancel is not None and self._cancel.is_set()):
            raise Withdrawn("cancelled")
