"""verify: run recipes again, and note whether their accepted bytes came out. The proofs that gc rests on come from here.

Choose (what can be run, what is due) → make again into scratch (engine/remaking.py) → note what was shown, and move what is
proven to the cache and what no longer is back into keep. Ended at any moment, what was noted stays, and nothing else has
changed.
"""

from __future__ import annotations

import random
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator

from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.placing import place
from regen_vcs.engine.production import Order, Producer, make_order
from regen_vcs.engine.proofs import BYTES, CONTENT, DIFFERENT, TRIED
from regen_vcs.engine.prospects import estimate_seconds
from regen_vcs.engine.remaking import Remade, Remaking
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.worker import Budget
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import Interrupted, NotTrusted, RegenError
from regen_vcs.generators import registry

# What became of an asset beside BYTES, CONTENT and DIFFERENT.
FAILED, SKIPPED = "failed", "skipped"

# seconds: estimated, None where nobody knows; cost: dollars of one run as its table says, or None. last: when it was looked
# at last, "" for never. proof: what counts now; differed: when it came out differently under what holds now; or None. reason:
# why it cannot be verified, None where it can; error: the same where it is the user's to mend (not trusted).
Candidate = namedtuple(
    "Candidate",
    ("path", "generator", "size", "seconds", "cost", "key", "hash", "last", "proof", "differed", "reason", "error"),
)

# outcome: BYTES, CONTENT, DIFFERENT, FAILED or SKIPPED. proof: BYTES or CONTENT where it is proven now. score, differing: see
# engine.comparing. withdrawn: whether that took a proof away. note: what else is to be said, or None.
Verified = namedtuple(
    "Verified", ("path", "outcome", "size", "seconds", "cost", "proof", "score", "differing", "withdrawn", "note", "error"),
    defaults=(0, 0.0, None, None, None, (), False, None, None),
)

_WAIT = 0.2
_DAY_DIGITS = len("2026-11-22")


# -- choosing --------------------------------------------------------------------------------------------------------


def candidates(ws: Workspace, wanted: Callable[[str], bool], *, paid: bool = False) -> tuple[Snapshot, list[Candidate]]:
    """The look, and of every wanted asset with a recipe whether it can be verified. paid: what costs money may run."""
    ws.proofs.check_key()
    snapshot = look_at_both(ws)
    assets = [each for path, each in snapshot.assets.items() if each.facts.generator is not None and wanted(path)]
    snapshot.inputs.preload(assets)
    return snapshot, [_candidate(ws, snapshot, each, paid) for each in assets]


def _candidate(ws: Workspace, snapshot: Snapshot, desired, paid: bool) -> Candidate:
    facts = desired.facts
    key, reason, error, cost, proof, differed, last, seconds = None, None, None, None, None, None, "", None
    try:
        reason = _unfit(snapshot, desired)
        key = facts.out_key
        if reason is None and ":" in facts.generator:
            table = snapshot.definitions.table(facts.generator)
            cost = table.get("cost")
            if table.get("paid") and not paid:
                reason = "paid: regen-vcs verify --paid"
        if reason is None:
            make_order(snapshot, desired.path)  # trust, definition and inputs, as a run would ask
            seen = ws.proofs.last_looked(key, facts.out_hash)
            last, proof = seen.at if seen else "", ws.proofs.of(key, facts.out_hash)
            differed = ws.proofs.differed(key, facts.out_hash)
            seconds = estimate_seconds(snapshot, desired)
    except NotTrusted as raised:
        reason, error = raised.what.removeprefix(f"{desired.path}: "), raised
    except RegenError as raised:
        reason = raised.what.removeprefix(f"{desired.path}: ").removeprefix("blocked: ")
    return Candidate(
        desired.path, facts.generator, facts.out_size, seconds, cost, key, facts.out_hash, last, proof, differed, reason, error
    )


def _unfit(snapshot: Snapshot, desired) -> str | None:
    """Why there is nothing to verify; None where there is."""
    facts = desired.facts
    if facts.problem:
        return facts.problem[1]
    if desired.unmerged:
        return "its sidecar has a merge conflict"
    if desired.side_sig is None:
        return "outside the sparse checkout" if desired.skip else "its sidecar is deleted"
    if facts.out_hash is None:
        return "pending: never made"
    if not registry.is_installed(facts.generator):
        return f"no generator {facts.generator.partition(':')[0]} is installed here"
    if snapshot.inputs.key_of(desired) != facts.out_key:
        return "stale: its recipe or an input has changed since"
    return None


def due(fit: list[Candidate], share: float, chance: random.Random | None = None) -> list[Candidate]:
    """A sample of at least this share (0..1) of their bytes, and of one asset.

    Day by day the least recently looked at first; among those of one day by chance, the large ones rather. So every night
    takes others, and after 1/share nights all have had their turn.
    """
    chance = chance or random.Random()
    # Weighted sampling without replacement: of exponential delays at the rate of their sizes the shortest is drawn first.
    drawn = sorted(fit, key=lambda each: (each.last[:_DAY_DIGITS], chance.expovariate(1.0) / max(each.size, 1)))
    quota, taken, size = share * sum(each.size for each in fit), [], 0
    for each in drawn:
        if taken and size >= quota:
            break
        taken.append(each)
        size += each.size
    return taken


