"""The vault: what goes in comes out, and no damage of any byte goes unseen."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from addon_parts import vault
from addon_parts.vault import VaultDamaged, choose, decode, encode
from hypothesis import given
from hypothesis import strategies as st

EXPORT = b"regen-vcs export 1\n" + bytes(range(256)) * 3 + b"recipe " * 40


@given(st.binary(max_size=5000))
def test_round_trip(data):
    assert decode(encode(data)) == data


@pytest.mark.parametrize("data", [b"", b"\0", b"a" * 100_000, EXPORT])
def test_it_is_plain_ascii_in_short_lines(data):
    text = encode(data)
    assert text.isascii() and text.endswith("\n") and "\r" not in text
    assert max(map(len, text.splitlines())) <= 1000
    assert decode(text) == data


# Written by the first version. If one of them cannot be read any more, the format needs another number.
FROZEN = {
    'regen-vcs-vault 1 zlib 82 bcbe3f1f9506f589067f11f14c2882664bf71db255afd4b266c36d5add594d3c\nc-kvUO;63!ElVy|NUbQyFDg+m<SI%{&MZh(AeRCF-xnSL\n': b"regen-vcs export 1\n" + b"recipe " * 9,
    'regen-vcs-vault 1 stored 8 b3b54048f23aa3fa50d0a76f36cdf2d013ab02ad33bd47a347055601a3b89002\n0RJF!Xm4_K\n': b"\x00\xff short",
}


@pytest.mark.parametrize("text", FROZEN)
def test_vaults_of_the_first_version_can_be_read(text):
    assert decode(text) == FROZEN[text]


def test_a_newer_vault_is_called_that():
    with pytest.raises(VaultDamaged, match="newer"):
        decode(encode(EXPORT).replace("vault 1 ", "vault 2 "))


def test_the_same_export_gives_the_same_text():
    assert encode(EXPORT) == encode(EXPORT)


def test_what_repeats_is_packed_and_what_does_not_is_stored():
    assert len(encode(b"recipe " * 1000)) < 300
    noise = hashlib.shake_256(b"seed").digest(4000)
    assert len(encode(noise)) < 4000 * 1.3 + 300


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: t.rstrip("\n"), lambda t: t + "\n\n", lambda t: t.replace("\n", "\n  ")])
def test_line_ends_that_an_editor_changed_do_no_harm(change):
    assert decode(change(encode(EXPORT))) == EXPORT


def test_no_damage_of_a_character_gives_another_export():
    """A space more, or a bit of the last character that means nothing, may pass; what comes out is what went in."""
    text = encode(EXPORT)
    refused = 0
    for at, old in enumerate(text):
        for new in {"x", "0", "~", " ", "é", "\0", ""} - {old}:
            try:
                assert decode(text[:at] + new + text[at + 1 :]) == EXPORT, f"{at}: {old!r} → {new!r} came out as something else"
            except VaultDamaged:
                refused += 1
    assert refused > len(text) * 5


@given(st.integers(0, 10_000))
def test_no_cut_goes_unseen(at):
    text = encode(EXPORT).rstrip("\n")
    if at < len(text):
        with pytest.raises(VaultDamaged):
            decode(text[:at])


@given(st.text(max_size=400))
def test_any_text_gives_bytes_or_our_error(text):
    for each in (text, encode(EXPORT).split("\n")[0] + "\n" + text):
        try:
            decode(each)
        except VaultDamaged:
            pass


def test_a_bomb_is_not_unpacked():
    bomb = zlib.compress(b"\0" * (40 << 20), 9)
    body = base64.b85encode(bomb).decode()
    for size in (10, vault.MAX_BYTES, vault.MAX_BYTES + 1, 40 << 20):
        header = encode(b"x" * 50).split("\n")[0]
        forged = " ".join(str(size) if word == "50" else word for word in header.split(" "))
        with pytest.raises(VaultDamaged):
            decode(f"{forged}\n{body}\n")


def test_what_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(vault, "MAX_BYTES", 1000)
    with pytest.raises(ValueError):
        encode(b"x" * 1001)


def test_the_first_sound_copy_is_chosen_and_damage_is_told():
    good, bad = encode(EXPORT), encode(EXPORT)[:-20]
    assert choose(good, good) == (EXPORT, 0, [])
    assert choose(None, good) == (EXPORT, 1, [])
    export, index, damaged = choose(bad, good)
    assert (export, index) == (EXPORT, 1) and [number for number, _ in damaged] == [0]
    export, index, damaged = choose(good, bad)
    assert (export, index) == (EXPORT, 0) and [number for number, _ in damaged] == [1]


def test_no_sound_copy():
    with pytest.raises(VaultDamaged, match="no vault"):
        choose(None, "")
    with pytest.raises(VaultDamaged, match="every copy"):
        choose("rubbish", encode(EXPORT)[:50])
