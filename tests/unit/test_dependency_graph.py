"""The graph as a value, and the order that is made of it."""

from __future__ import annotations

import pytest

from regen_vcs.engine.queue import Job
from regen_vcs.engine.scheduling import preview_order
from regen_vcs.model.dependency_graph import ASSET, Edge, Graph, Node, find_cycles


def graph(*pairs: str) -> Graph:
    """"ab" is an edge from a to b: b is made from a."""
    names = sorted({name for pair in pairs for name in pair})
    return Graph({name: Node(name, ASSET, "ok") for name in names}, tuple(Edge(pair[1], "in", pair[0]) for pair in pairs))


def test_reach_is_nearest_first_and_without_the_start():
    diamond = graph("ab", "ac", "bd", "cd", "de")
    assert diamond.downstream(["a"]) == ["b", "c", "d", "e"]
    assert diamond.upstream(["d"]) == ["b", "c", "a"]
    assert diamond.downstream(["b", "d"]) == ["e"]
    assert diamond.downstream(["nothing"]) == []


def test_around():
    line = graph("ab", "bc", "cd")
    assert list(line.around(["b"]).nodes) == ["a", "b", "c", "d"]
    assert list(line.around(["b"], down=False).nodes) == ["a", "b"]
    assert list(line.around(["b"], up=False).nodes) == ["b", "c", "d"]
    assert [edge.target for edge in line.around(["b"], up=False).edges] == ["c", "d"]
    assert list(line.around(["nothing"]).nodes) == []


@pytest.mark.parametrize(("needs", "cycles"), [
    ({}, []),
    ({"a": "b", "b": "c", "c": ""}, []),
    ({"a": "a"}, ["aa"]),
    ({"a": "b", "b": "c", "c": "a", "d": "a"}, ["abca"]),
    ({"a": "b", "b": "a", "c": "d", "d": "c"}, ["aba", "cdc"]),
    ({"x": "a", "a": "b", "b": "a", "y": "xb"}, ["aba"]),
    ({"a": "z"}, []),
])
def test_cycles(needs, cycles):
    assert ["".join(cycle) for cycle in find_cycles(needs)] == cycles


def test_a_long_chain_is_no_recursion():
    chain = {f"{n:05}": {f"{n + 1:05}"} for n in range(20_000)}
    assert list(find_cycles(chain)) == []
    chain["20000"] = {"00000"}
    assert len(next(iter(find_cycles(chain)))) == 20_002


def test_dot_and_json_of_nothing():
    assert graph().to_json() == {"nodes": [], "edges": [], "cycles": []}
    assert graph().to_dot().count("\n") == 3


def job(number: int, group: str = "g", priority: int = 0, downstream: float = 0.0, estimate: float | None = 1.0) -> Job:
    values = dict.fromkeys(Job._fields) | {"id": number, "grp": group, "priority": priority, "downstream": downstream, "estimate": estimate}
    return Job(**values)


def order(jobs: list[Job], needs: dict[int, set[int]] | None = None) -> list[int]:
    return [each.id for each in preview_order(jobs, needs or {})]


def test_order_by_priority_then_dependencies_then_the_longest_way():
    assert order([job(1, priority=2), job(2, priority=0), job(3, priority=1)]) == [2, 3, 1]
    assert order([job(1), job(2), job(3)], {1: {2}, 2: {3}}) == [3, 2, 1]
    assert order([job(1, downstream=1.0), job(2, downstream=9.0), job(3, estimate=None), job(4, estimate=0.5)]) == [2, 1, 4, 3]


def test_order_keeps_to_one_group_while_it_can():
    jobs = [job(1, "a"), job(2, "b"), job(3, "a"), job(4, "b"), job(5, "a")]
    groups = ["ab"[number % 2 == 0] for number in order(jobs)]
    assert groups in (["a"] * 3 + ["b"] * 2, ["b"] * 2 + ["a"] * 3)
    assert order([job(1, "a"), job(2, "b"), job(3, "a")], {3: {2}, 1: {99}}) in ([1, 2, 3], [2, 1, 3], [2, 3, 1])
