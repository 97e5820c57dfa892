"""What `media.probe` reads from headers: real files by Pillow, soundfile and OpenEXR, films box by box."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import OpenEXR
import pytest
import soundfile
from PIL import Image

from regen_vcs import media


def picture(width=40, height=24, mode="RGB"):
    return Image.effect_noise((width, height), 80).convert(mode)


@pytest.mark.parametrize(
    "name, mode, options, expected",
    [
        ("a.png", "RGB", {}, {"type": "image/png", "depth": 8}),
        ("a.png", "1", {}, {"type": "image/png", "depth": 1}),
        ("a.png", "P", {}, {"type": "image/png", "depth": 8}),
        ("a.jpg", "RGB", {}, {"type": "image/jpeg", "depth": 8}),
        ("a.jpg", "L", {"progressive": True, "exif": b"Exif\0\0" + bytes(60000)}, {"type": "image/jpeg", "depth": 8}),
        ("a.gif", "P", {}, {"type": "image/gif", "depth": 8}),
        ("a.webp", "RGB", {}, {"type": "image/webp", "depth": 8}),
        ("a.webp", "RGB", {"lossless": True}, {"type": "image/webp", "depth": 8}),
        ("a.webp", "RGBA", {"exif": b"Exif\0\0x"}, {"type": "image/webp", "depth": 8}),
        ("a.bmp", "RGB", {}, {"type": "image/bmp"}),
        ("a.tif", "RGB", {}, {"type": "image/tiff", "depth": 8}),
        ("a.tif", "L", {"compression": "tiff_lzw"}, {"type": "image/tiff", "depth": 8}),
        ("a.tif", "RGB", {"big_tiff": True}, {"type": "image/tiff", "depth": 8}),
        ("a.ppm", "RGB", {}, {"type": "image/x-portable-pixmap", "depth": 8}),
        ("a.pgm", "L", {}, {"type": "image/x-portable-graymap", "depth": 8}),
        ("a.jp2", "RGB", {}, {"type": "image/jp2", "depth": 8}),
        ("a.avif", "RGB", {}, {"type": "image/avif", "depth": 8}),
    ],
)
def test_pictures(tmp_path, name, mode, options, expected):
    path = tmp_path / name
    try:
        picture(mode=mode).save(path, **options)
    except (OSError, KeyError) as error:
        pytest.skip(f"this Pillow does not write it: {error}")
    # The name says nothing: objects in a store have none.
    path = path.rename(tmp_path / "object")
    assert media.probe(str(path)) == {**expected, "width": 40, "height": 24}


def test_tiff_of_the_other_byte_order(tmp_path):
    entries = [(256, 3, 40), (257, 3, 24), (258, 3, 16)]
    directory = b"".join(struct.pack(">HHIHH", tag, kind, 1, value, 0) for tag, kind, value in entries)
    (tmp_path / "b.tif").write_bytes(b"MM\0*" + struct.pack(">IH", 8, 3) + directory + bytes(4))
    assert media.probe(str(tmp_path / "b.tif")) == {"type": "image/tiff", "width": 40, "height": 24, "depth": 16}


def test_animated_png_has_frames(tmp_path):
    path = tmp_path / "a.png"
    picture().save(path, save_all=True, append_images=[picture(), picture()])
    assert media.probe(str(path))["frames"] == 3


def test_radiance(tmp_path):
    path = tmp_path / "a.hdr"
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 24 +X 40\n" + bytes(4 * 40 * 24))
    assert media.probe(str(path)) == {"type": "image/vnd.radiance", "width": 40, "height": 24}


@pytest.mark.parametrize("sample, depth", [(np.float16, 16), (np.float32, 32)])
def test_exr(tmp_path, sample, depth):
    path = str(tmp_path / "a.exr")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, "comments": "x" * 5000}
    OpenEXR.File(header, {"RGB": np.zeros((24, 40, 3), sample)}).write(path)
    assert media.probe(path) == {"type": "image/x-exr", "width": 40, "height": 24, "depth": depth}


@pytest.mark.parametrize("file_format, subtype, depth", [
    ("WAV", "PCM_16", 16), ("WAV", "PCM_24", 24), ("WAV", "FLOAT", 32), ("WAVEX", "PCM_16", 16), ("RF64", "PCM_16", 16),
    ("FLAC", "PCM_16", 16), ("FLAC", "PCM_24", 24), ("OGG", "VORBIS", None), ("MP3", "MPEG_LAYER_III", None),
    ("AIFF", "PCM_16", None), ("CAF", "PCM_16", None), ("AU", "PCM_16", None),
])  # fmt: skip
def test_sounds(tmp_path, file_format, subtype, depth):
    path = str(tmp_path / "object")
    soundfile.write(path, np.zeros((22050, 2)), 44100, format=file_format, subtype=subtype)
    found = media.probe(path)
    assert found.pop("depth", None) == depth
    assert found.pop("duration") == pytest.approx(0.5, abs=0.06)
    kind = {"WAVEX": "wav", "RF64": "wav", "MP3": "mpeg", "CAF": "x-caf", "AU": "basic"}.get(file_format, file_format.lower())
    assert found == {"type": f"audio/{kind}", "sample_rate": 44100, "channels": 2}


def test_wav_from_a_pipe_has_the_length_there_is(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(8000, dtype=np.int16), 8000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert media.probe(str(path))["duration"] == 1.0


# -- films -------------------------------------------------------------------------------------------------------


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", 8 + len(data)) + kind + data


def full(kind: bytes, *content: bytes) -> bytes:
    return box(kind, bytes(4), *content)


def movie() -> bytes:
    """48 frames of 640 × 360 at 24 a second, and stereo at 48 kHz."""
    header = full(b"mvhd", struct.pack(">IIII", 0, 0, 1000, 2000), bytes(80))
    film = box(
        b"trak",
        full(b"tkhd", bytes(72), struct.pack(">II", 640 << 16, 360 << 16)),
        box(b"mdia",
            full(b"mdhd", struct.pack(">IIII", 0, 0, 12288, 24576)),
            full(b"hdlr", bytes(4), b"vide", bytes(12)),
            box(b"minf", box(b"stbl", full(b"stsz", struct.pack(">II", 0, 48), bytes(48 * 4))))),
    )  # fmt: skip
    entry = box(b"mp4a", bytes(16), struct.pack(">HHHHI", 2, 16, 0, 0, 48000 << 16))
    sound = box(
        b"trak",
        full(b"tkhd", bytes(80)),
        box(b"mdia", full(b"hdlr", bytes(4), b"soun", bytes(12)),
            box(b"minf", box(b"stbl", full(b"stsd", struct.pack(">I", 1), entry)))),
    )  # fmt: skip
    return box(b"moov", header, film, sound)


FILM = {"width": 640, "height": 360, "frames": 48, "fps": 24.0, "duration": 2.0, "channels": 2, "sample_rate": 48000}


@pytest.mark.parametrize("brand, media_type", [(b"isom", "video/mp4"), (b"qt  ", "video/quicktime")])
def test_iso_film_whose_index_is_at_the_end(tmp_path, brand, media_type):
    path = tmp_path / "object"
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 5000) + bytes(5000)  # a box with a size of 64 bits
    path.write_bytes(box(b"ftyp", brand, bytes(8)) + large + movie())
    assert media.probe(str(path)) == {"type": media_type, **FILM}


def test_iso_film_cut_before_its_index_is_still_a_film(tmp_path):
    path = tmp_path / "object"
    path.write_bytes(box(b"ftyp", b"isom", bytes(8)) + struct.pack(">I4s", 90000, b"mdat") + bytes(100))
    assert media.probe(str(path)) == {"type": "video/mp4"}


def ebml(name: int, content: bytes) -> bytes:
    """With a size of eight bytes, as streaming writers do."""
    encoded = name.to_bytes((name.bit_length() + 7) // 8, "big")
    return encoded + (1 << 56 | len(content)).to_bytes(8, "big") + content


def test_webm(tmp_path):
    path = tmp_path / "object"
    info = ebml(0x1549A966, ebml(0x2AD7B1, (1_000_000).to_bytes(3, "big")) + ebml(0x4489, struct.pack(">d", 1500.0)))
    film = ebml(0xE0, ebml(0xB0, (640).to_bytes(2, "big")) + ebml(0xBA, (360).to_bytes(2, "big")))
    sound = ebml(0xE1, ebml(0xB5, struct.pack(">f", 48000.0)) + ebml(0x9F, b"\x02"))
    tracks = ebml(0x1654AE6B, ebml(0xAE, ebml(0x23E383, (40_000_000).to_bytes(4, "big")) + film) + ebml(0xAE, sound))
    void = ebml(0xEC, bytes(3000))
    cluster = ebml(0x1F43B675, bytes(100))
    path.write_bytes(ebml(0x1A45DFA3, ebml(0x4282, b"webm")) + ebml(0x18538067, void + info + tracks + cluster))
    assert media.probe(str(path)) == {"type": "video/webm", "width": 640, "height": 360, "duration": 1.5, "fps": 25.0,
                                      "sample_rate": 48000, "channels": 2}  # fmt: skip


def test_films_by_ffmpeg_are_read_as_ffmpeg_reads_them(tmp_path):
    av = pytest.importorskip("av", reason="the extra `video` is not installed")
    for suffix, codec in (("mp4", "mpeg4"), ("mov", "mpeg4"), ("mkv", "mpeg4"), ("webm", "libvpx-vp9"), ("avi", "mpeg4")):
        path = str(tmp_path / f"a.{suffix}")
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for index in range(25):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 9, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        found = media.probe(path)
        assert (found["width"], found["height"], found["fps"], found["duration"]) == (64, 48, 25.0, 1.0)


# -- others ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data, expected", [
    (b"BLENDER-v402RENDH" + bytes(50), {"type": "application/x-blender"}),
    (b"glTF\x02\0\0\0" + bytes(50), {"type": "model/gltf-binary"}),
    (b"", {}), (b"{}", {}), (b"\x89PNG", {}), (b"RIFF\0\0\0\0WAVE", {"type": "audio/wav"}), (b"P3 a b", {}),
    (b"\xff\xfeh\0e\0l\0l\0o\0" * 20, {}), (b"\xff\xfb\x90\x64" + b"text" * 30, {}), (bytes(4096), {}), (b"PNG\n" * 99, {}),
])  # fmt: skip
def test_other_files(tmp_path, data, expected):
    path = tmp_path / "object"
    path.write_bytes(data)
    assert media.probe(str(path)) == expected


def test_compressed_blend(tmp_path):
    path = tmp_path / "object"
    compressor = zlib.compressobj(wbits=31)
    path.write_bytes(compressor.compress(b"BLENDER-v279RENDH" + os.urandom(500)) + compressor.flush())
    assert media.probe(str(path)) == {"type": "application/x-blender"}


def test_what_is_no_regular_file_is_unknown(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    picture().save(tmp_path / "a.png")
    (tmp_path / "link").symlink_to("a.png")
    for name in ("pipe", "link", "missing", "."):
        path = str(tmp_path / name)
        assert (media.probe(path), media.content_hash(path), media.look(path), media.score(path, path)) == ({}, None, None, None)


def test_the_answer_is_json_of_plain_values(tmp_path):
    path = str(tmp_path / "a.flac")
    soundfile.write(path, np.zeros(7), 44100)
    found = media.probe(path)
    assert {type(value) for value in found.values()} <= {str, int, float}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_importing_media_loads_nothing_heavy():
    code = (
        "import sys, regen_vcs.media\n"
        "print([name for name in ('numpy', 'PIL', 'OpenEXR', 'soundfile', 'av', 'struct', 'regen_vcs.media.headers')"
        " if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert out.stdout.strip() == "[]"


def test_probe_of_pictures_and_films_loads_no_decoder(tmp_path):
    path = str(tmp_path / "a.png")
    picture().save(path)
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\nfrom regen_vcs import media\nassert media.probe({path!r})\n"
        "print([name for name in ('numpy', 'PIL', 'OpenEXR', 'soundfile') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
