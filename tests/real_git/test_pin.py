"""`pin`: a take that stays, with all its files, whatever is accepted later."""

from __future__ import annotations

import json

import pytest

from regen_vcs.engine.pins import pinned
from tests.real_git import recipes


def object_in(root, hash: str):
    return root / "v1" / "objects" / hash[:2] / hash[2:]


@pytest.fixture
def film(project):
    project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    project.regen("generate", "grain.####.png", "--generator", "texture", "--param", "kind=white", "--param", "reseed=true",
                  "--param", "width=16", "--param", "height=16", "--param", "frames=1-3")
    project.commit("made")
    return project


def pins(project) -> dict[str, dict]:
    return {each["path"] or each["hash"]: each for each in json.loads(project.regen("pin", "--list", "--json").stdout)["pins"]}


def test_a_pinned_take_moves_to_keep_and_is_listed(film):
    hash = recipes.read(film, "sky.png").output.hash
    assert object_in(film.user.cache, hash).exists()
    done = film.regen("pin", "sky.png", "--note", "the director's")
    assert "pinned   sky.png" in done.stdout
    assert object_in(film.user.keep, hash).exists() and not object_in(film.user.cache, hash).exists()
    entry = pins(film)["sky.png"]
    assert (entry["note"], entry["hash"], entry["files"]) == ("the director's", f"blake3:{hash}", 0)
    assert "the director's" in film.regen("pin").stdout


def test_every_frame_of_a_sequence_is_pinned(film):
    hash = recipes.read(film, "grain.####.png").output.hash
    film.regen("pin", "grain.####.png")
    found = pinned(str(film.user.keep / "v1"))
    members = [each for each, entry in found.items() if entry.get("of") == hash]
    assert len(members) == 3
    assert all(object_in(film.user.keep, each).exists() for each in (hash, *members))
    assert pins(film)["grain.####.png"]["files"] == 3


def test_it_stays_the_take_that_was_pinned(film):
    old = recipes.read(film, "sky.png").output.hash
    film.regen("pin", "sky.png")
    film.regen("set", "sky.png", "seed=5")
    film.regen("regenerate", "sky.png")
    assert recipes.read(film, "sky.png").output.hash != old
    assert list(pinned(str(film.user.keep / "v1"))) == [old]
    film.regen("pin", "--remove", "sky.png")
    assert pinned(str(film.user.keep / "v1")) == {}


def test_a_hash_or_the_beginning_of_one_names_a_take(film):
    hash = recipes.read(film, "sky.png").output.hash
    film.regen("pin", hash[:12])
    assert list(pins(film)) == [f"blake3:{hash}"]
    film.regen("unpin", f"blake3:{hash}")
    assert pins(film) == {}


@pytest.mark.parametrize(("words", "code", "told"), [
    (("nothing.png",), 1, "there is no recipe"),
    (("0123456789",), 1, "is no object"),
    (("f" * 64,), 1, "is in no local store"),
    (("--remove", "sky.png"), 1, "is not pinned"),
    (("--remove",), 2, "what?"),
    (("--list", "sky.png"), 2, "--list"),
])
def test_what_cannot_be_pinned_is_said(film, words, code, told):
    done = film.regen("pin", *words, check=False)
    assert done.returncode == code and told in done.stderr, done.stderr
    assert pinned(str(film.user.keep / "v1")) == {}


def test_a_pending_asset_cannot_be_pinned(film):
    film.regen("generate", "new.png", "--generator", "texture", "--no-run")
    assert "nothing of it is accepted" in film.regen("pin", "new.png", check=False).stderr


def test_a_take_that_gc_has_swept_comes_back_to_be_pinned(film):
    hash = recipes.read(film, "sky.png").output.hash
    trash = film.user.cache / "v1" / "trash" / "objects" / hash[:2]
    trash.mkdir(parents=True)
    object_in(film.user.cache, hash).rename(trash / hash[2:])
    film.regen("pin", "sky.png")
    assert object_in(film.user.keep, hash).exists()


def test_a_sequence_of_which_a_frame_is_gone_is_not_half_pinned(film):
    film.regen("pin", "grain.####.png")
    member = next(each for each, entry in pinned(str(film.user.keep / "v1")).items() if "of" in entry)
    film.regen("unpin", "grain.####.png")
    object_in(film.user.keep, member).unlink()
    done = film.regen("pin", "grain.####.png", check=False)
    assert done.returncode == 1 and "no local store" in done.stderr
    assert pinned(str(film.user.keep / "v1")) == {}


def test_damaged_pins_still_pin_and_strange_names_do_not(film):
    hash = recipes.read(film, "sky.png").output.hash
    film.regen("pin", "sky.png")
    folder = film.user.keep / "v1" / "pins"
    (folder / f"{hash}.json").write_bytes(b"\xff not json")
    (folder / "notes.json").write_text("{}")
    (folder / f"{'../' * 21}x.json".replace("/", "_")).write_text("{}")
    assert list(pinned(str(film.user.keep / "v1"))) == [hash]
    assert film.regen("pin", "--list").stdout.endswith("1 pinned (8.0 kB)\n") or "1 pinned" in film.regen("pin", "--list").stdout


def test_another_repository_sees_the_pin_and_does_not_take_it_for_its_own(film, home):
    film.regen("pin", "sky.png")
    other = home.repo("other")
    assert "of another repository" in other.regen("pin", "--list").stdout
    assert other.regen("unpin", "sky.png", check=False).returncode == 1
    assert pins(film)["sky.png"]
