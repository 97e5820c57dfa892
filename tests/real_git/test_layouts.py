"""Directory assets and numbered sequences: one recipe, many files; and how they turn into each other."""

from __future__ import annotations

import json
import os

import pytest

from tests.real_git.copies import copy_of
from tests.real_git.film import media_bytes
from tests.real_git.operations import SEQUENCE, frame, put_frames, put_tree


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """main: set/ (x.dat, sub/y.dat) and frames 1-3. two: set/ (x.dat changed, z.dat), frames 3-4 (3 changed)."""
    from tests.conftest import Home

    project = Home(tmp_path_factory.mktemp("layouts") / "user").repo()
    put_tree(project, {"x.dat": 1, "sub/y.dat": 1})
    put_frames(project, {1: 1, 2: 1, 3: 1})
    project.commit("one")
    project.git("switch", "-qc", "two")
    put_tree(project, {"x.dat": 2, "z.dat": 1})
    put_frames(project, {3: 2, 4: 1})
    project.commit("two")
    project.git("switch", "-q", "main")
    return project


@pytest.fixture
def film(template, tmp_path):
    return copy_of(template, tmp_path)


def files(film, folder: str) -> dict[str, bytes]:
    top = film.root / folder
    return {each.relative_to(top).as_posix(): each.read_bytes() for each in top.rglob("*") if each.is_file()}


def folders(film, folder: str) -> set[str]:
    top = film.root / folder
    return {each.relative_to(top).as_posix() for each in top.rglob("*") if each.is_dir()}


MAIN_SET = {"x.dat": media_bytes("x.dat", 1), "sub/y.dat": media_bytes("sub/y.dat", 1)}
TWO_SET = {"x.dat": media_bytes("x.dat", 2), "z.dat": media_bytes("z.dat", 1)}


def frames_of(film) -> dict[str, bytes]:
    return {name: data for name, data in files(film, "frames").items() if not name.endswith(".regen.json")}


def sidecar(film, asset: str) -> dict:
    return json.loads(film.path(f"{asset}.regen.json").read_text())


def clean(film) -> bool:
    return film.git("status", "--porcelain").stdout == ""


# ---------------------------------------------------------------- to and fro


def test_a_directory_follows_its_sidecar(film):
    for _ in range(2):
        film.git("switch", "-q", "two")
        assert files(film, "set") == TWO_SET and folders(film, "set") == set()  # no empty folder is left
        film.git("switch", "-q", "main")
        assert files(film, "set") == MAIN_SET
    assert clean(film) and set(film.status().values()) == {"ok"}


def test_a_sequence_follows_its_sidecar_and_frames_that_left_are_gone(film):
    for _ in range(2):
        film.git("switch", "-q", "two")
        assert frames_of(film) == {"shot.0003.exr": media_bytes("frame 3", 2), "shot.0004.exr": media_bytes("frame 4", 1)}
        film.git("switch", "-q", "main")
        assert frames_of(film) == {f"shot.000{n}.exr": media_bytes(f"frame {n}", 1) for n in (1, 2, 3)}
    assert clean(film) and set(film.status().values()) == {"ok"}


def test_both_leave_with_their_sidecars(film):
    film.git("switch", "-q", "--orphan", "empty")
    film.git("commit", "-q", "--allow-empty", "-m", "nothing")
    assert not film.path("set").exists() and not film.path("frames").exists()
    film.git("switch", "-q", "main")
    assert files(film, "set") == MAIN_SET and len(frames_of(film)) == 3


def test_frames_are_shared_between_versions(film):
    """Frame 3 of another version is another object; a frame that did not change is stored once."""
    put_frames(film, {1: 1, 2: 1, 3: 1, 4: 7})
    film.commit("one more")
    stored = sum(each.stat().st_size for each in (film.user.keep / "v1" / "objects").rglob("*") if each.is_file())
    put_frames(film, {1: 1, 2: 1, 3: 1, 4: 8})
    grown = sum(each.stat().st_size for each in (film.user.keep / "v1" / "objects").rglob("*") if each.is_file()) - stored
    assert grown < 2 * len(media_bytes("frame 4", 8))


def test_one_missing_frame_comes_back_and_the_others_are_not_written_again(film):
    before = film.path(frame(1)).stat().st_mtime_ns
    film.path(frame(2)).unlink()
    assert film.status()[SEQUENCE] in ("missing", "modified")
    film.git("switch", "-q", "two")
    film.git("switch", "-q", "main")
    assert frames_of(film)["shot.0002.exr"] == media_bytes("frame 2", 1)
    film.path("set/x.dat").unlink()
    film.path("set/sub/y.dat").unlink()
    film.regen("sync")
    assert files(film, "set") == MAIN_SET
    assert before == film.path(frame(1)).stat().st_mtime_ns


