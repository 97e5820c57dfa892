"""What a generator accepts: `--param k=v` by its type, JSON Schemas, pydantic models, and errors that name the field."""

from __future__ import annotations

import typing

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from regen_vcs.errors import InvalidError
from regen_vcs.generators import registry
from regen_vcs.model import schema
from regen_vcs.model.canonical import canonical_bytes, parse_json

OPEN = {"type": "object"}
TYPED = {
    "type": "object",
    "properties": {
        "steps": {"type": "integer"},
        "strength": {"type": "number"},
        "tiled": {"type": "boolean"},
        "prompt": {"type": "string"},
        "mode": {"enum": ["fast", 2, True, None]},
        "stops": {"type": "array"},
        "extra": {"type": "object"},
        "either": {"anyOf": [{"type": "string"}, {"type": "array"}, {"type": "null"}]},
        "count": {"type": ["integer", "null"]},
        "named": {"$ref": "#/$defs/Size"},
        "lost": {"$ref": "#/$defs/Nothing"},
    },
    "$defs": {"Size": {"type": "integer"}},
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "20", 20),
        ("steps", "-3", -3),
        ("steps", "2e3", 2000),
        ("steps", "8.0", 8),
        ("steps", "18446744073709551557", "18446744073709551557"),
        ("steps", "-18446744073709551557", "-18446744073709551557"),
        ("strength", "0.5", 0.5),
        ("strength", "2", 2),
        ("strength", "1e-3", 0.001),
        ("tiled", "true", True),
        ("tiled", "Yes", True),
        ("tiled", "off", False),
        ("prompt", "20", "20"),
        ("prompt", "true", "true"),
        ("prompt", '{"a": 1}', '{"a": 1}'),
        ("prompt", "", ""),
        ("prompt", "Regen über Glas", "Regen über Glas"),
        ("mode", "fast", "fast"),
        ("mode", "2", 2),
        ("mode", "true", True),
        ("mode", "null", None),
        ("stops", '["#000", "#fff"]', ["#000", "#fff"]),
        ("extra", '{"a": 18446744073709551615}', {"a": "18446744073709551615"}),
        ("either", "clouds", "clouds"),
        ("either", '["a"]', ["a"]),
        ("either", "12", "12"),
        ("either", "[broken", "[broken"),
        ("either", "null", None),
        ("count", "null", None),
        ("named", "7", 7),
        ("lost", "7", 7),
        ("unknown", "7", 7),
        ("unknown", "rain", "rain"),
        ("unknown", "NaN", "NaN"),
        ("unknown", '{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        ("unknown", "1e999", "1e999"),
    ],
)
def test_text_is_typed_by_the_schema(name, text, value):
    found = schema.parse_param(TYPED, name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"), [("steps", "two"), ("steps", "1.5"), ("steps", ""), ("tiled", "maybe"), ("stops", "{}"), ("strength", "NaN")]
)
def test_text_of_another_type_is_refused(name, text):
    with pytest.raises(InvalidError) as caught:
        schema.parse_param(TYPED, name, text)
    assert caught.value.field == f"params.{name}"


@given(st.text(max_size=60))
def test_open_text_never_fails_and_survives_canonical_json(text):
    value = schema.parse_param(OPEN, "x", text)
    try:
        data = canonical_bytes({"x": value})
    except InvalidError:
        return  # a lone surrogate: the sidecar refuses it, with a reason
    assert canonical_bytes(parse_json(data)) == data


def test_seeds_to_two_to_the_64():
    texture = registry.load("texture")
    typed = schema.parse_param(registry.params_schema(texture), "seed", "18446744073709551615")
    complete = registry.complete_params(texture, {"seed": typed})
    assert complete["seed"] == "18446744073709551615"
    assert registry.typed_params(texture, complete).seed == 2**64 - 1
    assert registry.complete_params(texture, {"seed": str(2**53 - 1)})["seed"] == 2**53 - 1
    jsonschema.validate(complete, registry.params_schema(texture))


