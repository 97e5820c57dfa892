"""Lossless compression of what gains by it. The name stays that of the bytes before it.

A packed object begins with one line, `regen-pack 1 <method> <planes> <size>`; anything else is the bytes as they are.
Bytes that begin like that line by themselves are packed too (method `stored`), so there is one reading only.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import zstandard

from regen_vcs.errors import CorruptionError, RegenError
from regen_vcs.remote.bucket import Content

_MAGIC = b"regen-pack "
_LONGEST_LINE = 64
_LINE = re.compile(rb"regen-pack 1 (stored|zstd) ([1-8]) (0|[1-9][0-9]{0,17})\n\Z")
BLOCK = 1 << 20  # bytes that are laid out in planes together
_LEVEL = 1  # the best bytes for the time, measured (docs/decisions/0012-remotes.md)
_WINDOW = 8 << 20  # memory a reader grants; level 1 uses less
_SAMPLE = 64 << 10
_LEAST = 512  # bytes below which a line and a frame cost more than they save
_WORTH = 0.95  # of the size; a remote's reader has to unpack it every time
_READ = 256 << 10
# Bytes a sample takes: 2 half floats and 16 bit sound, 3 24 bit sound, 4 floats; twice that in stereo. 1: as it is.
_PLANES = (1, 2, 3, 4, 6, 8)


class Header(NamedTuple):
    """method: "stored" or "zstd". planes: bytes a sample takes. size: bytes of the object itself."""

    method: str
    planes: int
    size: int


def pack(source: BinaryIO, size: int) -> Content:
    """What to send for an object of `size` bytes, from the start of `source`, which each pass reads anew.

    Decided by samples: what does not shrink goes as it is.
    """
    head = next(_read_all(source, size, BLOCK), b"")
    planes = _best_planes(head) if size >= _LEAST else None
    if planes is None and not head.startswith(_MAGIC):
        return Content(size, _once_more(source, size, lambda chunks: chunks))
    header = Header("stored", 1, size) if planes is None else Header("zstd", planes, size)
    line = b"regen-pack 1 %s %d %d\n" % (header.method.encode(), header.planes, size)
    length = None if planes else len(line) + size
    return Content(length, _once_more(source, size, lambda chunks: _packed(line, header, chunks)))


def unpack(chunks: Iterator[bytes], limit: int | None) -> Iterator[bytes]:
    """The object's own bytes from the stored ones. limit: the most it can rightly be, None where unknown.

    CorruptionError (without the object's name) for what does not fit its header or passes the limit; what was given
    out by then is the caller's to throw away. Never more memory than a block and a window, whatever the bytes claim.
    """
    start = b""
    while len(start) < _LONGEST_LINE and (chunk := next(chunks, None)) is not None:
        start += chunk
    if not start.startswith(_MAGIC):
        return _bounded(_with(start, chunks), limit, exact=False)
    header, rest = _parse_header(start)
    if limit is not None and header.size > limit:
        raise CorruptionError(f"claims {header.size} bytes where {limit} are right")
    stored = _with(rest, chunks)
    plain = stored if header.method == "stored" else _from_planes(_inflate(stored), header.planes)
    return _bounded(plain, header.size, exact=True)


def _parse_header(start: bytes) -> tuple[Header, bytes]:
    line, newline, rest = start.partition(b"\n")
    match = _LINE.match(line + newline) if len(line) < _LONGEST_LINE else None
    if match is None:
        raise CorruptionError("its packing is unknown here: damaged, or by a newer regen-vcs")
    return Header(match[1].decode(), int(match[2]), int(match[3])), rest


def _bounded(chunks: Iterator[bytes], limit: int | None, *, exact: bool) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if limit is not None and total > limit:
            raise CorruptionError("is larger than it can rightly be")
        if chunk:
            yield chunk
    if exact and total != limit:
        raise CorruptionError("is shorter than its header says")


def _with(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


# -- packing -------------------------------------------------------------------------------------------------------


def _once_more(source: BinaryIO, size: int, through: Callable[[Iterator[bytes]], Iterator[bytes]]) -> Callable[[], Iterator[bytes]]:
    return lambda: through(_read_all(source, size))


def _read_all(source: BinaryIO, size: int, at_once: int = _READ) -> Iterator[bytes]:
    try:
        source.seek(0)
        while chunk := source.read(at_once):
            size -= len(chunk)
            yield chunk
    except OSError as error:  # told apart from what the remote cannot do
        raise RegenError(f"an object could not be read to send it: {error.strerror or error}", "regen-vcs fsck") from error
    if size:
        raise CorruptionError("the object changed its length while it was sent")


def _packed(line: bytes, header: Header, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield line
    if header.method == "stored":
        yield from chunks
        return
    deflate = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size=header.size)
    for block in _blocks(chunks) if header.planes > 1 else chunks:
        out = deflate.compress(_to_planes(block, header.planes))
        if out:
            yield out
    yield deflate.flush()


def _best_planes(head: bytes) -> int | None:
    """The layout in which samples of the first block shrink most; None where none is worth it."""
    samples = [head[at : at + _SAMPLE] for at in {0, max(0, len(head) // 2 - _SAMPLE // 2)}]
    compress = zstandard.ZstdCompressor(level=_LEVEL).compress
    length = sum(map(len, samples))
    # Planes are for media; what is as small as this is a text, and would pay for the import of numpy.
    candidates = _PLANES if len(head) > _SAMPLE else _PLANES[:1]
    sizes = {planes: sum(len(compress(_to_planes(sample, planes))) for sample in samples) for planes in candidates}
    best = min(sizes, key=sizes.__getitem__)
    return best if sizes[best] < _WORTH * length else None


def _blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of BLOCK, the last one shorter."""
    waiting = io.BytesIO()
    for chunk in chunks:
        waiting.write(chunk)
        if waiting.tell() >= BLOCK:
            data = waiting.getvalue()
            whole = len(data) // BLOCK * BLOCK
            for at in range(0, whole, BLOCK):
                yield data[at : at + BLOCK]
            waiting = io.BytesIO()
            waiting.write(data[whole:])
    if waiting.tell():
        yield waiting.getvalue()


def _to_planes(block: bytes, planes: int) -> bytes:
    """First bytes of all samples, then all second ones, …, each as its difference to the one before; what is left over last."""
    if planes == 1:
        return block
    import numpy  # 0.1 s that only large media pay

    whole = len(block) // planes * planes
    laid_out = numpy.frombuffer(block, numpy.uint8, whole).reshape(-1, planes).T.reshape(-1)
    return numpy.diff(laid_out, prepend=numpy.uint8(0)).tobytes() + block[whole:]


# -- unpacking -----------------------------------------------------------------------------------------------------


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    source = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(_Reader(chunks), read_across_frames=False)
    try:
        while block := source.read(BLOCK):
            yield block
    except zstandard.ZstdError as error:
        raise CorruptionError("cannot be unpacked") from error


def _from_planes(chunks: Iterator[bytes], planes: int) -> Iterator[bytes]:
    if planes == 1:
        return chunks
    return (_undo_planes(block, planes) for block in _blocks(chunks))


def _undo_planes(block: bytes, planes: int) -> bytes:
    import numpy

    whole = len(block) // planes * planes
    laid_out = numpy.cumsum(numpy.frombuffer(block, numpy.uint8, whole), dtype=numpy.uint8)
    return laid_out.reshape(planes, -1).T.tobytes() + block[whole:]


class _Reader(io.RawIOBase):
    """An iterator of chunks as the file zstandard reads from."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks, self._left = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
