"""Dependencies between assets."""

from __future__ import annotations

from regen_vcs.engine.sync import Snapshot
from regen_vcs.errors import RegenError


def dependencies(snapshot: Snapshot) -> dict[str, list[str]]:
    """{asset: the assets it is made from}; sidecars that are not valid have none."""
    found: dict[str, list[str]] = {}
    for path, desired in snapshot.assets.items():
        try:
            targets = snapshot.inputs.targets(desired).values()
        except RegenError:
            targets = ()
        found[path] = [target for target in targets if snapshot.inputs.is_asset(target)]
    return found


def dependants_of(snapshot: Snapshot, paths: list[str]) -> list[str]:
    """Every asset that is made, directly or not, from one of `paths`; nearest first."""
    made_from: dict[str, list[str]] = {}
    for path, targets in dependencies(snapshot).items():
        for target in targets:
            made_from.setdefault(target, []).append(path)
    found: dict[str, None] = {}
    todo = list(paths)
    for path in todo:
        for each in made_from.get(path, ()):
            if each not in found and each not in paths:
                found[each] = None
                todo.append(each)
    return list(found)
