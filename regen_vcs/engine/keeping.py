"""Edited bytes that are about to give way go into a store first, and are written down. Hot path."""

from __future__ import annotations

from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.observe import manifest_of, size_of_files
from regen_vcs.engine.planner import Observed, is_edited
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.workspace import Workspace


def rescue(ws: Workspace, path: str, seen: Observed, why: str) -> None:
    """Keep edited bytes that are about to give way, and write that down; once for the same bytes."""
    store_files(ws, path, seen)
    known = ((each["path"], each["hash"]) for each in ws.rescued.entries(ws.uuid))
    if (path, seen.hash) not in known:
        ws.rescued.add(ws.uuid, ws.root, path, seen.hash, size_of_files(seen.files), why)


def rescue_edited(ws: Workspace, here: Snapshot, path: str, why: str) -> None:
    """Keep what is on disk, if it was edited, before something else takes its place."""
    row, seen = ws.state.rows.get(path, EMPTY_ROW), here.seen(path)
    if seen.kind == "present" and is_edited(row, seen) and seen.hash != here.assets[path].facts.out_hash:
        rescue(ws, path, seen, why)


def store_files(ws: Workspace, path: str, seen: Observed) -> str:
    """Bring the bytes at an asset's path into keep; the hash of the asset. Verified against what was observed."""
    for each, found in seen.files.items():
        if not ws.stores.has(found[0]):
            ws.stores.ingest_file(f"{ws.root}/{each}", expect=found[0])
    if not (len(seen.files) == 1 and path in seen.files):
        ws.stores.ingest_bytes(manifest_of(path, seen.files))
    return seen.hash
