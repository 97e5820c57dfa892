"""`push`: to the remotes goes what is accepted and they lack; objects first, then what is known about them.

Only accepted bytes travel: no stand-in, no take that nobody chose. An object is hashed before it is sent, since under its
name others will rely on it.
"""

from __future__ import annotations

import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.engine.accepted import Accepted
from regen_vcs.engine.connections import Connections
from regen_vcs.engine.keeping import store_files
from regen_vcs.engine.known_remotely import KnownRemotely
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.offers import records_to_offer
from regen_vcs.engine.planner import Observed
from regen_vcs.engine.presence import find_held
from regen_vcs.engine.release import release_kept
from regen_vcs.engine.threading_over import over
from regen_vcs.engine.transfer import Meter, note_speed
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import CorruptionError, InvalidError, RegenError, RemoteError
from regen_vcs.remote.base import Remote, RemoteStore

# What one remote got, or with a dry run would get. objects, bytes: of those it lacked; held: how many it had;
# homeless: accepted, in no local store, and not there either; failed: {hash: error}; error: why it was given up, or None.
Pushed = namedtuple("Pushed", ("remote", "objects", "bytes", "held", "homeless", "failed", "error", "released"))

_HEX = frozenset("0123456789abcdef")


class Cargo:
    """What is to be in a remote: accepted objects with the members of their manifests, and the takes they are.

    `homeless`: what is in no local store, and so can only be there already.
    """

    def __init__(self, ws: Workspace, accepted: Iterable[Accepted]):
        self.ws = ws
        self.assets: dict[str, Accepted] = {}  # by every object's hash, members too
        self.takes: dict[str, list[Accepted]] = {}  # by output hash, of what was made
        self.sizes: dict[str, int] = {}
        self.homeless: dict[str, Accepted] = {}
        for each in accepted:
            self._add(each)

    def _add(self, one: Accepted) -> None:
        if not self._add_object(one.hash, one):
            return
        if one.key is not None:
            self.takes.setdefault(one.hash, []).append(one)
            self._add_inputs(one)
        if one.is_tree:
            try:
                members = read_manifest(self.ws.stores, one.hash)
            except RegenError:
                return  # a sidecar that calls a picture a folder: the object travels, and nobody unpacks it
            for member in members:
                self._add_object(member.hash, one)

    def _add_object(self, hash: str, one: Accepted) -> bool:
        if hash in self.sizes:
            return True
        size = self.ws.stores.size_of(hash)
        if size is None and hash == one.hash and _keep_what_lies_there(self.ws, one):
            size = self.ws.stores.size_of(hash)
        self.assets.setdefault(hash, one)
        if size is None:
            self.homeless.setdefault(hash, one)
            return False
        self.sizes[hash] = size
        return True

    def _add_inputs(self, one: Accepted) -> None:
        """Bytes that a take was made from and that only keep has: with them it can be made again elsewhere."""
        records = [each for each in self.ws.results.takes(one.key) if each["output_hash"] == one.hash]
        hashes = {str(value).removeprefix("blake3:") for each in records for value in _values(each.get("inputs"))}
        for hash in filter(_is_hash, hashes):
            size = self.ws.stores.keep.size_of(hash)
            if size is not None and hash not in self.sizes:
                self.sizes[hash] = size
                self.assets.setdefault(hash, one)


def _values(table: object) -> Iterable[object]:
    return table.values() if isinstance(table, dict) else ()


def _is_hash(text: str) -> bool:
    return len(text) == 64 and _HEX.issuperset(text)


def _keep_what_lies_there(ws: Workspace, one: Accepted) -> bool:
    """Store accepted bytes that only the worktree has (somebody emptied the cache); whether they are stored now."""
    row = ws.state.rows.get(one.path, EMPTY_ROW)
    if row.disk_hash != one.hash or not row.files:
        return False
    try:
        store_files(ws, one.path, Observed("present", row.disk_hash, row.files, False))
    except (RegenError, OSError):
        return False  # edited or gone since: then they are nowhere
    return True


