"""Texts embedded in media: every container that is read, and every way in which it may lie."""

from __future__ import annotations

import os
import struct
import time
import zlib

import pytest

from regen_vcs.media.embedded import read_texts
from tests.embedded_files import (
    box,
    chunk,
    comments,
    element,
    exif,
    flac,
    international_chunk,
    jpeg,
    matroska,
    mp3,
    mp4,
    ogg,
    packed_chunk,
    png,
    text_chunk,
    webp,
)

TEXTS = {"prompt": '{"a": "' + "x" * 1000 + '"}', "workflow": "{}"}


@pytest.fixture
def read(tmp_path):
    """The texts of these bytes: [(key, text)]."""

    def reading(data: bytes) -> list[tuple[str, str]]:
        path = tmp_path / "file"
        path.write_bytes(data)
        return [(each.key, each.text) for each in read_texts(str(path))]

    return reading


@pytest.mark.parametrize("make", [
    mp4, lambda texts: mp4(texts, quicktime=True), matroska, lambda texts: matroska(texts, tags_first=True), flac, ogg, mp3,
    lambda texts: png(*(text_chunk(*each) for each in texts.items())),
    lambda texts: png(*(packed_chunk(*each) for each in texts.items())),
    lambda texts: png(*(international_chunk(*each) for each in texts.items())),
    lambda texts: png(*(international_chunk(*each, packed=True) for each in texts.items())),
    lambda texts: png(after=tuple(text_chunk(*each) for each in texts.items())),
], ids=["mp4", "mov", "webm", "webm, tags first", "flac", "opus", "mp3", "tEXt", "zTXt", "iTXt", "iTXt packed", "after the pixels"])
def test_texts_come_back(read, make):
    assert read(make(TEXTS)) == list(TEXTS.items())


@pytest.mark.parametrize("make", [
    lambda texts: flac(texts), mp3, mp4, matroska, ogg, lambda texts: png(*(international_chunk(*each) for each in texts.items())),
])
def test_text_is_unicode(read, make):
    texts = {"prompt": "Größe 雨 \U0001f327"}
    assert read(make(texts)) == list(texts.items())


def test_exif_in_webp(read):
    data = exif(Make="workflow:{}", Model="prompt:{}")
    assert read(webp(exif_data=data)) == [("Make", "workflow:{}"), ("Model", "prompt:{}")]
    assert read(webp(exif_data=b"Exif\0\0" + data)) == read(webp(exif_data=data))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("comment", [
    b"UNICODE\0" + "Größe".encode("utf-16-be"),
    b"UNICODE\0" + "Größe".encode("utf-16-le"),
    b"UNICODE\0" + "Größe".encode("utf-16"),
    b"ASCII\0\0\0" + "Größe".encode(),
    b"\0" * 8 + "Größe".encode("latin-1"),
    "Größe ohne Kennung".encode(),
])
def test_a_user_comment_in_any_of_its_character_sets(read, order, comment):
    found = read(jpeg((0xE1, b"Exif\0\0" + exif(order=order, comment=comment))))
    assert [key for key, _ in found] == ["UserComment"]
    assert found[0][1].startswith("Größe")


def test_jpeg_comments_and_xmp(read):
    xmp = b'<x:xmpmeta><rdf:Description tiff:Make="no" sd:parameters="a &amp; b"><dc:description><rdf:Alt><rdf:li xml:lang="x">c &lt; d</rdf:li>'
    found = read(jpeg((0xFE, b"a comment"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)))
    assert found == [("comment", "a comment"), ("description", "c < d"), ("parameters", "a & b")]


def test_xmp_expands_no_entities(read):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x:prompt>&b; &#65;</x:prompt>'
    assert read(webp(xmp=bomb)) == [("prompt", "&b; A")]


def test_quicktime_user_data(read):
    text = b"a film"
    data = box(b"ftyp", b"qt  \0\0\0\0") + box(b"moov", box(b"udta", box(b"\xa9cmt", struct.pack(">HH", len(text), 0) + text)))
    assert read(data) == [("comment", "a film")]


# ---------------------------------------------------------------- lies


def test_a_bomb_is_not_unpacked_and_the_others_are_read(read):
    bomb = chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"\0" * (64 << 20)))
    started = time.perf_counter()
    assert read(png(bomb, text_chunk("parameters", "sound"))) == [("parameters", "sound")]
    assert time.perf_counter() - started < 5


def test_lengths_beyond_the_file_are_not_believed(read):
    assert read(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0x7FFFFFF0) + b"tEXtprompt\0x") == []
    assert read(b"fLaC\x84\xff\xff\xff" + comments({"a": "b"})) == []
    assert read(element(0x1A45DFA3, b"") + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xfe" + b"\x12\x54\xc3\x67\x88") == []
    assert read(b"ID3\x04\0\0\x7f\x7f\x7f\x7fTXXX") == []
    assert read(struct.pack(">I4s", 16, b"ftyp") + b"isom\0\0\0\0" + struct.pack(">I4s", 0xFFFFFFFF, b"moov")) == []


def test_a_count_of_comments_beyond_all_is_not_believed(read):
    data = struct.pack("<I", 0) + struct.pack("<I", 0xFFFFFFFF) + struct.pack("<I", 3) + b"a=b"
    assert read(b"fLaC\x84" + len(data).to_bytes(3, "big") + data) == [("a", "b")]


def test_a_circle_of_folders_ends(read):
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + b"\0\0\0\0"
    assert read(webp(exif_data=data)) == []


def test_many_entries_of_one_large_text_end(read):
    """512 tags that all point at the same megabytes."""
    big = b"x" * (4 << 20)
    entries = b"".join(struct.pack("<HHII", 0x010E, 2, len(big), 8 + 2 + 12 * 512 + 4) for _ in range(512))
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 512) + entries + b"\0\0\0\0" + big
    started = time.perf_counter()
    assert len(read(webp(exif_data=data))) <= 8
    assert time.perf_counter() - started < 5


def test_boxes_of_no_size_end(read):
    assert read(box(b"ftyp", b"isom") + struct.pack(">I4s", 4, b"moov") * 100) == []


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"fLaC", b"ID3", b"OggS", b"\xff\xd8\xff", b"II*\0"])
def test_files_that_only_begin_say_nothing(read, data):
    assert read(data) == []


def test_a_pipe_does_not_hold_us_up(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert read_texts(str(tmp_path / "pipe")) == []


def test_what_stands_before_the_damage_counts(read):
    whole = flac({"prompt": "{}", "workflow": "[]"})
    assert read(whole[:-8]) == []  # the block itself is cut off
    assert read(png(text_chunk("prompt", "{}"), text_chunk("workflow", "[]"))[:70]) == [("prompt", "{}")]
