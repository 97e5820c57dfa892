"""The canonical form: frozen vectors, and what canonical_bytes makes of Python values."""

from __future__ import annotations

import enum
import json
import math
import time
from pathlib import Path

import pytest
import rfc8785
from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import MAX_DEPTH, canonical_bytes, normalise, parse_json, pretty_bytes

VECTORS_DIR = Path(__file__).parents[1] / "vectors"
VECTORS = json.loads((VECTORS_DIR / "canonical.json").read_text())
BIG = 2**64 - 1


def check_vector(case: dict) -> None:
    value = parse_json(case["text"].encode())
    assert canonical_bytes(value) == case["canonical"].encode()
    assert pretty_bytes(value) == case["pretty"].encode()
    assert blake3(canonical_bytes(value)).hexdigest() == case["blake3"]
    for text in (case["canonical"], case["pretty"]):
        assert canonical_bytes(parse_json(text.encode())) == case["canonical"].encode()
        assert pretty_bytes(parse_json(text.encode())) == case["pretty"].encode()


def named(cases: list[dict]) -> list:
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.mark.parametrize("case", named(VECTORS["cases"]))
def test_vector(case):
    check_vector(case)


@pytest.mark.parametrize("field", ["canonical", "pretty", "blake3"])
@pytest.mark.parametrize("case", named(VECTORS["cases"]))
def test_vector_notices_one_changed_byte(case, field):
    changed = case[field][:-1] + chr(ord(case[field][-1]) ^ 1)
    with pytest.raises((AssertionError, InvalidError)):
        check_vector(case | {field: changed})


@pytest.mark.parametrize("case", named(VECTORS["refused"]))
def test_refused_vector(case):
    data = bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()
    with pytest.raises(InvalidError) as error:
        parse_json(data)
    assert case["says"] in error.value.what
    assert "\n" not in error.value.what


# A change here is a change of every key there is: it needs a new format, not a new digest.
FROZEN = {
    "canonical.json": "6440b50b78445ec1572a90e89aee422acbee793a02df994b66b7b6605a2c2166",
    "key.json": "2ae736d1bb40a935a5ff5a063f609de3bfc012809bdddfec6ef69a25bf90936e",
    "manifest.json": "5276a6da682c9b69b0e11f2faaaa7eea737128b90f16818f9b48eb98c40aaa45",
    "names.json": "efb75f654c8c4aeba6617f3d135595059d6356106c1d74b2f41da4a1adeacebe",
}


@pytest.mark.parametrize("name", FROZEN)
def test_vectors_are_frozen(name):
    assert blake3((VECTORS_DIR / name).read_bytes()).hexdigest() == FROZEN[name]


@pytest.mark.parametrize(
    "text, where, field",
    [
        ('{"a": 1,\n "b": {"c": [1, {"d": 1, "d": 2}]}}', "line 2, column 26", "b.c[1].d"),
        ('{"a":\n  [0, NaN]}', "line 2, column 7", "a[1]"),
        ('{"a b": 1e400}', "line 1, column 9", '"a b"'),
        ('[{"x": [[1e17]]}]', "line 1, column 10", "[0].x[0][0]"),
        ('{"a": "\\ud800"}', "line 1, column 7", "a"),
        ('{"s": "NaN 1e400 [[", "t": -Infinity}', "line 1, column 28", "t"),
    ],
)
def test_refusals_say_where(text, where, field):
    with pytest.raises(InvalidError) as error:
        parse_json(text.encode())
    assert where in error.value.what
    assert error.value.field == field
    assert field in error.value.what


def test_syntax_errors_say_where():
    with pytest.raises(InvalidError, match=r"not JSON: .*line 3, column 1"):
        parse_json(b'{\n"a":\n}')


def test_size_limit():
    assert parse_json(b"[]" + b" " * 8, max_bytes=10) == []
    with pytest.raises(InvalidError, match="over the limit of 10"):
        parse_json(b"[]" + b" " * 9, max_bytes=10)


