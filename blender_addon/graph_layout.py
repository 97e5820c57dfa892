"""Where the nodes of a dependency graph go: layers from left to right, few crossings. Nothing here knows Blender."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Edge = tuple[str, str]
# Passes over the layers that pull nodes towards their neighbours; more change little.
_SWEEPS = 4


def layout(nodes: Sequence[str], edges: Iterable[Edge], *, width: float = 260.0, height: float = 150.0) -> dict[str, tuple[float, float]]:
    """{node: (x, y)}, of its top left corner, y downwards negative as in Blender's editors.

    edges: (from, to), from what is used to what uses it: `from` stands left of `to`. width, height: the pitch of columns and rows.
    Unknown ends and edges from a node to itself are passed over; in a circle one edge points backwards. The same graph gives the same picture,
    in whatever order it comes.
    """
    names = sorted(set(nodes))
    after = _successors(names, edges)
    forward = _without_circles(names, after)
    depth = _depths(names, forward)
    layers = _layers(names, depth)
    before: dict[str, list[str]] = {name: [] for name in names}
    for source, targets in forward.items():
        for target in targets:
            before[target].append(source)
    _order(layers, before, forward)
    return _place(layers, width, height)


def connected(start: str, edges: Iterable[Edge], most: int) -> list[str]:
    """`start` and at most so many in all that an edge leads to from it, in either direction, over others too; the nearest first."""
    beside: dict[str, list[str]] = {}
    for source, target in edges:
        beside.setdefault(source, []).append(target)
        beside.setdefault(target, []).append(source)
    found = {start: None}
    for each in (queue := [start]):  # grows while it is walked
        for other in sorted(beside.get(each, ())):
            if other not in found and len(found) < most:
                found[other] = None
                queue.append(other)
    return queue


def _successors(names: list[str], edges: Iterable[Edge]) -> dict[str, list[str]]:
    known: dict[str, set[str]] = {name: set() for name in names}
    for source, target in edges:
        if source in known and target in known and source != target:
            known[source].add(target)
    return {name: sorted(targets) for name, targets in known.items()}


def _without_circles(names: list[str], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """The edges but for those that close a circle in a walk in the order of names. No recursion: chains can be long."""
    forward: dict[str, list[str]] = {name: [] for name in names}
    open_, closed = set(), set()
    for start in names:
        if start in closed:
            continue
        open_.add(start)
        stack = [(start, iter(after[start]))]
        while stack:
            name, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                stack.pop()
                open_.discard(name)
                closed.add(name)
            elif target not in open_:
                forward[name].append(target)
                if target not in closed:
                    open_.add(target)
                    stack.append((target, iter(after[target])))
    return forward


def _depths(names: list[str], forward: dict[str, list[str]]) -> dict[str, int]:
    """The longest way from any start: what a node uses always stands left of it."""
    waits = dict.fromkeys(names, 0)
    for targets in forward.values():
        for target in targets:
            waits[target] += 1
    depth = dict.fromkeys(names, 0)
    ready = [name for name in names if not waits[name]]
    for name in ready:
        for target in forward[name]:
            depth[target] = max(depth[target], depth[name] + 1)
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    return depth


def _layers(names: list[str], depth: dict[str, int]) -> list[list[str]]:
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    return layers


def _order(layers: list[list[str]], before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    """Sort each layer by where its nodes' neighbours are, to and fro."""
    row = {name: float(index) for layer in layers for index, name in enumerate(layer)}
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        for layer in reversed(layers) if sweep % 2 else layers:
            middle = {name: _mean([row[each] for each in neighbours[name]], row[name]) for name in layer}
            layer.sort(key=lambda name: (middle[name], name))
            for index, name in enumerate(layer):
                row[name] = float(index)


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place(layers: list[list[str]], width: float, height: float) -> dict[str, tuple[float, float]]:
    """Every layer a column, centred on one line."""
    return {
        name: (column * width, ((len(layer) - 1) / 2 - index) * height)
        for column, layer in enumerate(layers)
        for index, name in enumerate(layer)
    }
