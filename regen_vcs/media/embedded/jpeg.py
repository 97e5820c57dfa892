"""JPEG: EXIF, XMP and comment segments before the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.embedded import exif, xmp
from regen_vcs.media.embedded.texts import Text, decode, read_part

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_SEGMENTS = 4096
_APP1, _COMMENT, _SCAN, _END = 0xE1, 0xFE, 0xDA, 0xD9


def read(file: BinaryIO) -> Iterator[Text]:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        file.seek(at)
        mark = file.read(4)
        if len(mark) < 4 or mark[0] != 0xFF or mark[1] in (_SCAN, _END):
            return
        if mark[1] == 0xFF:  # padding
            at += 1
            continue
        size = int.from_bytes(mark[2:], "big")
        if mark[1] in (_APP1, _COMMENT) and size >= 2:
            yield from _segment(mark[1], read_part(file, size - 2))
        at += 2 + max(size, 2)


def _segment(kind: int, data: bytes) -> Iterator[Text]:
    if kind == _COMMENT:
        yield Text("comment", decode(data.rstrip(b"\0")), "JPEG comment")
    elif data.startswith(b"Exif\0\0"):
        yield from exif.texts_of(data, "JPEG EXIF")
    elif data.startswith(_XMP):
        yield from xmp.texts_of(data[len(_XMP) :], "JPEG XMP")
