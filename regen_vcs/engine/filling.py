"""Filling: what a worker with nothing else to do brings of the working set, at the queue's lowest priority.

Accepted bytes only, as any sync: from the stores at once, from the remotes, else by jobs in the queue. Never while the disk
runs low, never while git is in the middle of something, and never what cost money, failed or was cancelled before. It gives
way as soon as anybody waits for anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator

from regen_vcs.engine.background import start_worker
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.gc.background import missing_bytes
from regen_vcs.engine.making import enqueue_jobs
from regen_vcs.engine.queue import BACKGROUND, CANCELLED, ENDED, FAILED, Queue, newest
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sources import add_inputs_from_outside, find_sources, has_all
from regen_vcs.engine.sync import BY_HAND, Trigger, sync
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.git.roots import worktrees
from regen_vcs.model.plan import MATERIALISE, QUEUE, REFUSE

FILL = Trigger("fill", False, False, False, False, False)
_AGAIN = 60.0  # seconds after which a worker that is kept open looks again
_BATCH = 32  # assets that are put on disk under one lock
# What came out of a run, and was not the accepted take: another run would not bring that either.
_OTHERWISE = frozenset({"drifted", "equal", "proposed", "filed"})


class _GiveWay(RegenError):
    """Somebody waits for something."""


class Filler:
    """One worker's share: the worktrees of its repository, one after another.

    workspace_of(root): the open workspace of a worktree; RegenError where it cannot be used.
    """

    def __init__(self, ws: Workspace, workspace_of: Callable[[str], Workspace], queue: Queue):
        self._ws, self._workspace_of, self._queue = ws, workspace_of, queue
        self._todo: list[str] | None = None
        self._done_at = 0.0

    def step(self) -> bool:
        """Fill one worktree, or wait while others have something to do; False once nothing is left to fill for now."""
        if self._todo is None and (not self._done_at or time.monotonic() - self._done_at >= _AGAIN):
            self._todo = self._roots()
        if not self._todo:
            self._todo, self._done_at = None, self._done_at or time.monotonic()
            return False
        if self._queue.is_urgent():
            return True
        try:
            fill(self._workspace_of(self._todo[0]), self._give_way)
        except _GiveWay:
            return True  # here again, when they are done
        except (RegenError, OSError):
            pass  # its own commands say what is wrong with it
        del self._todo[0]
        self._done_at = time.monotonic()
        return True

    def _roots(self) -> list[str]:
        main = None if self._ws.repo.is_linked else self._ws.root
        found = [each.root for each in worktrees(self._ws.repo, main) if each.root and os.path.isdir(each.root)]
        return sorted(found, key=lambda root: root != self._ws.root)

    def _give_way(self) -> None:
        if self._queue.is_urgent():
            raise _GiveWay("somebody waits for something")


def fill(ws: Workspace, give_way: Callable[[], None]) -> int:
    """Bring what one worktree's working set misses; how many jobs were queued. RegenError, and what `give_way` raises."""
    how, policy = ws.settings.get("workset.fill"), ws.settings.get("checkout.missing")
    if how == "off" or policy == "leave" or not _has_room(ws) or _is_busy(ws):
        return 0
    ws.reload_state()
    plan = sync(ws, FILL, dry_run=True).plan
    _put_on_disk(ws, [step.path for step in plan.of(MATERIALISE)], give_way)
    snapshot = look(ws)
    planned = (snapshot.assets.get(step.path) for step in plan.of(QUEUE, REFUSE))
    lacking = [each for each in planned if each is not None and ws.working_set.wants(each)]
    if how == "all":
        lacking += _outside(ws, snapshot)
    _fetch(ws, lacking, give_way)
    if policy != "regenerate" or not _has_room(ws):
        return 0
    return _queue_rest(ws, snapshot, [each for each in lacking if not _is_stored(ws, each)], give_way)


