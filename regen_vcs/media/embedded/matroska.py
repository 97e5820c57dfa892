"""Matroska and WebM: the SimpleTags of a segment, before or after the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.embedded.texts import MAX_KEY, MAX_STEPS, MAX_TEXT, Text, decode, read_part
from regen_vcs.media.reading import CannotDecode

_SEGMENT, _TAGS, _TAG, _SIMPLE, _NAME, _STRING = 0x18538067, 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487
_INSIDE = {_TAGS: _TAG, _TAG: _SIMPLE}

Span = tuple[int, int]


def read(file: BinaryIO) -> Iterator[Text]:
    end = os.fstat(file.fileno()).st_size
    for name, span in _elements(file, (0, end)):
        if name == _SEGMENT:
            for inner, part in _elements(file, span):
                if inner == _TAGS:
                    yield from _tags(file, _TAGS, part)


def _tags(file: BinaryIO, name: int, span: Span) -> Iterator[Text]:
    """Tags/Tag/SimpleTag; a SimpleTag inside another says something about that, not about the film."""
    for inner, part in _elements(file, span):
        if inner == _INSIDE[name]:
            yield from _simple(file, part) if inner == _SIMPLE else _tags(file, inner, part)


def _simple(file: BinaryIO, span: Span) -> Iterator[Text]:
    key = text = None
    for inner, (start, end) in _elements(file, span):
        file.seek(start)
        if inner == _NAME:
            key = decode(read_part(file, end - start, MAX_KEY))
        elif inner == _STRING and end - start <= MAX_TEXT:
            text = decode(read_part(file, end - start)).rstrip("\0")
    if key and text:
        yield Text(key, text, "Matroska tag")


def _elements(file: BinaryIO, span: Span) -> Iterator[tuple[int, Span]]:
    """(id, span of the content). One of unknown size (a live stream) goes to the end of what is around it."""
    at, end = span
    for _ in range(MAX_STEPS):
        if at >= end:
            return
        file.seek(at)
        head = file.read(12)
        name, used = _number(head, 0, keep_mark=True)
        size, used = _number(head, used, keep_mark=False)
        inner = at + used
        stop = end if size is None else inner + size
        if stop > end:
            stop = end  # a film that is cut off still has what stands before
        yield name, (inner, stop)
        at = stop


def _number(data: bytes, at: int, *, keep_mark: bool) -> tuple[int | None, int]:
    """An EBML number and where it ends; None for a size whose bits are all ones: unknown."""
    if at >= len(data):
        raise CannotDecode("an element that is cut off")
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise CannotDecode("not an EBML number")
    value = int.from_bytes(data[at : at + length], "big")
    if keep_mark:
        return value, at + length
    mask = (1 << 7 * length) - 1
    return (None if value & mask == mask else value & mask), at + length
