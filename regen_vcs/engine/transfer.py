"""Bringing objects from remotes into the local stores: from the first that has each, verified, many at once.

Whatever arrives whole stays, so that a transfer that was ended goes on where it was. What comes from a durable remote goes
into cache (it can be had again), the rest into keep.
"""

from __future__ import annotations

import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping

from regen_vcs.engine.connections import Connections
from regen_vcs.engine.known_remotely import KnownRemotely
from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.threading_over import CalledOff, over
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import CorruptionError, InvalidError, RegenError, RemoteError
from regen_vcs.model.manifest import MAX_BYTES
from regen_vcs.remote.base import Refused, Remote, Unreachable

# An asset's accepted bytes. size: of them all, in bytes; is_tree: the hash is a manifest's.
Bytes = namedtuple("Bytes", ("path", "hash", "size", "is_tree"))

# What is flushed to the disk at once: so much is fetched again at most if the machine dies.
_ROUND_OBJECTS, _ROUND_BYTES = 2048, 512 << 20
_TELLING = 1 << 20  # bytes of one object between two notes of progress


class Meter:
    """What a transfer has done so far, counted by its threads and read by whoever draws it.

    total: bytes in all, as far as known; done; objects: how many are through, of `expected`; moved: bytes sent or received.
    """

    def __init__(self, on_change: Callable[[Meter], None] | None = None):
        self.total = self.done = self.objects = self.expected = self.moved = 0
        self._on_change = on_change
        self._guard = threading.Lock()

    def expect(self, objects: int, total: int) -> None:
        with self._guard:
            self.expected += objects
            self.total += total

    def add(self, count: int) -> None:
        with self._guard:
            self.done += count
            self.moved += count

    def finish(self, size: int, counted: int, *, moved: int | None = None) -> None:
        """An object is through, of which `counted` bytes were added before."""
        with self._guard:
            self.done += size - counted
            self.moved += (size if moved is None else moved) - counted
            self.objects += 1

    def tick(self) -> None:
        """Called by the thread that waits, a few times a second. What it raises ends the transfer."""
        if self._on_change:
            self._on_change(self)


class Fetching:
    """One command's fetches. After it, `brought` says from where each object came: {hash: name of the remote}."""

    def __init__(self, ws: Workspace, connections: Connections, meter: Meter | None = None):
        self._ws, self._connections = ws, connections
        self._meter = meter or Meter()
        self._off = threading.Event()
        self.brought: dict[str, str] = {}

    def assets(self, wanted: Iterable[Bytes]) -> dict[str, RegenError]:
        """Bring whole assets; {path: why not} of those that are not all here afterwards."""
        wanted = list(wanted)
        stores = self._ws.stores
        first = {each.hash: MAX_BYTES if each.is_tree else each.size for each in wanted if not stores.has(each.hash)}
        self._meter.expect(len(first), sum(each.size for each in wanted if not each.is_tree and each.hash in first))
        errors = self.objects(first, expected=True)
        failed = {each.path: _of_asset(each.path, errors[each.hash]) for each in wanted if each.hash in errors}
        failed.update(self._members([each for each in wanted if each.is_tree and each.path not in failed]))
        return failed

    def _members(self, trees: list[Bytes]) -> dict[str, RegenError]:
        """The files of directories and sequences whose manifests are here."""
        failed: dict[str, RegenError] = {}
        members: dict[str, list] = {}
        sizes: dict[str, int] = {}
        for tree in trees:
            try:
                members[tree.path] = [each for each in read_manifest(self._ws.stores, tree.hash)]
            except RegenError as error:
                failed[tree.path] = _of_asset(tree.path, error)
                continue
            sizes.update((each.hash, each.size) for each in members[tree.path] if not self._ws.stores.has(each.hash))
        errors = self.objects(sizes)
        for path, each in members.items():
            wrong = next((errors[member.hash] for member in each if member.hash in errors), None)
            if wrong is not None:
                failed[path] = _of_asset(path, wrong)
        return failed

    def objects(self, sizes: Mapping[str, int | None], *, expected: bool = False) -> dict[str, RegenError]:
        """Bring objects, {hash: bytes it may have at most, None: unknown}; {hash: why not} of those that could not be had.

        RegenError where they cannot be stored: a full disk is no fault of any one of them.
        """
        if not expected:
            self._meter.expect(len(sizes), sum(size or 0 for size in sizes.values()))
        errors: dict[str, RegenError] = {}
        began, moved = time.monotonic(), self._meter.moved
        for part in _rounds(sizes):
            with self._ws.stores.batch():
                for (hash, _), remote, error in over(self._bring, part, tick=self._meter.tick, called_off=self._off):
                    if error is None:
                        self.brought[hash] = remote
                    elif isinstance(error, _NotHad):
                        errors[hash] = error.error
                    else:
                        raise error
        self._note_speed(time.monotonic() - began, self._meter.moved - moved, len(sizes) - len(errors))
        return errors

    def _bring(self, wanted: tuple[str, int | None]) -> str:
        """One object, from the first remote that has it right; that remote's name."""
        hash, size = wanted
        why: list[RegenError] = []
        for remote in self._order(hash):
            known = self._connections.known(remote)
            try:
                if self._bring_from(remote, known, hash, size):
                    return remote.name
            except (Unreachable, Refused) as error:
                self._connections.give_up(remote, error)
                why.append(error)
            except CorruptionError as error:
                why.append(error)
        raise _NotHad(_worst(hash, why, self._connections))

    def _order(self, hash: str) -> list[Remote]:
        """As configured, but first those that are known to have had it."""
        remotes = self._connections.remotes
        return sorted(remotes, key=lambda remote: not self._connections.known(remote).has(hash))

    def _bring_from(self, remote: Remote, known: KnownRemotely, hash: str, size: int | None) -> bool:
        """False where the remote has no such object. CorruptionError names the remote."""
        store = self._connections.open(remote)
        for attempt in (1, 2):  # a flipped bit on the way is gone the next time
            chunks = store.open_object(hash, size)
            if chunks is None:
                known.note_absent(hash)
                return False
            counted = [0]
            try:
                _, length = self._ws.stores.ingest_stream(
                    self._counted(chunks, counted), proven=remote.durable, expect=hash
                )
            except CorruptionError as error:
                self._meter.add(-counted[0])
                if attempt == 2:
                    raise _named(remote, hash, error) from error
                continue
            self._meter.finish(length, counted[0])
            known.note_verified(hash)
            return True
        return False

    def _counted(self, chunks: Iterator[bytes], counted: list[int]) -> Iterator[bytes]:
        untold = 0
        for chunk in chunks:
            if self._off.is_set():
                raise CalledOff
            yield chunk
            untold += len(chunk)
            if untold >= _TELLING:
                self._meter.add(untold)
                counted[0] += untold
                untold = 0

    def _note_speed(self, seconds: float, moved: int, objects: int) -> None:
        """For the next estimate. A few small objects say nothing about bytes a second."""
        if objects <= 0 or len(self._connections.remotes) != 1:
            return
        note_speed(self._connections.known(self._connections.remotes[0]), seconds, moved, objects)


