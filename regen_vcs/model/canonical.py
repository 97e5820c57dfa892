"""A JSON value and its one byte string: strict parsing, RFC 8785 bytes, and the pretty text we write.

The canonical form is RFC 8785 (JCS) over I-JSON with one rule added, the big-integer rule: an integer
beyond ±(2^53−1), spelt as an integer, is the same value as the string of its decimal digits (seeds reach
2^64−1, which no double holds). Any other number beyond that is refused. docs/spec/canonical.md has it in
MUST words; tests/vectors/canonical.json freezes the bytes.

`parse_json` and `normalise` give *normal* values: no integer beyond ±(2^53−1), no float that is an integer
(1.0 is 1, -0.0 is 0), no tuple, and keys in JCS order (`normalise` only).
"""

from __future__ import annotations

import json
import re

from regen_vcs.errors import InvalidError

Json = bool | int | float | str | list | dict | None

MAX_BYTES = 1 << 20  # of a sidecar
MAX_DEPTH = 64  # containers open at once
MAX_SAFE_INTEGER = (1 << 53) - 1  # the largest that a double and its neighbours tell apart

# Digits that always fit under MAX_SAFE_INTEGER, and that never do.
_SAFE_DIGITS, _UNSAFE_DIGITS = 15, 17

# With ensure_ascii off, the C encoder escapes strings just as JCS does: only `"`, `\` and U+0000…U+001F.
# Without a default and with these separators it differs from JCS in key order and in floats alone.
_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode

# An unterminated string runs to the end of the text, so that no input is scanned twice.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_BRACKETS = re.compile(_STRING + r"|[\[\]{}]", re.DOTALL)
_TOKENS = re.compile(_STRING + r'|[\[\]{}:,]|[^\s"\[\]{}:,]+', re.DOTALL)
_EXPONENT = re.compile(r"\de-\d")
_PLAIN_STEP = re.compile(r"[\w@-]+")


class _Refused(Exception):
    """Raised by the decoder's hooks, which do not know where they are; `_find_refused` does."""


# ---------------------------------------------------------------- parsing


