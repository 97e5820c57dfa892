"""Keeping media out of git: the managed block of `.git/info/exclude` follows the assets."""

from __future__ import annotations

import os
from collections.abc import Iterable

from blake3 import blake3

from regen_vcs.engine.memory import Row
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError
from regen_vcs.git.ignore import ignore_patterns, write_exclude
from regen_vcs.model.paths import check_asset_path, parse_sequence
from regen_vcs.platform.tree import TEMP_PREFIX

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from regen_vcs.engine.snapshot import Snapshot

# What a killed process may leave beside an asset; the next sync that touches the folder does not mind it.
_LEFTOVERS = f"{TEMP_PREFIX}*"


def refresh_ignores(ws: Workspace, snapshot: Snapshot, also: Iterable[str] = ()) -> None:
    """Rewrite the block if the assets are others than last time. also: paths that are about to become assets."""
    paths = [each for path in snapshot.assets if _is_nameable(snapshot, path) for each in _as_named(snapshot, path)]
    # Assets whose sidecars are gone but which lie here still (the filter leaves them for the next sync).
    paths += [path for path, row in ws.state.rows.items() if path not in snapshot.assets and _is_here(snapshot, path, row)]
    paths += [f"{path}/" if os.path.isdir(f"{ws.root}/{path}") else path for path in also if path not in snapshot.assets]
    paths.sort()
    digest = blake3("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()
    if digest == ws.state.ignored:
        return
    write_exclude(ws.repo, [*ignore_patterns(paths, exists=lambda folder: _names_in(ws.root, folder)), _LEFTOVERS])
    ws.state.ignored = digest


def _is_nameable(snapshot: Snapshot, path: str) -> bool:
    """Whether an asset's pattern does no harm. One that git tracks inside may have one; `.gitignore` may not."""
    if path not in snapshot.refused:
        return True
    try:
        check_asset_path(path)
    except InvalidError:
        return False
    return True


def _as_named(snapshot: Snapshot, path: str) -> list[str]:
    """A file, a directory (`path/`), or both while one is about to take the other's place."""
    if parse_sequence(path):
        return [path]
    seen, facts = snapshot.seen(path), snapshot.assets[path].facts
    kinds = {facts.is_tree} if facts.out_hash else set()
    if seen.kind == "present":
        kinds.add(path not in seen.files)
    return [path + "/" if is_tree else path for is_tree in sorted(kinds or {False})]


def _is_here(snapshot: Snapshot, path: str, row: Row) -> bool:
    if row.disk_hash is None:
        return False  # never ours: announced by an `add` that died before it wrote the sidecar
    return snapshot.seen(path).kind == "present" if path in snapshot.observed else bool(row.files)


def _names_in(root: str, folder: str) -> list[str]:
    """What lies in a folder: its own files, without what our own assets' sidecars are."""
    try:
        names = os.listdir(f"{root}/{folder}" if folder else root)
    except OSError:
        return []
    return [name for name in names if not name.endswith(".regen.json")]


