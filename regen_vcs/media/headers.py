"""Type and size of a media file from its headers, told by its first bytes. Nothing is decoded."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media import exr_header, film_header
from regen_vcs.media.reading import CannotDecode, open_media, read_exactly

_HEAD = 64  # bytes: enough to know any type
_MAX_PARTS = 512  # chunks, markers or tags walked before giving up
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_header(path_abs: str) -> dict:
    """See `regen_vcs.media.probe`; raises for files that are damaged in their headers."""
    with open_media(path_abs) as file:
        return header_of(file)


def header_of(file: BinaryIO) -> dict:
    """The same of an open file, whose position is at the start again afterwards."""
    head = file.read(_HEAD)
    found = next((reader for knows, reader in _READERS if knows(head)), None)
    if found is None:
        return {}
    fields = found(file, head)
    file.seek(0)
    return {name: value for name, value in fields.items() if _says_something(value)}


def _says_something(value) -> bool:
    """No zero sizes, no NaN: a field says something or is left out."""
    return bool(value) and (isinstance(value, str) or (math.isfinite(value) and value > 0))


# -- pictures ----------------------------------------------------------------------------------------------------


def _png(file: BinaryIO, head: bytes) -> dict:
    width, height, depth = struct.unpack_from(">IIB", head, 16)
    fields = {"type": "image/png", "width": width, "height": height, "depth": depth}
    for kind, size in _png_chunks(file):
        if kind == b"acTL" and size >= 8:
            frames = struct.unpack(">I", read_exactly(file, 4))[0]
            return fields | ({"frames": frames} if frames > 1 else {})
    return fields


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(kind, size) of the chunks before the pixels; the file stands at each one's data."""
    at = len(_PNG_SIGNATURE)
    for _ in range(_MAX_PARTS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            return
        size = int.from_bytes(head[:4], "big")
        yield head[4:], size
        at += 12 + size


# Start-of-frame markers, without DHT (C4), JPG (C8) and DAC (CC), which lie among them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(file: BinaryIO, head: bytes) -> dict:
    at = 2
    for _ in range(_MAX_PARTS):
        file.seek(at)
        mark = read_exactly(file, 4)
        if mark[0] != 0xFF:
            break
        if mark[1] == 0xFF:  # padding
            at += 1
        elif mark[1] in _JPEG_FRAMES:
            depth, height, width = struct.unpack(">BHH", read_exactly(file, 5))
            return {"type": "image/jpeg", "width": width, "height": height, "depth": depth}
        elif mark[1] in (0xD9, 0xDA):
            break
        else:
            at += 2 + int.from_bytes(mark[2:], "big")
    raise CannotDecode("a JPEG without a frame header")


def _gif(file: BinaryIO, head: bytes) -> dict:
    width, height = struct.unpack_from("<HH", head, 6)
    return {"type": "image/gif", "width": width, "height": height, "depth": 8}


def _webp(file: BinaryIO, head: bytes) -> dict:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    else:
        raise CannotDecode("a WebP without pictures")
    return {"type": "image/webp", "width": width, "height": height, "depth": 8}


def _bmp(file: BinaryIO, head: bytes) -> dict:
    header_size = struct.unpack_from("<I", head, 14)[0]
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", head, 18)
    return {"type": "image/bmp", "width": width, "height": abs(height)}  # a negative height: stored from the top


_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS = 256, 257, 258
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


def _tiff(file: BinaryIO, head: bytes) -> dict:
    order = "<" if head[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", head, 2)[0] == 43:  # BigTIFF: 8 bytes wherever the classic one has 4
        at, count_format, entry, value_at, inline = struct.unpack_from(order + "Q", head, 8)[0], "Q", 20, 12, 8
    else:
        at, count_format, entry, value_at, inline = struct.unpack_from(order + "I", head, 4)[0], "H", 12, 8, 4
    file.seek(at)
    count = struct.unpack(order + count_format, read_exactly(file, struct.calcsize(count_format)))[0]
    directory = read_exactly(file, min(count, _MAX_PARTS) * entry)
    found = {}
    for start in range(0, len(directory), entry):
        tag, kind = struct.unpack_from(order + "HH", directory, start)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS) and kind in _TIFF_INTEGERS:
            form = order + _TIFF_INTEGERS[kind]
            values = struct.unpack_from(order + ("Q" if inline == 8 else "I"), directory, start + 4)[0]
            data, offset = directory, start + value_at
            if values * struct.calcsize(form) > inline:  # one a sample, elsewhere in the file: the first will do
                file.seek(struct.unpack_from(order + ("Q" if inline == 8 else "I"), directory, offset)[0])
                data, offset = read_exactly(file, struct.calcsize(form)), 0
            found[tag] = struct.unpack_from(form, data, offset)[0]
    return {"type": "image/tiff", "width": found[_TIFF_WIDTH], "height": found[_TIFF_HEIGHT],
            "depth": found.get(_TIFF_BITS, 1)}  # fmt: skip


def _exr(file: BinaryIO, head: bytes) -> dict:
    part = exr_header.read_parts(file)[0]
    return {"type": "image/x-exr", "width": part.width, "height": part.height, "depth": part.depth}


_PNM_TYPES = {b"1": "bitmap", b"4": "bitmap", b"2": "graymap", b"5": "graymap", b"3": "pixmap", b"6": "pixmap"}


def _pnm(file: BinaryIO, head: bytes) -> dict:
    file.seek(2)
    lines = [line.split(b"#", 1)[0] for line in file.read(4096).splitlines()[:64]]
    numbers = [int(word) for word in b" ".join(lines).split()[:3] if word.isdigit()]
    kind = _PNM_TYPES[head[1:2]]
    top = 1 if kind == "bitmap" else numbers[2]
    return {"type": f"image/x-portable-{kind}", "width": numbers[0], "height": numbers[1], "depth": top.bit_length()}


def _radiance(file: BinaryIO, head: bytes) -> dict:
    file.seek(0)
    text = file.read(4096)
    words = text[text.index(b"\n\n") + 2 :].split(b"\n", 1)[0].split()  # -Y 1080 +X 1920
    return {"type": "image/vnd.radiance", "width": int(words[3]), "height": int(words[1])}


def _jpeg2000(file: BinaryIO, head: bytes) -> dict:
    file.seek(0)
    start = file.read(4096)
    at = start.index(b"ihdr") + 4
    height, width, _, bits = struct.unpack_from(">IIHB", start, at)
    return {"type": "image/jp2", "width": width, "height": height, "depth": (bits & 0x7F) + 1}


# -- sound -------------------------------------------------------------------------------------------------------


def _wav(file: BinaryIO, head: bytes) -> dict:
    fields: dict = {"type": "audio/wav"}
    block = long_size = 0
    size_on_disk = os.fstat(file.fileno()).st_size
    at = 12
    for _ in range(_MAX_PARTS):
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"ds64":  # RF64: sizes over 4 GiB
            long_size = struct.unpack("<8xQ", read_exactly(file, 16))[0]
        elif chunk[:4] == b"fmt ":
            _, channels, rate, _, block, depth = struct.unpack("<HHIIHH", read_exactly(file, 16))
            fields |= {"channels": channels, "sample_rate": rate, "depth": depth}
        elif chunk[:4] == b"data":
            if size == 0xFFFFFFFF:  # said elsewhere, or written to a pipe: to the end
                size = long_size or size_on_disk - at - 8
            if block and fields["sample_rate"]:
                there = min(size, size_on_disk - at - 8)
                fields["duration"] = _seconds(there // block, fields["sample_rate"])
            break
        at += 8 + size + (size & 1)
    return fields


def _flac(file: BinaryIO, head: bytes) -> dict:
    # 20 bits of rate, 3 of channels - 1, 5 of depth - 1, 36 of samples; 10 bytes into STREAMINFO.
    packed = int.from_bytes(head[18:26], "big")
    rate, frames = packed >> 44, packed & (1 << 36) - 1
    return {"type": "audio/flac", "sample_rate": rate, "channels": (packed >> 41 & 7) + 1,
            "depth": (packed >> 36 & 31) + 1, "duration": _seconds(frames, rate)}  # fmt: skip


def _decoded_sound(media_type: str):
    """For containers in which the length is not at the start: libsndfile knows where to look."""

    def read(file: BinaryIO, head: bytes) -> dict:
        from regen_vcs.media.sounds import open_sound

        with open_sound(file) as sound:
            return {"type": media_type, "sample_rate": sound.samplerate, "channels": sound.channels,
                    "duration": _seconds(sound.frames, sound.samplerate)}  # fmt: skip

    return read


def _seconds(frames: int, rate: int) -> float:
    """0 where the file does not say: some decoders answer with the largest number there is."""
    return round(frames / rate, 6) if rate and frames < 1 << 53 else 0.0


# -- the rest ----------------------------------------------------------------------------------------------------


def _only(media_type: str):
    return lambda file, head: {"type": media_type}


def _is_gzipped_blend(head: bytes) -> bool:
    if not head.startswith(b"\x1f\x8b"):
        return False
    try:
        return zlib.decompressobj(31).decompress(head, 7) == b"BLENDER"
    except zlib.error:
        return False


def _is_mp3(head: bytes) -> bool:
    """An ID3 tag, or the sync of an MPEG layer III frame whose bit rate and sample rate exist."""
    if head.startswith(b"ID3"):
        return True
    return len(head) > 3 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] & 0xF0 != 0xF0 and head[2] & 12 != 12


def _starts(*prefixes: bytes):
    return lambda head: head.startswith(prefixes)


def _contains(at: int, *words: bytes):
    return lambda head: head[at:].startswith(words)


# The first that knows the head reads the rest.
_READERS = (
    (_starts(_PNG_SIGNATURE + b"\0\0\0\rIHDR"), _png),
    (_starts(b"\xff\xd8\xff"), _jpeg),
    (_starts(exr_header.MAGIC), _exr),
    (lambda head: head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE", _wav),
    (_starts(b"fLaC"), _flac),
    (_starts(b"GIF87a", b"GIF89a"), _gif),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp),
    (_starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    (lambda head: head[:2] == b"BM" and head[14:18] in (b"\x0c\0\0\0", b"(\0\0\0", b"8\0\0\0", b"l\0\0\0", b"|\0\0\0"), _bmp),
    (_contains(4, b"ftyp"), film_header.read_iso),
    (_starts(b"\x1aE\xdf\xa3"), film_header.read_matroska),
    (_starts(b"OggS"), _decoded_sound("audio/ogg")),
    (_is_mp3, _decoded_sound("audio/mpeg")),
    (lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"), _decoded_sound("audio/aiff")),
    (_starts(b"caff"), _decoded_sound("audio/x-caf")),
    (_starts(b".snd"), _decoded_sound("audio/basic")),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", film_header.read_other("video/x-msvideo")),
    (_starts(b"\0\0\0\x0cjP  "), _jpeg2000),
    (_starts(b"#?RADIANCE\n", b"#?RGBE\n"), _radiance),
    (lambda head: head[:1] == b"P" and head[1:2] in _PNM_TYPES and head[2:3].isspace(), _pnm),
    (_starts(b"BLENDER"), _only("application/x-blender")),
    (_is_gzipped_blend, _only("application/x-blender")),
    (_starts(b"glTF"), _only("model/gltf-binary")),
)
