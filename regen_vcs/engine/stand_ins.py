"""Stand-ins for assets that are not on disk: files in the user's cache, to be shown where the asset would be.

Where they lie: engine/drawn_files.py.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.drawn_files import DrawnFiles
from regen_vcs.engine.prospects import estimate_seconds
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.status import survey
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.quantities import human_duration

_DRAWING = 1  # another number for each way of drawing

# file: absolute path. kind: "picture", "sequence" (one picture, to be repeated), "movie" or "sound".
StandIn = namedtuple("StandIn", ("path", "file", "kind"))


def make_stand_ins(ws: Workspace, wanted: Callable[[str], bool]) -> tuple[list[StandIn], dict[str, str]]:
    """(a stand-in for each accepted asset of these that is not on disk, {path: why there is none}). RegenError."""
    everything = survey(ws)
    snapshot = everything.snapshot
    missing = [each for each in everything.statuses if each.on_disk is None and each.output is not None and wanted(each.path)]
    snapshot.inputs.preload([snapshot.assets[each.path] for each in missing if each.path in snapshot.assets])
    files = DrawnFiles(ws, "stand-ins")
    made, without = [], {}
    for each in missing:
        desired = snapshot.assets.get(each.path)
        if desired is None or desired.facts.problem:
            continue
        try:
            made.append(_stand_in(files, snapshot, desired))
        except ValueError as error:
            without[each.path] = str(error)
        except RegenError as error:
            without[each.path] = error.what
    files.prune()
    return made, without


def _stand_in(files: DrawnFiles, snapshot: Snapshot, desired: Desired) -> StandIn:
    # Pillow and NumPy: only where there is something to draw.
    from regen_vcs.media.stand_in import ENDINGS, draw_stand_in, kind_of

    output = snapshot.inputs.recipe_of(desired).output
    media = dict(output.media)
    kind = kind_of(media, is_tree=desired.facts.is_tree)
    words = _words(estimate_seconds(snapshot, desired) if not desired.facts.is_source else None)
    drawn_from = {"drawing": _DRAWING, "kind": kind, "media": media, "look": output.look or "", "words": words}
    file = files.file(drawn_from, ENDINGS[kind], lambda: draw_stand_in(kind, media, output.look, words))
    return StandIn(desired.path, file, kind)


def _words(seconds: float | None) -> str:
    return "missing" if seconds is None else f"missing: {human_duration(seconds)} to make"
