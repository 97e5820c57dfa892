"""What Generate… offers."""

from __future__ import annotations

import os

import pytest
from addon_parts import generate_choices as choices


@pytest.mark.parametrize(("generator", "kinds"), [("tone", ("sound",)), ("texture", ("image", "sequence")), ("command:x", choices.KINDS), ("", choices.KINDS)])
def test_kinds(generator, kinds):
    assert choices.kinds_of(generator) == kinds


def test_a_sound_is_no_plane_and_every_editor_has_its_way():
    assert choices.ways_of("sound") == ("STRIP", "NONE") and "PLANE" in choices.ways_of("image")
    assert [choices.way_in(editor, "image") for editor in ("SEQUENCE_EDITOR", "VIEW_3D", "NODE_EDITOR", "IMAGE_EDITOR", "CONSOLE")] == [
        "STRIP", "PLANE", "TEXTURE", "IMAGE", "STRIP",
    ]  # fmt: skip
    assert choices.way_in("VIEW_3D", "sound") == "STRIP"


def test_roles_of_inputs():
    tables = [{"name": "command:up", "table": {"argv": ["up", "{inputs.image}", "{inputs.mask}", "{inputs.image}", "{output}"]}}, None, 5]
    assert choices.input_roles("command:up", tables) == ("image", "mask")
    assert choices.input_roles("blender", tables) == ("scene",) and choices.input_roles("texture", tables) == ()
    many = [{"name": "command:up", "table": {"argv": [f"{{inputs.a{number}}}" for number in range(9000)]}}]
    assert len(choices.input_roles("command:up", many)) == 12


def test_the_next_free_name(tmp_path):
    blend = str(tmp_path / "film.blend")
    taken = {"film_generated/image/sky/sky.png", "film_generated/image/sky_002/sky_002.png"}
    assert choices.free_path(blend, str(tmp_path), "image", "sky", taken.__contains__) == "film_generated/image/sky_003/sky_003.png"
    assert choices.free_path(blend, str(tmp_path), "sound", "sky", taken.__contains__) == "film_generated/sound/sky/sky.wav"
    with pytest.raises(ValueError, match="too many"):
        choices.free_path(blend, str(tmp_path), "image", "sky", lambda path: True)


def test_outside(tmp_path):
    with pytest.raises(ValueError, match=r"the \.blend lies outside the project"):
        choices.default_path(str(tmp_path / "film.blend"), str(tmp_path / "project"), "image", "sky")
    with pytest.raises(ValueError, match="lies outside"):
        choices.inside(str(tmp_path / "x"), str(tmp_path / "project"))
    assert choices.inside(str(tmp_path / "..x"), str(tmp_path)) == "..x"
    assert choices.inside(os.path.join(str(tmp_path), "a", "b"), str(tmp_path)) == "a/b"
