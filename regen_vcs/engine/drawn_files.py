"""Small files in the user's cache that are drawn from something, to be looked at: stand-ins, thumbnails.

They lie outside of every worktree, under the hash of all that they are drawn from, and go when nobody has asked for them for a
month. They are no media of anybody's: nothing stores, accepts or hashes them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from blake3 import blake3

from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.platform.files import write_atomic, write_error

_KEPT = 30 * 86400.0  # seconds


class DrawnFiles:
    """One kind of them: a folder beside those of the cache that fsck and gc know every file of."""

    def __init__(self, ws: Workspace, kind: str):
        self._folder = os.path.join(ws.settings.get("cacheDir"), kind)

    def file(self, drawn_from: Mapping[str, object], ending: str, draw: Callable[[], bytes]) -> str:
        """The absolute path of what `draw` makes of `drawn_from` (JSON): it is called where that is not there yet. RegenError."""
        path = f"{self._folder}/{blake3(canonical_bytes(dict(drawn_from))).hexdigest()[:32]}{ending}"
        try:
            os.utime(path)
        except OSError:
            data = draw()
            try:
                os.makedirs(self._folder, exist_ok=True)
                write_atomic(path, data)
            except OSError as error:
                raise write_error(error, f"writing {path}") from error
        return path

    def prune(self) -> None:
        """Files that nobody has asked for in a month; never an error: another process may be at it."""
        oldest = time.time() - _KEPT
        try:
            with os.scandir(self._folder) as entries:
                old = [entry.path for entry in entries if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest]
            for path in old:
                os.unlink(path)
        except OSError:
            return
