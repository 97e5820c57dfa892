"""Accepting: a stand-in, another take, or what is on disk becomes what the sidecar says."""

from __future__ import annotations

from dataclasses import replace

from regen_vcs import media
from regen_vcs.engine.in_place_editing import accept_in_place
from regen_vcs.engine.in_place_snapshot import include
from regen_vcs.engine.observe import frame_number, size_of_files
from regen_vcs.engine.sidecars import read_sidecar, write_sidecar
from regen_vcs.engine.sync import Snapshot, WorktreeLock, look, remember, store_files
from regen_vcs.engine.takes import measure, output_of_record
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.paths import frames_text, parse_sequence
from regen_vcs.model.recipe import Output
from regen_vcs.stores.witness import ACCEPTED, Witness


def accept(ws: Workspace, path: str, *, min_score: float | None = None) -> str:
    """Make what is on disk the accepted output of `path`; what was done, in words.

    min_score: only if it is at least so like the accepted output (0..1); RegenError otherwise.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = include(look(ws, paths={path}, also={path}))
        desired = snapshot.assets.get(path)
        if desired is None or desired.side_sig is None:
            raise RegenError(f"{path}: there is no recipe for it", "see: regen-vcs status")
        if desired.facts.problem:
            raise RegenError(desired.facts.problem[1], desired.facts.problem[2])
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

