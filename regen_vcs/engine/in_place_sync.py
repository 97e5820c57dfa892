"""What sync does for the second layout: a document that stayed on disk is swapped for its bytes as soon as they can be had."""

from __future__ import annotations

import os

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place import (
    BYTES,
    DOCUMENT,
    FOREIGN,
    Asset,
    has_filter,
    is_used,
    look_in_place,
    look_on_disk,
    state_of,
)
from regen_vcs.engine.in_place_documents import tell_git
from regen_vcs.engine.in_place_filter import IN_PLACE, classify
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.plan_execution import Outcome, as_regen_error
from regen_vcs.engine.sidecars import write_in_tree
from regen_vcs.engine.sources import find_sources
from regen_vcs.engine.sync import Trigger
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.plan import FETCH, MATERIALISE, QUEUE, REFUSE, REGENERATE, Step
from regen_vcs.stores.links import choose_link

_EXECUTABLE = "100755"


def follow(ws: Workspace, outcome: Outcome, trigger: Trigger, *, dry_run: bool = False) -> None:
    """Swap documents that stayed on disk for their bytes, and add what was done, and what is left to do, to `outcome`.

    What is nowhere is to be regenerated now by syncs by hand only; otherwise it is left for later.
    """
    if not is_used(ws):
        return
    assets = look_in_place(ws)
    waiting = [each for each in assets if waits_for_bytes(each) and is_wanted(ws, each)]
    if not waiting and not trigger.by_hand:
        return
    if not has_filter(ws):
        if waiting:
            outcome.plan.notices.append("in-place assets stay documents without their filter; run: regen-vcs init")
        return
    here = [each for each in waiting if ws.stores.has(each.facts.out_hash)]
    steps = [_step(MATERIALISE, each) for each in here]
    outcome.plan.steps.extend(steps)
    if not dry_run:
        for asset, step in zip(here, steps, strict=True):
            _swap_noting(ws, asset, step, outcome)
        _tell_git_of_all(ws, assets, {step.path for step in steps if step.path not in outcome.failed}, trigger)
    nowhere = [each for each in waiting if each not in here]
    if nowhere:
        outcome.plan.steps.extend(_steps_of_lost(ws, nowhere, trigger.by_hand))


def _steps_of_lost(ws: Workspace, nowhere: list[Asset], by_hand: bool) -> list[Step]:
    snapshot = look_at_both(ws, paths=set())
    found = find_sources(snapshot, [snapshot.assets[each.path] for each in nowhere])
    steps = []
    for asset in nowhere:
        source = found[asset.path]
        if source.source == "regenerate":
            steps.append(_step(REGENERATE if by_hand else QUEUE, asset, "not in any store", source.seconds))
        elif source.source == "remote":
            steps.append(_step(FETCH, asset, source.reason or "", source.seconds))
        else:
            steps.append(_step(REFUSE, asset, source.reason or "nowhere to be had"))
    return steps


def _tell_git_of_all(ws: Workspace, assets: list[Asset], swapped: set[str], trigger: Trigger) -> None:
    """To git another size is an edit, whatever clean would say: it does not even ask.

    A sync by hand tells it of every asset that is as it should be too: an index that was written from an older copy
    may have forgotten.
    """
    paths = set(swapped)
    if trigger.by_hand:
        names = ws.repo.git.lines0("diff-files", "--name-only", "-z", "--", IN_PLACE)
        differing = {name.decode("utf-8", "surrogateescape") for name in names}
        paths |= {each.path for each in assets if each.path in differing and state_of(ws, each)[0] == "ok"}
    tell_git(ws, paths)


def is_wanted(ws: Workspace, asset: Asset) -> bool:
    """Whether its bytes, and not only its document, belong into this worktree."""
    desired = Desired(asset.path, asset.facts, None, "", True, False, asset.unmerged)
    return ws.working_set.is_everything or ws.working_set.wants(desired, classify(asset.document or b"", asset.path)[1])


def waits_for_bytes(asset: Asset) -> bool:
    facts = asset.facts
    return (
        asset.disk.kind == DOCUMENT
        and not asset.unmerged
        and asset.disk.hash == asset.entry.oid  # an edited document is somebody's work
        and facts.out_hash is not None
        and not facts.problem
        and not facts.is_tree
    )


def _step(action: str, asset: Asset, reason: str = "", seconds: float | None = None) -> Step:
    return Step(action, asset.path, asset.facts.out_hash, asset.facts.out_size, reason, seconds)


def _swap_noting(ws: Workspace, asset: Asset, step: Step, outcome: Outcome) -> None:
    try:
        put_bytes(ws, asset, asset.facts.out_hash)
        outcome.done.append(step)
    except (RegenError, OSError) as error:
        outcome.failed[asset.path] = as_regen_error(asset.path, error)


def put_bytes(ws: Workspace, asset: Asset, file_hash: str) -> None:
    """Put bytes at an asset's path, if what was seen there is still there. Verified, as whatever smudge returns.

    Bytes that give way are in a store by then. RegenError, OSError: nothing has changed.
    """
    path = asset.path
    if not ws.stores.verify(file_hash):
        raise RegenError(f"{path}: its bytes in the store were damaged", "run: regen-vcs fsck")
    now = look_on_disk(ws, path)
    if now[:2] != asset.disk[:2]:
        raise RegenError(f"{path}: changed while regen-vcs was at work; it was left alone", "run: regen-vcs sync")
    if now.kind == FOREIGN:
        raise RegenError(f"{path}: something that is not a regular file is in its place", f"git restore {path}")
    if now.kind == BYTES and not ws.stores.has(now.hash):
        ws.stores.ingest_file(f"{ws.root}/{path}", expect=now.hash)
    executable = asset.entry.mode == _EXECUTABLE
    # An executable file is never a link: its mode would become the object's.
    ws.stores.place(file_hash, ws.tree, path, link="copy" if executable else choose_link(ws.link)[0])
    if executable:
        _make_executable(ws, path)


def put_document(ws: Workspace, asset: Asset) -> None:
    """Put the document in the place of its accepted bytes, which are in a store by then. RegenError, OSError: nothing has changed."""
    path = asset.path
    now = look_on_disk(ws, path)
    if now[:2] != asset.disk[:2]:
        raise RegenError(f"{path}: changed while regen-vcs was at work; it was left alone", "run: regen-vcs sync")
    if not ws.stores.has(now.hash):
        ws.stores.ingest_file(f"{ws.root}/{path}", expect=now.hash)
    write_in_tree(ws, path, asset.document)
    if asset.entry.mode == _EXECUTABLE:
        _make_executable(ws, path)
    tell_git(ws, [path])


def _make_executable(ws: Workspace, path: str) -> None:
    fd = ws.tree.open_read(path)
    try:
        os.fchmod(fd, 0o755)
    finally:
        os.close(fd)
