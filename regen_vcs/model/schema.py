"""What a generator accepts: pydantic models and JSON Schemas, their errors told as ours, and `--param k=v`.

A generator declares a pydantic model, or (as `command` does) a JSON Schema. Both end in the same two promises:
a bad value is an InvalidError that names its field, and what comes out is complete plain JSON, every default
written out, so that a key never depends on installed code.

jsonschema (60 ms) is imported where a JSON Schema is used: many commands only load what declares a pydantic model.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import parse_json

MAX_EXACT_INTEGER = 2**53 - 1  # beyond it an integer stands as a decimal string (docs/spec: canonical form)
MAX_SEED = 2**64 - 1

_DECIMAL = re.compile(r"-?[0-9]+\Z")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_JSON_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
# A decimal longer than this is no parameter; int() on it is quadratic.
_MAX_DIGITS = 1000


def _integer_of_decimal(value: Any) -> Any:
    if isinstance(value, str) and _DECIMAL.match(value) and len(value) <= _MAX_DIGITS:
        return int(value)
    return value


def plain_integer(value: int) -> int | str:
    """An integer as recipes hold it: itself, or its decimal digits where a double could not hold it."""
    return value if -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER else str(value)


Seed = Annotated[
    int,
    pydantic.Field(ge=0, le=MAX_SEED),
    BeforeValidator(_integer_of_decimal),
    PlainSerializer(plain_integer),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_EXACT_INTEGER},
                {"type": "string", "pattern": "^[0-9]{1,20}$"},
            ]
        }
    ),
]
"""0 … 2^64-1; beyond 2^53-1 a decimal string in JSON."""


class Params(BaseModel):
    """Base of a generator's parameters: unknown names, NaN and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True, validate_default=True)


class OpenParams(BaseModel):
    """Parameters of a generator whose schema is not a pydantic model: any name, values as they stand in JSON."""

    model_config = ConfigDict(extra="allow", frozen=True)


# --- pydantic -------------------------------------------------------------------------------------------------


def model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a pydantic model, as `regen-vcs schema` prints it."""
    return model.model_json_schema()


def validate_model(model: type[BaseModel], raw: Mapping[str, Any], field: str = "params") -> BaseModel:
    """An instance of `model`; InvalidError names the first bad field, as in "params.width"."""
    check_finite(raw, field)
    known = {info.alias or name for name, info in model.model_fields.items()}
    for name in raw:
        if name not in known and model.model_config.get("extra") != "allow":
            raise _unknown(field, name, known)
    try:
        return model.model_validate(dict(raw))
    except pydantic.ValidationError as error:
        raise _invalid_of_pydantic(error, field) from None


def plain_params(instance: BaseModel) -> dict[str, Any]:
    """All parameters of an instance as plain JSON values, defaults included."""
    return instance.model_dump(mode="json", by_alias=True)


def _invalid_of_pydantic(error: pydantic.ValidationError, field: str) -> InvalidError:
    first = error.errors(include_url=False, include_context=False)[0]
    # Union members and function names appear among the location's parts; people know only names and indices.
    path = [part for part in first["loc"] if isinstance(part, int) or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part)]
    where = _join(field, [part for part in path if part not in ("str", "int", "float", "bool", "list", "tuple")])
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return InvalidError(f"{where}: {reason}, not {_shown(first.get('input'))}", field=where)


# --- JSON Schema ----------------------------------------------------------------------------------------------


def object_schema(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """A table of JSON Schema properties as the schema of the params; None: anything goes.

    What has no default must be given: a recipe is complete.
    """
    if properties is None:
        return {"type": "object"}
    required = sorted(name for name, prop in properties.items() if not (isinstance(prop, dict) and "default" in prop))
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


def check_schema(schema: Mapping[str, Any], field: str) -> None:
    """InvalidError unless `schema` is a sound JSON Schema that names nothing outside itself and whose defaults fit."""
    for value in _walk(schema):
        reference = value.get("$ref") if isinstance(value, dict) else None
        if reference is not None and not str(reference).startswith("#"):
            # jsonschema would fetch it from the network.
            raise InvalidError(f"{field}: $ref {reference!r} leaves the schema", field=field)
    for name, prop in schema.get("properties", {}).items():
        if not isinstance(prop, dict | bool):
            raise InvalidError(
                f"{field}.{name}: a property is a table, not {_shown(prop)}",
                f'as in {name} = {{ type = "integer", default = 4 }}',
                field=f"{field}.{name}",
            )
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = _join(field, [part for part in error.absolute_path if part != "properties"])
        raise InvalidError(f"{where}: {error.message}", field=where) from None
    for name, prop in schema.get("properties", {}).items():
        if isinstance(prop, dict) and "default" in prop:
            _validate_value(prop["default"], prop, f"{field}.{name}.default")


def validate_schema(schema: Mapping[str, Any], raw: Mapping[str, Any], field: str = "params") -> dict[str, Any]:
    """`raw` with the schema's defaults written out; InvalidError names the first bad field."""
    check_finite(raw, field)
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        for name in raw:
            if name not in properties:
                raise _unknown(field, name, properties)
    complete = {name: prop["default"] for name, prop in properties.items() if isinstance(prop, dict) and "default" in prop}
    complete.update(raw)
    _validate_value(
        {name: _typed_integer(value, properties.get(name)) for name, value in complete.items()}, schema, field
    )
    return complete


