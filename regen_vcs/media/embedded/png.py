"""PNG: tEXt, zTXt and iTXt chunks, wherever they stand, and eXIf."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.embedded import exif
from regen_vcs.media.embedded.texts import MAX_KEY, MAX_STEPS, MAX_TEXT, Text, decode, inflate, read_part
from regen_vcs.media.reading import CannotDecode

_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf"})


def read(file: BinaryIO) -> Iterator[Text]:
    """Chunks after the pixels count too: some programs append theirs."""
    at = 8
    for _ in range(MAX_STEPS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind in _TEXTS and size <= MAX_TEXT:
            data = read_part(file, size)
            try:
                yield from _texts(kind, data)
            except (CannotDecode, zlib.error, struct.error):
                pass  # this one is damaged, or a bomb; the next may be sound
        at += 12 + size


def _texts(kind: bytes, data: bytes) -> Iterator[Text]:
    if kind == b"eXIf":
        yield from exif.texts_of(data, "PNG eXIf")
        return
    key, nul, rest = data.partition(b"\0")
    if not nul or not key or len(key) > MAX_KEY:
        return
    text = {b"tEXt": _plain, b"zTXt": _packed, b"iTXt": _international}[kind](rest)
    if text is not None:
        yield Text(key.decode("latin-1"), text, f"PNG {kind.decode()}")


def _plain(rest: bytes) -> str:
    # Latin-1 by the standard; what writes UTF-8 all the same is read as that.
    return decode(rest)


def _packed(rest: bytes) -> str | None:
    return decode(inflate(rest[1:])) if rest[:1] == b"\0" else None


def _international(rest: bytes) -> str | None:
    """Compression flag and method, language, translated key, text."""
    if len(rest) < 2:
        return None
    _, _, rest_after_language = rest[2:].partition(b"\0")
    _, nul, text = rest_after_language.partition(b"\0")
    if not nul or rest[0] > 1 or (rest[0] == 1 and rest[1] != 0):
        return None
    return decode(inflate(text) if rest[0] else text)
