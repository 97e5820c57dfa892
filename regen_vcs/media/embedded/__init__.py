"""Texts that programs embed in the files they make: what a picture, film or sound says about its own making.

PNG (tEXt, zTXt, iTXt, eXIf), WebP and JPEG (EXIF, XMP, comments), MP4 and QuickTime, Matroska and WebM, FLAC and Ogg,
MP3 (ID3). Files are hostile: every length is checked against what is there, what is unpacked is bounded, nothing is
followed twice and nothing is executed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from regen_vcs.media.embedded import exif, isobmff, jpeg, matroska, png, sounds, webp
from regen_vcs.media.embedded.texts import Collector, Text
from regen_vcs.media.reading import CannotDecode, open_media

__all__ = ["Text", "read_texts"]

# (what the first bytes of a file look like, who reads the rest)
_READERS = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), png.read),
    (lambda head: head.startswith(b"\xff\xd8\xff"), jpeg.read),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", webp.read),
    (lambda head: head[4:8] == b"ftyp", isobmff.read),
    (lambda head: head.startswith(b"\x1aE\xdf\xa3"), matroska.read),
    (lambda head: head.startswith(b"fLaC"), sounds.read_flac),
    (lambda head: head.startswith(b"OggS"), sounds.read_ogg),
    (lambda head: head.startswith(b"ID3"), sounds.read_id3),
    (lambda head: head[:4] in (b"II*\0", b"MM\0*"), exif.read_tiff),
)


def read_texts(path_abs: str) -> list[Text]:
    """The texts embedded in a file, in its order; [] for none, for unknown kinds, and up to where it is damaged.

    At most 256 texts and 32 MiB in all. OSError where the file cannot be opened.
    """
    found = Collector()
    try:
        with open_media(path_abs) as file:
            head = file.read(16)
            reader = next((reader for knows, reader in _READERS if knows(head)), None)
            if reader is not None:
                file.seek(0)
                _fill(found, reader(file))
    except CannotDecode:
        pass  # a device or a pipe says nothing
    return found.texts


def _fill(found: Collector, texts: Iterator[Text]) -> None:
    """What stands before the damage is true all the same."""
    try:
        for text in texts:
            if not found.add(text):
                return
    except (CannotDecode, struct.error, zlib.error, ValueError, IndexError, EOFError):
        return
