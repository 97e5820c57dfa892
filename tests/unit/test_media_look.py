"""ThumbHash: the encoder and decoder against each other and against the format's own numbers, and looks of files."""

from __future__ import annotations

import base64

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from regen_vcs import media
from regen_vcs.media import thumbhash

RED, GREEN, BLUE = (220, 40, 30), (30, 160, 60), (40, 60, 200)


def halves(left, right, size=(90, 60)):
    picture = Image.new("RGB", size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def saved(tmp_path, picture, name="a.png", **options):
    picture.save(tmp_path / name, **options)
    return str(tmp_path / name)


def shown(look, size=32):
    width, height, rgba = media.look_to_rgba(look, size)
    return np.frombuffer(rgba, np.uint8).reshape(height, width, 4)


def ramp(width, height, alpha):
    y, x = np.mgrid[:height, :width]
    opacity = np.where(x * 2 < width, 255, y * 255 // (height - 1)) if alpha else np.full_like(x, 255)
    colours = (x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 255 // (width + height - 2), opacity)
    return np.stack(colours, axis=2).astype(np.uint8)


# The hashes and first pixels are those of the format's own implementation in JavaScript.
@pytest.mark.parametrize("width, height, alpha, expected, pixel", [
    (60, 40, False, "H/gNDZqAh4eBh4d4eHh4eI9wCPh4", (0x2B, 0x27, 0x24, 0xFF)),
    (30, 90, False, "HwgSGhqCgIeIh4iHgH8I+Hg=", (0x2E, 0x20, 0x21, 0xFF)),
    (50, 50, True, "H7iNBQ4rYIdwh3l4h/eEHvZsj4WzZ3h4iA==", (0x0F, 0x1C, 0x11, 0xDF)),
    (100, 20, True, "XriNGY4rYIeBh3ieMBn2bI+Fsmd4eIg=", (0x11, 0x20, 0x16, 0xD4)),
])  # fmt: skip
def test_the_format(width, height, alpha, expected, pixel):
    assert thumbhash.to_text(thumbhash.encode(ramp(width, height, alpha))) == expected
    assert np.abs(shown(expected)[0, 0].astype(int) - pixel).max() <= 1  # halves may round the other way


def test_a_flat_picture_has_no_terms():
    """Rounding errors of a flat picture must not be blown up to noise, which would differ between machines."""
    look = thumbhash.encode(np.full((20, 30, 4), 255, np.uint8))
    assert look[:3] == bytes([63, 8, 2]) and set(look[5:]) == {0}


@pytest.mark.parametrize("size", [(100, 100), (100, 40), (40, 100), (1, 1), (100, 1), (1, 100), (7, 5)])
@pytest.mark.parametrize("alpha", [False, True])
def test_length_says_what_the_format_says(size, alpha):
    rgba = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    if not alpha:
        rgba[..., 3] = 255
    look = thumbhash.encode(rgba)
    assert thumbhash.from_text(thumbhash.to_text(look)) == look
    assert len(look) <= 40
    assert bool(look[2] & 0x80) == alpha


@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, (255, 255, 255), (0, 0, 0), (128, 128, 128)])
def test_average_is_the_colour(tmp_path, colour):
    look = media.look(saved(tmp_path, Image.new("RGB", (300, 200), colour)))
    red, green, blue, alpha = media.look_average(look)
    assert np.allclose([red, green, blue], np.array(colour) / 255, atol=0.04)
    assert alpha == 1.0


def test_round_trip_shows_the_picture(tmp_path):
    found = shown(media.look(saved(tmp_path, halves(RED, BLUE, (600, 400)))))
    assert found.shape == (23, 32, 4)
    assert np.abs(found[8:15, 3:8, :3].mean(axis=(0, 1)) - RED).max() < 50
    assert np.abs(found[8:15, -8:-3, :3].mean(axis=(0, 1)) - BLUE).max() < 50
    assert (found[..., 3] == 255).all()


@pytest.mark.parametrize("size, expected", [((1920, 1080), (32, 18)), ((1080, 1920), (18, 32)), ((500, 500), (32, 32))])
def test_shape(tmp_path, size, expected):
    width, height, rgba = media.look_to_rgba(media.look(saved(tmp_path, Image.effect_noise(size, 9).convert("RGB"))))
    assert abs(width - expected[0]) <= 1 and abs(height - expected[1]) <= 1 and len(rgba) == 4 * width * height


def test_size_is_asked_for(tmp_path):
    look = media.look(saved(tmp_path, halves(RED, BLUE)))
    assert media.look_to_rgba(look, 96)[:2] == (96, 69)
    assert media.look_to_rgba(look, 1)[:2] == (1, 1)


def test_transparency(tmp_path):
    picture = halves(RED, GREEN).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 45, 60))
    look = media.look(saved(tmp_path, picture))
    found = shown(look)
    assert found[5:-5, 2:8, 3].mean() < 50 and found[5:-5, -8:-2, 3].mean() > 200
    # The hidden black does not darken what is seen.
    assert np.abs(found[5:-5, -8:-2, :3].mean(axis=(0, 1)) - GREEN).max() < 40
    assert media.look_average(look)[3] == pytest.approx(0.5, abs=0.05)


def test_every_kind_of_picture_looks_the_same(tmp_path):
    picture = halves(RED, GREEN, (400, 300))
    array = np.asarray(picture)
    linear = np.where(array / 255 <= 0.04045, array / 255 / 12.92, ((array / 255 + 0.055) / 1.055) ** 2.4)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": linear.astype(np.float16)}).write(str(tmp_path / "a.exr"))
    paths = [saved(tmp_path, picture, name) for name in ("a.png", "a.jpg", "a.webp", "a.bmp", "a.tif")]
    paths += [saved(tmp_path, picture.quantize(8), "a.gif"), str(tmp_path / "a.exr")]
    expected = shown(media.look(paths[0])).astype(int)
    for path in paths[1:]:
        assert np.abs(shown(media.look(path)).astype(int) - expected).mean() < 16, path


def test_exr_above_white_negative_and_data(tmp_path):
    path = str(tmp_path / "a.exr")
    wild = np.array([[1e4, np.inf], [-3, np.nan]], np.float32).repeat(40, 0).repeat(40, 1)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"Z": wild}).write(path)
    found = shown(media.look(path))
    assert found[2:10, 2:30, 0].mean() > 230 and found[-10:-2, 2:30, 0].mean() < 25


def test_exr_with_alpha_is_multiplied_already(tmp_path):
    path = str(tmp_path / "a.exr")
    rgba = np.zeros((40, 40, 4), np.float16)
    rgba[:, 20:] = 1
    rgba[:, :20] = (0.25, 0.25, 0.25, 0.25)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGBA": rgba}).write(path)
    assert shown(media.look(path))[..., :3].min() > 235


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "F", "I"])
def test_modes(tmp_path, mode):
    grey = Image.linear_gradient("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "I":
        picture = Image.fromarray(np.asarray(grey).astype(np.int32) * 257)
    elif mode == "F":
        picture = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    else:
        picture = grey.convert(mode)
    found = shown(media.look(saved(tmp_path, picture, "a.tif")))
    assert found[:4, ..., :3].mean() < 60 and found[-4:, ..., :3].mean() > 195


def test_what_is_no_picture_has_no_look(tmp_path):
    (tmp_path / "a.txt").write_text("no picture")
    assert media.look(str(tmp_path / "a.txt")) is None


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "ü", base64.b64encode(bytes(80)).decode(), "3OcRJYB4", None])
def test_a_damaged_look_shows_nothing(text):
    assert media.look_average(text) is None
    assert media.look_to_rgba(text) is None
