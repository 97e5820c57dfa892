"""The vault: a project's recipes as one piece of text inside a .blend, in two copies. Nothing here knows Blender.

The format is docs/spec/vault-format.md. What a .blend brings is hostile: no more is unpacked than the header says, and that
has a bound.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

# Bytes of an export that a vault holds; the text of one is at most a little over 5/4 of that.
MAX_BYTES = 16 << 20
_MAX_TEXT = 24 << 20
# Of each line of a text datablock Blender saves some 90 bytes beside its characters.
_LINE = 1000

_BLANKS = dict.fromkeys(map(ord, " \t\r\n"))
_HEADER = re.compile(r"regen-vcs-vault 1 (zlib|stored) ([0-9]{1,8}) ([0-9a-f]{64})")
_NEWER = re.compile(r"regen-vcs-vault ([0-9]{1,6})\b")


class VaultDamaged(ValueError):
    """A text is no vault, or not the one that was written. str(): why."""


class Chosen(NamedTuple):
    """The export out of the first sound copy. index: which of the texts; damaged: (index, why) of those that are not."""

    export: bytes
    index: int  # type: ignore[assignment]
    damaged: list[tuple[int, str]]


def encode(export: bytes) -> str:
    """The vault of an export: ASCII, a header line and lines of base85, the last ended too. ValueError over MAX_BYTES."""
    if len(export) > MAX_BYTES:
        raise ValueError(f"an export of {len(export)} bytes is too large for a vault, which holds {MAX_BYTES}")
    packed = zlib.compress(export, 9)
    codec, body = ("zlib", packed) if len(packed) < len(export) else ("stored", export)
    text = base64.b85encode(body).decode("ascii")
    lines = (text[at : at + _LINE] for at in range(0, len(text), _LINE))
    header = f"regen-vcs-vault 1 {codec} {len(export)} {hashlib.sha256(export).hexdigest()}"
    return "\n".join([header, *lines, ""])


def decode(text: str) -> bytes:
    """The export in a vault. VaultDamaged for any other text, newer formats included."""
    if len(text) > _MAX_TEXT:
        raise VaultDamaged("it is larger than a vault can be")
    header, _, rest = text.partition("\n")
    found = _HEADER.fullmatch(header.rstrip("\r"))
    if not found:
        newer = _NEWER.match(header)
        raise VaultDamaged("a newer addon wrote it" if newer and int(newer[1]) > 1 else "its first line is not that of a vault")
    codec, size = found[1], int(found[2])
    if size > MAX_BYTES:
        raise VaultDamaged("it says to be larger than a vault can be")
    export = _unpack(codec, _body(rest), size)
    if hashlib.sha256(export).hexdigest() != found[3]:
        raise VaultDamaged("its checksum is not that of its content")
    return export


def _body(rest: str) -> bytes:
    """Line ends are nobody's: an editor may have changed them."""
    try:
        return base64.b85decode(rest.translate(_BLANKS).encode("ascii"))
    except ValueError:
        raise VaultDamaged("there are characters in it that do not belong there") from None


def _unpack(codec: str, body: bytes, size: int) -> bytes:
    if codec == "stored":
        export, rest = body, b""
    else:
        unpacker = zlib.decompressobj()
        try:
            export = unpacker.decompress(body, size + 1)
        except zlib.error:
            raise VaultDamaged("it cannot be unpacked") from None
        rest = unpacker.unused_data if unpacker.eof or len(export) > size else b"cut short"
    if len(export) != size or rest:
        raise VaultDamaged("it is not as long as it says")
    return export


def choose(*texts: str | None) -> Chosen:
    """The export of the first sound copy; None and "" are copies that are not there. VaultDamaged if none is sound."""
    damaged: list[tuple[int, str]] = []
    for index, text in enumerate(texts):
        if not text:
            continue
        try:
            return Chosen(decode(text), index, [*damaged, *_damaged_after(texts, index)])
        except VaultDamaged as error:
            damaged.append((index, str(error)))
    if not damaged:
        raise VaultDamaged("this .blend has no vault")
    raise VaultDamaged("every copy of the vault is damaged: " + "; ".join(why for _, why in damaged))


def _damaged_after(texts: Iterable[str | None], index: int) -> list[tuple[int, str]]:
    """The later copies are looked at as well: one that is damaged should be written anew."""
    found = []
    for number, text in enumerate(texts):
        if number > index and text:
            try:
                decode(text)
            except VaultDamaged as error:
                found.append((number, str(error)))
    return found