def leave_rest_to_worker(ws: Workspace) -> int:
    """Put on disk what the stores have of the working set, and leave the rest to a worker; of how many assets."""
    plan = sync(ws, BY_HAND._replace(generates=False)).plan
    later = [step.path for step in plan.of(QUEUE)]
    lacking = len(later) + len(plan.of(REFUSE))
    if later and not ws.settings.remotes():  # else the worker asks these first
        enqueue_jobs(ws, later, BACKGROUND)
    if lacking and ws.settings.get("checkout.background"):
        start_worker(ws)
    return lacking


def wake_filler(ws: Workspace) -> None:
    """After a checkout: have a worker bring what is outside of the working set, where the user wants that."""
    if ws.working_set.is_everything or ws.settings.get("workset.fill") != "all" or not ws.settings.get("checkout.background"):
        return
    start_worker(ws)


def _has_room(ws: Workspace) -> bool:
    return missing_bytes(ws.stores.keep.root, ws.stores.cache.root, ws.root) <= 0


def _is_busy(ws: Workspace) -> bool:
    """Whether git is at work here: then it is its hook that brings things."""
    return ws.repo.operation() is not None or os.path.lexists(f"{ws.repo.git_dir}/index.lock")


def _put_on_disk(ws: Workspace, paths: list[str], give_way: Callable[[], None]) -> None:
    for batch in _batches(paths):
        give_way()
        if not _has_room(ws) or _is_busy(ws):
            return
        sync(ws, FILL, paths=set(batch))


def _is_stored(ws: Workspace, desired: Desired) -> bool:
    return has_all(ws.stores, desired.facts.out_hash, desired.facts.is_tree)


def _batches(paths: list[str]) -> Iterator[list[str]]:
    return (paths[at : at + _BATCH] for at in range(0, len(paths), _BATCH))


def _outside(ws: Workspace, snapshot: Snapshot) -> list[Desired]:
    """Accepted assets outside of the working set that no store here has."""
    return [
        desired for desired in snapshot.assets.values()
        if desired.side_sig is not None and not desired.unmerged and not desired.facts.problem and desired.facts.out_hash
        and not ws.working_set.wants(desired) and not _is_stored(ws, desired)
    ]


def _fetch(ws: Workspace, wanted: list[Desired], give_way: Callable[[], None]) -> None:
    """Bring what the remotes have into the stores, and of the working set onto the disk."""
    if not wanted or not ws.settings.remotes():
        return
    from regen_vcs.engine.fetching_afar import (
        FetchingAfar,  # threads and the clients of stores: only where there is a remote
    )

    with FetchingAfar(ws, None, lambda meter: give_way()) as afar:
        for batch in _batches(wanted):
            give_way()
            if not _has_room(ws):
                return
            afar.bring(batch)
            _put_on_disk(ws, [each.path for each in batch if _is_stored(ws, each) and ws.working_set.wants(each)], give_way)


def _queue_rest(ws: Workspace, snapshot: Snapshot, wanted: list[Desired], give_way: Callable[[], None]) -> int:
    """Queue what can be made, and what it is made from, but for what was tried."""
    spent = _spent(ws)
    fresh = [each for each in wanted if spent.get(each.path, "") != each.facts.out_key and each.path not in ws.state.failed]
    sources = find_sources(snapshot, fresh)
    asked = set(sources)
    add_inputs_from_outside(snapshot, sources)
    _fetch(ws, [snapshot.assets[path] for path in sources.keys() - asked], give_way)
    sources = {path: source for path, source in sources.items() if not _is_stored(ws, snapshot.assets[path])}
    give_way()
    paths = [path for path, source in sources.items() if source.source == "regenerate"]
    return len(enqueue_jobs(ws, paths, BACKGROUND)) if paths else 0


def _spent(ws: Workspace) -> dict[str, str | None]:
    """{asset: the key for which its last job failed, was cancelled, or made something else}."""
    with Queue(ws.repo.shared_dir) as queue:
        jobs = newest(queue.jobs(ENDED, worktree=ws.root))
    return {job.path: job.key for job in _ended_badly(jobs)}


def _ended_badly(jobs: Iterable) -> Iterator:
    return (job for job in jobs if job.state in (FAILED, CANCELLED) or job.verdict in _OTHERWISE)
