"""What was rescued: edited bytes that gave way, by hash, and the way back."""

from __future__ import annotations

import os
from collections.abc import Mapping

from regen_vcs.engine.observe import member_path, read_manifest
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.git.blobs import tree_blobs
from regen_vcs.git.index import blob_oid
from regen_vcs.model.manifest import Member
from regen_vcs.model.paths import parse_sequence


def rescued_here(ws: Workspace, *, everywhere: bool = False) -> list[dict]:
    """Rescue log entries, oldest first: {"at", "repo", "worktree", "path", "hash", "size", "why"}."""
    return ws.rescued.entries(None if everywhere else ws.uuid)


def restore(ws: Workspace, entries: list[dict], prefix: str, target: str | None) -> str:
    """Write rescued bytes to a new file (or folder); where. Nothing that exists is overwritten."""
    prefix = prefix.removeprefix("blake3:").lower()
    found = {each["hash"]: each for each in entries if each["hash"].startswith(prefix)}
    if not found:
        raise UsageError(f"nothing rescued begins with {prefix}", "see: regen-vcs rescued")
    if len(found) > 1:
        raise UsageError(f"{len(found)} rescued files begin with {prefix}", "give more digits")
    (whole, entry), = found.items()
    if target is None:
        stem, suffix = os.path.splitext(os.path.join(ws.root, entry["path"]))
        target = f"{stem}.rescued-{whole[:8]}{suffix}"
    if os.path.lexists(target):
        raise RegenError(f"{target}: exists already", "say where to put it: --to FILE")
    _write(ws, whole, target, entry)
    return target


def keep_documents(ws: Workspace, documents: Mapping[str, bytes], why: str) -> None:
    """Keep the texts of recipes ({path of the file in git: its bytes}) that are about to go and that HEAD has not: nothing else may have them."""
    committed = {path: oid for oid, path in tree_blobs(ws.repo, "HEAD") if path in documents}
    for path, data in documents.items():
        if data and committed.get(path) != blob_oid(data, ws.repo.oid_format):
            digest, size = ws.stores.ingest_bytes(data)
            ws.rescued.add(ws.uuid, ws.root, path, digest, size, why)


def _write(ws: Workspace, whole: str, target: str, entry: dict) -> None:
    if not ws.stores.has(whole):
        raise RegenError(f"{entry['path']}: its rescued bytes are in no store any more", "run: regen-vcs fsck")
    members = _members(ws, whole)
    # A plain file may read like a manifest; then its size is not that of the files it speaks of.
    if members is None or sum(member.size for member in members) != entry["size"]:
        _copy(ws, whole, target)
        return
    for member in members:
        inner = member_path(os.path.basename(entry["path"]), member.name) if parse_sequence(entry["path"]) else member.name
        _copy(ws, member.hash, os.path.join(target, *inner.split("/")))


def _members(ws: Workspace, whole: str) -> tuple[Member, ...] | None:
    try:
        return read_manifest(ws.stores, whole)
    except RegenError:
        return None  # a plain file


def _copy(ws: Workspace, file_hash: str, target: str) -> None:
    source = ws.stores.find(file_hash)
    if source is None:
        raise RegenError(f"object {file_hash[:12]}… is in no store any more", "run: regen-vcs fsck")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as reading, open(target, "xb") as writing:
        while chunk := reading.read(1 << 20):
            writing.write(chunk)
