"""`media.content_hash`: the same for what decodes to the same, another for a single bit."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import OpenEXR
import pytest
import soundfile
from PIL import Image, PngImagePlugin

from regen_vcs import media
from regen_vcs.media.png16 import read_png16

SIZE = (57, 43)


def pixels(seed=0, channels=3, dtype=np.uint8, size=SIZE):
    """Smooth with a little noise: encoders then use every filter they have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    top = np.iinfo(dtype).max
    base = [(x * (3 + each) + y * (5 - each)) / (8 * max(size)) * top for each in range(channels)]
    values = np.stack(base, axis=2) + rng.integers(0, top // 9, (size[1], size[0], channels))
    return values.astype(dtype)


def saved(tmp_path, name, array, **options):
    path = tmp_path / name
    Image.fromarray(array.squeeze()).save(path, **options)
    return str(path)


# -- PNG of 16 bits: a writer with every filter and Adam7, to test the reader ------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((abs(estimate - value), order, value) for order, value in enumerate((left, up, corner)))[2]


def filtered(kind: int, row: bytes, above: bytes, pixel: int) -> bytes:
    out = bytearray([kind])
    for at, value in enumerate(row):
        left = row[at - pixel] if at >= pixel else 0
        corner = above[at - pixel] if at >= pixel else 0
        up = above[at]
        out.append((value - (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]) & 0xFF)
    return bytes(out)


def passes(samples: np.ndarray, interlaced: bool) -> Iterator[np.ndarray]:
    if not interlaced:
        yield samples
        return
    grid = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, x_step, y_step in grid:
        if samples[y::y_step, x::x_step].size:
            yield samples[y::y_step, x::x_step]


def png16(samples: np.ndarray, filters=range(5), *, interlaced=False, level=6, split=1 << 20, extra=b"") -> bytes:
    height, width, channels = samples.shape
    choose = random.Random(1)
    filters = list(filters)
    raw = b""
    for part in passes(samples, interlaced):
        above = bytes(part.shape[1] * channels * 2)
        for row in part.astype(">u2"):
            raw += filtered(choose.choice(filters), row.tobytes(), above, 2 * channels)
            above = row.tobytes()
    packed = zlib.compress(raw, level)
    colour = {1: 0, 3: 2, 2: 4, 4: 6}[channels]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, interlaced))
        + extra
        + b"".join(chunk(b"IDAT", packed[at : at + split]) for at in range(0, len(packed), split))
        + chunk(b"IEND", b"")
    )


def written(tmp_path, data: bytes, name="a.png") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [0, 1, 2], range(5)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png16_keeps_all_bits(tmp_path, channels, filters, interlaced):
    samples = pixels(channels=channels, dtype=np.uint16)
    with open(written(tmp_path, png16(samples, filters, interlaced=interlaced, split=999)), "rb") as file:
        layout, found = read_png16(file)
    assert layout == ["L", "LA", "RGB", "RGBA"][channels - 1]
    assert np.array_equal(found, samples)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (4, 5)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png16_of_odd_sizes(tmp_path, size, interlaced):
    samples = pixels(dtype=np.uint16, size=size)
    with open(written(tmp_path, png16(samples, interlaced=interlaced)), "rb") as file:
        assert np.array_equal(read_png16(file)[1], samples)


def test_png16_in_several_bands(tmp_path, monkeypatch):
    monkeypatch.setattr("regen_vcs.media.png16._BAND_ROWS", 7)
    samples = pixels(dtype=np.uint16)
    with open(written(tmp_path, png16(samples)), "rb") as file:
        assert np.array_equal(read_png16(file)[1], samples)


def test_png16_agrees_with_pillow_on_grey(tmp_path):
    samples = pixels(channels=1, dtype=np.uint16)
    ours = media.content_hash(written(tmp_path, png16(samples)))
    assert ours == media.content_hash(saved(tmp_path, "pillow.png", samples)) is not None
    assert ours == media.content_hash(saved(tmp_path, "pillow.tif", samples))


def test_png16_transparent_colour_becomes_alpha(tmp_path):
    samples = pixels(dtype=np.uint16)
    colour = samples[3, 4]
    transparent = chunk(b"tRNS", colour.astype(">u2").tobytes())
    alpha = np.where((samples == colour).all(axis=2), 0, 65535).astype(np.uint16)
    full = np.dstack([samples, alpha])
    assert media.content_hash(written(tmp_path, png16(samples, extra=transparent))) == media.content_hash(
        written(tmp_path, png16(full), "b.png")
    )


