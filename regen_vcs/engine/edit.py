"""Changing what exists: parameters, places, existence. Outputs stay as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from regen_vcs.engine.compose import Composer, check_new_asset
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.documents import has_document, read_document, write_document
from regen_vcs.engine.graph import dependants_of
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.in_place_editing import check_layout_stays, move_in_place, remove_in_place
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.keeping import rescue
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.observe import frame_number, list_files
from regen_vcs.engine.past_outputs import note_moved
from regen_vcs.engine.plan_execution import Executor
from regen_vcs.engine.planner import is_edited
from regen_vcs.engine.recipe_changes import differences, refuse_cycle
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.rescue import keep_documents
from regen_vcs.engine.sidecars import write_in_tree
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.git import index
from regen_vcs.model.canonical import MAX_BYTES
from regen_vcs.model.paths import (
    frame_path,
    moved_inputs,
    parse_sequence,
    relative_input,
    resolve_input,
    sidecar_of,
)
from regen_vcs.model.plan import REMOVE, Step
from regen_vcs.model.recipe import recipe_bytes


def set_params(ws: Workspace, path: str, texts: Mapping[str, str], *, unset: list[str], inputs: Mapping[str, str],
               models: Mapping[str, str], values: Mapping[str, object] | None = None) -> list[str]:
    """Change a recipe's parameters, inputs and models; one line for each change. The output stays: it is stale now.

    texts: parameters as typed, values: as they are.
    """
    composer = Composer(ws)
    with WorktreeLock(ws):
        ws.reload_state()
        if not has_document(ws, path):
            raise RegenError(f"{path}: there is no recipe for it", "see: regen-vcs status")
        recipe = read_document(ws, path)
        if recipe.generator is None:
            raise UsageError(f"{path}: a source asset has no parameters", "to give it a recipe: regen-vcs generate")
        params = {**recipe.params, **composer.typed(recipe.generator, texts), **(values or {})}
        for name in unset:
            if name not in params and name not in recipe.inputs and name not in recipe.models:
                raise UsageError(f"{path}: there is no parameter, input or model {name!r} to unset", f"see: regen-vcs show {path}")
            params.pop(name, None)
        gone = set(unset)
        changed = replace(
            recipe,
            definition=composer.current_definition(recipe.generator),
            params=composer.complete(recipe.generator, params),
            inputs={k: v for k, v in recipe.inputs.items() if k not in gone}
            | {name: composer.input_value(path, target) for name, target in inputs.items()},
            models={k: v for k, v in recipe.models.items() if k not in gone}
            | {role: composer.model(alias) for role, alias in models.items()},
        )
        refuse_cycle(ws, path, changed)
        lines = differences(recipe, changed)
        if lines:
            write_document(ws, path, changed)
            remember(look(ws, paths={path}, also={path}), {path})
    return lines


def remove_assets(ws: Workspace, paths: list[str], *, force: bool) -> list[str]:
    """Remove assets with their sidecars; what edited bytes there were goes into rescued. The dependants left behind.

    RegenError where something still needs one of them, unless `force`.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = look_at_both(ws, paths=set(paths), also=set(paths))
        for path in paths:
            if path not in snapshot.assets:
                raise RegenError(f"{path}: there is no such asset", "see: regen-vcs status")
        left = dependants_of(snapshot, paths)
        if left and not force:
            raise RegenError(f"{left[0]} is made from it", "remove that too, or say --force")
        keep_documents(ws, {sidecar_of(path): _text_of(ws, path) for path in paths if path not in snapshot.in_place}, "removed with regen-vcs rm")
        for path in paths:
            _remove_one(ws, snapshot, path)
        after = look(ws, paths=set(paths))
        refresh_ignores(ws, after)
        remember(after)
    return left


def _text_of(ws: Workspace, path: str) -> bytes:
    """A sidecar's bytes, also of one that cannot be read as a recipe; b"" where there is none."""
    if ws.tree.stat(sidecar_of(path)) is None:
        return b""
    with open(ws.tree.open_read(sidecar_of(path)), "rb", buffering=0) as file:
        return file.read(MAX_BYTES)


def _remove_one(ws: Workspace, snapshot: Snapshot, path: str) -> None:
    if path in snapshot.in_place:
        remove_in_place(ws, snapshot, path)
        return
    seen, row = snapshot.seen(path), ws.state.rows.get(path, EMPTY_ROW)
    if seen.kind == "present":
        if is_edited(row, seen):
            rescue(ws, path, seen, "edited; removed with regen-vcs rm")
        plan_step = Step(REMOVE, path, seen.hash, 0, "", None)
        Executor(snapshot)._remove(plan_step)
    sidecar = sidecar_of(path)
    if snapshot.assets[path].tracked:
        ws.repo.git.write("rm", "--quiet", "--force", "--", f":(literal){sidecar}")
    else:
        ws.tree.unlink(sidecar)
        ws.tree.remove_empty_dirs(sidecar.rpartition("/")[0])


