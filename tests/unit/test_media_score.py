"""`media.score`: 1.0 for the same content and nothing else, falling as two files differ more."""

from __future__ import annotations

import numpy as np
import OpenEXR
import pytest
import soundfile
from PIL import Image

from regen_vcs import media


def scene(size=(320, 240), seed=0):
    """Detail of several sizes, as a rendered frame has it: uint8, (height, width, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (4, 12, 40, 120):
        grid = (rng.random((cells, cells, 3)) * 255).astype(np.uint8)
        total += np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC), dtype=float)
    return (total / 4).astype(np.uint8)


def noisy(array, amount, seed=1):
    noise = np.random.default_rng(seed).integers(-amount, amount + 1, array.shape)
    return np.clip(array.astype(int) + noise, 0, 255).astype(np.uint8)


def saved(tmp_path, name, array, **options):
    Image.fromarray(array).save(tmp_path / name, **options)
    return str(tmp_path / name)


def score_of(tmp_path, left, right):
    return media.score(saved(tmp_path, "left.png", left), saved(tmp_path, "right.png", right))


def test_the_same_content_in_other_bytes_is_one(tmp_path):
    array = scene()
    left = saved(tmp_path, "a.png", array)
    for name, options in (("b.png", {"compress_level": 1}), ("b.webp", {"lossless": True}), ("b.bmp", {}), ("b.tif", {})):
        assert media.score(left, saved(tmp_path, name, array, **options)) == 1.0


def test_nothing_else_is_one(tmp_path):
    array = scene()
    other = array.copy()
    other[100, 100, 1] ^= 1
    assert 0.999 < score_of(tmp_path, array, other) < 1.0


def test_noise_lowers_it_step_by_step(tmp_path):
    array = scene()
    scores = [score_of(tmp_path, array, noisy(array, amount)) for amount in (1, 3, 8, 20, 60, 120)]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] > 0.9 and scores[-1] < 0.3


def test_what_lies_elsewhere_is_not_alike(tmp_path):
    array = scene()
    assert score_of(tmp_path, array, np.roll(array, (40, 70), axis=(0, 1))) < 0.6
    assert score_of(tmp_path, array, scene(seed=5)) < 0.6


def test_a_little_compression_is_alike(tmp_path):
    array = scene()
    left = saved(tmp_path, "a.png", array)
    assert media.score(left, saved(tmp_path, "a.jpg", array, quality=92)) > 0.9


def test_colour_counts(tmp_path):
    array = scene()
    grey = np.repeat(array.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    assert score_of(tmp_path, array, grey) < 0.9
    red, blue = (np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 40, 40), (40, 40, 200)))
    assert score_of(tmp_path, red, blue) < 0.7


def test_alpha_counts_and_what_it_hides_does_not(tmp_path):
    array = scene()
    alpha = np.full(array.shape[:2], 255, np.uint8)
    hole = alpha.copy()
    hole[60:180, 80:240] = 0
    hidden = array.copy()
    hidden[60:180, 80:240] = 0
    assert score_of(tmp_path, np.dstack([array, alpha]), np.dstack([array, hole])) < 0.9
    assert score_of(tmp_path, np.dstack([array, hole]), np.dstack([hidden, hole])) > 0.999
    assert 0.99 < score_of(tmp_path, array, np.dstack([array, alpha])) < 1.0


def test_another_size_is_capped(tmp_path):
    array = scene()
    smaller = np.asarray(Image.fromarray(array).resize((160, 120), Image.Resampling.BOX))
    assert 0.5 < score_of(tmp_path, array, smaller) <= 0.95
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert score_of(tmp_path, flat, flat[:32]) == 0.95


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (8, 8), (9, 5), (101, 515), (12, 1031)])
def test_odd_sizes(tmp_path, size):
    array = scene(size)
    assert score_of(tmp_path, array, array) == 1.0
    assert 0 <= score_of(tmp_path, array, 255 - array) < 1.0
    assert score_of(tmp_path, array, noisy(array, 1)) > 0.9


def test_it_is_the_mean_over_all_windows(tmp_path):
    """Against a plain double loop over windows of 8 × 8 pixels, four apart."""
    left, right = scene((64, 48)), noisy(scene((64, 48)), 25)
    x, y = left / 255, right / 255
    values = []
    for top in range(0, 48 - 4, 4):
        for start in range(0, 64 - 4, 4):
            for channel in range(3):
                a, b = (each[top : top + 8, start : start + 8, channel].ravel() for each in (x, y))
                shared = (a * b).mean() - a.mean() * b.mean()
                values.append((2 * a.mean() * b.mean() + 1e-4) * (2 * shared + 9e-4)
                              / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4)))  # fmt: skip
    assert score_of(tmp_path, left, right) == pytest.approx(np.mean(values), abs=1e-4)


def test_16_bits(tmp_path):
    grey = scene()[..., 0].astype(np.uint16) * 257
    other = grey.copy()
    other[5, 5] ^= 1
    assert score_of(tmp_path, grey, grey) == 1.0
    assert 0.999 < score_of(tmp_path, grey, other) < 1.0


def test_cmyk_and_grey_against_rgb(tmp_path):
    array = scene()
    left = saved(tmp_path, "a.png", array)
    Image.fromarray(array).convert("CMYK").save(tmp_path / "b.tif")
    assert media.score(left, str(tmp_path / "b.tif")) > 0.99
    grey = array[..., 0]
    assert score_of(tmp_path, grey, np.dstack([grey] * 3)) > 0.999


def test_animations(tmp_path):
    frames = [Image.fromarray(scene(seed=seed)) for seed in range(4)]

    def film(name, pages):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], duration=40, lossless=True)
        return str(tmp_path / name)

    left = film("a.webp", frames)
    assert media.score(left, film("b.png", frames)) == 1.0
    assert media.score(left, film("c.webp", frames[:3] + frames[:1])) < 0.95
    assert media.score(left, film("d.webp", frames[:2])) == pytest.approx(0.5, abs=0.01)


# -- EXR ---------------------------------------------------------------------------------------------------------


def exr(tmp_path, name, channels):
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
    OpenEXR.File(header, channels).write(str(tmp_path / name))
    return str(tmp_path / name)


def test_exr(tmp_path):
    colour = (scene() / 100.0).astype(np.float16)
    depth = np.linspace(1, 900, 240 * 320, dtype=np.float32).reshape(240, 320)
    left = exr(tmp_path, "a.exr", {"RGB": colour, "Z": depth})
    assert media.score(left, exr(tmp_path, "b.exr", {"RGB": colour, "Z": depth})) == 1.0
    flipped = colour.copy()
    flipped.view(np.uint16)[9, 9, 0] ^= 1
    assert 0.99 < media.score(left, exr(tmp_path, "c.exr", {"RGB": flipped, "Z": depth})) < 1.0
    assert media.score(left, exr(tmp_path, "d.exr", {"RGB": colour, "Z": depth[::-1].copy()})) < 0.95
    rolled = np.roll(colour, (40, 70), axis=(0, 1))
    assert media.score(left, exr(tmp_path, "e.exr", {"RGB": rolled, "Z": depth})) < 0.7
    # A depth pass gone is another content, though the picture is the same.
    assert 0.99 < media.score(left, exr(tmp_path, "f.exr", {"RGB": colour})) < 1.0


def test_exr_against_the_png_it_shows_as(tmp_path):
    array = scene()
    linear = np.where(array / 255 <= 0.04045, array / 255 / 12.92, ((array / 255 + 0.055) / 1.055) ** 2.4)
    left = exr(tmp_path, "a.exr", {"RGB": linear.astype(np.float16)})
    assert 0.99 < media.score(left, saved(tmp_path, "a.png", array)) < 1.0


# -- sound -------------------------------------------------------------------------------------------------------

RATE = 44100


def tone(hertz=440.0, seconds=1.0, rate=RATE):
    return 0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def sound(tmp_path, name, samples, rate=RATE):
    soundfile.write(str(tmp_path / name), samples, rate)
    return str(tmp_path / name)


def test_sounds(tmp_path):
    left = sound(tmp_path, "a.wav", tone())
    rng = np.random.default_rng(4)

    def against(samples, rate=RATE, name="b.wav"):
        return media.score(left, sound(tmp_path, name, samples, rate))

    samples = soundfile.read(left, dtype="int16")[0]
    assert against(samples, name="b.flac") == 1.0
    hiss = [against(tone() + rng.normal(0, amount, RATE)) for amount in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert hiss == sorted(hiss, reverse=True) and 0.9 < hiss[0] < 1.0 and hiss[-1] < 0.7
    assert against(tone(1000)) < 0.6
    assert against(np.zeros(RATE)) == 0.0
    assert against(tone() / 4) < 0.95
    assert against(tone(seconds=0.5)) == pytest.approx(0.5, abs=0.05)
    assert 0.85 < against(tone(rate=48000), 48000) <= 0.95
    assert 0.85 < against(np.stack([tone()] * 2, axis=1)) <= 0.95


def test_channels_are_heard_apart(tmp_path):
    both = np.stack([tone(440), tone(1000)], axis=1)
    left = sound(tmp_path, "a.wav", both)
    assert media.score(left, sound(tmp_path, "b.wav", both[:, ::-1])) < 0.6


@pytest.mark.parametrize("frames", [0, 1, 100, 2048, 5000])
def test_short_sounds(tmp_path, frames):
    left = sound(tmp_path, "a.wav", tone()[:frames])
    right = sound(tmp_path, "b.wav", tone(1000)[: frames + 1])
    assert media.score(left, left) == 1.0
    assert 0 <= media.score(left, right) < 1.0


@pytest.mark.parametrize("rate", [100, 8000, 192000])
def test_any_rate(tmp_path, rate):
    left = sound(tmp_path, "a.wav", tone(40, 2, rate), rate)
    assert 0 < media.score(left, sound(tmp_path, "b.wav", tone(40, 2))) <= 0.95


# -- neither -----------------------------------------------------------------------------------------------------


def test_other_kinds_have_no_score(tmp_path):
    picture, noise = saved(tmp_path, "a.png", scene()), sound(tmp_path, "a.wav", tone())
    (tmp_path / "a.txt").write_text("neither")
    text = str(tmp_path / "a.txt")
    for left, right in ((picture, noise), (noise, picture), (picture, text), (text, text), (picture, "/nowhere")):
        assert media.score(left, right) is None
