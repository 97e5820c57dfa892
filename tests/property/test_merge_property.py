"""Laws of the merge, for any sidecars."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from regen_vcs.git.merge import identity_of, merge_documents
from regen_vcs.model.canonical import parse_json, pretty_bytes
from regen_vcs.model.recipe import parse_recipe, recipe_from_json

NAMES = st.sampled_from(["a", "b", "c", "d\u2028", "é"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["x", "y", "<<<<<<< ours", "======="]))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=5)
HASHES = st.integers(0, 3).map(lambda n: f"{n:064x}")
OUTPUTS = st.builds(lambda h, k, s: {"hash": f"blake3:{h}", "key": k, "size": s}, HASHES, HASHES, st.integers(0, 1))
MODELS = st.fixed_dictionaries({"hash": st.sampled_from(["sha256:aa", "sha256:bb"])}, optional={"name": st.sampled_from(["m", "n"])})
REVIEWS = st.fixed_dictionaries({"state": st.sampled_from(["wip", "final"])})


@st.composite
def sidecars(draw):
    document = {"regen": 1, "generator": draw(st.sampled_from(["texture", "tone"]))}
    optional = {
        "params": st.dictionaries(NAMES, VALUES, max_size=3),
        "models": st.dictionaries(NAMES, MODELS, max_size=2),
        "inputs": st.dictionaries(NAMES, st.sampled_from(["p.png", "q.png"]), max_size=2),
        "output": OUTPUTS,
        "review": REVIEWS,
        "meta": st.dictionaries(NAMES, VALUES, max_size=3),
        "zz": VALUES,
    }
    for name, values in optional.items():
        if draw(st.booleans()):
            document[name] = draw(values)
    return document


@st.composite
def edits(draw, base):
    """The base with some fields replaced: what sides of a merge look like."""
    other = draw(sidecars())
    kept = draw(st.sets(st.sampled_from(sorted(base.keys() | other.keys()))))
    mixed = {name: base[name] for name in base if name in kept} | {name: other[name] for name in other if name not in kept}
    return mixed | {"regen": 1, "generator": mixed.get("generator", base["generator"])}


@st.composite
def three(draw):
    base = draw(sidecars())
    return base, draw(edits(base)), draw(edits(base))


def merged(base, ours, theirs):
    return merge_documents(pretty_bytes(base), pretty_bytes(ours), pretty_bytes(theirs))


def sides(text):
    """Both documents that taking one side of all conflicts gives."""
    found = {"ours": [], "theirs": []}
    now = None
    for line in text.split("\n"):
        if line == "<<<<<<< ours":
            now = "ours"
        elif line == "=======" and now == "ours":
            now = "theirs"
        elif line == ">>>>>>> theirs":
            now = None
        else:
            for side in ("ours", "theirs") if now is None else (now,):
                found[side].append(line)
    return [json.loads("\n".join(lines)) for lines in found.values()]


@given(three())
@settings(max_examples=150)
def test_one_side_unchanged_gives_the_other(documents):
    base, one, _ = documents
    for result in (merged(base, one, base), merged(base, base, one), merged(base, one, one)):
        assert result.conflicts == []
        assert result.data == pretty_bytes(one)


@given(three())
@settings(max_examples=300)
def test_without_conflict_the_result_is_a_canonical_sidecar(documents):
    result = merged(*documents)
    if not result.conflicts:
        parse_recipe(result.data, "x")
        assert result.data == pretty_bytes(parse_json(result.data))


@given(three())
@settings(max_examples=400)
def test_either_side_of_the_conflicts_is_a_sidecar(documents):
    result = merged(*documents)
    if result.conflicts:
        for document in sides(result.data.decode()):
            recipe_from_json(parse_json(json.dumps(document).encode()))
        with_ours, with_theirs = sides(result.data.decode())
        for path in result.conflicts:
            assert at(with_ours, path) == at(documents[1], path)
            assert at(with_theirs, path) == at(documents[2], path)


def at(document, path):
    for name in filter(None, path.split(".")):
        document = document.get(name, "nothing") if isinstance(document, dict) else "nothing"
    return document


@given(three())
@settings(max_examples=300)
def test_the_order_of_the_sides_counts_for_taste_only(documents):
    """Swapped, the same fields conflict; identity and unknown fields come out the same. Only what prefers ours
    (the output of a new identity, meta) may differ."""
    base, ours, theirs = documents
    there, back = merged(base, ours, theirs), merged(base, theirs, ours)
    assert sorted(there.conflicts) == sorted(back.conflicts)
    if not there.conflicts:
        one, two = parse_json(there.data), parse_json(back.data)
        assert identity_of(one) == identity_of(two)
        assert one.get("zz") == two.get("zz")
        assert one.get("models") == two.get("models")


@given(three())
@settings(max_examples=200)
def test_output_is_always_one_of_the_sides(documents):
    base, ours, theirs = documents
    result = merged(base, ours, theirs)
    if not result.conflicts:
        document = parse_json(result.data)
        assert document.get("output") in (ours.get("output"), theirs.get("output"))
        key = identity_of(document)
        if key == identity_of(ours) != identity_of(theirs):
            assert document.get("output") == ours.get("output")
        if key == identity_of(theirs) != identity_of(ours):
            assert document.get("output") == theirs.get("output")
