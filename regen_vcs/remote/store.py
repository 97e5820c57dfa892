"""A remote, open: the layout, verification and compression over whatever bucket it lives in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from threading import Lock
from typing import BinaryIO

from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError
from regen_vcs.model.canonical import canonical_bytes, parse_json
from regen_vcs.remote import layout, packing
from regen_vcs.remote.base import Held, Refused, Remote, RemoteStore
from regen_vcs.remote.bucket import Bucket, Content, Unlistable, content_of
from regen_vcs.remote.probing import probe, read_small
from regen_vcs.remote.steady import Steady

BUFFERED = 1 << 20  # bytes: an object up to here is verified before its first byte is passed on
_MOST_RECORDS = 1000  # of one key
_MOST_NAMES = 50_000_000  # a listing that never ends is no listing


class LayoutStore(RemoteStore):
    """A remote in a bucket. Safe to use from many threads; `close` when done."""

    def __init__(self, remote: Remote, bucket: Bucket, patience: float):
        self.remote = remote
        self._bucket = bucket
        self._steady = Steady(remote.name, patience)
        self._marked = False
        self._marking = Lock()

    # -- objects ---------------------------------------------------------------------------------------------------

    def has(self, hash: str) -> bool:
        name = layout.object_name(hash)
        return self._steady.call(lambda: self._bucket.size(name)) is not None

    def open_object(self, hash: str, size: int | None = None) -> Iterator[bytes] | None:
        """As base.py says. size: the object's own bytes where they are known; what claims to be more is cut off there.

        An object of up to BUFFERED bytes is verified before anything of it is passed on, and fetched once more if it
        is wrong. Of a larger one the caller learns after the last chunk: it asks once more.
        """
        first = self._open(hash, size)
        if first is None:
            return None
        try:
            return self._verified(hash, first)
        except CorruptionError:
            again = self._open(hash, size)
        return None if again is None else self._verified(hash, again)

    def _open(self, hash: str, size: int | None) -> Iterator[bytes] | None:
        stream = self._steady.stream(self._bucket, layout.object_name(hash))
        return None if stream is None else self._own_bytes(hash, stream[1], size)

    def _own_bytes(self, hash: str, stored: Iterator[bytes], size: int | None) -> Iterator[bytes]:
        """The object's bytes; CorruptionError, by name, in place of the last chunk's end where they are not."""
        hasher = blake3()
        try:
            for chunk in packing.unpack(stored, size):
                hasher.update(chunk)
                yield chunk
        except CorruptionError as error:
            raise self._corrupt(hash, error.what) from error
        if hasher.hexdigest() != hash:
            raise self._corrupt(hash, "its bytes are not what its name says")

    def _verified(self, hash: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks; those of a small object only when all of it was right."""
        first: list[bytes] = []
        held = 0
        for chunk in chunks:
            first.append(chunk)
            held += len(chunk)
            if held > BUFFERED:
                return chain(first, chunks)
        return iter(first)

    def _corrupt(self, hash: str, why: str) -> CorruptionError:
        return CorruptionError(
            f"remote {self.remote.name}: object {hash}: {why}",
            f"regen-vcs push {self.remote.name} from a machine that has it puts the right bytes there",
        )

    def put_object(self, hash: str, source: BinaryIO, size: int) -> int:
        """As base.py says. source: seekable; it is read from its start, once more for every retry.

        The bytes themselves are not hashed here: they come out of a store that has verified them.
        """
        name = layout.object_name(hash)
        content, sent = _counted(packing.pack(source, size))
        self._write(name, content)
        return sent[0]

    def list_objects(self) -> Iterator[Held]:
        """As base.py says. Unlistable (a Refused) where the server does not say what it has."""
        seen = set()
        for name, size in self._listed(layout.OBJECTS, 1, _MOST_NAMES):
            hash = layout.parse_object_name(name)
            if hash is not None and hash not in seen:
                seen.add(hash)
                yield Held(hash, size)

    def remove_objects(self, hashes: Iterable[str]) -> None:
        self._require_writable()
        names = [layout.object_name(hash) for hash in hashes]
        self._steady.call(lambda: self._bucket.remove(names))
        self._steady.call(self._bucket.sweep)

    # -- records and recipes ---------------------------------------------------------------------------------------

    def put_record(self, key: str, output_hash: str, record: bytes) -> None:
        self._write(layout.record_name(key, output_hash, blake3(record).hexdigest()), content_of(record))

    def records(self, key: str) -> Iterator[tuple[str, bytes]]:
        """As base.py says; nothing where the server cannot list."""
        try:
            names = list(self._listed(layout.records_prefix(key), 1, _MOST_RECORDS))
        except Unlistable:
            return
        for name, _ in names:
            parts = layout.parse_record_name(name, key)
            data = self._small(name) if parts else None
            if data is not None and blake3(data).hexdigest() == parts[1] and _is_canonical(data):
                yield parts[0], data

    def put_recipe(self, key: str, data: bytes) -> None:
        self._write(layout.recipe_name(key), content_of(data))

    def recipe(self, key: str) -> bytes | None:
        """As base.py says. What is larger than a recipe can be is none."""
        return self._small(layout.recipe_name(key))

    # -- the place itself ------------------------------------------------------------------------------------------

    def establish(self) -> None:
        """Make the place a remote: its folder, where it is one, and its mark. Done already: nothing happens.

        `remote add` calls this, and it alone makes a folder. InvalidError and NewerFormat for a place that is something
        else. A read-only remote is only looked at.
        """
        if self.remote.read_only:
            self._read_mark()
            return
        self._steady.call(self._bucket.establish)
        if not self._read_mark():
            self._write_mark()

    def probe(self) -> str | None:
        return probe(self.remote, self._bucket, self._steady)

    def close(self) -> None:
        """Let go of connections and descriptors. A later call opens what it needs again."""
        self._bucket.close()

    def __enter__(self) -> LayoutStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- in between ------------------------------------------------------------------------------------------------

    def _write(self, name: str, content: Content) -> None:
        self._require_writable()
        self._require_mark()
        self._steady.call(lambda: self._bucket.write(name, content), from_first_failure=True)

    def _require_writable(self) -> None:
        if self.remote.read_only:
            raise Refused(f"remote {self.remote.name} is read-only here", f"git config --unset regen.remote.{self.remote.name}.readOnly")

    def _require_mark(self) -> None:
        """Nothing is written to a place of a later layout. A place without a mark gets one; a folder says it is not there."""
        if self._marked:
            return
        with self._marking:
            if not self._marked and not self._read_mark():
                self._write_mark()

    def _write_mark(self) -> None:
        self._steady.call(lambda: self._bucket.write(layout.MARK, content_of(layout.mark_bytes())), from_first_failure=True)
        self._marked = True

    def _read_mark(self) -> bool:
        data = self._small(layout.MARK)
        if data is None:
            return False
        layout.check_mark(data, f"remote {self.remote.name}")
        self._marked = True
        return True

    def _listed(self, prefix: str, depth: int, most: int) -> Iterator[tuple[str, int]]:
        """At most so many names, ours or not. One that broke begins anew: a name may come twice."""
        return islice(self._steady.listing(lambda: self._bucket.list(prefix, depth)), most)

    def _small(self, name: str) -> bytes | None:
        return read_small(self._bucket, self._steady, name)


def _is_canonical(data: bytes) -> bool:
    try:
        value = parse_json(data)
        return isinstance(value, dict) and canonical_bytes(value) == data
    except InvalidError:
        return False


def _counted(content: Content) -> tuple[Content, list[int]]:
    """The same content, and a place where the bytes of the last pass over it stand."""
    sent = [0]

    def chunks() -> Iterator[bytes]:
        sent[0] = 0
        for chunk in content.chunks():
            sent[0] += len(chunk)
            yield chunk

    return Content(content.size, chunks), sent