# ---------------------------------------------------------------- from one layout to another


def switch_layout(film, branch: str, change) -> None:
    film.git("switch", "-qc", branch)
    change(film)
    film.commit(branch)
    assert clean(film) and set(film.status().values()) == {"ok"}


def to_and_fro(film, branch: str, at_main: dict, at_branch: dict, folder: str = "set") -> None:
    def media(of):
        return {name: data for name, data in files(of, folder).items() if not name.endswith(".regen.json")}

    for _ in range(2):
        film.git("switch", "-q", "main")
        assert media(film) == at_main
        assert clean(film) and set(film.status().values()) == {"ok"}
        film.git("switch", "-q", branch)
        assert media(film) == at_branch
        assert clean(film) and set(film.status().values()) == {"ok"}


def test_a_directory_becomes_single_assets(film):
    def split(film):
        film.regen("rm", "set")
        for name, data in MAIN_SET.items():
            film.write(f"set/{name}", data)
        film.regen("add", "set")

    switch_layout(film, "single", split)
    to_and_fro(film, "single", MAIN_SET, MAIN_SET)


def test_a_directory_becomes_single_assets_with_other_bytes(film):
    def split(film):
        film.regen("rm", "set")
        for name, data in TWO_SET.items():
            film.write(f"set/{name}", data)
        film.regen("add", "set")

    switch_layout(film, "single", split)
    to_and_fro(film, "single", MAIN_SET, TWO_SET)


def test_a_sequence_becomes_single_frames(film):
    all_frames = frames_of(film)

    def split(film):
        film.regen("rm", SEQUENCE)
        for name, data in all_frames.items():
            film.write(f"frames/{name}", data)
        film.regen("add", "frames")

    switch_layout(film, "single", split)
    to_and_fro(film, "single", all_frames, all_frames, "frames")


def test_a_directory_becomes_a_file_and_back(film):
    def flatten(film):
        film.regen("rm", "set")
        film.write("set", b"one file")
        film.regen("add", "set")

    switch_layout(film, "flat", flatten)
    for _ in range(2):
        film.git("switch", "-q", "main")
        assert files(film, "set") == MAIN_SET
        film.git("switch", "-q", "flat")
        assert film.path("set").read_bytes() == b"one file"
    assert clean(film) and set(film.status().values()) == {"ok"}


def test_a_member_becomes_a_folder_and_back(film):
    def deepen(film):
        put_tree(film, {"x.dat/inner.dat": 1, "sub": 1})

    switch_layout(film, "deep", deepen)
    at_deep = {"x.dat/inner.dat": media_bytes("x.dat/inner.dat", 1), "sub": media_bytes("sub", 1)}
    to_and_fro(film, "deep", MAIN_SET, at_deep)


def test_a_directory_that_git_takes_over_file_by_file(film):
    """History before the tool, or after it: the members are tracked by git itself."""
    film.git("switch", "-qc", "raw")
    film.regen("rm", "set")
    film.write("set/x.dat", b"raw")
    film.write("set/notes.txt", b"notes")
    film.commit("raw")
    film.git("switch", "-q", "main")
    assert files(film, "set") == MAIN_SET
    film.git("switch", "-q", "raw")
    film.regen("sync")
    assert files(film, "set") == {"x.dat": b"raw", "notes.txt": b"notes"} and clean(film)


def test_a_tracked_file_inside_a_directory_asset_is_refused(film):
    film.write("set/notes.txt", b"git's own")
    film.git("add", "-f", "set/notes.txt")
    film.git("commit", "-qnm", "notes")  # past pre-commit
    document = json.loads(film.regen("status", "--json").stdout)
    state = {each["path"]: each for each in document["assets"]}
    assert state["set"]["state"] == "invalid" and "set/notes.txt" in state["set"]["reason"]
    film.git("switch", "-q", "two")
    film.git("switch", "-q", "main")
    assert film.path("set/notes.txt").read_bytes() == b"git's own" and clean(film)
    assert film.path("set/x.dat").exists()  # and nothing of it was touched meanwhile


# ---------------------------------------------------------------- the verbs


