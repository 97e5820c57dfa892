"""Pins: a take that is kept whatever happens, with all its files. gc, eviction and demotion leave it alone."""

from __future__ import annotations

import time

from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.pins import Pins


def pin(ws: Workspace, hash: str, note: str = "", *, path: str | None = None, is_tree: bool | None = None) -> dict:
    """Keep an object: it and, of a directory or sequence, all its files are in keep afterwards; the pin's entry.

    path: the asset it is a take of, for whoever reads the list. is_tree: whether it is a manifest; None: as its bytes look.
    RegenError where it, or one of its files, is in no local store.
    """
    stores = ws.stores
    with stores.relying():
        members = _members(stores, hash, is_tree)
        for each in (hash, *members):
            if not stores.has(each):
                raise RegenError(f"object {each[:12]}… is in no local store, so it cannot be pinned", "run: regen-vcs sync, or regen-vcs fetch")
        entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "members": members, "note": note, "repo": ws.uuid}
        if path is not None:
            entry["path"] = path
        Pins(stores.keep.root).add(hash, entry)  # first: what is pinned stays, even if we die before it has moved
        for each in (*members, hash):
            _into_keep(stores, each)
    return entry


def unpin(ws: Workspace, hash: str) -> bool:
    """Take a pin away; whether there was one. The bytes stay where they are until gc decides about them."""
    return Pins(ws.stores.keep.root).remove(hash)


def pinned(keep_root: str) -> dict[str, dict]:
    """{hash: entry} of every pinned object in a store (`<keep>/v1`), the files of a directory or sequence among them.

    An entry says `at`, `note`, `repo`, `members`, perhaps `path`; that of a file says `of`, whose it is. RegenError where
    the pins are there and cannot be listed.
    """
    found = Pins(keep_root).entries()
    for hash, entry in list(found.items()):
        members = entry.get("members")
        for member in members if isinstance(members, list) else ():
            if isinstance(member, str):
                found.setdefault(member, {"of": hash})
    return found


def is_hash(text: str) -> bool:
    """Whether a word may be (the beginning of) an object's hash: eight digits at least."""
    bare = text.removeprefix("blake3:")
    return 8 <= len(bare) <= 64 and set(bare) <= set("0123456789abcdef")


def find_object(ws: Workspace, text: str) -> str:
    """The hash of the one object in the local stores that begins so. RegenError for none, UsageError for several."""
    bare = text.removeprefix("blake3:")
    if len(bare) == 64:
        return bare
    places = (*ws.stores.stores, *ws.stores.trashes)
    found = {hash for store in places for hash in store if hash.startswith(bare)}
    if len(found) > 1:
        raise UsageError(f"{text}: begins the hashes of {len(found)} objects", "say more of it")
    if not found:
        raise RegenError(f"{text}: is no object of the local stores", "regen-vcs show ASSET lists the takes of an asset")
    return found.pop()


def _members(stores: LocalStores, hash: str, is_tree: bool | None) -> list[str]:
    """The hashes of a manifest's files, each once; [] for anything else."""
    if is_tree is False:
        return []
    try:
        return list(dict.fromkeys(member.hash for member in read_manifest(stores, hash)))
    except InvalidError:
        if is_tree:
            raise
        return []


def _into_keep(stores: LocalStores, hash: str) -> None:
    if not any(store.has(hash) for store in stores.stores):
        stores.restore(hash)  # gc had swept it
    if not stores.promote(hash):
        raise RegenError(f"object {hash[:12]}… went away while it was being pinned", "run: regen-vcs sync, then pin it again")
