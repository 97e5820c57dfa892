"""One embedded text, and how much of them is taken."""

from __future__ import annotations

import zlib
from collections import namedtuple
from typing import BinaryIO

from regen_vcs.media.reading import CannotDecode, read_exactly

# Of one text: workflows of a thousand nodes are some 2 MB. Of all of a file together; and how many.
MAX_TEXT = 16 << 20
_MAX_TOTAL = 32 << 20
_MAX_TEXTS = 256
MAX_KEY = 1024
MAX_STEPS = 1 << 16  # chunks, boxes or elements walked in one file


class Text(namedtuple("_Text", ("key", "text", "where"))):
    """key: as the file has it ("parameters"); where: the place, as people say it ("PNG tEXt")."""

    __slots__ = ()


class Collector:
    """Texts up to the limits of a file."""

    def __init__(self) -> None:
        self.texts: list[Text] = []
        self._size = 0

    def add(self, text: Text) -> bool:
        """Take one; False once no more will be taken."""
        self._size += len(text.text)
        if self._size > _MAX_TOTAL or len(self.texts) >= _MAX_TEXTS:
            return False
        self.texts.append(text)
        return True


def read_part(file: BinaryIO, size: int, limit: int = MAX_TEXT) -> bytes:
    """`size` bytes; CannotDecode where that is more than anybody needs or than there are."""
    if size < 0 or size > limit:
        raise CannotDecode(f"a part of {size:,} bytes")
    return read_exactly(file, size)


def inflate(data: bytes, limit: int = MAX_TEXT) -> bytes:
    """What zlib packed; CannotDecode where it comes to more than `limit` (a bomb) or ends early."""
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, limit)
    if not unpacker.eof:
        raise CannotDecode("packed text that is too large, or cut off")
    return unpacked


def decode(data: bytes) -> str:
    """Text in UTF-8, else in Latin-1, which any bytes are."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
