"""The addon in a real window: the panel comes up by a click on its tab, shows what the project is like, and an artist's day is lived with it."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.addon.window.screenshots import take

pytestmark = [
    pytest.mark.skipif(os.environ.get("REGEN_ADDON_TESTS") != "all", reason="a window and its pictures: make addon-test"),
    pytest.mark.needs("blender", "Xvfb", "xdotool", "import"),
]


SIZE = (1000, 860)


def look_at(picture):
    """Width and height of a picture, and how many colours it has."""
    words = subprocess.run(["identify", "-format", "%w %h %k", str(picture)], capture_output=True, text=True, check=True, timeout=60).stdout
    return tuple(map(int, words.split()))


def test_the_panel_in_a_window(tmp_path):
    take(["panel"], tmp_path, SIZE)
    width, height, colours = look_at(tmp_path / "addon-panel.png")
    assert width > 150 and height > 600
    assert colours > 300, "nothing is drawn in it"


def test_an_artists_day_in_a_window(tmp_path):
    take(["takes"], tmp_path, SIZE)
    width, height, colours = look_at(tmp_path / "addon-takes.png")
    assert width > 500 and height > 600
    assert colours > 300, "nothing is drawn in it"
