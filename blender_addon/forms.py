"""A generator's JSON Schema as a form: what to draw for each param, and the params out of what was filled in.

Nothing here knows Blender. Schemas may come from a repository's `regen.toml`, so nothing of them is taken on trust: what this
does not understand becomes a field for JSON text, and regen-vcs itself checks the params in the end.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

INT, FLOAT, BOOL, TEXT, ENUM, PATH, JSON = "int", "float", "bool", "text", "enum", "path", "json"
MAX_FIELDS = 300
MAX_CHOICES = 500
_MAX_LABEL = 120
_MAX_DESCRIPTION = 600
_MAX_NAME = 200
# Characters of a text that a field shows: Blender measures all of it each time it draws.
_MAX_SHOWN = 20_000
_MAX_DEPTH = 12
# Characters on which a pattern is tried: three repetitions one after another take the cube of that.
_MAX_MATCHED = 200
# Of Blender's number fields: an integer outside is edited as text.
INT_RANGE = (-(2**31), 2**31 - 1)
# Beyond this a JSON integer is no longer exact everywhere: the params carry it as a decimal string.
_EXACT = 2**53 - 1
# Names under which a generator asks for prose.
_PROSE = re.compile(r"(?:^|_)(?:prompt|text|lyrics|script|caption|description|notes?)(?:_|$)|^(?:positive|negative)", re.IGNORECASE)
_PATH_FORMATS = {"path", "file-path", "directory-path"}

# The identifier of "no value" in a menu: Blender draws an empty one as a line between items.
NOTHING = "(none)"

_MISSING = object()


class Field(NamedTuple):
    """One param.

    kind: what to draw, one of the seven words above; as_text: an int or float to edit as text, because it does not fit Blender's
    number fields or may be left empty; default: the value it starts with, None: none; choices: of an enum, (identifier, value),
    the identifiers unique; optional: empty means null; multiline: prose.
    """

    name: str
    kind: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[tuple[str, Any], ...] = ()
    title: str = ""
    description: str = ""
    required: bool = False
    multiline: bool = False
    as_text: bool = False
    optional: bool = False
    exclusive: tuple[bool, bool] = (False, False)
    pattern: str = ""
    also_text: bool = False

    @property
    def shown_default(self) -> Any:
        """The default as a widget of its kind takes it: a str for what is edited as text, an identifier for an enum."""
        if self.kind == ENUM:
            return next((name for name, value in self.choices if _same(value, self.default)), self.choices[0][0])
        if self.kind == BOOL:
            return self.default is True
        if self.kind in (JSON, TEXT, PATH):
            return "" if self.is_too_long else self._text
        if self.as_text:
            return "" if self.default is None else str(self.default)
        number = self.default if self.default is not None else self._nearest_to_zero()
        return int(number) if self.kind == INT else float(number)

    @property
    def is_too_long(self) -> bool:
        """Whether its value cannot be shown; it holds all the same, unless another one is typed."""
        return self.kind in (JSON, TEXT, PATH) and len(self._text) > _MAX_SHOWN

    @property
    def _text(self) -> str:
        if isinstance(self.default, str) and (self.kind != JSON or self.also_text):
            return self.default
        return _as_json(self.default) if self.kind == JSON else ""

    def _nearest_to_zero(self) -> float:
        at_least = max(0, self.minimum) if self.minimum is not None else 0
        return min(at_least, self.maximum) if self.maximum is not None else at_least


class FormError(Exception):
    """What was filled in does not hold. messages: {field: why}, in the fields' order."""

    def __init__(self, messages: Mapping[str, str]):
        super().__init__("; ".join(f"{name}: {why}" for name, why in messages.items()))
        self.messages = dict(messages)


def _as_json(value: Any) -> str:
    """A value as JSON text, "" for null and for what is nested too deep to be edited anyway."""
    try:
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return ""


# ---------------------------------------------------------------------------------------------------- schema → fields


