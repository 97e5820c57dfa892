"""texture: pictures that tile, fill their range, and read back the same in other programs' readers."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from regen_vcs.errors import Interrupted, InvalidError
from regen_vcs.generators import registry
from regen_vcs.generators.base import Job
from regen_vcs.generators.procedural import exact, fields
from regen_vcs.generators.procedural.colour import PALETTES, parse_ramp
from regen_vcs.model.paths import parse_sequence

TEXTURE = registry.load("texture")
KINDS = registry.params_schema(TEXTURE)["properties"]["kind"]["enum"]


def make(tmp_path, name="out.png", **params):
    raw = registry.complete_params(TEXTURE, params)
    output = tmp_path / name
    job = Job(registry.typed_params(TEXTURE, raw), raw, {}, str(output), str(tmp_path))
    TEXTURE.run(job)
    return output


def grey(path):
    """(rows, columns) float64, 0…1, of a 16-bit grey PNG."""
    return np.asarray(Image.open(path)).astype(np.float64) / 65535


def steps(values, axis):
    """Mean absolute difference of neighbours, and of the last to the first."""
    inner = np.abs(np.diff(values, axis=axis)).mean()
    return inner, np.abs(np.take(values, 0, axis) - np.take(values, -1, axis)).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_picture_of_its_size(tmp_path, kind):
    values = grey(make(tmp_path, kind=kind, width=129, height=65, seed=1))
    assert values.shape == (65, 129)
    assert values.max() > values.min()


@pytest.mark.parametrize("kind", ["fbm", "ridged", "turbulence", "worley"])
def test_noise_fills_the_range(tmp_path, kind):
    values = grey(make(tmp_path, kind=kind, width=256, height=256))
    assert values.min() == 0.0
    assert values.max() == 1.0
    assert 0.08 < values.std() < 0.3
    assert len(np.unique(values)) > 10_000


def test_fbm_is_centred_and_does_not_clip(tmp_path):
    values = grey(make(tmp_path, width=512, height=512, scale=16))
    assert 0.35 < values.mean() < 0.65
    assert ((values == 0) | (values == 1)).sum() == 2


def test_white_noise_is_uniform_and_uncorrelated(tmp_path):
    values = grey(make(tmp_path, kind="white", width=512, height=512))
    counts, _ = np.histogram(values, bins=16, range=(0, 1))
    assert np.all(np.abs(counts - values.size / 16) < 800)
    centred = values - values.mean()
    for shifted in (np.roll(centred, 1, 0), np.roll(centred, 1, 1)):
        assert abs((centred * shifted).mean()) < 0.002


@pytest.mark.parametrize(
    "params",
    [
        {"kind": "fbm"}, {"kind": "fbm", "basis": "value", "lacunarity": 3}, {"kind": "ridged"}, {"kind": "turbulence"},
        {"kind": "worley"}, {"kind": "worley", "feature": "f2-f1"}, {"kind": "dots", "softness": 1, "ratio": 0.9},
        {"kind": "stripes", "softness": 1}, {"kind": "stripes", "angle": 90, "softness": 1},
    ],
    ids=str,
)  # fmt: skip
def test_tileable_has_no_seam(tmp_path, params):
    values = grey(make(tmp_path, width=192, height=160, scale=4.4, tileable=True, **params))
    for axis in (0, 1):
        inner, seam = steps(values, axis)
        assert seam <= 3 * inner + 1 / 65535


def test_not_tileable_has_a_seam(tmp_path):
    inner, seam = steps(grey(make(tmp_path, width=192, height=192)), 1)
    assert seam > 5 * inner


@pytest.mark.parametrize("kind", ["checker", "bricks"])
def test_hard_patterns_tile_exactly(tmp_path, kind):
    """Five cells become six, so that colours and courses meet; the seam is as every other joint."""
    values = grey(make(tmp_path, kind=kind, width=144, height=144, scale=5, jitter=0, tileable=True))
    for axis in (0, 1):
        assert np.array_equal(values, np.roll(values, 48, axis))
        assert not np.array_equal(values, np.roll(values, 24, axis))


def test_checker_is_exact(tmp_path):
    values = grey(make(tmp_path, kind="checker", width=64, height=64, scale=8))
    rows, columns = np.indices((64, 64)) // 8
    assert np.array_equal(values, (rows + columns) & 1)


def test_worley_is_the_distance_to_the_nearest_point():
    """Against brute force over every point of a wrapped lattice."""
    grid = fields.Grid.square(48, 48, 5, tileable=True)
    pixels = np.arange(48, dtype=np.float64)
    seeds = [exact.sub_seed(9, axis) for axis in (0, 1)]
    cells = np.arange(5)
    x = exact.unit(exact.hash_grid(cells, cells, seeds[0])) + cells[None, :]
    y = exact.unit(exact.hash_grid(cells, cells, seeds[1])) + cells[:, None]
    at = (pixels + 0.5) * 5 / 48
    dx = np.abs(at[None, :, None] - x.ravel())
    dy = np.abs(at[:, None, None] - y.ravel())
    away = np.sqrt(np.minimum(dx, 5 - dx) ** 2 + np.minimum(dy, 5 - dy) ** 2)
    away.sort(axis=2)
    for feature, expected in (("f1", away[..., 0]), ("f2", away[..., 1]), ("f2-f1", away[..., 1] - away[..., 0])):
        found = fields.worley(grid, 9, feature=feature, metric="euclidean", jitter=1.0)(pixels, pixels)
        assert np.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("height", [1, 7, 700])
def test_bands_cannot_be_seen(tmp_path, height):
    """Computed at once or row by row, a field is the same to the last bit."""
    grid = fields.Grid.square(333, height, 6, tileable=False)
    field = fields.fractal(grid, 3, kind="fbm", basis="perlin", octaves=5, lacunarity=2, gain=0.5)
    columns, rows = np.arange(333.0), np.arange(float(height))
    whole = field(columns, rows)
    for row in {0, height // 2, height - 1}:
        assert np.array_equal(field(columns, rows[row : row + 1])[0], whole[row])


def test_memory_does_not_grow_with_the_height(tmp_path):
    tracemalloc.start()
    make(tmp_path, kind="white", width=2048, height=4096, depth=8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20  # the picture is 8 MiB, its float64 field would be 64


def test_another_seed_is_another_picture(tmp_path):
    seeds = [0, 1, 2**53 - 1, str(2**53), str(2**64 - 1)]
    pictures = {make(tmp_path, f"{seed}.png", width=32, height=32, seed=seed).read_bytes() for seed in seeds}
    assert len(pictures) == len(seeds)


def test_bytes_are_the_same_twice_and_hold_no_more_than_pixels(tmp_path):
    first = make(tmp_path, "a.png", width=64, height=64)
    second = make(tmp_path, "b.png", width=64, height=64)
    assert first.read_bytes() == second.read_bytes()
    assert Image.open(first).info == {}


@pytest.mark.parametrize(("depth", "dtype"), [(16, np.float16), (32, np.float32)])
def test_exr_reads_back_in_the_reference_library(tmp_path, depth, dtype):
    """One line past whole blocks; grey is Y, a ramp is RGB."""
    params = {"width": 75, "height": 33, "depth": depth}
    with OpenEXR.File(str(make(tmp_path, "a.exr", **params))) as file:
        values = file.channels()["Y"].pixels
    assert values.dtype == dtype
    assert values.shape == (33, 75)
    png = grey(make(tmp_path, "a.png", width=75, height=33))
    assert np.abs(values - png).max() < 1e-3
    with OpenEXR.File(str(make(tmp_path, "b.exr", ramp="fire", **params))) as file:
        assert file.channels()["RGB"].pixels.shape == (33, 75, 3)


def test_ramps_in_exr_are_scene_linear(tmp_path):
    """A flat mid grey of sRGB is 0.2140 in linear light."""
    path = make(tmp_path, "a.exr", kind="gradient", width=8, height=8, depth=32, ramp=["#808080", "#808080"])
    with OpenEXR.File(str(path)) as file:
        assert np.allclose(file.channels()["RGB"].pixels, 0.2158605, atol=1e-6)


@pytest.mark.parametrize("palette", sorted(PALETTES))
def test_palettes_end_where_they_say(tmp_path, palette):
    path = make(tmp_path, kind="gradient", width=4096, height=1, depth=8, ramp=palette)
    line = np.asarray(Image.open(path))[0]
    stops = parse_ramp(palette)
    assert np.abs(line[0].astype(int) - stops[0][1]).max() <= 1
    assert np.abs(line[-1].astype(int) - stops[-1][1]).max() <= 1


def test_normals_have_length_one_and_point_up(tmp_path):
    rgb = np.asarray(Image.open(make(tmp_path, width=64, height=64, output="normal", depth=8))) / 255 * 2 - 1
    assert np.allclose(np.sqrt((rgb**2).sum(axis=2)), 1, atol=0.02)
    assert rgb[..., 2].min() > 0


def test_normal_of_a_slope_leans_away_from_it(tmp_path):
    """Brighter to the right: the surface faces left (red below the middle); OpenGL's green is up."""
    right = np.asarray(Image.open(make(tmp_path, "r.png", kind="gradient", width=64, height=64, output="normal", depth=8)))
    down = np.asarray(
        Image.open(make(tmp_path, "d.png", kind="gradient", angle=90, width=64, height=64, output="normal", depth=8))
    )
    assert right[32, 32, 0] < 110
    assert right[32, 32, 1] == 128
    assert down[32, 32, 0] == 128
    assert down[32, 32, 1] > 145


