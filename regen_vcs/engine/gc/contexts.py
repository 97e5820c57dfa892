"""Wherever a recipe with inputs stands, is it the one that made its accepted bytes?

The key of such a recipe follows from its inputs, which are other files of the same commit. Where one of them was changed and the
asset was not made again, the recipe is stale, and nobody would run it to get the old bytes. So each state of the
recipe with its inputs that any commit, index or worktree has is looked at: once for each commit that changes one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from blake3 import blake3

from regen_vcs.engine.gc.roots import RepositoryRoots
from regen_vcs.errors import RegenError
from regen_vcs.git.history import extra_tips
from regen_vcs.git.index import iter_blobs
from regen_vcs.git.roots import worktrees
from regen_vcs.model.facts import facts_of
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import resolve_input, sidecar_of
from regen_vcs.model.recipe import Recipe, parse_recipe
from regen_vcs.platform.files import read_regular

_MAX_SIDECAR = 1 << 20
_LOG = (
    "-c", "log.showRoot=true", "-c", "core.quotePath=false", "--literal-pathspecs", "--git-dir=.", "log", "--format=%x01%H", "--raw", "-z",
    "-m", "--no-abbrev", "--no-renames", "--no-ext-diff", "--full-history", "--all", "--reflog", "--stdin",
)  # fmt: skip


class Contexts:
    """The recipes with inputs of one repository. uses: of them (eviction.Use), which say where they stand and what they read."""

    def __init__(self, looked: RepositoryRoots, uses: list):
        self._repo, self._main_root = looked.repo, looked.main_root
        self._assets = {use.path for use in uses}
        self.plain: set[str] = set()  # hashes of the files in git that these recipes read, where they stand
        self._current: set[tuple[str, str]] = set()
        self._stale: set[tuple[str, str]] = set()
        self._oids: dict[str, str | None] = {}  # "<commit>:<path>" or "<git dir>\0:<path>" → blob
        self._blobs: dict[str, bytes] = {}
        try:
            self._look(list(self._targets_of(uses)))
        except (RegenError, OSError):
            self._current.clear()  # nothing is known: nothing goes
            self.plain.clear()

    def is_current_everywhere(self, path: str, out_hash: str) -> bool:
        """Whether every sidecar of this asset that accepts these bytes is the recipe that makes them, where it stands."""
        return (path, out_hash) in self._current and (path, out_hash) not in self._stale

    def _targets_of(self, uses: Iterable) -> Iterator[tuple[str, str]]:
        """(asset, path it reads)."""
        for use in uses:
            for value in use.facts.inputs.values():
                target = _resolve(use.path, value)
                if target is not None:
                    yield use.path, target

    def _look(self, pairs: list[tuple[str, str]]) -> None:
        readers: dict[str, set[str]] = {sidecar_of(path): {path} for path in self._assets}
        for asset, target in pairs:
            readers.setdefault(target, set()).add(asset)
            readers.setdefault(sidecar_of(target), set()).add(asset)
        contexts = {(commit, asset) for commit, path in self._changes(readers) for asset in readers.get(path, ())}
        for worktree in worktrees(self._repo, self._main_root):
            contexts |= {(f"{worktree.git_dir}\0", asset) for asset in self._assets}
        self._resolve_all([(where, sidecar_of(asset)) for where, asset in contexts])
        recipes = {context: self._recipe_at(*context) for context in contexts}
        inputs = [(where, target) for (where, asset), recipe in recipes.items() if recipe for target in _targets(asset, recipe)]
        self._resolve_all([*inputs, *((where, sidecar_of(target)) for where, target in inputs)])
        for (where, asset), recipe in recipes.items():
            if recipe is not None:
                self._judge(asset, recipe, lambda target, where=where: self._input_in_git(where, target))
        for worktree in worktrees(self._repo, self._main_root):
            if worktree.root:
                self._look_at_disk(worktree.git_dir, worktree.root)

    def _changes(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(commit, path) of every change of these in any history that something names."""
        request = "".join(f"{line}\n" for line in (*extra_tips(self._repo), "--", *sorted(paths)) if "\n" not in line)
        commit, is_path = "", False
        for token in _tokens(self._repo.git.chunks(*_LOG, input=request.encode("utf-8", "surrogateescape"))):
            text = token.decode("utf-8", "surrogateescape")
            if is_path:
                is_path = False
                yield commit, text
            elif text.lstrip("\n").startswith("\x01"):
                commit = text.lstrip("\n")[1:].strip()
            elif text.lstrip("\n").startswith(":"):
                is_path = True

    def _resolve_all(self, wanted: list[tuple[str, str]]) -> None:
        """Note which blob each path is, in a commit or, of a git directory, in its index."""
        by_place: dict[str, list[str]] = {}
        for where, path in wanted:
            name = f"{where}:{path}"
            if name not in self._oids and "\n" not in path:
                self._oids[name] = None
                by_place.setdefault(where.removesuffix("\0") if where.endswith("\0") else "", []).append(name)
        for git_dir, names in by_place.items():
            git = self._repo.git.at(git_dir) if git_dir else self._repo.git
            request = "".join(f"{name.rpartition(chr(0))[2]}\n" for name in names).encode("utf-8", "surrogateescape")
            answers = git.out("--git-dir=.", "cat-file", "--batch-check=%(objectname) %(objecttype)", input=request).split(b"\n")
            for name, answer in zip(names, answers, strict=False):
                oid, _, kind = answer.decode("utf-8", "replace").partition(" ")
                self._oids[name] = oid if kind == "blob" else None
        missing = {oid for oid in self._oids.values() if oid and oid not in self._blobs}
        self._blobs.update(iter_blobs(self._repo, sorted(missing)))

    def _blob_at(self, where: str, path: str) -> bytes | None:
        oid = self._oids.get(f"{where}:{path}")
        return self._blobs.get(oid) if oid else None

    def _recipe_at(self, where: str, asset: str) -> Recipe | None:
        return _parse(self._blob_at(where, sidecar_of(asset)), asset)

    def _input_in_git(self, where: str, target: str) -> str | None:
        return _hash_of(self._blob_at(where, sidecar_of(target)), target) or self._plain_hash(where, target)

    def _plain_hash(self, where: str, target: str) -> str | None:
        data = self._blob_at(where, target)
        found = None if data is None else blake3(data).hexdigest()
        if found is not None:
            self.plain.add(found)
        return found

    def _look_at_disk(self, git_dir: str, root: str) -> None:
        """The sidecars as they lie there, whose plain inputs are the index's."""
        for asset in self._assets:
            recipe = _parse(_read(root, sidecar_of(asset)), asset)
            if recipe is None:
                continue
            targets = list(_targets(asset, recipe))
            self._resolve_all([(f"{git_dir}\0", target) for target in targets])

            def hash_of(target: str) -> str | None:
                found = _hash_of(_read(root, sidecar_of(target)), target)
                return found or self._plain_hash(f"{git_dir}\0", target)

            self._judge(asset, recipe, hash_of)

    def _judge(self, asset: str, recipe: Recipe, hash_of) -> None:
        if recipe.output is None or not recipe.inputs:
            return
        hashes = {}
        for name, value in recipe.inputs.items():
            target = _resolve(asset, value)
            found = hash_of(target) if target is not None else None
            if found is not None:
                hashes[name] = found
        try:
            is_current = compute_key(recipe, asset, hashes) == recipe.output.key
        except RegenError:
            is_current = False
        (self._current if is_current else self._stale).add((asset, recipe.output.hash))


def _targets(asset: str, recipe: Recipe) -> Iterator[str]:
    for value in recipe.inputs.values():
        target = _resolve(asset, value)
        if target is not None:
            yield target


def _resolve(asset: str, value: str) -> str | None:
    """The path in the repository that an input names; None for one outside, which may be another file tomorrow."""
    try:
        target = resolve_input(sidecar_of(asset), value)
    except RegenError:
        return None
    return None if target.startswith("@") else target


def _parse(data: bytes | None, asset: str) -> Recipe | None:
    try:
        return None if data is None else parse_recipe(data, sidecar_of(asset))
    except RegenError:
        return None


def _hash_of(data: bytes | None, asset: str) -> str | None:
    return None if data is None else facts_of(data, asset).out_hash


def _read(root: str, path: str) -> bytes | None:
    try:
        return read_regular(os.path.join(root, path), _MAX_SIDECAR + 1)
    except RegenError:
        return None


def _tokens(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole
    if rest:
        yield rest
