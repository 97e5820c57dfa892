"""A film in a repository: trust, what a .blend links, what makes a render stale, and sequences frame by frame."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time

import pytest
from PIL import Image

from tests.blender.conftest import LINKED
from tests.conftest import PYTHON
from tests.real_git import recipes

pytestmark = pytest.mark.needs("blender")

SIZE = ("-p", "width=32", "-p", "height=32", "-p", "denoise=false")
SMALL = (*SIZE, "-p", "samples=1")


@pytest.fixture
def film(project, films):
    """film.blend with all it links, committed; nothing trusted."""
    films.copy_to(project.root, "film.blend", "simple.blend", *LINKED)
    project.commit("film")
    return project


def frames_of(project, name="shots/a.####.png"):
    folder, _, base = name.rpartition("/")
    prefix = base.partition("#")[0]
    return sorted(int(each.name[len(prefix) :].partition(".")[0]) for each in (project.root / folder).glob(f"{prefix}[0-9]*"))


def made_now(project):
    """The frames rendered so far, once for each time: the records of single frames."""
    records = [json.loads(path.read_text()) for path in (project.user.keep / "v1" / "results").glob("*/*/*/*.json")]
    return sorted(record["output"]["frames"] for record in records if "-" not in record["output"].get("frames", "-"))


def test_from_trust_to_stale(film):
    made = film.regen("generate", "shots/a.png", "-g", "blender", "-i", "scene=film.blend", *SMALL, check=False)
    assert made.returncode == 4 and "film.blend" in made.stderr
    film.regen("trust", "--yes")
    again = film.regen("regenerate", "shots/a.png", check=False)
    assert again.returncode == 4 and "lib/props.blend" in again.stderr  # the library is a .blend as well
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/a.png")
    inputs = recipes.read(film, "shots/a.png").inputs
    assert inputs == {"scene": "../film.blend", **{f"linked/{path}": f"../{path}" for path in LINKED}}
    assert film.status() == {"shots/a.png": "ok"}
    film.commit("a render")
    assert Image.open(film.path("shots/a.png")).size == (32, 32)
    # What a linked file says is in the picture, so it is in the key.
    Image.new("RGB", (8, 8), "#ffffff").save(film.path("textures/prop.png"))
    assert film.status() == {"shots/a.png": "stale"}
    before = film.path("shots/a.png").read_bytes()
    film.git("add", "textures")
    film.regen("regenerate", "--stale")
    assert film.status() == {"shots/a.png": "ok"} and film.path("shots/a.png").read_bytes() != before
    # Lost and made again: the accepted bytes, exactly.
    accepted = film.path("shots/a.png").read_bytes()
    film.path("shots/a.png").unlink()
    shutil.rmtree(film.user.keep / "v1" / "objects")
    film.regen("sync")
    assert film.path("shots/a.png").read_bytes() == accepted


def test_a_scene_that_changed_is_listed_again_and_not_before_it_is_trusted(film, films):
    film.regen("generate", "shots/a.png", "-g", "blender", "-i", "scene=simple.blend", *SMALL, check=False)
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/a.png")
    assert set(recipes.read(film, "shots/a.png").inputs) == {"scene", "linked/textures/wood.png"}
    shutil.copyfile(films.root / "edit.blend", film.path("simple.blend"))
    refused = film.regen("regenerate", "shots/a.png", check=False)
    assert refused.returncode == 4
    assert set(recipes.read(film, "shots/a.png").inputs) == {"scene", "linked/textures/wood.png"}
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/a.png")
    assert set(recipes.read(film, "shots/a.png").inputs) == {"scene", "linked/plates/bg.0001.png", "linked/plates/bg.0002.png"}


def test_set_and_no_run_list_what_is_linked_where_they_may(film, films):
    asked = film.regen("generate", "shots/a.png", "-g", "blender", "-i", "scene=simple.blend", *SMALL, "--no-run")
    assert "not listed yet" in asked.stderr and set(recipes.read(film, "shots/a.png").inputs) == {"scene"}
    film.regen("trust", "--yes")
    film.regen("set", "shots/a.png", "samples=2")
    assert set(recipes.read(film, "shots/a.png").inputs) == {"scene", "linked/textures/wood.png"}


def test_what_is_complete_stays_when_the_rest_is_cancelled(film):
    film.regen("generate", "shots/a.####.png", "-g", "blender", "-i", "scene=simple.blend", "-p", "frames=1-30", *SIZE,
               "-p", "samples=3000", "--no-run")
    film.regen("trust", "--yes")
    making = subprocess.Popen(
        [PYTHON, "-I", "-m", "regen_vcs", "regenerate", "shots/a.####.png"], cwd=film.root, env=film.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(film.user.cache.glob("scratch/job-*/output/a.0002.png")):
        assert making.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    making.send_signal(signal.SIGINT)
    assert making.wait(timeout=10) == 130
    made = made_now(film)
    assert {"1", "2"} <= set(made) and len(made) < 30


def test_what_is_missing_or_elsewhere_is_named(film, films):
    for name, words in (("missing.blend", "textures/never.png"), ("outside.blend", str(films.outside))):
        films.copy_to(film.root, name)
        film.regen("generate", "shots/a.png", "-g", "blender", "-i", f"scene={name}", *SMALL, check=False)
        film.regen("trust", "--yes")
        failed = film.regen("regenerate", "shots/a.png", check=False)
        assert failed.returncode == 1 and words in failed.stderr and "hint" in failed.stderr
    config = film.user.base / "config" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f'[roots]\nplates = "{films.outside.parent}"\n')
    film.regen("regenerate", "shots/a.png")
    assert recipes.read(film, "shots/a.png").inputs == {"scene": "../outside.blend", "linked/@plates/sky.png": "@plates/sky.png"}


def test_a_run_of_pictures_that_is_an_asset_is_one_input(film):
    film.git("rm", "-q", "--cached", "plates/bg.0001.png", "plates/bg.0002.png", "plates/bg.0003.png")
    film.regen("add", "--as-one", "plates/bg.####.png")
    film.regen("generate", "shots/a.png", "-g", "blender", "-i", "scene=film.blend", *SMALL, check=False)
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/a.png", check=False)
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/a.png")
    inputs = recipes.read(film, "shots/a.png").inputs
    assert inputs["linked/plates/bg.####.png"] == "../plates/bg.####.png"
    assert not any("bg.0001" in value for value in inputs.values())


@pytest.fixture
def shot(film):
    """shots/a.####.png of simple.blend, frames 1-3, made and committed."""
    film.regen("generate", "shots/a.####.png", "-g", "blender", "-i", "scene=simple.blend", "-p", "frames=1-3", *SMALL, check=False)
    film.regen("trust", "--yes")
    film.regen("regenerate", "shots/a.####.png")
    film.commit("shot")
    assert frames_of(film) == [1, 2, 3] and made_now(film) == ["1", "2", "3"]
    return film


