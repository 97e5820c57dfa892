"""What a recipe can hold of Python's values, and what looks like a secret."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import normalise
from regen_vcs.model.param_values import plain_params, plain_value
from regen_vcs.model.secrets import find_secret, is_secret_name, secret_in_text


class Mode(enum.Enum):
    FAST = "fast"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    pass


@dataclass
class Lens:
    focal: float
    mode: Mode = Mode.FAST


class Light(BaseModel):
    power: float
    name: str = "key"


@pytest.mark.parametrize(("value", "expected"), [
    (None, None), (True, True), (7, 7), (2**64, str(2**64)), (2.5, 2.5), (2.0, 2), ("a", "a"), ((1, 2), [1, 2]), ({"a": (1,)}, {"a": [1]}),
    (Mode.FAST, "fast"), (Level.HIGH, 3), (Word("w"), "w"), (numpy.float32(0.5), 0.5), (numpy.int64(3), 3), (numpy.bool_(True), True),
    (numpy.array(4), 4), (Lens(35.5), {"focal": 35.5, "mode": "fast"}), (Light(power=2), {"power": 2, "name": "key"}),
    ([numpy.int8(1), {"k": Mode.FAST}], [1, {"k": "fast"}]), ({Mode.FAST: 1}, {"fast": 1}),
])  # fmt: skip
def test_plain_forms(value, expected):
    found = plain_value(value, "x")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("value", "where", "why"), [
    (math.nan, "params.x", "not a finite number"), (-math.inf, "params.x", "not a finite number"), (numpy.float64("nan"), "params.x", "finite"),
    ([1, {"k": math.inf}], "params.x[1].k", "not a finite number"), (b"x", "params.x", "bytes cannot"), ({1, 2}, "params.x", "set cannot"),
    (object(), "params.x", "object cannot"), (numpy.zeros(3), "params.x", "ndarray cannot"), ({1: 2}, "params.x", "not a string"),
    ("\ud800", "params.x", "surrogate"), (Path("a"), "params.x", "a path"), ([Path("a")], "params.x[0]", "a path"),
    (1 + 2j, "params.x", "complex cannot"), (lambda: 0, "params.x", "function cannot"), (1e300, "params.x", "beyond"),
])  # fmt: skip
def test_what_cannot_be_recorded_is_refused_by_name(value, where, why):
    with pytest.raises(InvalidError) as caught:
        plain_params({"x": value})
    assert caught.value.field == where
    assert where in caught.value.what and why in caught.value.what


def test_a_circle_is_refused():
    circle: list = []
    circle.append(circle)
    with pytest.raises(InvalidError, match="nesting"):
        plain_value(circle, "x")


def test_a_value_whose_repr_fails_is_named_all_the_same():
    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    with pytest.raises(InvalidError, match=r"params\.x: Broken cannot be recorded"):
        plain_value(Broken(), "x")


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(st.characters(codec="utf-8")),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner), max_leaves=20))
def test_json_stays_as_it_is(value):
    assert plain_value(value, "x") == normalise(value)


@pytest.mark.parametrize("name", ["api_key", "apiKey", "API_KEY", "openai-api-key", "token", "hf_token", "accessToken", "password", "db_passwd",
                                  "client_secret", "Authorization", "auth", "credentials", "private_key", "secretKey", "fal_key_secret"])
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["max_tokens", "tokens", "token_limit", "tokenizer", "key", "keyframe", "colour_key", "keys", "author", "authored",
                                  "seed", "passes", "Token merging ratio", "secretary", "key_light", ""])
def test_names_that_are_none(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize("text", [
    "sk-" + "a1" * 12, "sk-proj-" + "a1" * 20, "ghp_" + "a" * 36, "hf_" + "a" * 34, "AKIA" + "A1" * 8, "Bearer " + "a" * 30,
    "https://me:hunter2@example.com/x", "-----BEGIN RSA PRIVATE KEY-----\nMII", "use key r8_" + "a" * 37,
])  # fmt: skip
def test_texts_with_secrets(text):
    assert secret_in_text(text)


@pytest.mark.parametrize("text", ["a fox with a key", "risk-averse", "https://example.com/a:b@c", "sk-8", "masterpiece, best quality", ""])
def test_texts_without(text):
    assert secret_in_text(text) is None


def test_secrets_are_found_where_they_are():
    assert find_secret({"headers": [{"Authorization": "x"}]}, "params.http")[0] == "params.http.headers.Authorization"
    assert find_secret({"api_key": None, "max_tokens": 5}, "params") is None
    assert find_secret({"token": "cat"}, "params.x", frozenset({"token"})) is None
