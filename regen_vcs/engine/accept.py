"""Accepting: a stand-in, another take, or what is on disk becomes what the sidecar says."""

from __future__ import annotations

from dataclasses import replace

from regen_vcs import media
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place_editing import accept_in_place
from regen_vcs.engine.in_place_settling import take_over
from regen_vcs.engine.in_place_snapshot import include, reread
from regen_vcs.engine.named_takes import NamedTake
from regen_vcs.engine.observe import frame_number, size_of_files
from regen_vcs.engine.sidecars import read_sidecar, write_sidecar
from regen_vcs.engine.sync import (
    Executor,
    Snapshot,
    WorktreeLock,
    has_all,
    look,
    remember,
    rescue_edited,
    store_files,
    tidy_spare,
)
from regen_vcs.engine.takes import measure, output_of_record
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.paths import frames_text, parse_sequence, sidecar_of
from regen_vcs.model.recipe import Output
from regen_vcs.stores.witness import ACCEPTED, Witness


def accept(ws: Workspace, path: str, *, min_score: float | None = None) -> str:
    """Make what is on disk the accepted output of `path`; what was done, in words.

    min_score: only if it is at least so like the accepted output (0..1); RegenError otherwise.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = include(look(ws, paths={path}, also={path}))
        desired = _readable(snapshot, path)
        if path in snapshot.in_place:
            done = accept_in_place(ws, snapshot, path, _key_of_bytes(ws, snapshot, path), min_score)
            ws.state.failed.pop(path, None)
            remember(look(ws, paths=set()))
            return done
        seen = snapshot.seen(path)
        if seen.kind != "present":
            raise RegenError(f"{path}: nothing is on disk to accept", "run: regen-vcs regenerate")
        if seen.hash == desired.facts.out_hash:
            return "is accepted already"
        if min_score is not None and desired.facts.out_hash:
            store_files(ws, path, seen)
            score = measure(ws, desired.facts.out_hash, seen.hash)
            if score is None or score < min_score:
                said = "cannot be measured" if score is None else f"is {score:.3f}"
                raise RegenError(f"{path}: its likeness to the accepted result {said}, under {min_score}")
        key = _key_of_bytes(ws, snapshot, path)
        output = output_of_disk(ws, snapshot, path, key)
        Witness(ws.stores.keep.root).saw(ACCEPTED, [output.hash])
        write_sidecar(ws, path, replace(read_sidecar(ws, path), output=output))
        ws.state.failed.pop(path, None)
        remember(look(ws, paths={path}, also={path}))
        return "accepted"


def accept_take(ws: Workspace, path: str, take: NamedTake) -> str:
    """Make a take the accepted output of `path`, and bring its bytes to disk; what was done, in words.

    It is one of the recipe as it is, or of the one whose result is accepted now. RegenError where it is neither, or its bytes
    are in no store here.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = include(look(ws, paths={path}, also={path}))
        desired = _readable(snapshot, path)
        if take.hash == desired.facts.out_hash and snapshot.seen(path).hash == take.hash:
            return "is accepted already"
        output = _output_of(snapshot, desired, take)
        if not has_all(ws.stores, take.hash, output.is_tree):
            raise RegenError(f"{path}: the bytes of this take are in no store here any more", "run: regen-vcs regenerate, for another")
        why = "edited; another take was accepted"
        Witness(ws.stores.keep.root).saw(ACCEPTED, [output.hash])
        ws.state.failed.pop(path, None)
        if path in snapshot.in_place:
            take_over(ws, snapshot, path, output, why)
            remember(look(ws, paths=set()))
            return "accepted, and staged"
        rescue_edited(ws, snapshot, path, why)
        write_sidecar(ws, path, replace(read_sidecar(ws, path), output=output))
        Executor(snapshot).bring_in(path, output.hash, output.is_tree)
        reread(ws, snapshot, path)
        tidy_spare(ws)
        remember(snapshot)
        return "accepted"


def _readable(snapshot: Snapshot, path: str) -> Desired:
    desired = snapshot.assets.get(path)
    if desired is None or desired.side_sig is None:
        raise RegenError(f"{path}: there is no recipe for it", "see: regen-vcs status")
    if desired.facts.problem:
        raise RegenError(desired.facts.problem[1], desired.facts.problem[2])
    return desired


def _output_of(snapshot: Snapshot, desired: Desired, take: NamedTake) -> Output:
    """What the sidecar would say of this take. RegenError for one of another recipe."""
    snapshot.inputs.from_disk = True
    snapshot.inputs.preload([desired])
    if take.hash == desired.facts.out_hash:
        return snapshot.inputs.recipe_of(desired).output
    keys = () if desired.facts.is_source else (snapshot.inputs.key_of(desired), desired.facts.out_key)
    # A source asset's bytes have no key.
    if take.output is None or (take.output.key not in keys if keys else take.output.key is not None):
        why = f"{take.name} is no take of its recipe as it is"
        hint = f"its recipe comes back with it: git checkout {take.commit[:12]} -- {sidecar_of(desired.path)}" if take.commit else "see: regen-vcs takes"
        raise RegenError(f"{desired.path}: {why}", hint)
    return take.output


def _key_of_bytes(ws: Workspace, snapshot: Snapshot, path: str) -> str | None:
    """The key these bytes were made for: of the take they are, else (edited by hand) of the recipe as it is."""
    desired = snapshot.assets[path]
    if desired.facts.is_source:
        return None
    snapshot.inputs.from_disk = True
    snapshot.inputs.preload([desired])
    key = snapshot.inputs.key_of(desired)
    if key is None:
        raise RegenError(f"{path}: an input is missing or pending, so it has no key yet", "see: regen-vcs status")
    return key


def output_of_disk(ws: Workspace, snapshot: Snapshot, path: str, key: str | None) -> Output:
    """What a sidecar says that accepts the bytes now on disk; they are in a store afterwards."""
    seen = snapshot.seen(path)
    whole = store_files(ws, path, seen)
    for record in ws.results.takes(key) if key else ():
        output = output_of_record(record, key)
        if output is not None and output.hash == whole:
            return output
    first = f"{ws.root}/{min(seen.files)}"
    is_plain = len(seen.files) == 1 and path in seen.files
    sequence = parse_sequence(path)
    return Output(
        hash=whole,
        key=key,
        size=size_of_files(seen.files),
        content=media.content_hash(first) if is_plain and key else None,
        look=media.look(first),
        media=media.probe(first),
        files=len(seen.files) if not is_plain and not sequence else None,
        frames=frames_text(frame_number(sequence, each) for each in seen.files) if sequence else None,
    )