def test_a_range_that_grows_renders_only_what_is_new(shot):
    first = shot.path("shots/a.0001.png").read_bytes()
    shot.regen("set", "shots/a.####.png", "frames=1-5")
    assert shot.status() == {"shots/a.####.png": "stale"}
    shot.regen("regenerate", "shots/a.####.png")
    assert frames_of(shot) == [1, 2, 3, 4, 5] and made_now(shot) == ["1", "2", "3", "4", "5"]
    assert shot.path("shots/a.0001.png").read_bytes() == first
    assert recipes.read(shot, "shots/a.####.png").output.frames == "1-5"
    # And one that shrinks renders nothing.
    shot.regen("set", "shots/a.####.png", "frames=2-4")
    shot.regen("regenerate", "shots/a.####.png")
    assert frames_of(shot) == [2, 3, 4] and made_now(shot) == ["1", "2", "3", "4", "5"]


def test_a_clone_without_records_extends_what_it_was_given(shot):
    shutil.rmtree(shot.user.keep / "v1" / "results")
    shot.regen("set", "shots/a.####.png", "frames=1-4")
    shot.regen("regenerate", "shots/a.####.png")
    assert frames_of(shot) == [1, 2, 3, 4] and made_now(shot) == ["4"]


@pytest.mark.parametrize("where", ["in a hole", "in what is not there at all"])
def test_a_lost_frame_alone_is_made_again(shot, where):
    lost = shot.path("shots/a.0002.png")
    accepted = lost.read_bytes()
    name = recipes.hash_of(accepted)
    held = list(shot.user.base.glob(f"*/v1/objects/{name[:2]}/{name[2:]}"))
    assert len(held) == 1
    held[0].unlink()
    if where == "in a hole":
        lost.unlink()
        shot.regen("regenerate", "shots/a.####.png")
    else:
        shutil.rmtree(shot.path("shots"))
        shot.git("checkout", "shots")  # and with it comes the sequence
        shot.regen("sync")
    assert lost.read_bytes() == accepted
    assert made_now(shot) == ["1", "2", "2", "3"] and shot.status() == {"shots/a.####.png": "ok"}


def test_chosen_frames_are_made_again_and_no_others(shot):
    done = shot.regen("regenerate", "shots/a.####.png", "--frames", "2-3")
    assert "restored" in done.stdout and made_now(shot) == ["1", "2", "2", "3", "3"]
    refused = shot.regen("regenerate", "shots/a.####.png", "--frames", "9", check=False)
    assert refused.returncode == 2 and "has no frame 9" in refused.stderr
    assert shot.regen("regenerate", "--frames", "2", check=False).returncode == 2
    shot.regen("generate", "bg.png", "-g", "texture", "-p", "width=16", "-p", "height=16")
    assert "not made frame by frame" in shot.regen("regenerate", "bg.png", "--frames", "2", check=False).stderr


def test_what_was_complete_before_a_crash_stays(film):
    """A Blender that dies in the fifth frame: what was made stays, the rest is made, the fifth is told of."""
    hook = film.user.base / "hook.py"
    hook.write_text(
        "import bpy, os\n"
        "def die(scene, *_):\n"
        "    if scene.frame_current == 5:\n"
        "        os.abort()\n"
        "bpy.app.handlers.render_pre.append(bpy.app.handlers.persistent(die))\n"
    )
    film.write("regen.toml", f'[generators.frail]\nuses = "blender"\nargs = ["--python", "{hook}"]\n'.encode())
    film.regen("generate", "shots/a.####.png", "-g", "blender:frail", "-i", "scene=simple.blend", "-p", "frames=1-6", *SMALL,
               check=False)
    film.regen("trust", "--yes")
    failed = film.regen("regenerate", "shots/a.####.png", check=False)
    assert failed.returncode == 1 and "5 of 6 frames are kept" in failed.stderr
    assert made_now(film) == ["1", "2", "3", "4", "6"]
    hook.write_text("")
    film.regen("regenerate", "shots/a.####.png")
    assert frames_of(film) == [1, 2, 3, 4, 5, 6] and made_now(film) == ["1", "2", "3", "4", "5", "6"]
