"""Small pictures of takes, to be shown beside their names. Files in the user's cache: engine/drawn_files.py."""

from __future__ import annotations

from collections.abc import Iterable

from regen_vcs import media
from regen_vcs.engine.drawn_files import DrawnFiles
from regen_vcs.engine.named_takes import NamedTake
from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError

_SIDE = 256  # pixels
_DRAWING = 1  # another number for each way of drawing


def thumbnails(ws: Workspace, takes: Iterable[NamedTake]) -> dict[str, str]:
    """{hash of a take: absolute path of its picture}: from its bytes, its first frame's, else from its look. RegenError.

    Sound and movies without a look have none.
    """
    files = DrawnFiles(ws, "thumbnails")
    drawn = {}
    for take in takes:
        try:
            drawn[take.hash] = _thumbnail(ws, files, take)
        except _NothingToSee:
            continue
    files.prune()
    return drawn


class _NothingToSee(Exception):
    """Neither bytes nor a look that could be drawn."""


def _thumbnail(ws: Workspace, files: DrawnFiles, take: NamedTake) -> str:
    source = _picture_file(ws, take.hash)
    if source is not None:
        try:
            return files.file({"drawing": _DRAWING, "hash": take.hash, "side": _SIDE}, ".png", lambda: _seen(media.thumbnail(source, _SIDE)))
        except _NothingToSee:
            pass  # a movie: its record may have a look
    look = take.output.look if take.output else None
    if not look:
        raise _NothingToSee
    return files.file({"drawing": _DRAWING, "look": look}, ".png", lambda: _seen(media.look_thumbnail(look)))


def _picture_file(ws: Workspace, hash: str) -> str | None:
    """A file of the take in a store: itself, or the first of a directory or sequence."""
    try:
        members = read_manifest(ws.stores, hash)
    except (RegenError, OSError):
        return ws.stores.find(hash)
    return ws.stores.find(members[0].hash) if members else None


def _seen(picture: bytes | None) -> bytes:
    if picture is None:
        raise _NothingToSee
    return picture
