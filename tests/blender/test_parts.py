"""The parts of `blender` that need none: names and parameters, tables, the copies' layout, notes in pictures."""

from __future__ import annotations

import os

import pytest

from regen_vcs import media
from regen_vcs.errors import InvalidError
from regen_vcs.generators import registry
from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.blender.discovery import _Places
from regen_vcs.generators.blender.layout import lay_out
from regen_vcs.generators.blender.metadata import strip_run_notes
from regen_vcs.generators.blender.params import BlenderParams, kind_of
from regen_vcs.generators.blender.process import BlenderRun


@pytest.mark.parametrize(
    ("name", "params", "kind"),
    [
        ("a.png", {}, "still"),
        ("a.EXR", {"frame": -3}, "still"),
        ("a.####.png", {"frames": "1-3,7"}, "sequence"),
        ("a.####.png", {}, "sequence"),
        ("a.mov", {"frames": "1-48"}, "movie"),
    ],
)
def test_the_name_says_what_is_rendered(name, params, kind):
    assert kind_of(f"/scratch/{name}", BlenderParams(**params)) == kind


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("a.png", {"frames": "1-3"}, "a.png is a still"),
        ("a.####.png", {"frame": 1}, "a sequence has several"),
        ("a.mp4", {"frame": 1}, "a movie has several"),
        ("a.mp4", {"frames": "1,3"}, "a movie has no holes"),
        ("a.####.mp4", {"frames": "1-3"}, "a movie is one file"),
        ("a.bmp", {}, "blender writes"),
    ],
)
def test_what_does_not_go_together_is_refused(name, params, words):
    with pytest.raises(InvalidError, match=words):
        kind_of(f"/scratch/{name}", BlenderParams(**params))


def test_parameters_are_complete_and_in_one_spelling():
    complete = registry.complete_params(registry.load("blender"), {"frames": "1-3,5"})
    assert complete["frames"] == "1-3,5" and complete["camera"] is None and complete["device"] == "CPU"
    assert set(complete) == set(BlenderParams.model_fields)
    for wrong in ({"frames": "3-1"}, {"frames": "1-999999999"}, {"frame": 1, "frames": "1-2"}, {"width": 0},
                  {"engine": "cycles"}, {"quality": 0}, {"quality": "FINE"}, {"color_depth": 9}):
        with pytest.raises(InvalidError):
            registry.complete_params(registry.load("blender"), wrong)


def test_a_table_names_the_program_and_presets():
    generator = registry.load("blender:farm", {"uses": "blender", "program": "/opt/blender", "args": ["-t", "2"],
                                                "params": {"samples": {"default": 64, "maximum": 256}}})
    assert registry.complete_params(generator, {})["samples"] == 64
    with pytest.raises(InvalidError):
        registry.complete_params(generator, {"samples": 1000})
    for wrong in ({"program": "tools/blender"}, {"args": "-t 2"}, {"argv": ["x"]}, {"env": ["A=B"]}):
        with pytest.raises(InvalidError):
            registry.load("blender:farm", {"uses": "blender", **wrong})


def job_of(tmp_path, inputs, paths):
    return Job(params=None, raw_params={}, inputs=inputs, output="x.png", scratch=str(tmp_path), input_paths=paths)


