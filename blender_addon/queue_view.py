"""How far the queue is: read out of `queue --json`, and followed over one batch. Nothing here knows Blender."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from .listing import human_duration

OPEN = ("queued", "running")
# Nobody takes them up again before somebody asks: a blocked one waits for what has failed or is away.
UNMADE = ("failed", "blocked")


class QueueJob(NamedTuple):
    """One job. progress: 0 to 1; estimate: seconds it takes in all, None where nobody knows."""

    number: int
    path: str
    state: str
    generator: str
    progress: float
    message: str
    estimate: float | None
    reason: str


class Batch:
    """The jobs since the queue was last empty. regen-vcs tells of open jobs and of those that ended badly; those that vanish are made."""

    def __init__(self) -> None:
        self.jobs: list[QueueJob] = []
        self._unmade: set[int] = set()
        self._estimates: dict[int, float] = {}

    def take(self, document: Any, worktree: str | None = None) -> bool:
        """Note an answer of `queue --json`; whether any job has ended since the last one. worktree: only jobs of this folder count."""
        entries = document.get("jobs") if isinstance(document, Mapping) else None
        jobs = [job for job in map(_job_of, entries if isinstance(entries, list) else ()) if job]
        if worktree:
            others = {entry.get("id") for entry in entries or () if isinstance(entry, Mapping) and entry.get("worktree") not in (worktree, None)}
            jobs = [job for job in jobs if job.number not in others]
        before = {job.number for job in self.jobs}
        self.jobs = [job for job in jobs if job.state in OPEN]
        self._unmade = {job.number for job in jobs if job.state in UNMADE}
        now = {job.number for job in self.jobs}
        if not now:
            self._estimates.clear()
        for job in jobs:
            if job.state == "cancelled":
                self._estimates.pop(job.number, None)
        for job in self.jobs:
            self._estimates[job.number] = max(job.estimate or 1.0, 0.1)
        return bool(before - now)

    @property
    def total(self) -> int:
        return len(self._estimates)

    @property
    def unmade(self) -> int:
        """How many of this batch have failed, or need one that has."""
        return len(self._unmade & self._estimates.keys())

    def words(self) -> str:
        """"3 of 12, 1 failed, 40 s left"."""
        left = human_duration(self.seconds_left)
        said = [f"{self.total - len(self.jobs) - self.unmade} of {self.total}", f"{self.unmade} failed" if self.unmade else "", f"{left} left" if left else ""]
        return ", ".join(filter(None, said))

    @property
    def running(self) -> list[QueueJob]:
        return [job for job in self.jobs if job.state == "running"]

    @property
    def fraction(self) -> float:
        """How much of the batch is done, 0 to 1, by estimated time."""
        whole = sum(self._estimates.values())
        left = sum(self._estimates[job.number] * (1 - job.progress) for job in self.jobs)
        return 1.0 if not whole else max(0.0, min(1.0, 1 - left / whole))

    @property
    def seconds_left(self) -> float | None:
        """At one job at a time; None where one of them is of unknown length."""
        if any(job.estimate is None for job in self.jobs):
            return None
        return sum((job.estimate or 0.0) * (1 - job.progress) for job in self.jobs)

    def progress_of(self, path: str) -> QueueJob | None:
        return next((job for job in self.jobs if job.path == path), None)


def _job_of(entry: Any) -> QueueJob | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str) or not isinstance(entry.get("id"), int):
        return None
    estimate = _number(entry.get("estimate"))
    return QueueJob(
        entry["id"], entry["path"], _text(entry.get("state")), _text(entry.get("generator")), _progress(entry, estimate),
        _text(entry.get("message"))[:200], estimate, _text(entry.get("reason"))[:500],
    )  # fmt: skip


def _progress(entry: Mapping[str, Any], estimate: float | None) -> float:
    """What the job says of itself; of one that says nothing, what the clock says, which never claims it is through."""
    said = _number(entry.get("progress")) or 0.0
    started = _number(entry.get("started"))
    if said <= 0 and started and estimate and entry.get("state") == "running":
        return min(0.95, max(0.0, (time.time() - started) / estimate))
    return min(1.0, max(0.0, said))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
