"""Accepting, fetching, moving and removing assets of the second layout. To be called under the worktree's lock."""

from __future__ import annotations

import os

from regen_vcs import media
from regen_vcs.engine.in_place import BYTES, differs
from regen_vcs.engine.in_place_documents import is_in_place, write_in_place
from regen_vcs.engine.in_place_settling import show, take_over
from regen_vcs.engine.in_place_snapshot import seen_in_place
from regen_vcs.engine.in_place_takes import note_take, noted_takes
from regen_vcs.engine.keeping import rescue
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.takes import measure, output_of_record
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.recipe import Output, Recipe


def accept_in_place(ws: Workspace, snapshot: Snapshot, path: str, key: str | None, min_score: float | None, expect: str | None) -> str:
    """Accept the take that is noted for an asset, else the bytes on disk; what was done, in words.

    key: of the recipe as it is, None of a source asset. What the document says is staged. RegenError as `accept`.
    """
    asset = snapshot.in_place[path]
    if asset.is_document_edited:
        raise RegenError(f"{path}: the document on disk is not git's", f"git add {path} takes it, git restore {path} drops it")
    noted = noted_takes(ws).get(path)
    is_edit = asset.disk.kind == BYTES and differs(ws, asset)
    if not is_edit and (noted is None or noted.key != key):
        refuse_other(path, asset.bytes_hash, expect)
        if asset.disk.kind != BYTES:
            raise RegenError(f"{path}: there are no other bytes to accept", "run: regen-vcs regenerate, or regen-vcs sync")
        return "is accepted already"
    whole = asset.bytes_hash if is_edit else noted.hash
    refuse_other(path, whole, expect)
    _check_score(ws, path, asset.facts.out_hash, whole, min_score)
    output = _recorded(ws, key, whole) or _output_of_bytes(ws, path, whole, key)
    take_over(ws, snapshot, path, output, "edited; another take was accepted")
    return "accepted, and staged"


def refuse_other(path: str, found: str | None, expect: str | None) -> None:
    """RegenError where these bytes are not those that somebody looked at."""
    if expect is not None and not (found or "").startswith(expect):
        now = f"blake3:{found[:12]}…" if found else "not there"
        raise RegenError(f"{path}: it has changed since it was looked at, and is {now} now", "look at it again: regen-vcs status")


def _check_score(ws: Workspace, path: str, accepted: str | None, whole: str, min_score: float | None) -> None:
    if min_score is None or accepted is None:
        return
    if not ws.stores.has(whole):
        ws.stores.ingest_file(f"{ws.root}/{path}", expect=whole)
    score = measure(ws, accepted, whole)
    if score is None or score < min_score:
        said = "cannot be measured" if score is None else f"is {score:.3f}"
        raise RegenError(f"{path}: its likeness to the accepted result {said}, under {min_score}")


def _recorded(ws: Workspace, key: str | None, whole: str) -> Output | None:
    outputs = [output_of_record(record, key) for record in (ws.results.takes(key) if key else ())]
    return next((each for each in outputs if each is not None and each.hash == whole), None)


def _output_of_bytes(ws: Workspace, path: str, whole: str, key: str | None) -> Output:
    """What a document says of bytes that no run is on record for; they are in a store afterwards."""
    if not ws.stores.has(whole):
        ws.stores.ingest_file(f"{ws.root}/{path}", expect=whole)
    place = ws.stores.find(whole)
    if place is None:
        raise RegenError(f"{path}: its bytes left the store meanwhile", "run: regen-vcs fsck")
    return Output(
        hash=whole, key=key, size=os.path.getsize(place), content=media.content_hash(place) if key else None,
        look=media.look(place), media=media.probe(place),
    )


def fetch_in_place(ws: Workspace, snapshot: Snapshot, path: str, *, force: bool) -> bool:
    """Put the accepted bytes on disk, and forget a take that waits; False where an edit was left alone. RegenError."""
    asset = snapshot.in_place[path]
    if asset.is_document_edited:
        raise RegenError(f"{path}: the document on disk is not git's", f"git restore {path} drops it")
    if asset.disk.kind == BYTES and differs(ws, asset) and not force:
        return False
    show(ws, snapshot, path, asset.facts.out_hash, "edited; the accepted take was fetched")
    return True




def remove_in_place(ws: Workspace, snapshot: Snapshot, path: str) -> None:
    """`git rm`, after what was on disk is in keep."""
    asset = snapshot.in_place[path]
    if asset.disk.kind == BYTES:
        if differs(ws, asset):
            rescue(ws, path, seen_in_place(asset), "edited; removed with regen-vcs rm")
        elif not ws.stores.has(asset.bytes_hash):
            ws.stores.ingest_file(f"{ws.root}/{path}", expect=asset.bytes_hash)
    note_take(ws, path, None)
    ws.state.failed.pop(path, None)
    ws.repo.git.write("rm", "--quiet", "--force", "--", f":(literal){path}")


def check_layout_stays(ws: Workspace, snapshot: Snapshot, source: str, target: str) -> None:
    """UsageError where a move would take an asset into the other layout."""
    stays = source in snapshot.in_place
    if is_in_place(ws, target) != stays:
        here, there = ("in place", "beside a sidecar") if stays else ("beside a sidecar", "in place")
        raise UsageError(f"{target}: would be kept {there}, and {source} is kept {here}", "choose a name of the same pattern")


def move_in_place(ws: Workspace, snapshot: Snapshot, source: str, target: str, moved: Recipe) -> None:
    """`git mv`; the recipe, whose inputs are relative to it, is staged under the new name."""
    os.makedirs(os.path.dirname(f"{ws.root}/{target}") or ws.root, exist_ok=True)
    ws.repo.git.write("mv", "--", source, target)
    if moved.inputs != snapshot.inputs.recipe_of(snapshot.assets[source]).inputs:
        write_in_place(ws, target, moved)
    noted = noted_takes(ws).get(source)
    note_take(ws, source, None)
    note_take(ws, target, noted)
