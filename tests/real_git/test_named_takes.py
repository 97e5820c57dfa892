"""`takes` and `accept --take`: every result has a name, and any of the recipe's may be the accepted one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import PYTHON

SCRIPT = """\
import os, sys
from PIL import Image
Image.frombytes("RGB", (640, 480), os.urandom(640 * 480 * 3)).save(sys.argv[1])
"""
TOOLS = f"""
[generators.noise]
uses = "command"
argv = [{json.dumps(str(PYTHON))}, "{{code}}/noise.py", "{{output}}"]
code = ["tools/noise.py"]
"""


@pytest.fixture
def film(project):
    """An asset that comes out differently each time: one take committed as accepted, another drawn after it."""
    project.write("regen.toml", TOOLS.encode())
    project.write("tools/noise.py", SCRIPT.encode())
    project.commit("tools")
    project.regen("trust", "--yes")
    project.regen("generate", "sky.png", "--generator", "command:noise", "--param", "mood=calm")
    project.commit("first")
    project.regen("regenerate", "sky.png")
    return project


def takes(project, asset: str = "sky.png", *options: str) -> dict[str, dict]:
    answer = json.loads(project.regen("takes", asset, "--json", *options).stdout)
    assert answer["path"] == asset
    return {take["name"]: take for take in answer["takes"]}


def accepted(project, asset: str = "sky.png") -> str:
    return json.loads(project.path(f"{asset}.regen.json").read_bytes())["output"]["hash"]


def test_accepted_ones_and_candidates(film):
    found = takes(film)
    assert list(found) == ["v001", "t2"]
    assert [(each["accepted"], each["on_disk"], each["in_store"], each["current"]) for each in found.values()] == [
        (True, False, True, True), (False, True, True, True),
    ]  # fmt: skip
    assert found["v001"]["commit"] == film.git("rev-parse", "HEAD").stdout.strip() and found["t2"]["commit"] is None
    lines = film.regen("takes", "sky.png").stdout.splitlines()
    assert lines[0].startswith("v001 ") and lines[0].endswith("(accepted)") and lines[1].endswith("(on disk)")


def test_there_and_back(film):
    first, second = (each["hash"] for each in takes(film).values())
    assert film.regen("accept", "sky.png", "--take", "v001").stdout == "sky.png: v001 accepted\n"
    assert film.status()["sky.png"] == "ok" and film.git("status", "--porcelain").stdout == ""
    assert film.regen("accept", "sky.png", "--take", "t2").stdout == "sky.png: t2 accepted\n"
    assert accepted(film) == second and film.status()["sky.png"] == "ok"
    film.commit("second")
    assert list(takes(film)) == ["v001", "v002"]
    film.regen("accept", "sky.png", "--take", first.removeprefix("blake3:")[:9])
    assert accepted(film) == first and film.status()["sky.png"] == "ok"
    assert film.regen("accept", "sky.png", "--take", "v001").stdout == "sky.png: v001 is accepted already\n"
    film.regen("regenerate", "sky.png")
    assert list(takes(film)) == ["v001", "v002", "t3"], "a number is a place on record, and never another's"


def test_of_an_earlier_recipe(film):
    before = takes(film)["v001"]
    film.regen("set", "sky.png", "mood=wild")
    film.regen("regenerate", "sky.png")
    film.commit("wild")
    found = takes(film)
    assert not found["v001"]["current"] and found["v002"]["current"] and found["v002"]["accepted"]
    assert "of an earlier recipe" in film.regen("takes", "sky.png").stdout.splitlines()[0]
    refused = film.regen("accept", "sky.png", "--take", "v001", check=False)
    assert refused.returncode == 1 and "regen-vcs accept sky.png --take v001 --with-recipe" in refused.stderr
    wild = film.path("sky.png.regen.json").read_bytes()
    told = film.regen("accept", "sky.png", "--take", "v001", "--with-recipe").stdout
    assert told == "sky.png: v001 accepted\n  params.mood: 'wild' → 'calm'\n"
    assert accepted(film) == before["hash"] and film.status()["sky.png"] == "ok"
    assert film.git("diff", "--stat", before["commit"], "--", "sky.png.regen.json").stdout == "", "to the byte as it was committed"
    film.regen("accept", "sky.png", "--take", "v002", "--with-recipe")
    assert film.path("sky.png.regen.json").read_bytes() == wild and film.status()["sky.png"] == "ok"


def test_recipes_that_no_commit_has(film):
    """Three moods tried between two commits; any of them comes back, with its words."""
    before = film.path("sky.png.regen.json").read_bytes()
    for mood in ("wild", "dull"):
        film.regen("set", "sky.png", f"mood={mood}")
        film.regen("regenerate", "sky.png")
    tried = accepted(film)
    film.regen("set", "sky.png", "mood=bright")
    found = takes(film)
    assert [(name, take["accepted"], take["current"], take["has_recipe"]) for name, take in found.items() if take["hash"] == tried] == [("v002", True, False, True)]
    wild = [name for name, take in found.items() if take["has_recipe"] and not take["current"] and name not in ("v001", "v002")]
    assert wild == ["t2", "t3"], "the second result of the first mood, and that of the second mood"
    assert film.regen("accept", "sky.png", "--take", "v002", "--with-recipe").stdout == "sky.png: v002 accepted\n  params.mood: 'bright' → 'dull'\n"
    assert film.status()["sky.png"] == "ok" and accepted(film) == tried
    told = film.regen("accept", "sky.png", "--take", "t3", "--with-recipe").stdout
    assert told == "sky.png: t3 accepted\n  params.mood: 'dull' → 'wild'\n" and film.status()["sky.png"] == "ok"
    film.regen("accept", "sky.png", "--take", "v001", "--with-recipe")
    assert film.status()["sky.png"] == "ok" and film.path("sky.png.regen.json").read_bytes() == before


def test_the_memory_of_earlier_recipes_is_of_no_account_where_it_is_damaged(film):
    film.regen("set", "sky.png", "mood=wild")
    film.regen("regenerate", "sky.png")
    memory = film.path(".git/regen/past-outputs")
    whole = memory.read_bytes()
    for damaged in (whole[:-20], b"\xff" * 900, b"[" * 200_000 + b"\n", b'{"path": "sky.png"}\n5\nnull\n', whole.replace(b'"key": "', b'"key": "../../')):
        memory.write_bytes(damaged)
        assert {"v001", "v002"} <= takes(film).keys()
    memory.write_bytes(b"\n".join([whole] * (5 * 1024 * 1024 // len(whole))))
    film.regen("set", "sky.png", "mood=dull")
    assert memory.stat().st_size < 3 * 1024 * 1024, "it does not grow for ever"
    assert "v002" in takes(film)


@pytest.mark.parametrize("words", [("accept", "--take", "v001", "--with-recipe"), ("rm",)], ids=["another take", "rm"])
def test_a_recipe_that_is_nowhere_else_is_kept_before_it_goes(film, words):
    film.regen("set", "sky.png", "mood=never made, never committed")
    film.regen(words[0], "sky.png", *words[1:])
    [kept] = [each for each in json.loads(film.regen("rescued", "--json").stdout)["rescued"] if each["path"] == "sky.png.regen.json"]
    film.regen("rescued", kept["hash"], "--to", "words.json")
    assert "never made, never committed" in film.path("words.json").read_text()


def test_what_head_has_is_not_kept_again(film):
    film.regen("rm", "sky.png")
    assert not [each for each in json.loads(film.regen("rescued", "--json").stdout)["rescued"] if each["path"].endswith(".json")]


def test_an_earlier_recipe_in_place(film):
    """The second layout: it is staged."""
    film.regen("track", "--in-place", "*.webp")
    film.regen("generate", "cloud.webp", "--generator", "command:noise", "--param", "mood=calm")
    film.commit("calm")
    before = takes(film, "cloud.webp")["v001"]["hash"]
    film.regen("set", "cloud.webp", "mood=wild")
    film.regen("regenerate", "cloud.webp")
    film.commit("wild")
    told = film.regen("accept", "cloud.webp", "--take", "v001", "--with-recipe").stdout
    assert told == "cloud.webp: v001 accepted, and staged\n  params.mood: 'wild' → 'calm'\n"
    assert takes(film, "cloud.webp")["v001"]["hash"] == before and takes(film, "cloud.webp")["v001"]["accepted"]
    assert film.status()["cloud.webp"] == "ok" and "cloud.webp" in film.git("diff", "--cached", "--name-only").stdout


def test_an_earlier_recipe_from_before_a_move_finds_its_inputs(film):
    film.write("plate.png", b"a plate")
    film.regen("set", "sky.png", "--input", "plate=plate.png")
    film.regen("regenerate", "sky.png")
    film.commit("with a plate")
    film.regen("mv", "sky.png", "shots/sky.png")
    film.commit("moved")
    film.regen("set", "shots/sky.png", "mood=wild")
    film.regen("regenerate", "shots/sky.png")
    film.commit("wild")
    told = film.regen("accept", "shots/sky.png", "--take", "v002", "--with-recipe").stdout
    assert told == "shots/sky.png: v002 accepted\n  params.mood: 'wild' → 'calm'\n"
    assert film.status()["shots/sky.png"] == "ok"


def test_recipes_that_no_commit_has_move_along(film):
    film.write("plate.png", b"a plate")
    film.git("add", "plate.png")
    film.regen("set", "sky.png", "mood=wild", "--input", "plate=plate.png")
    film.regen("regenerate", "sky.png")
    wild = accepted(film)
    film.regen("set", "sky.png", "mood=dull")
    film.regen("regenerate", "sky.png")
    film.regen("mv", "sky.png", "shots/010/sky.png")
    name = next(name for name, take in takes(film, "shots/010/sky.png").items() if take["hash"] == wild)
    told = film.regen("accept", "shots/010/sky.png", "--take", name, "--with-recipe").stdout
    assert told == f"shots/010/sky.png: {name} accepted\n  params.mood: 'dull' → 'wild'\n"
    assert film.status()["shots/010/sky.png"] == "ok" and accepted(film, "shots/010/sky.png") == wild


def test_an_earlier_recipe_that_would_close_a_circle(film):
    film.regen("generate", "fog.png", "--generator", "command:noise", "--param", "mood=grey")
    film.regen("set", "sky.png", "--input", "plate=fog.png")
    film.regen("regenerate", "sky.png")
    film.commit("of fog")
    film.regen("set", "sky.png", "--unset", "plate")
    film.regen("regenerate", "sky.png")
    film.regen("set", "fog.png", "--input", "plate=sky.png")
    now = film.path("sky.png.regen.json").read_bytes()
    refused = film.regen("accept", "sky.png", "--take", "v002", "--with-recipe", check=False)
    assert refused.returncode == 3 and "would depend on itself" in refused.stderr
    assert film.path("sky.png.regen.json").read_bytes() == now


def test_history_follows_a_move(film):
    commit = takes(film)["v001"]["commit"]
    film.regen("mv", "sky.png", "shots/sky.png")
    assert takes(film, "shots/sky.png")["v001"]["commit"] == commit, "before the move is committed, too"
    film.commit("moved")
    assert takes(film, "shots/sky.png")["v001"]["commit"] == commit


def test_edited_bytes_give_way_and_are_kept(film):
    film.write("sky.png", b"drawn over by hand")
    film.regen("accept", "sky.png", "--take", "v001")
    assert film.status()["sky.png"] == "ok"
    [kept] = json.loads(film.regen("rescued", "--json").stdout)["rescued"]
    assert kept["path"] == "sky.png" and kept["size"] == 18


def test_bytes_that_are_nowhere(film):
    found = takes(film)
    gone = found["v001"]["hash"].removeprefix("blake3:")
    for folder in (film.user.keep, film.user.cache, film.path(".git/regen")):
        for file in Path(folder).rglob(f"*{gone[2:]}*"):
            if "results" not in file.parts:
                file.unlink()
    assert not takes(film)["v001"]["in_store"]
    film.regen("accept", "sky.png", "--take", "t2")
    refused = film.regen("accept", "sky.png", "--take", "v001", check=False)
    assert refused.returncode == 1 and "in no store here" in refused.stderr
    assert accepted(film) == found["t2"]["hash"] and film.status()["sky.png"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sky.png", "--take", "v009"), "no take has this name or hash"),
        (("sky.png", "--take", "abc"), "no take has this name or hash"),
        (("sky.png", "other.png", "--take", "v001"), "--take goes with one asset"),
        (("sky.png", "--take", "v001", "--min-score", "0.5"), "--take goes without --min-score"),
        (("sky.png", "--take", "v001", "--expect", "12345678"), "--take goes without --min-score and --expect"),
        (("sky.png", "--with-recipe"), "--with-recipe goes with --take"),
    ],
    ids=["no such name", "too short for a hash", "two assets", "with a score", "with a hash", "a recipe of no take"],
)
def test_refused(film, arguments, says):
    before = accepted(film)
    refused = film.regen("accept", *arguments, check=False)
    assert refused.returncode == 2 and says in refused.stderr and accepted(film) == before


def test_a_source_asset(project):
    project.write("plate.bin", b"one")
    project.regen("add", "plate.bin")
    project.commit("one")
    project.write("plate.bin", b"two")
    project.regen("accept", "plate.bin")
    project.commit("two")
    assert list(takes(project, "plate.bin")) == ["v001", "v002"]
    project.regen("accept", "plate.bin", "--take", "v001")
    assert project.path("plate.bin").read_bytes() == b"one" and project.status()["plate.bin"] == "ok"


def test_nothing_yet(project):
    project.regen("generate", "sky.png", "--generator", "texture", "--no-run")
    assert project.regen("takes", "sky.png").stdout == "sky.png: no takes yet\n"
    assert project.regen("takes", "other.png", check=False).returncode == 1


def test_a_picture_of_each(film):
    drawn = [take["thumbnail"] for take in takes(film, "sky.png", "--thumbnails").values()]
    for file in drawn:
        assert os.path.realpath(file).startswith(os.path.realpath(film.user.cache))
        with Image.open(file) as picture:
            assert picture.format == "PNG" and picture.size == (256, 192)
    assert len(set(drawn)) == 2
    assert [take["thumbnail"] for take in takes(film, "sky.png", "--thumbnails").values()] == drawn
    film.regen("fsck")


def test_a_take_that_is_no_picture_has_none(project):
    project.regen("generate", "wind.wav", "--generator", "tone", "--param", "duration=0.1")
    assert [take["thumbnail"] for take in takes(project, "wind.wav", "--thumbnails").values()] == [None]


def test_a_sequence_shows_its_first_frame(project):
    for number in (1, 2):
        picture = Image.new("RGB", (32, 16), (number, 0, 0))
        project.path("seq").mkdir(exist_ok=True)
        picture.save(project.path(f"seq/a.{number:04}.png"))
    project.regen("add", "seq/a.####.png")
    [take] = takes(project, "seq/a.####.png", "--thumbnails").values()
    with Image.open(take["thumbnail"]) as picture:
        assert picture.size == (32, 16) and picture.convert("RGB").getpixel((0, 0)) == (1, 0, 0)
