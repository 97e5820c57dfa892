"""`du`: where the bytes are, and what was saved."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.real_git import recipes


def du(project, *words: str) -> dict:
    return json.loads(project.regen("du", "--json", *words).stdout)


def rows(document: dict) -> dict[str, dict]:
    return {each["name"]: each for each in document["groups"]}


def size_of(project, asset: str) -> int:
    return recipes.read(project, asset).output.size


@pytest.fixture
def film(project):
    for seed, name in enumerate(("shots/010/sky.png", "shots/020/sky.png", "top.png")):
        project.regen("generate", name, "--generator", "texture", "--param", "width=16", "--param", "height=16", "--param", f"seed={seed}")
    project.write("audio/voice.wav", b"recorded " * 1000)
    project.regen("add", "audio")
    project.commit("made")
    return project


def test_by_folder_generator_model_and_state(film):
    found = du(film)
    assert set(rows(found)) == {"shots/", "audio/", "./"}
    assert rows(found)["shots/"]["assets"] == 2
    assert set(rows(du(film, "shots"))) == {"shots/010/", "shots/020/"}
    by = rows(du(film, "--by", "generator"))
    assert by["texture"]["assets"] == 3 and by["(source assets)"]["accepted"] == 9000
    assert by["texture"]["cache"] == by["texture"]["accepted"] == sum(size_of(film, name) for name in ("shots/010/sky.png", "shots/020/sky.png", "top.png"))
    assert by["(source assets)"]["keep"] == 9000
    assert set(rows(du(film, "--by", "model"))) == {"(no model)", "(source assets)"}
    assert set(rows(du(film, "--by", "state"))) == {"ok"}


def test_models_are_named(film):
    recipes.write(film, "x.png", recipes.Recipe(generator="elsewhere", params={}, models={"main": recipes.Model(name="sdxl.safetensors", version="1")},
                                                output=recipes.output_of(b"x" * 10, "a" * 64)), b"x" * 10)
    film.git("add", "x.png.regen.json")
    assert rows(du(film, "--by", "model"))["sdxl.safetensors"]["accepted"] == 10


def test_what_is_in_one_copy_only(film):
    assert du(film)["total"]["only_copy"] == 0, "on disk and in keep"
    film.path("audio/voice.wav").unlink()
    film.path("top.png").unlink()
    assert rows(du(film))["audio/"]["only_copy"] == 9000
    assert rows(du(film))["./"]["only_copy"] == 0, "its generator provably makes it again"


def test_what_is_missing_and_what_is_in_the_trash(film):
    hash = recipes.read(film, "top.png").output.hash
    trash = film.user.cache / "v1" / "trash" / "objects" / hash[:2]
    trash.mkdir(parents=True)
    shutil.move(film.user.cache / "v1" / "objects" / hash[:2] / hash[2:], trash / hash[2:])
    found = du(film)
    assert rows(found)["./"]["trash"] == found["stores"]["trash"] == size_of(film, "top.png")
    assert found["total"]["on_disk"] == found["total"]["accepted"]
    film.path("top.png").unlink()
    shutil.rmtree(trash)
    assert rows(du(film))["./"] | {"accepted": 0} == {"name": "./", "assets": 1, "accepted": 0, "on_disk": 0, "keep": 0, "cache": 0, "trash": 0, "only_copy": 0}


def test_bytes_that_two_assets_share_count_once_in_the_stores(film):
    film.write("audio/copy.wav", b"recorded " * 1000)
    film.regen("add", "audio/copy.wav")
    total = du(film, "audio")["total"]
    assert (total["accepted"], total["on_disk"], total["keep"]) == (18000, 18000, 9000)


def test_a_sequence_counts_all_its_frames(film):
    film.regen("generate", "g.####.png", "--generator", "texture", "--param", "kind=white", "--param", "reseed=true", "--param", "width=16",
               "--param", "height=16", "--param", "frames=1-3")
    found = du(film, "g.####.png")["total"]
    assert found["assets"] == 1 and found["on_disk"] == found["accepted"] == size_of(film, "g.####.png")
    assert found["cache"] > found["accepted"], "and the manifest"


def test_history_is_every_version_once(film):
    before = du(film)["git"]
    assert before["versions"] == 4
    film.write("audio/voice.wav", b"second take " * 1000)
    film.regen("add", "audio/voice.wav")
    film.commit("second")
    film.git("branch", "other", "HEAD~1")
    after = du(film)["git"]
    assert after["versions"] == 5 and after["media"] == before["media"] + 12000
    assert after["saved"] == pytest.approx(after["media"] / (after["holds"] + after["media"]), abs=1e-6)


def test_hits_misses_and_failures_are_counted(film):
    film.git("switch", "-qc", "empty")
    film.regen("rm", "top.png", "shots/010/sky.png", "shots/020/sky.png")
    film.commit("none")
    film.git("switch", "-q", "main")
    found = du(film)["cache"]
    assert (found["hits"], found["misses"], found["hit_rate"]) == (3, 0, 1.0)
    assert found["runs"] == 3 and found["success_rate"] == 1.0 and found["seconds_saved"] > 0
    hash = recipes.read(film, "top.png").output.hash
    film.path("top.png").unlink()
    (film.user.cache / "v1" / "objects" / hash[:2] / hash[2:]).unlink()
    shutil.rmtree(film.root / ".git" / "regen" / "spare", ignore_errors=True)
    film.regen("sync")
    found = du(film)["cache"]
    assert (found["hits"], found["misses"], found["runs"]) == (3, 1, 4)


def test_what_it_says(film):
    text = film.regen("du").stdout
    assert "\x1b" not in text and "…" not in text
    assert text.splitlines()[0].split()[:3] == ["folder", "assets", "accepted"]
    assert any(line.split()[:2] == ["all", "4"] for line in text.splitlines())
    assert "instead of" in text and "sent nowhere" in text
    assert film.regen("du", "nothing", check=False).returncode == 2


def test_an_empty_repository(project):
    assert "no assets yet" in project.regen("du").stdout
    found = du(project)
    assert found["total"]["assets"] == 0 and found["git"]["saved"] is None and found["groups"] == []


def test_a_name_that_drives_terminals_is_spelt_out(project):
    project.write("bad\x1b[31m/x.wav", b"x")
    project.regen("add", ".")
    assert "\x1b" not in project.regen("du").stdout