def parse_json(data: bytes, *, max_bytes: int = MAX_BYTES) -> Json:
    """The normal value of JSON text in UTF-8.

    Refused with InvalidError, which says where: anything RFC 8259 does not allow, duplicate keys, NaN and
    Infinity, numbers beyond ±(2^53−1) spelt with `.` or an exponent, lone surrogates, a byte order mark,
    nesting over MAX_DEPTH, more than `max_bytes` bytes.
    """
    text = _decode_utf8(data, max_bytes)
    if _is_too_deep(text):
        raise _refusal(text)
    try:
        value = _decode(text)
        if "\\u" in text:
            _encode(value).encode()  # a lone surrogate can only come from an escape
    except json.JSONDecodeError as error:
        raise InvalidError(f"not JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
    except (_Refused, UnicodeEncodeError):
        raise _refusal(text) from None
    return value


def _decode_utf8(data: bytes, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise InvalidError(f"{len(data):,} bytes, over the limit of {max_bytes:,}")
    if not data:
        raise InvalidError("is empty")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InvalidError("not UTF-8 but UTF-16", "save it as UTF-8 without a byte order mark")
    if data[:3] == b"\xef\xbb\xbf":
        raise InvalidError("starts with a byte order mark", "save it as UTF-8 without a byte order mark")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidError(f"not UTF-8: byte {error.start}, line {line}") from None


def _is_too_deep(text: str) -> bool:
    # Checked before parsing: how deep a parser can go is its own business, not the format's.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _BRACKETS.finditer(text):
        character = text[match.start()]
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character != '"':
            depth -= 1
    return False


def _integer(literal: str) -> int | str:
    """An integer literal; JSON's grammar makes a long one its own decimal string, so none is converted."""
    if len(literal) <= _SAFE_DIGITS:
        return int(literal)
    if len(literal) > _UNSAFE_DIGITS:
        return literal
    return _normal_integer(int(literal))


def _normal_integer(number: int) -> int | str:
    return number if -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER else str(number)


def _real(literal: str) -> int | float:
    return _normal_float(float(literal))


def _normal_float(number: float) -> int | float:
    if not -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER:  # also NaN and the infinities
        raise _Refused
    return int(number) if number.is_integer() else number


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused
    return members


def _constant(literal: str) -> Json:
    raise _Refused


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant
).decode


# ---------------------------------------------------------------- saying where


def _refusal(text: str) -> InvalidError:
    """The error for the first thing in `text` that is refused although its grammar may be right."""
    problem, field, position = _find_refused(text)
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    at = f"line {line}, column {column}" + (f" ({_shortened(field)})" if field else "")
    return InvalidError(f"{problem}, {at}", field=field)


def _find_refused(text: str) -> tuple[str, str | None, int]:
    """(problem, JSON path, position) of the first refused token. Slow; runs on refused text only."""
    open_containers: list[_Container] = []
    for match in _TOKENS.finditer(text):
        lexeme = match.group()
        top = open_containers[-1] if open_containers else _Container("[")
        if lexeme in "[{":
            open_containers.append(_Container(lexeme))
            problem = f"nesting over {MAX_DEPTH}" if len(open_containers) > MAX_DEPTH else None
        elif lexeme in "]}":
            del open_containers[-1:]
            problem = None
        elif lexeme in ":,":
            top.punctuate(lexeme)
            problem = None
        elif lexeme[0] == '"':
            problem = top.string_problem(lexeme)
        else:
            problem = _scalar_problem(lexeme)
        if problem:
            return problem, _path_of(open_containers), match.start()
    return "not canonicalisable", None, 0


class _Container:
    """One array or object that is open while tokens are walked, and the step taken in it."""

    def __init__(self, bracket: str):
        self.keys: set[str] | None = set() if bracket == "{" else None
        self.step: str | int | None = None if bracket == "{" else 0
        self.awaits_key = bracket == "{"

    def punctuate(self, lexeme: str) -> None:
        if self.keys is None:
            self.step += lexeme == ","
        else:
            self.awaits_key = lexeme == ","

    def string_problem(self, lexeme: str) -> str | None:
        value = _decode_string(lexeme)
        if self.awaits_key:
            self.step = value
            if value in self.keys:
                return "duplicate key"
            self.keys.add(value)
        return None if _is_unicode(value) else "lone surrogate"


def _decode_string(lexeme: str) -> str:
    try:
        return json.loads(lexeme)
    except ValueError:  # nesting is refused before the grammar is known to hold
        return lexeme


def _scalar_problem(lexeme: str) -> str | None:
    if lexeme in ("NaN", "Infinity", "-Infinity"):
        return f"{lexeme} is not a JSON number"
    try:
        if any(mark in lexeme for mark in ".eE"):
            _real(lexeme)
    except ValueError:
        return None
    except _Refused:
        return f"number {_shortened(lexeme)} beyond ±(2^53−1)"
    return None


def _path_of(open_containers: list[_Container]) -> str | None:
    return json_path(*(each.step for each in open_containers if each.step is not None)) or None


def json_path(*steps: str | int) -> str:
    """How errors name a place in a JSON value: ("a", 2, "b c") → `a[2]."b c"`. Always one line."""
    field = None
    for step in reversed(steps):
        field = _joined(step, field)
    return field or ""


def _joined(step: str | int, field: str | None) -> str:
    """The JSON path `field`, seen from one container further out."""
    if isinstance(step, int):
        head = f"[{step}]"
    else:
        head = step if _PLAIN_STEP.fullmatch(step) else json.dumps(step)
    if field is None:
        return head
    return head + field if field.startswith("[") else f"{head}.{field}"


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:24]}… ({len(text)} characters)"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ---------------------------------------------------------------- writing


def canonical_bytes(value: Json) -> bytes:
    """The one byte string of a JSON value: RFC 8785 and the big-integer rule.

    Raises InvalidError, whose `field` is the JSON path, for what `normalise` refuses.
    """
    normal = normalise(value)
    text = _encode(normal)
    if "e-" in text and _EXPONENT.search(text):
        # Perhaps a float under 1e-4, which Python spells 1e-05 and JCS 0.00001. (Floats from 1e16 on, the
        # other place where the two differ, are refused.) Or only a string that looks like one: no harm.
        text = _text(normal, "", "", ":")
    return text.encode()