def fields_of(schema: Any) -> list[Field]:
    """The fields of a schema's properties, in its order; [] for what is no schema of an object.

    Of more than MAX_FIELDS those that are needed, and the first of the others. No field has a name that cannot be shown or told.
    """
    if not isinstance(schema, Mapping) or not isinstance(schema.get("properties"), Mapping):
        return []
    required = schema.get("required")
    needed = {each for each in required if isinstance(each, str)} if isinstance(required, list) else set()
    properties = {name: prop for name, prop in schema["properties"].items() if is_name(name)}
    kept = set(sorted(properties, key=lambda name: name not in needed)[:MAX_FIELDS])
    return [_field(name, _resolve(prop, schema), name in needed, schema) for name, prop in properties.items() if name in kept]


def is_name(name: Any) -> bool:
    """Whether a param of this name can be drawn, and named on a command line as `name=value`."""
    return isinstance(name, str) and 0 < len(name) <= _MAX_NAME and name.isprintable() and "=" not in name


def _resolve(prop: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A property with its `$ref` followed within the schema; {} for anything else. Circles end."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(prop, Mapping):
            return {}
        reference = prop.get("$ref")
        parts = prop.get("allOf")
        if reference is None and isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], Mapping):
            prop = {**parts[0], **{key: value for key, value in prop.items() if key != "allOf"}}
            continue
        if not isinstance(reference, str):
            return prop
        target: Any = schema
        for step in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ():
            target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping) or target is schema:
            return {key: value for key, value in prop.items() if key != "$ref"}
        # What stands beside a reference (title, default) is nearer to the property.
        prop = {**target, **{key: value for key, value in prop.items() if key != "$ref"}}
    return {}


def _field(name: str, prop: Mapping[str, Any], required: bool, schema: Mapping[str, Any]) -> Field:
    described = Field(
        name, JSON, title=_label(prop.get("title")) or name.replace("_", " ").strip().capitalize() or name,
        description=_line(prop.get("description"), _MAX_DESCRIPTION), required=required,
        default=prop.get("default"),
    )  # fmt: skip
    kinds, optional = _alternatives(prop, schema)
    described = described._replace(optional=optional)
    if len(kinds) == 1:
        return _single(described, kinds[0])
    if _is_big_number(kinds):
        return _number(described, INT, next(each for each in kinds if each.get("type") == "integer"))._replace(as_text=True, maximum=None)
    texts = any(each.get("type") == "string" for each in kinds)
    return described._replace(also_text=texts)


def _alternatives(prop: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], bool]:
    """(the schemas a value may follow, null left out; whether null was among them)."""
    options = prop.get("anyOf", prop.get("oneOf"))
    if isinstance(options, list) and options:
        found = [_resolve(each, schema) for each in options[:20]]
    elif isinstance(prop.get("type"), list):
        found = [{**prop, "type": each} for each in prop["type"][:20] if isinstance(each, str)]
    else:
        found = [prop]
    kept = [each for each in found if each.get("type") != "null" and each.get("const", _MISSING) is not None]
    return kept, len(kept) < len(found)


def _is_big_number(kinds: Sequence[Mapping[str, Any]]) -> bool:
    """An integer, or its digits as a string: how seeds up to 2^64-1 are asked for."""
    types = sorted(str(each.get("type")) for each in kinds)
    digits = [each for each in kinds if each.get("type") == "string"]
    return types == ["integer", "string"] and isinstance(digits[0].get("pattern"), str) and "[0-9]" in digits[0]["pattern"]


def _single(described: Field, prop: Mapping[str, Any]) -> Field:
    choices = _choices(prop)
    if choices:
        return described._replace(kind=ENUM, choices=(*(((NOTHING, None),) if described.optional else ()), *choices))
    kind = prop.get("type")
    if kind == "boolean" and not described.optional:
        return described._replace(kind=BOOL, default=described.default is True)
    if kind in ("integer", "number"):
        return _number(described, INT if kind == "integer" else FLOAT, prop)
    if kind == "string":
        is_path = prop.get("format") in _PATH_FORMATS
        default = described.default if isinstance(described.default, str) else None
        pattern = prop.get("pattern") if isinstance(prop.get("pattern"), str) else ""
        return described._replace(
            kind=PATH if is_path else TEXT, default=default, multiline=not is_path and bool(_PROSE.search(described.name)),
            pattern=pattern or "",
        )  # fmt: skip
    return described


