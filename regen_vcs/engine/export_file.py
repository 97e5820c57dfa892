"""The container of an export: two lines that say what it is, and its text, compressed. docs/spec/export-format.md.

    regen-vcs export 1
    <BLAKE3 of the text> <bytes of the text>
    <xz: the manifest's line, then every object>

A reader checks the whole file before it gives anything of it away, in memory that the file cannot choose.
"""

from __future__ import annotations

import lzma
import os
import re
from collections.abc import Iterable, Iterator

from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError, NewerFormat, UsageError
from regen_vcs.model.export_manifest import (
    MAX_MANIFEST_BYTES,
    ExportManifest,
    manifest_line,
    parse_manifest_line,
)
from regen_vcs.platform.files import read_regular, write_atomic, write_error

FORMAT = 1
MAGIC = b"regen-vcs export "
SUFFIX = ".regen-export"
MAX_FILE_BYTES = 256 << 20
MAX_PAYLOAD_BYTES = 256 << 20

_HEAD = re.compile(rb"regen-vcs export ([0-9]{1,9})\n")
_DIGEST = re.compile(rb"([0-9a-f]{64}) (0|[1-9][0-9]{0,10})\n")
_CHUNK = 1 << 20
# Small windows: a reader needs 5 MiB for ours, and accepts at most what xz itself ever asks for.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 4 << 20}]
_READER_MEMORY = 80 << 20


def export_bytes(manifest: ExportManifest, objects: Iterable[bytes]) -> bytes:
    """The file of a manifest and its objects. InvalidError where it would be too large to be read again."""
    hasher, size, packed = blake3(), 0, []
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=_FILTERS)  # BLAKE3 is the check
    for piece in (manifest_line(manifest), *objects):
        hasher.update(piece)
        size += len(piece)
        packed.append(packer.compress(piece))
    packed.append(packer.flush())
    if size > MAX_PAYLOAD_BYTES:
        raise InvalidError(f"{size:,} bytes of recipes: more than an export holds", "name a part of them: regen-vcs export FILE FOLDER")
    head = b"%s%d\n%s %d\n" % (MAGIC, FORMAT, hasher.hexdigest().encode(), size)
    return b"".join([head, *packed])


def write_export(path: str, data: bytes, *, force: bool) -> None:
    """Write an export, in place of an earlier one. UsageError where something else lies there, unless `force`."""
    if os.path.lexists(path) and not force and not is_export(path):
        raise UsageError(f"{path}: is there, and is no export", "choose another name, or say --force")
    try:
        write_atomic(path, data, durable=True)
    except OSError as error:
        raise write_error(error, f"writing {path}") from error


def is_export(path: str) -> bool:
    """Whether a file begins as an export does, of whatever format. False for what cannot be read."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


class ExportFile:
    """An export that was read and found whole. `manifest` says what is in it, `digest` is its text's BLAKE3."""

    def __init__(self, data: bytes, where: str):
        """InvalidError for what is no export or breaks its rules, NewerFormat, CorruptionError for damaged bytes."""
        self.where = where
        self._data = data
        self.digest, self._size, self._start = self._read_head()
        try:
            self.manifest = self._verified()
        except lzma.LZMAError as error:
            raise CorruptionError(f"{where}: is damaged: {error}") from None

    @classmethod
    def open(cls, path: str) -> ExportFile:
        """Also UsageError where there is no such file."""
        if not os.path.exists(path):
            raise UsageError(f"{path}: there is no such file", "regen-vcs export makes one")
        if os.path.getsize(path) > MAX_FILE_BYTES:
            raise InvalidError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, so no export")
        data = read_regular(os.path.realpath(path), os.path.getsize(path))
        if data is None:
            raise UsageError(f"{path}: there is no such file", "regen-vcs export makes one")
        return cls(data, path)

    def objects(self) -> Iterator[bytes]:
        """Every object, in order, one at a time."""
        pieces = _Pieces(self._chunks())
        pieces.line(MAX_MANIFEST_BYTES)
        for size in self.manifest.sizes:
            yield pieces.exactly(size)

    def _read_head(self) -> tuple[str, int, int]:
        head = _HEAD.match(self._data)
        if not head:
            raise InvalidError(f"{self.where}: is not an export of regen-vcs", "regen-vcs export makes one")
        if int(head.group(1)) > FORMAT:
            raise NewerFormat(f"{self.where}: of format {int(head.group(1))}, which is newer than this regen-vcs reads", "upgrade regen-vcs")
        digest = _DIGEST.match(self._data, head.end())
        if not digest or int(head.group(1)) != FORMAT:
            raise InvalidError(f"{self.where}: its first lines are damaged")
        size = int(digest.group(2))
        if size > MAX_PAYLOAD_BYTES:
            raise InvalidError(f"{self.where}: says it holds {size:,} bytes: more than an export may")
        return digest.group(1).decode(), size, digest.end()

    def _verified(self) -> ExportManifest:
        """Everything looked at once: lengths and checksum before a word of it is believed."""
        hasher, size = blake3(), 0
        for chunk in self._chunks():
            hasher.update(chunk)
            size += len(chunk)
        if size != self._size or hasher.hexdigest() != self.digest:
            raise CorruptionError(f"{self.where}: is damaged: its bytes are not what its checksum says")
        line = _Pieces(self._chunks()).line(MAX_MANIFEST_BYTES)
        try:
            manifest = parse_manifest_line(line)
        except InvalidError as error:
            raise InvalidError(f"{self.where}: {error.what}") from None
        if len(line) + sum(manifest.sizes) != size:
            raise InvalidError(f"{self.where}: holds more or less than its manifest says")
        return manifest

    def _chunks(self) -> Iterator[bytes]:
        """The text, in pieces of bounded size; never more of it than the head admits. LZMAError, CorruptionError."""
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_READER_MEMORY)
        left, rest = self._size, memoryview(self._data)[self._start :]
        at = 0
        while not unpacker.eof:
            packed = b""
            if unpacker.needs_input:
                packed = bytes(rest[at : at + _CHUNK])
                at += len(packed)
                if not packed:
                    raise CorruptionError(f"{self.where}: ends too early")
            chunk = unpacker.decompress(packed, max_length=_CHUNK)
            left -= len(chunk)
            if left < 0:
                raise CorruptionError(f"{self.where}: holds more than it says")
            if chunk:
                yield chunk
        if unpacker.unused_data or at < len(rest):
            raise CorruptionError(f"{self.where}: something follows its end")


class _Pieces:
    """A line, and byte counts, out of a stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks, self._buffer, self._at = chunks, b"", 0

    def line(self, limit: int) -> bytes:
        parts, length = [], 0
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            parts.append(self._buffer[self._at :])
            length += len(parts[-1])
            self._next()
            if length > limit or not self._buffer:
                raise InvalidError("has no manifest")
        parts.append(self._buffer[self._at : end + 1])
        self._at = end + 1
        return b"".join(parts)

    def exactly(self, count: int) -> bytes:
        parts = []
        while count > len(self._buffer) - self._at:
            parts.append(self._buffer[self._at :])
            count -= len(parts[-1])
            self._next()
            if not self._buffer:
                raise InvalidError("ends in the middle of an object")
        parts.append(self._buffer[self._at : self._at + count])
        self._at += count
        return b"".join(parts)

    def _next(self) -> None:
        self._buffer, self._at = next(self._chunks, b""), 0
