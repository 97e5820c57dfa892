"""The quick answer of `status` is the slow one's, or is not given: whatever has changed in between."""

from __future__ import annotations

import os
import time

import pytest

from regen_vcs.engine import quiet
from regen_vcs.git.repo import Repo
from tests.real_git.recipes import TEXTURE, generated, write

SETTLE = 0.06  # seconds after which no file just written is racy any more

TOML = b"""[generators.copy]
uses = "command"
argv = ["cp", "{inputs.plate}", "{output}"]
code = ["tools/copy.sh"]
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    from tests.conftest import Home

    film = Home(tmp_path_factory.mktemp("quiet") / "user").repo()
    for number in range(4):
        film.write(f"shots/{number}/plate.png", b"plate %d" % number)
    film.write("tex/one.png", b"1")
    film.write("tex/inner/two.png", b"2")
    for frame in (1, 2, 3):
        film.write(f"seq/s.{frame:04}.png", b"frame %d" % frame)
    film.regen("add", "shots", "seq/s.####.png")
    film.regen("add", "--as-one", "tex")
    write(film, "sky.png", generated("sky.png", None, TEXTURE))
    film.write("regen.toml", TOML)
    film.write("tools/copy.sh", b"# a script\n")
    film.write("notes.txt", b"an input\n")
    film.commit("all")
    film.regen("trust", "--yes")
    film.regen("generate", "copy.png", "--generator", "command:copy", "--input", "plate=notes.txt")
    film.commit("copy")
    film.git("branch", "other")
    return film


@pytest.fixture
def film(template, tmp_path):
    from tests.real_git.copies import copy_of

    project = copy_of(template, tmp_path)
    project.git("update-index", "-q", "--refresh")
    return project


def quick(film):
    return quiet.recall(Repo.discover(str(film.root), film.env), film.env)


def status(film) -> str:
    return film.regen("status").stdout


def record(film) -> None:
    """The first status may still have to remember what it hashed; the second can rely on it."""
    for _ in range(3):
        time.sleep(SETTLE)
        status(film)


def slow_status(film) -> str:
    (film.root / ".git/regen/quiet").unlink(missing_ok=True)
    return status(film)


def test_it_is_given_while_nothing_moves(film):
    record(film)
    answer = quick(film)
    assert answer is not None
    assert answer.counts == {"ok": 7, "pending": 1}
    assert [told[:2] for told in answer.told] == [("pending", "sky.png")]
    assert status(film) == slow_status(film)
    assert film.regen("status", "--exit-code", check=False).returncode == 1


def _symlink_parent(film):
    os.rename(film.path("shots/2"), film.root.parent / "elsewhere")
    os.symlink(film.root.parent / "elsewhere", film.path("shots/2"))


def _same_size_and_time(film):
    path = film.path("shots/0/plate.png")
    before = path.stat()
    path.write_bytes(b"PLATE 0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "an asset is edited": lambda film: film.write("shots/0/plate.png", b"painted"),
    "one is edited, size and time kept": _same_size_and_time,
    "an asset is deleted": lambda film: film.path("shots/1/plate.png").unlink(),
    "a sidecar is edited": lambda film: write(film, "sky.png", generated("sky.png", None, {**TEXTURE, "seed": 8})),
    "a sidecar is broken": lambda film: film.write("sky.png.regen.json", b"{"),
    "a sidecar is deleted": lambda film: film.path("shots/3/plate.png.regen.json").unlink(),
    "a sidecar is taken from git": lambda film: film.git("rm", "-q", "--cached", "shots/3/plate.png.regen.json"),
    "a sidecar is staged": lambda film: (write(film, "new.png", generated("new.png", None, TEXTURE)), film.git("add", "-A")),
    "a sidecar is moved": lambda film: film.git("mv", "sky.png.regen.json", "cloud.png.regen.json"),
    "a pending asset appears": lambda film: film.write("sky.png", b"from somewhere"),
    "regen.toml is edited": lambda film: film.write("regen.toml", TOML.replace(b'"cp"', b'"cat"')),
    "code is edited": lambda film: film.write("tools/copy.sh", b"# another\n"),
    "a plain input is edited": lambda film: film.write("notes.txt", b"another input\n"),
    "a directory asset gets a file": lambda film: film.write("tex/inner/three.png", b"3"),
    "a directory asset loses one": lambda film: film.path("tex/inner/two.png").unlink(),
    "a sequence gets a frame": lambda film: film.write("seq/s.0009.png", b"frame 9"),
    "a folder becomes a link": _symlink_parent,
    "patterns are tracked": lambda film: (film.write("media/x.mov", b"x"), film.regen("track", "media/**")),
    "a run fails": lambda film: (
        film.write("notes.txt", b"y"), film.write("regen.toml", TOML.replace(b'"cp"', b'"false"')), film.git("add", "-A"),
        film.regen("trust", "--yes"), film.regen("regenerate", "--stale", check=False),
    ),
    "something is generated": lambda film: film.regen("generate", "b.png", "--generator", "texture"),
    "something is made": lambda film: film.regen("regenerate"),
    "git goes elsewhere": lambda film: film.git("switch", "-q", "--detach", "HEAD~2"),
}  # fmt: skip


# What a status has to look at again, and then says the same.
SAME_TEXT = {
    "a sidecar is edited", "a pending asset appears", "a sidecar is taken from git", "a folder becomes a link",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_never_given_after_a_change(film, change):
    record(film)
    assert quick(film) is not None
    before = status(film)
    CHANGES[change](film)
    assert quick(film) is None
    after = status(film)
    assert after == slow_status(film)
    assert (after != before) == (change not in SAME_TEXT)
    record(film)
    assert status(film) == slow_status(film)


def test_another_index_or_a_moved_repository_is_looked_at(film):
    record(film)
    repo = Repo.discover(str(film.root), film.env)
    assert quiet.recall(repo, film.env | {"GIT_INDEX_FILE": "/nowhere"}) is None
    os.rename(film.root, film.root.parent / "moved")
    film.root = film.root.parent / "moved"
    assert quick(film) is None


@pytest.mark.parametrize("damage", [b"", b"1", b"\0\0\0\0\0\0", b"1\0x\0y\0z\0\0\0\0\0\0", b"\xff" * 40])
def test_a_damaged_file_is_not_believed(film, damage):
    record(film)
    film.write(".git/regen/quiet", damage)
    assert quick(film) is None
    assert "8 assets" in status(film)


@pytest.mark.parametrize("recipe", [
    generated("far.png", None, TEXTURE, inputs={"base": "../../far.png"}),
    generated("far.png", None, {}, generator="command:gone", definition="0" * 64),
], ids=["an input outside", "no such generator"])
def test_a_recipe_that_rests_on_what_is_not_there_hides_nobody_elses_state(home, recipe):
    project = home.repo()
    write(project, "far.png", recipe)
    write(project, "near.png", generated("near.png", None, TEXTURE))
    project.git("add", "-A")
    time.sleep(SETTLE)
    assert project.status()["near.png"] == "pending"
    assert project.regen("status").returncode == 0