def _choices(prop: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """(identifier, value) of an enum; () where it is none, or holds what a menu cannot show."""
    values = prop.get("enum")
    if not isinstance(values, list) and "const" in prop:
        values = [prop["const"]]
    if not isinstance(values, list) or not 0 < len(values) <= MAX_CHOICES:
        return ()
    found: dict[str, Any] = {}
    for value in values:
        if not isinstance(value, (str, int, float, bool)) or value in ("", NOTHING):
            return ()
        if isinstance(value, str) and not (value.isprintable() and len(value) <= _MAX_NAME):
            return ()
        name = value if isinstance(value, str) and value not in found else json.dumps(value)
        found.setdefault(name, value)
    return tuple(found.items())


def _number(described: Field, kind: str, prop: Mapping[str, Any]) -> Field:
    low, high = _bound(prop, "minimum", "exclusiveMinimum", kind, 1), _bound(prop, "maximum", "exclusiveMaximum", kind, -1)
    default = _as_number(described.default, kind)
    fits = all(value is None or INT_RANGE[0] <= value <= INT_RANGE[1] for value in (low[0], high[0], default))
    return described._replace(
        kind=kind, default=default, minimum=low[0], maximum=high[0], exclusive=(low[1], high[1]),
        as_text=described.optional or (kind == INT and not fits),
    )  # fmt: skip


def _bound(prop: Mapping[str, Any], plain: str, exclusive: str, kind: str, step: int) -> tuple[float | None, bool]:
    """(a bound, whether it is itself outside). An exclusive bound of an integer is the next integer."""
    value, beyond = _finite(prop.get(plain)), _finite(prop.get(exclusive))
    if beyond is None:
        return (value, False) if value is None or kind == FLOAT else (math.ceil(value) if step > 0 else math.floor(value), False)
    if kind == FLOAT:
        return beyond, True
    return (math.floor(beyond) + 1 if step > 0 else math.ceil(beyond) - 1), False


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # What no float can hold is no bound, and no default.
    return value if abs(value) <= sys.float_info.max else None


def _as_number(value: Any, kind: str) -> Any:
    """A default as the number it is; a big integer may come as its digits."""
    if kind == INT and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,40}", value):
        return int(value)
    number = _finite(value)
    if number is None:
        return None
    if kind == FLOAT:
        return float(number)
    return int(number) if number == int(number) else None


def _label(value: Any) -> str:
    return _line(value, _MAX_LABEL)


