"""Workers: they claim jobs of the queue, run them, and put what came out where it belongs.

In the foreground a worker makes one request of the user's; in the background, or kept open, whatever is queued. They
differ in their *desk*: who resolves a job to an order, and what becomes of the take.
"""

from __future__ import annotations

import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from regen_vcs.engine.named_roots import RootAway
from regen_vcs.engine.production import JobFailed, Order, Producer, Take
from regen_vcs.engine.queue import (
    BLOCKED,
    CANCELLED,
    DONE,
    FAILED,
    MAX_ATTEMPTS,
    OPEN,
    QUEUED,
    RUNNING,
    USER,
    Job,
    Owner,
    Queue,
    backoff,
    expected_seconds,
    liveness,
)
from regen_vcs.engine.settling import Made
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.errors import Interrupted, RegenError
from regen_vcs.model.plan import PAID
from regen_vcs.model.quantities import human_duration

# Jobs that are known to take less than this together are claimed at once, so that looking and settling cost once.
_AHEAD_SECONDS = 0.5
_AHEAD_JOBS = 96
_POLL = 0.2  # seconds between looks at what others have done to our jobs
_SETTLE = 0.25  # seconds between settlings while jobs end one after another: each looks at the whole worktree
_BEAT = 0.5  # seconds between notes of progress
_RECLAIM = 5.0  # seconds between looks at whether somebody has died


class Present(namedtuple("_Present", ("hash",))):
    """In place of an order: the accepted bytes are there already."""

    __slots__ = ()


class Obsolete(RegenError):
    """In place of an order: nobody needs this job any more."""


class Desk(Protocol):
    """Where jobs come in and takes go out."""

    def start(self, jobs: list[Job]) -> list[tuple[Job, Order | RegenError | Present, Snapshot | None]]:
        """Resolve jobs to orders, now; an error where one cannot be run."""
        ...

    def settle(self, ended: list[tuple[Job, Take | RegenError]]) -> list[Made]:
        """Give takes their places, in the order given."""
        ...


# Amounts are sums of fractions that no double holds: 0.1 + 0.1 + 0.1 is not over 0.3.
_CENT_FRACTION = 1e-6


class Budget:
    """What paid jobs may still cost. limit: dollars; None: any amount."""

    def __init__(self, limit: float | None):
        self._limit = limit
        self.spent = 0.0

    def refusal(self, order: Order) -> str | None:
        """Why this order must not be run; None where it may. What it will cost counts from now on."""
        if not order.table.get("paid") or self._limit is None:
            return None
        cost = order.table.get("cost")
        if cost is None:
            return "paid, and its table in regen.toml has no `cost` to count against the budget"
        if self.spent + cost > self._limit + _CENT_FRACTION:
            return f"over the budget of ${self._limit:.2f} (${self.spent:.2f} of it spent; it costs ${cost:.2f})"
        self.spent += cost
        return None

    def settle(self, take: Take) -> None:
        """What a run has really cost, in place of what its table said: nothing for a take that was there already."""
        self.correct(take.order, 0.0 if take.reused else take.record.get("cost"))

    def correct(self, order: Order, cost: float | None) -> None:
        """What running this has really cost, where that is known, in place of what its table said."""
        expected = order.table.get("cost")
        if order.table.get("paid") and self._limit is not None and expected is not None:
            self.spent += (expected if cost is None else cost) - expected


