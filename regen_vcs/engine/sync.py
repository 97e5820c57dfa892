"""Sync: make the working tree's assets match its sidecars. The one operation behind every hook and the filter.

Look (desired, observed) → plan (pure) → execute, under the worktree's lock. A newcomer that finds the lock taken
bumps a generation number, and the holder plans again before it lets go; so nobody's change is missed, and hooks
need not wait. Any process may die at any instant: the state file is written last, and what it does not know
is hashed again.
"""

from __future__ import annotations

import os
import stat
import time
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.engine.desired import Desired, DesiredTree, read_desired
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.keys import Inputs
from regen_vcs.engine.memory import EMPTY_ROW, Row, State, parse_sig, sig_of, sig_text
from regen_vcs.engine.observe import manifest_of, member_path, observe, own_part, read_manifest, size_of_files
from regen_vcs.engine.planner import ABSENT, Bring, Observed, Policy, is_edited, plan_sync
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.git.index import forget_listing, note_seen, write_listing
from regen_vcs.model.plan import FETCH, MATERIALISE, QUEUE, REFUSE, REGENERATE, REMOVE, RESCUE, Plan, Step
from regen_vcs.platform.files import FileLock, sweep_atomic_temps, write_error
from regen_vcs.stores import links

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from regen_vcs.engine.definitions import Definitions
    from regen_vcs.engine.in_place import Asset

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

Outcome = namedtuple("Outcome", ("plan", "done", "failed"))  # failed: {path: RegenError}


class Snapshot:
    """One look at the worktree: what should be, what is, what is known of keys and stores."""

    def __init__(self, ws: Workspace, tree: DesiredTree):
        self.ws = ws
        self.assets = tree.assets
        self.listing, self.settled, self.refused = tree.listing, tree.settled, tree.refused
        self.in_place: dict[str, Asset] = {}  # those of `assets` that are of the second layout: in_place_snapshot.include
        self.observed: dict[str, Observed] = {}
        self.inputs = Inputs(ws.repo, ws.state, ws.memo, tree.assets, ws.settings.roots())

        self._definitions = None
        self._definitions_on_disk = None

    def seen(self, path: str) -> Observed:
        return self.observed.get(path, ABSENT)

    def observe(self, paths: Iterable[str]) -> None:
        """Look at what lies at these assets' paths."""
        state = self.ws.state
        root, stores, rows, seen_at = self.ws.root, self.ws.stores, state.rows, state.saved_at_ns
        for path in paths:
            seen = self.observed[path] = observe(root, path, rows.get(path, EMPTY_ROW), seen_at, stores)
            if state.intended:
                state.adopt(path, seen.hash, seen.files)

    @property
    def definitions(self) -> Definitions:
        """What regen.toml defines, parsed only where a recipe needs it."""
        if self._definitions is None:
            from regen_vcs.engine.definitions import Definitions

            self._definitions = Definitions(self.ws)
        return self._definitions

    @property
    def definitions_on_disk(self) -> Definitions:
        """The same, with the code as it lies in the worktree: what tells whether a recipe is stale."""
        if self._definitions_on_disk is None:
            from regen_vcs.engine.definitions import Definitions

            self._definitions_on_disk = Definitions(self.ws, from_disk=True)
        return self._definitions_on_disk


def look(ws: Workspace, *, paths: set[str] | None = None, also: set[str] = frozenset()) -> Snapshot:
    """Read sidecars and disk. `paths` limits the look at the disk to these assets (the filter's notes)."""
    state = ws.state
    tree = read_desired(ws.repo, state, ws.memo, also=also)
    snapshot = Snapshot(ws, tree)
    known = (tree.assets.keys() | state.rows.keys() | state.intended.keys()) - tree.refused
    snapshot.observe(known if paths is None else known & paths)
    _leave_others_files(snapshot, tree.git_paths)
    return snapshot


def _leave_others_files(snapshot: Snapshot, git_paths: set[str]) -> None:
    """An asset whose sidecar is gone has no claim to files that are git's, or another asset's by now."""
    observed = snapshot.observed
    orphans = [path for path, seen in observed.items() if path not in snapshot.assets and seen.kind == "present"]
    if not orphans:
        return
    taken = git_paths.union(*(seen.files for path, seen in observed.items() if path in snapshot.assets))
    for path in orphans:
        row = snapshot.ws.state.rows.get(path, EMPTY_ROW)
        observed[path] = own_part(path, observed[path], row, taken)


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
    needy = [each for each in assets.values() if _needs_bytes(each, snapshot.seen(each.path)) and (everything or wants(each))]
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


