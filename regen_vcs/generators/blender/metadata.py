"""Takes what Cycles notes of its own run (render times, samples) out of a picture's file.

Blender writes it whatever the scene's metadata settings say. Left in, no two renders of a frame had the same bytes.
The pixels are not touched. Only the forms that Blender itself writes are understood; any other file stays as it is.
"""

from __future__ import annotations

import os
import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_EXR = b"\x76\x2f\x31\x01"
_EXR_MULTI_PART = 0x1000
_EXR_LINES = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)  # in a block, by compression
_PREFIX = b"cycles."
_COMMENT = b"Blender:cycles."


def strip_run_notes(path: str) -> None:
    """Rewrite a picture without the notes, in place."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        bare = _stripped(data)
    except (struct.error, IndexError, ValueError):
        return  # not what Blender writes
    if bare is not data:
        temp = path + ".bare"
        with open(temp, "wb") as file:
            file.write(bare)
        os.replace(temp, path)


def _stripped(data: bytes) -> bytes:
    if data.startswith(_PNG):
        return _strip_png(data)
    if data.startswith(b"\xff\xd8"):
        return _strip_jpeg(data)
    return _strip_exr(data) if data.startswith(_EXR) else data


def _strip_png(data: bytes) -> bytes:
    kept, at = [data[:8]], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if not (data[at + 4 : at + 8] in (b"tEXt", b"zTXt", b"iTXt") and data.startswith(_PREFIX, at + 8)):
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _strip_jpeg(data: bytes) -> bytes:
    kept, at = [data[:2]], 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:  # until the scan begins
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if not (data[at + 1] == 0xFE and data.startswith(_COMMENT, at + 4)):
            kept.append(data[at:end])
        at = end
    return b"".join((*kept, data[at:]))


def _strip_exr(data: bytes) -> bytes:
    """The headers get shorter, so every offset in the tables behind them does."""
    (version,) = struct.unpack_from("<I", data, 4)
    several = bool(version & _EXR_MULTI_PART)
    kept, at, chunks = [data[:8]], 8, 0
    while True:
        at, attributes = _read_header(data, at)
        kept += [raw for name, raw in attributes if not name.startswith(_PREFIX)] + [b"\0"]
        chunks += _chunks_of({name: raw for name, raw in attributes})
        if not several or data[at] == 0:
            break
    if several:
        kept.append(b"\0")
        at += 1
    gone = at - sum(map(len, kept))
    if not gone:
        return data
    offsets = struct.unpack_from(f"<{chunks}Q", data, at)
    table = struct.pack(f"<{chunks}Q", *(offset - gone for offset in offsets))
    return b"".join((*kept, table, data[at + 8 * chunks :]))


def _read_header(data: bytes, at: int) -> tuple[int, list[tuple[bytes, bytes]]]:
    """(where it ends, [(name, the attribute as it stands)]) of one part."""
    attributes = []
    while data[at] != 0:
        name_end = data.index(b"\0", at)
        kind_end = data.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        end = kind_end + 5 + size
        if size < 0 or end >= len(data):
            raise ValueError("an attribute that leaves the file")
        attributes.append((data[at:name_end], data[at:end]))
        at = end
    return at + 1, attributes


def _chunks_of(attributes: dict[bytes, bytes]) -> int:
    """How many blocks of lines a part has: as many offsets stand in its table."""
    if b"chunkCount" in attributes:
        return struct.unpack("<i", attributes[b"chunkCount"][-4:])[0]
    if b"tiles" in attributes:
        raise ValueError("tiles, which Blender does not write")
    _, top, _, bottom = struct.unpack("<4i", attributes[b"dataWindow"][-16:])
    return -(-(bottom - top + 1) // _EXR_LINES[attributes[b"compression"][-1]])
