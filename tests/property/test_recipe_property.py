"""What holds of every recipe, every manifest, and every string of bytes given for one."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.canonical import MAX_SAFE_INTEGER, canonical_bytes, normalise, parse_json
from regen_vcs.model.key import compute_key
from regen_vcs.model.manifest import Member, manifest_bytes, parse_manifest
from regen_vcs.model.paths import frames_text, parse_frames
from regen_vcs.model.recipe import Model, Output, Recipe, parse_recipe, recipe_bytes

names = st.text(min_size=1, max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(-1e15, 1e15) | st.text(max_size=10)
normal_values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6).map(normalise)
objects = st.dictionaries(names, normal_values, max_size=4)
extras = st.dictionaries(names.map("x-".__add__), normal_values, max_size=2)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
counts = st.integers(0, MAX_SAFE_INTEGER)


def maybe(strategy):
    return st.none() | strategy


frames = st.sets(st.integers(0, 60), min_size=1).map(frames_text)
models = st.builds(Model, maybe(hashes.map("sha256:".__add__)), st.text(min_size=1, max_size=8), maybe(st.text(min_size=1, max_size=5)), extras)
outputs = st.builds(
    Output,
    hashes,
    hashes,
    counts,
    maybe(hashes.map("pixels:blake3:".__add__)),
    maybe(st.text("abcXYZ019+/", min_size=1)),
    objects,
    maybe(counts),
    maybe(frames),
    extras,
)
inputs = st.sampled_from(["a.png", "../a.png", "../../b/c.####.exr", "@plates/x.exr", "./@a/b", "new\nline", "é.png"])
recipes = st.builds(
    Recipe,
    st.sampled_from(["texture", "command:up-scale", "a.b_c"]),
    maybe(hashes),
    st.dictionaries(names, models, max_size=2),
    objects,
    st.dictionaries(names, inputs, max_size=3),
    maybe(outputs),
    maybe(extras),
    objects,
    extras,
)


@given(recipes)
def test_a_recipe_survives_its_text(recipe):
    data = recipe_bytes(recipe)
    again = parse_recipe(data, "x")
    assert again == recipe
    assert recipe_bytes(again) == data


@given(recipes)
def test_any_spelling_of_a_sidecar_gives_the_same_key(recipe):
    hashes = dict.fromkeys(recipe.inputs, "0" * 64)
    respelt = json.dumps(parse_json(recipe_bytes(recipe)), indent=1).encode()
    assert compute_key(parse_recipe(respelt, "x"), "a.png", hashes) == compute_key(recipe, "a.png", hashes)


GOOD = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "corpus" / "bad_sidecars").glob("[imor]*-*.json"))]
damaged = st.builds(
    lambda data, at, cut, new: data[: at % len(data)] + new + data[at % len(data) + cut :],
    st.sampled_from([data for data in GOOD if 2 < len(data) < 5000]),
    st.integers(0, 5000),
    st.integers(0, 30),
    st.binary(max_size=6) | st.sampled_from([b"null", b"{}", b"[]", b"1e400", b"\\ud800", b'"', b"-1", b"true"]),
)


@given(st.binary(max_size=300) | damaged | objects.map(canonical_bytes))
def test_any_bytes_are_a_recipe_or_invalid(data):
    try:
        recipe = parse_recipe(data, "x.regen.json")
    except RegenError as error:
        assert isinstance(error, InvalidError)
        assert error.what.startswith("x.regen.json: ")
        assert "\n" not in error.what
        return
    assert parse_recipe(recipe_bytes(recipe), "x") == recipe


fields = st.sampled_from(["regen", "generator", "definition", "models", "params", "inputs", "output", "review", "meta", "hash", "key", "size", "media", "files", "frames", "look", "content", "name", "version"])
likely = st.recursive(scalars | hashes | hashes.map("blake3:".__add__), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(fields, inner, max_size=6), max_leaves=20)


@given(st.dictionaries(fields, likely, max_size=9))
def test_any_fields_are_a_recipe_or_invalid(document):
    try:
        data = canonical_bytes({"regen": 1, "generator": "texture"} | document)
        parse_recipe(data, "x")
    except RegenError as error:
        assert isinstance(error, InvalidError)


@given(st.binary(max_size=200) | objects.map(canonical_bytes))
def test_any_bytes_are_a_manifest_or_invalid(data):
    try:
        assert manifest_bytes(parse_manifest(data)) == data
    except RegenError as error:
        assert isinstance(error, InvalidError)


members = st.lists(st.builds(Member, st.text(min_size=1, max_size=6), hashes, counts), max_size=6)


@given(members)
def test_a_manifest_has_one_encoding(members):
    try:
        data = manifest_bytes(members)
    except InvalidError:
        return
    assert sorted(parse_manifest(data)) == sorted(members)
    assert manifest_bytes(reversed(members)) == data


@given(st.sets(st.integers(0, 200), min_size=1))
def test_frames_there_and_back(numbers):
    ranges = parse_frames(frames_text(numbers))
    assert {number for first, last in ranges for number in range(first, last + 1)} == numbers