@pytest.mark.parametrize("filters", [[2], range(5)])
def test_one_bit_of_a_png16_counts(tmp_path, filters):
    samples = pixels(dtype=np.uint16)
    other = samples.copy()
    other[20, 30, 1] ^= 1
    hashes = {media.content_hash(written(tmp_path, png16(each, filters))) for each in (samples, other)}
    assert len(hashes) == 2 and None not in hashes


def test_png16_is_not_the_8_bit_picture_of_its_high_bytes(tmp_path):
    samples = pixels(dtype=np.uint16)
    assert media.content_hash(written(tmp_path, png16(samples))) != media.content_hash(
        saved(tmp_path, "b.png", (samples >> 8).astype(np.uint8))
    )


# -- encoders and containers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_settings_and_metadata_do_not_count(tmp_path, channels):
    array = pixels(channels=channels)
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", "rain on glass", zip=True)
    found = {
        media.content_hash(saved(tmp_path, "a.png", array)),
        media.content_hash(saved(tmp_path, "b.png", array, compress_level=0)),
        media.content_hash(saved(tmp_path, "c.png", array, compress_level=9, pnginfo=info, dpi=(300, 300))),
    }
    assert len(found) == 1
    assert found.pop().startswith("pixels:blake3:")


@pytest.mark.parametrize("name, options", [
    ("a.bmp", {}), ("a.tif", {"compression": "tiff_lzw"}), ("a.tif", {}), ("a.webp", {"lossless": True}), ("a.ppm", {}),
])  # fmt: skip
def test_lossless_containers_agree(tmp_path, name, options):
    array = pixels()
    assert media.content_hash(saved(tmp_path, name, array, **options)) == media.content_hash(saved(tmp_path, "a.png", array))


def test_palettes_do_not_count(tmp_path):
    """What is shown: the same picture with its palette in another order, and without a palette."""
    array = pixels()
    palette = Image.fromarray(array).quantize(7)
    palette.save(tmp_path / "a.png")
    palette.remap_palette([6, 5, 4, 3, 2, 1, 0]).save(tmp_path / "b.png")
    palette.convert("RGBA").save(tmp_path / "c.png")
    palette.save(tmp_path / "d.gif")
    assert len({media.content_hash(str(tmp_path / name)) for name in ("a.png", "b.png", "c.png", "d.gif")}) == 1


def test_transparent_colour_is_shown(tmp_path):
    array = pixels()
    Image.fromarray(array).save(tmp_path / "a.png", transparency=tuple(map(int, array[0, 0])))
    assert media.content_hash(str(tmp_path / "a.png")) != media.content_hash(saved(tmp_path, "b.png", array))


def test_channels_size_and_order_count(tmp_path):
    array = pixels()
    grey = array[..., 0]
    variants = [array, array[::-1], array[:, ::-1], array[..., ::-1], array.transpose(1, 0, 2), grey,
                np.dstack([grey] * 3), np.dstack([array, np.full_like(grey, 255)])]  # fmt: skip
    hashes = [media.content_hash(saved(tmp_path, "a.png", np.ascontiguousarray(each))) for each in variants]
    assert len(set(hashes)) == len(variants) and None not in hashes


def test_jpeg_metadata_does_not_count(tmp_path):
    path = saved(tmp_path, "a.jpg", pixels(), comment=b"one")
    other = saved(tmp_path, "b.jpg", pixels(), comment=b"two", dpi=(72, 72))
    assert media.content_hash(path) == media.content_hash(other)
    assert media.content_hash(path) != media.content_hash(saved(tmp_path, "c.jpg", pixels(), quality=50))


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_every_frame_counts(tmp_path, suffix):
    frames = [Image.fromarray(pixels(seed)) for seed in range(3)]
    other = [*frames[:2], Image.fromarray(pixels(9))]
    options = {"lossless": True} if suffix == "webp" else {}
    hashes = []
    for name, pages in (("a", frames), ("b", other), ("c", frames[:2]), ("d", frames)):
        path = tmp_path / f"{name}.{suffix}"
        pages[0].save(path, save_all=True, append_images=pages[1:], duration=80, **options)
        hashes.append(media.content_hash(str(path)))
    assert hashes[0] == hashes[3] and len(set(hashes)) == 3 and None not in hashes