def test_a_sequence_drifts_and_reseeds(tmp_path):
    assert parse_sequence("s.####.png")
    make(tmp_path, "s.####.png", width=64, height=64, tileable=True, scale=4, octaves=1, drift_x=1.0, frames="8-12")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"s.{n:04}.png" for n in range(8, 13)]
    first, second, last = (grey(tmp_path / f"s.{n:04}.png") for n in (8, 9, 12))
    assert np.array_equal(np.roll(first, 16, axis=1), second)  # a cell is 16 pixels
    assert np.array_equal(first, last)  # 4 cells: round once
    make(tmp_path, "g.##.png", kind="white", width=16, height=16, reseed=True, frames="1-3")
    assert len({(tmp_path / f"g.{n:02}.png").read_bytes() for n in (1, 2, 3)}) == 3


def test_a_sequence_needs_frames(tmp_path):
    with pytest.raises(InvalidError) as caught:
        make(tmp_path, "s.####.png")
    assert caught.value.field == "params.frames"


def test_progress_rises_to_one_and_cancel_is_obeyed(tmp_path):
    raw = registry.complete_params(TEXTURE, {"width": 256, "height": 2048, "octaves": 1})
    params = registry.typed_params(TEXTURE, raw)
    seen = []
    TEXTURE.run(Job(params, raw, {}, str(tmp_path / "a.png"), "", on_progress=lambda f, m: seen.append(f)))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        TEXTURE.run(Job(params, raw, {}, str(tmp_path / "b.png"), "", cancel_requested=stop.is_set))


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("a.jpg", {}, "writes .png and .exr"),
        ("a", {}, "without a suffix"),
        ("a.png", {"depth": 32}, "8 or 16"),
        ("a.exr", {"depth": 8}, "16 or 32"),
    ],
)
def test_formats_that_cannot_be(tmp_path, name, params, said):
    with pytest.raises(InvalidError, match=said):
        make(tmp_path, name, width=4, height=4, **params)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"width": 0}, "params.width"),
        ({"width": 16385}, "params.width"),
        ({"width": 10**9}, "params.width"),
        ({"height": -1}, "params.height"),
        ({"height": 1.5}, "params.height"),
        ({"width": "1024"}, "params.width"),
        ({"width": True}, "params.width"),
        ({"width": None}, "params.width"),
        ({"scale": float("nan")}, "params.scale"),
        ({"scale": float("inf")}, "params.scale"),
        ({"scale": 0}, "params.scale"),
        ({"octaves": 10**9}, "params.octaves"),
        ({"lacunarity": 2.5}, "params.lacunarity"),
        ({"kind": "fractal"}, "params.kind"),
        ({"seed": -1}, "params.seed"),
        ({"seed": str(2**64)}, "params.seed"),
        ({"seed": "abc"}, "params.seed"),
        ({"seed": 1.0}, "params.seed"),
        ({"seed": "9" * 5000}, "params.seed"),
        ({"ramp": "nosuch"}, "params.ramp"),
        ({"ramp": ["#000000"]}, "params.ramp"),
        ({"ramp": ["#000000", "red"]}, "params.ramp"),
        ({"ramp": [[0.5, "#000"], [0.5, "#fff"]]}, "params.ramp"),
        ({"frames": "9-1"}, "params.frames"),
        ({"frames": "1-9999999"}, "params.frames"),
        ({"frames": "x"}, "params.frames"),
        ({"widht": 4}, "params.widht"),
        ({"kind": "gradient", "tileable": True}, "params"),
        ({"kind": "stripes", "angle": 45, "tileable": True}, "params"),
    ],
    ids=str,
)
def test_hostile_params_name_their_field(params, field):
    with pytest.raises(InvalidError) as caught:
        registry.complete_params(TEXTURE, params)
    assert caught.value.field is not None
    assert caught.value.field.startswith(field)
    assert len(caught.value.what) < 400


def test_a_misspelt_param_is_guessed():
    with pytest.raises(InvalidError) as caught:
        registry.complete_params(TEXTURE, {"widht": 4})
    assert caught.value.hint == "did you mean width?"


@pytest.mark.parametrize(
    "params",
    [
        {"width": 1, "height": 1},
        {"width": 16384, "height": 1, "scale": 4096, "octaves": 16, "lacunarity": 8},
        {"width": 1, "height": 300, "kind": "worley", "tileable": True, "scale": 0.001},
        {"width": 16, "height": 16, "gain": 0.0, "contrast": 0.0},
        {"width": 16, "height": 16, "kind": "dots", "ratio": 0, "output": "normal", "strength": 1000},
    ],
    ids=str,
)
def test_extreme_but_allowed_params_work(tmp_path, params):
    assert Image.open(make(tmp_path, **params)).size == (params["width"], params["height"])


def test_estimates_grow_with_the_work():
    small, large = (registry.complete_params(TEXTURE, {"width": n, "height": n}) for n in (64, 4096))
    assert 0 < registry.estimate_seconds(TEXTURE, small) < registry.estimate_seconds(TEXTURE, large) < 60
