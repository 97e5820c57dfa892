"""Making assets: what `generate`, `regenerate` and the end of a sync ask of the queue, and work off themselves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from regen_vcs.engine.discovery import refresh_inputs
from regen_vcs.engine.documents import read_document, write_document
from regen_vcs.engine.in_place_snapshot import look_at_both, reread, user_look
from regen_vcs.engine.production import Order, Take, make_order
from regen_vcs.engine.queue import BLOCKED, MISSING, QUEUED, USER, Job, Owner, Queue, Request, open_queue
from regen_vcs.engine.queue_database import PATIENCE
from regen_vcs.engine.requests import requests_for
from regen_vcs.engine.settling import Made, settle
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.status import remember_quietly, staleness
from regen_vcs.engine.worker import Present, Worker, finish_request
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, Withdrawn
from regen_vcs.generators import registry
from regen_vcs.model.plan import Step

_MANY = 8
_HOOK_PATIENCE = 3.0  # seconds that a checkout waits for whoever holds the queue


def make_assets(
    ws: Workspace,
    paths: Iterable[str],
    *,
    by_user: bool,
    force: bool = False,
    frames: tuple[int, ...] = (),
    workers: int | None = None,
    progress: Callable[[str, float, str], None] | None = None,
    followers: Collection[str] = (),
    tick: Callable[[], None] | None = None,
) -> Iterator[Made]:
    """Run the generators of these assets, dependencies first; yields what became of each as it happens.

    by_user: plain inputs and definitions are taken as they are on disk, and a pending or stale sidecar's output is
    set. Otherwise the index's are taken. frames: make these again, of sequences that are made frame by frame; where
    this process dies, nobody else does. workers: how many at once; None: as the user's settings say. On ^C what is
    finished stays, what is not stays in the queue, and KeyboardInterrupt or Interrupted is raised.

    followers: of the paths, those that are made only if they are out of date when it is their turn; verdict "present"
    where they are not. tick: called from this thread several times a second; whatever it raises ends the work, and after
    `Withdrawn` nothing of it is left in the queue either.
    """
    snapshot = user_look(ws) if by_user else look_at_both(ws)
    wanted = list(dict.fromkeys(paths))
    for path in wanted:
        if path not in snapshot.assets:
            raise RegenError(f"{path}: there is no recipe for it", f"regen-vcs generate {path} --generator …")
    if len(wanted) > _MANY:
        remember_quietly(ws, snapshot)  # or every batch that is settled reads every sidecar again
    folder = ws.repo.shared_dir
    with open_queue(folder) as queue, Owner(folder) as owner:
        asked_at = time.time()

        def ask(requests: list[Request]) -> dict[str, int]:
            return queue.add(ws.root, requests, USER if by_user else MISSING, request=owner.name, at=asked_at)

        requests, refused = requests_for(snapshot, wanted, queue, force=force)
        requests = _unforced(requests, followers)
        yield from settle(ws, snapshot, refused, by_user) if refused else ()
        ids = ask(requests)
        desk = _UserDesk(ws, snapshot, by_user, frames, followers)
        try:
            with Worker(
                queue, folder, owner, desk, ws.environ, slots=workers or _workers_for(snapshot, wanted),
                mark=owner.name, budget=ws.settings.get("budget"), progress=progress,
            ) as worker:
                again = lambda names: ask([each for each in requests if each.path in names])  # noqa: E731
                yield from finish_request(worker, queue, ids, again, tick)
        except Withdrawn:
            waiting = [job.id for job in queue.get(ids.values()).values() if job.state in (QUEUED, BLOCKED)]
            queue.cancel(waiting)
            raise


def regenerate_steps(ws: Workspace, steps: list[Step], *, progress=None, tick=None) -> Iterator[Made]:
    """The regenerations of a sync's plan: accepted bytes that are nowhere are made again."""
    return make_assets(ws, [step.path for step in steps], by_user=False, progress=progress, tick=tick)


def enqueue(ws: Workspace, paths: list[str], *, by_user: bool, force: bool = False, followers: Collection[str] = ()) -> int:
    """Leave these to a worker; how many jobs were queued. The user's come before what a checkout misses."""
    return len(enqueue_jobs(ws, paths, USER if by_user else MISSING, force=force, followers=followers))