def add_inputs_from_outside(snapshot: Snapshot, bring: dict[str, Bring]) -> None:
    """What is made again from assets outside the working set needs their bytes; in a store is enough."""
    todo = list(bring.values())
    while todo:
        names = {name for each in todo if each.source == "regenerate" for name in each.inputs} - bring.keys()
        needy = [snapshot.assets[name] for name in sorted(names)]
        found = find_sources(snapshot, [each for each in needy if _needs_bytes(each, snapshot.seen(each.path))])
        found = {path: source for path, source in found.items() if source.source != "store"}
        bring.update(found)
        todo = list(found.values())


def _sweep(snapshot: Snapshot) -> None:
    """Clear away what killed processes left half-written beside assets and in the state folder."""
    ws = snapshot.ws
    folders = {path.rpartition("/")[0] for path in snapshot.observed}
    folders |= {file.rpartition("/")[0] for seen in snapshot.observed.values() for file in seen.files}
    for folder in sorted(folders):
        ws.tree.sweep_temps(folder)
    sweep_atomic_temps(ws.repo.state_dir)


def _needs_bytes(desired: Desired, seen: Observed) -> bool:
    facts = desired.facts
    if desired.unmerged or facts.problem or desired.side_sig is None or facts.out_hash is None:
        return False
    return seen.hash != facts.out_hash


def find_sources(snapshot: Snapshot, needy: list[Desired]) -> dict[str, Bring]:
    """Where the accepted bytes of each of these can come from."""
    stores = snapshot.ws.stores
    bring: dict[str, Bring] = {}
    nowhere: list[Desired] = []
    for desired in needy:
        if has_all(stores, desired.facts.out_hash, desired.facts.is_tree):
            bring[desired.path] = Bring("store", None, None, [])
        else:
            nowhere.append(desired)
    if nowhere:
        from regen_vcs.engine.prospects import (
            prospects_of,  # generators' tables and trust: not on the warm path
        )

        bring.update(prospects_of(snapshot, nowhere))
        if (far := snapshot.ws.far) is not None:
            bring.update((each.path, far.bring(each, bring[each.path])) for each in nowhere)
    return bring


def has_all(stores, whole_hash: str, is_tree: bool) -> bool:
    """Whether the local stores hold an object, and for a manifest all its members too."""
    if not stores.has(whole_hash):
        return False
    if not is_tree:
        return True
    try:
        members = read_manifest(stores, whole_hash)
    except (RegenError, OSError):
        return False
    return all(stores.has(member.hash) for member in members)


