"""Sync: make the working tree's assets match its sidecars. The one operation behind every hook and the filter.

Look (desired, observed) → plan (pure) → execute, under the worktree's lock. A newcomer that finds the lock taken
bumps a generation number, and the holder plans again before it lets go; so nobody's change is missed, and hooks
need not wait. Any process may die at any instant: the state file is written last, and what it does not know
is hashed again.
"""

from __future__ import annotations

import os
import time
from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.memory import State
from regen_vcs.engine.plan_execution import Executor, Outcome
from regen_vcs.engine.planner import Policy, plan_sync
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sources import add_inputs_from_outside, find_sources, needs_bytes
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.git.index import forget_listing, note_seen, write_listing
from regen_vcs.model.plan import Plan, Step
from regen_vcs.platform.files import FileLock, sweep_atomic_temps

# Hooks and the filter leave the work to the holder after this; the user's verbs wait for ever (with progress).
_HOOK_PATIENCE = 2.0
# In the generation file: by whom that would have taken assets away too.
_REMOVES = b"r"

# queues: what it does not generate itself may be left to a worker.
Trigger = namedtuple("Trigger", ("name", "removes", "generates", "by_hand", "patient", "queues"))
HOOK = Trigger("hook", True, True, False, False, True)
SEQUENCER_HOOK = Trigger("hook", True, False, False, False, False)
FILTER = Trigger("filter", False, False, False, False, True)
BY_HAND = Trigger("sync", True, True, True, True, False)
# Verbs that only look: what they find modified is kept, nothing is moved.
LOOK = Trigger("look", False, False, False, False, False)


def sync(
    ws: Workspace,
    trigger: Trigger = BY_HAND,
    *,
    paths: set[str] | None = None,
    dry_run: bool = False,
    progress: Callable[[Step, int, int], None] | None = None,
    waiting: Callable[[], None] | None = None,
) -> Outcome:
    """Plan, and execute what the stores can give, until no newcomer has asked for more. `paths`: only these assets.

    Regenerations and fetches are left in the outcome's plan: they run without the lock (engine/checkout.py).

    Raises RegenError only where nothing could be done at all; what fails for one asset is in the outcome.
    """
    if dry_run:
        return Outcome(_plan(look(ws, paths=paths), trigger, paths), [], {})
    lock = WorktreeLock(ws)
    announced_ns = time.time_ns()
    lock.announce(trigger)
    if not lock.acquire(trigger.patient, waiting):
        if trigger.removes:
            note_seen(ws.repo, announced_ns)
        return Outcome(Plan([], notices=["another regen-vcs is at work in this worktree and will do this too"]), [], {})
    try:
        while True:
            ws.reload_state()
            outcome = _sync_once(ws, trigger, paths, progress)
            asked = lock.asked()
            if not asked:
                return outcome
            trigger, paths = _widened(trigger, asked), None  # a newcomer's wish is not about our paths only
    finally:
        lock.release()


def _widened(trigger: Trigger, asked: bytes) -> Trigger:
    """What the holder does for newcomers that left it to him: hooks remove too, the filter does not."""
    return HOOK if _REMOVES in asked and not trigger.removes else trigger


