"""The addon in a real window: the panel comes up by a click on its tab, and shows what the project is like."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.addon.window.screenshots import take


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("REGEN_ADDON_TESTS") != "all", reason="a window and its pictures: make addon-test")
@pytest.mark.needs("blender", "Xvfb", "xdotool", "import")
def test_the_panel_in_a_window(tmp_path):
    take(["panel"], tmp_path)
    picture = tmp_path / "addon-panel.png"
    words = subprocess.run(["identify", "-format", "%w %h %k", str(picture)], capture_output=True, text=True, check=True, timeout=60).stdout
    width, height, colours = map(int, words.split())
    assert width > 150 and height > 600
    assert colours > 300, "nothing is drawn in it"
