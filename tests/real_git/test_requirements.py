"""What PRD-007 asks for, as a user would try it. docs/requirements.md names each test by the criterion it shows."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest

from tests.conftest import Home
from tests.real_git.copies import copy_of

PROJECT = """\
[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""
TWICE = """\
import sys
data = open(sys.argv[1], "rb").read()
if data.startswith(b"bad"):
    sys.exit("this plate is bad")
open(sys.argv[2], "wb").write(data * 2)
"""


def texture(project, path: str, seed: int, side: int = 64, *more: str) -> None:
    project.regen("generate", path, "--generator", "texture", "--param", f"seed={seed}",
                  "--param", f"width={side}", "--param", f"height={side}", *more)


def digests(project, *paths: str) -> dict[str, str]:
    return {path: hashlib.sha256(project.path(path).read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Three textures (the third is made from the first) and a file made by a script from a plate; committed."""
    project = Home(tmp_path_factory.mktemp("film") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", TWICE.encode())
    project.write("plate.txt", b"plate one\n")
    project.git("add", "-A")
    project.regen("trust", "--yes")
    texture(project, "sky.png", 42)
    texture(project, "shots/010/fog.png", 7)
    texture(project, "shots/010/glow.png", 1, 64, "--input", "base=sky.png")
    project.regen("generate", "shots/020/big.dat", "--generator", "command:twice", "--input", "image=plate.txt")
    project.commit("a film")
    return project


@pytest.fixture
def film(template, tmp_path):
    return copy_of(template, tmp_path)


ASSETS = ("sky.png", "shots/010/fog.png", "shots/010/glow.png", "shots/020/big.dat")


# ---------------------------------------------------------------- Epic 1


def test_all_parameters_are_captured(film):
    """1.1: the recipe holds every parameter, defaults too, so that no installed code is part of what was asked for."""
    document = json.loads(film.path("sky.png.regen.json").read_text())
    schema = json.loads(film.regen("schema", "texture").stdout)
    assert document["params"].keys() == schema["properties"].keys()
    assert document["generator"] == "texture" and document["output"]["hash"].startswith("blake3:")


def test_only_recipes_are_in_git(film):
    """1.1: a reference is saved, not the content."""
    tracked = film.git("ls-files").stdout.splitlines()
    assert all(f"{path}.regen.json" in tracked and path not in tracked for path in ASSETS)
    assert film.git("status", "--porcelain").stdout == ""


def test_an_asset_costs_less_than_a_kilobyte(project):
    """1.1: growth below 1 kB an asset, in what is stored and transferred: git's packed objects."""
    texture(project, "a.png", 1)
    document = project.path("a.png.regen.json").read_text()
    project.commit("one")

    def packed() -> int:
        return len(subprocess.run(["git", "bundle", "create", "-", "main"], cwd=project.root, env=project.env,
                                  check=True, capture_output=True).stdout)

    before = packed()
    project.env["_PRE_COMMIT_SKIP_POST_CHECKOUT"] = "1"
    for number in range(100):
        name = f"many/{number:03}.png"
        text = document.replace('"seed": 1', f'"seed": {number + 100}')
        text = text.replace(json.loads(document)["output"]["hash"][7:], hashlib.sha256(name.encode()).hexdigest())
        text = text.replace(json.loads(document)["output"]["key"], hashlib.sha256(b"k" + name.encode()).hexdigest())
        project.write(f"{name}.regen.json", text.encode())
    project.git("add", "-A")
    project.git("-c", "core.hooksPath=/dev/null", "commit", "-qm", "a hundred more")
    assert (packed() - before) / 100 < 1000


def test_a_project_is_restored_from_its_recipes_alone(film):
    """1.2, recovery success: a clone without any media and empty stores gives back every byte."""
    before = digests(film, *ASSETS)
    clone = film.root.parent / "elsewhere"
    film.git("clone", "-q", str(film.root), str(clone))
    shutil.rmtree(film.user.cache)
    shutil.rmtree(film.user.keep)
    film.root = clone
    assert not film.path("sky.png").exists()
    film.regen("init")
    assert film.path("sky.png").exists() and not film.path("shots/020/big.dat").exists()  # a script is not trusted by a clone
    film.regen("trust", "--yes")
    film.regen("sync")
    assert digests(film, *ASSETS) == before
    assert set(film.status().values()) == {"ok"}


def test_every_missing_file_comes_back(film):
    """Recovery success 100 %: whatever is deleted, from the store or by running the recipe again."""
    before = digests(film, *ASSETS)
    for path in ASSETS:
        film.path(path).unlink()
    film.regen("sync")
    assert digests(film, *ASSETS) == before
    for path in ASSETS:
        film.path(path).unlink()
    shutil.rmtree(film.user.cache)
    film.regen("sync")
    assert digests(film, *ASSETS) == before


def test_a_moved_project_keeps_its_paths(film):
    """1.1, 1.2: references are relative; the whole project can be moved, and assets within it."""
    moved = film.root.parent / "another place" / "film ü"
    moved.parent.mkdir()
    film.root.rename(moved)
    film.root = moved
    assert set(film.status().values()) == {"ok"}
    film.regen("mv", "sky.png", "plates/skies/sky.png")
    document = json.loads(film.path("shots/010/glow.png.regen.json").read_text())
    assert document["inputs"] == {"base": "../../plates/skies/sky.png"}
    assert set(film.status().values()) == {"ok"}


def test_what_needs_regeneration_is_said(film):
    """1.2: a clear indication of what is missing and what it takes."""
    film.path("sky.png").unlink()
    film.regen("set", "shots/010/fog.png", "seed=8")
    states = film.status()
    assert states["sky.png"] == "missing" and states["shots/010/fog.png"] == "stale"
    text = film.regen("status").stdout
    assert "missing   sky.png" in text and "1 missing" in text and "1 stale" in text


def test_history_holds_recipes_not_media(project):
    """Storage reduction above 90 %: what git holds, against the media of all versions."""
    media = 0
    for seed in range(6):
        if seed:
            project.regen("set", "sky.png", f"seed={seed}")
            project.regen("regenerate", "sky.png")
        else:
            texture(project, "sky.png", seed, 256)
        media += project.path("sky.png").stat().st_size
        project.commit(f"sky {seed}")
    bundle = subprocess.run(["git", "bundle", "create", "-", "main"], cwd=project.root, env=project.env,
                            check=True, capture_output=True).stdout
    assert len(bundle) < media / 10 and len(bundle) < 25_000_000


# ---------------------------------------------------------------- Epic 2


def test_one_asset_is_regenerated_and_no_other(film):
    """2.1: only the named asset is touched; what is made from it is marked, and left to the user."""
    before = {path: film.path(path).stat().st_mtime_ns for path in ASSETS}
    film.regen("set", "sky.png", "seed=43")
    film.regen("regenerate", "sky.png")
    after = {path: film.path(path).stat().st_mtime_ns for path in ASSETS}
    assert [path for path in ASSETS if before[path] != after[path]] == ["sky.png"]
    assert film.status()["shots/010/glow.png"] == "stale"


def test_dependants_are_updated_if_wanted(film):
    """2.1: full control over the cascade."""
    film.regen("set", "sky.png", "seed=43")
    film.regen("regenerate", "sky.png", "--with-dependents")
    assert set(film.status().values()) == {"ok"}


def test_upstream_first(film):
    """2.2: a batch is ordered by what depends on what."""
    for path in ("sky.png", "shots/010/glow.png"):
        film.path(path).unlink()
    shutil.rmtree(film.user.cache)
    done = film.regen("regenerate", "--missing", "--jobs", "2")
    lines = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("restored")]
    assert lines.index("sky.png") < lines.index("shots/010/glow.png")


def test_one_failure_does_not_stop_the_rest(film):
    """2.2: every failure is named, everything else is made."""
    film.write("plate.txt", b"bad plate\n")
    film.git("add", "plate.txt")
    film.regen("set", "sky.png", "seed=44")
    film.regen("set", "shots/010/fog.png", "seed=45")
    done = film.regen("regenerate", "--stale", check=False)
    assert done.returncode == 1 and "shots/020/big.dat" in done.stderr
    states = film.status()
    assert states["sky.png"] == states["shots/010/fog.png"] == "ok" and states["shots/020/big.dat"] == "failed"
    film.write("plate.txt", b"plate one\n")
    film.git("add", "plate.txt")
    film.regen("regenerate", "shots/020/big.dat")
    assert film.status()["shots/020/big.dat"] == "ok"


def test_every_regeneration_of_an_exact_generator_succeeds(film):
    """Regeneration success rate: all of them, made again by force, byte for byte."""
    before = digests(film, *ASSETS)
    film.regen("regenerate", "--all")
    assert digests(film, *ASSETS) == before and film.git("status", "--porcelain").stdout == ""


# ---------------------------------------------------------------- trust and reliability


def test_another_result_is_never_accepted_silently(film):
    """Risk "regeneration differences": the accepted bytes stay named, the other take is shown as drifted."""
    film.write("tools/twice.py", b"import os, sys\nopen(sys.argv[2], 'wb').write(os.urandom(64))\n")
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/020/big.dat")
    film.commit("random")
    accepted = json.loads(film.path("shots/020/big.dat.regen.json").read_text())["output"]["hash"]
    original = film.path("shots/020/big.dat").read_bytes()
    done = film.regen("regenerate", "shots/020/big.dat")
    assert "drifted" in done.stdout and film.status()["shots/020/big.dat"] == "drifted"
    assert json.loads(film.path("shots/020/big.dat.regen.json").read_text())["output"]["hash"] == accepted
    film.path("shots/020/big.dat").unlink()
    film.regen("sync")
    assert film.path("shots/020/big.dat").read_bytes() == original


def test_originals_are_preserved(film):
    """Risk "regeneration differences": an older take is one step back in git, without a run."""
    original = film.path("sky.png").read_bytes()
    film.regen("set", "sky.png", "seed=99")
    film.regen("regenerate", "sky.png")
    film.commit("another sky")
    assert film.path("sky.png").read_bytes() != original
    film.git("checkout", "-q", "HEAD~1")
    assert film.path("sky.png").read_bytes() == original


def test_parameters_survive_the_loss_of_every_sidecar(film):
    """Risk "parameter storage": keep has every recipe that was ever run, beside git's own history."""
    key = json.loads(film.path("sky.png.regen.json").read_text())["output"]["key"]
    params = json.loads(film.path("sky.png.regen.json").read_text())["params"]
    shutil.rmtree(film.root)
    (kept,) = film.user.keep.rglob(f"{key}.json")
    assert json.loads(kept.read_text())["params"] == params


def test_a_damaged_sidecar_is_found_before_it_is_committed(film):
    """Risk "parameter storage": validation on every save."""
    good = film.path("sky.png.regen.json").read_bytes()
    film.write("sky.png.regen.json", good[:-40])
    film.git("add", "-A")
    done = film.git("commit", "-qm", "damaged", check=False)
    assert done.returncode != 0 and "sky.png.regen.json" in done.stderr
    assert film.status()["sky.png"] == "invalid"
    film.git("checkout", "-q", "HEAD", "--", "sky.png.regen.json")
    assert film.path("sky.png.regen.json").read_bytes() == good and film.status()["sky.png"] == "ok"


def test_corruption_in_a_store_is_found_and_mended(film):
    """Risk "parameter storage": corruption detection and recovery, also of media."""
    digest = json.loads(film.path("sky.png.regen.json").read_text())["output"]["hash"][7:]
    (stored,) = film.user.base.rglob(f"objects/{digest[:2]}/{digest[2:]}")
    film.path("sky.png").unlink()
    stored.chmod(0o644)
    stored.write_bytes(b"rot" + stored.read_bytes()[3:])
    done = film.regen("fsck", check=False)
    assert done.returncode == 6 and "sky.png" in done.stdout
    film.regen("sync")
    assert set(film.status().values()) == {"ok"}


def test_source_assets_are_never_taken_for_something_that_can_be_made(project):
    """Asset lifecycle: what nothing can make is marked so, and its bytes are kept."""
    project.write("plate.wav", b"recorded once" * 100)
    project.regen("add", "plate.wav")
    asset = next(each for each in json.loads(project.regen("status", "--json").stdout)["assets"])
    assert asset["can_regenerate"] is False and asset["generator"] is None and asset["in_store"] is True
    project.path("plate.wav").unlink()
    project.regen("sync")
    assert project.path("plate.wav").read_bytes() == b"recorded once" * 100


def test_most_of_a_switch_comes_from_the_cache(film):
    """Cache hit rate: going to and fro between branches runs no generator."""
    film.git("switch", "-qc", "two")
    film.regen("set", "sky.png", "seed=5")
    film.regen("regenerate", "sky.png", "--with-dependents")
    film.commit("two")
    takes = len(list(film.user.keep.glob("v1/results/*/*/*/*.json")))
    for branch in ("main", "two", "main", "two"):
        film.git("switch", "-q", branch)
        assert set(film.status().values()) == {"ok"}
    assert len(list(film.user.keep.glob("v1/results/*/*/*/*.json"))) == takes
