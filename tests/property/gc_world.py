"""A store, and repositories that use it, of which a second, slow look says what gc must leave and what it must take.

The oracle asks git for every commit that anything names and reads every tree of each; it shares no code with gc.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from blake3 import blake3

from regen_vcs.engine.conditions import conditions_of
from regen_vcs.engine.gc.collecting import Collector, Room
from regen_vcs.engine.gc.planning import Policy
from regen_vcs.engine.pins import pin, unpin
from regen_vcs.engine.proofs import record_proof
from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.key import compute_key
from regen_vcs.model.manifest import Member, manifest_bytes
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes
from regen_vcs.stores.witness import ACCEPTED, MADE, Witness

SOURCE, LOOSE, PROVEN = "source", "loose", "proven"
_NAME = re.compile(r'"(?:blake3:)?([0-9a-f]{64})"')


class Thing:
    """One object or directory of the store. kind: what nothing brings back, a take that nothing proves, one that is proven."""

    def __init__(self, hash: str, objects: list[str], kind: str, recipe: Recipe):
        self.hash, self.objects, self.kind, self.recipe = hash, objects, kind, recipe


class World:
    def __init__(self, base: Path):
        from tests.conftest import Home

        self.home = Home(base)
        self.env = self.home.env | {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/dev/null"}
        self.things: dict[str, Thing] = {}
        self.accepted: set[str] = set()  # what a commit had when gc looked, or somebody gave us
        self.pinned: set[str] = set()
        self.lost: dict[str, set[str]] = {}  # of repositories that are gone: what they needed when they were seen last
        self.roots: list[Path] = []  # worktrees that are there
        self.count = 0
        self._last_seen: dict[str, set[str]] = {}
        self._ever_present: set[str] = set()
        self._blobs: dict[str, set[str]] = {}
        self._trees: dict[str, set[str]] = {}
        self.repo("main")

    def repo(self, name: str) -> Path:
        root = self.home.work / name
        root.mkdir()
        self.roots.append(root)
        self.git(root, "init", "-q")
        (root / "notes.txt").write_text(name)
        self.git(root, "add", "-A")
        self.git(root, "commit", "-qm", "notes")
        ws = self.open(root)
        ws.register()
        ws.close()
        return root

    def git(self, root: Path, *argv: str) -> str:
        done = subprocess.run(["git", *argv], cwd=root, env=self.env, capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def open(self, root: Path) -> Workspace:
        return Workspace.open(str(root), self.home.env)

    # -- doing ---------------------------------------------------------------------------------------------------------

    def make(self, root: Path, asset: str, kind: str, *, is_tree: bool = False) -> Thing:
        """A new thing in the store, and the sidecar of `asset` accepts it."""
        self.count += 1
        recipe = Recipe() if kind == SOURCE else Recipe(generator="texture", params={"seed": str(self.count)})
        ws = self.open(root)
        try:
            with ws.stores.relying():
                members = [self._ingest(ws, f"{self.count} {part} ".encode() * 20) for part in range(3 if is_tree else 1)]
                hash = members[0]
                if is_tree:
                    data = manifest_bytes(Member(f"{n}.png", each, 60) for n, each in enumerate(members))
                    hash = ws.stores.ingest_bytes(data)[0]
                objects = list(dict.fromkeys([hash, *members]))
                key = None if kind == SOURCE else compute_key(recipe, asset, {})
                recipe = recipe.replace(output=Output(hash=hash, key=key, size=60, files=3 if is_tree else None))
                if kind == SOURCE:
                    Witness(ws.stores.keep.root).saw(ACCEPTED, objects)
                    self.accepted.update(objects)
                else:
                    self._record(ws, key, asset, hash, is_tree, recipe)
                    Witness(ws.stores.keep.root).saw(MADE, objects)
                if kind == PROVEN:
                    conditions = conditions_of(ws.settings, ws.environ, recipe, {})
                    record_proof(ws, key, hash, "made", conditions, 1.0)
                self._write(root, asset, recipe)
        finally:
            ws.close()
        thing = self.things[hash] = Thing(hash, objects, kind, recipe)
        return thing

    @staticmethod
    def _ingest(ws: Workspace, data: bytes) -> str:
        return ws.stores.ingest_bytes(data)[0]

    @staticmethod
    def _record(ws: Workspace, key: str, asset: str, hash: str, is_tree: bool, recipe: Recipe) -> None:
        output = {"hash": f"blake3:{hash}", "size": 60} | ({"files": 3} if is_tree else {})
        record = {"at": "2026-01-01T00:00:00.000Z", "asset": asset, "seconds": 1.0, "generator": "texture", "inputs": {}, "output": output}
        ws.results.record(key, hash, record)
        ws.results.save_recipe(key, recipe_bytes(recipe.replace(output=None)))

    @staticmethod
    def _write(root: Path, asset: str, recipe: Recipe) -> None:
        path = root / f"{asset}.regen.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recipe_bytes(recipe))

    def pin(self, number: int) -> None:
        here = [each for each in self.things.values() if self.holds(each)]
        if here:
            thing = here[number % len(here)]
            ws = self.open(self.roots[0])
            pin(ws, thing.hash)
            ws.close()
            self.pinned.add(thing.hash)

    def unpin(self) -> None:
        ws = self.open(self.roots[0])
        for hash in self.pinned:
            unpin(ws, hash)
        ws.close()
        self.pinned.clear()

    def delete_repo(self, root: Path) -> None:
        """As if its disk were gone; what it needed when gc saw it last counts from now on."""
        self.lost[str(root)] = self._last_seen.get(str(root), set())
        for each in [root, *(self.home.work.glob(f"{root.name}-wt-*"))]:
            shutil.rmtree(each)
            self.roots = [other for other in self.roots if other != each]

    def gc(self, grace: float = 0.0, room: Room | None = None, root: Path | None = None):
        ws = self.open(root or self.roots[0])
        try:
            now = os.stat(self.home.home).st_ctime + 10 * 366 * 86400.0
            policy = Policy(grace, False, 0, now)
            return Collector(ws.settings, ws.environ, ws).run(policy, room or Room())
        finally:
            ws.close()

    # -- the oracle ----------------------------------------------------------------------------------------------------

    def main_roots(self) -> list[Path]:
        return [root for root in self.roots if (root / ".git").is_dir()]

    def names_in_git(self, root: Path) -> set[str]:
        """What any sidecar in any commit or index of this repository names."""
        commits = set(self.git(root, "rev-list", "--all", "--reflog").split())
        oids: set[str] = set()
        for each in self._worktrees(root):
            commits |= set(self.git(each, "rev-list", "HEAD").split())
            for tip in self._tips_in_files(each):
                commits |= set(self.git(root, "rev-list", tip).split()) or {tip}
            oids |= {line.split()[1] for line in self.git(each, "ls-files", "-s").splitlines() if line.endswith(".regen.json")}
        for commit in commits:
            if commit not in self._trees:
                lines = self.git(root, "ls-tree", "-r", commit).splitlines()
                self._trees[commit] = {line.split()[2] for line in lines if line.endswith(".regen.json")}
            oids |= self._trees[commit]
        return {name for oid in oids for name in self._names_of_blob(root, oid)}

    def _tips_in_files(self, worktree: Path) -> set[str]:
        """Ids of commits that stand in the files of an operation: MERGE_HEAD, ORIG_HEAD, rebase-merge/orig-head …"""
        folder = Path(self.git(worktree, "rev-parse", "--absolute-git-dir").strip())
        paths = [each for each in folder.iterdir() if each.is_file() and each.name.isupper()]
        for name in ("rebase-merge", "rebase-apply", "sequencer"):
            paths += [each for each in (folder / name).rglob("*") if each.is_file()]
        found = {oid for path in paths for oid in re.findall(r"\b[0-9a-f]{40}\b", path.read_text(errors="replace"))}
        return {oid for oid in found if self.git(worktree, "cat-file", "-t", oid).strip() in ("commit", "tree")}

    def _worktrees(self, root: Path) -> list[Path]:
        return [root, *(each for each in self.roots if each.name.startswith(f"{root.name}-wt-"))]

    def _names_of_blob(self, root: Path, oid: str) -> set[str]:
        if oid not in self._blobs:
            self._blobs[oid] = set(_NAME.findall(self.git(root, "cat-file", "blob", oid)))
        return self._blobs[oid]

    def names_on_disk(self, root: Path) -> set[str]:
        found: set[str] = set()
        for each in self._worktrees(root):
            for path in each.rglob("*.regen.json"):
                if ".git" not in path.parts:
                    found |= set(_NAME.findall(path.read_text()))
        return found

    def needed(self) -> set[str]:
        """Every object that somebody refers to."""
        names = set(self.pinned)
        for root in self.main_roots():
            names |= self.names_in_git(root) | self.names_on_disk(root)
        for lost in self.lost.values():
            names |= lost
        return {each for name in names if name in self.things for each in self.things[name].objects}

    def remember_what_gc_sees(self) -> None:
        """To be called right before a gc: what it will know of each repository afterwards."""
        for root in self.main_roots():
            in_git = self.names_in_git(root)
            self._last_seen = {**self._last_seen, str(root): in_git | self.names_on_disk(root)}
            self.accepted |= {each for name in in_git if name in self.things for each in self.things[name].objects}

    def present(self) -> set[str]:
        """Every object in keep, cache and trash, by listing the folders."""
        found = set()
        for store in (self.home.keep, self.home.cache):
            for folder in ("v1/objects", "v1/trash/objects"):
                for path in (store / folder).glob("*/*"):
                    name = path.parent.name + path.name
                    if len(name) == 64 and path.is_file() and blake3(path.read_bytes()).hexdigest() == name:
                        found.add(name)
        return found

    def holds(self, thing: Thing) -> bool:
        return set(thing.objects) <= self.present()

    def check(self, *, is_sure: bool) -> None:
        """After a gc without grace: what is needed or irreplaceable is there, and everything else is not."""
        needed, present = self.needed(), self.present()
        for thing in self.things.values():
            for hash in thing.objects:
                if hash not in self._ever_present:
                    continue
                is_irreplaceable = thing.kind == SOURCE or (thing.kind == LOOSE and (hash in self.accepted or not is_sure))
                if hash in needed:
                    assert hash in present, f"needed, and gone: {thing.kind} {hash[:8]}"
                elif is_irreplaceable:
                    assert hash in present, f"irreplaceable, and gone: {thing.kind} {hash[:8]}"
                else:
                    assert hash not in present, f"nobody needs it, and it is here: {thing.kind} {hash[:8]}"
        self._ever_present = present

    def before_gc(self) -> None:
        self._ever_present = self.present()
        self.remember_what_gc_sees()
