"""`show` and `explain`: what an asset is made from, and why it is not what its recipe says."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.conftest import Home, Project
from tests.real_git.copies import copy_of

PROJECT = """\
[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""
TWICE = """\
import sys
print("reading", sys.argv[1].rpartition("/")[2])
data = open(sys.argv[1], "rb").read()
if data.startswith(b"bad"):
    sys.exit("this plate is bad")
open(sys.argv[2], "wb").write(data * 2)
"""
SMALL = ("--generator", "texture", "--param", "width=32", "--param", "height=32")


def shown(project, path: str) -> dict:
    return json.loads(project.regen("show", path, "--json").stdout)


def explained(project, path: str) -> dict:
    return json.loads(project.regen("explain", path, "--json").stdout)


@pytest.fixture(scope="module")
def sky_template(tmp_path_factory):
    """sky.png, made and committed."""
    project = Home(tmp_path_factory.mktemp("sky") / "user").repo()
    project.regen("generate", "sky.png", *SMALL, "--param", "seed=42")
    project.commit("a sky")
    return project


@pytest.fixture
def sky(sky_template, tmp_path):
    return copy_of(sky_template, tmp_path)


@pytest.fixture(scope="module")
def film_template(tmp_path_factory):
    """plate.txt (a plain file) → shots/big.dat (by a script), trusted and committed."""
    project = Home(tmp_path_factory.mktemp("film") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", TWICE.encode())
    project.write("plate.txt", b"plate one\n")
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen("generate", "shots/big.dat", "--generator", "command:twice", "--input", "image=plate.txt")
    project.commit("a plate and what is made from it")
    return project


@pytest.fixture
def film(film_template, tmp_path):
    return copy_of(film_template, tmp_path)


# ---------------------------------------------------------------- show


def test_show_tells_recipe_output_take_and_commit(sky):
    found = shown(sky, "sky.png")
    assert (found["state"], found["reason"], found["generator"]) == ("ok", None, "texture")
    assert found["params"]["seed"] == 42 and found["params"]["width"] == 32
    assert found["key"] == found["output"]["key"]
    assert found["on_disk"] == found["output"]["hash"] and found["in_store"] is True
    (take,) = found["takes"]
    assert take["hash"] == found["output"]["hash"]
    assert take["accepted"] and take["on_disk"] and take["in_store"] and take["current"]
    assert take["seconds"] > 0 and take["generator_version"] and "numpy" in take["environment"]
    assert found["commit"]["subject"] == "a sky" and found["committed"] is True
    assert found["commit"]["id"] == sky.git("rev-parse", "HEAD").stdout.strip()
    assert found["failure"] is None


def test_show_as_text(sky):
    text = sky.regen("show", "sky.png.regen.json").stdout
    for words in ("sky.png: ok", "params.seed", "accepted, on disk, in store", "A Test: a sky"):
        assert words in text


def test_show_from_a_folder_with_a_name_of_many_scripts(project):
    folder = project.root / "shöts 010"
    folder.mkdir()
    project.regen("generate", "sky ü.png", *SMALL, cwd=folder)
    found = json.loads(project.regen("show", "sky ü.png", "--json", cwd=folder).stdout)
    assert found["path"] == "shöts 010/sky ü.png" and found["commit"] is None


def test_show_before_and_after_an_edit(sky):
    sky.regen("set", "sky.png", "seed=43")
    found = shown(sky, "sky.png")
    assert found["state"] == "stale" and found["committed"] is False
    assert found["key"] != found["output"]["key"]
    assert [take["current"] for take in found["takes"]] == [False]
    sky.regen("regenerate", "sky.png")
    found = shown(sky, "sky.png")
    assert found["state"] == "ok" and [take["accepted"] for take in found["takes"]] == [True]


def test_show_inputs_with_their_states(film):
    (image,) = shown(film, "shots/big.dat")["inputs"]
    assert image["name"] == "image" and image["value"] == "../plate.txt" and image["path"] == "plate.txt"
    assert (image["kind"], image["state"]) == ("file", "ok") and image["hash"].startswith("blake3:")
    film.write("plate.txt", b"plate two\n")
    assert shown(film, "shots/big.dat")["inputs"][0]["state"] == "edited"
    film.git("rm", "-q", "--cached", "plate.txt")
    assert shown(film, "shots/big.dat")["inputs"][0]["state"] == "untracked"
    film.path("plate.txt").unlink()
    assert shown(film, "shots/big.dat")["inputs"][0]["state"] == "missing"


def test_show_the_log_of_a_take_and_of_a_failure(film):
    assert film.regen("show", "--log", "shots/big.dat").stdout.splitlines() == ["reading plate.txt"]
    film.write("plate.txt", b"bad\n")
    film.git("add", "plate.txt")
    assert film.regen("regenerate", "shots/big.dat", check=False).returncode == 1
    found = shown(film, "shots/big.dat")
    assert found["state"] == "failed"
    assert found["failure"]["lines"] == ["reading plate.txt", "this plate is bad"]
    text = film.regen("show", "shots/big.dat").stdout
    assert "| this plate is bad" in text
    assert "this plate is bad" in film.regen("show", "--log", "shots/big.dat").stdout


def test_a_long_log_is_cut_to_its_end(film):
    lines = "".join(f"print('line {n}')\n" for n in range(100))
    film.write("tools/twice.py", f"{lines}raise SystemExit('the end')\n".encode())
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/big.dat", check=False)
    text = film.regen("show", "shots/big.dat").stdout
    assert "| the end" in text and "| line 99" in text and "| line 3\n" not in text and "more lines" in text
    assert len(film.regen("show", "--log", "shots/big.dat").stdout.splitlines()) == 101


def test_show_of_a_source_asset(project):
    project.write("plate.wav", b"sound" * 100)
    project.regen("add", "plate.wav")
    found = shown(project, "plate.wav")
    assert found["generator"] is None and found["key"] is None and found["takes"] == []
    assert "source asset" in project.regen("show", "plate.wav").stdout


def test_show_of_nothing_and_of_a_damaged_sidecar(project):
    done = project.regen("show", "nothing.png", check=False)
    assert done.returncode == 1 and "there is no recipe" in done.stderr and "hint:" in done.stderr
    project.write("bad.png.regen.json", b'{"regen": 1, ')
    project.git("add", "-A")
    done = project.regen("show", "bad.png", "--json", check=False)
    assert done.returncode == 3 and json.loads(done.stdout)["error"]["kind"] == "invalid"
    answer = explained(project, "bad.png")
    assert answer["state"] == "invalid" and "bad.png.regen.json" in answer["reason"]


# ---------------------------------------------------------------- explain


def test_explain_what_is_ok(sky):
    answer = explained(sky, "sky.png")
    assert (answer["state"], answer["changes"], answer["since_head"]) == ("ok", [], [])
    assert answer["cache"] == {"takes": 1, "outputs": 1, "in_store": 1, "accepted_in_store": True}
    assert answer["on_sync"] == "leaves it as it is"


def test_explain_a_changed_parameter(sky):
    sky.regen("set", "sky.png", "seed=43")
    answer = explained(sky, "sky.png")
    assert answer["changes"] == ["params.seed: 42 → 43"] == answer["since_head"]
    assert answer["cache"]["takes"] == 0
    assert answer["on_sync"] == "leaves it as it is"
    assert answer["on_regenerate"].startswith("runs texture") and "accepts" in answer["on_regenerate"]
    sky.regen("regenerate", "sky.png")
    answer = explained(sky, "sky.png")
    assert answer["changes"] == [] and answer["since_head"] == ["params.seed: 42 → 43"]


def test_explain_says_so_when_the_cache_has_it(sky):
    sky.regen("set", "sky.png", "seed=43")
    sky.regen("regenerate", "sky.png")
    sky.regen("set", "sky.png", "seed=42")
    answer = explained(sky, "sky.png")
    assert answer["changes"] == ["params.seed: 43 → 42"] and answer["cache"]["in_store"] == 1
    assert "from the store, without a run" in answer["on_regenerate"]


def test_explain_an_edited_and_then_a_staged_input(film):
    film.write("plate.txt", b"plate two\n")
    answer = explained(film, "shots/big.dat")
    assert answer["state"] == "stale" and answer["reason"] == "input edited: plate.txt"
    assert answer["inputs"][0]["path"] == "plate.txt" and answer["inputs"][0]["state"] == "edited"
    film.git("add", "plate.txt")
    (line,) = explained(film, "shots/big.dat")["changes"]
    commit = film.git("rev-parse", "HEAD").stdout[:10]
    assert line.startswith("inputs.image (plate.txt): blake3:") and f"as of commit {commit}" in line
    film.commit("another plate")
    (line,) = explained(film, "shots/big.dat")["changes"]
    assert f"as of commit {commit}" in line


def test_explain_a_changed_asset_upstream(sky):
    sky.write("notes.txt", b"notes\n")
    sky.regen("generate", "shots/copy.png", *SMALL, "--input", "base=sky.png", "--input", "notes=notes.txt")
    sky.commit("a copy")
    sky.regen("set", "sky.png", "seed=1")
    assert explained(sky, "shots/copy.png")["state"] == "ok"  # by the accepted bytes upstream, which are what they were
    sky.regen("regenerate", "sky.png")
    answer = explained(sky, "shots/copy.png")
    assert answer["state"] == "stale"
    (line,) = answer["changes"]
    assert line.startswith("inputs.base (sky.png): blake3:")


def test_explain_an_input_that_stands_elsewhere_with_the_same_bytes(film):
    """What counts is bytes: the other path is no reason, the other bytes are."""
    film.write("other.txt", b"plate one\n")
    film.git("add", "other.txt")
    film.regen("set", "shots/big.dat", "--input", "image=other.txt")
    assert explained(film, "shots/big.dat")["state"] == "ok"
    film.write("other.txt", b"plate three\n")
    film.git("add", "other.txt")
    (line,) = explained(film, "shots/big.dat")["changes"]
    assert line.startswith("inputs.image (other.txt): blake3:")


def test_explain_a_changed_definition(film):
    film.write("tools/twice.py", (TWICE + "# changed\n").encode())
    (line,) = explained(film, "shots/big.dat")["changes"]
    assert line.startswith("code twice.py: blake3:") and line.endswith("(on disk, not staged)")
    film.git("add", "-A")
    answer = explained(film, "shots/big.dat")
    assert answer["state"] == "stale"
    assert answer["on_regenerate"] == "is refused: not trusted: tools/twice.py (regen-vcs trust)"
    film.write("regen.toml", PROJECT.replace('"{output}"', '"{output}", "--fast"').encode())
    lines = explained(film, "shots/big.dat")["changes"]
    assert lines[0].startswith("regen.toml [generators.twice] argv: [") and "--fast" in lines[0]
    assert lines[1].startswith("code twice.py: ")


def test_a_longer_timeout_is_no_change(film):
    film.write("regen.toml", (PROJECT + 'timeout = "1h"\n').encode())
    answer = explained(film, "shots/big.dat")
    assert answer["state"] == "ok" and answer["changes"] == []


def test_explain_what_is_missing_everywhere(sky):
    sky.path("sky.png").unlink()
    answer = explained(sky, "sky.png")
    assert answer["state"] == "missing" and answer["on_sync"] == "brings the accepted bytes from the store"
    shutil.rmtree(sky.user.cache)
    answer = explained(sky, "sky.png")
    assert "in no store" in answer["notes"][0] and "have left the store since" in answer["notes"][1]
    assert answer["cache"]["accepted_in_store"] is False
    assert answer["on_sync"].startswith("regenerates the accepted bytes")


def test_explain_what_was_never_made_by_the_nearest_recipe(sky):
    sky.regen("generate", "far.png", *SMALL, "--param", "seed=7", "--param", "kind=worley", "--no-run")
    sky.regen("generate", "near.png", *SMALL, "--param", "seed=7", "--no-run")
    answer = explained(sky, "near.png")
    assert answer["state"] == "pending" and answer["accepted_key"] is None
    assert answer["nearest"]["changes"] == ["params.seed: 42 → 7"] and answer["nearest"]["takes"] == 1
    assert "params.seed: 42 → 7" in sky.regen("explain", "near.png").stdout


def test_explain_a_failure_and_a_blocked_input(film):
    film.write("plate.txt", b"bad\n")
    film.git("add", "plate.txt")
    film.regen("regenerate", "shots/big.dat", check=False)
    answer = explained(film, "shots/big.dat")
    assert answer["state"] == "failed" and answer["notes"] == ["the log: regen-vcs show --log shots/big.dat"]
    assert len(answer["changes"]) == 1
    film.git("rm", "-qf", "plate.txt")
    answer = explained(film, "shots/big.dat")
    assert answer["key"] is None and answer["on_regenerate"].startswith("is blocked: its input image")
    assert answer["inputs"][0]["state"] == "missing"


def test_explain_edited_bytes(sky):
    sky.path("sky.png").write_bytes(b"painted over")
    answer = explained(sky, "sky.png")
    assert answer["state"] == "modified" and answer["notes"] == ["the edited bytes are in keep: nothing can lose them"]


def test_explain_another_environment(film):
    """A take that came out differently: what its environment had that the accepted one's had not."""
    film.write("tools/twice.py", b"import sys, os\nopen(sys.argv[2], 'wb').write(os.urandom(32))\n")
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/big.dat")
    film.git("add", "-A")
    film.regen("regenerate", "shots/big.dat")
    answer = explained(film, "shots/big.dat")
    assert answer["state"] == "drifted" and answer["notes"] == ["made in the same environment"]
    assert len(shown(film, "shots/big.dat")["takes"]) == 2


def test_explain_of_a_source_asset(project):
    project.write("plate.wav", b"sound" * 100)
    project.regen("add", "plate.wav")
    answer = explained(project, "plate.wav")
    assert answer["on_regenerate"] == "nothing: a source asset has no generator" and answer["changes"] == []


def test_without_keep_git_alone_tells(film):
    """All of keep lost: the recipe and the input it was made from are found in git's history."""
    film.write("plate.txt", b"plate two\n")
    film.git("add", "plate.txt")
    shutil.rmtree(film.user.keep)
    (line,) = explained(film, "shots/big.dat")["changes"]
    assert line.startswith("inputs.image (plate.txt): blake3:") and "as of commit" in line


def test_what_nothing_remembers_is_said(film):
    document = json.loads(film.path("shots/big.dat.regen.json").read_text())
    document["output"]["key"] = "ab" * 32
    film.write("shots/big.dat.regen.json", json.dumps(document).encode())
    assert explained(film, "shots/big.dat")["changes"] == [
        "it was made from a recipe that neither keep nor git's history here remembers"
    ]


def test_outside_a_repository(home, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for command in (["show", "x.png"], ["explain", "x.png"], ["trust"], ["config"]):
        done = Project(home, outside).regen(*command, check=False)
        assert done.returncode == 2 and "not inside a git repository" in done.stderr and "Traceback" not in done.stderr
