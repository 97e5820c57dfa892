"""What becomes of a take in the second layout: the same table as for sidecars, but for takes that nobody has accepted.

Those stay in the store and are noted (engine/in_place_takes.py).
"""

from __future__ import annotations

from collections import namedtuple

from regen_vcs.engine.in_place import BYTES, Asset, differs
from regen_vcs.engine.in_place_documents import read_in_place, tell_git, write_in_place
from regen_vcs.engine.in_place_snapshot import include_again, seen_in_place
from regen_vcs.engine.in_place_sync import put_bytes
from regen_vcs.engine.in_place_takes import NotedTake, note_take
from regen_vcs.engine.keeping import rescue
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.takes import measure
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.recipe import Output, Recipe

# As `settling.Made` has them.
Settled = namedtuple("Settled", ("verdict", "score"))


def settle_take(ws: Workspace, here: Snapshot, path: str, take, by_user: bool) -> Settled:
    """Give a take its place; `here` shows it afterwards. RegenError, OSError.

    take: `production.Take`, of the asset's current key. by_user: a pending or stale asset's document gets it as output.
    """
    facts = here.assets[path].facts
    if here.in_place[path].is_document_edited:
        raise RegenError(f"{path}: the document on disk is not git's", f"git add {path}, or git restore {path}")
    if facts.out_hash is None or facts.out_key != take.order.key:
        if not by_user:
            note_take(ws, path, NotedTake("proposed", take.order.key, take.hash))
            return Settled("proposed", None)
        take_over(ws, here, path, take.output, "edited; regenerated")
        return Settled("made", None)
    if take.hash == facts.out_hash:
        show(ws, here, path, take.hash, "edited; regenerated")
        return Settled("restored", None)
    if facts.out_content and take.output.content == facts.out_content:
        show(ws, here, path, take.hash, "edited; regenerated")
        return Settled("equal", 1.0)
    note_take(ws, path, NotedTake("drifted", take.order.key, take.hash))
    return Settled("drifted", measure(ws, facts.out_hash, take.hash))


def take_over(ws: Workspace, here: Snapshot, path: str, output: Output, why: str, recipe: Recipe | None = None) -> None:
    """Make `output`, whose bytes are in a store, the accepted one: first in git's index, then on disk. recipe: the asset's from now on."""
    asset = here.in_place[path]
    _rescue_edited(ws, asset, output.hash, why)
    write_in_place(ws, path, (recipe or read_in_place(ws, path)).replace(output=output))
    include_again(here, path)  # a document on disk was changed with the index's
    show(ws, here, path, output.hash, why)


def show(ws: Workspace, here: Snapshot, path: str, file_hash: str, why: str) -> None:
    """Put accepted bytes, or others of the same content, on disk; edited ones that give way are rescued."""
    asset = here.in_place[path]
    if asset.bytes_hash != file_hash:
        _rescue_edited(ws, asset, file_hash, why)
        put_bytes(ws, asset, file_hash)
    note_take(ws, path, None)
    tell_git(ws, [path])
    include_again(here, path)


def _rescue_edited(ws: Workspace, asset: Asset, coming: str, why: str) -> None:
    if asset.disk.kind == BYTES and asset.bytes_hash != coming and differs(ws, asset):
        rescue(ws, asset.path, seen_in_place(asset), why)