def _validate_value(value: Any, schema: Mapping[str, Any], field: str) -> None:
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if error is None:
        return
    where = _join(field, error.absolute_path)
    if error.validator == "required":
        missing = next((name for name in error.validator_value if name not in error.instance), "?")
        raise InvalidError(f"{where}.{missing} is missing", f"give it: {missing}=…", field=f"{where}.{missing}")
    raise InvalidError(f"{where}: {_shorten(error.message)}", field=where)


def _typed_integer(value: Any, prop: Any) -> Any:
    """A big integer in its decimal spelling, as the number that the schema speaks of."""
    if isinstance(prop, dict) and isinstance(value, str) and allowed_types(prop) & {"integer", "number"}:
        number = _integer_of_decimal(value)
        if "string" not in allowed_types(prop) and isinstance(number, int) and abs(number) > MAX_EXACT_INTEGER:
            return number
    return value


# --- text of the command line ---------------------------------------------------------------------------------


def parse_param(schema: Mapping[str, Any], name: str, text: str) -> Any:
    """The JSON value that `--param name=text` means under a schema.

    By the property's type first; where the schema leaves it open, JSON if `text` parses as such, else the string.
    Integers beyond ±(2^53-1) come out as decimal strings. InvalidError where the text fits no allowed type.
    Whether the value is in range is for validation to say.
    """
    prop = schema.get("properties", {}).get(name, True)
    types = allowed_types(prop, schema)
    for choice in _choices(prop, schema):
        if text == choice or (not isinstance(choice, str) and _parsed(text) == choice):
            return choice
    if types == {"string"}:
        return text
    if "boolean" in types and len(types) < len(_JSON_TYPES) and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    value = _parsed(text)
    if value is not _UNPARSABLE:
        fitted = _fitted(value, types)
        if fitted is not _UNPARSABLE:
            return fitted
    if "string" in types:
        return text
    words = " or ".join(sorted(types))
    raise InvalidError(f"params.{name}: {_shown(text)} is not of type {words}", field=f"params.{name}")


def allowed_types(prop: Any, root: Mapping[str, Any] | None = None, depth: int = 0) -> set[str]:
    """The JSON types that a property's schema lets pass, as far as its shape tells; all of them where it is open."""
    if not isinstance(prop, Mapping) or depth > 8:
        return set(_JSON_TYPES)
    if "type" in prop:
        named = prop["type"]
        return {named} if isinstance(named, str) else set(named)
    if "$ref" in prop:
        return allowed_types(_resolved(prop["$ref"], root), root, depth + 1)
    for word in ("anyOf", "oneOf"):
        if word in prop:
            return set().union(*(allowed_types(part, root, depth + 1) for part in prop[word]))
    if "const" in prop or "enum" in prop:
        return {_type_of(value) for value in prop.get("enum", [prop.get("const")])}
    return set(_JSON_TYPES)


_UNPARSABLE = object()


def _parsed(text: str) -> Any:
    try:
        return parse_json(text.encode())
    except (InvalidError, UnicodeEncodeError):
        return _UNPARSABLE


def _fitted(value: Any, types: set[str]) -> Any:
    """`value` where its type is allowed; 8.0 for an integer is 8."""
    kind = _type_of(value)
    if kind in types or (kind == "integer" and "number" in types):
        return value
    if kind == "number" and "integer" in types and value == math.floor(value):
        return int(value)
    if kind == "string" and types & {"integer", "number"} and _DECIMAL.match(value):
        return value  # an integer that parse_json spelt out
    return _UNPARSABLE


def _choices(prop: Any, root: Mapping[str, Any]) -> list[Any]:
    if not isinstance(prop, Mapping):
        return []
    if "$ref" in prop:
        return _choices(_resolved(prop["$ref"], root), root)
    return list(prop.get("enum", [prop["const"]] if "const" in prop else []))


def _resolved(reference: Any, root: Mapping[str, Any] | None) -> Any:
    """What "#/$defs/Name" points at; open where it points nowhere."""
    found: Any = root
    for part in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


# --- small things ---------------------------------------------------------------------------------------------


def check_finite(value: Any, field: str) -> None:
    """InvalidError for NaN and infinity, which JSON cannot hold, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidError(f"{field}: {value} is not a finite number", field=field)
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_finite(item, f"{field}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_finite(item, f"{field}.{index}")


def near_miss(name: str, known: Any) -> str | None:
    """A hint that names what was perhaps meant."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else None


def _unknown(field: str, name: str, known: Any) -> InvalidError:
    hint = near_miss(name, known) or ("known: " + ", ".join(sorted(known)) if known else None)
    return InvalidError(f"{field}.{name} is not a parameter of this generator", hint, field=f"{field}.{name}")


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _walk(value: Any) -> Iterator[Any]:
    yield value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for child in children:
        yield from _walk(child)


def _join(field: str, parts: Any) -> str:
    return ".".join([field, *(str(part) for part in parts)])


def _shown(value: Any) -> str:
    return _shorten(repr(value))


def _shorten(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
