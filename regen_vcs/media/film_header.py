"""Size and length of film containers: MP4 and QuickTime boxes, Matroska and WebM elements."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.reading import CannotDecode, read_exactly

_MAX_STEPS = 4096  # boxes or elements looked at in one file
_MAX_LEAF = 64 << 10

_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
_PICTURE_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic",
                   b"mif1": "image/heif", b"msf1": "image/heif"}  # fmt: skip


def read_iso(file: BinaryIO, head: bytes) -> dict:
    """ISO base media: MP4, QuickTime, M4A, AVIF, HEIF."""
    brand = head[8:12]
    if brand in _PICTURE_BRANDS:
        return _picture(file, brand)
    if brand in _AUDIO_BRANDS:
        media_type = "audio/mp4"
    else:
        media_type = "video/quicktime" if brand == b"qt  " else "video/mp4"
    return _completed(file, {"type": media_type, **_movie_or_nothing(file)})


def _picture(file: BinaryIO, brand: bytes) -> dict:
    """The largest `ispe`: a grid of tiles or a thumbnail has its own beside the picture's."""
    file.seek(0)
    start = file.read(16 << 10)
    sizes = []
    at = start.find(b"ispe")
    while at >= 0 and at + 16 <= len(start):
        sizes.append(struct.unpack_from(">II", start, at + 8))
        at = start.find(b"ispe", at + 4)
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    configuration = start.find(b"av1C")
    depth = 0  # not known
    if configuration >= 0:
        bits = start[configuration + 6]
        depth = (12 if bits & 0x20 else 10) if bits & 0x40 else 8
    animated = b"avis" in start[:64]
    return {"type": _PICTURE_BRANDS[brand], "width": width, "height": height, "depth": depth} | (
        {"frames": _movie_or_nothing(file).get("frames", 0)} if animated else {}
    )


