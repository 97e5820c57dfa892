"""Inputs that are not where a recipe says, and where they went. Nothing is guessed among several.

What an input was is known by its bytes: a take's record names them; where there is none, the key of the accepted output
confirms which of all bytes in the repository they were. So what is found by bytes is proven. Next counts where git saw the
file, or the sidecar, go. A name counts where nothing else is known, and only if it is the only one.
"""

from __future__ import annotations

import os
import re
from collections import namedtuple
from collections.abc import Iterator

from regen_vcs.engine.desired import Desired, read_sidecar_bytes
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.whereabouts import Whereabouts
from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import parse_json
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import resolve_input, sidecar_of
from regen_vcs.model.recipe import FORMAT, Recipe, recipe_from_json

# An input that can be found again. value: as the sidecar spells it; target: where it is; why: how that is known.
Found = namedtuple("Found", ("asset", "name", "value", "target", "why"))
# One that cannot, with what it might be, and why that is not enough.
Unsure = namedtuple("Unsure", ("asset", "name", "value", "candidates", "why"))

_DRIVE = re.compile(r"(?:[A-Za-z]:|//\?/[A-Za-z]:)?/*")
_MOST_TRIED = 5000  # different bytes that a key is tried with
_SAME_BYTES = "the same bytes"


class Misplaced:
    """The inputs of a look's recipes that are not there. look: of both layouts, with inputs as they are on disk."""

    def __init__(self, snapshot: Snapshot, where: Whereabouts):
        self._snapshot, self._where = snapshot, where
        self._ws = snapshot.ws

    def find(self) -> Iterator[Found | Unsure]:
        """Every input that is not where its recipe says, in order of asset."""
        for _, desired in sorted(self._snapshot.assets.items()):
            if desired.unmerged or desired.side_sig is None:
                continue
            recipe = self._recipe(desired)
            if recipe is not None:
                yield from self._of_recipe(desired, recipe)

    def _recipe(self, desired: Desired) -> Recipe | None:
        """A recipe with inputs, also one that is invalid for nothing but how they are spelt."""
        if not desired.facts.problem:
            return self._snapshot.inputs.recipe_of(desired) if desired.facts.inputs else None
        return readable_but_for_inputs(self._ws.root, desired.path)

    def _of_recipe(self, desired: Desired, recipe: Recipe) -> Iterator[Found | Unsure]:
        targets = {name: self._target(desired.path, value) for name, value in recipe.inputs.items()}
        lost = [name for name, target in sorted(targets.items()) if target is None or not self._is_there(target)]
        known = {name: self._where.hash_of(target) for name, target in targets.items() if name not in lost}
        for name in lost:
            wanted = self._recorded_hash(desired, name)
            if wanted is None and len(lost) == 1:
                wanted = self._hash_by_key(desired, recipe, name, known)
            yield self._place(desired, name, recipe.inputs[name], targets[name], wanted)

    def _target(self, asset: str, value: str) -> str | None:
        try:
            return resolve_input(sidecar_of(asset), value)
        except InvalidError:
            return None

    def _is_there(self, target: str) -> bool:
        """A named root is for its user to map: whatever lies there."""
        return target.startswith("@") or self._where.is_there(target)

    # -- what it was ---------------------------------------------------------------------------------------------

    def _recorded_hash(self, desired: Desired, name: str) -> str | None:
        """What the record of the accepted take says that input was."""
        facts = desired.facts
        for record in self._ws.results.takes(facts.out_key) if facts.out_key else ():
            inputs = record.get("inputs")
            value = inputs.get(name) if isinstance(inputs, dict) and record["output_hash"] == facts.out_hash else None
            if isinstance(value, str):
                return value.removeprefix("blake3:")
        return None

    def _hash_by_key(self, desired: Desired, recipe: Recipe, name: str, known: dict) -> str | None:
        """Of all bytes in the repository those with which the recipe has the key that its output was made for."""
        key = recipe.output.key if recipe.output else None
        if key is None or None in known.values():
            return None
        for digest in self._where.hashes()[:_MOST_TRIED]:
            if compute_key(recipe, desired.path, {**known, name: digest}) == key:
                return digest
        return None

    # -- where it is ---------------------------------------------------------------------------------------------

    def _place(self, desired: Desired, name: str, value: str, target: str | None, wanted: str | None) -> Found | Unsure:
        asset, where = desired.path, self._where
        spelt = _respelt(self._ws, asset, value) if target is None else None
        if spelt is not None and self._is_there(spelt):
            return Found(asset, name, value, spelt, "spelt as paths are")
        target = target or spelt or _plain(value)
        same = self._but(asset, where.with_hash(wanted)) if wanted else []
        moved = self._but(asset, self._moved(asset, value, target))
        folded = self._but(asset, where.folded(target))
        named = self._but(asset, where.named(target))
        for candidates, why in (
            (_both(moved, same), _SAME_BYTES), (moved, "where git saw it go"), (_both(folded, same), _SAME_BYTES),
            (_both(named, same), _SAME_BYTES), (same, _SAME_BYTES), (folded, "the same path but for case or accents' form"),
        ):
            if len(candidates) == 1:
                return Found(asset, name, value, candidates[0], why)
        if same or moved:
            return Unsure(asset, name, value, same or moved, "there are several with the same bytes" if same else "it went to several places")
        if wanted is not None:
            return Unsure(asset, name, value, named, "of that name, but with other bytes" if named else "its bytes are nowhere here")
        if len(named) == 1:
            return Found(asset, name, value, named[0], "the only one of that name; what its bytes were is not known")
        return Unsure(asset, name, value, named, "there are several of that name" if named else "nothing here is like it")

    def _moved(self, asset: str, value: str, target: str) -> list[str]:
        """Where git saw it go: the input itself; or this sidecar, whose inputs are relative to where it was."""
        found = list(self._where.gone_to(target))
        for old in self._where.former_places(asset):
            before = self._target(old, value)
            if before is None:
                continue
            found += [before] if self._is_there(before) else self._where.gone_to(before)
        return list(dict.fromkeys(found))

    def _but(self, asset: str, candidates: list[str]) -> list[str]:
        return [path for path in candidates if path != asset]


