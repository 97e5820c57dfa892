"""Takes of the second layout that nobody has accepted: in the store, and noted here, never on disk.

On disk they would be edits to git, and the next `git commit -a` would accept them. A note counts for the key it was made
for, while its bytes are in a store: `<state dir>/in-place-takes.json`, written under the worktree's lock.
"""

from __future__ import annotations

import json
import os
from collections import namedtuple

from regen_vcs.engine.workspace import Workspace
from regen_vcs.platform.files import write_atomic

# kind: "proposed" or "drifted". key, hash: of the take.
NotedTake = namedtuple("NotedTake", ("kind", "key", "hash"))


def noted_takes(ws: Workspace) -> dict[str, NotedTake]:
    """{asset: the take that waits for it}, as far as their bytes are in a store."""
    return {path: note for path, note in _read(ws).items() if ws.stores.has(note.hash)}


def note_take(ws: Workspace, path: str, take: NotedTake | None) -> None:
    """Note a take of an asset, in place of an earlier one; None: there is none any more. OSError."""
    notes = _read(ws)
    if notes.get(path) == take:
        return
    if take is None:
        del notes[path]
    else:
        notes[path] = take
    os.makedirs(ws.repo.state_dir, exist_ok=True)
    write_atomic(_path(ws), json.dumps({"version": 1, "takes": notes}, separators=(",", ":")).encode())


def _path(ws: Workspace) -> str:
    return os.path.join(ws.repo.state_dir, "in-place-takes.json")


def _read(ws: Workspace) -> dict[str, NotedTake]:
    try:
        with open(_path(ws), "rb") as file:
            return {path: NotedTake(*note) for path, note in json.load(file)["takes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # lost notes lose no bytes: they are in keep, under their key