def _movie_or_nothing(file: BinaryIO) -> dict:
    """Its type is true where the start of a file is there and its index is not."""
    try:
        return _movie(file)
    except (struct.error, ValueError, OSError, CannotDecode):
        return {}


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of the content, end) of the boxes between two offsets."""
    at = start
    for _ in range(_MAX_STEPS):
        if at + 8 > end:
            return
        file.seek(at)
        size, kind = struct.unpack(">I4s", read_exactly(file, 8))
        inner = at + 8
        if size == 1:
            size = struct.unpack(">Q", read_exactly(file, 8))[0]
            inner += 8
        elif size == 0:
            size = end - at
        if size < inner - at:
            return
        yield kind, inner, min(at + size, end)
        at += size


def _find(file: BinaryIO, start: int, end: int, *path: bytes) -> tuple[int, int] | None:
    for kind, inner, stop in _boxes(file, start, end):
        if kind == path[0]:
            return (inner, stop) if len(path) == 1 else _find(file, inner, stop, *path[1:])
    return None


def _leaf(file: BinaryIO, start: int, end: int, *path: bytes) -> bytes:
    found = _find(file, start, end, *path)
    if found is None:
        return b""
    file.seek(found[0])
    return file.read(min(found[1] - found[0], _MAX_LEAF))


def _movie(file: BinaryIO) -> dict:
    size = os.fstat(file.fileno()).st_size
    movie = _find(file, 0, size, b"moov")
    if movie is None:
        return {}
    fields: dict = {}
    scale, length = _scale_and_length(_leaf(file, *movie, b"mvhd"))
    if scale and length:
        fields["duration"] = round(length / scale, 6)
    for kind, start, end in list(_boxes(file, *movie)):
        if kind == b"trak":
            for name, value in _track(file, start, end).items():
                fields.setdefault(name, value)
    return fields


def _scale_and_length(header: bytes) -> tuple[int, int]:
    """Ticks a second and ticks, of an mvhd or mdhd."""
    if len(header) < 20:
        return 0, 0
    scale, length = struct.unpack_from(">IQ", header, 20) if header[0] == 1 else struct.unpack_from(">II", header, 12)
    unknown = (1 << 64) - 1 if header[0] == 1 else (1 << 32) - 1
    return scale, 0 if length == unknown else length


def _track(file: BinaryIO, start: int, end: int) -> dict:
    kind = _leaf(file, start, end, b"mdia", b"hdlr")[8:12]
    if kind in (b"vide", b"pict"):
        return _video_track(file, start, end)
    if kind == b"soun":
        entry = _leaf(file, start, end, b"mdia", b"minf", b"stbl", b"stsd")
        channels, rate = struct.unpack_from(">H6xI", entry, 32)
        return {"channels": channels, "sample_rate": rate >> 16}
    return {}


def _video_track(file: BinaryIO, start: int, end: int) -> dict:
    shown = _leaf(file, start, end, b"tkhd")
    width, height = (value >> 16 for value in struct.unpack(">II", shown[-8:]))
    fields = {"width": width, "height": height}
    sizes = _leaf(file, start, end, b"mdia", b"minf", b"stbl", b"stsz")
    frames = struct.unpack_from(">I", sizes, 8)[0] if len(sizes) >= 12 else 0
    scale, length = _scale_and_length(_leaf(file, start, end, b"mdia", b"mdhd"))
    if frames:
        fields["frames"] = frames
        if scale and length:
            fields["fps"] = round(frames * scale / length, 6)
    return fields


# -- Matroska ----------------------------------------------------------------------------------------------------

_SEGMENT, _INFO, _TRACKS, _ENTRY, _VIDEO, _AUDIO = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xE1
_TICK, _LENGTH, _FRAME_TIME = 0x2AD7B1, 0x4489, 0x23E383
_WIDTH, _HEIGHT, _RATE, _CHANNELS, _DOC_TYPE, _CLUSTER = 0xB0, 0xBA, 0xB5, 0x9F, 0x4282, 0x1F43B675
_CONTAINERS = frozenset({0x1A45DFA3, _SEGMENT, _INFO, _TRACKS, _ENTRY, _VIDEO, _AUDIO})
_LEAVES = frozenset({_TICK, _LENGTH, _FRAME_TIME, _WIDTH, _HEIGHT, _RATE, _CHANNELS, _DOC_TYPE})


def read_matroska(file: BinaryIO, head: bytes) -> dict:
    found: dict[int, bytes] = {}
    try:
        for name, value in _elements(file, os.fstat(file.fileno()).st_size):
            found.setdefault(name, value)
    except (struct.error, ValueError, OSError, IndexError, CannotDecode):
        pass  # what was read until then is true all the same
    has_film = _WIDTH in found
    webm = found.get(_DOC_TYPE, b"").rstrip(b"\0") == b"webm"
    media_type = ("video/" if has_film or not found.get(_RATE) else "audio/") + ("webm" if webm else "x-matroska")
    fields = {"type": media_type, "width": _number(found.get(_WIDTH)), "height": _number(found.get(_HEIGHT)),
              "channels": _number(found.get(_CHANNELS)), "sample_rate": int(_real(found.get(_RATE)))}  # fmt: skip
    ticks = _real(found.get(_LENGTH)) * (_number(found.get(_TICK)) or 1_000_000)
    fields["duration"] = round(ticks / 1e9, 6)
    if frame_time := _number(found.get(_FRAME_TIME)) if has_film else 0:
        fields["fps"] = round(1e9 / frame_time, 6)
    return _completed(file, fields)


def _elements(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Leaves of interest, in the order of the file: containers are entered, everything else is stepped over."""
    at = 0
    for _ in range(_MAX_STEPS):
        if at >= size:
            return
        file.seek(at)
        start = file.read(12)
        name, used = _variable(start, 0, keep_mark=True)
        length, end = _variable(start, used, keep_mark=False)
        if name == _CLUSTER:
            return  # the pictures; everything said about them stands before
        at += end
        if name in _LEAVES:
            file.seek(at)
            yield name, read_exactly(file, min(length, 64))
        if name not in _CONTAINERS:
            at += length


def _variable(data: bytes, at: int, *, keep_mark: bool) -> tuple[int, int]:
    """An EBML number and where it ends: the zero bits before the first one tell how long it is."""
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise ValueError("not an EBML number")
    value = int.from_bytes(data[at : at + length], "big")
    return (value if keep_mark else value & (1 << 7 * length) - 1), at + length


def _number(data: bytes | None) -> int:
    return int.from_bytes(data, "big") if data else 0


def _real(data: bytes | None) -> float:
    return struct.unpack(">f" if len(data) == 4 else ">d", data)[0] if data else 0.0


# -- others ------------------------------------------------------------------------------------------------------


def read_other(media_type: str):
    """Containers that only FFmpeg reads."""
    return lambda file, head: _completed(file, {"type": media_type})


def _completed(file: BinaryIO, fields: dict) -> dict:
    """Where no length is in the header (fragments, other containers): PyAV's word, if it is installed."""
    if fields.get("duration"):
        return fields
    try:
        from regen_vcs.media.film import read_film
    except ImportError:
        return fields
    return read_film(file) | {name: value for name, value in fields.items() if value}
