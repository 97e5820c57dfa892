"""What can come back: made again, as this machine has proven, or fetched from a durable remote that says now that it has it.

A record claims; it proves nothing. What does is a run of this machine that gave these very bytes, while generator, models and
environment are as they were (engine/proofs.py); that the recipe which it was a run of is in keep, and the hashes of all that it
reads are known, which the key itself shows; and that what it reads is at hand.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping

from blake3 import blake3

from regen_vcs.engine.gc.census import Seen
from regen_vcs.engine.gc.record_index import Record
from regen_vcs.engine.proofs import BYTES, proof_of
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git.index import iter_blobs, parse_listing
from regen_vcs.git.roots import worktree_git_dirs
from regen_vcs.model.key import compute_key
from regen_vcs.model.recipe import Recipe, parse_recipe

MADE_AGAIN, FETCHED = "made again", "fetched"

# how: one of the above. by: the generator. seconds, cost (dollars): of doing it, None where nobody knows.
# inputs: {hash} that it is made from.
Way = namedtuple("Way", ("how", "by", "seconds", "cost", "inputs"), defaults=(None, None, None, frozenset()))


class Recall:
    """The ways back of takes, under the generators of one worktree; none where gc is called outside of one."""

    def __init__(self, ws: Workspace | None, records: Mapping[str, list[Record]]):
        self._ws, self._records = ws, records
        self._ways: dict[tuple[str, str], Way | None] = {}

    def ways_of(self, whole: str) -> list[Way]:
        """Every proven way to make these bytes, the cheapest first. `inputs` may be objects, or files in git."""
        found = [self.way(record.key, whole) for record in self._records.get(whole, ())]
        return sorted((way for way in found if way is not None), key=lambda way: (way.cost or 0.0, way.seconds or 0.0))

    def way(self, key: str, whole: str) -> Way | None:
        """The proven way to make these bytes for this key; None where there is none."""
        if (key, whole) not in self._ways:
            self._ways[key, whole] = self._find_way(key, whole) if self._ws is not None else None
        return self._ways[key, whole]

    def _find_way(self, key: str, whole: str) -> Way | None:
        try:
            proof = proof_of(self._ws, key, whole)
        except InvalidError:
            return None  # the user's key of proofs is damaged: nothing is proven
        if proof is None or proof.kind != BYTES:  # the same content in other bytes is no accepted take
            return None
        recipe = self._recipe(key)
        if recipe is None:
            return None
        for take in self._ws.results.takes(key):
            if take["output_hash"] == whole:
                inputs = inputs_of(take, recipe)
                if inputs is not None:
                    return Way(MADE_AGAIN, recipe.generator, proof.seconds, proof.cost, inputs)
        return None

    def _recipe(self, key: str) -> Recipe | None:
        data = self._ws.results.recipe(key)
        try:
            return None if data is None else parse_recipe(data, key)
        except InvalidError:
            return None


def inputs_of(record: Mapping, recipe: Recipe) -> frozenset[str] | None:
    """{hash} of what a run of this recipe read, as its record says and its key confirms; None where it does not."""
    told, asset = record.get("inputs"), record.get("asset")
    if not isinstance(told, dict) or not isinstance(asset, str):
        return None
    hashes = {name: str(value).removeprefix("blake3:") for name, value in told.items()}
    try:
        if compute_key(recipe, asset, hashes) != record["key"]:
            return None
    except RegenError:
        return None
    return frozenset(hashes[name] for name in recipe.inputs)


class PlainInputs:
    """Files in git that a recipe may read, by the hash of their bytes: those of the indexes of the repositories looked at."""

    def __init__(self, seen: Iterable[Seen]):
        self._seen = [each.looked.repo for each in seen if each.looked is not None]
        self._blobs: dict[str, list[tuple]] | None = None
        self._sure: dict[str, bool] = {}

    def __contains__(self, hash: str) -> bool:
        if hash not in self._sure:
            if self._blobs is None:
                self._blobs = self._remembered()
            self._sure[hash] = any(self._is_so(repo, oid, hash) for repo, oid in self._blobs.get(hash, ()))
        return self._sure[hash]

    def _remembered(self) -> dict[str, list[tuple]]:
        """{BLAKE3: [(repository, blob id)]}, as the repositories' memos have it: to be looked at before it is believed."""
        found: dict[str, list[tuple]] = {}
        for repo in self._seen:
            indexed = _index_oids(repo)
            for oid, hash in _memo_blobs(f"{repo.shared_dir}/memo-1"):
                if oid in indexed:
                    found.setdefault(hash, []).append((repo, oid))
        return found

    @staticmethod
    def _is_so(repo, oid: str, hash: str) -> bool:
        return any(blake3(data).hexdigest() == hash for _, data in iter_blobs(repo, [oid]))


def _index_oids(repo) -> set[str]:
    found: set[str] = set()
    for git_dir in worktree_git_dirs(repo):
        listing = repo.git.at(git_dir).out("--git-dir=.", "ls-files", "-s", "-t", "-z")
        found.update(entry.oid for entry in parse_listing(listing, repo.oid_format))
    return found


def _memo_blobs(path: str) -> Iterable[tuple[str, str]]:
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return
    for line in lines:
        if line.startswith(b"b:"):
            name, _, value = line.decode("ascii", "replace").partition("\t")
            yield name[2:], value.strip().strip('"')


def find_ways(
    hashes: Iterable[str], ways_of: Callable[[str], list[Way]], is_there: Callable[[str], bool]
) -> dict[str, Way]:
    """{hash: the way it takes} of those that come back when all of them are gone at once.

    is_there(input): whether it is at hand and stays. A way may lead over others that come back; what could only be made from one
    another is not in the answer, since no way would begin anywhere.
    """
    wanted = set(hashes)
    chosen: dict[str, Way] = {}
    waiting: dict[str, list[str]] = {}
    todo = list(wanted)
    while todo:
        hash = todo.pop()
        if hash in chosen:
            continue
        for way in ways_of(hash):
            open_inputs = [each for each in way.inputs if each not in chosen and (each in wanted or not is_there(each))]
            if not open_inputs:
                chosen[hash] = way
                todo += waiting.pop(hash, [])
                break
            for each in open_inputs:
                waiting.setdefault(each, []).append(hash)
    return chosen
