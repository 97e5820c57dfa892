"""The planner: pure. From what should be, what is, and what can be had, to a Plan (DESIGN, section 4).

It never looks at a disk: `observed` says what lies at each asset's path, `bring` where its accepted bytes are.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.memory import EMPTY_ROW, Row
from regen_vcs.model.plan import (
    FETCH,
    FETCH_LATER,
    MATERIALISE,
    QUEUE,
    REFUSE,
    REGENERATE,
    REMOVE,
    RESCUE,
    Plan,
    Step,
)

Observed = namedtuple(
    "Observed",
    (
        "kind",  # "absent", "present", or "foreign": something that cannot be an asset's bytes (symlink, device…)
        "hash",  # of the bytes there (a directory's or sequence's: of its manifest), None unless present
        "files",  # {path: [hash, stat]}
        "stored",  # a store holds these bytes, as of the look
    ),
)
ABSENT = Observed("absent", None, {}, False)

Bring = namedtuple(
    "Bring",
    (
        "source",  # "store", "remote", "regenerate", or None: nowhere
        "reason",  # why not, where source is None; why not now, where it is a remote
        "seconds",  # estimate for fetching or regenerating; None: unknown
        "inputs",  # paths of assets that must be there first (regenerate)
        "cost",  # dollars, where it is nowhere because its generator is paid
    ),
    defaults=(None,),
)

_CHANGED = "its recipe has changed"

Policy = namedtuple(
    "Policy",
    (
        "removes",  # may take assets away (hooks and `sync`; never the filter)
        "generates",  # may run generators at all
        "wait",  # most seconds of regeneration in the foreground; None: no limit
        "by_hand",  # the user asked for this sync: mass removals go ahead
        "wanted",  # callable(path) → bool: the working set
    ),
)


def plan_sync(
    assets: Mapping[str, Desired],
    rows: Mapping[str, Row],
    observed: Mapping[str, Observed],
    bring: Mapping[str, Bring],
    policy: Policy,
    *,
    remembers: bool,
) -> Plan:
    """The steps that make the working tree's assets match their sidecars.

    bring: for every asset whose accepted bytes are not on disk.
    remembers: this worktree has a state file. Without one, bytes no store knows are left where they are.
    """
    displaced: list[Step] = []  # removals first: what leaves may be what comes back under another name
    brought: list[Step] = []
    kept = 0
    for path, desired in assets.items():
        steps = _steps_for(desired, rows.get(path, EMPTY_ROW), observed.get(path, ABSENT), bring, policy, remembers)
        kept += not steps
        for step in steps:
            leaves = step.action == REMOVE or (step.action == RESCUE and steps[-1].action == REMOVE)
            (displaced if leaves else brought).append(step)
    removals = _removals(assets, rows, observed, policy)
    notices = []
    if not policy.by_hand and _is_mass(removals, rows):
        notices.append(
            f"{len(removals)} of {len(rows)} assets have lost their sidecars at once: nothing was removed. "
            "If that is right, run: regen-vcs sync"
        )
        removals = []
    ordered = _in_order(brought, bring)
    if _takes_too_long(ordered, policy):
        return plan_sync(assets, rows, observed, bring, policy._replace(generates=False), remembers=remembers)
    displaced += _of_the_blocked(brought, ordered, rows, observed, policy)
    return Plan(removals + displaced + ordered, kept=kept, notices=notices)


def is_edited(row: Row, seen: Observed) -> bool:
    """Whether the bytes on disk are somebody's own: neither the accepted ones as last synced nor our stand-in."""
    if seen.hash is None or seen.hash == row.accepted:
        return False
    if row.stand_in and seen.hash == row.disk_hash:
        return False
    # Bytes we saw there before and never put there are somebody's own, even if a look has stored them since.
    return row.accepted is not None or row.disk_hash is not None or not seen.stored


def _steps_for(
    desired: Desired, row: Row, seen: Observed, bring: Mapping[str, Bring], policy: Policy, remembers: bool
) -> list[Step]:
    facts = desired.facts
    if desired.unmerged or facts.problem:
        return []
    if desired.side_sig is None:
        # Gone from disk. Out of a sparse checkout: so is the asset. Still in the index: somebody's slip, not a wish.
        return _removal(row, desired.path, seen) if desired.skip and policy.removes else []
    wanted = facts.out_hash
    if wanted is None:
        return _pending(row, desired.path, seen, policy)
    if seen.hash == wanted:
        return []
    if not policy.wanted(desired.path):
        return _outside(desired, row, seen, policy)
    if seen.kind == "foreign":
        return [Step(REFUSE, desired.path, wanted, facts.out_size, "something that is not a file is in the way", None)]
    if seen.kind == "absent":
        return [_bringing(desired, bring[desired.path], policy)]
    return _replacement(desired, row, seen, bring[desired.path], policy, remembers)


def _pending(row: Row, path: str, seen: Observed, policy: Policy) -> list[Step]:
    """A recipe that has no accepted bytes yet: what another recipe accepted does not stay under its name."""
    if policy.removes and seen.kind == "present" and seen.hash == row.accepted:
        return [Step(REMOVE, path, seen.hash, 0, "its recipe has no accepted output", None)]
    return []


