"""Identity and key: frozen vectors, and what changes a key."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import canonical_bytes, normalise
from regen_vcs.model.key import compute_key, definition_hash, hash_bytes, identity
from regen_vcs.model.recipe import Model, Output, Recipe, parse_recipe, recipe_from_json

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "key.json").read_text())
HEX = "0123456789abcdef" * 4
OTHER = "f" * 64
BASE = Recipe("texture", HEX, {"m": Model("sha256:aa", "n", "1")}, {"seed": 1}, {"image": "a.png"}, Output(HEX, HEX, 1))
KEY = compute_key(BASE, "a/sky.png", {"image": HEX})


def named(cases: list[dict]) -> list:
    return [pytest.param(case, id=case["name"]) for case in cases]


def check_vector(case: dict) -> None:
    recipe = parse_recipe(json.dumps(case["sidecar"]).encode(), "vector")
    asked = identity(recipe, case["asset_path"], case["input_hashes"])
    assert canonical_bytes(asked) == case["identity"].encode()
    assert compute_key(recipe, case["asset_path"], case["input_hashes"]) == case["key"]


@pytest.mark.parametrize("case", named(VECTORS["keys"]))
def test_vector(case):
    check_vector(case)


@pytest.mark.parametrize("field", ["identity", "key"])
def test_vector_notices_one_changed_byte(field):
    case = VECTORS["keys"][-1]
    with pytest.raises(AssertionError):
        check_vector(case | {field: case[field].replace("a", "b", 1)})


@pytest.mark.parametrize("case", named(VECTORS["definitions"]))
def test_definition_vector(case):
    assert definition_hash(case["table"], case["code"]) == case["hash"]


@pytest.mark.parametrize("case", named(VECTORS["refused"]))
def test_refused_vector(case):
    recipe = recipe_from_json(normalise(case["sidecar"]))
    with pytest.raises(InvalidError, match=case["says"]):
        compute_key(recipe, case["asset_path"], case["input_hashes"])


@pytest.mark.parametrize(
    "changes",
    [
        {"generator": "tone"},
        {"definition": OTHER},
        {"definition": None},
        {"params": {"seed": 2}},
        {"params": {"seed": True}},
        {"params": {"seed": "1"}},
        {"params": {}},
        {"models": {}},
        {"models": {"m": Model("sha256:ab")}},
        {"models": {"m": Model(None, "n", "1")}},
        {"models": {"other": Model("sha256:aa")}},
    ],
)
def test_what_changes_the_key(changes):
    assert compute_key(BASE.replace(**changes), "a/sky.png", {"image": HEX}) != KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"seed": 1.0}},
        {"models": {"m": Model("sha256:aa", "renamed", "2", {"license": "x"})}},
        {"inputs": {"image": "elsewhere/b.exr"}},
        {"output": None, "review": {"state": "wip"}, "meta": {"a": 1}, "extra": {"b": 2}},
    ],
)
def test_what_does_not(changes):
    assert compute_key(BASE.replace(**changes), "b/other.PNG", {"image": HEX, "unused": OTHER}) == KEY


def test_the_inputs_bytes_change_the_key():
    assert compute_key(BASE, "a/sky.png", {"image": OTHER}) != KEY
    assert compute_key(BASE, "a/sky.exr", {"image": HEX}) != KEY


def test_a_model_by_name():
    by_name = BASE.replace(models={"m": Model(None, "n", None)})
    assert identity(by_name, "a.png", {"image": HEX})["models"] == {"m": {"name": "n"}}
    with pytest.raises(InvalidError, match=r"models\.m"):
        identity(BASE.replace(models={"m": Model(version="1")}), "a.png", {"image": HEX})


def test_a_definition_that_json_cannot_hold():
    with pytest.raises(InvalidError) as error:
        definition_hash({"since": datetime.date(2026, 1, 1)}, {})
    assert error.value.field == "table.since"


def test_plain_hash():
    assert hash_bytes(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
