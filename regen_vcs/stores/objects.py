"""Objects: bytes named by their own BLAKE3, in keep (what cannot be made again) and cache (what can).

Plain files, no database, nothing to repair: any process may die at any instant. Hot path.

    <root>/objects/9f/2c…            an object: read-only, sealed (seal.py)
    <root>/objects/[9f/]tmp-…        half an object, by a process that lives or died (durable.py)
    <root>/quarantine/9f2c…-…        bytes that are not what their name said; never returned
    <root>/trash/objects/9f/2c…      swept by gc, still found
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from io import FileIO

from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError, RegenError
from regen_vcs.platform import files
from regen_vcs.stores import digest, durable, links
from regen_vcs.stores.reliance import Reliance
from regen_vcs.stores.seal import is_sealed, set_seal

_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache: regen-vcs makes or fetches everything in it again.
# See https://bford.info/cachedir/
"""
_FULL_DISK = "free some space (regen-vcs gc --free SIZE), or move the store (regen.keepDir, regen.cacheDir)"
_HEX = frozenset("0123456789abcdef")


class ObjectStore:
    """One folder of objects.

    `tag_folder`: where a CACHEDIR.TAG belongs, for a store whose content can be made again.
    `pending`: the batch that is open, or None.
    """

    def __init__(self, root_abs: str, *, tag_folder: str | None = None):
        self.root = root_abs
        self.pending: durable.Batch | None = None
        self._objects = f"{root_abs}/objects"
        self._tag_folder = tag_folder

    # -- asking ----------------------------------------------------------------------------------------------------

    def path_of(self, hash: str) -> str:
        """Where an object of that name is, or would be. InvalidError for what is no hash."""
        if len(hash) != 64 or not hash.isalnum():  # no separators, no dots: the name stays inside the store
            raise InvalidError(f"{hash!r}: not a BLAKE3 hash of 64 hexadecimal digits")
        return f"{self._objects}/{hash[:2]}/{hash[2:]}"

    def stat(self, hash: str) -> os.stat_result | None:
        """The stat of a sound object, else None. One whose seal is broken is re-hashed here and now."""
        return self._stat_at(self.path_of(hash), hash)

    def _stat_at(self, path: str, hash: str) -> os.stat_result | None:
        try:
            st = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise files.write_error(error, f"looking for an object in {self.root}") from error
        return st if is_sealed(st, hash) else self._examine(hash, path)[1]

    def find(self, hash: str) -> str | None:
        """The path of a sound object, else None."""
        path = self.path_of(hash)
        return None if self._stat_at(path, hash) is None else path

    def has(self, hash: str) -> bool:
        """Whether a sound object of that name is here now."""
        return self.stat(hash) is not None

    def size_of(self, hash: str) -> int | None:
        """Bytes of a sound object; None if there is none."""
        st = self.stat(hash)
        return None if st is None else st.st_size

    def open(self, hash: str) -> FileIO:
        """A sound object, to be read; the caller closes it. RegenError if there is none."""
        if self.has(hash):
            try:
                return open(self.path_of(hash), "rb", buffering=0)
            except FileNotFoundError:
                pass  # swept between the two
            except OSError as error:
                raise files.write_error(error, f"reading {self.path_of(hash)}") from error
        raise missing(hash)

    def read_bytes(self, hash: str) -> bytes:
        """An object's bytes, hashed while read. CorruptionError (and quarantine) if wrong; RegenError if none."""
        with self.open(hash) as file:
            data = file.read()
            inode = os.fstat(file.fileno()).st_ino
        if blake3(data).hexdigest() != hash:
            self.quarantine(hash, inode)
            raise corrupt(hash, self.root)
        return data

    def verify(self, hash: str) -> bool:
        """Hash the whole object, seal or no seal. False if it is missing or wrong; a wrong one is quarantined."""
        return self.examine(hash) is True

    def examine(self, hash: str) -> bool | None:
        """Hash the whole object: True sound, False wrong (quarantined where possible), None not there. RegenError."""
        return self._examine(hash, self.path_of(hash))[0]

    def __iter__(self) -> Iterator[str]:
        """The hashes of everything stored here, sound or not, in no particular order."""
        for shard in _list_dir(self._objects):
            if len(shard) == 2 and _HEX.issuperset(shard):
                for name in _list_dir(f"{self._objects}/{shard}"):
                    if len(name) == 62 and _HEX.issuperset(name):
                        yield shard + name

    def temps(self) -> Iterator[str]:
        """The paths of all temporaries, living and dead."""
        for shard in _list_dir(self._objects):
            path = f"{self._objects}/{shard}"
            if shard.startswith(durable.TEMP_PREFIX):
                yield path
            elif len(shard) == 2:
                for name in _list_dir(path):
                    if name.startswith(durable.TEMP_PREFIX):
                        yield f"{path}/{name}"

    # -- doubt -----------------------------------------------------------------------------------------------------

    def _examine(self, hash: str, path: str) -> tuple[bool | None, os.stat_result | None]:
        """(as `examine`, stat of a sound object). A sound one is sealed anew."""
        try:
            fd = digest.open_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            return None, None
        except InvalidError:
            self.quarantine(hash)
            return False, None
        except OSError as error:
            raise files.write_error(error, f"reading {path}") from error
        try:
            if digest.hash_fd(fd)[0] != hash:
                self.quarantine(hash, os.fstat(fd).st_ino)
                return False, None
            if not is_sealed(os.fstat(fd), hash):
                _reseal(fd, path, hash)
            return True, os.fstat(fd)
        except OSError as error:
            raise RegenError(
                f"object {hash[:12]}… cannot be read from {self.root}: {error.strerror}", "check the disk, then regen-vcs fsck"
            ) from error
        finally:
            os.close(fd)

    def quarantine(self, hash: str, inode: int | None = None) -> str | None:
        """Take an object out of the store without losing its bytes; where they are now. None if that failed.

        inode: of the file found wrong, since a sound one may have come in its place meanwhile.
        """
        aside = f"{self.root}/quarantine/{hash}-{files.temp_tag()}"
        try:
            os.makedirs(os.path.dirname(aside), exist_ok=True)
            files.replace(self.path_of(hash), aside)
            if inode is not None and os.lstat(aside).st_ino != inode:
                files.replace(aside, self.path_of(hash))
                return None
        except OSError:
            return None  # gone already, or a read-only store: it is not returned either way
        return aside

    # -- storing ---------------------------------------------------------------------------------------------------

    def ingest_file(
        self, source: str | int, *, expect: str | None = None, known: Callable[[str], bool] | None = None
    ) -> tuple[str, int]:
        """Store a regular file, given by absolute path or descriptor; (hash, size) of what was stored.

        expect: the hash these bytes must have, else CorruptionError and nothing is stored.
        known: whether an object need not be stored again; by default whether it is here.
        FileNotFoundError if there is no such file; InvalidError for symlinks and devices; RegenError for a full or
        read-only disk.
        """
        if isinstance(source, int):
            os.lseek(source, 0, os.SEEK_SET)
            return self._ingest_fd(source, f"descriptor {source}", expect, known or self.has)
        fd = _open_source(source)
        try:
            return self._ingest_fd(fd, source, expect, known or self.has)
        finally:
            os.close(fd)

    def ingest_bytes(
        self, data: bytes, *, expect: str | None = None, known: Callable[[str], bool] | None = None, label: str = "bytes"
    ) -> tuple[str, int]:
        """Store bytes; (hash, size). Errors as in `ingest_file`."""
        hash = blake3(data).hexdigest()
        _check_expected(hash, expect, label)
        if not (known or self.has)(hash):
            self._store_small(hash, data, label)
        return hash, len(data)

    def ingest_stream(
        self, chunks: Iterable[bytes], *, expect: str | None = None, known: Callable[[str], bool] | None = None,
        label: str = "a download",
    ) -> tuple[str, int]:
        """Store what an iterable yields; (hash, size). If it raises, nothing is stored. Errors as in `ingest_file`."""

        def fill(fd: int) -> tuple[str, int]:
            hasher, size = blake3(), 0
            for chunk in chunks:
                hasher.update(chunk)
                files.write_all(fd, chunk)
                size += len(chunk)
            return hasher.hexdigest(), size

        return self._store_unnamed(fill, label, expect, known or self.has)

    def batch(self) -> durable.Batching:
        """A context in which objects are stored without being visible; they all become so at its end.

        Costs two flushes of the file system in place of two per object. What must be in the store before something
        else is deleted must be ingested outside of a batch, or in one that has ended.
        """
        return durable.Batching(self, self.root)

    def is_pending(self, hash: str) -> bool:
        """Whether an open batch of this process has the object."""
        return self.pending is not None and self.path_of(hash) in self.pending

    def remove(self, hash: str) -> bool:
        """Delete an object; whether there was one. RegenError if it cannot be."""
        path = self.path_of(hash)
        if files.remove_file(path):
            return True
        if os.path.lexists(path):
            raise RegenError(f"{path}: cannot be removed", "check the permissions of the store")
        return False

    def _ingest_fd(self, fd: int, label: str, expect: str | None, known: Callable[[str], bool]) -> tuple[str, int]:
        size = os.fstat(fd).st_size
        if size <= digest.SMALL:
            try:
                data = digest.read_small(fd, size)
            except OSError as error:
                raise _unreadable(label, error) from error
            if data is not None:
                return self.ingest_bytes(data, expect=expect, known=known, label=label)
        if expect is not None and known(expect):
            try:
                hash, size = digest.hash_fd(fd)  # nothing to write: only to see whether the source is what it should be
            except OSError as error:
                raise _unreadable(label, error) from error
            _check_expected(hash, expect, label)
            return hash, size
        return self._store_unnamed(lambda temp_fd: _copy_hashed(fd, temp_fd), label, expect, known)

    def _store_small(self, hash: str, data: bytes, label: str) -> None:
        final = self.path_of(hash)
        if self.is_pending(hash):
            return
        try:
            fd, temp = self._create_temp(os.path.dirname(final))
        except OSError as error:
            raise files.write_error(error, f"storing {label} in {self.root}", _FULL_DISK) from error
        self._finish(fd, temp, label, lambda: (files.write_all(fd, data), hash)[1], None, None)

    def _store_unnamed(
        self, fill: Callable[[int], tuple[str, int]], label: str, expect: str | None, known: Callable[[str], bool]
    ) -> tuple[str, int]:
        """Store bytes whose name is known only when they are written: the temporary lies above the shards."""
        try:
            fd, temp = self._create_temp(self._objects)
        except OSError as error:
            raise files.write_error(error, f"storing {label} in {self.root}", _FULL_DISK) from error
        size = 0

        def write() -> str:
            nonlocal size
            hash, size = fill(fd)
            return hash

        return self._finish(fd, temp, label, write, expect, known), size

    def _finish(
        self, fd: int, temp: str, label: str, write: Callable[[], str], expect: str | None,
        known: Callable[[str], bool] | None,
    ) -> str:
        """Fill, seal, flush, close and name a temporary; its hash. Whatever goes wrong, it is removed."""
        try:
            try:
                hash = write()
                _check_expected(hash, expect, label)
                final = self.path_of(hash)
                needed = known is None or not (self.is_pending(hash) or known(hash))
                if needed:
                    set_seal(fd, temp, hash)
                    if self.pending is None:
                        files.flush_file(fd)
            finally:
                os.close(fd)
            if needed:
                self._name(temp, final)
            else:
                files.remove_file(temp)
        except OSError as error:
            files.remove_file(temp)
            raise files.write_error(error, f"storing {label} in {self.root}", _FULL_DISK) from error
        except BaseException:
            files.remove_file(temp)
            raise
        return hash

    def _name(self, temp: str, final: str) -> None:
        if not temp.startswith(final[:-62]):  # written above the shards, since its name was not known yet
            durable.make_folder(os.path.dirname(final), self.pending)
        if self.pending is not None:
            self.pending.add(temp, final)
        else:
            durable.publish(temp, final)

    def tag(self) -> None:
        """Say to cleaners and backup programs that this is a cache, if it is one and that was not said yet. OSError."""
        if self._tag_folder is not None:
            self._write_tag()

    def _create_temp(self, folder: str) -> tuple[int, str]:
        self.tag()
        return durable.create_temp(folder, self.pending)

    def _write_tag(self) -> None:
        folder, self._tag_folder = self._tag_folder, None
        tag = f"{folder}/CACHEDIR.TAG"
        if not os.path.lexists(tag):
            os.makedirs(folder, exist_ok=True)
            files.write_atomic(tag, _TAG)


