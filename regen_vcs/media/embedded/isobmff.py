"""MP4 and QuickTime: the `meta` boxes of a film, with iTunes names or with keys of any name."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.embedded.texts import MAX_KEY, MAX_TEXT, Text, decode, read_part
from regen_vcs.media.reading import CannotDecode

_MAX_BOXES = 4096
_MAX_KEYS = 256
_ITUNES = {b"\xa9cmt": "comment", b"\xa9nam": "title", b"desc": "description", b"ldes": "description", b"\xa9too": "encoder"}
_TEXT_TYPES = (0, 1)  # "reserved" (what FFmpeg once wrote) and UTF-8

Span = tuple[int, int]


def read(file: BinaryIO) -> Iterator[Text]:
    """moov/meta and moov/udta/meta, and QuickTime's own moov/udta/©cmt."""
    film = _find(file, (0, os.fstat(file.fileno()).st_size), b"moov")
    if film is None:
        return
    for kind, span in _boxes(file, film):
        if kind == b"meta":
            yield from _meta(file, span)
        elif kind == b"udta":
            yield from _user_data(file, span)


def _boxes(file: BinaryIO, span: Span) -> Iterator[tuple[bytes, Span]]:
    """(kind, span of the content) of the boxes in a span; each is at least its own header, so this ends."""
    at, end = span
    for _ in range(_MAX_BOXES):
        if at + 8 > end:
            return
        file.seek(at)
        size, kind = struct.unpack(">I4s", read_part(file, 8))
        inner = at + 8
        if size == 1:
            size = struct.unpack(">Q", read_part(file, 8))[0]
            inner += 8
        elif size == 0:
            size = end - at
        if size < inner - at or at + size > end:
            return
        yield kind, (inner, at + size)
        at += size


def _find(file: BinaryIO, span: Span, kind: bytes) -> Span | None:
    return next((found for each, found in _boxes(file, span) if each == kind), None)


def _user_data(file: BinaryIO, span: Span) -> Iterator[Text]:
    for kind, inner in _boxes(file, span):
        if kind == b"meta":
            yield from _meta(file, inner)
        elif kind in _ITUNES and inner[1] - inner[0] > 4:
            file.seek(inner[0])
            data = read_part(file, inner[1] - inner[0])
            size = struct.unpack_from(">H", data)[0]
            yield Text(_ITUNES[kind], decode(data[4 : 4 + size]), "MP4 user data")


def _meta(file: BinaryIO, span: Span) -> Iterator[Text]:
    """Keys and their values. QuickTime's `meta` is a plain box; everybody else's has four bytes of version first."""
    inner = span if _find(file, span, b"hdlr") else (span[0] + 4, span[1])
    keys = list(_keys(file, _find(file, inner, b"keys")))
    values = _find(file, inner, b"ilst")
    if values is None:
        return
    for kind, item in _boxes(file, values):
        number = int.from_bytes(kind, "big")
        key = keys[number - 1] if 1 <= number <= len(keys) else _ITUNES.get(kind)
        text = _data(file, item) if key else None
        if text is not None:
            yield Text(key, text, "MP4 metadata")


def _keys(file: BinaryIO, span: Span | None) -> Iterator[str]:
    """The names that `ilst` refers to by number, from 1."""
    if span is None:
        return
    at, end = span[0] + 8, span[1]
    for _ in range(_MAX_KEYS):
        if at + 8 > end:
            return
        file.seek(at)
        size = struct.unpack(">I", read_part(file, 4))[0]
        if size < 8 or at + size > end:
            return
        file.seek(at + 8)
        yield decode(read_part(file, size - 8, MAX_KEY))
        at += size


def _data(file: BinaryIO, item: Span) -> str | None:
    found = _find(file, item, b"data")
    if found is None or found[1] - found[0] < 8:
        return None
    file.seek(found[0])
    kind = struct.unpack(">I", read_part(file, 4))[0] & 0xFFFFFF
    if kind not in _TEXT_TYPES:
        return None
    file.seek(found[0] + 8)
    try:
        return decode(read_part(file, found[1] - found[0] - 8, MAX_TEXT))
    except CannotDecode:
        return None  # too large; the others may be sound
