"""The dependency graph as a value: what is made from what. Pure; engine/graph.py builds it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

ASSET, FILE, ROOT = "asset", "file", "root"

# Of a node by its state: pale, so that black text stays readable on it.
_FILLS = {
    "ok": "#d9f2d9", "missing": "#ffe9b3", "stale": "#ffe9b3", "pending": "#d6ecff", "proposed": "#d6ecff",
    "queued": "#cfd8ff", "running": "#cfd8ff", "modified": "#ffd6d6", "drifted": "#ecd6ff", "failed": "#ff9e9e",
    "invalid": "#ff9e9e", "edited": "#ffe9b3", "untracked": "#ffe9b3", "unmapped": "#ffe9b3",
}  # fmt: skip
_SHAPES = {FILE: "note", ROOT: "folder"}


@dataclass(frozen=True, slots=True)
class Node:
    """An asset, or a file that assets are made from.

    path: from the repository's root, or `@root/…`. kind: "asset", "file" or "root". state: of an asset as `status` has
    it; of a file "ok", "edited", "untracked" or "missing"; of a named root's "ok", "missing" or "unmapped".
    generator: None for source assets and files.
    """

    path: str
    kind: str
    state: str
    reason: str | None = None
    generator: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` is made from `source`, which is its input `name`."""

    target: str
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Graph:
    """nodes: {path: Node}, in order of path. edges: in order of target and input name.

    cycles: each as its paths, the first repeated at the end; nothing on one can be made.
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...] = ()
    cycles: tuple[tuple[str, ...], ...] = ()
    _inputs: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)
    _uses: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inputs", _grouped(self.edges, "target"))
        object.__setattr__(self, "_uses", _grouped(self.edges, "source"))

    def inputs_of(self, path: str) -> tuple[Edge, ...]:
        """What this is made from directly."""
        return self._inputs.get(path, ())

    def uses_of(self, path: str) -> tuple[Edge, ...]:
        """What is made from this directly."""
        return self._uses.get(path, ())

    def upstream(self, paths: Iterable[str]) -> list[str]:
        """Everything these are made from, directly or not; nearest first, without themselves."""
        return _reach(paths, lambda path: (edge.source for edge in self.inputs_of(path)))

    def downstream(self, paths: Iterable[str]) -> list[str]:
        """Everything that is made from these, directly or not; nearest first, without themselves."""
        return _reach(paths, lambda path: (edge.target for edge in self.uses_of(path)))

    def around(self, paths: Iterable[str], *, up: bool = True, down: bool = True) -> Graph:
        """The part with these, what they are made from (`up`) and what is made from them (`down`)."""
        named = [path for path in dict.fromkeys(paths) if path in self.nodes]
        kept = {*named, *(self.upstream(named) if up else ()), *(self.downstream(named) if down else ())}
        return Graph(
            {path: node for path, node in self.nodes.items() if path in kept},
            tuple(edge for edge in self.edges if edge.source in kept and edge.target in kept),
            tuple(cycle for cycle in self.cycles if kept.issuperset(cycle)),
        )

    def to_json(self) -> dict:
        """{"nodes": [{"path", "kind", "state", "reason", "generator"}], "edges": [{"target", "name", "source"}], "cycles": [[path]]}"""
        return {
            "nodes": [
                {"path": n.path, "kind": n.kind, "state": n.state, "reason": n.reason, "generator": n.generator}
                for n in self.nodes.values()
            ],
            "edges": [{"target": e.target, "name": e.name, "source": e.source} for e in self.edges],
            "cycles": [list(cycle) for cycle in self.cycles],
        }  # fmt: skip

    def to_dot(self) -> str:
        """Graphviz: an arrow from each input to what is made from it. Assets are boxes (without a generator: cylinders),
        files notes, named roots folders; colours are states."""
        numbers = {path: f"n{number}" for number, path in enumerate(self.nodes)}
        lines = ["digraph assets {", "  rankdir=LR;", '  node [shape=box, style="rounded,filled", fillcolor="#eeeeee"];']
        lines += [f"  {numbers[path]} [{_attributes(node)}];" for path, node in self.nodes.items()]
        on_cycle = {pair for cycle in self.cycles for pair in zip(cycle[1:], cycle, strict=False)}
        for edge in self.edges:
            colour = ", color=red" if (edge.source, edge.target) in on_cycle else ""
            lines.append(f"  {numbers[edge.source]} -> {numbers[edge.target]} [label={_quoted(edge.name)}{colour}];")
        return "\n".join([*lines, "}"])


@dataclass(frozen=True, slots=True)
class Affected:
    """An asset that a change concerns.

    direct: the change concerns it by itself. Otherwise only if something it is made from, and which is affected too, comes
    out with other bytes when it is made again. state: as `status` has it now. reasons: in words.
    """

    path: str
    direct: bool
    state: str
    reasons: tuple[str, ...]


def _grouped(edges: Iterable[Edge], end: str) -> dict[str, tuple[Edge, ...]]:
    found: dict[str, list[Edge]] = {}
    for edge in edges:
        found.setdefault(getattr(edge, end), []).append(edge)
    return {path: tuple(each) for path, each in found.items()}


def _reach(paths: Iterable[str], following) -> list[str]:
    named = list(paths)
    found: dict[str, None] = dict.fromkeys(named)
    todo = list(found)
    for path in todo:  # grows while it is walked: breadth first
        for each in following(path):
            if each not in found:
                found[each] = None
                todo.append(each)
    return todo[len(dict.fromkeys(named)) :]


def find_cycles(needs: Mapping[str, Collection[str]]) -> Iterator[tuple[str, ...]]:
    """Cycles that share no node, each with its first node repeated at the end. needs: {node: what it is made from}."""
    done: set[str] = set()
    for root in sorted(needs):
        trail: dict[str, Iterator[str]] = {}
        node: str | None = root if root not in done else None
        while node is not None:
            if node not in trail:
                trail[node] = iter(sorted(needs.get(node, ())))
            following = next((each for each in trail[node] if each in needs and each not in done), None)
            if following is None:
                done.add(node)
                del trail[node]
                node = next(reversed(trail), None)
            elif following in trail:
                path = list(trail)
                cycle = path[path.index(following) :]
                yield (*cycle, following)
                done.update(cycle)
                for each in cycle:
                    del trail[each]
                node = next(reversed(trail), None)
            else:
                node = following


def _attributes(node: Node) -> str:
    shape = "cylinder" if node.kind == ASSET and node.generator is None else _SHAPES.get(node.kind)
    label = node.path if node.state == "ok" else f"{node.path}\n{node.state}"
    parts = [f"label={_quoted(label)}"]
    if shape:
        parts.append(f'shape={shape}, style="filled"')
    if node.state in _FILLS and (node.kind == ASSET or node.state != "ok"):
        parts.append(f'fillcolor="{_FILLS[node.state]}"')
    if node.reason:
        parts.append(f"tooltip={_quoted(node.reason)}")
    return ", ".join(parts)


def _quoted(text: str) -> str:
    """A DOT string that shows this text, whatever is in it: nothing ends the quotes, nothing is an escape of Graphviz'."""
    spelt = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return '"' + spelt.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