class Pushing:
    """One command's push of one cargo, to one remote after the other."""

    def __init__(self, cargo: Cargo, connections: Connections, meter: Meter | None = None):
        self._cargo, self._ws = cargo, cargo.ws
        self._connections = connections
        self._meter = meter or Meter()
        self._off = threading.Event()

    def to(self, remote: Remote, *, dry_run: bool = False, trusting: bool = False) -> Pushed:
        """Bring a remote what it lacks. trusting: what it was last seen to hold counts as there (pre-push).

        RegenError where something here fails that is no fault of the remote.
        """
        known = self._connections.known(remote)
        try:
            store = self._connections.open(remote)
            held = self._held(store, known, trusting)
            lacking = {hash: size for hash, size in self._cargo.sizes.items() if hash not in held}
            homeless = [one for hash, one in self._cargo.homeless.items() if hash not in held]
            total = sum(lacking.values())
            if dry_run:
                return Pushed(remote, len(lacking), total, len(held), homeless, {}, None, 0)
            self._meter.expect(len(lacking), total)
            failed = self._upload(store, known, lacking)
            self._tell_of_takes(store, known, held | lacking.keys() - failed.keys(), lacking)
            released = release_kept(self._ws, store, known, lacking.keys() - failed.keys()) if remote.durable else 0
            sent = lacking.keys() - failed.keys()
            return Pushed(remote, len(sent), sum(lacking[each] for each in sent), len(held), homeless, failed, None, released)
        except (RemoteError, InvalidError) as error:
            self._connections.give_up(remote, error)
            return Pushed(remote, 0, 0, 0, [], {}, error, 0)
        finally:
            known.save()

    def _held(self, store: RemoteStore, known: KnownRemotely, trusting: bool) -> set[str]:
        everything = [*self._cargo.sizes, *self._cargo.homeless]
        remembered = {hash for hash in everything if known.has(hash)} if trusting else set()
        return remembered | find_held(store, [hash for hash in everything if hash not in remembered], known)

    def _upload(self, store: RemoteStore, known: KnownRemotely, lacking: dict[str, int]) -> dict[str, RegenError]:
        """Send these objects, large ones first: the last to end is then a small one. {hash: why it could not be sent}."""
        failed: dict[str, RegenError] = {}
        began, moved = time.monotonic(), self._meter.moved
        ordered = sorted(lacking, key=lacking.__getitem__, reverse=True)
        for hash, _, error in over(lambda hash: self._send(store, hash), ordered, tick=self._meter.tick, called_off=self._off):
            if error is None:
                known.note_verified(hash)
            elif isinstance(error, RemoteError):
                raise error
            else:
                failed[hash] = _of_object(self._cargo.assets[hash].path, error)
        if lacking:
            note_speed(known, time.monotonic() - began, self._meter.moved - moved, len(lacking))
        return failed

    def _send(self, store: RemoteStore, hash: str) -> None:
        stores = self._ws.stores
        path = stores.find(hash)
        if path is None or not stores.verify(hash) or (path := stores.find(hash)) is None:
            raise CorruptionError(f"object {hash[:12]}… in the store was damaged, and was not sent", "run: regen-vcs fsck")
        with open(path, "rb") as source:
            size = self._cargo.sizes[hash]
            sent = store.put_object(hash, source, size)
        self._meter.finish(size, 0, moved=sent)

    def _tell_of_takes(
        self, store: RemoteStore, known: KnownRemotely, there: set[str], fresh: Iterable[str]
    ) -> None:
        """The recipes and records of the takes that are there: what is known to have been told once is not told again,
        except of objects that the remote had lost."""
        fresh = set(fresh)
        notes = []
        for hash in self._cargo.takes.keys() & there:
            for take in self._cargo.takes[hash]:
                notes += records_to_offer(self._ws, take.key, hash)
        notes = [note for note in notes if note.output_hash in fresh or not known.was_put(note.mark)]
        for note, _, error in over(lambda note: note.put(store), notes, tick=self._meter.tick, called_off=self._off):
            if error is not None:
                raise error
            known.note_put(note.mark)


def _of_object(path: str, error: RegenError | OSError) -> RegenError:
    what = f"{path}: {error.what if isinstance(error, RegenError) else error.strerror or error}"
    return CorruptionError(what, error.hint) if isinstance(error, CorruptionError) else RegenError(what, getattr(error, "hint", None))


def push(
    ws: Workspace, accepted: Iterable[Accepted], remotes: list[Remote], *, dry_run: bool = False, trusting: bool = False,
    patience: float | None = None, on_change: Callable[[Meter], None] | None = None,
) -> list[Pushed]:
    """Bring what is accepted to each of these remotes; what became of it, remote by remote.

    trusting: what a remote was last seen to hold is not asked about again.
    """
    cargo = Cargo(ws, accepted)
    options = {} if patience is None else {"patience": patience}
    with Connections(ws, remotes, **options) as connections:
        pushing = Pushing(cargo, connections, Meter(on_change))
        return [pushing.to(remote, dry_run=dry_run, trusting=trusting) for remote in remotes]
