"""Accepting: a stand-in, another take, or what is on disk becomes what the sidecar says."""

from __future__ import annotations

from dataclasses import replace

from regen_vcs import media
from regen_vcs.engine.desired import Desired, read_sidecar_bytes
from regen_vcs.engine.in_place_editing import accept_in_place, refuse_other
from regen_vcs.engine.in_place_settling import take_over
from regen_vcs.engine.in_place_snapshot import include, reread
from regen_vcs.engine.keeping import rescue_edited, store_files
from regen_vcs.engine.named_takes import NamedTake
from regen_vcs.engine.observe import frame_number, size_of_files
from regen_vcs.engine.plan_execution import Executor, tidy_spare
from regen_vcs.engine.recipe_changes import differences, refuse_cycle
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.rescue import keep_documents
from regen_vcs.engine.sidecars import read_sidecar, write_sidecar
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.takes import measure, output_of_record
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.paths import frames_text, parse_sequence, sidecar_of
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes
from regen_vcs.stores.witness import ACCEPTED, Witness


def accept(ws: Workspace, path: str, *, min_score: float | None = None, expect: str | None = None) -> str:
    """Make what is on disk the accepted output of `path`; what was done, in words.

    min_score: only if it is at least so like the accepted output (0..1); expect: only if its hash is or begins with
    this, because somebody looked at these bytes and at no others. RegenError otherwise.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = include(look(ws, paths={path}, also={path}))
        desired = _readable(snapshot, path)
        if path in snapshot.in_place:
            done = accept_in_place(ws, snapshot, path, _key_of_bytes(ws, snapshot, path), min_score, expect)
            ws.state.failed.pop(path, None)
            remember(look(ws, paths=set()))
            return done
        seen = snapshot.seen(path)
        if seen.kind != "present":
            raise RegenError(f"{path}: nothing is on disk to accept", "run: regen-vcs regenerate")
        refuse_other(path, seen.hash, expect)
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


def accept_take(ws: Workspace, path: str, take: NamedTake, *, with_recipe: bool = False) -> list[str]:
    """Make a take the accepted output of `path`, and bring its bytes to disk; what was done, in words, and a line for each change of the recipe.

    It is one of the recipe as it is, or of the one whose result is accepted now; with_recipe: or one whose recipe is
    known, and the asset has that again. RegenError where it is none of these, or its bytes are in no store here.
    """
    if with_recipe and take.recipe is not None:
        refuse_cycle(ws, path, take.recipe)
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = include(look(ws, paths={path}, also={path}))
        desired = _readable(snapshot, path)
        recipe = _recipe_with(snapshot, desired, take, with_recipe)
        changes = differences(snapshot.inputs.recipe_of(desired), recipe)
        if take.hash == desired.facts.out_hash and snapshot.seen(path).hash == take.hash and not changes:
            return ["is accepted already"]
        output = recipe.output
        if not has_all(ws.stores, take.hash, output.is_tree):
            raise RegenError(f"{path}: the bytes of this take are in no store here any more", "run: regen-vcs regenerate, for another")
        why = "edited; another take was accepted"
        if changes:
            keep_documents(ws, {document_of(snapshot, path): _document_bytes(ws, snapshot, path)}, "replaced by that of an earlier take")
        Witness(ws.stores.keep.root).saw(ACCEPTED, [output.hash])
        ws.state.failed.pop(path, None)
        if path in snapshot.in_place:
            take_over(ws, snapshot, path, output, why, recipe)
            remember(look(ws, paths=set()))
            return ["accepted, and staged", *changes]
        rescue_edited(ws, snapshot, path, why)
        write_sidecar(ws, path, recipe)
        Executor(snapshot).bring_in(path, output.hash, output.is_tree)
        reread(ws, snapshot, path)
        tidy_spare(ws)
        remember(snapshot)
        return ["accepted", *changes]


def document_of(snapshot: Snapshot, path: str) -> str:
    """The file in which git has an asset's recipe."""
    return path if path in snapshot.in_place else sidecar_of(path)


def _document_bytes(ws: Workspace, snapshot: Snapshot, path: str) -> bytes:
    return recipe_bytes(snapshot.inputs.recipe_of(snapshot.assets[path])) if path in snapshot.in_place else read_sidecar_bytes(ws.root, path)


def _readable(snapshot: Snapshot, path: str) -> Desired:
    desired = snapshot.assets.get(path)
    if desired is None or desired.side_sig is None:
        raise RegenError(f"{path}: there is no recipe for it", "see: regen-vcs status")
    if desired.facts.problem:
        raise RegenError(desired.facts.problem[1], desired.facts.problem[2])
    return desired


def _recipe_with(snapshot: Snapshot, desired: Desired, take: NamedTake, with_recipe: bool) -> Recipe:
    """What the sidecar will say. RegenError for a take of another recipe that does not come with it."""
    snapshot.inputs.from_disk = True
    snapshot.inputs.preload([desired])
    if with_recipe and take.recipe is not None:
        return take.recipe
    now = snapshot.inputs.recipe_of(desired)
    return now if take.hash == desired.facts.out_hash else now.replace(output=_output_of(snapshot, desired, take))


def _output_of(snapshot: Snapshot, desired: Desired, take: NamedTake) -> Output:
    keys = () if desired.facts.is_source else (snapshot.inputs.key_of(desired), desired.facts.out_key)
    # A source asset's bytes have no key.
    if take.output is None or (take.output.key not in keys if keys else take.output.key is not None):
        why = f"{take.name} is no take of its recipe as it is"
        hint = f"its recipe comes back with it: regen-vcs accept {desired.path} --take {take.name} --with-recipe" if take.recipe else "see: regen-vcs takes"
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

