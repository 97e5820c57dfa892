"""`blender` against a real Blender: stills, sequences, movies, the sequencer, and what a job may not do."""

from __future__ import annotations

import io
import os
import threading
import time

import pytest
from PIL import Image

from regen_vcs import media
from regen_vcs.errors import Interrupted
from tests.blender.conftest import LINKED
from tests.patience import BUSY

pytestmark = pytest.mark.needs("blender")


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_still_and_the_same_bytes_again(bench, films):
    result, first = bench.render("a.png", "film.blend", linked=LINKED)
    assert result.ok, (result.reason, result.log.decode())
    assert picture(first[""]).size == (32, 32)
    assert picture(first[""]).info.keys() <= {"dpi", "exif"} and b"cycles." not in first[""]  # no host, no date, no times
    assert result.environment["blender"].startswith(("3.", "4.", "5."))
    assert result.environment["device"] == "CPU" and int(result.environment["threads"]) >= 1
    assert bench.told[0][1] == "frame 1"
    _, second = bench.render("a.png", "film.blend", linked=LINKED)
    assert second == first
    assert os.listdir(films.forbidden) == []  # neither the file's own output path nor its File Output node


def test_scene_camera_size_and_alpha_are_parameters(bench):
    result, files = bench.render(
        "a.png", "film.blend", linked=LINKED, params={"scene": "Other", "width": None, "height": None, "transparent": True}
    )
    assert result.ok, result.reason
    image = picture(files[""])
    assert image.size == (48, 24) and image.mode == "RGBA" and image.getextrema()[3] == (0, 0)
    main = bench.render("a.png", "film.blend", linked=LINKED, params={"frame": 2, "view_layer": "Second"})[1]
    close = bench.render("a.png", "film.blend", linked=LINKED, params={"frame": 2, "camera": "Close"})[1]
    assert main[""] != close[""]


def test_half_the_width_of_the_file(bench):
    result, files = bench.render("a.jpg", params={"width": None, "height": None, "percentage": 50, "quality": 80})
    assert result.ok, result.reason
    assert picture(files[""]).size == (16, 16) and picture(files[""]).format == "JPEG"


def test_frames_of_a_sequence(bench):
    result, files = bench.render("a.####.exr", params={"frames": "2-3,12", "color_depth": 32, "codec": "PIZ"})
    assert result.ok, (result.reason, result.log.decode())
    assert sorted(files) == ["a.0002.exr", "a.0003.exr", "a.0012.exr"]
    # Quick frames are not all told of: progress is for people.
    told = {message.partition(",")[0] for _, message in bench.told}
    assert {"frame 2"} <= told <= {"frame 2", "frame 3", "frame 12"}


def test_a_movie(bench, tmp_path):
    how = {"frames": "1-6", "fps": 12, "codec": "H264", "quality": "LOW"}
    result, files = bench.render("a.mp4", params=how)
    assert result.ok, (result.reason, result.log.decode())
    (tmp_path / "a.mp4").write_bytes(files[""])
    probed = media.probe(str(tmp_path / "a.mp4"))
    assert (probed["type"], probed["width"], probed["height"]) == ("video/mp4", 32, 32)
    assert probed["duration"] == pytest.approx(0.5, abs=0.01)
    # On a busy machine x264 gives other bytes once in some hundred times. Two that are the same show that nothing of ours differs.
    again = [bench.render("a.mp4", params=how)[1]]
    if again[0] != files:
        again.append(bench.render("a.mp4", params=how)[1])
    assert again[-1] in (files, *again[:-1])


def test_the_sequencer_and_the_scene_under_it(bench):
    linked = ("plates/bg.0001.png", "plates/bg.0002.png")
    result, edit = bench.render("a.png", "edit.blend", linked=linked, params={"sequencer": True, "frame": 2})
    assert result.ok, (result.reason, result.log.decode())
    red, green, blue = picture(edit[""]).convert("RGB").getpixel((16, 16))
    assert green > red + 60 and green > blue + 60  # whatever the view transform makes of pure green
    _, scene = bench.render("a.png", "edit.blend", linked=linked, params={"sequencer": False, "frame": 2})
    assert scene[""] != edit[""]


def test_absolute_paths_are_pointed_at_the_copies(bench, films):
    """The bytes that were keyed are rendered, not those that lie at the absolute path by now, or no longer do."""
    linked = ("lib/props.blend", "textures/prop.png", "textures/wood.png")
    _, before = bench.render("a.png", "absolute.blend", linked=linked)
    elsewhere = {path: f"shared/{path}" for path in linked}  # what the file names does not end so
    result, _ = bench.render("a.png", "absolute.blend", linked=linked, places=elsewhere)
    assert not result.ok and "not among the recipe's inputs" in result.reason
    kept = {path: (films.root / path).read_bytes() for path in linked}

    def replace():
        (films.root / "lib/props.blend").unlink()
        Image.new("RGB", (8, 8), "#ffffff").save(films.root / "textures/wood.png")

    try:
        result, after = bench.render("a.png", "absolute.blend", linked=linked, before=replace)
    finally:
        for path, data in kept.items():
            (films.root / path).write_bytes(data)
    assert result.ok, (result.reason, result.log.decode())
    assert after == before


def test_what_the_recipe_does_not_bring_is_not_read(bench):
    result, _ = bench.render("a.png", linked=())
    assert not result.ok
    assert "textures/wood.png, which is not among the recipe's inputs" in result.reason


@pytest.mark.parametrize(
    ("params", "asset", "reason"),
    [
        ({"scene": "Nope"}, "a.png", "there is no scene 'Nope' in it"),
        ({"camera": "Wall"}, "a.png", "'Wall' is not a camera"),
        ({"sequencer": True}, "a.png", "scene Scene has no strips to render"),
        ({"codec": "NOPE", "frames": "1-2"}, "a.mp4", "params.codec: 'NOPE' is not possible here"),
        ({"frames": "1-2,4"}, "a.mp4", "a movie has no holes"),
        ({"frames": "1-2"}, "a.png", "a.png is a still"),
        ({"device": "GPU"}, "a.png", "finds no GPU that Cycles can use"),
    ],
)
def test_why_it_cannot_be_done(bench, params, asset, reason):
    result, _ = bench.render(asset, params=params)
    assert not result.ok and reason in result.reason


def test_what_is_no_blend_is_refused(bench):
    result, _ = bench.render("a.png", "textures/wood.png", linked=())
    assert not result.ok and "cannot open it" in result.reason
    result, _ = bench.render("a.png", table={"program": "no-such-blender"})
    assert not result.ok and "no-such-blender: no such program" in result.reason


def test_a_cancelled_render_is_gone_within_two_seconds(bench):
    cancelled, ended = threading.Event(), {}

    def on_progress(message):
        if "sample" in message and not cancelled.is_set():
            cancelled.set()
            ended["asked"] = time.monotonic()

    with pytest.raises(Interrupted):
        bench.render("a.png", params={"samples": 1_000_000, "width": 256, "height": 256}, cancelled=cancelled, on_progress=on_progress)
    assert time.monotonic() - ended["asked"] < 2 + BUSY
    left = [name for name in os.listdir("/proc") if name.isdigit() and bench.root in _arguments(name)]
    assert left == []


def _arguments(process: str) -> str:
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def test_workbench_renders_or_says_why(bench):
    result, files = bench.render("a.png", params={"engine": "BLENDER_WORKBENCH"})
    if result.ok:
        assert picture(files[""]).size == (32, 32)
    else:
        assert "OpenGL" in result.reason or "before it was done" in result.reason
