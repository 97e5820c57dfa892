"""The working set of a .blend: what it uses, asked of Blender, also where none of that is on disk."""

from __future__ import annotations

import json
import os

import pytest

from tests.blender.conftest import LINKED

pytestmark = pytest.mark.needs("blender")

TEXTURES = {"textures/wood.png", "textures/prop.png", "textures/floor.1001.png", "textures/floor.1002.png"}


@pytest.fixture
def film(project, films):
    """film.blend and its library in git; what they link are assets, and so is a picture that nothing uses."""
    films.copy_to(project.root, "film.blend", *LINKED)
    films.copy_to(project.root, "textures/wood.png")
    project.write("other.png", (project.root / "textures/wood.png").read_bytes())
    project.regen("add", "textures", "other.png")
    project.regen("add", "--as-one", "plates/bg.####.png")
    project.commit("film")
    return project


def on_disk(project) -> set[str]:
    return {str(path.relative_to(project.root)) for path in project.root.rglob("*.png") if ".git" not in path.parts}


def test_what_a_blend_uses_comes_and_nothing_else(film):
    done = film.regen("workset", "only", "--uses", "film.blend", check=False)
    assert done.returncode == 4 and "--yes" in done.stderr
    assert "other.png" in on_disk(film)
    film.regen("workset", "only", "--nothing")
    assert not on_disk(film)
    film.regen("workset", "only", "--uses", "film.blend", "--yes")
    plates = {f"plates/bg.000{number}.png" for number in (1, 2, 3)}
    assert on_disk(film) == TEXTURES | plates, "missing files are found too, a frame as its sequence"
    assert film.status()["other.png"] == "skipped"
    film.regen("workset", "remove", "--uses", "film.blend")
    assert not on_disk(film)
    film.regen("workset", "add", "--uses", "film.blend")  # trusted by now
    film.write("film.blend", (film.root / "film.blend").read_bytes() + b"\0")
    assert "has changed since it was looked into" in film.regen("workset").stderr


def programs_without(left_out: str, folder, path: str) -> str:
    """A folder with all programs but one."""
    folder.mkdir()
    for place in path.split(os.pathsep):
        for name in os.listdir(place) if os.path.isdir(place) else ():
            if name != left_out and not os.path.lexists(folder / name):
                (folder / name).symlink_to(os.path.join(place, name))
    return str(folder)


def test_without_blender_its_recipes_are_asked(film, tmp_path):
    film.regen("workset", "only", "--nothing")
    sidecar = film.path("render.png.regen.json")
    sidecar.write_text(json.dumps({"regen": 1, "generator": "blender", "inputs": {"scene": "film.blend", "linked/textures/wood.png": "textures/wood.png"}}))
    film.regen("check", "--fix", "render.png.regen.json", check=False)
    film.git("add", "-A")
    film.env["PATH"] = programs_without("blender", tmp_path / "bin", film.env["PATH"])
    done = film.regen("workset", "add", "--uses", "film.blend")
    assert "no Blender here" in done.stderr
    assert on_disk(film) == {"textures/wood.png"}
