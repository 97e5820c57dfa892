"""Sidecar text ⇄ Recipe: what is kept, what is written, and a corpus of what is refused."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from regen_vcs.errors import InvalidError, NewerFormat, RegenError
from regen_vcs.model.recipe import (
    Model,
    Output,
    Recipe,
    parse_recipe,
    recipe_bytes,
    recipe_from_json,
    recipe_to_json,
)

CORPUS_DIR = Path(__file__).parents[1] / "corpus" / "bad_sidecars"
INDEX = json.loads((CORPUS_DIR / "index.json").read_text())
WHERE = "shots/sky.png.regen.json"
HEX = "0123456789abcdef" * 4
OTHER = "f" * 64

FULL = Recipe(
    generator="comfyui:txt2img",
    definition=HEX,
    models={"checkpoint": Model("sha256:31e3", "base.safetensors", "1.0", {"license": "x"}), "vae": Model(name="vae")},
    params={"prompt": "rain\non glass \U0001f600", "seed": "18446744073709551557", "steps": 30, "cfg": 6.5, "flags": [True, None]},
    inputs={"init_image": "../plates/base.png", "lut": "@luts/night.cube"},
    output=Output(HEX, OTHER, 5, "pixels:blake3:" + HEX, "3OcRJYB4", {"type": "image/png"}, 3, "1-3", {"later": [1]}),
    review={"hash": "blake3:" + HEX, "state": "approved", "score": 0.5},
    meta={"shot": "010", "tags": []},
    extra={"future": {"deep": {}}},
)
FULL_TEXT = """\
{
  "definition": "blake3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  "future": {
    "deep": {}
  },
  "generator": "comfyui:txt2img",
  "inputs": {
    "init_image": "../plates/base.png",
    "lut": "@luts/night.cube"
  },
  "meta": {
    "shot": "010",
    "tags": []
  },
  "models": {
    "checkpoint": {
      "hash": "sha256:31e3",
      "license": "x",
      "name": "base.safetensors",
      "version": "1.0"
    },
    "vae": {
      "name": "vae"
    }
  },
  "output": {
    "content": "pixels:blake3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "files": 3,
    "frames": "1-3",
    "hash": "blake3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "key": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "later": [
      1
    ],
    "look": "3OcRJYB4",
    "media": {
      "type": "image/png"
    },
    "size": 5
  },
  "params": {
    "cfg": 6.5,
    "flags": [
      true,
      null
    ],
    "prompt": "rain\\non glass \U0001f600",
    "seed": "18446744073709551557",
    "steps": 30
  },
  "regen": 1,
  "review": {
    "hash": "blake3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "score": 0.5,
    "state": "approved"
  }
}
""".encode()


def test_text_of_a_full_recipe():
    assert recipe_bytes(FULL) == FULL_TEXT
    assert parse_recipe(FULL_TEXT, WHERE) == FULL


def test_any_spelling_gives_the_same_recipe():
    document = json.loads(FULL_TEXT)
    backwards = json.dumps(dict(reversed(document.items())), indent="\t", ensure_ascii=True)
    for text in (backwards, backwards.replace("\n", "\r\n"), json.dumps(document)):
        assert parse_recipe(text.encode(), WHERE) == FULL
        assert recipe_bytes(parse_recipe(text.encode(), WHERE)) == FULL_TEXT


def test_empty_objects_are_not_written():
    bare = b'{\n  "generator": "texture",\n  "regen": 1\n}\n'
    assert recipe_bytes(Recipe("texture")) == bare
    spelt = b'{"regen": 1, "generator": "texture", "params": {}, "inputs": {}, "models": {}, "meta": {}}'
    assert recipe_bytes(parse_recipe(spelt, WHERE)) == bare


def test_an_empty_review_survives():
    recipe = Recipe("texture", review={})
    assert parse_recipe(recipe_bytes(recipe), WHERE) == recipe


def test_numbers_are_written_normal():
    recipe = parse_recipe(recipe_bytes(Recipe("texture", params={"seed": 2**64 - 1, "cfg": 7.0, "on": True, "pair": (1, 2)})), WHERE)
    assert recipe.params == {"seed": "18446744073709551615", "cfg": 7, "on": True, "pair": [1, 2]}
    assert type(recipe.params["cfg"]) is int and recipe.params["on"] is True


def test_source_and_pending():
    source = Recipe(output=Output(HEX, None, 3))
    assert source.is_source and not source.is_pending
    assert parse_recipe(recipe_bytes(source), WHERE) == source
    assert Recipe("texture").is_pending and not Recipe("texture").is_source
    assert not FULL.is_pending and not FULL.is_source


def test_trees():
    assert not Output(HEX, None, 3).is_tree
    assert Output(HEX, None, 3, files=0).is_tree
    assert Output(HEX, None, 3, frames="1-3").is_tree


# ---------------------------------------------------------------- the records


def test_records_are_frozen_and_slotted():
    for record in (FULL, FULL.output, FULL.models["vae"]):
        with pytest.raises(AttributeError):
            record.hash = "x"
        assert not hasattr(record, "__dict__")


def test_replace_three_ways():
    stale = FULL.replace(output=None, params={})
    assert (stale.output, stale.params, stale.inputs) == (None, {}, FULL.inputs)
    assert dataclasses.replace(FULL, output=None, params={}) == stale
    assert dataclasses.replace(FULL.output, size=9).size == FULL.output.replace(size=9).size == 9
    assert FULL.replace() == FULL
    with pytest.raises(TypeError):
        FULL.replace(colour=1)


def test_dataclass_functions_take_records():
    assert dataclasses.is_dataclass(FULL)
    assert [field.name for field in dataclasses.fields(Model)] == ["hash", "name", "version", "extra"]
    assert dataclasses.asdict(FULL)["output"]["size"] == 5


def test_records_copy_and_pickle():
    assert copy.deepcopy(FULL) == pickle.loads(pickle.dumps(FULL)) == FULL


def test_empty_fields_are_not_shared():
    Recipe().params["a"] = 1
    assert Recipe().params == {}


# ---------------------------------------------------------------- what may not be written


@pytest.mark.parametrize(
    "recipe, field",
    [
        (Recipe(), "output"),
        (Recipe("-x"), "generator"),
        (Recipe("texture", definition="x"), "definition"),
        (Recipe("texture", inputs={"a": "/etc/passwd"}), "inputs.a"),
        (Recipe("texture", output=Output(HEX, None, 1)), "output.key"),
        (Recipe("texture", output=Output(HEX, HEX, -1)), "output.size"),
        (Recipe("texture", output=Output("blake3:" + HEX, HEX, 1)), "output.hash"),
        (Recipe("texture", models={"a": Model()}), "models.a"),
        (Recipe("texture", params={"a": [1e16]}), "params.a[0]"),
        (Recipe("texture", extra={"params": {}}), "params"),
        (Recipe("texture", extra={"regen": 2}), "regen"),
        (Recipe("texture", models={"a": Model(name="x", extra={"name": "y"})}), "models.a.name"),
        (Recipe("texture", output=Output(HEX, HEX, 1, extra={"size": 1})), "output.size"),
    ],
)
def test_only_what_can_be_read_is_written(recipe, field):
    with pytest.raises(InvalidError) as error:
        recipe_bytes(recipe)
    assert error.value.field == field


def test_json_values_there_and_back():
    assert recipe_from_json(recipe_to_json(FULL)) == FULL


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", INDEX)
def test_bad_sidecar(name):
    with pytest.raises(RegenError) as error:
        parse_recipe((CORPUS_DIR / name).read_bytes(), WHERE)
    assert isinstance(error.value, InvalidError)
    assert error.value.what.startswith(WHERE + ": ")
    assert INDEX[name] in error.value.what
    assert "\n" not in error.value.what
    assert len(error.value.what) < 400


def test_an_odd_name_does_not_break_the_line():
    with pytest.raises(InvalidError) as error:
        parse_recipe(b"", "new\nline.png.regen.json")
    assert error.value.what == r"'new\nline.png.regen.json': is empty"


def test_the_corpus_is_whole():
    listed = {path.name for path in CORPUS_DIR.glob("*.json")} - {"index.json"}
    assert listed == set(INDEX)
    assert len(INDEX) >= 60


def test_the_corpus_is_what_its_script_writes(tmp_path):
    script = tmp_path / "make_corpus.py"
    script.write_bytes((CORPUS_DIR / "make_corpus.py").read_bytes())
    subprocess.run([sys.executable, str(script)], check=True)
    for path in tmp_path.glob("*.json"):
        assert path.read_bytes() == (CORPUS_DIR / path.name).read_bytes()


def test_the_good_sidecar_of_the_corpus_is_good():
    text = recipe_bytes(FULL).replace(b'"steps": 30', b'"steps": 31')
    assert parse_recipe(text, WHERE).params["steps"] == 31


def test_a_newer_format_is_told_apart():
    with pytest.raises(NewerFormat) as error:
        parse_recipe(b'{"regen": 2, "generator": ["anything"]}', WHERE)
    assert error.value.hint and error.value.field == "regen"


def test_a_conflict_has_a_hint():
    with pytest.raises(InvalidError) as error:
        parse_recipe(b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> x\n", WHERE)
    assert "git add" in error.value.hint


def test_a_prompt_may_hold_conflict_markers():
    recipe = Recipe("texture", params={"prompt": "<<<<<<< HEAD\n=======\n>>>>>>> x"})
    assert parse_recipe(recipe_bytes(recipe), WHERE) == recipe


def test_fields_of_errors():
    with pytest.raises(InvalidError) as error:
        parse_recipe(b'{"regen": 1, "generator": "a", "inputs": {"image": "/x"}}', WHERE)
    assert error.value.field == "inputs.image"


def test_hooks_do_not_pay_for_it():
    code = "import sys, regen_vcs.model.key; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"], check=True, capture_output=True, text=True).stdout.split()
    assert not {"dataclasses", "inspect", "typing", "pathlib", "subprocess", "rfc8785", "pydantic", "click"} & set(loaded)