class LocalStores:
    """Keep and cache as one: an object is in one of them. Both may be the same folder.

    The roots are `<keep>/v1` and `<cache>/v1`. Nothing is created before something is stored.
    """

    def __init__(self, keep_root: str, cache_root: str):
        keep_root, cache_root = os.path.abspath(keep_root), os.path.abspath(cache_root)
        self.keep = ObjectStore(keep_root)
        self.is_one = os.path.realpath(keep_root) == os.path.realpath(cache_root)
        self.cache = self.keep if self.is_one else ObjectStore(cache_root, tag_folder=_tag_folder(keep_root, cache_root))
        self.stores = (self.keep,) if self.is_one else (self.keep, self.cache)
        self.trashes = tuple(ObjectStore(f"{store.root}/trash") for store in self.stores)
        # The stores once more at the end: what somebody moved between two of these while we looked is there.
        self._places = self.stores + self.trashes + self.stores
        self._reliance = Reliance(keep_root)

    # -- relying ---------------------------------------------------------------------------------------------------

    def relying(self) -> Reliance:
        """A context in which gc removes nothing that was found or stored here (stores/reliance.py).

        For whoever is about to refer to objects: from the first look to the moment when a sidecar, an index or a lease does.
        """
        return self._reliance

    # -- asking ----------------------------------------------------------------------------------------------------

    def find(self, hash: str) -> str | None:
        """The path of a sound object: in keep, in cache, or in what gc has swept but not yet deleted."""
        for store in self._places:
            path = store.find(hash)
            if path is not None:
                self._reliance.note(hash)
                return path
        return None

    def has(self, hash: str) -> bool:
        """Whether `find` would find it now."""
        return self.find(hash) is not None

    def holder(self, hash: str) -> ObjectStore | None:
        """The store, keep or cache, that holds a sound object of that name."""
        for store in self.stores:
            if store.stat(hash) is not None:
                self._reliance.note(hash)
                return store
        return None

    def size_of(self, hash: str) -> int | None:
        """Bytes of a sound object; None if there is none."""
        path = self.find(hash)
        return None if path is None else os.stat(path).st_size

    def read_bytes(self, hash: str) -> bytes:
        """An object's bytes, verified. A wrong copy is quarantined and the next one tried.

        CorruptionError if there were only wrong ones; RegenError if there was none.
        """
        wrong = None
        for store in self.stores + self.trashes:
            try:
                if store.has(hash):
                    return store.read_bytes(hash)
            except CorruptionError as error:
                wrong = error
        raise wrong or missing(hash)

    def verify(self, hash: str) -> bool:
        """Hash every copy. True if a sound one is left; wrong ones are quarantined."""
        return any([store.verify(hash) for store in self.stores + self.trashes])

    def __iter__(self) -> Iterator[str]:
        """The hashes in keep and cache, sound or not."""
        for store in self.stores:
            yield from store

    # -- storing ---------------------------------------------------------------------------------------------------

    def ingest_file(self, source: str | int, *, proven: bool = False, expect: str | None = None) -> tuple[str, int]:
        """Store a file, in cache if it is `proven` that its bytes can come back, else in keep; (hash, size).

        What keep or cache holds already stays where it is. Errors as in `ObjectStore.ingest_file`.
        """
        return self._stored(self._for(proven).ingest_file(source, expect=expect, known=self._is_held))

    def ingest_bytes(self, data: bytes, *, proven: bool = False, expect: str | None = None) -> tuple[str, int]:
        """Store bytes; otherwise as `ingest_file`."""
        return self._stored(self._for(proven).ingest_bytes(data, expect=expect, known=self._is_held))

    def ingest_stream(
        self, chunks: Iterable[bytes], *, proven: bool = False, expect: str | None = None
    ) -> tuple[str, int]:
        """Store what an iterable yields; otherwise as `ingest_file`."""
        return self._stored(self._for(proven).ingest_stream(chunks, expect=expect, known=self._is_held))

    def batch(self) -> _BothBatches:
        """`ObjectStore.batch` of keep and cache."""
        return _BothBatches([store.batch() for store in self.stores])

    def place(self, hash: str, tree, path: str, *, link: str = "copy") -> files.StatSig:
        """Put an object's bytes at a path of a `Tree`; the new file's signature. RegenError if it is in no store."""
        source = self.find(hash)
        if source is None:
            raise missing(hash)
        return links.place(source, tree, path, link=link)

    def _stored(self, result: tuple[str, int]) -> tuple[str, int]:
        self._reliance.note(result[0])
        return result

    def _for(self, proven: bool) -> ObjectStore:
        return self.cache if proven else self.keep

    def _is_held(self, hash: str) -> bool:
        return any(store.is_pending(hash) for store in self.stores) or self.holder(hash) is not None

    # -- moving ----------------------------------------------------------------------------------------------------

    def promote(self, hash: str) -> bool:
        """Cache → keep: it cannot be made again after all, or somebody pinned it. Whether it is in keep now."""
        return self._move(hash, self.cache, self.keep)

    def demote(self, hash: str) -> bool:
        """Keep → cache: it is proven now that its bytes can come back. Whether it is in cache now."""
        return self._move(hash, self.keep, self.cache)

    def discard(self, hash: str) -> bool:
        """Move an object into its store's trash, where `find` still finds it; whether there was one."""
        return any([self._move(hash, s, t) for s, t in zip(self.stores, self.trashes, strict=True) if s.has(hash)])

    def restore(self, hash: str) -> bool:
        """Take an object out of the trash again; whether it is back in its store."""
        return any([self._move(hash, t, s) for s, t in zip(self.stores, self.trashes, strict=True) if t.has(hash)])

    def _move(self, hash: str, source: ObjectStore, target: ObjectStore) -> bool:
        """One store's object into another: by rename, or copied, verified and only then removed."""
        if target.has(hash):
            if source is not target:
                source.remove(hash)
            return True
        if not source.has(hash):
            return False
        final = target.path_of(hash)
        try:
            durable.make_folder(os.path.dirname(final))
            durable.publish(source.path_of(hash), final)
        except FileNotFoundError:
            return target.has(hash)  # another process moved or swept it
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise files.write_error(error, f"moving an object into {target.root}", _FULL_DISK) from error
            target.ingest_file(source.path_of(hash), expect=hash)
            source.remove(hash)
        return True