@pytest.mark.parametrize(
    "text",
    [
        '"' + '\\"' * 400_000,
        "[" * 70 + '"' + '\\"' * 400_000,
        "[" * 70 + '"\\' * 400_000,
        "[" + "1" * 1_000_000 + "]",
        "[-" + "1" * 1_000_000 + "]",
        "[" + "1" * 500_000 + "." + "1" * 500_000 + "]",
        "[1e" + "9" * 1_000_000 + "]",
        "[1e-" + "9" * 1_000_000 + "]",
        "[" + "{}," * 300_000 + "{}]",
        "[" + "1," * 300_000 + "NaN]",
        "{" + '"a":1,' * 150_000 + '"b":2}',
        '"' + "\\ud800" * 170_000 + '"',
    ],
    ids=lambda text: ascii(f"{text[:6]}...{text[-6:]}"),
)
def test_no_text_takes_long(text):
    start = time.process_time()
    try:
        canonical_bytes(parse_json(text.encode()))
    except InvalidError:
        pass
    assert time.process_time() - start < 5  # a quadratic parser takes minutes


def test_parsed_numbers_are_normal():
    assert [type(n) for n in parse_json(b"[1, 1.0, -0.0, 1.5, 1e3, 9007199254740992]")] == [int, int, int, float, int, str]


@pytest.mark.parametrize(
    "value, expected",
    [
        (1, b"1"),
        (1.0, b"1"),
        (True, b"true"),
        (-0.0, b"0"),
        (BIG, b'"18446744073709551615"'),
        (-BIG, b'"-18446744073709551615"'),
        (2**53 - 1, b"9007199254740991"),
        (float(2**53 - 1), b"9007199254740991"),
        ((1, (2,)), b"[1,[2]]"),
        ({"b": 1e-5, "a": 1e-7}, b'{"a":1e-7,"b":0.00001}'),
        ({"x": 1e-05, "y": "1e-05"}, b'{"x":0.00001,"y":"1e-05"}'),
        (enum.IntEnum("Level", {"LOW": 3}).LOW, b"3"),
    ],
)
def test_python_values(value, expected):
    assert canonical_bytes(value) == expected


@pytest.mark.parametrize(
    "value, says, field",
    [
        (math.nan, "beyond", None),
        ({"a": [0, math.inf]}, "beyond", "a[1]"),
        ({"a": 1e16}, "beyond", "a"),
        ({"a": {1: 2}}, "keys must be strings", "a"),
        ({"a": {None: 2, "b": 1}}, "keys must be strings", "a"),
        ({"a": {"\ud800": 1}}, "lone surrogate in a key", "a"),
        (["\udfff"], "lone surrogate", "[0]"),
        ({"a": {1, 2}}, "set is not a JSON type", "a"),
        ({"a": b"x"}, "bytes is not a JSON type", "a"),
        pytest.param(10**5000, "spell it as a string", None, id="huge"),
    ],
)
def test_values_that_are_no_json(value, says, field):
    for write in (canonical_bytes, pretty_bytes, normalise):
        with pytest.raises(InvalidError, match=says) as error:
            write(value)
        assert error.value.field == field


def test_depth_of_values():
    def nested(depth: int) -> list:
        return [nested(depth - 1)] if depth > 1 else []

    assert canonical_bytes(nested(MAX_DEPTH)) == b"[" * 64 + b"]" * 64
    with pytest.raises(InvalidError, match="nesting over 64"):
        canonical_bytes(nested(MAX_DEPTH + 1))
    loop: list = []
    loop.append(loop)
    with pytest.raises(InvalidError, match="nesting over 64"):
        pretty_bytes({"loop": loop})


def test_a_value_is_not_changed_by_writing_it():
    value = {"b": (1.0, BIG), "a": {"d": 1, "c": 2}}
    pretty_bytes(value)
    assert list(value) == ["b", "a"] and value["b"] == (1.0, BIG)


def test_equals_the_reference_on_every_kind_of_float():
    for exponent in range(-330, 16):
        for mantissa in ("1", "-1", "1.5", "-9.007199254740991", "4.9406564584124654", "1.7976931348623157"):
            number = float(f"{mantissa}e{exponent}")
            assert canonical_bytes([number]) == rfc8785.dumps([number])
