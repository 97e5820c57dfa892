"""`remote check`: whether a remote can be used, and whether all that it holds is what its names say."""

from __future__ import annotations

import threading
from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine.accepted import LOCAL_REFS, accepted_at
from regen_vcs.engine.connections import Connections
from regen_vcs.engine.known_remotely import KnownRemotely
from regen_vcs.engine.threading_over import CalledOff, over
from regen_vcs.engine.transfer import Meter
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import CorruptionError, InvalidError, RegenError, RemoteError
from regen_vcs.remote.base import Remote, RemoteStore
from regen_vcs.remote.bucket import Unlistable

# oddity: what its round trip found strange, or None. objects, bytes: that were read; corrupt: {hash: error}; listed: False
# where it does not say what it has, so that only what this repository accepts was looked at. error: why it cannot be used.
Checked = namedtuple("Checked", ("remote", "oddity", "objects", "bytes", "corrupt", "listed", "error"))


def check_remotes(
    ws: Workspace, remotes: list[Remote], *, objects: bool = False, on_change: Callable[[Meter], None] | None = None
) -> list[Checked]:
    """A round trip to each remote; objects: and every object of theirs is read and hashed."""
    with Connections(ws, remotes) as connections:
        return [_check(ws, connections, remote, objects, Meter(on_change)) for remote in remotes]


def _check(ws: Workspace, connections: Connections, remote: Remote, objects: bool, meter: Meter) -> Checked:
    try:
        store = connections.open(remote)
        oddity = store.probe()
        if not objects:
            return Checked(remote, oddity, 0, 0, {}, True, None)
        return _read_all(ws, store, connections.known(remote), meter)._replace(oddity=oddity)
    except (RemoteError, InvalidError) as error:
        return Checked(remote, None, 0, 0, {}, True, error)


def _read_all(ws: Workspace, store: RemoteStore, known: KnownRemotely, meter: Meter) -> Checked:
    listed = True
    try:
        held = [each.hash for each in store.list_objects()]
    except Unlistable:
        listed = False
        held = [each.hash for each in accepted_at(ws, LOCAL_REFS, history=True)]
    meter.expect(len(held), 0)
    off = threading.Event()
    corrupt: dict[str, RegenError] = {}
    found = total = 0

    def read(hash: str) -> int | None:
        chunks = store.open_object(hash)
        if chunks is None:
            return None
        size = 0
        for chunk in chunks:
            if off.is_set():
                raise CalledOff
            size += len(chunk)
            meter.add(len(chunk))
        meter.finish(size, size)
        return size

    for hash, size, error in over(read, held, tick=meter.tick, called_off=off):
        if isinstance(error, CorruptionError):
            corrupt[hash] = error
            known.note_held(hash)
        elif error is not None:
            raise error
        elif size is not None:
            known.note_verified(hash)
            found += 1
            total += size
    return Checked(store.remote, None, found, total, corrupt, listed, None)
