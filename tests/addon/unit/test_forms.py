"""A generator's schema as a form, and the params out of it: exact numbers, plain messages, no trust in the schema."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from addon_parts.forms import (
    BOOL,
    ENUM,
    FLOAT,
    INT,
    JSON,
    PATH,
    TEXT,
    FormError,
    check,
    fields_of,
    to_arguments,
    to_params,
)
from hypothesis import given
from hypothesis import strategies as st


def field(prop, name="it", required=()):
    (found,) = fields_of({"type": "object", "properties": {name: prop}, "required": list(required)})
    return found


def value_of(prop, value, required=()):
    return to_params([field(prop, required=required)], {"it": value})["it"]


def message_of(prop, value, required=()):
    return check([field(prop, required=required)], {"it": value}).get("it", "")


@pytest.mark.parametrize(
    ("prop", "kind"),
    [
        ({"type": "integer"}, INT), ({"type": "number"}, FLOAT), ({"type": "boolean"}, BOOL), ({"type": "string"}, TEXT), ({"enum": ["a", "b"]}, ENUM),
        ({"type": "string", "enum": ["a"]}, ENUM), ({"const": "x"}, ENUM), ({"type": "string", "format": "file-path"}, PATH), ({"type": "array"}, JSON),
        ({"type": "object"}, JSON), ({}, JSON), ({"anyOf": [{"type": "string"}, {"type": "array"}]}, JSON), ({"type": ["number", "null"]}, FLOAT),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, JSON), ({"$ref": "#/$defs/none"}, JSON), (True, JSON), (None, JSON),
        ({"enum": []}, JSON), ({"enum": [{"a": 1}]}, JSON), ({"enum": list(range(501))}, JSON),
    ],
)  # fmt: skip
def test_kinds(prop, kind):
    assert field(prop).kind == kind


def test_words_of_a_field():
    found = field({"type": "string", "description": "what\nto  draw\x07", "title": "T" * 500}, "negative_prompt", ["negative_prompt"])
    assert found.description == "what to draw" and found.required and found.multiline
    assert len(found.title) == 120 and field({}, "tile_size").title == "Tile size"


def test_references_and_their_circles():
    schema = {"properties": {"a": {"$ref": "#/$defs/K", "default": "y"}, "b": {"$ref": "#/$defs/L"}}, "$defs": {"K": {"enum": ["x", "y"]}, "L": {"$ref": "#/$defs/L"}}}
    first, second = fields_of(schema)
    assert (first.kind, first.default, first.shown_default) == (ENUM, "y", "y") and second.kind == JSON


SEED = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, {"type": "string", "pattern": "^[0-9]{1,20}$"}], "default": 0}


def test_a_seed_of_64_bits_is_exact():
    seed = field(SEED)
    assert (seed.kind, seed.as_text, seed.shown_default) == (INT, True, "0")
    assert value_of(SEED, "18446744073709551557") == "18446744073709551557"
    assert value_of(SEED, "9007199254740993") == "9007199254740993", "2^53+1 is no JSON number"
    assert value_of(SEED, "42") == 42
    assert message_of(SEED, "-1") == "must be at least 0" and message_of(SEED, "1.5") == "must be a whole number"
    assert field({**SEED, "default": "18446744073709551557"}).shown_default == "18446744073709551557"


def test_an_integer_that_blender_cannot_hold_is_text():
    assert field({"type": "integer", "maximum": 2**40}).as_text
    assert field({"type": "integer", "default": 2**31}).as_text
    assert not field({"type": "integer", "maximum": 2**31 - 1}).as_text


@pytest.mark.parametrize(
    ("prop", "value", "said"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 4}, 0, "at least 1"), ({"type": "integer", "minimum": 1, "maximum": 4}, 5, "at most 4"),
        ({"type": "integer", "exclusiveMinimum": 1}, 1, "at least 2"), ({"type": "number", "exclusiveMinimum": 0}, 0, "more than 0"),
        ({"type": "number", "exclusiveMaximum": 1}, 1.0, "less than 1"), ({"type": "number"}, "abc", "a number"), ({"type": "number"}, float("nan"), "a number"),
        ({"type": "integer"}, True, "a number"), ({"type": "integer"}, "٣", "whole"), ({"enum": ["a", "b"]}, "c", "none of a, b"), ({"type": "array"}, "[1,", "JSON"),
        ({"type": "array"}, "[NaN]", "JSON"), ({"type": "string", "pattern": "^[a-z]+$"}, "A", "like"), ({"type": "string"}, "a\0", "NUL"),
    ],
)  # fmt: skip
def test_messages(prop, value, said):
    assert said in message_of(prop, value)


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_numbers_beyond_all_measure(kind):
    huge = 10**400
    assert isinstance(field({"type": kind, "minimum": huge, "maximum": -huge, "default": huge}).shown_default, int | float)
    assert message_of({"type": kind, "minimum": 3, "maximum": 10**300}, huge) == "must be a number"
    assert message_of({"type": "integer", "minimum": 2**63}, 1) == "must be at least 9223372036854775808"
    assert field({"type": "integer", "maximum": -5}).shown_default == -5


def test_a_default_nested_too_deep_is_not_shown():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert field({"type": "array", "default": deep}).shown_default == ""


def test_what_is_needed_is_said():
    assert message_of({"type": "string"}, "", ["it"]) == "is needed"
    assert check([field({"type": "string"}, required=["it"])], {}) == {"it": "is needed"}
    with pytest.raises(FormError) as caught:
        to_params(fields_of({"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a", "b"]}), {"a": "x", "b": ""})
    assert list(caught.value.messages) == ["a", "b"]


def test_values():
    assert value_of({"type": "number"}, "1,5") == 1.5 and value_of({"type": "number"}, 2) == 2
    assert value_of({"enum": [8, 16, "8"]}, "16") == 16
    assert value_of({"enum": [8, 16]}, 8) == 8
    assert value_of({"type": "string"}, "ä\n b ") == "ä\n b "
    assert value_of({"type": "array"}, "[1, 2]") == [1, 2]
    assert value_of({"anyOf": [{"type": "string"}, {"type": "array"}]}, "viridis") == "viridis"
    assert value_of({"type": "boolean"}, False) is False


def test_identifiers_of_a_menu_are_unique():
    choices = field({"enum": [8, "8", True, "true"]}).choices
    assert len({name for name, _ in choices}) == len(choices)
    for _, value in choices:
        assert value_of({"enum": [8, "8", True, "true"]}, next(name for name, each in choices if each is value)) == value


def test_null_is_an_empty_field():
    frequency = {"anyOf": [{"type": "number", "minimum": 0.001}, {"type": "null"}], "default": None}
    assert field(frequency).as_text and field(frequency).optional and field(frequency).shown_default == ""
    assert to_params([field(frequency)], {"it": ""}) == {}
    assert value_of(frequency, "440") == 440
    assert to_params([field({**frequency, "default": 5})], {"it": ""}) == {"it": None}, "emptied on purpose"


def test_untouched_fields_are_left_to_regen_vcs():
    assert to_params(fields_of({"properties": {"a": {"type": "integer", "default": 4}}}), {}) == {}


@pytest.mark.parametrize("schema", [None, [], 4, "x", {}, {"properties": []}, {"properties": None}, {"$ref": "#"}, {"properties": {"": {}, "x" * 201: {}}}])
def test_what_is_no_schema_has_no_fields(schema):
    assert fields_of(schema) == []


def test_a_schema_may_not_be_endless():
    assert len(fields_of({"properties": {f"p{n}": {"type": "string"} for n in range(10_000)}})) == 300


def test_of_too_many_fields_what_is_needed_is_kept():
    fields = fields_of({"properties": {f"p{n}": {"type": "string"} for n in range(10_000)}, "required": ["p9999", "p3"]})
    assert len(fields) == 300 and fields[-1].name == "p9999" and [each.name for each in fields[:4]] == ["p0", "p1", "p2", "p3"]


@pytest.mark.parametrize("name", ["a=b", "a\0b", "a\nb", "\ud800", "\u202eb", ""])
def test_a_name_that_cannot_be_shown_or_told_is_no_field(name):
    assert [each.name for each in fields_of({"properties": {name: {}, "__class__": {}, "schön": {}, "class": {}}})] == ["__class__", "schön", "class"]


def test_megabytes():
    before = time.process_time()
    million = "x" * 5_000_000
    assert field({"enum": [million, "a"]}).kind == JSON and field({"type": "string", "enum": ["\u202ea", "a"]}).kind == TEXT
    assert field({"enum": [str(number) for number in range(700_000)]}).kind == JSON
    shown = field({"type": "string", "default": million})
    assert shown.is_too_long and shown.shown_default == "" and value_of({"type": "string", "default": million}, "y") == "y"
    assert not field({"type": "string", "default": "x" * 20_000}).is_too_long
    assert len(field({"type": "string", "title": million, "description": million}).description) == 600
    many = {"properties": {f"p{n}": {"enum": [f"{n} {choice}" for choice in range(500)]} for n in range(300)}}
    assert [len(each.choices) for each in fields_of(many)] == [500] * 300
    assert time.process_time() - before < 5


def test_a_hostile_pattern_is_not_tried():
    before = time.process_time()
    assert value_of({"type": "string", "pattern": "^(a+)+$"}, "a" * 40 + "!") == "a" * 40 + "!"
    assert value_of({"type": "string", "pattern": "("}, "x") == "x"
    assert message_of({"type": "string", "pattern": "^a*a*a*$"}, "a" * 199 + "!")
    message_of({"type": "string", "pattern": "^a*a*a*$"}, "a" * 10_000 + "!")
    assert time.process_time() - before < 10


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6), lambda c: st.lists(c, max_size=4) | st.dictionaries(st.text(max_size=6), c, max_size=4), max_leaves=10
)
WORDS = ["type", "enum", "const", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "anyOf", "oneOf", "allOf", "$ref", "title", "description", "pattern", "format"]
VALUES = JSON_VALUE | st.sampled_from(["integer", "number", "string", "boolean", "array", "null", "#/properties/a"])


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6) | JSON_VALUE, max_size=2), JSON_VALUE)
def test_any_schema_gives_a_form_that_can_be_drawn_and_filled(properties, value):
    fields = fields_of({"properties": properties, "required": ["a"]})
    assert len(fields) == len(properties)
    for each in fields:
        shown = each.shown_default
        expected = {BOOL: bool, FLOAT: str if each.as_text else float, INT: str if each.as_text else int}.get(each.kind, str)
        assert isinstance(shown, expected)
        try:
            json.dumps(to_params([each], {each.name: value}))
        except FormError as error:
            assert all(error.messages.values())


@pytest.mark.parametrize("generator", ["texture", "tone", "diffusers", "blender"])
def test_the_forms_of_the_built_in_generators(generator, tmp_path):
    """Untouched and as shown, each form is filled in well."""
    done = subprocess.run([sys.executable, "-I", "-m", "regen_vcs", "schema", generator], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    fields = fields_of(json.loads(done.stdout))
    assert len(fields) > 3
    needed = {each.name: "x" for each in fields if each.required and each.default is None}
    shown = {each.name: each.shown_default for each in fields}
    assert check(fields, {**shown, **needed}) == {}


def test_arguments():
    params = {"prompt": "rain = wet", "at": "@home", "n": 4, "on": True, "list": ["ä"], "seed": "18446744073709551557", "none": None}
    assert to_arguments(params)[1::2] == ["prompt=rain = wet", 'at="@home"', "n=4", "on=true", 'list=["ä"]', "seed=18446744073709551557", "none=null"]


def test_a_form_makes_a_recipe(home):
    project = home.repo()
    fields = fields_of(json.loads(project.regen("schema", "texture").stdout))
    params = to_params(fields, {"seed": "18446744073709551557", "width": 16, "height": 16, "depth": "8", "kind": "worley", "ramp": '["#000000", "#ff0000"]', "strength": 1.0})
    project.regen("generate", "a.png", "--generator", "texture", *to_arguments(params))
    made = json.loads(project.path("a.png.regen.json").read_bytes())["params"]
    assert made["seed"] == "18446744073709551557" and made["ramp"] == ["#000000", "#ff0000"] and made["depth"] == 8 and made["kind"] == "worley"
