"""From Python values to what a recipe holds: plain JSON, converted where that loses nothing, else refused by name."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import MAX_DEPTH, Json, json_path, normalise

_HINTS = {
    "bytes": "write it to a file and name that as an input",
    "bytearray": "write it to a file and name that as an input",
    "set": "a set has no order: pass sorted(…)",
    "frozenset": "a set has no order: pass sorted(…)",
    "ndarray": "pass .tolist(), or name the file it came from as an input",
    "Tensor": "pass .tolist(), or name the file it came from as an input",
    "datetime": "pass .isoformat()",
    "date": "pass .isoformat()",
    "Decimal": "pass float(…) or str(…)",
}


def plain_params(values: Mapping[str, object], field: str = "params") -> dict[str, Json]:
    """All of these as normal JSON values. InvalidError names the first that cannot be one, as in "params.size[0]"."""
    return {name: plain_value(value, name, field) for name, value in values.items()}


def plain_value(value: object, name: str, field: str = "params") -> Json:
    """One value as a normal JSON value.

    Taken over: None, booleans, integers, finite floats, strings, lists, tuples, mappings with string keys. Converted:
    enums (to their value), NumPy's scalars, dataclasses and pydantic models (to objects). Anything else, and NaN,
    infinity, lone surrogates, nesting over 64, is an InvalidError that names it.
    """
    where = json_path(field, name)
    plain = _plain(value, where, 0)
    try:
        return normalise(plain)
    except InvalidError as error:
        at = f"{where}.{error.field}" if error.field else where
        what = error.what.removeprefix(f"{error.field}: ")
        raise InvalidError(f"{at}: {what}", error.hint, field=at) from None


def _plain(value: object, where: str, depth: int) -> object:
    if depth > MAX_DEPTH:
        raise _refused(where, f"nesting over {MAX_DEPTH}")
    # Enums first: an IntEnum is an int, and must not end as one by its class.
    if isinstance(value, enum.Enum):
        return _plain(value.value, where, depth + 1)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(where, f"{value} is not a finite number", "leave it out, or use null for \"none\"")
        return float(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return _plain_object(value, where, depth)
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{number}]", depth + 1) for number, each in enumerate(value)]
    converted = _converted(value)
    if converted is value:
        raise _cannot(value, where)
    return _plain(converted, where, depth + 1)


def _plain_object(value: Mapping, where: str, depth: int) -> dict[str, object]:
    members = {}
    for key, each in value.items():
        if isinstance(key, enum.Enum):
            key = key.value
        if not isinstance(key, str):
            raise _refused(where, f"its key {_shown(key)} is not a string", "JSON objects have string keys")
        members[key] = _plain(each, f"{where}.{key}", depth + 1)
    return members


def _converted(value: object) -> object:
    """A value of a type that has one obvious plain form; else the value itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    kind = type(value)
    # By shape, so that neither NumPy nor pydantic is imported for it.
    if kind.__module__.partition(".")[0] == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    if hasattr(kind, "model_fields") and callable(getattr(value, "model_dump", None)):
        return value.model_dump()
    return value


def is_path(value: object) -> bool:
    """Whether a value is a path object (never a plain string, which may be anything)."""
    return hasattr(type(value), "__fspath__")


def _cannot(value: object, where: str) -> InvalidError:
    kind = type(value).__name__
    if is_path(value):
        return _refused(where, f"a path ({_shown(value)}) cannot be a param", "name it as an input, or pass str(path)")
    hint = _HINTS.get(kind, "pass something plain, or leave it out of the record with exclude=")
    return _refused(where, f"{kind} cannot be recorded ({_shown(value)})", hint)


def _refused(where: str, why: str, hint: str | None = None) -> InvalidError:
    return InvalidError(f"{where}: {why}", hint, field=where)


def _shown(value: object) -> str:
    """A value in an error: on one line, short, whatever its own repr does."""
    try:
        text = repr(value)
    except Exception:  # a third party's repr may raise anything, and the error must still name the param
        return type(value).__name__
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"
