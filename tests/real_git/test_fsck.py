"""`fsck`: what it finds wrong, whom that hurts, and what it can put right by itself."""

from __future__ import annotations

import json

import pytest

from tests.real_git.recipes import TEXTURE, generated, hash_of, write


def object_of(project, data: bytes):
    """The path of the object with these bytes, in keep or cache."""
    digest = hash_of(data)
    places = (project.user.keep, project.user.cache)
    return next(path for place in places for path in place.rglob(f"objects/{digest[:2]}/{digest[2:]}"))


def damage(project, data: bytes, by: bytes = b"X") -> None:
    path = object_of(project, data)
    path.chmod(0o644)
    path.write_bytes(by)


def fsck(project, cwd=None) -> tuple[int, dict]:
    done = project.regen("fsck", "--json", check=False, cwd=cwd)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def film(project):
    for name in ("a.png", "b.png"):
        project.write(name, name.encode() * 1000)
    project.regen("add", "a.png", "b.png")
    project.git("add", "-A")
    project.git("commit", "-qm", "film")
    return project


A, B = b"a.png" * 1000, b"b.png" * 1000


def test_sound_stores(film):
    code, document = fsck(film)
    assert code == 0
    assert (document["checked"], document["bytes"]) == (2, 10000)
    assert document["damaged"] == document["assets"] == document["healed"] == []
    assert film.regen("fsck").stdout == "2 objects (0.0 MB) checked, all is well\n"


def test_damage_is_healed_from_the_worktree(film):
    damage(film, A)
    code, document = fsck(film)
    assert code == 6
    assert [each["hash"] for each in document["damaged"]] == document["healed"] == [hash_of(A)]
    assert [(each["path"], each["comes_back"]) for each in document["assets"]] == [("a.png", "healed")]
    assert object_of(film, A).read_bytes() == A
    assert fsck(film) == (0, fsck(film)[1])
    quarantined = list(film.user.keep.rglob("quarantine/*"))
    assert [path.read_bytes() for path in quarantined] == [b"X"], "not even damaged bytes are thrown away"


def test_damage_that_nothing_can_mend(film):
    damage(film, A)
    film.path("a.png").unlink()
    code, document = fsck(film)
    assert code == 6
    assert [(each["path"], each["damaged"], each["comes_back"]) for each in document["assets"]] == [("a.png", True, "nowhere")]
    done = film.regen("fsck", check=False)
    assert done.returncode == 6, "as long as what it was is wanted and not back"
    assert "damaged: a.png is nowhere to be had: a source asset" in done.stdout
    film.write("a.png", A)
    assert fsck(film)[1]["healed"] == [hash_of(A)]
    assert fsck(film)[0] == 0


def test_bytes_edited_on_disk_heal_nothing(film):
    damage(film, A)
    film.write("a.png", b"edited")
    code, document = fsck(film)
    assert code == 6 and document["healed"] == []


def test_a_copy_at_another_path_heals(film):
    film.write("copy.png", A)
    film.regen("add", "copy.png")
    damage(film, A)
    film.path("a.png").unlink()
    assert fsck(film)[1]["healed"] == [hash_of(A)]


def test_what_is_missing_and_can_be_made_again(film):
    write(film, "sky.png", generated("sky.png", b"sky", TEXTURE))
    film.git("add", "sky.png.regen.json")
    code, document = fsck(film)
    assert code == 0, "missing is not corrupt"
    assert [(each["path"], each["damaged"], each["comes_back"], each["how"]) for each in document["assets"]] == [
        ("sky.png", False, "regenerate", "regen-vcs sync")
    ]


def test_members_and_manifests_of_a_directory(project):
    for number in (1, 2):
        project.write(f"plates/{number}.png", b"plate %d" % number * 100)
    project.regen("add", "--as-one", "plates")
    project.git("add", "-A")
    project.git("commit", "-qm", "plates")
    damage(project, b"plate 1" * 100)
    manifest = next(path for path in project.user.keep.rglob("objects/*/*") if b"plate" not in path.read_bytes() and len(path.read_bytes()) > 1)
    manifest.unlink()
    code, document = fsck(project)
    assert code == 6
    assert len(document["healed"]) == 2
    assert [(each["path"], each["comes_back"]) for each in document["assets"]] == [("plates", "healed")]
    assert fsck(project)[0] == 0


def test_what_a_dead_process_left(film):
    left = film.user.keep / "v1" / "objects" / "tmp-elsewhere-1-ab"
    left.write_bytes(b"half an object")
    assert fsck(film)[1]["temporaries"]["left"] == [str(left)], "its maker may live, on another machine"


def test_records_that_are_none(film):
    folder = film.user.keep / "v1" / "results" / "ab" / ("ab" * 32) / ("cd" * 32)
    folder.mkdir(parents=True)
    (folder / ("ef" * 32 + ".json")).write_text("garbage")
    code, document = fsck(film)
    assert code == 0 and document["broken_records"] == [str(folder / ("ef" * 32 + ".json"))]


def test_outside_of_a_repository(film):
    damage(film, A)
    code, document = fsck(film, cwd=film.user.work)
    assert code == 6 and len(document["damaged"]) == 1


def test_a_store_that_is_not_there_yet(home):
    project = home.repo("empty", init=False)
    assert fsck(project)[1]["checked"] == 0
