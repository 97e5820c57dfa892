"""From assets to what the queue is asked for: in which group, after what, and how long it will take."""

from __future__ import annotations

import json

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.prospects import estimate_seconds
from regen_vcs.engine.queue import Queue, Request
from regen_vcs.engine.scheduling import downstream_seconds, find_cycle
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.generators import registry


def requests_for(
    snapshot: Snapshot, paths: list[str], queue: Queue, *, force: bool = False
) -> tuple[list[Request], list[tuple[str, RegenError]]]:
    """(requests, [(path, why not)]): all but what its inputs lead back to."""
    snapshot.inputs.preload([snapshot.assets[path] for path in paths])
    needs = {path: _upstream(snapshot, path) for path in paths}
    refused = []
    whole = _with_upstream(snapshot, needs)  # a cycle may lead through what is not asked for
    while cycle := find_cycle(whole):
        trail = " → ".join(cycle)
        for path in cycle[:-1]:
            del whole[path]
            if needs.pop(path, None) is not None:
                refused.append((path, RegenError(f"{path}: its inputs form a cycle ({trail})", "take one of these inputs out")))
    learned = queue.learned_seconds()
    seconds = {path: _estimate(snapshot, snapshot.assets[path], learned) for path in needs}
    below = downstream_seconds(needs, seconds)
    requests = [
        _request(snapshot, snapshot.assets[path], seconds[path], below[path], sorted(waits), force)
        for path, waits in needs.items()
    ]
    return requests, refused


def _with_upstream(snapshot: Snapshot, needs: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same, and what these are made from in turn."""
    whole = dict(needs)
    todo = list(needs)
    for path in todo:  # grows while it is walked
        for each in whole[path] - whole.keys():
            whole[each] = _upstream(snapshot, each)
            todo.append(each)
    return whole


def _upstream(snapshot: Snapshot, path: str) -> set[str]:
    try:
        targets = snapshot.inputs.targets(snapshot.assets[path]).values()
    except InvalidError:
        return set()
    return {target for target in targets if snapshot.inputs.is_asset(target)}


def _estimate(snapshot: Snapshot, desired: Desired, learned: dict[str, float]) -> float | None:
    """Seconds, from earlier takes of the same key, else from what this generator took lately; None: unknown."""
    generator = desired.facts.generator
    if generator is None:
        return None
    known = estimate_seconds(snapshot, desired)
    return learned.get(generator) if known is None else known


def _request(
    snapshot: Snapshot, desired: Desired, seconds: float | None, below: float, needs: list[str], force: bool
) -> Request:
    generator = desired.facts.generator
    try:
        key = snapshot.inputs.key_of(desired)
    except RegenError:
        key = None
    group, paid = generator or "", False
    if generator is not None and not registry.is_exact_built_in(generator):
        group, paid = _group_and_price(snapshot, desired)
    return Request(desired.path, key, generator, group, seconds, needs, below, force, paid)


def _group_and_price(snapshot: Snapshot, desired: Desired) -> tuple[str, bool]:
    """What shares loaded models has one group: the generator and its models, as the recipe has them."""
    generator = desired.facts.generator
    try:
        models = snapshot.inputs.recipe_of(desired).models
        named = {role: model.hash or [model.name, model.version] for role, model in models.items()}
        paid = bool(snapshot.definitions.table(generator).get("paid"))
    except RegenError:
        return generator, False  # what is wrong with it is said when its job starts
    return (f"{generator} {json.dumps(named, sort_keys=True)}" if named else generator), paid
