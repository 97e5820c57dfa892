"""What recipes are made from, in one version of the repository's files: inputs exist, no cycle, keys follow."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping

from blake3 import blake3

from regen_vcs.engine.documents import read_document
from regen_vcs.engine.in_place_paths import accepted_hashes
from regen_vcs.engine.keys import Inputs
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import index
from regen_vcs.git.version import IndexVersion, RevisionVersion
from regen_vcs.model.canonical import json_path
from regen_vcs.model.facts import Facts, facts_of_recipe
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import SIDECAR_SUFFIX, resolve_input, sidecar_of
from regen_vcs.model.recipe import Recipe

# say(path, field, reason, mend=None, severity="error")
Say = Callable[..., None]


class Lineage:
    """The recipes being checked, everything they are made from, and what is wrong with that."""

    def __init__(
        self, ws: Workspace, version: IndexVersion | RevisionVersion, recipes: Mapping[str, Recipe], say: Say, *,
        staged: bool,
    ):
        self._ws, self._version, self._say, self._staged = ws, version, say, staged
        self._roots = Inputs(ws.repo, ws.state, ws.memo, {}, ws.settings.roots())
        self._facts: dict[str, Facts] = {}  # by asset
        for sidecar, recipe in recipes.items():
            asset = sidecar.removesuffix(SIDECAR_SUFFIX)
            self._facts[asset] = facts_of_recipe(recipe, asset)
        self._load_upstream()
        self._load_plain()
        self._acyclic: set[str] = set()

    def check(self, sidecar: str, recipe: Recipe) -> None:
        """Say what is wrong with one recipe's inputs, and whether its output was made from them."""
        asset = sidecar.removesuffix(SIDECAR_SUFFIX)
        sound = True
        for name, value in recipe.inputs.items():
            sound = self._check_input(sidecar, json_path("inputs", name), value) and sound
        cycle = self._cycle_through(asset) if sound else None
        if cycle:
            self._say(sidecar, "inputs", f"depends on itself: {' → '.join(cycle)}", f"mend inputs in {sidecar}")
        elif sound and recipe.generator is not None and recipe.output is not None:
            self._check_key(sidecar, asset, recipe)

    # -- loading -------------------------------------------------------------------------------------------------------

    def _load_upstream(self) -> None:
        """Facts of every asset that the recipes are made from, however indirectly; one read of git a layer."""
        sidecars = self._version.sidecars()
        layer = set(self._facts)
        while layer:
            targets = {target for asset in layer for target in self._targets(asset)}
            layer = {t for t in targets if t not in self._facts and sidecar_of(t) in sidecars}
            oids = {asset: sidecars[sidecar_of(asset)].oid for asset in layer}
            blobs = self._version.read(dict.fromkeys(oids.values()))
            for asset, oid in oids.items():
                self._facts[asset] = self._ws.memo.facts(blobs.get(oid, b""), oid, asset)[1]

    def _load_plain(self) -> None:
        """Blobs of every plain file that the checked recipes name, by one call of git."""
        targets = {t for asset in self._facts for t in self._targets(asset)}
        self._plain = self._version.files(t for t in targets if t not in self._facts and not t.startswith("@"))
        memo = self._ws.memo
        unknown = [file.oid for file in self._plain.values() if file.is_plain and memo.get(f"b:{file.oid}") is None]
        for oid, data in self._version.read(dict.fromkeys(unknown)).items():
            memo.put(f"b:{oid}", blake3(data).hexdigest())
        plain = {path: file.oid for path, file in self._plain.items() if file.is_plain and not file.unmerged}
        self._in_place = accepted_hashes(self._ws.repo, memo, plain)

    def _targets(self, asset: str) -> list[str]:
        found = []
        for value in self._facts[asset].inputs.values():
            try:
                found.append(resolve_input(sidecar_of(asset), value))
            except InvalidError:
                continue  # said by `_check_input`
        return found

    # -- inputs ----------------------------------------------------------------------------------------------------------

    def _check_input(self, sidecar: str, field: str, value: str) -> bool:
        """Whether an input is there; if not, it has been said."""
        try:
            target = resolve_input(sidecar, value)
        except InvalidError as error:
            self._say(sidecar, field, error.what, f"mend {field} in {sidecar}")
            return False
        if target.startswith("@"):
            return self._check_root_input(sidecar, field, target)
        if target in self._facts:
            problem = self._facts[target].problem
            if problem:
                self._say(sidecar, field, f"its input's sidecar is not valid: {problem[1]}", problem[2])
            return not problem
        file = self._plain.get(target)
        if file is None:
            self._say(sidecar, field, f"there is no {target} in what is committed", self._mend_missing(target, field, sidecar))
        elif not file.is_plain:
            kind = "a symlink" if file.mode == "120000" else "a submodule or folder"
            self._say(sidecar, field, f"{target} is {kind}: an input is a plain file or an asset", f"mend {field} in {sidecar}")
        return file is not None and file.is_plain

    def _check_root_input(self, sidecar: str, field: str, target: str) -> bool:
        problem = self._roots.roots.problem(target)
        if problem is None:
            return True
        why = problem.what.removeprefix(f"{target}: ")
        self._say(sidecar, field, f"{target} cannot be read here ({why}), so the key was not checked", problem.hint, "warning")
        return False

    def _mend_missing(self, target: str, field: str, sidecar: str) -> str:
        for path in (sidecar_of(target), target):
            if self._staged and self._ws.tree.stat(path) is not None:
                return f"git add {shlex.quote(path)}"
        return f"put {target} back, or mend {field} in {sidecar}"

    def _cycle_through(self, start: str) -> list[str] | None:
        """The way from an asset along its inputs back to itself."""
        if start in self._acyclic or not self._facts[start].inputs:
            return None
        trail, seen = [start], {start}
        stack = [iter(self._targets(start))]
        while stack:
            target = next(stack[-1], None)
            if target is None:
                stack.pop()
                trail.pop()
            elif target == start:
                return [*trail, start]
            elif target in self._facts and target not in seen and target not in self._acyclic:
                seen.add(target)
                trail.append(target)
                stack.append(iter(self._targets(target)))
        self._acyclic.add(start)
        return None

    # -- keys --------------------------------------------------------------------------------------------------------------

    def _check_key(self, sidecar: str, asset: str, recipe: Recipe) -> None:
        targets = {name: resolve_input(sidecar, value) for name, value in recipe.inputs.items()}
        hashes = {name: self._hash_of(target) for name, target in targets.items()}
        pending = [target for name, target in targets.items() if hashes[name] is None]
        if pending:
            self._say(sidecar, "output.key", f"stale: its input {pending[0]} has no accepted output",
                      f"regen-vcs regenerate {shlex.quote(pending[0])} {shlex.quote(asset)}")
        elif self._key_of(asset, recipe, hashes) != recipe.output.key:
            reason = "stale: the accepted output was made from another recipe or other inputs than are committed"
            self._say(sidecar, "output.key", reason, self._mend_stale(sidecar, asset, recipe, targets, hashes))

    def _key_of(self, asset: str, recipe: Recipe, hashes: dict[str, str]) -> str:
        return self._facts[asset].own_key or compute_key(recipe, asset, hashes)

    def _hash_of(self, target: str) -> str | None:
        """BLAKE3 of an input's bytes in this version; None while it is pending."""
        if target.startswith("@"):
            return self._roots.hash_of(target)
        if target in self._facts:
            return self._facts[target].out_hash
        if target in self._in_place:
            return self._in_place[target]
        return self._ws.memo.get(f"b:{self._plain[target].oid}")

    def _mend_stale(
        self, sidecar: str, asset: str, recipe: Recipe, targets: dict[str, str], hashes: dict[str, str]
    ) -> str:
        """Where the output was made from what is on disk, and only part of that is staged: what to add."""
        again = f"regen-vcs regenerate {shlex.quote(asset)} && git add {shlex.quote(sidecar)}"
        if not self._staged:
            return again
        on_disk = self._hashes_on_disk(targets)
        unstaged = [_to_add(targets[name], self._facts) for name in targets if on_disk.get(name) not in (None, hashes[name])]
        if unstaged and self._key_of(asset, recipe, hashes | on_disk) == recipe.output.key:
            return f"git add {' '.join(map(shlex.quote, unstaged))}"
        try:
            newer = read_document(self._ws, asset)
        except (RegenError, OSError):
            return again
        if newer.output is not None and newer.output.key == self._key_of(asset, recipe, hashes):
            return f"git add {shlex.quote(sidecar)}"
        return again

    def _hashes_on_disk(self, targets: dict[str, str]) -> dict[str, str]:
        """{input name: hash} as the working tree has them now, where that can be told."""
        found = {}
        for name, target in targets.items():
            try:
                found[name] = self._hash_on_disk(target)
            except (RegenError, OSError):
                continue
        return {name: digest for name, digest in found.items() if digest is not None}

    def _hash_on_disk(self, target: str) -> str | None:
        if target.startswith("@"):
            return None
        if target in self._facts or target in self._in_place:
            output = read_document(self._ws, target).output
            return output.hash if output else None
        oid = index.clean_oids(self._ws.repo, [target])[target]
        known = self._ws.memo.get(f"b:{oid}")
        if known is None:
            data = index.read_blobs(self._ws.repo, [oid]).get(oid)  # the run that used it stored it
            known = blake3(data).hexdigest() if data is not None else None
        return known


def _to_add(target: str, assets: Iterable[str]) -> str:
    return sidecar_of(target) if target in assets else target