class Worker:
    """One process's share of the queue.

    mark: claim only jobs of this request, else only those of none. progress(path, fraction, message): from threads.
    """

    def __init__(
        self, queue: Queue, folder: str, owner: Owner, desk: Desk, environ: Mapping[str, str], *, slots: int = 1,
        mark: str | None = None, budget: float | None = None, progress: Callable[[str, float, str], None] | None = None,
    ):
        self._queue, self._owner, self._desk, self._mark = queue, owner, desk, mark
        self._budget = Budget(budget)
        self._is_alive = liveness(folder)
        self._told = progress or (lambda *_: None)
        self._running: dict[Order, Job] = {}
        self._news: dict[int, tuple[float, str]] = {}
        self._producer = Producer(environ, workers=slots, progress=self._note)
        self._group: str | None = None
        self._typical: dict[str, float] = {}  # seconds that a group's jobs have taken here lately
        self._ended: list[tuple[Job, Order, Take | RegenError]] = []  # but not settled yet
        self._gave_way: set[int] = set()  # background jobs that were ended for the sake of others
        self._urgent = False
        self._beat_at = self._reclaim_at = self._settle_at = self._look_at = 0.0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever still runs is ended, and given back to the queue."""
        self._producer.__exit__()
        self._running = {}
        self._queue.leave(self._owner.name)  # also what was claimed a moment ago and never begun

    @property
    def is_busy(self) -> bool:
        return bool(self._running)

    @property
    def holds_back(self) -> bool:
        """Whether background jobs wait, since somebody waits for others."""
        return self._urgent

    def adopt(self) -> None:
        """Take over what our jobs wait for and nobody has: left by a process that was ended before it came to it."""
        if self._mark is not None:
            self._queue.adopt(self._mark)

    def turn(self) -> Iterator[Made]:
        """Claim what there is room for, and settle what has ended meanwhile. Waits a little where nothing has."""
        yield from self._claim()
        if len(self._running) > len(self._ended):
            ended = self._producer.collect(_POLL)
            self._ended += [(self._running[order], order, result) for order, result in ended]
        now = time.monotonic()
        idle = len(self._running) - len(self._ended) < self._producer.workers
        if self._ended and (idle or now >= self._settle_at):
            ended, self._ended = self._ended, []
            for _, order, _ in ended:
                del self._running[order]
            yield from self._end([(job, result) for job, _, result in ended])
            self._settle_at = time.monotonic() + _SETTLE
        self._beat()

    def _claim(self) -> Iterator[Made]:
        now = time.monotonic()
        if now >= self._reclaim_at:
            self._reclaim_at = now + _RECLAIM
            self._queue.reclaim(self._is_alive)
        self._give_way(now)
        over = {job.id for job, _, _ in self._ended}
        active = [job for job in self._running.values() if job.id not in over]
        waiting = sum(expected_seconds(job.estimate, self._typical.get(job.grp), _AHEAD_SECONDS) for job in active)
        if len(active) >= self._producer.workers and (waiting >= _AHEAD_SECONDS or len(active) >= _AHEAD_JOBS):
            return
        room = max(1, self._producer.workers - len(active))
        jobs = self._queue.claim(
            self._owner.name, max(room, _AHEAD_JOBS), group=self._group, request=self._mark, free=room,
            # What is under way may make more of its group ready: another is taken up only by hands with nothing to do.
            stay=bool(self._ended) or len(active) >= self._producer.workers,
            ahead=_AHEAD_SECONDS, typical=self._typical, background=not self._urgent,
        )
        if not jobs:
            return
        self._group = jobs[0].grp
        refused = []
        for job, order, snapshot in self._desk.start(jobs):
            if isinstance(order, Present):
                self._queue.finish([{"id": job.id, "state": DONE, "verdict": "present", "take": order.hash, "seconds": 0.0}])
                continue
            refusal = order if isinstance(order, RegenError) else self._too_dear(job, order)
            if refusal:
                refused.append((job, refusal))
                continue
            self._running[order] = job
            self._producer.submit(order, snapshot)
        yield from self._end(refused)

    def _give_way(self, now: float) -> None:
        """What is made in the background makes room at once for what somebody waits for, wherever that is made."""
        if now < self._look_at:
            return
        self._look_at = now + _BEAT
        self._urgent = self._queue.is_urgent()
        mine = self._queue.background_of(self._owner.name) if self._urgent and self._running else ()
        for order, job in list(self._running.items()):
            if job.id in mine and job.id not in self._gave_way:
                self._gave_way.add(job.id)
                self._producer.cancel_one(order)

    def _too_dear(self, job: Job, order: Order) -> RegenError | None:
        """Only what somebody asked for by name of a verb may cost money, and only within the budget."""
        if order.table.get("paid") and job.priority != USER:
            return RegenError(f"{order.path}: {PAID}")
        reason = self._budget.refusal(order)
        return RegenError(f"{order.path}: {reason}", "see: regen-vcs config budget") if reason else None

    def _end(self, pairs: list[tuple[Job, Take | RegenError]]) -> Iterator[Made]:
        """Settle results; those that may go better another time, or that somebody cancelled, are none."""
        final, ends = [], []
        for job, result in pairs:
            gave_way = job.id in self._gave_way
            self._gave_way.discard(job.id)
            if isinstance(result, Obsolete):
                ends.append({"id": job.id, "state": CANCELLED, "reason": result.what})
            elif isinstance(result, Interrupted) and gave_way:
                self._queue.give_back(job.id)
            elif isinstance(result, Interrupted):
                ends.append({"id": job.id, "state": CANCELLED, "reason": "cancelled"})
                yield Made(job.path, "failed", None, result, None)
            elif isinstance(result, RootAway):
                self._queue.block(job.id, result.what.removeprefix(f"{job.path}: "))
                yield Made(job.path, "failed", None, result, None)
            elif isinstance(result, JobFailed) and result.transient and job.attempts + 1 < MAX_ATTEMPTS:
                later = backoff(job.attempts + 1)
                self._queue.try_later(job.id, later, result.what)
                self._told(job.path, 0.0, f"{result.what.removeprefix(f'{job.path}: ')}; another try in {human_duration(later)}")
            else:
                final.append((job, result))
        made = self._desk.settle(final) if final else []
        for (job, result), each in zip(final, made, strict=True):
            if isinstance(result, Take):
                self._budget.settle(result)
                known = self._typical.get(job.grp, result.seconds)
                self._typical[job.grp] = 0.7 * known + 0.3 * result.seconds
            ends.append({"id": job.id, **_end_of(result, each)})
        if ends:
            self._queue.finish(ends)
        yield from made

    def _note(self, order: Order, fraction: float, message: str) -> None:
        job = self._running.get(order)
        if job is not None:
            self._news[job.id] = (fraction, message)
        self._told(order.path, fraction, message)

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._beat_at or not self._running:
            return
        self._beat_at = now + _BEAT
        news, self._news = self._news, {}
        unwanted = self._queue.heartbeat(self._owner.name, news)
        for order, job in list(self._running.items()):
            if job.id in unwanted:
                self._producer.cancel_one(order)


def _end_of(result: Take | RegenError, made: Made) -> dict:
    """What the queue keeps of a job's end."""
    if made.verdict == "failed":
        error = made.error or result
        reason = error.what.removeprefix(f"{made.path}: ")
        return {"state": FAILED, "reason": reason, "verdict": "failed", "log": getattr(error, "log", None)}
    return {
        "state": DONE, "verdict": made.verdict, "take": result.hash, "log": result.record.get("log"),
        "seconds": 0.0 if result.reused else result.seconds, "cost": None if result.reused else result.record.get("cost"),
    }


