"""The queue as Python code sees it: tasks, their order, and a worker that is a method call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from regen_vcs.api.following import CancelToken, Following, Progress
from regen_vcs.api.results import FAILED, RegenerationPriority, Result, failure_of
from regen_vcs.engine.accept import accept
from regen_vcs.engine.background import start_worker
from regen_vcs.engine.choosing import chosen_by
from regen_vcs.engine.documents import read_document
from regen_vcs.engine.edit import set_params
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.making import enqueue_jobs
from regen_vcs.engine.queue import (
    BLOCKED,
    CANCELLED,
    DONE,
    ENDED,
    OPEN,
    QUEUED,
    RUNNING,
    Job,
    Queue,
    empty_queue,
    liveness,
    newest,
)
from regen_vcs.engine.queue import FAILED as FAILED_STATE
from regen_vcs.engine.queue_file import has_queue
from regen_vcs.engine.scheduling import preview_order
from regen_vcs.engine.serving import serve
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenerationError, RegenError, UsageError, Withdrawn

if TYPE_CHECKING:
    from regen_vcs.api.project import Project

BATCH_SIZE = 64


@dataclass(frozen=True)
class RegenerationTask:
    """One job of the queue, as it was when it was asked for.

    asset_id: the asset's path. state: "queued", "running", "blocked", "done", "failed" or "cancelled". group: what shares
    loaded models. dependencies: assets that are made first. progress: 0..1. estimate, seconds: durations; cost: dollars;
    added, started, ended: seconds since 1970. log: hash of what was printed. hash: of what came out.
    """

    id: int
    asset_id: str
    worktree: str
    state: str
    priority: RegenerationPriority
    generator: str | None
    group: str
    key: str | None
    dependencies: tuple[str, ...]
    forced: bool
    progress: float
    message: str
    reason: str | None
    verdict: str | None
    hash: str | None
    log: str | None
    attempts: int
    estimate: float | None
    seconds: float | None
    cost: float | None
    added: float
    started: float | None
    ended: float | None
    _read_params: Callable[[], dict[str, Any]] = field(repr=False, compare=False, default=dict)

    @property
    def params(self) -> dict[str, Any]:
        """The recipe's, as they are now: a task is made of the recipe as it is when its turn comes."""
        return self._read_params()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in OPEN