def upstream_first(snapshot: Snapshot, chosen: Iterable[Candidate]) -> list[Candidate]:
    """What others are made from comes before them; otherwise as given."""
    by_path = {each.path: each for each in chosen}
    ordered: dict[str, Candidate] = {}
    for start in by_path:
        stack = [(start, iter(_inputs(snapshot, start)))]
        open_paths = {start}
        while stack:
            path, targets = stack[-1]
            target = next((each for each in targets if each in by_path and each not in ordered and each not in open_paths), None)
            if target is None:
                ordered.setdefault(path, by_path[path])
                stack.pop()
            else:
                open_paths.add(target)
                stack.append((target, iter(_inputs(snapshot, target))))
    return list(ordered.values())


def _inputs(snapshot: Snapshot, path: str) -> Iterable[str]:
    try:
        return snapshot.inputs.targets(snapshot.assets[path]).values()
    except RegenError:
        return ()


# -- verifying -------------------------------------------------------------------------------------------------------


def verify(
    ws: Workspace, snapshot: Snapshot, chosen: list[Candidate], *, workers: int = 1,
    progress: Callable[[str, float, str], None] | None = None, tick: Callable[[], None] | None = None,
) -> Iterator[Verified]:
    """Make these again, and yield what each has shown as it is known and noted.

    progress(path, fraction, message): from any thread. tick: called from this one several times a second; what it raises
    ends the work.
    """
    told = (lambda order, fraction, message: progress(order.path, fraction, message)) if progress else None
    todo = iter(upstream_first(snapshot, chosen))
    budget, running = Budget(ws.settings.get("budget")), {}
    with Producer(ws.environ, workers=workers, progress=told, run=Remaking) as producer:
        more = True
        while more or running:
            while more and len(running) < 2 * workers:  # the next is ready when one ends
                candidate = next(todo, None)
                if candidate is None:
                    more = False
                    break
                refused = _start(snapshot, candidate, producer, budget, running)
                if refused is not None:
                    yield refused
            if tick:
                tick()
            for order, result in producer.collect(_WAIT) if running else ():
                yield _settle(ws, running.pop(order), order, result, budget)


def _start(snapshot: Snapshot, candidate: Candidate, producer: Producer, budget: Budget, running: dict) -> Verified | None:
    """Have one run; what became of it where it cannot."""
    try:
        order = make_order(snapshot, candidate.path)
        refusal = budget.refusal(order)
    except RegenError as error:
        return Verified(candidate.path, FAILED, candidate.size, error=error)
    if refusal:
        return Verified(candidate.path, SKIPPED, candidate.size, note=refusal)
    running[order] = candidate
    producer.submit(order, snapshot)
    return None


def _settle(ws: Workspace, candidate: Candidate, order: Order, result: Remade | RegenError, budget: Budget) -> Verified:
    if isinstance(result, Interrupted):
        raise result
    if isinstance(result, RegenError):
        _note_attempt(ws, candidate)
        return Verified(candidate.path, FAILED, candidate.size, error=result)
    budget.correct(order, result.cost)
    comparison = result.comparison
    done = Verified(
        candidate.path, comparison.outcome, candidate.size, result.seconds, result.cost, None, comparison.score, comparison.differing
    )
    if not result.here:
        return done._replace(note="made by the executor: compared, but no proof of this machine")
    try:
        return _note(ws, candidate, result, done)
    except RegenError as error:
        return done._replace(outcome=FAILED, error=error)


def _note(ws: Workspace, candidate: Candidate, result: Remade, done: Verified) -> Verified:
    """Write down what was shown, and move the bytes to where they belong now."""
    proofs = ws.proofs
    outcome = done.outcome
    if outcome == CONTENT and not result.comparison.recognised:
        outcome = TRIED  # nobody could tell afterwards that it is the accepted content
    proofs.record(candidate.key, candidate.hash, outcome, result.conditions, result.seconds, result.cost)
    proof = proofs.of(candidate.key, candidate.hash)
    place(ws, candidate.hash, proof)
    note = None
    if done.outcome == CONTENT and outcome == TRIED:
        note = "the content is the same, but its recipe does not say so: no proof"
    elif outcome in (BYTES, CONTENT) and proof is None:
        since = proofs.differed(candidate.key, candidate.hash)
        why = f"it came out differently on {since[:_DAY_DIGITS]}" if since else "what it depends on changed meanwhile"
        note = f"but {why}: no proof"
    return done._replace(
        proof=proof.kind if proof else None, withdrawn=outcome == DIFFERENT and candidate.proof is not None, note=note
    )


def _note_attempt(ws: Workspace, candidate: Candidate) -> None:
    """So that what cannot be run is not the first of every night's sample."""
    try:
        ws.proofs.record(candidate.key, candidate.hash, TRIED, {"generator": candidate.generator}, 0.0)
    except RegenError:
        pass  # the run's own failure is what there is to say


def total_estimate(chosen: Iterable[Candidate]) -> tuple[float, int]:
    """(seconds as far as known, how many nobody knows of)."""
    known = [each.seconds for each in chosen]
    return sum(each for each in known if each is not None), sum(each is None for each in known)