def pretty_bytes(value: Json) -> bytes:
    """What this tool writes: two spaces, JCS order, one array element a line, one final LF.

    Raises InvalidError as `canonical_bytes` does.
    """
    return pretty_bytes_of_normal(normalise(value))


def pretty_bytes_of_normal(normal: Json) -> bytes:
    """`pretty_bytes` of what `normalise` gave, without normalising it again."""
    return (_text(normal, "\n", "  ", ": ") + "\n").encode()


def normalise(value: Json) -> Json:
    """The normal value that `parse_json` gives for the text of `value`, with keys in JCS order.

    Raises InvalidError, whose `field` is the JSON path, for what JSON cannot hold: other types, keys that
    are not strings, NaN and the infinities, floats beyond ±(2^53−1), lone surrogates, nesting over MAX_DEPTH.
    """
    try:
        return _normal(value, MAX_DEPTH)
    except InvalidError as error:
        raise InvalidError(
            f"{error.field}: {error.what}" if error.field else error.what, field=error.field
        ) from None


def _normal(value: Json, depth: int) -> Json:
    # Most common first; booleans are integers to Python, never to JSON.
    if isinstance(value, str):
        if value.isascii() or _is_unicode(value):
            return value
        raise InvalidError("lone surrogate")
    if isinstance(value, dict):
        return _normal_object(value, depth)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _normal_python_integer(value)
    if isinstance(value, float):
        return _normal_python_float(value)
    if isinstance(value, list | tuple):
        return _normal_array(value, depth)
    raise InvalidError(f"{type(value).__name__} is not a JSON type")


def _normal_python_integer(value: int) -> int | str:
    try:
        return _normal_integer(value)
    except ValueError:  # Python's own limit on the digits of an integer it spells
        raise InvalidError(f"integer of {value.bit_length():,} bits; spell it as a string") from None


def _normal_python_float(value: float) -> int | float:
    try:
        return _normal_float(value)
    except _Refused:
        raise InvalidError(f"number {value!r} beyond ±(2^53−1)") from None


def _normal_object(value: dict, depth: int) -> dict:
    if not depth:
        raise InvalidError(f"nesting over {MAX_DEPTH}")
    keys = _sorted_keys(value)
    members: dict[str, Json] = {}
    try:
        for key in keys:
            members[key] = _normal(value[key], depth - 1)
    except InvalidError as error:
        raise InvalidError(error.what, field=_joined(key, error.field)) from None
    return members


def _normal_array(value: list | tuple, depth: int) -> list:
    if not depth:
        raise InvalidError(f"nesting over {MAX_DEPTH}")
    elements = []
    try:
        for element in value:
            elements.append(_normal(element, depth - 1))
    except InvalidError as error:
        raise InvalidError(error.what, field=_joined(len(elements), error.field)) from None
    return elements


def _sorted_keys(members: dict) -> list[str]:
    try:
        if "".join(members).isascii():
            return sorted(members)
        return sorted(members, key=_utf16)
    except TypeError:
        raise InvalidError("object keys must be strings") from None
    except UnicodeEncodeError:
        raise InvalidError("lone surrogate in a key") from None


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _text(value: Json, newline: str, step: str, colon: str) -> str:
    """The text of a normal value; `newline` is the line end and indent of the value's own line, or empty."""
    inner = newline + step
    if isinstance(value, dict) and value:
        lines = (f"{inner}{_encode(key)}{colon}{_text(value[key], inner, step, colon)}" for key in value)
        return "{" + ",".join(lines) + newline + "}"
    if isinstance(value, list) and value:
        return "[" + ",".join(inner + _text(element, inner, step, colon) for element in value) + newline + "]"
    if isinstance(value, float):
        return _float_text(value)
    return _encode(value)


def _float_text(number: float) -> str:
    """ECMAScript's shortest text of a float that is no integer (so |number| < 2^53: no positive exponent)."""
    text = repr(number)
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e-")
    places = int(exponent)
    if places > 6:
        return f"{mantissa}e-{places}"
    sign = "-" if number < 0 else ""
    return f"{sign}0.{'0' * (places - 1)}{mantissa.lstrip('-').replace('.', '')}"
