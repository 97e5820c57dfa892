"""The vault of a .blend, read without Blender: an export that stands in it twice.

A .blend is a row of blocks, each with a head that says how long it is. The two copies are a property of a scene, which stands in
one block, and a text datablock, of which every line is a block of its own. The blocks are not followed from the beginning, since
one damaged length would hide all that comes after it: the whole file is searched for how a vault begins. It may be packed as a
whole (gzip until 2.93, Zstandard since 3.0), and its heads have had three shapes.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from regen_vcs.engine.export_file import MAGIC as EXPORT_MAGIC
from regen_vcs.engine.export_file import ExportFile
from regen_vcs.errors import CorruptionError, InvalidError, RegenError, UsageError
from regen_vcs.model.vault import MAGIC, MAX_TEXT_BYTES, vault_export

SUFFIX = ".blend"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_HEAD = re.compile(rb"BLENDER(?:(?P<pointer>[-_])(?P<order>[vV])[0-9]{3}|17-01(?P<large>v)[0-9]{4})")
_FIRST_LINE = re.compile(rb"regen-vcs-vault [0-9]+ [^\0\n]{1,100}")
_LINE = re.compile(rb"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{1,8000}")
_MAX_LINE = 8 << 10
_STEP = 1 << 20
# What is packed may say anything of its length: a film's .blend has some GiB, and Blender's packing is nowhere near this.
_MAX_UNPACKED, _MAX_RATIO = 1 << 30, 64
_MAX_COPIES = 64


@dataclass(frozen=True, slots=True)
class BlendVault:
    """export: out of the first sound copy. damaged: of the other copies, what is wrong with them, in words."""

    export: ExportFile
    damaged: list[str]


def is_blend(path: str) -> bool:
    """Whether there is a file of that name that is called like a .blend, or begins as one that is not packed."""
    if not os.path.isfile(path):
        return False
    if path.endswith(SUFFIX):
        return True
    try:
        with open(path, "rb", buffering=0) as file:
            return _HEAD.match(file.read(17)) is not None
    except OSError:
        return False


def read_vault(path: str) -> BlendVault:
    """The vault of a .blend: its text datablock before its scene's property, the first that is sound.

    UsageError where there is no such file; InvalidError for what is no .blend or has no vault; CorruptionError where every copy
    is damaged; NewerFormat.
    """
    copies = sorted(_copies(path), key=lambda copy: not copy.is_text)
    if not copies:
        raise _no_vault(path)
    found, troubles = None, []
    for copy in copies:
        where = f"{path}: the vault in its {'text datablock' if copy.is_text else 'scene'}"
        try:
            data = vault_export(copy.text, where)
            if not data.startswith(EXPORT_MAGIC):
                continue  # the list of assets is packed like a vault, and is none
            export = ExportFile(data, where)
        except RegenError as error:
            troubles.append(error)
        else:
            found = found or export
    if found is None and not troubles:
        raise _no_vault(path)
    if found is None:
        raise troubles[0]
    return BlendVault(found, [trouble.what for trouble in troubles])


def _no_vault(path: str) -> InvalidError:
    return InvalidError(f"{path}: has no vault: it was never saved with the addon, or the addon keeps none", "regen-vcs restore FILE takes an export too")


@dataclass(frozen=True, slots=True)
class _Copy:
    text: bytes
    is_text: bool  # of the text datablock, line by line


def _copies(path: str) -> list[_Copy]:
    try:
        with open(path, "rb") as file:
            return list(_vaults(_Window(_unpacked(file, path)), path))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorruptionError(f"{path}: is damaged: {error}") from None
    except OSError as error:
        raise RegenError(f"{path}: cannot be read: {error.strerror or error}") from error


def _vaults(window: _Window, path: str) -> Iterator[_Copy]:
    block_head = _block_head(window.look(17))
    if block_head is None:
        raise InvalidError(f"{path}: is not a .blend")
    for _ in range(_MAX_COPIES):
        if not window.find(MAGIC):
            return
        first = window.take_until_nul(MAX_TEXT_BYTES)
        if _FIRST_LINE.fullmatch(first):
            yield _Copy(b"\n".join([first, *_following_lines(window, block_head), b""]), True)
        elif _FIRST_LINE.match(first):
            yield _Copy(first, False)


def _following_lines(window: _Window, head: struct.Struct) -> Iterator[bytes]:
    """The lines of a text datablock that stand behind its first one, each in the next block."""
    total = 0
    while total <= MAX_TEXT_BYTES:
        ahead = window.look(3 + head.size + _MAX_LINE)
        gap = ahead[:7].find(b"DATA")  # until 4.4 Blender filled blocks up to a multiple of four, with anything
        line = ahead[gap + head.size :].partition(b"\0")[0]
        if gap < 0 or not _LINE.fullmatch(line):
            return
        window.take(gap + head.size + len(line) + 1)
        total += len(line)
        yield line


def _block_head(start: bytes) -> struct.Struct | None:
    """The shape of a block's head, by how the file begins; None for what is no .blend."""
    found = _HEAD.match(start)
    if not found:
        return None
    if found["large"]:
        return struct.Struct("<4si8xqq")
    return struct.Struct(f"{'<>'[found['order'] == b'V']}4si{8 if found['pointer'] == b'-' else 4}xii")