def _both(left: list[str], right: list[str]) -> list[str]:
    return [path for path in left if path in right]


# ---------------------------------------------------------------- spelling


def readable_but_for_inputs(root: str, asset: str) -> Recipe | None:
    """A sidecar's recipe where nothing is wrong but how its inputs are spelt: absolute, with backslashes, with ./ in front.

    The inputs stand in it as they are spelt. None where anything else is wrong with it.
    """
    try:
        document = parse_json(read_sidecar_bytes(root, asset))
    except InvalidError:
        return None
    if type(document) is not dict or document.get("regen") != FORMAT or type(document.get("inputs")) is not dict:
        return None
    inputs = document["inputs"]
    if not all(type(value) is str and value for value in inputs.values()):
        return None
    try:
        bare = recipe_from_json({**document, "inputs": {}})
    except InvalidError:
        return None
    return bare.replace(inputs=dict(inputs))


def _respelt(ws, asset: str, value: str) -> str | None:
    """The target of an input that is not spelt as a sidecar spells one: relative to it, to this repository, or to a root."""
    text = value.replace("\\", "/")
    if not _is_absolute(text):
        folder = os.path.dirname(asset)
        target = os.path.normpath(os.path.join(folder, text))
        return None if target.startswith("..") else target
    places = [(ws.root, ""), *((folder, f"@{name}/") for name, folder in sorted(ws.settings.roots().items()))]
    for folder, prefix in places:
        base = folder.replace("\\", "/").rstrip("/") + "/"
        if text.startswith(base) and (not prefix or os.path.isfile(text)):
            return prefix + os.path.normpath(text[len(base) :])
    return None


def _is_absolute(text: str) -> bool:
    return text.startswith("/") or text[1:3] == ":/"


def _plain(value: str) -> str:
    """The names in a path that leads nowhere here, without drive and dots: its end may be found."""
    text = _DRIVE.sub("", value.replace("\\", "/"), count=1)
    return "/".join(part for part in text.split("/") if part not in ("", ".", "..")) or value
