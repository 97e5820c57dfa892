"""Drawing the graph's nodes, a few at a time: each node that comes has Blender look at all that are there, which takes the longer the more there are."""

import time
from typing import NamedTuple

import bpy

from . import graph_layout

# More nobody reads; Blender 5.0 takes half a second for them, and ten for two thousand.
MAX_NODES = 400


class _Planned(NamedTuple):
    """A node. name: of the node in its tree; sources: the names of the nodes that its sockets are linked with, None where that is not drawn."""

    name: str
    asset: str
    place: tuple[float, float]
    roles: tuple[str, ...]
    sources: tuple[str | None, ...]
    is_used: bool


def chosen_rows(rows, selected):
    """The assets that are drawn: all of them, of a project with too many those that are connected with the selected one, nearest first."""
    if len(rows) <= MAX_NODES:
        return list(rows)
    by_path = {row.path: row for row in rows}
    edges = [(source, row.path) for row in rows for _role, source in row.inputs]
    near = graph_layout.connected(selected, edges, MAX_NODES) if selected in by_path else []
    return [by_path[path] for path in near if path in by_path] or list(rows[:MAX_NODES])


class Drawing:
    """A tree that is being filled. It holds names, and no node: an undo between two portions would leave it with what is no more."""

    def __init__(self, tree, rows):
        tree.nodes.clear()
        self._tree = tree.name
        self._nodes = _plan(rows)
        self._links = [(source, node.name, number) for node in self._nodes for number, source in enumerate(node.sources) if source is not None]
        self._drawn = self._linked = 0

    def go_on(self, seconds):
        """Draw for so long at most; whether it is done, or its tree is gone."""
        until = time.perf_counter() + seconds
        tree = bpy.data.node_groups.get(self._tree)
        while tree is not None and time.perf_counter() < until:
            if self._drawn < len(self._nodes):
                _draw(tree, self._nodes[self._drawn])
                self._drawn += 1
            elif self._linked < len(self._links):
                _link(tree, *self._links[self._linked])
                self._linked += 1
            else:
                return True
        return tree is None


def _plan(rows):
    edges = [(source, row.path) for row in rows for _role, source in row.inputs]
    files = sorted({source for source, _target in edges} - {row.path for row in rows})[:MAX_NODES]
    places = graph_layout.layout([*(row.path for row in rows), *files], edges, width=300, height=190)
    # A node's name holds 63 bytes, a path more.
    names = {path: f"{number}" for number, path in enumerate(places)}
    inputs = {row.path: row.inputs for row in rows}
    used = {source for source, _target in edges}
    return [
        _Planned(
            names[path], path, place, tuple(role for role, _source in inputs.get(path, ())),
            tuple(names.get(source) for _role, source in inputs.get(path, ())), path in used,
        )
        for path, place in places.items()
    ]  # fmt: skip


def _draw(tree, planned):
    node = tree.nodes.new("REGEN_asset_node")
    node.asset, node.location, node.name = planned.asset, planned.place, planned.name
    for role in planned.roles:
        node.inputs.new("REGEN_socket", role)
    if planned.is_used:
        node.outputs.new("REGEN_socket", "")


def _link(tree, source, target, number):
    start, end = tree.nodes.get(source), tree.nodes.get(target)
    # Somebody may have deleted a node meanwhile.
    if start is not None and end is not None and len(start.outputs) and number < len(end.inputs):
        tree.links.new(start.outputs[0], end.inputs[number])
