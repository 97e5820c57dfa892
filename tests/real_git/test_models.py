"""Models in real repositories: what `models` shows, pinning, and `regenerate --current-models`."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess

import pytest

from tests.conftest import PYTHON
from tests.real_git import recipes

TOML = """
[generators.stamp]
uses = "command"
argv = ["sh", "{code}/stamp.sh", "{params.word}", "{output}"]
code = ["stamp.sh"]

[models.big]
name = "big.safetensors"
version = "1.0"
hash = "%s"
license = "openrail++"
successor = "bigger"

[models.small]
name = "small.safetensors"
"""


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write_toml(project, text: str) -> None:
    path = project.path("regen.toml")
    path.write_text(text)
    project.regen("trust", "--yes")


@pytest.fixture
def film(project, tmp_path):
    """Three stamps with models: two of `big`, one of `small`; `big` lies on this machine."""
    models = tmp_path / "my models"
    models.mkdir()
    (models / "big.safetensors").write_bytes(b"big 1")
    project.env["REGEN_MODEL_PATH"] = str(models)
    project.models = models
    project.path("stamp.sh").write_text('printf "%s" "$1" > "$2"\n')
    write_toml(project, TOML % sha256(b"big 1"))
    for name, alias in (("a", "big"), ("b", "big"), ("c", "small")):
        project.regen("generate", f"{name}.txt", "-g", "command:stamp", "-p", f"word={name}", "-m", f"checkpoint={alias}")
    project.commit("stamps")
    return project


def models_of(project, *options) -> dict[str, dict]:
    done = project.regen("models", "--json", *options)
    return {each["name"]: each for each in json.loads(done.stdout)["models"]}


def recipe(project, name: str) -> dict:
    return json.loads(project.path(f"{name}.regen.json").read_text())


def test_the_list(film):
    found = models_of(film)
    big, small = found["big.safetensors"], found["small.safetensors"]
    assert (big["state"], big["pinned"], big["assets"], big["roles"]) == ("here", True, ["a.txt", "b.txt"], ["checkpoint"])
    assert (big["alias"], big["license"], big["successor"]) == ("big", "openrail++", "bigger")
    assert big["path"] == str(film.models / "big.safetensors")
    assert (small["state"], small["pinned"], small["path"]) == ("missing", False, None)


def test_the_list_for_people(film):
    text = film.regen("models").stdout
    assert f"here     big.safetensors 1.0  {sha256(b'big 1')[:19]}…  (2 assets as checkpoint, alias big)" in text
    assert "missing  small.safetensors  unpinned  (1 asset as checkpoint, alias small)" in text
    assert text.splitlines()[-1] == "2 models: 1 here, 1 missing, 1 unpinned"
    assert "unpinned" in film.regen("show", "c.txt").stdout
    assert "unpinned" not in film.regen("show", "a.txt").stdout


def test_no_models_at_all(project):
    assert "no models" in project.regen("models").stdout
    assert project.regen("models", "--check").returncode == 0


def test_check_fails_for_missing_and_for_other_bytes(film):
    assert film.regen("models", "--check", check=False).returncode == 1, "small is missing"
    (film.models / "small.safetensors").write_bytes(b"small")
    assert film.regen("models", "--check").returncode == 0
    (film.models / "big.safetensors").write_bytes(b"other")
    done = film.regen("models", "--check", check=False)
    assert done.returncode == 1
    assert sha256(b"other") in done.stdout and sha256(b"big 1") in done.stdout


def test_hash_is_what_pinning_needs(film):
    (film.models / "small.safetensors").write_bytes(b"small")
    assert models_of(film)["small.safetensors"]["found_hash"] is None
    assert models_of(film, "--hash")["small.safetensors"]["found_hash"] == sha256(b"small")
    assert sha256(b"small") in film.regen("models", "--hash").stdout


def test_a_name_that_leaves_the_folders_is_said_to_be_none(film):
    text = film.path("regen.toml").read_text()
    write_toml(film, text + '\n[models.bad]\nname = "../../etc/passwd"\n')
    assert models_of(film)["../../etc/passwd"]["state"] == "invalid"


def new_big(film) -> None:
    write_toml(film, TOML.replace('"1.0"', '"2.0"') % sha256(b"big 2"))


def test_regenerate_keeps_to_the_recipe(film):
    new_big(film)
    before = recipe(film, "a.txt")
    done = film.regen("regenerate", "a.txt")
    assert recipe(film, "a.txt") == before
    assert "1 recipe names models that regen.toml configures otherwise now" in done.stderr
    assert "--current-models" in done.stderr
    assert "--current-models" not in film.regen("regenerate", "c.txt").stderr


def test_outdated_tells_where_regen_toml_has_gone_on(film):
    assert json.loads(film.regen("models", "--outdated", "--json").stdout) == {"outdated": []}
    assert "every recipe" in film.regen("models", "--outdated").stdout
    new_big(film)
    found = json.loads(film.regen("models", "--outdated", "--json").stdout)["outdated"]
    assert [(each["old"]["version"], each["new"]["version"], each["assets"]) for each in found] == [("1.0", "2.0", ["a.txt", "b.txt"])]
    assert "a.txt, b.txt" in film.regen("models", "--outdated").stdout


def test_current_models_shows_both_and_needs_a_yes(film):
    new_big(film)
    before = recipe(film, "a.txt")
    done = film.regen("regenerate", "--current-models", check=False)
    assert done.returncode == 2 and "--yes" in done.stderr
    assert f"big.safetensors 1.0 {sha256(b'big 1')[:19]}…" in done.stdout
    assert f"→ big.safetensors 2.0 {sha256(b'big 2')[:19]}…" in done.stdout
    assert "a.txt, b.txt" in done.stdout
    assert recipe(film, "a.txt") == before


def test_current_models_rewrites_and_makes_again(film):
    new_big(film)
    old_key = recipe(film, "a.txt")["output"]["key"]
    done = film.regen("regenerate", "--current-models", "--yes", "a.txt")
    assert "made     a.txt" in done.stdout
    after = recipe(film, "a.txt")
    assert after["models"]["checkpoint"] == {
        "alias": "big", "hash": sha256(b"big 2"), "name": "big.safetensors", "version": "2.0",
    }  # fmt: skip
    assert after["output"]["key"] != old_key
    assert recipe(film, "b.txt")["models"]["checkpoint"]["version"] == "1.0", "b was not named"
    assert film.status()["a.txt"] == "ok"
    assert "every recipe" in film.regen("regenerate", "--current-models", "--yes", "a.txt").stdout


def test_a_recipe_without_an_alias_is_matched_by_name(film):
    text = film.path("b.txt.regen.json").read_text()
    film.path("b.txt.regen.json").write_text(text.replace('      "alias": "big",\n', ""))
    new_big(film)
    film.regen("regenerate", "--current-models", "--yes")
    assert recipe(film, "b.txt")["models"]["checkpoint"]["version"] == "2.0"
    assert film.status() == {"a.txt": "ok", "b.txt": "ok", "c.txt": "ok"}


def test_the_alias_is_outside_the_key(film):
    before = json.loads(film.regen("status", "--json").stdout)["assets"]
    text = film.path("a.txt.regen.json").read_text()
    assert '"alias": "big"' in text
    film.path("a.txt.regen.json").write_text(text.replace('"alias": "big"', '"alias": "other"'))
    after = json.loads(film.regen("status", "--json").stdout)["assets"]
    assert [each["key"] for each in after] == [each["key"] for each in before]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks(film, answer):
    new_big(film)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PYTHON, "-I", "-m", "regen_vcs", "regenerate", "--current-models"], cwd=film.root, env=film.env,
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as proc:  # fmt: skip
        os.write(ours, f"{answer}\n".encode())
        out, err = proc.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "Change 2 assets to these and make them again?" in err
    assert proc.returncode == (0 if answer == "y" else 1), (out, err)
    assert recipe(film, "a.txt")["models"]["checkpoint"]["version"] == ("2.0" if answer == "y" else "1.0")


def test_set_model_says_what_changed(film):
    done = film.regen("set", "c.txt", "--model", "checkpoint=big")
    assert "models.checkpoint: small.safetensors (unpinned) → big.safetensors 1.0 sha256:" in done.stdout


def test_a_parameter_that_is_null_can_be_unset(project):
    project.write("regen.toml", b'[generators.echo]\nuses = "command"\nargv = ["cp", "{params.word}", "{output}"]\n')
    recipes.write(project, "a.txt", recipes.Recipe(generator="command:echo", params={"word": "x", "note": None}))
    assert "params.note" in project.regen("set", "a.txt", "--unset", "note").stdout
    assert recipes.read(project, "a.txt").params == {"word": "x"}
    assert project.regen("set", "a.txt", "--unset", "note", check=False).returncode == 2