def test_mv_of_a_sequence_keeps_its_hash(film):
    before = sidecar(film, SEQUENCE)["output"]
    film.regen("mv", SEQUENCE, "other/take.######.exr")
    assert sorted(files(film, "other")) == ["take.######.exr.regen.json", *(f"take.00000{n}.exr" for n in (1, 2, 3))]
    assert sidecar(film, "other/take.######.exr")["output"] == before
    assert not film.path("frames").exists()
    film.commit("moved")
    assert clean(film) and set(film.status().values()) == {"ok"}
    film.git("switch", "-q", "two")
    film.git("switch", "-q", "main")
    assert len(files(film, "other")) == 4


def test_mv_of_a_directory_keeps_its_hash(film):
    before = sidecar(film, "set")["output"]
    film.regen("mv", "set", "deep/er/set")
    assert files(film, "deep/er/set") == MAIN_SET and not film.path("set").exists()
    assert sidecar(film, "deep/er/set")["output"] == before
    assert set(film.status().values()) == {"ok"}


def test_mv_of_a_folder_takes_every_asset_in_it_along(film):
    outputs = {path: sidecar(film, path)["output"] for path in (SEQUENCE, "set")}
    film.regen("mv", SEQUENCE, "day one/a/take.####.exr")
    film.regen("mv", "set", "day one/set")
    film.write("day one/notes.txt", b"git's own")
    film.commit("a folder")
    done = film.regen("mv", "day one", "archive/day 1")
    assert "moved day one/set to archive/day 1/set" in done.stdout and "what is no asset stays in day one" in done.stderr
    assert files(film, "archive/day 1/set") == MAIN_SET and os.listdir(film.path("day one")) == ["notes.txt"]
    assert sidecar(film, "archive/day 1/a/take.####.exr")["output"] == outputs[SEQUENCE]
    assert sidecar(film, "archive/day 1/set")["output"] == outputs["set"]
    assert set(film.status().values()) == {"ok"}
    film.commit("moved")
    assert clean(film)


def test_mv_of_a_folder_moves_all_or_nothing(film):
    film.regen("mv", SEQUENCE, "day/a/take.####.exr")
    film.regen("mv", "set", "day/set")
    film.write("archive/set/x.dat", b"mine")
    before = files(film, "day")
    done = film.regen("mv", "day", "archive/", check=False)  # into it, under its own name
    assert done.returncode == 0 and film.path("archive/day/set").is_dir()
    film.regen("mv", "archive/day", "day")
    assert files(film, "day") == before
    film.path("other").mkdir()
    film.write("other/day/set", b"mine")
    done = film.regen("mv", "day", "other", check=False)
    assert done.returncode == 1 and "other/day/set: is there already" in done.stderr and files(film, "day") == before
    done = film.regen("mv", "day", "day/old", check=False)
    assert done.returncode == 2 and "lies in day itself" in done.stderr and files(film, "day") == before


def test_mv_takes_edits_along(film):
    film.write(frame(2), b"edited")
    film.write("set/x.dat", b"edited")
    film.regen("mv", SEQUENCE, "other/take.####.exr")
    film.regen("mv", "set", "sets/one")
    assert film.path("other/take.0002.exr").read_bytes() == b"edited"
    assert film.path("sets/one/x.dat").read_bytes() == b"edited"
    state = film.status()
    assert state["other/take.####.exr"] == state["sets/one"] == "modified"


def test_mv_never_writes_over_frames(film):
    film.write("other/take.0002.exr", b"mine")
    done = film.regen("mv", SEQUENCE, "other/take.####.exr", check=False)
    assert done.returncode == 1 and "is there already" in done.stderr
    assert film.path("other/take.0002.exr").read_bytes() == b"mine" and len(frames_of(film)) == 3


def test_rm_rescues_edited_members(film):
    film.write(frame(2), b"edited frame")
    film.write("set/x.dat", b"edited member")
    film.regen("rm", SEQUENCE, "set")
    assert not film.path("set").exists() and not film.path("frames").exists()
    entries = json.loads(film.regen("rescued", "--json").stdout)["rescued"]
    assert {each["path"] for each in entries} == {SEQUENCE, "set"}
    for entry, name, data in ((entries[0], "shot.0002.exr", b"edited frame"), (entries[1], "x.dat", b"edited member")):
        target = film.root.parent / entry["hash"][:12]
        film.regen("rescued", entry["hash"], "--to", str(target))
        assert (target / name).read_bytes() == data