def write(path, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def test_inputs_lie_as_in_the_repository(tmp_path):
    inputs = tmp_path / "inputs"
    brought = {
        "scene": write(inputs / "scene" / "film.blend"),
        "linked/textures/a.png": write(inputs / "linked" / "a.png"),
        "linked/@plates/sky.png": write(inputs / "sky.png"),
        "linked/plates/bg.####.exr": str(inputs / "bg" / "bg.####.exr"),
        "linked/props": str(inputs / "props"),
    }
    for name in ("bg/bg.0001.exr", "bg/bg.0002.exr", "props/b/c.blend"):
        write(inputs / name)
    paths = {
        "scene": "shots/film.blend", "linked/textures/a.png": "textures/a.png", "linked/@plates/sky.png": "@plates/sky.png",
        "linked/plates/bg.####.exr": "plates/bg.####.exr", "linked/props": "lib/props",
    }  # fmt: skip
    layout = lay_out(job_of(tmp_path, brought, paths))
    assert layout.available == [
        "@plates/sky.png", "lib/props/b/c.blend", "plates/bg.0001.exr", "plates/bg.0002.exr", "shots/film.blend", "textures/a.png",
    ]  # fmt: skip
    assert layout.blend == os.path.join(layout.tree, "shots", "film.blend")
    assert all(os.path.isfile(os.path.join(layout.tree, path)) for path in layout.available)


def test_no_input_leaves_the_tree(tmp_path):
    source = write(tmp_path / "in.blend")
    for path in ("../out.blend", "a/../../out.blend", "/out.blend", ".git/hooks/x.blend"):
        with pytest.raises(JobFailed):
            lay_out(job_of(tmp_path, {"scene": source}, {"scene": path}))
    with pytest.raises(JobFailed, match="no scene"):
        lay_out(job_of(tmp_path, {}, {}))


def test_places_are_named_as_recipes_name_them(tmp_path):
    root, plates = tmp_path / "film", tmp_path / "plates"
    places = _Places(str(root), {"plates": str(plates)})
    assert places.of(str(root / "a" / "b.png")) == "a/b.png"
    assert places.of(str(plates / "sky.exr")) == "@plates/sky.exr"
    assert places.of(str(tmp_path / "elsewhere.png")) is None
    assert places.of(str(root / ".git" / "x.png")) is None
    (root / "a").mkdir(parents=True)
    (root / "a" / "way_out.png").symlink_to(tmp_path / "secret")
    assert places.of(str(root / "a" / "way_out.png")) is None


@pytest.mark.needs("blender")
@pytest.mark.parametrize("name", ["p.png", "j.jpg", "e.exr", "m.exr"])
def test_notes_of_the_run_go_and_pixels_stay(films, tmp_path, name):
    stripped = []
    for turn in ("first", "second"):
        data = (films.root / "raw" / f"{turn}-{name}").read_bytes()
        assert b"cycles." in data
        path = tmp_path / f"{turn}-{name}"
        path.write_bytes(data)
        before = media.content_hash(str(path))
        strip_run_notes(str(path))
        assert media.content_hash(str(path)) == before is not None
        stripped.append(path.read_bytes())
    assert b"cycles." not in stripped[0] and stripped[0] == stripped[1]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n\0\0", b"\xff\xd8\xff", b"\x76\x2f\x31\x01\2\0\0\0abc", b"RIFF"])
def test_what_is_no_such_picture_stays_as_it_is(tmp_path, data):
    path = tmp_path / "x"
    path.write_bytes(data)
    strip_run_notes(str(path))
    assert path.read_bytes() == data


# --- the environment Blender gets ----------------------------------------------------------------------------------


def _program(folder, text: str) -> str:
    program = folder / "blender"
    program.write_text("#!/bin/sh\n" + text)
    program.chmod(0o755)
    return str(program)


def test_blender_sees_no_virtual_environment(tmp_path, monkeypatch):
    """Debian's takes the packages of the first `python3` on PATH; a .pth file with an umlaut in it ended it at once."""
    venv = tmp_path / "ümgebung"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    monkeypatch.setenv("PATH", f"{venv}/bin{os.pathsep}/usr/bin{os.pathsep}relative")
    home = tmp_path / "home"
    home.mkdir()
    program = _program(tmp_path, 'echo "PATH is $PATH"; exit 1\n')
    with open(tmp_path / "log", "wb") as log, pytest.raises(JobFailed) as failed:
        BlenderRun(program, [], str(home), log.fileno()).run("render.py", {}, lambda event: None)
    assert failed.value.hint == "the last thing it printed: PATH is /usr/bin"
