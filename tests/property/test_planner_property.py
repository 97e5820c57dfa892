"""Laws of the planner: for any worktree, any memory of it, any stores and any policy.

First each plan by itself; then worlds in which plans are executed and remembered, as sync does.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.memory import EMPTY_ROW, Row
from regen_vcs.engine.planner import ABSENT, Bring, Observed, Policy, is_edited, plan_sync
from regen_vcs.engine.remembering import orphan_row, row_for
from regen_vcs.model.facts import Facts
from regen_vcs.model.plan import FETCH, MATERIALISE, QUEUE, REFUSE, REGENERATE, REMOVE, RESCUE

PATHS = [f"{letter}.png" for letter in "abcdef"]
HASHES = ["h1", "h2", "h3"]
BRINGING = (MATERIALISE, FETCH, REGENERATE, QUEUE)


def facts_of(wanted: str | None, problem: list | None = None) -> Facts:
    return Facts("texture", None, wanted, 1, "key", None, False, {}, None, None, problem)


def desired_of(path: str, wanted: str | None, *, on_disk=True, skip=False, unmerged=False, problem=None) -> Desired:
    return Desired(path, facts_of(wanted, problem), [1] if on_disk else None, "memo", True, skip, unmerged)


def present(path: str, hash: str, stored: bool) -> Observed:
    return Observed("present", hash, {path: [hash, [1, 2, 3, 4]]}, stored)


PROBLEMS = st.sampled_from([None, None, None, ["invalid", "x", None], ["newer", "x", None]])
MAYBE_HASH = st.one_of(st.none(), st.sampled_from(HASHES))
DESIREDS = st.builds(
    lambda wanted, on_disk, skip, unmerged, problem: lambda path: desired_of(
        path, wanted, on_disk=on_disk, skip=skip, unmerged=unmerged, problem=problem
    ),
    MAYBE_HASH, st.sampled_from([True, True, True, False]), st.booleans(), st.sampled_from([False, False, False, True]), PROBLEMS,
)
ROWS = st.builds(
    lambda disk, accepted, stand_in, untracked: Row([1], "memo", facts_of(accepted), disk, {}, accepted, stand_in if disk else "", untracked),
    MAYBE_HASH, MAYBE_HASH, st.sampled_from(["", "", "drifted", "proposed"]), st.booleans(),
)
SEEN = st.one_of(
    st.just(lambda path: ABSENT),
    st.just(lambda path: Observed("foreign", None, {}, False)),
    st.builds(lambda hash, stored: lambda path: present(path, hash, stored), st.sampled_from([*HASHES, "mine"]), st.booleans()),
)
BRINGS = st.builds(
    lambda source, seconds, inputs: Bring(source, None if source else "nowhere", seconds, inputs),
    st.sampled_from(["store", "store", "remote", "regenerate", "regenerate", None]),
    st.one_of(st.none(), st.floats(0, 40)), st.lists(st.sampled_from(PATHS), max_size=2, unique=True),
)
POLICIES = st.builds(
    lambda kind, generates, wait, wanted: Policy(kind != "filter", generates and kind != "filter", wait, kind == "sync", lambda path: path in wanted),
    st.sampled_from(["hook", "filter", "sync"]), st.booleans(), st.one_of(st.none(), st.floats(0, 60)),
    st.one_of(st.just(set(PATHS)), st.sets(st.sampled_from(PATHS))),
)


@st.composite
def situations(draw):
    assets = {path: draw(DESIREDS)(path) for path in draw(st.sets(st.sampled_from(PATHS)))}
    rows = {path: draw(ROWS) for path in draw(st.sets(st.sampled_from(PATHS)))}
    observed = {path: draw(SEEN)(path) for path in assets.keys() | rows.keys()}
    bring = {path: draw(BRINGS) for path in assets}
    return assets, rows, observed, bring, draw(POLICIES), draw(st.booleans())


def plan_of(situation):
    assets, rows, observed, bring, policy, remembers = situation
    return plan_sync(assets, rows, observed, bring, policy, remembers=remembers)


def index_of(steps, path, *actions) -> int | None:
    return next((n for n, step in enumerate(steps) if step.path == path and step.action in actions), None)


# -- one plan -----------------------------------------------------------------------------------------------------------


@given(situations())
@settings(max_examples=250, deadline=None)
def test_edited_bytes_give_way_only_after_their_rescue(situation):
    _, rows, observed, *_ = situation
    steps = plan_of(situation).steps
    for number, step in enumerate(steps):
        seen = observed.get(step.path, ABSENT)
        if step.action in (REMOVE, MATERIALISE, FETCH, REGENERATE) and is_edited(rows.get(step.path, EMPTY_ROW), seen):
            rescued = index_of(steps, step.path, RESCUE)
            assert rescued is not None and rescued < number, step
            assert steps[rescued].hash == seen.hash


@given(situations())
@settings(max_examples=250, deadline=None)
def test_a_modified_asset_stays_while_its_sidecar_says_the_same(situation):
    assets, rows, _, *_ = situation
    for step in plan_of(situation).steps:
        desired, row = assets.get(step.path), rows.get(step.path)
        if desired and row and desired.side_sig and row.accepted is not None and row.accepted == desired.facts.out_hash:
            assert step.action in BRINGING or step.action == REFUSE
            assert situation[2][step.path].kind != "present"


@given(situations())
@settings(max_examples=250, deadline=None)
def test_a_filter_neither_removes_nor_generates(situation):
    policy = situation[4]
    for step in plan_of(situation).steps:
        assert policy.removes or step.action != REMOVE
        assert policy.generates or step.action != REGENERATE


@given(situations())
@settings(max_examples=250, deadline=None)
def test_who_may_be_touched(situation):
    """Unmerged, invalid and newer sidecars, slips and pending recipes bring nothing; nor does what nobody wants here."""
    assets, rows, observed, _, policy, _ = situation
    for step in plan_of(situation).steps:
        desired = assets.get(step.path)
        if desired is None:
            assert step.action in (RESCUE, REMOVE) and rows[step.path].disk_hash is not None
            continue
        assert not desired.unmerged and not desired.facts.problem
        if desired.side_sig is None:
            assert desired.skip and step.action in (RESCUE, REMOVE)
        elif desired.facts.out_hash is None:
            assert step.action == REMOVE and not is_edited(rows[step.path], observed[step.path])
        elif step.action in BRINGING:
            assert step.hash == desired.facts.out_hash and policy.wanted(step.path)
        assert observed[step.path].kind != "foreign" or step.action == REFUSE


@given(situations())
@settings(max_examples=250, deadline=None)
def test_the_order_of_a_plan(situation):
    """An asset's old bytes go before its new ones come, once each; removals before all; nothing both done and refused."""
    steps = plan_of(situation).steps
    for path in {step.path for step in steps}:
        actions = [step.action for step in steps if step.path == path]
        assert len(actions) == len(set(actions)), actions
        bringing = [action for action in actions if action in (*BRINGING, REFUSE)]
        assert len(bringing) <= 1
        order = {RESCUE: 0, REMOVE: 1}
        assert actions == sorted(actions, key=lambda action: order.get(action, 2))
        if REMOVE in actions:
            assert not bringing or bringing[0] in (QUEUE, REFUSE)
    first = next((n for n, step in enumerate(steps) if step.action in (*BRINGING, REFUSE)), len(steps))
    assert all(step.action != REMOVE for step in steps[first:])