def move(ws: Workspace, source: str, target: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Move an asset, or every asset below a folder: (old and new path of each, others whose recipes were rewritten).

    What else lies in the folder stays there. Nothing is moved where one of them cannot be.
    """
    snapshot = look_at_both(ws, paths=set())
    prefix = f"{source}/"
    below = [path for path, desired in snapshot.assets.items() if path.startswith(prefix) and desired.side_sig is not None]
    if source in snapshot.assets or not below:
        return [(source, target)], _move_asset(ws, source, target)
    if target.startswith(prefix):
        raise UsageError(f"{target}: lies in {source} itself")
    moves = {path: f"{target}/{path.removeprefix(prefix)}" for path in sorted(below)}
    for old, new in moves.items():
        _require_movable(ws, snapshot, old, new)
    rewritten = {path for old, new in moves.items() for path in _move_asset(ws, old, new)}
    return list(moves.items()), sorted(rewritten - moves.keys() - set(moves.values()))


def _require_movable(ws: Workspace, snapshot: Snapshot, source: str, target: str) -> Desired:
    desired = snapshot.assets.get(source)
    if desired is None or desired.side_sig is None:
        raise RegenError(f"{source}: there is no such asset", "see: regen-vcs status")
    if desired.facts.problem:
        raise InvalidError(desired.facts.problem[1], desired.facts.problem[2])
    if target in snapshot.assets or os.path.lexists(f"{ws.root}/{target}") or list_files(ws.root, target) != []:
        raise RegenError(f"{target}: is there already", "choose another name")
    check_new_asset(ws, target)
    _check_same_format(source, target)
    check_layout_stays(ws, snapshot, source, target)
    return desired


def _move_asset(ws: Workspace, source: str, target: str) -> list[str]:
    """Move an asset with its sidecar, and rewrite what refers to it; the sidecars that were rewritten.

    The recipe's own inputs are relative to it, so they are rewritten as well. Bytes are not touched.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = look_at_both(ws, paths={source, target}, also={source})
        desired = _require_movable(ws, snapshot, source, target)
        recipe = snapshot.inputs.recipe_of(desired)
        moved = replace(recipe, inputs=moved_inputs(recipe.inputs, sidecar_of(source), sidecar_of(target)))
        rewritten = _repoint(ws, snapshot, source, target)
        note_moved(ws, source, target)
        if source in snapshot.in_place:
            move_in_place(ws, snapshot, source, target, moved)
            return rewritten
        _move_files(ws, source, target)
        _move_sidecar(ws, desired.tracked, source, target, recipe_bytes(moved))
        ws.tree.remove_empty_dirs(source.rpartition("/")[0])
        after = look(ws, paths={source, target, *rewritten}, also={target})
        # What is known of the bytes moves along: whether they are the accepted ones, a stand-in, or edited.
        ws.state.rows[target] = ws.state.rows.pop(source, EMPTY_ROW)._replace(files=after.seen(target).files)
        refresh_ignores(ws, after)
        remember(after)
    return rewritten


def _check_same_format(source: str, target: str) -> None:
    if os.path.splitext(source)[1].lower() != os.path.splitext(target)[1].lower():
        raise UsageError(f"{target}: another format than {source}", f"make it anew: regen-vcs generate {target} …")
    if bool(parse_sequence(source)) != bool(parse_sequence(target)):
        raise UsageError(f"{target}: a sequence stays a sequence", "keep the #### in its name")


def _repoint(ws: Workspace, snapshot: Snapshot, source: str, target: str) -> list[str]:
    """Rewrite the inputs of every recipe that names `source`."""
    rewritten = []
    for path, desired in snapshot.assets.items():
        if path == source or desired.facts.problem or not desired.facts.inputs or desired.side_sig is None:
            continue
        sidecar = sidecar_of(path)
        recipe = snapshot.inputs.recipe_of(desired)
        inputs = {
            name: relative_input(sidecar, target)
            if not value.startswith("@") and resolve_input(sidecar, value) == source else value
            for name, value in recipe.inputs.items()
        }
        if inputs != recipe.inputs:
            write_document(ws, path, replace(recipe, inputs=inputs))
            rewritten.append(path)
    return rewritten


def _move_files(ws: Workspace, source: str, target: str) -> None:
    old, new = parse_sequence(source), parse_sequence(target)
    for path in list_files(ws.root, source) or ():
        if old:
            destination = frame_path(new, frame_number(old, path))
        else:
            destination = target + path[len(source) :]
        ws.tree.move_in(f"{ws.root}/{path}", destination)
        ws.tree.remove_empty_dirs(path.rpartition("/")[0])


def _move_sidecar(ws: Workspace, tracked: bool, source: str, target: str, data: bytes) -> None:
    if tracked and index.tracked(ws.repo, [sidecar_of(source)]):
        os.makedirs(os.path.dirname(f"{ws.root}/{target}") or ws.root, exist_ok=True)
        ws.repo.git.write("mv", "--", sidecar_of(source), sidecar_of(target))
    else:
        ws.tree.unlink(sidecar_of(source))
    write_in_tree(ws, sidecar_of(target), data)