def enqueue_jobs(
    ws: Workspace, paths: list[str], priority: int, *, force: bool = False, followers: Collection[str] = ()
) -> dict[str, int]:
    """Leave these to a worker; {path: id of its job}. followers: as for `make_assets`."""
    by_user = priority == USER
    snapshot = user_look(ws) if by_user else look_at_both(ws, paths=set(paths))
    known = [path for path in paths if path in snapshot.assets]
    for path in known if by_user else ():
        _refresh_definition(ws, snapshot, path)
    with Queue(ws.repo.shared_dir, patience=PATIENCE if by_user else _HOOK_PATIENCE) as queue:
        requests, refused = requests_for(snapshot, known, queue, force=force)
        if refused:
            settle(ws, snapshot, refused, by_user)
        return queue.add(ws.root, _unforced(requests, followers), priority)


def _unforced(requests: list[Request], followers: Collection[str]) -> list[Request]:
    """Early cutoff: what came along for the sake of its inputs is not made again where they came out the same."""
    return [each._replace(force=False) if each.path in followers else each for each in requests]


def refresh_recipe(ws: Workspace, path: str) -> RegenError | None:
    """After `set` and `generate --no-run`: write what the generator finds linked; why it could not look, or None."""
    try:
        refresh_inputs(ws, user_look(ws), path)
    except RegenError as error:
        return error
    return None


def force_since(job: Job) -> str:
    """For `Order.force`: a forced job wants a take that was made after it was asked for."""
    return _time_text(job.added) if job.force else ""


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _UserDesk:
    """The foreground: one look at the start, kept current by what is settled."""

    def __init__(
        self, ws: Workspace, snapshot: Snapshot, by_user: bool, frames: tuple[int, ...] = (), followers: Collection[str] = ()
    ):
        self._ws, self._snapshot, self._by_user, self._frames = ws, snapshot, by_user, frames
        self._followers = frozenset(followers)

    def start(self, jobs: list[Job]) -> list[tuple[Job, Order | RegenError | Present, Snapshot]]:
        return [(job, self._order(job), self._snapshot) for job in jobs]

    def _order(self, job: Job) -> Order | RegenError | Present:
        try:
            if self._by_user:
                _refresh_definition(self._ws, self._snapshot, job.path)
                refresh_inputs(self._ws, self._snapshot, job.path)
            if job.path in self._followers and is_up_to_date(self._snapshot, job.path):
                return Present(self._snapshot.assets[job.path].facts.out_hash)
            if self._frames:
                return make_order(self._snapshot, job.path, force=_time_text(job.added))._replace(frames=self._frames)
            return make_order(self._snapshot, job.path, force=force_since(job))
        except RegenError as error:
            return error

    def settle(self, ended: list[tuple[Job, Take | RegenError]]) -> list[Made]:
        return settle(self._ws, self._snapshot, [(job.path, result) for job, result in ended], self._by_user)


def is_up_to_date(snapshot: Snapshot, path: str) -> bool:
    """Whether its accepted bytes are on disk, and are what its recipe makes now. RegenError where it cannot be told."""
    desired = snapshot.assets[path]
    facts = desired.facts
    if facts.out_hash is None or snapshot.seen(path).hash != facts.out_hash:
        return False
    snapshot.inputs.preload([desired])
    return staleness(snapshot, desired, snapshot.inputs.key_of(desired)) is None


def _workers_for(snapshot: Snapshot, paths: list[str]) -> int:
    """As set; where nothing is, a built-in on every processor, and others one at a time: they may fill a GPU."""
    settings = snapshot.ws.settings
    if settings.origin("jobs") != "default":
        return settings.get("jobs")
    generators = {snapshot.assets[path].facts.generator for path in paths}
    harmless = all(each and registry.is_exact_built_in(each) for each in generators if each is not None)
    return (os.cpu_count() or 1) if harmless else 1


def _refresh_definition(ws: Workspace, snapshot: Snapshot, path: str) -> None:
    """The user's verbs write the current definition before they run a recipe."""
    facts = snapshot.assets[path].facts
    if facts.generator is None or facts.problem:
        return
    current = snapshot.definitions.current(facts.generator)
    if current != facts.definition:
        write_document(ws, path, replace(read_document(ws, path), definition=current))
        reread(ws, snapshot, path)