@pytest.mark.parametrize("name", ["texture", "tone"])
def test_complete_params_are_complete_plain_and_stable(name):
    generator = registry.load(name)
    complete = registry.complete_params(generator, {})
    assert set(complete) == set(generator.Params.model_fields)
    through_sidecar = parse_json(canonical_bytes(complete))
    assert canonical_bytes(registry.complete_params(generator, through_sidecar)) == canonical_bytes(complete)
    jsonschema.validate(complete, registry.params_schema(generator))


@pytest.mark.parametrize("name", ["texture", "tone"])
def test_schemas_survive_canonical_json(name):
    """They are exported to .regen/schemas: no number in them that JSON cannot hold."""
    made = registry.params_schema(registry.load(name))
    assert parse_json(canonical_bytes(made)) == parse_json(canonical_bytes(parse_json(canonical_bytes(made))))
    for prop in made["properties"].values():
        assert prop["description"]
        assert "default" in prop


class Loose(BaseModel):
    """A third party's model that forgot to forbid: we do it for them."""

    size: int = 3
    tags: list[str] = []


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"sise": 1}, "params.sise"),
        ({"size": "x"}, "params.size"),
        ({"tags": ["a", 3]}, "params.tags.1"),
        ({"size": float("nan")}, "params.size"),
        ({"tags": [float("inf")]}, "params.tags.0"),
    ],
)
def test_errors_of_any_model_name_their_field(raw, field):
    with pytest.raises(InvalidError) as caught:
        schema.validate_model(Loose, raw)
    assert caught.value.field == field
    assert caught.value.what.startswith(field)


# -- JSON Schema properties, as a command's table has them ---------------------------------------------------------

PROPERTIES: dict[str, typing.Any] = {
    "scale": {"type": "integer", "minimum": 1, "maximum": 8, "default": 2},
    "mode": {"enum": ["fast", "good"], "default": "good"},
    "prompt": {"type": "string"},
}


def test_defaults_are_written_out():
    made = schema.object_schema(PROPERTIES)
    assert schema.validate_schema(made, {"prompt": "x"}) == {"scale": 2, "mode": "good", "prompt": "x"}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "params.prompt"),
        ({"prompt": 3}, "params.prompt"),
        ({"prompt": "x", "scale": 9}, "params.scale"),
        ({"prompt": "x", "scale": "2"}, "params.scale"),
        ({"prompt": "x", "scale": True}, "params.scale"),
        ({"prompt": "x", "mode": "best"}, "params.mode"),
        ({"prompt": "x", "sclae": 2}, "params.sclae"),
        ({"prompt": "x", "scale": float("nan")}, "params.scale"),
    ],
)
def test_what_the_schema_does_not_allow(raw, field):
    with pytest.raises(InvalidError) as caught:
        schema.validate_schema(schema.object_schema(PROPERTIES), raw)
    assert caught.value.field == field


def test_without_properties_anything_goes():
    raw = {"a": [1, {"b": None}], "seed": "18446744073709551615"}
    assert schema.validate_schema(schema.object_schema(None), raw) == raw


def test_a_big_integer_is_an_integer():
    made = schema.object_schema({"seed": {"type": "integer", "minimum": 0}})
    assert schema.validate_schema(made, {"seed": "18446744073709551615"}) == {"seed": "18446744073709551615"}
    for bad in ("-18446744073709551615", "12", "1e30", "9" * 2000):
        with pytest.raises(InvalidError):
            schema.validate_schema(made, {"seed": bad})


@pytest.mark.parametrize(
    "properties",
    [
        {"a": {"type": "integr"}},
        {"a": {"type": "integer", "default": "x"}},
        {"a": {"$ref": "http://127.0.0.1:1/schema.json"}},
        {"a": {"items": {"$ref": "file:///etc/passwd"}}},
        {"a": "integer"},
        {"a": 3},
    ],
    ids=str,
)
def test_unsound_schemas_are_refused(properties):
    with pytest.raises(InvalidError) as caught:
        schema.check_schema(schema.object_schema(properties), "generators.x.params")
    assert caught.value.field.startswith("generators.x.params")
