"""From recipes to keys: what each input is, by bytes.

An input that is an asset, of either layout, counts by its *accepted* hash, so no bytes are needed. A plain file counts
as its blob in the index; the user's own verbs take what is on disk instead (its clean form), and keep it.
"""

from __future__ import annotations

import os

from blake3 import blake3

from regen_vcs.engine.desired import Desired, read_sidecar_bytes
from regen_vcs.engine.in_place_paths import accepted_hashes, is_used
from regen_vcs.engine.memory import Memo, State, is_racy, sig_of
from regen_vcs.engine.named_roots import NamedRoots
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import index
from regen_vcs.git.repo import Repo
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import resolve_input, sidecar_of
from regen_vcs.model.recipe import Recipe, parse_recipe


class Inputs:
    """Resolves inputs of many recipes with few calls of git.

    roots: {name: absolute folder} for `@name/…` inputs (user configuration only).
    from_disk: take plain files as they are on disk (the user's verbs), not as in the index.
    """

    def __init__(self, repo: Repo, state: State, memo: Memo, assets: dict[str, Desired], roots: dict[str, str],
                 *, from_disk: bool = False):
        self._repo, self._state, self._memo = repo, state, memo
        self._assets, self.roots = assets, NamedRoots(roots, memo)
        self.from_disk = from_disk
        self._oids: dict[str, str | None] = {}  # blob oid of each plain input, None: not there
        self._in_place: dict[str, str | None] = {}  # accepted hash of each input that is kept in place
        self.documents: dict[str, bytes] = {}  # of those of `assets` that have no sidecar

    def targets(self, desired: Desired) -> dict[str, str]:
        """{input name: repo path or '@root/…'}; InvalidError for one that leaves the worktree."""
        sidecar = sidecar_of(desired.path)
        return {name: resolve_input(sidecar, value) for name, value in desired.facts.inputs.items()}

    def preload(self, wanted: list[Desired]) -> None:
        """One call of git for the plain inputs of all of these."""
        paths = set()
        for desired in wanted:
            try:
                paths.update(self.targets(desired).values())
            except InvalidError:
                continue  # said where the asset is looked at
        known = self._assets.keys() | self._oids.keys() | self._in_place.keys()
        self._load_oids([p for p in paths if p not in known and not p.startswith("@")])
        missing = [oid for oid in set(self._oids.values()) if oid and self._memo.get(f"b:{oid}") is None]
        for oid, data in index.read_blobs(self._repo, missing).items():
            self._memo.put(f"b:{oid}", blake3(data).hexdigest())

    def _load_oids(self, paths: list[str]) -> None:
        if not paths:
            return
        if is_used(self._repo.root):
            paths = self._without_in_place(paths)
        if self.from_disk:
            self._load_disk_oids(paths)
        else:
            self._load_index_oids(paths)

    def _without_in_place(self, paths: list[str]) -> list[str]:
        """Note what the documents of these accept; the paths that are plain files."""
        entries = index.list_paths(self._repo, paths)
        plain = {path: entry.oid for path, entry in entries.items() if entry.mode.startswith("100") and not entry.stage}
        self._in_place.update(accepted_hashes(self._repo, self._memo, plain))
        return [path for path in paths if path not in self._in_place]

    def _load_index_oids(self, paths: list[str]) -> None:
        entries = index.list_paths(self._repo, paths)
        for path in paths:
            # A symlink's blob is its target: no bytes of an input, and no way out of the worktree.
            is_file = path in entries and entries[path].mode.startswith("100")
            self._oids[path] = entries[path].oid if is_file else None

    def _load_disk_oids(self, paths: list[str]) -> None:
        sigs = {path: self._plain_sig(path) for path in paths}
        unknown = []
        for path, sig in sigs.items():
            known = self._state.plain.get(path)
            if sig is None:
                self._oids[path] = None
            elif known and known[0] == sig and not is_racy(sig, self._state.saved_at_ns):
                self._oids[path] = known[1]
            else:
                unknown.append(path)
        for path, oid in index.clean_oids(self._repo, unknown, write=True).items():
            self._oids[path] = oid
            self._state.plain[path] = [sigs[path], oid]

    def is_regular(self, path: str) -> bool:
        """Whether a regular file lies at this path, and no symlink on the way."""
        return self._plain_sig(path) is not None

    def _plain_sig(self, path: str) -> str | None:
        """Stat of a plain input; None where it is not a regular file or lies behind a symlink."""
        current = self._repo.root
        for part in path.split("/")[:-1]:
            current = f"{current}/{part}"
            if os.path.islink(current):
                return None
        try:
            st = os.lstat(f"{self._repo.root}/{path}")
        except OSError:
            return None
        return sig_of(st) if (st.st_mode & 0o170000) == 0o100000 else None

    def edited(self, targets: list[str]) -> list[str]:
        """Which of these plain inputs are on disk with other bytes than in the index, or not in it at all."""
        plain = [path for path in targets if path not in self._assets and not path.startswith("@")]
        if not plain:
            return []
        disk = Inputs(self._repo, self._state, self._memo, self._assets, {}, from_disk=True)
        disk._load_oids(plain)
        self._load_oids([path for path in plain if path not in self._oids and path not in self._in_place])
        plain = [path for path in plain if path in disk._oids and path in self._oids]
        return [path for path in plain if disk._oids[path] and disk._oids[path] != self._oids[path]]

    def hash_of(self, target: str) -> str | None:
        """BLAKE3 of an input's bytes; None while it is pending or not there."""
        if target.startswith("@"):
            return self._root_hash(target)
        if target in self._assets:
            return self._assets[target].facts.out_hash
        if target in self._in_place:
            return self._in_place[target]
        oid = self._oids.get(target)
        return self._memo.get(f"b:{oid}") if oid else None

    def oid_of(self, target: str) -> str | None:
        return self._oids.get(target)

    def is_asset(self, target: str) -> bool:
        return target in self._assets

    def _root_hash(self, target: str) -> str | None:
        try:
            return self.roots.hash_of(target)
        except RegenError:
            return None

    def root_problem(self, desired: Desired) -> RegenError | None:
        """Why an input below a named root cannot be had; None where all can, or there is none."""
        try:
            named = [target for target in self.targets(desired).values() if target.startswith("@")]
        except InvalidError:
            return None
        return next((problem for problem in map(self.roots.problem, named) if problem), None)

    def key_of(self, desired: Desired) -> str | None:
        """The key of what is asked for; None while an input is pending or missing, or there is no generator."""
        facts = desired.facts
        if facts.generator is None or facts.problem:
            return None
        if facts.own_key:
            return facts.own_key
        hashes = {}
        for name, target in self.targets(desired).items():
            hashes[name] = self.hash_of(target)
            if hashes[name] is None:
                return None
        joined = ",".join(f"{name}={hashes[name]}" for name in sorted(hashes))
        memo_name = f"k:{desired.memo_name}:{blake3(joined.encode()).hexdigest()}"
        key = self._memo.get(memo_name)
        if key is None:
            key = compute_key(self.recipe_of(desired), desired.path, hashes)
            if desired.memo_name:
                self._memo.put(memo_name, key)
        return key

    def recipe_of(self, desired: Desired) -> Recipe:
        document = self.documents.get(desired.path)
        return read_recipe(self._repo.root, desired.path) if document is None else parse_recipe(document, desired.path)


def read_recipe(root: str, asset_path: str) -> Recipe:
    """The sidecar's recipe, from disk; InvalidError where it is not one."""
    return parse_recipe(read_sidecar_bytes(root, asset_path), sidecar_of(asset_path))
