"""EXIF: the tags of a TIFF structure in which programs leave text."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.embedded.texts import MAX_TEXT, Text, decode
from regen_vcs.media.reading import CannotDecode

_EXIF_FOLDER = 0x8769
_USER_COMMENT = 0x9286
_NAMES = {
    0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x013B: "Artist",
    _USER_COMMENT: "UserComment", 0x9C9B: "XPTitle", 0x9C9C: "XPComment", 0x9C9E: "XPKeywords", 0x9C9F: "XPSubject",
}  # fmt: skip
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}  # of one value, by type; others hold no text and no folder
_MAX_ENTRIES = 512


def texts_of(data: bytes, where: str) -> Iterator[Text]:
    """The texts of an EXIF block, with or without its `Exif\\0\\0` in front."""
    if data.startswith(b"Exif\0\0"):
        data = data[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return
    yield from _folder(data, order, struct.unpack_from(order + "I", data, 4)[0], where, depth=0)


def read_tiff(file: BinaryIO) -> Iterator[Text]:
    """A TIFF's own tags; one over 16 MiB is passed over."""
    size = os.fstat(file.fileno()).st_size
    if size > MAX_TEXT:
        return
    yield from texts_of(file.read(MAX_TEXT), "TIFF")


def _folder(data: bytes, order: str, at: int, where: str, depth: int) -> Iterator[Text]:
    """One IFD. Its EXIF part is entered once: a loop of folders ends there."""
    count = struct.unpack_from(order + "H", data, at)[0]
    for number in range(min(count, _MAX_ENTRIES)):
        tag, kind, values = struct.unpack_from(order + "HHI", data, at + 2 + 12 * number)
        entry = at + 2 + 12 * number + 8
        if tag == _EXIF_FOLDER and depth == 0 and kind == 4:
            yield from _folder(data, order, struct.unpack_from(order + "I", data, entry)[0], where, depth=1)
        elif tag in _NAMES and kind in _SIZES:
            raw = _value(data, order, entry, values * _SIZES[kind])
            text = _text(tag, raw, order)
            if text:
                yield Text(_NAMES[tag], text, f"{where} {_NAMES[tag]}")


def _value(data: bytes, order: str, entry: int, size: int) -> bytes:
    if size <= 4:
        return data[entry : entry + size]
    at = struct.unpack_from(order + "I", data, entry)[0]
    if size > MAX_TEXT or at + size > len(data):
        raise CannotDecode(f"an EXIF value of {size:,} bytes")
    return data[at : at + size]


def _text(tag: int, raw: bytes, order: str) -> str:
    if tag == _USER_COMMENT:
        return _comment(raw, order)
    if 0x9C9B <= tag <= 0x9C9F:  # Windows' own: always UTF-16, little-endian
        return raw.decode("utf-16-le", "replace").rstrip("\0")
    return decode(raw.rstrip(b"\0"))


def _comment(raw: bytes, order: str) -> str:
    """A UserComment: eight bytes name its character set, and UTF-16's byte order is nowhere agreed upon."""
    charset, text = raw[:8], raw[8:]
    if charset == b"UNICODE\0":
        return _utf16(text, order)
    if charset in (b"ASCII\0\0\0", b"\0" * 8):
        return decode(text.rstrip(b"\0"))
    if charset == b"JIS\0\0\0\0\0":
        return text.decode("iso2022_jp", "replace").rstrip("\0")
    return decode(raw.rstrip(b"\0"))


def _utf16(text: bytes, order: str) -> str:
    """By its mark, else the order in which more characters are plain letters, else the file's."""
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return text.decode("utf-16", "replace").rstrip("\0")
    even, odd = text[0::2].count(0), text[1::2].count(0)
    if even != odd:
        name = "utf-16-be" if even > odd else "utf-16-le"
    else:
        name = "utf-16-le" if order == "<" else "utf-16-be"
    return text[: len(text) & ~1].decode(name, "replace").rstrip("\0")