@given(situations())
@settings(max_examples=250, deadline=None)
def test_regenerations_come_after_their_inputs(situation):
    bring = situation[3]
    steps = plan_of(situation).steps
    for number, step in enumerate(steps):
        if step.action in (REGENERATE, QUEUE):
            for each in bring[step.path].inputs:
                source = index_of(steps, each, *BRINGING)
                assert source is None or source < number
                assert index_of(steps, each, REFUSE) is None, "its input cannot be had, so nor can it"
                assert step.action == QUEUE or index_of(steps, each, QUEUE) is None


@given(situations())
@settings(max_examples=250, deadline=None)
def test_what_cannot_be_had_leaves_no_lie(situation):
    """Under a hook or by hand: where the new bytes do not come now, the old accepted ones do not stay in their place."""
    _, rows, observed, _, policy, _ = situation
    steps = plan_of(situation).steps
    for step in steps:
        seen = observed.get(step.path, ABSENT)
        if step.action in (QUEUE, REFUSE) and seen.kind == "present" and policy.removes:
            assert is_edited(rows.get(step.path, EMPTY_ROW), seen) or index_of(steps, step.path, REMOVE) is not None


def test_what_is_blocked_leaves_no_lie_either():
    assets = {path: desired_of(path, "h2") for path in ("a.png", "b.png")}
    rows = {"b.png": EMPTY_ROW._replace(disk_hash="h1", accepted="h1")}
    observed = {"b.png": present("b.png", "h1", True)}
    bring = {"a.png": Bring(None, "nowhere", None, []), "b.png": Bring("regenerate", None, 1.0, ["a.png"])}
    plan = plan_sync(assets, rows, observed, bring, Policy(True, True, None, True, lambda path: True), remembers=True)
    assert [(step.action, step.path) for step in plan.steps] == [(REMOVE, "b.png"), (REFUSE, "a.png"), (REFUSE, "b.png")]