class _BothBatches:
    """Several batches entered and left as one."""

    def __init__(self, batches: list[durable.Batching]):
        self._batches = batches

    def __enter__(self) -> None:
        for each in self._batches:
            each.__enter__()

    def __exit__(self, *error: object) -> None:
        first = None
        for each in self._batches:
            try:
                each.__exit__(*error)
            except RegenError as failure:
                first = first or failure
        if first:
            raise first


def missing(hash: str) -> RegenError:
    """The error for an object that no local store has."""
    return RegenError(f"object {hash[:12]}… is in no local store", "run: regen-vcs fetch, or regen-vcs regenerate")


def corrupt(hash: str, where: str) -> CorruptionError:
    """The error for an object whose bytes are not what its name says."""
    return CorruptionError(f"object {hash[:12]}… in {where} was damaged; it is in quarantine now", "run: regen-vcs fsck")


def _copy_hashed(src_fd: int, temp_fd: int) -> tuple[str, int]:
    """Bring a large file into a temporary: by sharing its blocks where that can be, else by copying them."""
    if files.clone_file(src_fd, temp_fd):
        return digest.hash_fd(temp_fd)  # of the clone: the source may change at any time
    from regen_vcs.stores.pump import pump  # threads and queues, which small files need not load

    return pump(src_fd, temp_fd)


def _check_expected(hash: str, expect: str | None, label: str) -> None:
    if expect is not None and hash != expect:
        raise CorruptionError(f"{label}: its bytes are {hash[:12]}…, not {expect[:12]}… as they should be")


def _open_source(path: str) -> int:
    try:
        return digest.open_regular(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(label: str, error: OSError) -> RegenError:
    return RegenError(f"{label}: cannot be read: {error.strerror or error}")


def _reseal(fd: int, path: str, hash: str) -> None:
    try:
        set_seal(fd, path, hash)
    except OSError:
        pass  # a read-only store, or somebody else's: it will be hashed again next time


def _list_dir(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _tag_folder(keep_root: str, cache_root: str) -> str:
    """`<cache>` of `<cache>/v1`; the root itself where that would call keep a cache as well."""
    parent, name = os.path.split(cache_root)
    return cache_root if name != "v1" or f"{keep_root}/".startswith(f"{parent}/") else parent


__all__ = ["LocalStores", "ObjectStore", "corrupt", "missing"]