def _outside(desired: Desired, row: Row, seen: Observed, policy: Policy) -> list[Step]:
    """Nothing comes for an asset outside the working set; but what another recipe accepted does not stay under its name."""
    is_ours = row.accepted is not None and row.accepted != desired.facts.out_hash and not is_edited(row, seen)
    if not policy.removes or seen.kind != "present" or not is_ours:
        return []
    return [Step(REMOVE, desired.path, seen.hash, 0, _CHANGED, None)]


def _replacement(
    desired: Desired, row: Row, seen: Observed, source: Bring, policy: Policy, remembers: bool
) -> list[Step]:
    """Other bytes lie at the asset's path. They give way only when the sidecar's output has changed."""
    facts = desired.facts
    if row.accepted == facts.out_hash:
        return []  # modified, or a stand-in: it stays
    edited = is_edited(row, seen)
    if edited and row.accepted is None and not remembers:
        return []
    step = _bringing(desired, source, policy)
    if step.action in (REFUSE, QUEUE) or step.reason == FETCH_LATER:
        # The old accepted bytes would be a lie under this name; edited ones wait until theirs can be had.
        gone = [Step(REMOVE, desired.path, seen.hash, 0, _CHANGED, None)]
        return [step] if edited or not policy.removes else [*gone, step]
    rescue = Step(RESCUE, desired.path, seen.hash, 0, "edited; the sidecar's output has changed", None)
    return [rescue, step] if edited else [step]


def _bringing(desired: Desired, source: Bring, policy: Policy) -> Step:
    wanted, size = desired.facts.out_hash, desired.facts.out_size
    if source.source == "store":
        return Step(MATERIALISE, desired.path, wanted, size, "", None)
    if source.source == "remote":
        return Step(FETCH, desired.path, wanted, size, source.reason or "", source.seconds)
    if source.source == "regenerate":
        action = REGENERATE if policy.generates else QUEUE
        return Step(action, desired.path, wanted, size, "not in any store", source.seconds)
    return Step(REFUSE, desired.path, wanted, size, source.reason or "nowhere to be had", None, source.cost)


def _removals(
    assets: Mapping[str, Desired], rows: Mapping[str, Row], observed: Mapping[str, Observed], policy: Policy
) -> list[Step]:
    if not policy.removes:
        return []
    steps = []
    for path, row in rows.items():
        if path not in assets:
            steps += _removal(row, path, observed.get(path, ABSENT))
    return steps


def _removal(row: Row, path: str, seen: Observed) -> list[Step]:
    if seen.kind != "present" or row.disk_hash is None:
        return []  # nothing there, or nothing that we ever put there
    gone = Step(REMOVE, path, seen.hash, 0, "its sidecar is gone", None)
    if is_edited(row, seen):
        return [Step(RESCUE, path, seen.hash, 0, "edited; its sidecar is gone", None), gone]
    return [gone]


def _is_mass(removals: list[Step], rows: Mapping[str, Row]) -> bool:
    count = len({step.path for step in removals})
    return len(rows) > 20 and count * 2 > len(rows)


def _in_order(steps: list[Step], bring: Mapping[str, Bring]) -> list[Step]:
    """Regenerations after everything else, and after those they depend on; blocked where one of these cannot be."""
    making = {step.path: step for step in steps if step.action in (REGENERATE, QUEUE)}
    refused = {step.path for step in steps if step.action == REFUSE or step.reason == FETCH_LATER}
    waits = {path: {each for each in bring[path].inputs if each in making} for path in making}
    dependants: dict[str, list[str]] = {}
    for path, needs in waits.items():
        for each in needs:
            dependants.setdefault(each, []).append(path)
    ready = [path for path, needs in waits.items() if not needs]
    ordered: list[Step] = []
    for path in ready:  # grows while it is walked: Kahn's order
        blocker = next((each for each in bring[path].inputs if each in refused), None)
        step = making[path]
        if blocker:
            refused.add(path)
            step = step._replace(action=REFUSE, reason=f"blocked: its input {blocker} cannot be had")
        ordered.append(step)
        for each in dependants.get(path, ()):
            waits[each].discard(path)
            if not waits[each]:
                ready.append(each)
    for path, needs in waits.items():
        if needs:
            ordered.append(making[path]._replace(action=REFUSE, reason="its inputs form a cycle"))
    return [step for step in steps if step.path not in making or step.action == RESCUE] + ordered


def _of_the_blocked(
    planned: list[Step], ordered: list[Step], rows: Mapping[str, Row], observed: Mapping[str, Observed], policy: Policy
) -> list[Step]:
    """What still lies where a regeneration was planned that turned out to be blocked: as for any that is refused."""
    if not policy.removes:
        return []
    hoped = {step.path for step in planned if step.action == REGENERATE}
    blocked = [step.path for step in ordered if step.action == REFUSE and step.path in hoped]
    steps = []
    for path in blocked:
        seen = observed.get(path, ABSENT)
        if seen.kind == "present" and not is_edited(rows.get(path, EMPTY_ROW), seen):
            steps.append(Step(REMOVE, path, seen.hash, 0, _CHANGED, None))
    return steps


def _takes_too_long(steps: list[Step], policy: Policy) -> bool:
    """Where the regenerations would take longer than the user waits, or nobody knows, they are all left for later."""
    making = [step for step in steps if step.action == REGENERATE]
    if policy.wait is None or not making:
        return False
    return any(step.seconds is None for step in making) or sum(step.seconds for step in making) > policy.wait
