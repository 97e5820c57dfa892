"""Keeping media out of git: the managed block of `.git/info/exclude` follows the assets."""

from __future__ import annotations

import os
from collections.abc import Iterable

from blake3 import blake3

from regen_vcs.engine.workspace import Workspace
from regen_vcs.git.ignore import ignore_patterns, write_exclude
from regen_vcs.model.paths import parse_sequence
from regen_vcs.platform.tree import TEMP_PREFIX

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from regen_vcs.engine.sync import Snapshot

# What a killed process may leave beside an asset; the next sync that touches the folder does not mind it.
_LEFTOVERS = f"{TEMP_PREFIX}*"


def refresh_ignores(ws: Workspace, snapshot: Snapshot, also: Iterable[str] = ()) -> list[str]:
    """Rewrite the block if the assets are others than last time; the assets no pattern can express (a newline).

    also: paths that are about to become assets.
    """
    paths = [
        path + "/" if is_directory(snapshot, path) else path
        for path in snapshot.assets
        if path not in snapshot.refused
    ]
    # Assets whose sidecars are gone but which lie here still (the filter leaves them for the next sync).
    paths += [path for path, row in ws.state.rows.items() if row.files and path not in snapshot.assets]
    paths += [f"{path}/" if os.path.isdir(f"{ws.root}/{path}") else path for path in also if path not in snapshot.assets]
    paths.sort()
    digest = blake3("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()
    if digest == ws.state.ignored:
        return [path for path in paths if "\n" in path]
    found = ignore_patterns(paths, exists=lambda folder: _names_in(ws.root, folder))
    write_exclude(ws.repo, [*found.patterns, _LEFTOVERS])
    ws.state.ignored = digest
    return found.inexpressible


def is_directory(snapshot: Snapshot, path: str) -> bool:
    if parse_sequence(path):
        return False
    seen = snapshot.seen(path)
    if seen.kind == "present":
        return path not in seen.files
    return snapshot.assets[path].facts.is_tree


def _names_in(root: str, folder: str) -> list[str]:
    """What lies in a folder: its own files, without what our own assets' sidecars are."""
    try:
        names = os.listdir(f"{root}/{folder}" if folder else root)
    except OSError:
        return []
    return [name for name in names if not name.endswith(".regen.json")]