class RegenerationQueue:
    """The queue of one repository. What it holds survives the process; any number of them may be at work.

    project: an open Project, which must stay open meanwhile. handle_regeneration_error(task, error): called for each task
    that fails while `process_queue` runs; or override the method of that name.
    """

    def __init__(
        self, project: Project, *,
        handle_regeneration_error: Callable[[RegenerationTask, RegenerationError], object] | None = None,
    ):
        self._project = project
        self._on_error = handle_regeneration_error

    # -- adding ----------------------------------------------------------------------------------------------------

    def add_task(
        self, asset_id: str | os.PathLike[str], params: Mapping[str, Any] | None = None,
        priority: RegenerationPriority = RegenerationPriority.USER_REQUESTED, *, force: bool = False,
    ) -> RegenerationTask:
        """Queue one asset. params: change its recipe to these first, as `Project.set` does; None: the recipe as it is.

        MISSING_FILE and BACKGROUND_FILL are about accepted takes that are not on disk: UsageError for an asset that is
        pending or stale. RegenError where there is no recipe, or its inputs form a cycle.
        """
        with self._project._working() as ws:
            path = self._project._path(ws, asset_id)
            if params:
                set_params(ws, path, {}, unset=[], inputs={}, models={}, values=params)
            tasks = self.add_tasks([path], priority, force=force, start=False)
            if tasks:
                return tasks[0]
            failure = ws.state.failed.get(path)
            if failure is None:
                raise RegenError(f"{path}: there is no recipe for it", f"regen-vcs generate {path} --generator …")
            raise RegenerationError(failure["reason"], "take one of its inputs out", path=path)

    def add_tasks(
        self, paths: Iterable[str], priority: RegenerationPriority = RegenerationPriority.USER_REQUESTED, *, force: bool = False,
        followers: Collection[str] = (), start: bool | None = None,
    ) -> list[RegenerationTask]:
        """Queue these assets (paths from the root); see `Project.enqueue`. What has no recipe, or is made from itself, is
        left out."""
        wanted = list(paths)
        with self._project._working() as ws:
            if priority != RegenerationPriority.USER_REQUESTED:
                _refuse_news(ws, wanted)
            ids = enqueue_jobs(ws, wanted, int(priority), force=force, followers=followers)
            if ids and (ws.settings.get("checkout.background") if start is None else start):
                start_worker(ws)
            with self._open(ws) as queue:
                return self._tasks(ws, queue, list(queue.get(ids.values()).values()))

    # -- working ---------------------------------------------------------------------------------------------------

    def build_optimal_batch(self, limit: int | None = BATCH_SIZE) -> list[RegenerationTask]:
        """The next tasks in the order in which a worker would make them: what the user wants first, what others are made
        from before these, and of one generator and its models all together. Claims nothing. limit: None for all."""
        with self._project._working() as ws, self._open(ws) as queue:
            order = preview_order(queue.jobs((QUEUED,)), queue.needs())
            return self._tasks(ws, queue, order[:limit])

    def process_queue(
        self, *, progress: Callable[[Progress], object] | None = None, cancel: CancelToken | None = None,
        jobs: int | None = None, accept_proposed: bool = False,
    ) -> list[RegenerationTask]:
        """Work until nothing is left that could run; the tasks that have ended meanwhile, failed ones too.

        As any worker's, a first or another result is "proposed" or "drifted"; accept_proposed: the proposed ones of this
        worktree become accepted at the end. cancel: what runs then goes back into the queue. A task that fails stops
        nothing but what is made from it.
        """
        with self._project._working() as ws, self._open(ws) as queue:
            before = {job.id for job in queue.jobs(ENDED)}
            following = Following(len(queue.jobs((QUEUED,))), progress, cancel)
            works = serve(
                ws, slots=jobs or ws.settings.get("jobs"), idle=0.0, budget=ws.settings.get("budget"),
                progress=following.note, tick=following.tick,
            )
            try:
                for made in works:
                    result = Result.of(made)
                    following.finished(result)
                    if result.verdict == FAILED:
                        self._failed(ws, queue, result)
            except Withdrawn:
                following.reraise()  # else what has ended is told, and the rest waits
            finally:
                works.close()
            ws.reload_state()
            ended = [job for job in queue.jobs(ENDED) if job.id not in before]
            for job in ended:
                if accept_proposed and job.verdict == "proposed" and job.worktree == ws.root:
                    accept(ws, job.path)
            return self._tasks(ws, queue, ended)

    def handle_regeneration_error(self, task: RegenerationTask, error: RegenError) -> None:
        """A task has failed. By default the function that the queue was made with is called."""
        if self._on_error is not None:
            self._on_error(task, error)

    def _failed(self, ws: Workspace, queue: Queue, result: Result) -> None:
        jobs = [job for job in newest(queue.jobs((FAILED_STATE, CANCELLED))) if job.path == result.path]
        for task in self._tasks(ws, queue, jobs[-1:]):
            self.handle_regeneration_error(task, failure_of(result.path, result.error))

    # -- looking ---------------------------------------------------------------------------------------------------

    def tasks(self, states: Iterable[str] = (*OPEN, *ENDED), paths: Iterable[str] = ()) -> list[RegenerationTask]:
        """The newest task of each asset that is in one of these states: running ones, then in their order.
        paths: only of these assets of this worktree."""
        wanted = {states} if isinstance(states, str) else set(states)
        with self._project._working() as ws, self._open(ws) as queue:
            test = chosen_by(ws, list(paths), ws.root)
            jobs = [job for job in self._jobs(ws, queue) if job.state in wanted]
            return self._tasks(ws, queue, [job for job in jobs if not paths or (job.worktree == ws.root and test(job.path))])

    def __len__(self) -> int:
        """How many tasks have not ended."""
        with self._project._working() as ws, self._open(ws) as queue:
            return len(queue.jobs(OPEN))

    def __bool__(self) -> bool:
        """An empty queue is a queue all the same."""
        return True

    @property
    def active_tasks(self) -> dict[str, RegenerationTask]:
        """{asset_id: task} of those that run now, in this worktree."""
        return self._by_asset((RUNNING,))

    @property
    def completed_tasks(self) -> dict[str, RegenerationTask]:
        """{asset_id: task} of those that have ended well, in this worktree."""
        return self._by_asset((DONE,))

    def _by_asset(self, states: Iterable[str]) -> dict[str, RegenerationTask]:
        root = self._project.root
        return {task.asset_id: task for task in self.tasks(states) if task.worktree == root}

    def follow(self, interval: float = 0.25) -> Iterator[RegenerationTask]:
        """Each task whenever something of it has changed, until none is left that could run. Somebody has to work:
        a worker in the background, or another terminal. interval: seconds between looks."""
        told: dict[int, RegenerationTask] = {}
        ended_before = {task.id for task in self.tasks(ENDED)}
        while True:
            tasks = [task for task in self.tasks() if task.id not in ended_before]
            for task in tasks:
                if told.get(task.id) != task:
                    told[task.id] = task
                    yield task
            if not any(task.state in (QUEUED, RUNNING) for task in tasks):
                return
            time.sleep(interval)

    # -- changing --------------------------------------------------------------------------------------------------

    def cancel(self, which: Iterable[RegenerationTask | str] | None = None) -> int:
        """Take tasks (or assets of this worktree by path) out of the queue; running ones are stopped within 2 s.
        None: every task. How many."""
        return sum(self._change(which, OPEN, lambda queue, ids: queue.cancel(ids)))

    def retry(self, which: Iterable[RegenerationTask | str] | None = None) -> int:
        """Queue these again: failed, blocked or cancelled ones. None: all that failed. How many."""
        states = (FAILED_STATE,) if which is None else (FAILED_STATE, BLOCKED, CANCELLED)
        return self._change(which, states, lambda queue, ids: queue.retry(ids))

    def prioritize(
        self, which: Iterable[RegenerationTask | str], priority: RegenerationPriority = RegenerationPriority.USER_REQUESTED
    ) -> int:
        """Move these, and what they wait for. How many have moved."""
        return self._change(which, (QUEUED, BLOCKED), lambda queue, ids: queue.prioritize(ids, int(priority)))

    def clear(self) -> int:
        """Forget tasks that have ended; takes, logs and recipes stay. How many."""
        with self._project._working() as ws, self._open(ws) as queue:
            return queue.clear()

    def _change(self, which, states, change):
        with self._project._working() as ws, self._open(ws) as queue:
            jobs = newest(queue.jobs(states))
            if which is not None:
                given = [which] if isinstance(which, str | os.PathLike | RegenerationTask) else list(which)
                ids = {each.id for each in given if isinstance(each, RegenerationTask)}
                paths = {self._project._path(ws, each) for each in given if not isinstance(each, RegenerationTask)}
                jobs = [job for job in jobs if job.id in ids or (job.worktree == ws.root and job.path in paths)]
            return change(queue, [job.id for job in jobs])

    # -- inside ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _open(self, ws: Workspace) -> Iterator[Queue]:
        """The queue's file; where there has never been a job, one in memory: to look at it makes none."""
        folder = ws.repo.shared_dir
        with Queue(folder) if has_queue(folder) else empty_queue() as queue:
            yield queue

    def _jobs(self, ws: Workspace, queue: Queue) -> list[Job]:
        """The newest of each asset; those of a worker that has died wait again."""
        jobs = queue.jobs()
        is_alive = liveness(ws.repo.shared_dir)
        if any(not is_alive(owner, lease) for owner, lease in {(job.owner, job.lease) for job in jobs if job.state == RUNNING}):
            queue.reclaim(is_alive)
            jobs = queue.jobs()
        return newest(jobs)

    def _tasks(self, ws: Workspace, queue: Queue, jobs: list[Job]) -> list[RegenerationTask]:
        needs = queue.needs()
        paths = {each.id: each.path for each in queue.get({n for job in jobs for n in needs.get(job.id, ())}).values()}
        return [_task(ws, job, tuple(sorted(paths[each] for each in needs.get(job.id, ()) if each in paths))) for job in jobs]


def _task(ws: Workspace, job: Job, dependencies: tuple[str, ...]) -> RegenerationTask:
    def read_params() -> dict[str, Any]:
        return dict(read_document(ws, job.path).params) if job.worktree == ws.root else {}

    return RegenerationTask(
        job.id, job.path, job.worktree, job.state, RegenerationPriority(job.priority), job.generator, job.grp, job.key,
        dependencies, bool(job.force), job.progress, job.message, job.reason, job.verdict, job.take, job.log, job.attempts,
        job.estimate, job.seconds, job.cost, job.added, job.started, job.ended, read_params,
    )  # fmt: skip


def _refuse_news(ws: Workspace, paths: list[str]) -> None:
    """UsageError for what a worker would only throw out again: it makes nothing new but at the user's own request."""
    snapshot = look_at_both(ws, paths=set())
    for path in paths:
        desired = snapshot.assets.get(path)
        if desired is None or desired.facts.problem:
            continue
        snapshot.inputs.preload([desired])
        if desired.facts.out_hash is None or snapshot.inputs.key_of(desired) != desired.facts.out_key:
            raise UsageError(f"{path}: is pending or stale", "only a user's own request makes something new: USER_REQUESTED")