def fetch_objects(
    ws: Workspace, hashes: Mapping[str, int | None], connections: Connections, *, meter: Meter | None = None
) -> dict[str, RegenError]:
    """Bring objects from the remotes into the local stores; {hash: why not} of those that could not be had.

    hashes: {hash: the bytes it may have at most, None where nobody knows}.
    """
    return Fetching(ws, connections, meter).objects({hash: size for hash, size in hashes.items() if not ws.stores.has(hash)})


def note_speed(known: KnownRemotely, seconds: float, moved: int, objects: int) -> None:
    """Remember how quick a transfer was, for estimates: `moved` bytes in `objects` objects, in wall-clock seconds."""
    if seconds < 0.05:
        return
    each = seconds / objects
    rate = moved / seconds
    if moved / objects < 1 << 16:  # what was measured is the cost of asking
        rate = max(rate, known.speed[0] if known.speed else rate)
    known.note_speed(max(rate, 1.0), min(each, 1.0))


def estimate_seconds(remote_url: str, known: KnownRemotely, size: int) -> float:
    """How long one object of that size takes among many: as the last transfers went, else a guess by the kind of remote."""
    near = "://" not in remote_url or remote_url.startswith(("file:", "memory:"))
    guess = (200e6, 0.001) if near else (12.5e6, 0.005)
    rate, each = known.speed or guess
    return max(size / rate, min(each, 0.05))


class _NotHad(RegenError):
    """No remote gave an object; `error` is for the user."""

    def __init__(self, error: RegenError):
        super().__init__(error.what, error.hint)
        self.error = error


def _rounds(sizes: Mapping[str, int | None]) -> Iterator[list[tuple[str, int | None]]]:
    part: list[tuple[str, int | None]] = []
    held = 0
    for hash, size in sizes.items():
        part.append((hash, size))
        held += size or 0
        if len(part) >= _ROUND_OBJECTS or held >= _ROUND_BYTES:
            yield part
            part, held = [], 0
    if part:
        yield part


def _named(remote: Remote, hash: str, error: CorruptionError) -> CorruptionError:
    """The error with the remote's name in it, whoever found it."""
    if remote.name in error.what:
        return error
    return CorruptionError(
        f"remote {remote.name}: object {hash[:12]}… is not what its name says; it was not used",
        f"see: regen-vcs remote check {remote.name} --all",
    )


def _worst(hash: str, why: list[RegenError], connections: Connections) -> RegenError:
    """Why an object could not be had, for the user: wrong bytes, a remote that does not answer, or nobody has it."""
    for error in why:
        if isinstance(error, CorruptionError):
            return error
    for error in [*why, *connections.failures.values()]:
        return error
    return RegenError(f"object {hash[:12]}… is in no store here and in no remote", "push it from where it was made: regen-vcs push")


def _of_asset(path: str, error: RegenError) -> RegenError:
    """The same error, about an asset."""
    what = f"{path}: {error.what}"
    for kind in (CorruptionError, InvalidError, RemoteError):
        if isinstance(error, kind):
            return kind(what, error.hint)
    return RegenError(what, error.hint)