# -- bytes -----------------------------------------------------------------------------------------------------------------


class _Window:
    """A moving window over bytes that come one after another."""

    def __init__(self, read: Callable[[int], bytes]):
        self._read, self._held, self._at = read, b"", 0

    def look(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        while len(self._held) - self._at < count and (part := self._read(_STEP)):
            self._held = self._held[self._at :] + part
            self._at = 0
        return self._held[self._at : self._at + count]

    def take(self, count: int) -> bytes:
        found = self.look(count)
        self._at += len(found)
        return found

    def find(self, what: bytes) -> bool:
        """Go to where that stands next; whether it does."""
        while (at := self._held.find(what, self._at)) < 0:
            self._at = max(self._at, len(self._held) - len(what) + 1)
            if not (part := self._read(_STEP)):
                return False
            self._held = self._held[self._at :] + part
            self._at = 0
        self._at = at
        return True

    def take_until_nul(self, limit: int) -> bytes:
        """What stands before the next zero byte, which is taken too; at most `limit` bytes."""
        size = _STEP
        while (end := (found := self.look(min(size, limit))).find(b"\0")) < 0 and len(found) == min(size, limit) < limit:
            size *= 4
        return self.take(end + 1)[:-1] if end >= 0 else self.take(len(found))


class _Bounded:
    """Reads what a stream unpacks to. InvalidError beyond the limit: it may say anything of its length."""

    def __init__(self, stream: BinaryIO, limit: int, path: str):
        self._stream, self._left, self._path = stream, limit, path

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._left -= len(data)
        if self._left < 0:
            raise InvalidError(f"{self._path}: unpacks to far more than a .blend of its size does")
        return data


def _unpacked(file: BinaryIO, path: str) -> Callable[[int], bytes]:
    magic = file.read(4)
    file.seek(0)
    limit = max(_MAX_UNPACKED, _MAX_RATIO * os.fstat(file.fileno()).st_size)
    if magic.startswith(_GZIP):
        return _Bounded(gzip.GzipFile(fileobj=file), limit, path).read
    if magic == _ZSTD:
        import zstandard

        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        return _Bounded(_Frames(unpacker.stream_reader(file, read_across_frames=True)), limit, path).read
    return file.read


class _Frames:
    """Zstandard's reader, with errors that Python has too."""

    def __init__(self, reader: BinaryIO):
        self._reader = reader

    def read(self, count: int) -> bytes:
        import zstandard

        try:
            return self._reader.read(count)
        except zstandard.ZstdError as error:
            raise EOFError(str(error)) from None
