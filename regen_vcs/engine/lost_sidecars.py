"""Recipes whose sidecars are gone, and what still knows them: git, this worktree's state, and keep.

In this order, the surest first:

1. git's index has a sidecar that is not on disk: it comes back as it was.
2. HEAD has it, and the index is lost or it was named: as it was committed.
3. The state file remembers an untracked one: its text if git has that blob, else it is put together from keep's copy of
   the recipe and the take that was accepted.
4. Somewhere in git's history, for what was named: as it was when it was there last.
5. Keep knows recipes by key. A take's record says where it was made, in which repository; the recipe and the record
   prove each other by the key. Where no record tells the path, the recipe goes to `restored/`, under a suffix that the
   key confirms; where nothing confirms one, it is only named.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Iterator

from regen_vcs import media
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.memory import Row
from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.restoring import Candidate
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.takes import output_of_record, recipe_of_key
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import index
from regen_vcs.git.history import changed_sidecars, past_blobs
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import asset_of, check_asset_path, frames_text, parse_sequence, sidecar_of
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes
from regen_vcs.stores.results import Repos

RESTORED_FOLDER = "restored"
# What asset a recipe without a known path may have been: the first whose key is right.
_SUFFIXES = (
    ".png", ".exr", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".hdr", ".wav", ".flac", ".ogg", ".mp3", ".opus",
    ".mp4", ".mkv", ".webm", ".mov", ".avi", ".glb", ".gltf", ".obj", ".ply", ".usd", ".usdc", ".abc", ".vdb", ".npz", ".npy",
    ".bin", ".dat", ".json", ".txt", ".zip", "",
)  # fmt: skip

# candidates: what can be restored. unplaced: recipes that keep has, but not for which asset.
Lost = namedtuple("Lost", ("candidates", "unplaced"))
Unplaced = namedtuple("Unplaced", ("key", "reason"))


def find_lost(
    ws: Workspace, wanted: Callable[[str], bool], *, named: bool = False, from_keep: bool = False, everywhere: bool = False
) -> Lost:
    """Every recipe of this worktree that is gone, with the best that is known of it.

    named: the user has named what `wanted` asks for, so that git's history and keep are asked too. from_keep: keep is asked
    about all of this repository; everywhere: of all repositories. Keep is also asked where nothing else knows of any recipe.
    """
    snapshot = look_at_both(ws, paths=set())
    found: dict[str, Candidate] = {}
    for path in snapshot.assets:
        wanted(path)  # so that who notices what matches nothing knows of those that are not gone

    def take(candidates: Iterator[Candidate]) -> None:
        for each in candidates:
            if wanted(each.asset) and each.asset not in found and not os.path.lexists(f"{ws.root}/{each.path}"):
                found[each.asset] = each

    take(_in_index(ws, snapshot))
    index_is_lost = not any(each.tracked for each in snapshot.assets.values())
    if named or index_is_lost:
        take(_in_head(ws))
    take(_in_state(ws, snapshot))
    if named:
        take(_in_history(ws))
    unplaced: list[Unplaced] = []
    if from_keep or named or not (found or snapshot.assets):
        kept = _Kept(ws, everywhere)
        take(kept.placed())
        if from_keep or not named:
            taken = {each.path for each in found.values()}
            take(each for each in kept.unplaced(unplaced) if each.path not in taken)
    return Lost([found[path] for path in sorted(found)], unplaced)


# ---------------------------------------------------------------- git


def _in_index(ws: Workspace, snapshot: Snapshot) -> Iterator[Candidate]:
    """Sidecars that are in the index and not on disk, but for what sparse-checkout leaves out."""
    gone = [each for each in snapshot.assets.values() if _is_gone(each)]
    entries = index.list_paths(ws.repo, [sidecar_of(each.path) for each in gone])
    blobs = index.read_blobs(ws.repo, {entry.oid for entry in entries.values()})
    for path, entry in entries.items():
        if entry.oid in blobs:
            yield Candidate(path, blobs[entry.oid], asset_of(path), "git's index")


def _is_gone(desired: Desired) -> bool:
    return desired.tracked and desired.side_sig is None and not desired.skip


def _in_head(ws: Workspace) -> Iterator[Candidate]:
    try:
        changes = changed_sidecars(ws.repo, "HEAD")
    except RegenError:
        return  # nothing is committed yet
    blobs = index.read_blobs(ws.repo, {each.after for each in changes})
    for each in changes:
        yield from _candidate(each.path, blobs.get(each.after), "HEAD")


def _in_history(ws: Workspace) -> Iterator[Candidate]:
    last: dict[str, tuple[str, str]] = {}
    try:
        for path, oid, commit in past_blobs(ws.repo, ["*.regen.json"]):
            last.setdefault(path, (oid, commit))
    except RegenError:
        return  # nothing is committed yet
    blobs = index.read_blobs(ws.repo, {oid for oid, _ in last.values()})
    for path, (oid, commit) in last.items():
        yield from _candidate(path, blobs.get(oid), f"git's history, before {commit[:10]}")


def _candidate(sidecar_path: str, data: bytes | None, origin: str) -> Iterator[Candidate]:
    try:
        asset = asset_of(sidecar_path)
        check_asset_path(asset)
    except InvalidError:
        return
    if data is not None:
        yield Candidate(sidecar_path, data, asset, origin)


# ---------------------------------------------------------------- this worktree's state


def _in_state(ws: Workspace, snapshot: Snapshot) -> Iterator[Candidate]:
    rows = {path: row for path, row in ws.state.rows.items() if path not in snapshot.assets and row.facts is not None}
    oids = {path: row.memo_name.split(":")[1] for path, row in rows.items() if (row.memo_name or "").count(":") >= 2}
    blobs = index.read_blobs(ws.repo, set(oids.values()))
    for path, row in sorted(rows.items()):
        data = blobs.get(oids.get(path))
        if data is not None:
            yield Candidate(sidecar_of(path), data, path, "git's objects")
            continue
        rebuilt = _rebuilt(ws, path, row)
        if rebuilt is not None:
            data, note = rebuilt
            yield Candidate(sidecar_of(path), data, path, "this worktree's memory and keep", note)


def _rebuilt(ws: Workspace, path: str, row: Row) -> tuple[bytes, str | None] | None:
    """(a sidecar's text put together from what its row remembers, what is not as it was); None where that is too little."""
    facts = row.facts
    if facts.problem:
        return None
    lost = ["review"] if facts.review else []
    if facts.generator is None:
        recipe, lost = Recipe(), [*lost, "meta"]
    else:
        recipe = recipe_of_key(ws, facts.out_key or facts.own_key or "")
        if recipe is None or dict(recipe.inputs) != facts.inputs:
            return None
    output = _output(ws, path, facts) if facts.out_hash else None
    if facts.out_hash and output is None:
        return None
    try:
        data = recipe_bytes(recipe.replace(output=output))
    except InvalidError:
        return None
    return data, f"without its {' and '.join(lost)}" if lost else None


def _output(ws: Workspace, path: str, facts) -> Output | None:
    """The accepted output, from the record of its take; else from the object itself, which must be in a store."""
    for record in ws.results.takes(facts.out_key) if facts.out_key else ():
        output = output_of_record(record, facts.out_key)
        if output is not None and output.hash == facts.out_hash == record["output_hash"]:
            return output
    bare = Output(facts.out_hash, facts.out_key, facts.out_size, facts.out_content)
    try:
        if facts.is_tree:
            members = read_manifest(ws.stores, facts.out_hash)
            sequence = parse_sequence(path)
            if sequence:
                return bare.replace(frames=frames_text(int(each.name.removesuffix(sequence.suffix)) for each in members))
            return bare.replace(files=len(members))
    except (RegenError, OSError, ValueError):
        return None
    source = ws.stores.find(facts.out_hash)
    return bare.replace(look=media.look(source), media=media.probe(source)) if source else bare


# ---------------------------------------------------------------- keep


class _Kept:
    """The recipes in keep that were used by this repository, and what records of their takes say."""

    def __init__(self, ws: Workspace, everywhere: bool):
        self._ws = ws
        self._ours = None if everywhere else {ws.uuid, *_former_names(ws)}
        self._by_path: dict[str, list[dict]] = {}
        self._rest: list[tuple[str, list[dict]]] = []
        for key in sorted(ws.results.recipe_keys()):
            self._sort_in(key, ws.results.takes(key))

    def _sort_in(self, key: str, records: list[dict]) -> None:
        ours = [each for each in records if self._ours is None or each.get("repo") in self._ours]
        if not ours:
            return
        placed = {each["asset"]: each for each in ours if type(each.get("asset")) is str}  # the newest of each path
        for path, record in placed.items():
            self._by_path.setdefault(path, []).append(record)
        if not placed:
            self._rest.append((key, ours))

    def placed(self) -> Iterator[Candidate]:
        """Those whose path a record tells, and the key confirms: of each path the one that was made last."""
        for path, records in sorted(self._by_path.items()):
            records.sort(key=lambda each: (str(each.get("at", "")), each["record"]), reverse=True)
            for number, record in enumerate(records):
                recipe = _confirmed(self._ws, record["key"], path, [record])
                if recipe is None:
                    continue
                older = len(records) - number - 1
                note = f"made last of {older + 1} recipes for it" if older else None
                yield from self._candidate(path, record["key"], recipe, note)
                break

    def unplaced(self, hopeless: list[Unplaced]) -> Iterator[Candidate]:
        """Those whose path nothing tells: below `restored/`, where the key confirms a suffix; else into `hopeless`."""
        for key, records in self._rest:
            found = self._suffix_of(key, records)
            if found is None:
                hopeless.append(Unplaced(key, "keep has this recipe, but nothing says what kind of file it makes"))
                continue
            path, recipe = found
            note = "nothing says where it was"
            if recipe.inputs:
                note += ", so its inputs may lie elsewhere than it says: regen-vcs doctor --fix"
            yield from self._candidate(path, key, recipe, note)

    def _suffix_of(self, key: str, records: list[dict]) -> tuple[str, Recipe] | None:
        for suffix in _SUFFIXES:
            for stem in (key[:8], f"{key[:8]}.####"):
                path = f"{RESTORED_FOLDER}/{stem}{suffix}"
                recipe = _confirmed(self._ws, key, path, records)
                if recipe is not None:
                    return path, recipe
        return None

    def _candidate(self, path: str, key: str, recipe: Recipe, note: str | None) -> Iterator[Candidate]:
        output, takes = self._accepted(key)
        if takes > 1:
            note = f"{note}; " if note else ""
            note += f"{takes} results of it are known, none is taken for the accepted one"
        try:
            data = recipe_bytes(recipe.replace(output=output, review=None))
            check_asset_path(path)
        except InvalidError:
            return
        yield Candidate(sidecar_of(path), data, path, "keep", note)

    def _accepted(self, key: str) -> tuple[Output | None, int]:
        """(the output, how many there are) of a key: it is known only where one is known, and its bytes are here.

        A record may have come from elsewhere, and claim anything: what no store here has is not accepted on its word.
        """
        outputs = {}
        for record in self._ws.results.takes(key):
            output = output_of_record(record, key)
            if output is not None and output.hash == record["output_hash"]:
                outputs[output.hash] = output
        if len(outputs) != 1:
            return None, len(outputs)
        (output,) = outputs.values()
        return (output if has_all(self._ws.stores, output.hash, output.is_tree) else None), 1


def _former_names(ws: Workspace) -> set[str]:
    """Names that this repository had in keep before its .git was lost and made anew: those noted for the same folder."""
    here = os.path.realpath(ws.repo.common_dir)
    return {place.uuid for place in Repos(ws.stores.keep.root).places() if place.path and os.path.realpath(place.path) == here}


def _confirmed(ws: Workspace, key: str, path: str, records: list[dict]) -> Recipe | None:
    """Keep's recipe of a key, if it makes that very key for an asset of this path and the inputs that a record names."""
    recipe = recipe_of_key(ws, key)
    if recipe is None or recipe.generator is None:
        return None
    for record in records:
        try:
            check_asset_path(path)
            if compute_key(recipe, path, _input_hashes(record)) == key:
                return recipe
        except InvalidError:
            continue
    return None


def _input_hashes(record: dict) -> dict[str, str]:
    inputs = record.get("inputs")
    if not isinstance(inputs, dict):
        return {}
    return {name: value.removeprefix("blake3:") for name, value in inputs.items() if isinstance(value, str)}