def test_animations_agree_between_containers(tmp_path):
    frames = [Image.fromarray(pixels(seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=80)
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=80, lossless=True)
    assert media.content_hash(str(tmp_path / "a.png")) == media.content_hash(str(tmp_path / "a.webp"))


def test_timing_counts(tmp_path):
    frames = [Image.fromarray(pixels(seed)) for seed in range(2)]
    hashes = set()
    for duration in (40, 80):
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=duration)
        hashes.add(media.content_hash(str(tmp_path / "a.gif")))
    assert len(hashes) == 2


def test_what_would_lose_bits_has_no_hash(tmp_path):
    """A TIFF of 16 bits in colour: Pillow would drop the lower eight."""
    samples = pixels(dtype=np.uint16).astype("<u2")
    height, width, _ = samples.shape
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14),
            (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, samples.nbytes)]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    data = b"II*\0" + struct.pack("<I", 14 + samples.nbytes) + struct.pack("<HHH", 16, 16, 16) + samples.tobytes() + directory
    path = written(tmp_path, data, "a.tif")
    assert media.probe(path) == {"type": "image/tiff", "width": width, "height": height, "depth": 16}
    assert media.content_hash(path) is None
    assert media.look(path) is not None


# -- EXR ---------------------------------------------------------------------------------------------------------


def exr(tmp_path, name, channels, **header):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    OpenEXR.File(header, channels).write(str(tmp_path / name))
    return str(tmp_path / name)


def test_exr_compression_layout_and_metadata_do_not_count(tmp_path):
    colour = pixels().astype(np.float16)
    hashes = {
        media.content_hash(exr(tmp_path, "a.exr", {"RGB": colour})),
        media.content_hash(exr(tmp_path, "b.exr", {"RGB": colour}, compression=OpenEXR.PIZ_COMPRESSION, comments="x")),
        media.content_hash(exr(tmp_path, "c.exr", {"RGB": colour}, compression=OpenEXR.NO_COMPRESSION)),
        media.content_hash(exr(tmp_path, "d.exr", {"RGB": colour}, type=OpenEXR.tiledimage, tiles=OpenEXR.TileDescription())),
        media.content_hash(exr(tmp_path, "e.exr", {c: colour[..., i].copy() for i, c in enumerate("RGB")})),
    }
    assert len(hashes) == 1 and None not in hashes


def test_exr_bits_channels_and_windows_count(tmp_path):
    colour = pixels().astype(np.float16)
    flipped = colour.copy()
    flipped.view(np.uint16)[20, 30, 2] ^= 1
    window = (np.array([0, 0], np.int32), np.array([199, 99], np.int32))
    made = [
        exr(tmp_path, "a.exr", {"RGB": colour}),
        exr(tmp_path, "b.exr", {"RGB": flipped}),
        exr(tmp_path, "c.exr", {"RGB": colour.astype(np.float32)}),
        exr(tmp_path, "d.exr", {"RGB": colour, "Z": colour[..., 0].astype(np.float32)}),
        exr(tmp_path, "e.exr", {"RGB": colour}, displayWindow=window),
    ]
    hashes = {media.content_hash(path) for path in made}
    assert len(hashes) == len(made) and None not in hashes


def test_every_part_of_an_exr_counts(tmp_path):
    colour = pixels().astype(np.float16)
    hashes = set()
    for depth in (1.0, 2.0):
        parts = [
            OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"RGB": colour}, "beauty"),
            OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"Z": np.full(colour.shape[:2], depth, np.float32)}, "depth"),
        ]
        OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
        hashes.add(media.content_hash(str(tmp_path / "a.exr")))
    assert len(hashes) == 2 and None not in hashes


def test_nan_in_exr_is_a_value_like_others(tmp_path):
    values = pixels().astype(np.float32)
    values[0, 0, 0] = math.nan
    values[0, 1, 0] = math.inf
    path = exr(tmp_path, "a.exr", {"RGB": values})
    assert media.content_hash(path) and media.look(path) and media.score(path, path) == 1.0


# -- sound -------------------------------------------------------------------------------------------------------


def sound(tmp_path, name, samples, rate=44100, **options):
    path = str(tmp_path / name)
    soundfile.write(path, samples, rate, **options)
    return path