class Executor:
    """Spends a plan. What fails for one asset is noted and does not stop the others.

    keeps_spares: what leaves the worktree unmodified may lie in the spare pool; False: it is to free its room.
    """

    def __init__(self, snapshot: Snapshot, progress: Callable[[Step, int, int], None] | None = None, *, keeps_spares: bool = True):
        self._snapshot = snapshot
        self._keeps_spares = keeps_spares
        self._ws = snapshot.ws
        self._progress = progress
        self._done: list[Step] = []
        self._failed: dict[str, RegenError] = {}
        self._link, self._link_warning = links.choose_link(self._ws.link)

    def execute(self, plan: Plan) -> Outcome:
        acts = {
            REMOVE: self._remove,
            RESCUE: self._rescue,
            MATERIALISE: self._materialise,
        }
        try:
            self._keep_edited()
            self._note_intents(plan)
            for number, step in enumerate(plan.steps):
                act = acts.get(step.action)
                if act is None:
                    continue
                if self._progress:
                    self._progress(step, number, len(plan.steps))
                if step.path in self._failed:
                    continue  # above all a removal whose rescue has failed
                try:
                    act(step)
                    self._done.append(step)
                except (RegenError, OSError) as error:
                    self._failed[step.path] = as_regen_error(step.path, error)
        finally:
            self._count_hits()
            tidy_spare(self._ws)
            self._remember(plan)
        if self._link_warning and any(step.action == MATERIALISE for step in self._done):
            plan.notices.append(self._link_warning)
        return Outcome(plan, self._done, self._failed)

    def _count_hits(self) -> None:
        """What came from a store and would have had to be made."""
        for step in self._done:
            if step.action == MATERIALISE:
                facts = self._snapshot.assets[step.path].facts
                if facts.generator is not None:
                    self._ws.tally.add("hits", facts.generator, 1, facts.out_size)

    # -- looking after edited bytes ------------------------------------------------------------------------------

    def _keep_edited(self) -> None:
        """Every sync that runs anyway stores edited assets, so that git's destructive commands cost little."""
        for path, seen in self._snapshot.observed.items():
            row = self._ws.state.rows.get(path, EMPTY_ROW)
            if seen.kind == "present" and not seen.stored and is_edited(row, seen):
                try:
                    store_files(self._ws, path, seen)
                except (RegenError, OSError):
                    continue  # said again, and refused, by whatever step would replace them

    def _note_intents(self, plan: Plan) -> None:
        """Should we die, what we have put on disk by then is known to be ours. Where that cannot be noted, none is put."""
        steps = plan.of(MATERIALISE)
        if not steps:
            return
        try:
            self._ws.state.intend({step.path: [step.hash, step.hash, ""] for step in steps})
        except OSError as error:
            failure = write_error(error, "noting what this sync does")
            self._failed.update((step.path, failure) for step in steps)

    def _rescue(self, step: Step) -> None:
        rescue(self._ws, step.path, self._snapshot.seen(step.path), step.reason)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _remove(self, step: Step) -> None:
        seen = self._snapshot.seen(step.path)
        self._check_sidecar(step.path)
        for path, found in list(seen.files.items()):
            self._displace(path, found)
        self._drop_folders(seen.files)
        self._set_observed(step.path, ABSENT)

    def _materialise(self, step: Step) -> None:
        desired = self._snapshot.assets[step.path]
        self._check_sidecar(step.path)
        self.bring_in(step.path, step.hash, desired.facts.is_tree)

    def bring_in(
        self, path: str, whole_hash: str, is_tree: bool, *, accepted: str | None = None, stand_in: str = ""
    ) -> None:
        """Put the bytes of `whole_hash` at the asset's path, in place of what was observed there.

        stand_in, accepted: as its row will say, where these bytes are not the accepted ones.
        """
        if path not in self._ws.state.intended:
            self._ws.state.intend({path: [whole_hash, accepted if stand_in else whole_hash, stand_in]})
        wanted = self._wanted_files(path, whole_hash, is_tree)
        files = self._make_way(path, wanted)
        for each, file_hash in wanted.items():
            if each not in files:
                files[each] = [file_hash, self._place(each, file_hash)]
        self._set_observed(path, Observed("present", whole_hash, files, True))

    def _make_way(self, path: str, wanted: dict[str, str]) -> dict[str, list]:
        """Displace what was observed of an asset, but for the files that are wanted as they are: these are returned."""
        seen = self._snapshot.seen(path)
        files: dict[str, list] = {}
        for each, found in seen.files.items():
            if wanted.get(each) == found[0]:
                files[each] = found
            else:
                self._displace(each, found)
        # A folder that lost its last member may be where a file comes now, or nothing.
        self._drop_folders(each for each in seen.files if each != path and each not in wanted)
        for each in wanted:
            if each not in files:
                self._require_free(each)
        return files

    def _wanted_files(self, path: str, whole_hash: str, is_tree: bool) -> dict[str, str]:
        if not is_tree:
            return {path: whole_hash}
        members = read_manifest(self._ws.stores, whole_hash)
        return {member_path(path, member.name): member.hash for member in members}

    def _place(self, path: str, file_hash: str) -> str:
        from_spare = self._ws.spare.take(file_hash, self._ws.tree, path)
        if from_spare is not None:
            return sig_text(from_spare)
        source = self._ws.stores.find(file_hash)
        if source is None:
            raise RegenError(f"{path}: its bytes left the store while they were being brought")
        return sig_text(links.place(source, self._ws.tree, path, link=self._link))

    def _displace(self, path: str, found: list) -> None:
        """Take a file out of the way: into the spare pool, else away. Its bytes are in a store *now*, or go there."""
        file_hash, sig = found
        if not self._ws.stores.has(file_hash):
            self._ws.stores.ingest_file(f"{self._ws.root}/{path}", expect=file_hash)
        if self._keeps_spares and self._ws.spare.put(self._ws.tree, path, file_hash, parse_sig(sig)):
            return
        st = self._ws.tree.stat(path)
        if st is None:
            return
        if sig_of(st) != sig:
            raise RegenError(f"{path}: changed while regen-vcs was at work; it was left alone", "run: regen-vcs sync")
        self._ws.tree.unlink(path)

    def _drop_folders(self, gone: Iterable[str]) -> None:
        """Remove the folders of these files as far as they are empty now."""
        folders = {path.rpartition("/")[0] for path in gone} - {""}
        for folder in sorted(folders, key=len, reverse=True):
            self._ws.tree.remove_empty_dirs(folder)

    def _require_free(self, path: str) -> None:
        """Nothing is where the plan saw nothing: a file saved there meanwhile is somebody's only copy."""
        st = self._ws.tree.stat(path)
        if st is not None and stat.S_ISDIR(st.st_mode):
            self._ws.tree.remove_empty_dirs(path)  # as git does
            st = self._ws.tree.stat(path)
        if st is not None:
            raise RegenError(f"{path}: came to be there while regen-vcs was at work; it was left alone", "run: regen-vcs sync")

    def _check_sidecar(self, path: str) -> None:
        """The sidecar is still the one (or as absent) as when this step was planned."""
        desired = self._snapshot.assets.get(path)
        try:
            current = sig_of(os.lstat(f"{self._ws.root}/{path}.regen.json"))
        except OSError:
            current = None
        if current != (desired.side_sig if desired else None):
            raise RegenError(f"{path}: its sidecar changed meanwhile", "run: regen-vcs sync")

    def _set_observed(self, path: str, seen: Observed) -> None:
        self._snapshot.observed[path] = seen
        self._ws.state.intended.pop(path, None)

    # -- remembering ---------------------------------------------------------------------------------------------

    def _remember(self, plan: Plan) -> None:
        undecided = {step.path for step in plan.of(REFUSE, QUEUE, REGENERATE, FETCH)} | self._failed.keys()
        remember(self._snapshot, undecided)


