"""A picture of the dependency graph: left to right, nothing on top of another, the same every time."""

from __future__ import annotations

import itertools
import random
import time

from addon_parts.graph_layout import connected, layout
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.lists(st.text("abcdefgh", min_size=1, max_size=2), unique=True, max_size=12)


def test_what_is_used_stands_left_of_what_uses_it():
    at = layout(["a", "b", "c", "d"], [("a", "b"), ("b", "d"), ("a", "d"), ("c", "d")])
    assert at["a"][0] < at["b"][0] < at["d"][0] and at["c"][0] < at["d"][0]


def test_nothing_and_one():
    assert layout([], []) == {}
    assert layout(["a"], []) == {"a": (0.0, 0.0)}


@given(NAMES, st.lists(st.tuples(st.text("abcdefgh", min_size=1, max_size=2), st.text("abcdefgh", min_size=1, max_size=2)), max_size=30), st.randoms())
def test_any_graph_circles_and_strangers_too(nodes, edges, rng):
    at = layout(nodes, edges)
    assert set(at) == set(nodes)
    assert len(set(at.values())) == len(at), "two nodes at one place"
    other_nodes, other_edges = list(nodes), list(edges)
    rng.shuffle(other_nodes)
    rng.shuffle(other_edges)
    assert layout(other_nodes, other_edges) == at


def test_few_crossings():
    """Two chains that alphabetical order would cross."""
    at = layout(["a1", "z1", "a2", "z2"], [("a1", "z2"), ("z1", "a2")])
    assert (at["a1"][1] > at["z1"][1]) == (at["z2"][1] > at["a2"][1])


def test_a_long_chain_needs_no_recursion():
    names = [f"n{n:05d}" for n in range(5000)]
    at = layout(names, itertools.pairwise(names))
    assert at[names[-1]][0] == 4999 * 260


def test_two_thousand_nodes_within_a_second():
    rng = random.Random(7)
    names = [f"n{n}" for n in range(2000)]
    edges = [(names[rng.randrange(n)], names[n]) for n in range(1, 2000) for _ in range(3)]
    before = time.process_time()
    layout(names, edges)
    assert time.process_time() - before < 5


def test_what_is_connected_comes_nearest_first():
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("x", "y"), ("b", "e"), ("d", "a"), ("c", "c")]
    assert connected("b", edges, 99) == ["b", "a", "c", "e", "d"]
    assert connected("b", edges, 3) == ["b", "a", "c"]
    assert connected("alone", edges, 3) == ["alone"]