def test_generate_makes_a_sequence(film):
    film.regen("generate", "sky.####.png", "--generator", "texture", "-p", "kind=fbm", "-p", "seed=1", "-p", "width=16",
               "-p", "height=16", "-p", "frames=1-4")
    assert sorted(each.name for each in film.root.glob("sky.*.png")) == [f"sky.000{n}.png" for n in (1, 2, 3, 4)]
    output = sidecar(film, "sky.####.png")["output"]
    assert output["frames"] == "1-4"
    film.commit("sky")
    film.regen("set", "sky.####.png", "frames=3-5")
    assert film.status()["sky.####.png"] == "stale"
    film.regen("regenerate", "--stale")
    assert sorted(each.name for each in film.root.glob("sky.*.png")) == [f"sky.000{n}.png" for n in (3, 4, 5)]
    film.git("restore", "sky.####.png.regen.json")
    assert sorted(each.name for each in film.root.glob("sky.*.png")) == [f"sky.000{n}.png" for n in (1, 2, 3, 4)]
    assert clean(film)


def test_a_generated_sequence_is_made_again_when_it_is_nowhere(film):
    film.regen("generate", "sky.####.png", "--generator", "texture", "-p", "kind=fbm", "-p", "seed=1", "-p", "width=16",
               "-p", "height=16", "-p", "frames=1-4")
    film.commit("sky")
    before = {each.name: each.read_bytes() for each in film.root.glob("sky.*.png")}
    for each in film.root.glob("sky.*.png"):
        each.unlink()
    for each in sorted((film.user.cache / "v1" / "objects").rglob("*"), reverse=True):
        each.rmdir() if each.is_dir() else each.unlink()
    film.regen("sync")
    assert {each.name: each.read_bytes() for each in film.root.glob("sky.*.png")} == before


def test_frames_beyond_the_padding(film):
    for number in (9999, 10000, 10001):
        film.write(f"long/f.{number:04d}.dat", b"%d" % number)
    film.regen("add", "long/f.####.dat")
    assert sidecar(film, "long/f.####.dat")["output"]["frames"] == "9999-10001"
    film.commit("long")
    assert clean(film)  # the fifth digit is ignored too
    film.git("switch", "-q", "two")
    assert not film.path("long").exists()
    film.git("switch", "-q", "main")
    assert sorted(files(film, "long")) == ["f.####.dat.regen.json", "f.10000.dat", "f.10001.dat", "f.9999.dat"]


def test_a_neighbour_that_is_no_frame_is_left_alone(film):
    film.write("frames/shot.exr", b"no number")
    film.write("frames/shot.12.exr", b"too short")
    film.write("frames/shot.00001.exr", b"padded otherwise")
    film.write("frames/other.0001.exr", b"another name")
    film.git("switch", "-q", "two")
    film.git("switch", "-q", "main")
    for name in ("shot.exr", "shot.12.exr", "shot.00001.exr", "other.0001.exr"):
        assert film.path(f"frames/{name}").exists()
    assert set(film.status().values()) == {"ok"}


def test_clutter_of_the_desktop_is_no_edit(film):
    film.write("set/.DS_Store", b"finder")
    film.write("set/sub/Thumbs.db", b"explorer")
    assert set(film.status().values()) == {"ok"}


def test_no_media_of_these_layouts_reach_git(film):
    film.git("add", "-A")
    assert clean(film)
    names = film.git("ls-files").stdout.split()
    assert not [name for name in names if name.endswith((".exr", ".dat"))]


def test_an_empty_directory_in_the_way_is_no_obstacle(film):
    film.git("switch", "-q", "two")
    film.path("new.dat").mkdir()
    film.git("switch", "-q", "main")
    film.path("new.dat").rmdir()
    film.write("new.dat", b"new")
    film.regen("add", "new.dat")
    film.commit("new")
    film.git("switch", "-q", "two")
    film.path("new.dat").mkdir()
    film.git("switch", "-q", "main")
    assert film.path("new.dat").read_bytes() == b"new"


def test_a_full_directory_in_the_way_is_rescued(film):
    film.write("new.dat", b"new")
    film.regen("add", "new.dat")
    film.commit("new")
    film.git("switch", "-q", "two")
    film.write("new.dat/mine.txt", b"mine")
    film.git("switch", "-q", "main")
    entries = json.loads(film.regen("rescued", "--json").stdout)["rescued"]
    kept = film.path("new.dat/mine.txt")
    if kept.exists():
        assert film.status()["new.dat"] == "modified"
    else:
        target = film.root.parent / "back"
        film.regen("rescued", entries[-1]["hash"], "--to", str(target))
        assert (target / "mine.txt").read_bytes() == b"mine"
        assert film.path("new.dat").read_bytes() == b"new"
