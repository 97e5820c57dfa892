"""Dependencies between assets: which there are, and the graph of them with their states."""

from __future__ import annotations

from regen_vcs.engine.provenance import input_state
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.status import Survey, survey_all
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.dependency_graph import ASSET, FILE, ROOT, Edge, Graph, Node, find_cycles
from regen_vcs.model.paths import resolve_input, sidecar_of


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


def build_graph(ws: Workspace) -> Graph:
    """Every asset of this worktree, of both layouts, and every file that one is made from."""
    return graph_of(survey_all(ws))


def graph_of(found: Survey) -> Graph:
    """The graph of what `survey_all` found."""
    inputs_of = {path: _targets(path, desired.facts.inputs) for path, desired in found.snapshot.assets.items()}
    statuses = {each.path: each for each in found.statuses}
    nodes = {
        path: Node(path, ASSET, statuses[path].state, statuses[path].reason, _generator(found.snapshot, statuses[path]))
        for path in inputs_of if path in statuses
    }
    sources = {target for inputs in inputs_of.values() for target in inputs.values()}
    nodes |= _file_nodes(found, sorted(sources - nodes.keys()))
    edges = tuple(
        Edge(path, name, inputs[name]) for path, inputs in sorted(inputs_of.items()) if path in nodes for name in sorted(inputs)
    )
    needs = {path: {*inputs.values()} for path, inputs in inputs_of.items()}
    return Graph({path: nodes[path] for path in sorted(nodes)}, edges, tuple(find_cycles(needs)))


def _generator(snapshot: Snapshot, status) -> str | None:
    """`survey` does not look one up where a source asset is plainly ok."""
    desired = snapshot.assets.get(status.path)
    return desired.facts.generator if desired is not None else status.generator


def _targets(path: str, inputs: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, value in inputs.items():
        try:
            found[name] = resolve_input(sidecar_of(path), value)
        except InvalidError:
            continue  # said where the asset is looked at
    return found


def _file_nodes(found: Survey, targets: list[str]) -> dict[str, Node]:
    inputs = found.snapshot.inputs
    edited = set(inputs.edited(targets))
    return {
        target: Node(target, ROOT if target.startswith("@") else FILE, input_state(found.snapshot, {}, edited, target))
        for target in targets
    }
