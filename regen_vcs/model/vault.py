"""The text of a vault: an export as it stands inside a .blend. docs/spec/vault-format.md; the addon writes it.

Whatever a .blend brings is hostile: no more is unpacked than the first line says, and that has a bound.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib

from regen_vcs.errors import CorruptionError, NewerFormat

MAGIC = b"regen-vcs-vault "
FORMAT = 1
MAX_EXPORT_BYTES = 16 << 20
MAX_TEXT_BYTES = 24 << 20

_HEAD = re.compile(rb"regen-vcs-vault 1 (zlib|stored) ([0-9]{1,8}) ([0-9a-f]{64})\r?\n")
_NUMBER = re.compile(rb"regen-vcs-vault ([0-9]{1,6})\b")
_BLANKS = b" \t\r\n"


def vault_export(text: bytes, where: str) -> bytes:
    """The export in a vault's text. CorruptionError for any other text, NewerFormat for one of a newer addon. where: for messages."""
    head = _HEAD.match(text)
    if head is None:
        number = _NUMBER.match(text)
        if number and int(number[1]) > FORMAT:
            raise NewerFormat(f"{where}: of format {int(number[1])}, which is newer than this regen-vcs reads", "upgrade regen-vcs")
        raise CorruptionError(f"{where}: its first line is not that of a vault")
    packing, size = head[1], int(head[2])
    if len(text) > MAX_TEXT_BYTES or size > MAX_EXPORT_BYTES:
        raise CorruptionError(f"{where}: says that it holds {size:,} bytes: more than a vault may")
    export = _unpacked(packing, _body(text[head.end() :], where), size)
    if export is None or hashlib.sha256(export).hexdigest() != head[3].decode():
        raise CorruptionError(f"{where}: is damaged: its bytes are not what its checksum says")
    return export


def _body(lines: bytes, where: str) -> bytes:
    try:
        return base64.b85decode(lines.translate(None, _BLANKS))
    except ValueError:
        raise CorruptionError(f"{where}: is damaged: there are characters in it that do not belong there") from None


def _unpacked(packing: bytes, body: bytes, size: int) -> bytes | None:
    """None for what is not exactly that long."""
    if packing == b"stored":
        return body if len(body) == size else None
    unpacker = zlib.decompressobj()
    try:
        export = unpacker.decompress(body, size + 1)
    except zlib.error:
        return None
    return export if len(export) == size and unpacker.eof and not unpacker.unused_data else None
