"""`regen-vcs worker`: makes what is queued, in whatever worktree of the repository, until there is nothing left.

It never sets a sidecar's output: what it makes is the accepted take again, or a stand-in. In the background there is
one for a repository; kept open by hand there may be several, on several machines.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping

from regen_vcs.engine.filling import Filler
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.making import force_since, is_up_to_date
from regen_vcs.engine.production import Order, Take, make_order
from regen_vcs.engine.queue import Job, Owner, open_queue
from regen_vcs.engine.settling import Made, settle
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.worker import Obsolete, Present, Worker
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.platform.files import FileLock

IDLE_SECONDS = 5.0
_POLL = 0.2


def serve(
    ws: Workspace, *, slots: int, background: bool = False, idle: float | None = IDLE_SECONDS, budget: float | None = None, fills: bool = False,
    progress: Callable[[str, float, str], None] | None = None, tick: Callable[[], None] | None = None,
) -> Iterator[Made]:
    """Make what is queued; yields what became of each job.

    background: end at once if this repository has a worker already. idle: seconds without work after which to end;
    None: never. fills: whether it brings what working sets miss when nothing is queued. tick: called from this thread several times a second. KeyboardInterrupt, Interrupted and whatever `tick`
    raises end it too; what runs then goes back into the queue. RegenError where the repository is gone or was moved.
    """
    folder = ws.repo.shared_dir
    lock = FileLock(os.path.join(folder, "worker.lock"))
    os.makedirs(folder, exist_ok=True)
    while lock.acquire(timeout=0, shared=not background) or not background:
        try:
            yield from _serve(ws, folder, slots, idle, budget, fills, progress, tick)
        finally:
            lock.release()
        # Whoever queued something while we held the lock relied on us; only now can nobody do so any more.
        with open_queue(folder) as queue:
            if queue.next_start() is None:
                return


def _serve(
    ws: Workspace, folder: str, slots: int, idle: float | None, budget: float | None, fills: bool, progress, tick
) -> Iterator[Made]:
    ground = Ground(folder)
    desk = Desk(ws.environ, ground)
    try:
        with open_queue(folder) as queue, Owner(folder) as owner, Worker(
            queue, folder, owner, desk, ws.environ, slots=slots, budget=budget, progress=progress
        ) as worker:
            filler = Filler(ws, desk.workspace, queue) if fills else None
            busy_at = time.monotonic()
            while True:
                ground.require()
                if tick:
                    tick()
                made = list(worker.turn())
                yield from made
                if made or worker.is_busy:
                    busy_at = time.monotonic()
                    continue
                soon = queue.next_start()
                if soon is None and filler and filler.step():
                    busy_at = time.monotonic()
                elif soon is None and idle is not None and time.monotonic() - busy_at >= idle:
                    return
                time.sleep(_POLL if soon is None or worker.holds_back else min(max(soon, 0.01), _POLL))
    finally:
        desk.close()


class Ground:
    """The repository that a worker began in. Deleted or moved away, nothing of it may be written where it was."""

    def __init__(self, folder: str):
        """folder: `Repo.shared_dir`, which is there."""
        self._folder = folder
        self._identity = self._look()

    def require(self) -> None:
        """RegenError where it is not there any more."""
        if self._look() != self._identity:
            raise RegenError(f"{os.path.dirname(self._folder)}: the repository is gone", "a worker works where it was started")

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._folder)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_dev, found.st_ino


class Desk:
    """Every job is looked at anew: git may have gone elsewhere since it was queued."""

    def __init__(self, environ: Mapping[str, str], ground: Ground):
        self._environ, self._ground = environ, ground
        self._open: dict[str, Workspace] = {}
        self._looks: dict[str, Snapshot] = {}

    def close(self) -> None:
        for ws in self._open.values():
            ws.close()

    def start(self, jobs: list[Job]) -> list[tuple[Job, Order | RegenError | Present, Snapshot | None]]:
        self._ground.require()
        started = []
        for root in dict.fromkeys(job.worktree for job in jobs):
            mine = [job for job in jobs if job.worktree == root]
            try:
                ws = self.workspace(root)
                ws.reload_state()
                snapshot = self._looks[root] = look_at_both(ws, paths={job.path for job in mine})
            except (RegenError, OSError) as error:
                gone = Obsolete(f"its worktree {root} cannot be used: {error}")
                started += [(job, gone, None) for job in mine]
                continue
            started += [(job, _order(snapshot, job), snapshot) for job in mine]
        return started

    def settle(self, ended: list[tuple[Job, Take | RegenError]]) -> list[Made]:
        self._ground.require()
        made: dict[int, Made] = {}
        for root in dict.fromkeys(job.worktree for job, _ in ended):
            mine = [(job, result) for job, result in ended if job.worktree == root]
            made.update(self._settle(root, mine))
        return [made[job.id] for job, _ in ended]

    def _settle(self, root: str, mine: list[tuple[Job, Take | RegenError]]) -> dict[int, Made]:
        try:
            ws = self.workspace(root)
            batch = [(job.path, result) for job, result in mine]
            named = {job.path for job, _ in mine if job.by_user}
            results = settle(ws, self._looks[root], batch, by_user=False, named=named)
            ws.memo.save()
        except (RegenError, OSError, KeyError) as error:
            what = error.what if isinstance(error, RegenError) else error
            failure = RegenError(f"its worktree {root} cannot be used: {what}")
            results = [Made(job.path, "failed", None, failure, None) for job, _ in mine]
        return {job.id: made for (job, _), made in zip(mine, results, strict=True)}

    def workspace(self, root: str) -> Workspace:
        """The open workspace of a worktree. RegenError where that is gone."""
        if not os.path.isdir(root):
            raise RegenError("it is gone")
        if root not in self._open:
            self._open[root] = Workspace.open(root, self._environ)
        return self._open[root]


def _order(snapshot: Snapshot, job: Job) -> Order | RegenError | Present:
    desired = snapshot.assets.get(job.path)
    try:
        if desired is None or desired.side_sig is None:
            raise Obsolete("its recipe is gone")
        facts = desired.facts
        if facts.problem:
            raise RegenError(f"{job.path}: {facts.problem[1]}")
        snapshot.inputs.preload([desired])
        is_there = facts.out_hash is not None and snapshot.seen(job.path).hash == facts.out_hash
        # The user's own request is also about what is on disk, but stale.
        if is_there and not job.force and (not job.by_user or is_up_to_date(snapshot, job.path)):
            return Present(facts.out_hash)
        if not job.by_user and (facts.out_hash is None or snapshot.inputs.key_of(desired) != facts.out_key):
            raise Obsolete("its recipe has changed since it was queued")
        return make_order(snapshot, job.path, force=force_since(job))
    except RegenError as error:
        return error