def finish_request(
    worker: Worker, queue: Queue, ids: Mapping[str, int], again: Callable[[list[str]], Mapping[str, int]],
    tick: Callable[[], None] | None = None,
) -> Iterator[Made]:
    """Work until all of these jobs have ended, also those that other processes run; yields what became of each.

    ids: {path: job}. again(paths): queue these once more under our mark and return their jobs: what another process
    has made in the meantime is settled here, as the user of this one wants it. tick: called on every turn.
    """
    open_jobs = dict(ids)
    foreign = _running(queue, open_jobs)
    while open_jobs:
        if tick:
            tick()
        idle = True
        for made in worker.turn():
            idle = False
            open_jobs.pop(made.path, None)
            yield made
        if worker.is_busy or not open_jobs:
            continue
        now = queue.get(open_jobs.values())
        ended = {path for path, job in open_jobs.items() if job not in now or now[job].state not in OPEN}
        for path in ended - foreign:
            yield _reported(path, now.get(open_jobs.pop(path)))
        # What a dead process ran has gone back to the queue without a mark: nobody else may ever claim it.
        left = {path for path, job in open_jobs.items() if job in now and now[job].state == QUEUED and now[job].request is None}
        redo = sorted(ended & foreign | left)
        foreign -= ended | left
        if redo:
            open_jobs.update(again(redo))
            foreign |= _running(queue, {path: open_jobs[path] for path in redo})
        worker.adopt()
        if not redo and all(job in now and now[job].state == BLOCKED for job in open_jobs.values()):
            for path, job in open_jobs.items():
                yield _reported(path, now[job])
            return
        if idle and not ended:
            time.sleep(_POLL)


def _running(queue: Queue, jobs: Mapping[str, int]) -> set[str]:
    """Of {path: job} the paths of those that somebody runs now."""
    now = queue.get(jobs.values())
    return {path for path, job in jobs.items() if job in now and now[job].state == RUNNING}


def _reported(path: str, job: Job | None) -> Made:
    """A job that ended without a take: its bytes are there already, it was cancelled elsewhere, or is blocked."""
    if job is not None and job.state == DONE:
        return Made(path, "present", None, None, None)
    reason = job.reason if job is not None and job.reason else "cancelled"
    return Made(path, "failed", None, RegenError(f"{path}: {reason}"), None)
