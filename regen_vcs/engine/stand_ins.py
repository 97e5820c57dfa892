"""Stand-ins for assets that are not on disk: files in the user's cache, to be shown where the asset would be.

They lie outside of every worktree, under the hash of all that they are drawn from, and go when nobody has asked for them for a
month. They are no media of anybody's: nothing stores, accepts or hashes them.
"""

from __future__ import annotations

import os
import time
from collections import namedtuple
from collections.abc import Callable

from blake3 import blake3

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.prospects import estimate_seconds
from regen_vcs.engine.status import survey
from regen_vcs.engine.sync import Snapshot
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.quantities import human_duration
from regen_vcs.platform.files import write_atomic, write_error

FOLDER = "stand-ins"  # beside the cache's own folder, of which fsck and gc know every file
_KEPT = 30 * 86400.0  # seconds
_DRAWING = 1  # another number for each way of drawing

# file: absolute path. kind: "picture", "sequence" (one picture, to be repeated), "movie" or "sound".
StandIn = namedtuple("StandIn", ("path", "file", "kind"))


def make_stand_ins(ws: Workspace, wanted: Callable[[str], bool]) -> tuple[list[StandIn], dict[str, str]]:
    """(a stand-in for each accepted asset of these that is not on disk, {path: why there is none}). RegenError."""
    everything = survey(ws)
    snapshot = everything.snapshot
    missing = [each for each in everything.statuses if each.on_disk is None and each.output is not None and wanted(each.path)]
    snapshot.inputs.preload([snapshot.assets[each.path] for each in missing if each.path in snapshot.assets])
    folder = os.path.join(ws.settings.get("cacheDir"), FOLDER)
    made, without = [], {}
    for each in missing:
        desired = snapshot.assets.get(each.path)
        if desired is None or desired.facts.problem:
            continue
        try:
            made.append(_stand_in(folder, snapshot, desired))
        except ValueError as error:
            without[each.path] = str(error)
        except RegenError as error:
            without[each.path] = error.what
    _prune(folder)
    return made, without


def _stand_in(folder: str, snapshot: Snapshot, desired: Desired) -> StandIn:
    # Pillow and NumPy: only where there is something to draw.
    from regen_vcs.media.stand_in import ENDINGS, draw_stand_in, kind_of

    output = snapshot.inputs.recipe_of(desired).output
    media = dict(output.media)
    kind = kind_of(media, is_tree=desired.facts.is_tree)
    words = _words(estimate_seconds(snapshot, desired) if not desired.facts.is_source else None)
    drawn_from = canonical_bytes({"drawing": _DRAWING, "kind": kind, "media": media, "look": output.look or "", "words": words})
    file = f"{folder}/{blake3(drawn_from).hexdigest()[:32]}{ENDINGS[kind]}"
    try:
        os.utime(file)
    except OSError:
        data = draw_stand_in(kind, media, output.look, words)
        try:
            os.makedirs(folder, exist_ok=True)
            write_atomic(file, data)
        except OSError as error:
            raise write_error(error, f"writing {file}") from error
    return StandIn(desired.path, file, kind)


def _words(seconds: float | None) -> str:
    return "missing" if seconds is None else f"missing: {human_duration(seconds)} to make"


def _prune(folder: str) -> None:
    """Files that nobody has asked for in a month; never an error: another process may be at it."""
    oldest = time.time() - _KEPT
    try:
        with os.scandir(folder) as entries:
            old = [entry.path for entry in entries if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest]
        for path in old:
            os.unlink(path)
    except OSError:
        return
