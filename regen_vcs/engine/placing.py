"""Where an accepted take's objects belong: in cache once it is proven that its very bytes come back, else in keep."""

from __future__ import annotations

from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.pins import pinned
from regen_vcs.engine.proofs import BYTES, Proof
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError


def place(ws: Workspace, hash: str, proof: Proof | None) -> None:
    """Move a take, and the files of a directory or sequence, to where they belong. What is pinned or was rescued stays in keep.

    proof: what counts now. RegenError where a store cannot be written.
    """
    stores = ws.stores
    if stores.is_one:
        return
    with stores.relying():
        hashes = _objects(ws, hash)
        if proof is None or proof.kind != BYTES:
            for each in hashes:
                stores.promote(each)
        elif any(stores.keep.has(each) for each in hashes):
            held = pinned(stores.keep.root).keys() | {entry.get("hash") for entry in ws.rescued.entries()}
            for each in hashes:
                if each not in held:
                    stores.demote(each)


def _objects(ws: Workspace, hash: str) -> list[str]:
    try:
        return [hash, *(member.hash for member in read_manifest(ws.stores, hash))]
    except RegenError:
        return [hash]  # a single file, or not here at all