class WorktreeLock:
    """One executor per worktree, and the number by which a newcomer tells it to look again.

    As a context manager: for verbs other than sync. They too do, at their end, what newcomers left to them.
    """

    def __init__(self, ws: Workspace):
        self._ws = ws
        self._answered = 0  # the generation that the holder's last look came after
        self._folder = ws.repo.state_dir
        os.makedirs(self._folder, exist_ok=True)
        self._lock = FileLock(os.path.join(self._folder, "lock"))
        self._counter = os.path.join(self._folder, "generation")

    def announce(self, trigger: Trigger) -> None:
        """Bump the generation: an append is atomic, the file's size is the number, and the byte says who it was."""
        fd = os.open(self._counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, _REMOVES if trigger.removes else b".")
        finally:
            os.close(fd)

    def generation(self) -> int:
        try:
            return os.stat(self._counter).st_size
        except FileNotFoundError:
            return 0

    def asked(self) -> bytes:
        """Who has announced himself since the lock was taken, or since the last call: a byte each."""
        now = self.generation()
        if now <= self._answered:
            return b""
        with open(self._counter, "rb", buffering=0) as file:
            file.seek(self._answered)
            news = file.read(now - self._answered)
        self._answered = now
        return news

    def try_acquire(self) -> bool:
        return self._lock.acquire(timeout=0) and self._rely()

    def _rely(self) -> bool:
        """Whoever has this lock is about to put objects somewhere, or to name them: gc leaves them where they are."""
        try:
            self._ws.stores.relying().__enter__()
        except BaseException:
            self._lock.release()
            raise
        return True

    def unchanged_since(self, state: State) -> bool:
        """Whether no other process has written the state since it was read here."""
        return State(self._folder, load=False).saved_at_ns == state.saved_at_ns

    def acquire(self, patient: bool, waiting: Callable[[], None] | None = None) -> bool:
        held = self._lock.acquire(timeout=0.05)
        if not held:
            if waiting:
                waiting()
            held = self._lock.acquire(timeout=None if patient else _HOOK_PATIENCE)
        if held:
            self._rely()
            self._answered = self.generation()
            _register(self._ws)
        return held

    def release(self) -> None:
        try:
            if self.generation() > 1 << 16:
                os.truncate(self._counter, 0)  # nobody but the holder ever shrinks it
        finally:
            self._ws.stores.relying().__exit__()
            self._lock.release()

    def __enter__(self) -> WorktreeLock:
        self.acquire(patient=True)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._do_what_was_asked()
        finally:
            self.release()

    def _do_what_was_asked(self) -> None:
        while asked := self.asked():
            self._ws.reload_state()
            try:
                _sync_once(self._ws, _widened(FILTER, asked)._replace(generates=False), None, None)
            except (RegenError, OSError):
                return  # theirs, not ours: the next sync says it again


def _register(ws: Workspace) -> None:
    try:
        ws.register()
    except RegenError:
        pass  # a store that cannot be written: no gc of ours removes from it either


def _sync_once(
    ws: Workspace, trigger: Trigger, paths: set[str] | None, progress: Callable[[Step, int, int], None] | None
) -> Outcome:
    snapshot = look(ws, paths=paths, also=paths or frozenset())
    plan = _plan(snapshot, trigger, paths)
    if trigger.by_hand or ws.state.was_interrupted:
        _sweep(snapshot)
    refresh_ignores(ws, snapshot)  # first: no asset is ever seen by git without its pattern
    outcome = Executor(snapshot, progress).execute(plan)
    if paths is not None:
        forget_listing(ws.repo)
    else:
        write_listing(ws.repo, snapshot.listing, settled=snapshot.settled and not outcome.plan.notices)
    return outcome


def _plan(snapshot: Snapshot, trigger: Trigger, paths: set[str] | None) -> Plan:
    ws = snapshot.ws
    assets = snapshot.assets if paths is None else {p: d for p, d in snapshot.assets.items() if p in paths}
    snapshot.inputs.roots.hurried = trigger.name in (HOOK.name, FILTER.name)
    wants, everything = ws.working_set.wants, ws.working_set.is_everything
    needy = [each for each in assets.values() if needs_bytes(each, snapshot.seen(each.path)) and (everything or wants(each))]
    bring = find_sources(snapshot, needy)
    if not everything:
        add_inputs_from_outside(snapshot, bring)
    rows = ws.state.rows if paths is None else {p: r for p, r in ws.state.rows.items() if p in paths}
    missing_policy = ws.settings.get("checkout.missing") if any(b.source == "regenerate" for b in bring.values()) else ""
    wait = None
    if missing_policy and trigger.name == "hook":
        wait = ws.settings.get("checkout.wait")
    policy = Policy(
        removes=trigger.removes,
        generates=trigger.generates and (trigger.by_hand or missing_policy == "regenerate"),
        wait=wait,
        by_hand=trigger.by_hand,
        wanted=(lambda path: True) if everything else (lambda path: path in bring or wants(assets[path])),
    )
    return plan_sync(assets, rows, snapshot.observed, bring, policy, remembers=ws.state.exists)


def _sweep(snapshot: Snapshot) -> None:
    """Clear away what killed processes left half-written beside assets and in the state folder."""
    ws = snapshot.ws
    folders = {path.rpartition("/")[0] for path in snapshot.observed}
    folders |= {file.rpartition("/")[0] for seen in snapshot.observed.values() for file in seen.files}
    for folder in sorted(folders):
        ws.tree.sweep_temps(folder)
    sweep_atomic_temps(ws.repo.state_dir)