def _line(value: Any, limit: int) -> str:
    """One printable line of at most `limit` characters."""
    if not isinstance(value, str):
        return ""
    text = " ".join("".join(char if char.isprintable() else " " for char in value[: limit * 4]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


# ---------------------------------------------------------------------------------------------------- values → params


def check(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, str]:
    """{field: what is wrong with its value}; {} where all is well."""
    return _convert(fields, values)[1]


def to_params(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """The params of what was filled in. values: {name: what its widget holds}; a field that is not in it keeps its default.

    A field that is optional and empty is left out unless its default is another than null. FormError where a value does not hold.
    """
    params, messages = _convert(fields, values)
    if messages:
        raise FormError(messages)
    return params


def _convert(fields: Sequence[Field], values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    params: dict[str, Any] = {}
    messages: dict[str, str] = {}
    for field in fields:
        try:
            value = _value(field, values[field.name]) if field.name in values else _untouched(field)
        except ValueError as error:
            messages[field.name] = str(error)
            continue
        if value is not _MISSING:
            params[field.name] = value
    return params, messages


def _untouched(field: Field) -> Any:
    """Of a field nobody touched regen-vcs knows the default itself."""
    if field.required and field.default is None and not field.optional:
        raise ValueError("is needed")
    return _MISSING


def _value(field: Field, value: Any) -> Any:
    """A widget's value as the param's; _MISSING to leave it out. ValueError says what is wrong with it."""
    if value is None or (isinstance(value, str) and not value.strip() and field.kind not in (TEXT, ENUM)):
        return _empty(field)
    if field.kind == BOOL:
        return bool(value)
    if field.kind == ENUM:
        return _choice(field, value)
    if field.kind in (INT, FLOAT):
        return _checked_number(field, value)
    if field.kind == JSON:
        return _from_json(field, value)
    return _from_text(field, value)


def _empty(field: Field) -> Any:
    if field.optional:
        return _MISSING if field.default is None else None
    if field.required:
        raise ValueError("is needed")
    return _MISSING


def _choice(field: Field, value: Any) -> Any:
    for name, meant in field.choices:
        if (isinstance(value, str) and value == name) or _same(value, meant):
            return _empty(field) if meant is None else meant
    raise ValueError(_line(f"is none of {', '.join(name for name, _ in field.choices[:12])}", _MAX_NAME))


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _checked_number(field: Field, value: Any) -> Any:
    number = _parse_number(field.kind, value)
    low, high = field.minimum, field.maximum
    if low is not None and (number < low or (field.exclusive[0] and number == low)):
        raise ValueError(f"must be {'more than' if field.exclusive[0] else 'at least'} {_said(low)}")
    if high is not None and (number > high or (field.exclusive[1] and number == high)):
        raise ValueError(f"must be {'less than' if field.exclusive[1] else 'at most'} {_said(high)}")
    if field.kind == INT and abs(number) > _EXACT:
        return str(number)
    return number


def _said(number: float) -> str:
    """All digits of an integer: a bound of a seed is told exactly."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def _parse_number(kind: str, value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip().replace("_", "")
        if kind == INT:
            if not re.fullmatch(r"[+-]?[0-9]{1,40}", text, re.ASCII):
                raise ValueError("must be a whole number")
            return int(text)
        value = _parse_float(text)
    if _finite(value) is None:
        raise ValueError("must be a number")
    if kind == INT and value != int(value):
        raise ValueError("must be a whole number")
    return int(value) if kind == INT else value


def _parse_float(text: str) -> float:
    """A decimal comma is understood: half of Europe types one."""
    if not re.fullmatch(r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?", text, re.ASCII):
        raise ValueError("must be a number")
    return float(text.replace(",", "."))


def _from_text(field: Field, value: Any) -> Any:
    text = value if isinstance(value, str) else str(value)
    if "\0" in text:
        raise ValueError("has a NUL in it")
    if not text and field.optional:
        return _empty(field)
    if not text and field.required and field.default is None:
        raise ValueError("is needed")
    if field.pattern and len(text) <= _MAX_MATCHED and _is_plain_pattern(field.pattern) and not re.search(field.pattern, text):
        raise ValueError(f"must be like {_line(field.pattern, _MAX_NAME)}")
    return text


def _is_plain_pattern(pattern: str) -> bool:
    """Whether a pattern can be tried here, on a short text: repeated groups, which can take for ever, are left to regen-vcs."""
    if len(pattern) > 200 or re.search(r"[)][*+{]|\\[1-9]", pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return len(re.findall(r"[*+{]", pattern)) <= 3


def _from_json(field: Field, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        if field.also_text:
            return value
        raise ValueError('must be JSON, as in [1, 2] or "a word"') from None


def _refuse(name: str) -> Any:
    raise ValueError(name)


# ------------------------------------------------------------------------------------------------- params → arguments


def to_arguments(params: Mapping[str, Any]) -> list[str]:
    """`--param` options for regen-vcs. What is no string goes as JSON; strings as they are, for its schema knows they are strings.

    A string that begins with `@` would be read as a file's name, so it goes as JSON too.
    """
    options = []
    for name, value in params.items():
        as_is = isinstance(value, str) and not value.startswith("@")
        options += ["--param", f"{name}={value if as_is else json.dumps(value, ensure_ascii=False)}"]
    return options
