"""Where accepted bytes can come from: the local stores, else a remote or a generator. Hot path."""

from __future__ import annotations

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.planner import Bring, Observed
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.errors import RegenError


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


def add_inputs_from_outside(snapshot: Snapshot, bring: dict[str, Bring]) -> None:
    """What is made again from assets outside the working set needs their bytes; in a store is enough."""
    todo = list(bring.values())
    while todo:
        names = {name for each in todo if each.source == "regenerate" for name in each.inputs} - bring.keys()
        needy = [snapshot.assets[name] for name in sorted(names)]
        found = find_sources(snapshot, [each for each in needy if needs_bytes(each, snapshot.seen(each.path))])
        found = {path: source for path, source in found.items() if source.source != "store"}
        bring.update(found)
        todo = list(found.values())


def needs_bytes(desired: Desired, seen: Observed) -> bool:
    facts = desired.facts
    if desired.unmerged or facts.problem or desired.side_sig is None or facts.out_hash is None:
        return False
    return seen.hash != facts.out_hash


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
