"""`s3://`, `gs://`, `az://` through obstore's sync calls: the fastest of the clients measured, from many threads.

obstore's own retries are off, since `steady.py` tries again for every kind of remote alike. Its silence limit counts
an upload's whole request, so uploads have clients of their own, whose limit also grants a part's time on a slow line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import chain
from threading import BoundedSemaphore, Lock

import obstore
from obstore.exceptions import BaseError

from regen_vcs.remote.bucket import Body, Bucket, Content, Transient
from regen_vcs.remote.cloud_errors import NotPartial, translate
from regen_vcs.remote.cloud_options import open_store
from regen_vcs.remote.urls import Address

PART = 5 << 20  # bytes: the smallest part S3 takes, so that a part's time says most about a silence
_BRISK = 256 << 10  # bytes: an upload up to here needs no time of its own
_SLOWEST_UPLOAD = 64 << 10  # bytes a second of one connection
_PARTS_AT_ONCE, _LARGE_AT_ONCE = 4, 2  # so a line of 4 Mbit/s still gives each connection the rate above
_TOGETHER = 512 << 10  # bytes of a download that are passed on together,
_LATE = 0.2  # or what came in so many seconds: a dripping server has to be seen as one
_ERRORS = (BaseError, OSError, NotImplementedError)


class CloudBucket(Bucket):
    """A prefix in a bucket or container. environ: where the provider's own chain looks first."""

    def __init__(self, address: Address, where: str, environ: Mapping[str, str], patience: float):
        self._address, self._where, self._environ, self._patience = address, where, environ, patience
        self._stores: dict[float, object] = {}
        self._opening = Lock()
        self._large = BoundedSemaphore(_LARGE_AT_ONCE)

    def _store(self, silence: float):
        """The client whose requests may be silent for so many seconds. A large limit makes a new one of it."""
        with self._opening:
            if silence not in self._stores:
                self._stores[silence] = open_store(self._address, self._where, self._environ, _client(self._patience, silence))
            return self._stores[silence]

    @property
    def _reader(self):
        return self._store(self._patience)

    def close(self) -> None:
        self._stores.clear()

    def size(self, name: str) -> int | None:
        store = self._reader
        try:
            return obstore.head(store, name)["size"]
        except _ERRORS as error:
            return self._absent(error, "reading")

    def read(self, name: str, start: int = 0) -> Body | None:
        store = self._reader
        try:
            result = obstore.get(store, name, options={"range": {"offset": start}} if start else None)
            begin, total = result.range[0], result.meta["size"]
        except _ERRORS as error:
            try:
                return self._absent(error, "reading")
            except NotPartial:  # it sends the whole and calls it a part, or the reverse
                return self.read(name)
        return Body(begin, total, self._chunks(result.stream(min_chunk_size=1)))

    def _chunks(self, stream) -> Iterator[bytes]:
        """The stream's pieces, a few together: what the network gives is small, and every piece costs Python its time."""
        waiting, length, since = [], 0, time.monotonic()
        failure = None
        while True:
            try:
                piece = next(stream, None)
            except _ERRORS as error:
                piece, failure = None, error
            if piece is not None:
                waiting.append(piece)
                length += len(piece)
            if waiting and (piece is None or length >= _TOGETHER or time.monotonic() - since >= _LATE):
                yield b"".join(waiting)  # what came before a break, too: the next try goes on behind it
                waiting, length, since = [], 0, time.monotonic()
            if failure is not None:
                raise translate(failure, self._where, "reading") from failure
            if piece is None:
                return

    def list(self, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        store = self._reader
        try:
            for page in obstore.list(store, prefix):
                yield from ((entry["path"], entry["size"]) for entry in page)
        except _ERRORS as error:
            raise translate(error, self._where, "listing") from error

    def write(self, name: str, content: Content) -> None:
        parts = _in_parts(content.chunks())
        first = next(parts, b"")
        try:
            if len(first) < PART:
                self._put_whole(name, first)
            else:
                self._put_parts(name, chain((first,), parts))
        except FileNotFoundError as error:  # what is written cannot be missing: its bucket is
            raise translate(error, self._where, "writing", bucket_missing=True) from error
        except _ERRORS as error:
            raise translate(error, self._where, "writing") from error

    def _put_whole(self, name: str, data: bytes) -> None:
        """One request: the server has all of `data`, or nothing becomes visible."""
        silence = self._patience + (0 if len(data) <= _BRISK else PART / _SLOWEST_UPLOAD)
        obstore.put(self._store(silence), name, data, use_multipart=False)

    def _put_parts(self, name: str, chunks: Iterable[bytes]) -> None:
        count = _Count(chunks)
        with self._large:
            store = self._store(self._patience + PART / _SLOWEST_UPLOAD)
            obstore.put(store, name, count, chunk_size=PART, max_concurrency=_PARTS_AT_ONCE)
        if self.size(name) != count.bytes:
            raise Transient("an upload arrived with another size")

    def remove(self, names: Iterable[str]) -> None:
        store, wanted = self._reader, list(names)
        if not wanted:
            return
        try:
            obstore.delete(store, wanted)
        except FileNotFoundError:
            self._remove_each(store, wanted)
        except _ERRORS as error:
            raise translate(error, self._where, "removing") from error

    def _remove_each(self, store, names: list[str]) -> None:
        """Where one name that is not there keeps the others from going."""
        for name in names:
            try:
                obstore.delete(store, name)
            except _ERRORS as error:
                self._absent(error, "removing")

    def establish(self) -> None:
        """A bucket has its owner and its bill: it is never made here."""

    def sweep(self) -> None:
        """What uploads in parts leave behind, the bucket's life-cycle rule removes (docs/remotes.md)."""

    def _absent(self, error: Exception, doing: str) -> None:
        """None where the error says that nothing is there; any other is raised in our words."""
        translated = translate(error, self._where, doing)
        if translated is not None:
            raise translated from error


class _Count:
    """An iterator that counts the bytes it gives out."""

    def __init__(self, chunks: Iterable[bytes]):
        self._chunks, self.bytes = iter(chunks), 0

    def __iter__(self) -> _Count:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.bytes += len(chunk)
        return chunk


def _in_parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of PART or a little more, the last one shorter."""
    part = bytearray()
    for chunk in chunks:
        part += chunk
        if len(part) >= PART:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _client(patience: float, silence: float) -> dict[str, dict]:
    """Options of every kind of store: no retries, no limit on a whole transfer, one on each silence."""
    return {
        "client_options": {
            "connect_timeout": timedelta(seconds=patience),
            "read_timeout": timedelta(seconds=silence),
            "timeout": timedelta(days=7),  # a film over a slow line; the default would end it after 30 s
            "allow_http": True,
        },
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=patience)},
    }
