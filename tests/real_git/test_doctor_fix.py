"""`doctor --fix`: what moved is found again, by its bytes above all; what is not sure is said and left alone."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from regen_vcs.stores.results import Repos
from tests.conftest import Home
from tests.real_git.copies import copy_of
from tests.real_git.recipes import read, source, write

PROJECT = """\
[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A chain: plates/base.txt → shots/010/big.dat → shots/010/bigger.dat; and two plates of the same bytes."""
    project = Home(tmp_path_factory.mktemp("film") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", b"import sys\nopen(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() * 2)\n")
    project.write("plates/base.txt", b"plate one\n")
    project.write("plates/other.txt", b"plate two\n")
    project.write("twins/a.txt", b"the same\n")
    project.write("twins/b.txt", b"the same\n")
    project.git("add", "-A")
    project.regen("trust", "--yes")
    for asset, plate in (("shots/010/big.dat", "plates/base.txt"), ("shots/010/bigger.dat", "shots/010/big.dat"),
                         ("shots/020/twin.dat", "twins/a.txt")):
        project.regen("generate", asset, "--generator", "command:twice", "--input", f"image={plate}")
    project.commit("a film")
    return project


@pytest.fixture
def film(template, tmp_path):
    project = copy_of(template, tmp_path)
    project.regen("init")  # a copy has other paths than its template: its hooks' and keep's
    return project


def fix(project, *argv: str, check=False):
    return project.regen("doctor", "--fix", *argv, check=check)


def image(project, asset: str) -> str:
    return read(project, asset).inputs["image"]


def states(project) -> set[str]:
    return set(project.status().values())


def test_nothing_to_mend(film):
    done = fix(film)
    assert done.returncode == 0 and "nothing to mend" in done.stdout
    assert film.git("status", "--porcelain").stdout == ""


def test_a_plate_renamed_and_moved_is_found_by_its_bytes(film):
    film.path("plates/base.txt").rename(film.path("plate one.txt"))
    film.git("add", "-A")
    film.git("commit", "-qm", "moved", "--no-verify")
    assert any(each["topic"] == "inputs" for each in json.loads(film.regen("doctor", "--json", check=False).stdout)["findings"])
    shown = fix(film, "--dry-run")
    assert "would mend  inputs: shots/010/big.dat: inputs.image: ../../plates/base.txt → ../../plate one.txt (the same bytes)" in shown.stdout
    assert image(film, "shots/010/big.dat") == "../../plates/base.txt"
    done = fix(film)
    assert done.returncode == 0 and image(film, "shots/010/big.dat") == "../../plate one.txt"
    assert states(film) == {"ok"}  # the same bytes: the same key


def test_without_records_and_history_the_key_tells(film):
    """A colleague's fresh, shallow clone: nothing but the recipes as they are."""
    film.path("plates/base.txt").rename(film.path("renamed.bin"))
    film.git("add", "-A")
    film.git("commit", "-qm", "moved", "--no-verify")
    film.git("clone", "-q", "--depth", "1", f"file://{film.root}", str(film.root.parent / "clone"))
    film.root = film.root.parent / "clone"
    shutil.rmtree(film.user.keep)
    shutil.rmtree(film.user.cache, ignore_errors=True)
    film.regen("init")
    fix(film)
    assert image(film, "shots/010/big.dat") == "../../renamed.bin"


def test_an_edited_plate_that_git_moved_is_the_plate_all_the_same(film):
    film.git("mv", "plates/base.txt", "plates/moved.txt")
    film.commit_moved = film.git("commit", "-qm", "moved", "--no-verify")
    film.write("plates/moved.txt", b"plate one, edited\n")
    fix(film)
    assert image(film, "shots/010/big.dat") == "../../plates/moved.txt"
    assert film.status()["shots/010/big.dat"] == "stale"


def test_a_sidecar_moved_by_hand(film):
    """`git mv` of a sidecar: its own inputs are relative to where it was, and others name it there."""
    film.path("deep/er").mkdir(parents=True)
    film.git("mv", "shots/010/big.dat.regen.json", "deep/er/large.dat.regen.json")
    film.regen("sync", check=False)
    done = fix(film)
    assert image(film, "deep/er/large.dat") == "../../plates/base.txt"
    assert image(film, "shots/010/bigger.dat") == "../../deep/er/large.dat"
    film.regen("sync")
    assert states(film) == {"ok"} and done.returncode == 0


def test_the_whole_folder_moved_by_hand(film):
    film.path("part one/act").mkdir(parents=True)
    film.git("mv", "shots", "part one/act/shots")
    film.git("commit", "-qm", "moved", "--no-verify")
    fix(film)
    film.regen("sync")
    assert states(film) == {"ok"}
    assert image(film, "part one/act/shots/010/big.dat") == "../../../../plates/base.txt"
    assert image(film, "part one/act/shots/010/bigger.dat") == "big.dat"


@pytest.mark.parametrize("spelt", [
    "..\\..\\plates\\base.txt", "./../../plates/base.txt", "../../plates/../plates/base.txt", "{root}/plates/base.txt",
    "C:\\Users\\ada\\film\\plates\\base.txt", "/mnt/old disk/film/plates/base.txt", "../../PLATES/Base.TXT", "../../plates//base.txt",
])
def test_spellings_of_other_systems(film, spelt):
    text = film.path("shots/010/big.dat.regen.json").read_text()
    wrong = json.dumps(spelt.format(root=film.root), ensure_ascii=False)
    film.write("shots/010/big.dat.regen.json", text.replace('"../../plates/base.txt"', wrong).encode())
    fix(film)
    assert image(film, "shots/010/big.dat") == "../../plates/base.txt"
    assert states(film) == {"ok"}


def test_accents_in_another_form(film):
    composed, decomposed = "plätze.txt", "plätze.txt"
    film.write(f"plates/{composed}", b"umlaut\n")
    film.git("add", "-A")
    film.regen("generate", "u.dat", "--generator", "command:twice", "--input", f"image=plates/{composed}")
    film.path(f"plates/{composed}").rename(film.path(f"plates/{decomposed}"))
    film.commit("a Mac was here")
    fix(film)
    assert image(film, "u.dat") == f"plates/{decomposed}"


def test_a_path_under_a_named_root(film, tmp_path):
    plates = tmp_path / "nas"
    plates.mkdir()
    (plates / "scan.txt").write_bytes(b"scan\n")
    film.user.base.joinpath("config").mkdir(exist_ok=True)
    film.user.base.joinpath("config/config.toml").write_text(f'[roots]\nplates = "{plates}"\n')
    text = film.path("shots/010/big.dat.regen.json").read_text()
    film.write("shots/010/big.dat.regen.json", text.replace('"../../plates/base.txt"', json.dumps(str(plates / "scan.txt"))).encode())
    fix(film)
    assert image(film, "shots/010/big.dat") == "@plates/scan.txt"


# ---------------------------------------------------------------- not sure


def test_several_with_the_same_bytes_are_not_guessed_among(film):
    film.write("elsewhere/c.txt", b"the same\n")
    film.path("twins/a.txt").unlink()
    film.git("add", "-A")
    done = fix(film)
    assert "unsure  shots/020/twin.dat: inputs.image: ../../twins/a.txt: there are several with the same bytes" in done.stderr
    assert image(film, "shots/020/twin.dat") == "../../twins/a.txt" and done.returncode == 1


def test_of_several_with_the_same_bytes_the_one_of_that_name(film):
    film.path("elsewhere").mkdir()
    film.path("twins/a.txt").rename(film.path("elsewhere/a.txt"))
    film.git("add", "-A")
    fix(film)
    assert image(film, "shots/020/twin.dat") == "../../elsewhere/a.txt"


def test_the_right_name_with_other_bytes_is_not_it(film):
    film.path("plates/base.txt").unlink()
    film.write("new/base.txt", b"another plate\n")
    film.git("add", "-A")
    done = fix(film)
    assert "of that name, but with other bytes; it might be new/base.txt" in done.stderr
    assert image(film, "shots/010/big.dat") == "../../plates/base.txt"


def test_what_is_nowhere(film):
    film.path("plates/base.txt").unlink()
    film.git("add", "-A")
    done = fix(film)
    assert "its bytes are nowhere here" in done.stderr


def test_a_recipe_that_was_never_made_goes_by_the_name(film):
    film.regen("generate", "late.dat", "--generator", "command:twice", "--input", "image=plates/other.txt", "--no-run")
    film.path("sub").mkdir()
    film.path("plates/other.txt").rename(film.path("sub/other.txt"))
    film.git("add", "-A")
    text = film.path("late.dat.regen.json").read_text()
    film.write("late.dat.regen.json", text.replace("plates/other.txt", "gone/other.txt").encode())
    assert "the only one of that name" in fix(film).stdout
    assert image(film, "late.dat") == "sub/other.txt"


@pytest.mark.parametrize("text", [b"<<<<<<< ours\n{}\n", b'{"regen": 2, "inputs": {"image": "..\\\\x"}}', b"{", b'{"regen": 1, "inputs": {"image": "a\\\\b"}, "params": 7}'])
def test_what_cannot_be_read_is_never_rewritten(film, text):
    film.write("shots/010/big.dat.regen.json", text)
    fix(film)
    assert film.path("shots/010/big.dat.regen.json").read_bytes() == text


def test_no_cycle_is_made(film):
    """The only file with those bytes is made from the recipe itself."""
    film.path("twins/a.txt").unlink()
    film.path("twins/b.txt").unlink()
    write(film, "twins/from.txt", source(b"the same\n").replace(
        generator="command:twice", inputs={"image": "../shots/020/twin.dat"},
        output=source(b"the same\n").output.replace(key="0" * 64)))
    film.git("add", "-A")
    done = fix(film)
    assert "would depend on itself" in done.stderr and done.returncode != 0
    assert image(film, "shots/020/twin.dat") == "../../twins/a.txt"


# ---------------------------------------------------------------- the set-up, the memory, the stores


def test_hooks_of_another_installation_are_made_anew(film):
    hook = film.path(".git/hooks/post-checkout")
    hook.write_bytes(hook.read_bytes().replace(b"__main__.py", b"__old__.py"))
    film.path(".git/hooks/post-merge").unlink()
    film.git("config", "--unset", "merge.regen.driver")
    shown = fix(film, "--dry-run")
    assert "would mend  set-up" in shown.stdout and not film.path(".git/hooks/post-merge").exists()
    done = fix(film)
    assert done.returncode == 0 and film.path(".git/hooks/post-merge").exists()
    assert "nothing to mend" in fix(film).stdout


def test_it_does_not_set_up_what_was_never_set_up(home):
    project = home.repo("bare", init=False)
    done = fix(project)
    assert done.returncode == 1 and "never set up" in done.stdout
    assert not project.path(".gitattributes").exists()


def test_the_state_file_is_lost(film):
    film.write("own.png", b"own")
    film.regen("add", "own.png")
    shutil.rmtree(film.path(".git/regen"))
    assert "own.png" not in film.status()
    shutil.rmtree(film.path(".git/regen"))
    assert "memory" in fix(film).stdout
    assert film.status()["own.png"] == "ok" and states(film) == {"ok"}


def test_a_repository_that_was_moved_is_noted_where_it_is(film):
    moved = film.root.parent / "moved"
    film.root.rename(moved)
    film.root = moved
    fix(film)
    places = [place.path for place in Repos(str(film.user.keep / "v1")).places()]
    assert os.path.realpath(moved / ".git") in map(os.path.realpath, places)


@pytest.mark.parametrize("told", ["look-in", "git config"])
def test_a_store_on_another_disk(film, tmp_path, told):
    old = tmp_path / "other disk"
    film.user.keep.rename(old)
    for path in film.root.rglob("*.dat"):
        path.unlink()
    film.git("config", "regen.keepDir", str(old if told == "git config" else tmp_path / "nowhere"))
    argv = ("--look-in", str(old)) if told == "look-in" else ()
    before = sorted(path.name for path in old.rglob("*") if path.is_file())
    shown = fix(film, "--dry-run", *argv)
    assert "3 objects" in shown.stdout and f"copied from {old}/v1" in shown.stdout
    fix(film, *argv)
    assert sorted(path.name for path in old.rglob("*") if path.is_file()) == before
    film.regen("sync")
    assert states(film) == {"ok"}
    take = json.loads(film.regen("show", "shots/010/big.dat", "--json").stdout)["takes"]
    assert len(take) == 1  # what is known of them came along


def test_a_damaged_object_on_another_disk_is_not_taken(film, tmp_path):
    old = tmp_path / "other disk"
    film.user.keep.rename(old)
    digest = read(film, "shots/010/big.dat").output.hash
    path = old / "v1/objects" / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    for each in film.root.rglob("*.dat"):
        each.unlink()
    fix(film, "--look-in", str(old))
    assert not (film.user.keep / "v1/objects" / digest[:2] / digest[2:]).exists()
    assert film.regen("fsck", check=False).returncode == 0


def test_json(film):
    film.path("plates/base.txt").rename(film.path("renamed.txt"))
    film.git("add", "-A")
    document = json.loads(fix(film, "--json").stdout)
    assert [each["topic"] for each in document["repairs"]] == ["inputs"] and document["unsure"] == [] and document["problems"] == 0


def test_words(film):
    assert film.regen("doctor", "--dry-run", check=False).returncode == 2
    assert film.regen("doctor", "--look-in", "x", check=False).returncode == 2
