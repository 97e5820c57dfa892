"""Objects leave keep for cache once a durable remote verifiably holds them: they can come back from now on."""

from __future__ import annotations

from collections.abc import Iterable

from regen_vcs.engine.known_remotely import KnownRemotely
from regen_vcs.engine.pins import pinned
from regen_vcs.engine.presence import find_held
from regen_vcs.engine.workspace import Workspace
from regen_vcs.remote.base import RemoteStore
from regen_vcs.stores.demotion import demote_all


def release_kept(ws: Workspace, store: RemoteStore, known: KnownRemotely, uploaded: Iterable[str]) -> int:
    """Move what was just uploaded from keep into cache, if the remote says now that it has it; how many objects.

    Hashed before they were sent, and there after: no others leave, since under a name anybody may have put anything.
    Pinned and rescued bytes stay in keep. Unreachable, Refused: nothing has moved.
    """
    stores = ws.stores
    if stores.is_one:
        return 0
    stay = pinned(stores.keep.root).keys() | {str(each.get("hash")) for each in ws.rescued.entries()}
    leaving = [hash for hash in uploaded if hash not in stay and stores.keep.has(hash)]
    if not leaving:
        return 0
    there = find_held(store, leaving, known)
    for hash in there:
        known.note_verified(hash)
    with stores.relying():
        return demote_all(stores, there)
