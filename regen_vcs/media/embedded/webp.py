"""WebP: the EXIF and XMP chunks of its RIFF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.embedded import exif, xmp
from regen_vcs.media.embedded.texts import MAX_STEPS, MAX_TEXT, Text, read_part


def read(file: BinaryIO) -> Iterator[Text]:
    at = 12
    for _ in range(MAX_STEPS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        kind, size = head[:4], int.from_bytes(head[4:], "little")
        if kind in (b"EXIF", b"XMP ") and size <= MAX_TEXT:
            data = read_part(file, size)
            yield from exif.texts_of(data, "WebP EXIF") if kind == b"EXIF" else xmp.texts_of(data, "WebP XMP")
        at += 8 + size + (size & 1)
