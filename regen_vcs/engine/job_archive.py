"""The container of job and result files: a ZIP without compression that holds one JSON document and objects by hash.

    job.json (or result.json)        canonical JSON
    objects/<BLAKE3, 64 hex digits>  the bytes that it names, each once

The same content gives the same bytes. Whoever reads one believes nothing: no name in it becomes a path, what it
declares is bounded by its own size on disk, and every object is hashed while it is read.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError, NewerFormat, RegenError
from regen_vcs.model.canonical import Json, canonical_bytes, parse_json
from regen_vcs.platform.files import remove_file, replace, temp_tag, write_error

MAX_DOCUMENT_BYTES = 64 << 20  # a result of 100,000 frames
MAX_ENTRIES = 1 << 20
_MAX_DIRECTORY_BYTES = 256 << 20  # of a million entries with names as ours are

_OBJECT = re.compile(r"objects/([0-9a-f]{64})")
_CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can say
_FILE_MODE = (stat.S_IFREG | 0o644) << 16

# What zipfile raises for files that are none.
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError, struct.error)


def write_archive(path: str, name: str, document: Json, objects: Mapping[str, str | bytes]) -> None:
    """Write one, replacing what is at `path`. objects: {hash: absolute path, or the bytes themselves}.

    CorruptionError where bytes are not what their hash says; RegenError where it cannot be written. What is there and no
    file, such as a device, is not replaced.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise RegenError(f"{path}: is not a regular file, and is not replaced", "name a file: -o FILE")
    temp = f"{path}.{temp_tag()}.tmp"
    try:
        with open(temp, "xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _add(archive, name, canonical_bytes(document), None)
            for digest in sorted(objects):
                _add(archive, f"objects/{digest}", objects[digest], digest)
        replace(temp, path)
    except OSError as error:
        raise write_error(error, f"writing {path}") from error
    finally:
        remove_file(temp)


def _add(archive: zipfile.ZipFile, name: str, source: str | bytes, expect: str | None) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr = 3, _FILE_MODE  # as on Unix, wherever this runs
    info.file_size = len(source) if isinstance(source, bytes) else os.path.getsize(source)
    hasher = blake3()
    with archive.open(info, "w") as entry:
        for chunk in _chunks(source):
            hasher.update(chunk)
            entry.write(chunk)
    if expect is not None and hasher.hexdigest() != expect:
        raise CorruptionError(f"{name}: its bytes changed while they were packed")


def _chunks(source: str | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with open(source, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


class Archive:
    """One that is being read. Use `open_archive`."""

    def __init__(self, path: str, file: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str):
        self.path, self._file, self._entries = path, file, entries
        self.document = self._read_document(name)

    def require(self, digest: str, size: int) -> None:
        """InvalidError unless it holds an object of this hash and size."""
        entry = self._entries.get(f"objects/{digest}")
        if entry is None:
            raise InvalidError(f"{self.path}: lacks object {digest[:12]}…, which it names")
        if entry.file_size != size:
            raise InvalidError(f"{self.path}: object {digest[:12]}… has {entry.file_size} bytes, not {size}")

    def holds_only(self, wanted: set[str]) -> None:
        """InvalidError where it holds objects that its document does not name."""
        strange = {name.removeprefix("objects/") for name in self._entries if name.startswith("objects/")} - wanted
        if strange:
            raise InvalidError(f"{self.path}: holds object {min(strange)[:12]}…, which nothing names")

    def read(self, digest: str, limit: int) -> bytes:
        """An object's bytes. InvalidError where there are more than `limit`; CorruptionError where they are others."""
        if self._entries[f"objects/{digest}"].file_size > limit:
            raise InvalidError(f"{self.path}: object {digest[:12]}… is larger than {limit >> 20} MiB")
        return b"".join(self._verified(digest))

    def copy(self, digest: str, target: str) -> None:
        """Write an object to a new file. CorruptionError where its bytes are not what its name says."""
        with open(target, "xb") as file:
            for chunk in self._verified(digest):
                file.write(chunk)

    def _verified(self, digest: str) -> Iterator[bytes]:
        entry = self._entries[f"objects/{digest}"]
        hasher = blake3()
        for chunk in self._stream(entry):
            hasher.update(chunk)
            yield chunk
        if hasher.hexdigest() != digest:
            raise CorruptionError(f"{self.path}: object {digest[:12]}… holds other bytes")

    def _stream(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        left = entry.file_size
        try:
            with self._file.open(entry) as reading:
                while left > 0 and (chunk := reading.read(min(_CHUNK, left))):
                    left -= len(chunk)
                    yield chunk
        except _BROKEN as error:
            raise CorruptionError(f"{self.path}: {entry.filename} is damaged: {error}") from None
        if left:
            raise CorruptionError(f"{self.path}: {entry.filename} ends too early")

    def _read_document(self, name: str) -> dict[str, Json]:
        entry = self._entries.get(name)
        if entry is None:
            raise InvalidError(f"{self.path}: has no {name}, so it is another kind of file")
        if entry.file_size > MAX_DOCUMENT_BYTES:
            raise InvalidError(f"{self.path}: {name} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB")
        try:
            document = parse_json(b"".join(self._stream(entry)), max_bytes=MAX_DOCUMENT_BYTES)
        except InvalidError as error:
            raise InvalidError(f"{self.path}: {name}: {error.what}") from None
        if not isinstance(document, dict):
            raise InvalidError(f"{self.path}: {name} is not an object")
        return document


@contextmanager
def open_archive(path: str, name: str) -> Iterator[Archive]:
    """Open one whose document is called `name`. InvalidError for anything that `write_archive` would not have written."""
    with _open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _check_end(path, file, size)
            archive = zipfile.ZipFile(file)
        except _BROKEN as error:
            raise InvalidError(f"{path}: is damaged, or not a file of regen-vcs: {error}") from None
        with archive:
            yield Archive(path, archive, _checked_entries(path, archive.infolist(), name, size), name)


@contextmanager
def _open_regular(path: str) -> Iterator[BinaryIO]:
    """A pipe would make us wait, a device never end."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        fd = os.open(path, flags)
    except OSError as error:
        raise RegenError(f"{path}: {error.strerror or error}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidError(f"{path}: is not a regular file")
    with open(fd, "rb") as file:
        yield file


def _check_end(path: str, file: BinaryIO, size: int) -> None:
    """What is at a ZIP's end says how long its directory is, which zipfile reads at once: bounded before it does.

    Ours have no comment, so the record is the last 22 bytes; of large ones a second record before it has the numbers.
    """
    file.seek(max(0, size - 98))
    tail = file.read(98)
    end = tail[-22:]
    if len(end) < 22 or not end.startswith(b"PK\5\6") or end[20:] != b"\0\0":
        raise zipfile.BadZipFile("its end is missing")
    entries, length = struct.unpack("<8x 2x H L 4x 2x", end)
    if tail[-42:-38] == b"PK\6\7":  # zipfile believes the second record wherever there is one
        entries, length = struct.unpack("<24x 8x Q Q 8x 42x", tail)
    if entries > MAX_ENTRIES or length > min(size, _MAX_DIRECTORY_BYTES):
        raise InvalidError(f"{path}: claims to hold {entries:,} files, more than any job has")
    file.seek(0)


def _checked_entries(path: str, infos: list[zipfile.ZipInfo], name: str, size: int) -> dict[str, zipfile.ZipInfo]:
    """{name: entry}. Nothing is compressed, so all of it together cannot be larger than the file it stands in."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.filename in entries:
            raise InvalidError(f"{path}: holds {info.filename!r} twice")
        if info.filename != name and not _OBJECT.fullmatch(info.filename):
            raise InvalidError(f"{path}: holds {info.filename!r}, which is no part of it")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise InvalidError(f"{path}: {info.filename} is compressed; these files never are")
        if info.flag_bits & 1 or stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise InvalidError(f"{path}: {info.filename} is not a plain file")
        entries[info.filename] = info
    if len(entries) > MAX_ENTRIES or sum(info.file_size for info in entries.values()) > size:
        raise InvalidError(f"{path}: claims to hold more than its own size")
    return entries


def check_format(path: str, document: Mapping[str, Json], field: str, known: int) -> None:
    """The version of a document: InvalidError where it has none, NewerFormat where it is not ours to read."""
    version = document.get(field)
    if type(version) is not int or version < 1:
        raise InvalidError(f'{path}: "{field}" must be {known}')
    if version > known:
        raise NewerFormat(f"{path}: written by a newer regen-vcs", "use the newer version")
