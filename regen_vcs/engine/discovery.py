"""What a generator finds that its files need: written into the recipe as inputs, by the user's own verbs only.

Such an input's role begins with `linked/`. The generator is asked again whenever an executable input (a .blend, its
libraries) has other bytes than at the last look; anything else that changes is seen by the input's own hash.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from blake3 import blake3

from regen_vcs.engine.documents import read_document, write_document
from regen_vcs.engine.in_place_snapshot import reread
from regen_vcs.engine.recipe_changes import refuse_cycle
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.trust import require_trust
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.base import DISCOVERED
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.generator_table import is_executable_input
from regen_vcs.model.paths import frame_of, parse_sequence, relative_input, resolve_input, sidecar_of
from regen_vcs.model.recipe import Recipe


def refresh_inputs(ws: Workspace, snapshot: Snapshot, path: str) -> bool:
    """Bring the discovered inputs of an asset's recipe up to date; whether its sidecar was rewritten.

    snapshot: a look in which plain inputs count as they are on disk. NotTrusted before anything is opened; RegenError
    names what is missing, or cannot be an input.
    """
    facts = snapshot.assets[path].facts
    if facts.generator is None or facts.problem or not registry.is_installed(facts.generator):
        return False  # what is not installed is for whoever runs it to say
    generator = registry.load(facts.generator, snapshot.definitions.table(facts.generator) or None)
    if not hasattr(generator, "discover_inputs"):
        return False
    recipe = read_document(ws, path)
    snapshot.inputs.preload([snapshot.assets[path]])
    require_trust(snapshot, snapshot.assets[path])
    if ws.memo.get(_memo_name(snapshot, path, recipe)) == _linked(recipe):
        return False
    given = _absolute(ws, snapshot, path, {role: value for role, value in recipe.inputs.items() if not _is_linked(role)})
    found = _ask(ws, snapshot, path, generator, recipe, given)
    changed = replace(recipe, inputs={role: recipe.inputs[role] for role in given} | found)
    if changed.inputs != recipe.inputs:
        refuse_cycle(ws, path, changed)
        write_document(ws, path, changed)
        reread(ws, snapshot, path)
        snapshot.inputs.preload([snapshot.assets[path]])
    ws.memo.put(_memo_name(snapshot, path, changed), found)
    return changed.inputs != recipe.inputs


def _is_linked(role: str) -> bool:
    return role.startswith(DISCOVERED)


def _linked(recipe: Recipe) -> dict[str, str]:
    return {role: value for role, value in recipe.inputs.items() if _is_linked(role)}


def _ask(ws: Workspace, snapshot: Snapshot, path: str, generator, recipe: Recipe, given: Mapping[str, str]) -> dict[str, str]:
    """{role: value as the sidecar spells it} of what the generator found."""
    try:
        found = generator.discover_inputs(recipe.params, given, ws.root, ws.settings.roots())
    except RegenError as error:
        raise RegenError(f"{path}: {error.what}", error.hint) from None
    targets = sorted({asset_for(snapshot, target) for target in found.values()})
    if path in targets:
        raise RegenError(f"{path}: would depend on itself: what it is made from links it", "take it out of there")
    return {DISCOVERED + target: relative_input(sidecar_of(path), target) for target in targets}


def asset_for(snapshot: Snapshot, target: str) -> str:
    """The asset a file belongs to: itself, the sequence whose frame it is, the folder it lies in; else the plain file."""
    if target.startswith("@") or target in snapshot.assets:
        return target
    folder, _, name = target.rpartition("/")
    for path in snapshot.assets:
        sequence = parse_sequence(path)
        if sequence and sequence.directory == folder and frame_of(sequence, name) is not None:
            return path
        if target.startswith(path + "/"):
            return path
    return target


def _absolute(ws: Workspace, snapshot: Snapshot, path: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """{role: absolute path}; RegenError for one that is not on disk."""
    found = {}
    for role, value in inputs.items():
        target = resolve_input(sidecar_of(path), value)
        place = snapshot.inputs.roots.place(target) if target.startswith("@") else f"{ws.root}/{target}"
        if not (os.path.exists(place) or parse_sequence(target)):
            raise RegenError(f"{path}: its input {role} ({target}) is not on disk", "bring it: regen-vcs sync")
        found[role] = place
    return found


def _memo_name(snapshot: Snapshot, path: str, recipe: Recipe) -> str:
    """Of one look: who was asked, and the bytes of everything that can link further files."""
    targets = {role: resolve_input(sidecar_of(path), value) for role, value in recipe.inputs.items()}
    hashes = {role: snapshot.inputs.hash_of(target) for role, target in targets.items() if is_executable_input(target)}
    asked = [recipe.generator, recipe.definition, targets, hashes]
    return f"f:{blake3(canonical_bytes(asked)).hexdigest()}"
