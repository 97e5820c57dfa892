"""What was rescued: edited bytes that gave way, by hash, and the way back."""

from __future__ import annotations

import os

from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.manifest import parse_manifest


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


def _write(ws: Workspace, whole: str, target: str, entry: dict) -> None:
    data_path = ws.stores.find(whole)
    if data_path is None:
        raise RegenError(f"{entry['path']}: its rescued bytes are in no store any more", "run: regen-vcs fsck")
    try:
        members = parse_manifest(ws.stores.read_bytes(whole)) if os.path.getsize(data_path) < 64 << 20 else None
    except RegenError:
        members = None  # a plain file
    if members is None:
        _copy(ws, whole, target)
        return
    for member in members:
        _copy(ws, member.hash, os.path.join(target, *member.name.split("/")))


def _copy(ws: Workspace, file_hash: str, target: str) -> None:
    source = ws.stores.find(file_hash)
    if source is None:
        raise RegenError(f"object {file_hash[:12]}… is in no store any more", "run: regen-vcs fsck")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as reading, open(target, "xb") as writing:
        while chunk := reading.read(1 << 20):
            writing.write(chunk)