def as_regen_error(path: str, error: Exception) -> RegenError:
    """What went wrong with an asset, as the outcome has it."""
    return error if isinstance(error, RegenError) else RegenError(f"{path}: {getattr(error, 'strerror', None) or error}")


def remember(snapshot: Snapshot, undecided: set[str] = frozenset()) -> None:
    """Write down what is on disk now. `undecided`: assets whose accepted bytes could not be brought."""
    ws = snapshot.ws
    rows, remembers = dict(ws.state.rows), ws.state.exists
    for path, desired in snapshot.assets.items():
        if path in snapshot.observed and not desired.unmerged and path not in snapshot.in_place:
            old = rows.get(path, EMPTY_ROW)
            rows[path] = _row_for(desired, old, snapshot.seen(path), path in undecided, remembers)
    for path in list(rows):
        if path not in snapshot.assets and path in snapshot.observed:
            rows[path] = _orphan_row(rows[path], snapshot.seen(path))
            if rows[path] is None:
                del rows[path]
    ws.state.rows = rows
    ws.state.failed = {p: f for p, f in ws.state.failed.items() if p in snapshot.assets or f.get("in_place")}
    try:
        ws.state.save()
    except OSError as error:
        raise write_error(error, "writing down what was done in this worktree") from error
    finally:
        ws.memo.save()


def _row_for(desired: Desired, old: Row, seen: Observed, undecided: bool, remembers: bool) -> Row:
    wanted = desired.facts.out_hash
    settled = seen.hash == wanted and wanted is not None
    if settled:
        accepted = wanted
    elif not remembers and old.accepted is None and seen.kind == "present" and not seen.stored:
        accepted = wanted  # somebody's own bytes, found when there was no memory: they stay, as modified
    elif undecided or desired.facts.problem or desired.side_sig is None:
        accepted = old.accepted  # so that the next sync still knows what the bytes on disk were
    elif seen.kind == "absent":
        accepted = wanted
    else:
        accepted = old.accepted
    stand_in = old.stand_in if seen.hash == old.disk_hash and not settled else ""
    return Row(
        desired.side_sig,
        desired.memo_name,
        desired.facts,
        seen.hash,
        seen.files,
        accepted,
        stand_in,
        not desired.tracked,
    )


def _orphan_row(row: Row, seen: Observed) -> Row | None:
    """An asset without a sidecar: forgotten once it is gone, except one whose untracked sidecar may come back."""
    if seen.kind == "present":
        return row._replace(disk_hash=seen.hash, files=seen.files) if row.disk_hash else None
    if row.untracked:
        return row._replace(side_sig=None, disk_hash=None, files={}, accepted=None, stand_in="")
    return None


def tidy_spare(ws: Workspace) -> None:
    """Write down what was put into the spare pool, and shrink it; nothing if it was not touched."""
    ws.spare.evict(ws.spare.limit_bytes, ws.stores.has, ws.stores.ingest_file)


def rescue(ws: Workspace, path: str, seen: Observed, why: str) -> None:
    """Keep edited bytes that are about to give way, and write that down; once for the same bytes."""
    store_files(ws, path, seen)
    known = ((each["path"], each["hash"]) for each in ws.rescued.entries(ws.uuid))
    if (path, seen.hash) not in known:
        ws.rescued.add(ws.uuid, ws.root, path, seen.hash, size_of_files(seen.files), why)


def rescue_edited(ws: Workspace, here: Snapshot, path: str, why: str) -> None:
    """Keep what is on disk, if it was edited, before something else takes its place."""
    row, seen = ws.state.rows.get(path, EMPTY_ROW), here.seen(path)
    if seen.kind == "present" and is_edited(row, seen) and seen.hash != here.assets[path].facts.out_hash:
        rescue(ws, path, seen, why)


def store_files(ws: Workspace, path: str, seen: Observed) -> str:
    """Bring the bytes at an asset's path into keep; the hash of the asset. Verified against what was observed."""
    for each, found in seen.files.items():
        if not ws.stores.has(found[0]):
            ws.stores.ingest_file(f"{ws.root}/{each}", expect=found[0])
    if not (len(seen.files) == 1 and path in seen.files):
        ws.stores.ingest_bytes(manifest_of(path, seen.files))
    return seen.hash
