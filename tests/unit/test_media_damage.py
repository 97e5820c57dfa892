"""Files that are cut, flipped or lie about their size: never an error, never much memory, never a word printed."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import OpenEXR
import pytest
import soundfile
from PIL import Image

from regen_vcs import media


def corpus(folder):
    """One small file of each kind."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((90, 60)))
    picture = Image.fromarray(smooth)
    for name, options in (("a.png", {}), ("a.jpg", {}), ("a.gif", {}), ("a.webp", {}), ("lossless.webp", {"lossless": True}),
                          ("a.bmp", {}), ("a.tif", {}), ("lzw.tif", {"compression": "tiff_lzw"}), ("a.ppm", {})):  # fmt: skip
        picture.save(folder / name, **options)
    Image.fromarray(smooth[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    for name in ("film.gif", "film.png", "film.webp"):
        picture.save(folder / name, save_all=True, append_images=[picture.rotate(90), picture.rotate(180)], duration=40)
    for compression in (OpenEXR.ZIP_COMPRESSION, OpenEXR.PIZ_COMPRESSION, OpenEXR.NO_COMPRESSION):
        header = {"type": OpenEXR.scanlineimage, "compression": compression}
        OpenEXR.File(header, {"RGB": smooth.astype(np.float16)}).write(str(folder / f"{compression}.exr"))
    tone = np.sin(np.arange(9000) / 9)
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"):
        soundfile.write(str(folder / name), tone, 44100)
    (folder / "a.mp4").write_bytes(bytes.fromhex("000000186674797069736f6d") + bytes(12) + struct.pack(">I4s", 200, b"moov") + bytes(192))
    (folder / "a.webm").write_bytes(bytes.fromhex("1a45dfa3874282847765626d18538067ff1549a966874489844479c000"))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp("media"))


KINDS = sorted(["a.png", "a.jpg", "a.gif", "a.webp", "lossless.webp", "a.bmp", "a.tif", "lzw.tif", "a.ppm", "deep.png", "film.gif",
                "film.png", "film.webp", "ZIP", "PIZ", "NO", "a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.mp4", "a.webm"])  # fmt: skip


def of_kind(files, kind):
    return next(path for path in files if path.name == kind or f".{kind}_" in path.name)


def look_into(path):
    path = str(path)
    assert isinstance(media.probe(path), dict)
    assert isinstance(media.content_hash(path), str | None)
    assert isinstance(media.look(path), str | None)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_at_any_place(files, kind, tmp_path, capsys):
    data = of_kind(files, kind).read_bytes()
    whole = media.content_hash(str(of_kind(files, kind)))
    choose = random.Random(kind)
    path = tmp_path / "cut"
    for _ in range(50):
        path.write_bytes(data[: choose.randrange(len(data))])
        look_into(path)
        score = media.score(str(path), str(of_kind(files, kind)))
        # What was lost may be metadata alone; otherwise it is not the same.
        assert score != 1.0 or media.content_hash(str(path)) == whole
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore")  # pytest sets aside the filter that keeps Pillow quiet
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_at_any_place(files, kind, tmp_path, capsys):
    data = of_kind(files, kind).read_bytes()
    choose = random.Random(kind)
    path = tmp_path / "flipped"
    for turn in range(50):
        damaged = bytearray(data)
        for _ in range(1 + turn % 4):
            # Half of them in the headers, where the sizes are.
            damaged[choose.randrange(min(len(data), 200 if turn % 2 else len(data)))] = choose.randrange(256)
        path.write_bytes(damaged)
        look_into(path)
        assert isinstance(media.score(str(path), str(path)), float | None)
    assert capsys.readouterr().out == ""


def test_a_damaged_exr_has_no_hash(files, tmp_path):
    """OpenEXR's binding leaves out what it cannot read, without an error."""
    for kind in ("ZIP", "PIZ", "NO"):
        data = of_kind(files, kind).read_bytes()
        path = tmp_path / "cut.exr"
        path.write_bytes(data[: len(data) * 3 // 4])
        assert media.probe(str(path))["width"] == 90
        assert (media.content_hash(str(path)), media.look(str(path))) == (None, None)


def test_a_cut_picture_has_no_hash(files, tmp_path):
    for kind in ("a.png", "deep.png", "a.jpg", "a.webp", "a.bmp", "lzw.tif"):
        data = of_kind(files, kind).read_bytes()
        path = tmp_path / "cut"
        path.write_bytes(data[: len(data) // 2])
        assert media.content_hash(str(path)) is None, kind


# -- files that claim to be large --------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width, height, depth, colour, rows=None):
    """All black, and the whole of it there, in a thousandth of its size; `rows` says how much is there."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    stride = (width * depth * channels + 7) // 8 + 1
    compressor = zlib.compressobj(9)
    packed = b"".join(compressor.compress(bytes(stride)) for _ in range(height if rows is None else rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed + compressor.flush()) + chunk(b"IEND", b""))  # fmt: skip


def exr_bomb(width, height):
    attributes = [
        (b"channels", b"chlist", b"Y\0" + struct.pack("<iiii", 1, 0, 1, 1) + b"\0"), (b"compression", b"compression", b"\x03"),
        (b"dataWindow", b"box2i", struct.pack("<4i", 0, 0, width - 1, height - 1)),
        (b"displayWindow", b"box2i", struct.pack("<4i", 0, 0, width - 1, height - 1)), (b"lineOrder", b"lineOrder", b"\0"),
        (b"pixelAspectRatio", b"float", struct.pack("<f", 1)), (b"screenWindowCenter", b"v2f", bytes(8)),
        (b"screenWindowWidth", b"float", struct.pack("<f", 1)),
    ]  # fmt: skip
    fields = b"".join(name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value for name, kind, value in attributes)
    return struct.pack("<ii", 20000630, 2) + fields + b"\0" + bytes(4000)


BOMBS = {
    "one bit": lambda: png_bomb(30000, 30000, 1, 0),
    "16 bits": lambda: png_bomb(30000, 30000, 16, 2, rows=5),
    "a wide row": lambda: png_bomb(1 << 30, 1, 8, 6, rows=0),
    "gif": lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + bytes(4) + b"\xff" * 4 + bytes(20),
    "bmp": lambda: b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 60000, 60000, 1, 24, 0) + bytes(50),
    "exr": lambda: exr_bomb(100_000, 100_000),
    "exr, within the limit, cut": lambda: exr_bomb(8000, 8000),
    "ppm": lambda: b"P6 60000 60000 255\n" + bytes(50),
    "flac": lambda: b"fLaC\0\0\0\x22\x10\0\x10\0" + bytes(6) + ((48000 << 44) | (1 << 41) | (15 << 36) | (1 << 36) - 1).to_bytes(8, "big")
                    + bytes(200),
}  # fmt: skip

MEASURE = """
import resource, sys, time
from regen_vcs import media
import numpy, PIL.Image, OpenEXR, soundfile, regen_vcs.media.pictures
started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path = sys.argv[1]
assert (media.content_hash(path), media.look(path), media.score(path, path)) == (None, None, None)
media.probe(path)
print(time.monotonic() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured in KB of Linux")
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_cost_nothing(tmp_path, bomb):
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[bomb]())
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    seconds, grown = map(float, done.stdout.split())
    assert grown < 100, f"{grown} MiB"
    assert seconds < 2


def test_a_short_png16_within_the_limit_costs_only_what_is_there(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(png_bomb(8000, 8000, 16, 2, rows=5))
    measure = MEASURE.replace("(media.content_hash(path), media.look(path), media.score(path, path))", "(media.content_hash(path),) * 3")
    done = subprocess.run([sys.executable, "-c", measure, str(path)], capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[1]) < 100


def test_a_header_that_runs_in_circles_ends(tmp_path):
    """TIFF directories and boxes of size 0 that point at themselves."""
    path = tmp_path / "circle"
    circle = struct.pack("<HHHIII", 1, 256, 3, 1, 9, 8)
    for data in (b"II*\0" + struct.pack("<I", 8) + circle, b"\0\0\0\x10ftypisom" + bytes(4) + (b"\0\0\0\x08free" * 50000)):
        path.write_bytes(data)
        started = time.process_time()
        look_into(path)
        assert time.process_time() - started < 2


def test_a_file_that_shrinks_to_nothing(tmp_path):
    path = tmp_path / "empty.png"
    path.write_bytes(b"")
    look_into(path)
    assert media.score(str(path), os.devnull) is None
