"""FLAC and Ogg (Vorbis comments), MP3 (ID3v2 text frames)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from regen_vcs.media.embedded.texts import MAX_KEY, MAX_TEXT, Text, decode, read_part
from regen_vcs.media.reading import CannotDecode

_MAX_COMMENTS = 1024
_MAX_BLOCKS = 256
_MAX_PAGES = MAX_TEXT // (255 * 255) + 2
_COMMENT_BLOCK = 4


def read_flac(file: BinaryIO) -> Iterator[Text]:
    file.seek(4)
    for _ in range(_MAX_BLOCKS):
        head = read_part(file, 4)
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == _COMMENT_BLOCK:
            yield from _comments(read_part(file, size), "FLAC comment")
        else:
            file.seek(size, 1)
        if head[0] & 0x80:  # the last one
            return


def _comments(data: bytes, where: str) -> Iterator[Text]:
    """Vendor, then `key=text` each behind its length, little-endian."""
    at = 4 + struct.unpack_from("<I", data)[0]
    count = struct.unpack_from("<I", data, at)[0]
    at += 4
    for _ in range(min(count, _MAX_COMMENTS)):
        size = struct.unpack_from("<I", data, at)[0]
        if at + 4 + size > len(data):
            raise CannotDecode("a comment that is cut off")
        key, equals, text = data[at + 4 : at + 4 + size].partition(b"=")
        if equals and key and len(key) <= MAX_KEY:
            yield Text(decode(key), decode(text), where)
        at += 4 + size


def read_ogg(file: BinaryIO) -> Iterator[Text]:
    """The second packet of the first stream: Opus tags or Vorbis comments."""
    packet = _second_packet(file)
    for mark in (b"OpusTags", b"\x03vorbis"):
        if packet.startswith(mark):
            yield from _comments(packet[len(mark) :], "Ogg comment")


def _second_packet(file: BinaryIO) -> bytes:
    """Pages hold packets in pieces of up to 255 bytes; a shorter piece ends one."""
    packet, number = bytearray(), 0
    for _ in range(_MAX_PAGES):
        head = read_part(file, 27)
        if head[:4] != b"OggS":
            raise CannotDecode("not an Ogg page")
        for piece in read_part(file, head[26]):
            data = read_part(file, piece)
            if number == 1:
                packet += data
            if piece < 255:
                if number == 1:
                    return bytes(packet)
                number += 1
    raise CannotDecode("comments that do not end")


def read_id3(file: BinaryIO) -> Iterator[Text]:
    """ID3v2.3 and 2.4: TXXX frames, and comments."""
    head = read_part(file, 10)
    is_24 = head[3] == 4
    if head[3] not in (3, 4) or head[5] & 0x80:  # older, or unsynchronised: nobody who makes media writes that
        return
    tag = read_part(file, _syncsafe(head[6:]))
    at = 4 + int.from_bytes(tag[:4], "big") if head[5] & 0x40 else 0
    while at + 10 <= len(tag) and tag[at] != 0:
        kind, size = tag[at : at + 4], tag[at + 4 : at + 8]
        length = _syncsafe(size) if is_24 else int.from_bytes(size, "big")
        data = tag[at + 10 : at + 10 + length]
        if len(data) != length:
            return
        yield from _frame(kind, data)
        at += 10 + length


def _syncsafe(data: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(data)))


_ENCODINGS = {0: ("latin-1", b"\0"), 1: ("utf-16", b"\0\0"), 2: ("utf-16-be", b"\0\0"), 3: ("utf-8", b"\0")}


def _frame(kind: bytes, data: bytes) -> Iterator[Text]:
    if kind not in (b"TXXX", b"COMM") or len(data) < 2 or data[0] not in _ENCODINGS:
        return
    encoding, end = _ENCODINGS[data[0]]
    body = data[1:] if kind == b"TXXX" else data[4:]
    at = next((i for i in range(0, min(len(body), 2 * MAX_KEY), len(end)) if body[i : i + len(end)] == end), None)
    if at is None:
        return
    key = body[:at].decode(encoding, "replace")
    text = body[at + len(end) :].decode(encoding, "replace").rstrip("\0")
    yield Text(key or "comment", text, "ID3 text")