def integers(seed=0, bits=16, frames=30000, channels=2):
    top = 1 << (bits - 1)
    values = np.random.default_rng(seed).integers(-top, top, (frames, channels))
    return values.astype(np.int16) if bits == 16 else (values << (32 - bits)).astype(np.int32)


@pytest.mark.parametrize("bits", [16, 24])
def test_sound_containers_agree(tmp_path, bits):
    samples = integers(bits=bits)
    subtype = f"PCM_{bits}"
    made = [sound(tmp_path, f"a.{suffix}", samples, subtype=subtype) for suffix in ("wav", "flac", "aiff", "caf")]
    hashes = {media.content_hash(path) for path in made}
    assert len(hashes) == 1
    assert hashes.pop().startswith("samples:blake3:")


def test_depth_of_the_same_samples_does_not_count(tmp_path):
    samples = integers()
    wide = samples.astype(np.int32) << 16
    assert media.content_hash(sound(tmp_path, "a.wav", samples, subtype="PCM_16")) == media.content_hash(
        sound(tmp_path, "b.flac", wide, subtype="PCM_24")
    )


def test_sound_metadata_does_not_count(tmp_path):
    path = sound(tmp_path, "a.flac", integers())
    with soundfile.SoundFile(str(tmp_path / "b.flac"), "w", 44100, 2, "PCM_16") as file:
        file.title = "rain"
        file.write(integers())
    assert media.content_hash(path) == media.content_hash(str(tmp_path / "b.flac"))


def test_samples_rate_channels_and_length_count(tmp_path):
    samples = integers()
    flipped = samples.copy()
    flipped[12345, 1] ^= 1
    made = [
        sound(tmp_path, "a.wav", samples), sound(tmp_path, "b.wav", flipped), sound(tmp_path, "c.wav", samples, 48000),
        sound(tmp_path, "d.wav", samples.reshape(-1, 1)), sound(tmp_path, "e.wav", samples[:-1]),
        sound(tmp_path, "f.wav", samples / 32768, subtype="FLOAT"), sound(tmp_path, "g.wav", samples / 32768, subtype="DOUBLE"),
    ]  # fmt: skip
    hashes = {media.content_hash(path) for path in made}
    assert len(hashes) == len(made) and None not in hashes


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_lossy_sound(tmp_path, name):
    path = sound(tmp_path, name, integers() // 4)
    assert media.content_hash(path) == media.content_hash(path) is not None


def test_wav_cut_short_has_no_hash(tmp_path):
    path = sound(tmp_path, "a.wav", integers())
    with open(path, "r+b") as file:
        file.truncate(50000)
    assert media.content_hash(path) is None


def test_sound_over_an_hour_has_no_hash(tmp_path):
    path = sound(tmp_path, "a.flac", np.zeros(3601 * 1000, dtype=np.int16), 1000)
    assert media.probe(path)["duration"] == 3601.0
    assert media.content_hash(path) is None
    assert media.content_hash(sound(tmp_path, "b.flac", np.zeros(3600 * 1000, dtype=np.int16), 1000)) is not None


def test_the_hash_is_frozen(tmp_path):
    """Content hashes stand in sidecars: these must never change."""
    ramp = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    steps = np.arange(-8, 8, dtype=np.int16).reshape(8, 2) * 1000
    half = exr(tmp_path, "a.exr", {"Y": np.arange(6, dtype=np.float16).reshape(2, 3)})
    deep = written(tmp_path, png16(ramp.astype(np.uint16) * 257), "b.png")
    found = [media.content_hash(path) for path in (saved(tmp_path, "a.png", ramp), deep, half, sound(tmp_path, "a.wav", steps))]
    assert found == FROZEN


FROZEN = [
    "pixels:blake3:9b97098ec3a617d88eb223490222712c9dd1d25b6664e5c642fd72da6905c076",
    "pixels:blake3:faa3a197af8a238373bc86fddf8bf64370b77e5ab96081d54c68b80fc4b6cd51",
    "pixels:blake3:b0c7ca255c59f5fb98403d6dd3d88e331cba266cc82f0b4a9299eb6332aa9d47",
    "samples:blake3:23c6f275b28c77f027ad122aca05cd9b5d1f3ceaec3a070ca898355ed252e022",
]