@given(st.integers(2, 6), st.booleans())
def test_cycles_end_as_refusals(length, closed):
    names = PATHS[:length]
    assets = {path: desired_of(path, "h1") for path in names}
    bring = {}
    for number, path in enumerate(names):
        last = number == length - 1
        bring[path] = Bring("regenerate", None, 1.0, [] if last and not closed else [names[(number + 1) % length]])
    policy = Policy(True, True, None, True, lambda path: True)
    plan = plan_sync(assets, {}, {}, bring, policy, remembers=True)
    assert [step.action for step in plan.steps] == [REFUSE if closed else REGENERATE] * length
    assert closed or [step.path for step in plan.steps] == names[::-1]
    assert not closed or all("cycle" in step.reason for step in plan.steps)


@given(st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_mass_removals_ask(count, gone, by_hand):
    gone = min(gone, count)
    rows = {f"{n}.png": EMPTY_ROW._replace(disk_hash="h1", accepted="h1") for n in range(count)}
    observed = {path: present(path, "h1", True) for path in rows}
    assets = {path: desired_of(path, "h1") for path in list(rows)[gone:]}
    plan = plan_sync(assets, rows, observed, {}, Policy(True, True, 30.0, by_hand, lambda path: True), remembers=True)
    asks = count > 20 and gone * 2 > count and not by_hand
    assert len(plan.of(REMOVE)) == (0 if asks else gone)
    assert bool(plan.notices) == asks


@given(st.lists(st.one_of(st.none(), st.floats(0, 20)), min_size=1, max_size=6), st.one_of(st.none(), st.floats(0, 60)))
def test_the_user_waits_only_so_long(times, wait):
    assets = {PATHS[n]: desired_of(PATHS[n], "h1") for n in range(len(times))}
    bring = {PATHS[n]: Bring("regenerate", None, seconds, []) for n, seconds in enumerate(times)}
    plan = plan_sync(assets, {}, {}, bring, Policy(True, True, wait, False, lambda path: True), remembers=True)
    at_once = wait is None or (None not in times and sum(times) <= wait)
    assert {step.action for step in plan.steps} == {REGENERATE if at_once else QUEUE}


# -- worlds ---------------------------------------------------------------------------------------------------------------


class World(RuleBasedStateMachine):
    """A worktree, its sidecars, stores and memory, in which git, a user and syncs act in any order.

    Every edit of the user has bytes of its own: none may ever be lost.
    """

    def __init__(self):
        super().__init__()
        self.sidecars: dict[str, tuple[str, str | None]] = {}  # path → (kind, accepted hash)
        self.disk: dict[str, str] = {}
        self.stored = set(HASHES)
        self.rescued: set[str] = set()
        self.rows: dict[str, Row] = {}
        self.remembers = False
        self.edits: dict[str, str] = {}  # the user's own bytes → where they were
        self.forgotten: set[str] = set()  # edits made before the memory was lost: a store has them, or they stay

    # -- what git and people do

    @rule(path=st.sampled_from(PATHS), kind=st.sampled_from(["plain", "plain", "skipped", "slip", "unmerged"]), hash=MAYBE_HASH)
    def git_writes_a_sidecar(self, path, kind, hash):
        self.sidecars[path] = (kind, hash)

    @rule(path=st.sampled_from(PATHS))
    def git_removes_a_sidecar(self, path):
        self.sidecars.pop(path, None)

    @rule(path=st.sampled_from(PATHS))
    def user_edits(self, path):
        if path in self.disk:
            name = f"edit {len(self.edits)}"
            self._user_drops(path)
            self.edits[name] = path
            self.disk[path] = name

    @rule(path=st.sampled_from(PATHS))
    def user_deletes(self, path):
        self._user_drops(path)
        self.disk.pop(path, None)

    def _user_drops(self, path):
        self.edits.pop(self.disk.get(path), None)  # his own doing

    @rule(path=st.sampled_from(PATHS))
    def user_accepts(self, path):
        """`add` or `accept`: what is on disk is what the sidecar says."""
        if path in self.disk:
            hash = self.disk[path]
            self.stored.add(hash)
            self.edits.pop(hash, None)
            self.sidecars[path] = ("plain", hash)
            self._remember({path})

    @rule()
    def memory_is_lost(self):
        self.rows, self.remembers = {}, False
        self.forgotten |= self.edits.keys()

    # -- what the tool does

    @rule(kind=st.sampled_from(["hook", "filter", "sync"]), dies_after=st.one_of(st.none(), st.integers(0, 4)))
    def sync(self, kind, dies_after):
        """One sync; `dies_after` that many steps. What it had put on disk by then is in the journal, and adopted."""
        assets, observed = self._assets(), self._observed()
        bring = {path: Bring("store", None, None, []) for path in assets}
        policy = Policy(kind != "filter", True, None, kind == "sync", lambda path: True)
        for path, seen in observed.items():
            if seen.kind == "present" and is_edited(self.rows.get(path, EMPTY_ROW), seen):
                self.stored.add(seen.hash)
        plan = plan_sync(assets, self.rows, observed, bring, policy, remembers=self.remembers)
        adopted = {}
        for step in plan.steps[:dies_after]:
            if step.action == RESCUE:
                self.rescued.add(step.hash)
            elif step.action == REMOVE:
                self.disk.pop(step.path)
            else:
                assert step.action == MATERIALISE
                self.disk[step.path] = adopted[step.path] = step.hash
        if dies_after is None or dies_after >= len(plan.steps):
            self._remember(observed.keys(), observed)
        else:
            for path, hash in adopted.items():
                row = self.rows.get(path, EMPTY_ROW)
                self.rows[path] = row._replace(disk_hash=hash, accepted=hash, stand_in="", files=present(path, hash, True).files)

    @rule()
    def two_syncs_settle_everything(self):
        self.sync("sync", None)
        assets, observed = self._assets(), self._observed()
        policy = Policy(True, True, None, True, lambda path: True)
        plan = plan_sync(
            assets, self.rows, observed, {path: Bring("store", None, None, []) for path in assets}, policy, remembers=self.remembers
        )
        assert plan.steps == []
        for path, (kind, hash) in self.sidecars.items():
            if kind == "plain" and hash is not None and self.disk.get(path) != hash:
                assert self.disk[path] in self.edits, "only the user's own bytes stand in the way"

    # -- the laws

    @invariant()
    def no_edit_is_lost(self):
        for name, path in self.edits.items():
            kept = self.stored if name in self.forgotten else self.rescued
            assert self.disk.get(path) == name or name in kept, f"{name} of {path} is gone"

    def _assets(self) -> dict[str, Desired]:
        return {
            path: desired_of(
                path, hash, on_disk=kind not in ("skipped", "slip"), skip=kind == "skipped", unmerged=kind == "unmerged"
            )
            for path, (kind, hash) in self.sidecars.items()
        }

    def _observed(self) -> dict[str, Observed]:
        known = self.sidecars.keys() | self.rows.keys()
        return {p: present(p, self.disk[p], self.disk[p] in self.stored) if p in self.disk else ABSENT for p in known}

    def _remember(self, paths, before=None):
        """As `remember` in sync: rows of what is on disk now; `stored` is as of the look."""
        assets = self._assets()
        for path in paths:
            seen = present(path, self.disk[path], self.disk[path] in self.stored) if path in self.disk else ABSENT
            if before and before[path].kind == "present" and before[path].hash == seen.hash:
                seen = before[path]
            if path in assets:
                if not assets[path].unmerged:
                    old = self.rows.get(path, EMPTY_ROW)
                    self.rows[path] = row_for(assets[path], old, seen, False, self.remembers)
            elif path in self.rows:
                row = orphan_row(self.rows[path], seen)
                self.rows[path] = row
                if row is None:
                    del self.rows[path]
        self.remembers = True


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
