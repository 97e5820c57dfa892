"""Where the bytes are: of each asset on disk and in the stores, of the stores as a whole, and of git's history.

Everything is counted from names, sizes and what is remembered; no object is hashed. Bytes that several assets share count
once, for the first of them by path.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from regen_vcs.engine.known_remotely import known_hashes
from regen_vcs.engine.observe import read_manifest, size_of_files
from regen_vcs.engine.status import Status, Survey
from regen_vcs.engine.tally import Totals, totals
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.git.history import History
from regen_vcs.git.index import iter_blobs
from regen_vcs.model.paths import asset_of
from regen_vcs.stores.objects import ObjectStore

FOLDER, GENERATOR, MODEL, STATE = "folder", "generator", "model", "state"
GROUPINGS = (FOLDER, GENERATOR, MODEL, STATE)
SOURCE = "(source assets)"
NO_MODEL = "(no model)"


@dataclass
class Bytes:
    """Bytes of some assets. accepted: of what their recipes accept, wherever it is; on_disk: of what lies in the worktree;
    keep, cache, trash: of the accepted takes in each store; only_copy: of what is in one place and not proven to come back."""

    assets: int = 0
    accepted: int = 0
    on_disk: int = 0
    keep: int = 0
    cache: int = 0
    trash: int = 0
    only_copy: int = 0

    def add(self, other: Bytes) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


# name: of a folder, generator, model or state.
Group = namedtuple("Group", ("name", "bytes"))


@dataclass
class StoreUse:
    """Bytes in the local stores, of all repositories, and in this worktree's pool of spares."""

    keep: int = 0
    cache: int = 0
    trash: int = 0
    quarantine: int = 0
    spares: int = 0
    objects: int = 0


@dataclass
class GitUse:
    """What git holds, and what it would hold had the media been committed.

    holds: bytes of its objects. media: bytes of all versions that some commit, stash, reflog or the index accepts, each once;
    versions: how many; missing: objects that a partial clone does not have, so that what they accept is unknown.
    """

    holds: int = 0
    media: int = 0
    versions: int = 0
    missing: int = 0

    @property
    def saved(self) -> float | None:
        """0..1 of what it would hold; None where there are no media."""
        return self.media / (self.holds + self.media) if self.media else None


@dataclass
class Usage:
    """All of it. grouping: one of GROUPINGS; seconds_saved: about."""

    grouping: str
    groups: list[Group]
    total: Bytes
    stores: StoreUse
    git: GitUse
    tally: Totals
    seconds_saved: float = 0.0
    states: dict[str, int] = field(default_factory=dict)


def usage(ws: Workspace, survey: Survey, wanted: Callable[[str], bool], grouping: str = FOLDER) -> Usage:
    """Where the bytes of the wanted assets are, grouped; stores, history and counts are of the repository as a whole."""
    counter = _Counter(ws, survey)
    statuses = [each for each in survey.statuses if wanted(each.path)]
    each_bytes = [(each, counter.of(each)) for each in statuses]
    named = _namer(ws, survey, grouping, [each.path for each in statuses])
    groups: dict[str, Bytes] = {}
    total = Bytes()
    for status, found in each_bytes:
        total.add(found)
        groups.setdefault(named(status), Bytes()).add(found)
    tally = totals(ws.repo.shared_dir)
    rows = sorted((Group(name, found) for name, found in groups.items()), key=lambda group: (-group.bytes.accepted, group.name))
    saved = tally.seconds_saved(_typical_seconds(ws, survey, tally))
    states: dict[str, int] = {}
    for each in statuses:
        states[each.state] = states.get(each.state, 0) + 1
    return Usage(grouping, rows, total, store_use(ws), git_use(ws), tally, saved, states)


# -- assets ----------------------------------------------------------------------------------------------------------


class _Counter:
    """Counts assets one after another, each object once."""

    def __init__(self, ws: Workspace, survey: Survey):
        self._ws, self._snapshot = ws, survey.snapshot
        self._counted: set[str] = set()
        trashes = [(store, "trash") for store in ws.stores.trashes]
        self._places = [(ws.stores.keep, "keep"), *([] if ws.stores.is_one else [(ws.stores.cache, "cache")]), *trashes]
        self._remote = known_hashes(ws, {each.output for each in survey.statuses if each.output})

    def of(self, status: Status) -> Bytes:
        desired = self._snapshot.assets.get(status.path)
        found = Bytes(assets=1, accepted=status.size if status.output else 0)
        found.on_disk = size_of_files(self._snapshot.seen(status.path).files)
        if status.output is None:
            return found
        copies = 0
        for hash in self._objects(status.output, desired is not None and desired.facts.is_tree):
            place, size = self._stored(hash)
            copies = 1 if place else copies
            if place and hash not in self._counted:
                setattr(found, place, getattr(found, place) + size)
            self._counted.add(hash)
        copies += status.on_disk == status.output
        copies += self._remote.get(status.output) is True
        if copies == 1 and not self._is_proven(desired):
            found.only_copy = status.size
        return found

    def _objects(self, hash: str, is_tree: bool) -> Iterable[str]:
        if not is_tree:
            return (hash,)
        try:
            return dict.fromkeys((hash, *(member.hash for member in read_manifest(self._ws.stores, hash))))
        except RegenError:
            return (hash,)  # the manifest is not here, so neither is anybody's word for its files

    def _stored(self, hash: str) -> tuple[str | None, int]:
        for store, name in self._places:
            try:
                return name, os.lstat(store.path_of(hash)).st_size
            except OSError:
                continue
        return None, 0

    def _is_proven(self, desired) -> bool:
        if desired is None or desired.facts.out_key is None:
            return False
        try:
            return self._ws.proofs.of(desired.facts.out_key, desired.facts.out_hash) is not None
        except RegenError:
            return False  # the key of proofs is damaged: none counts


def _namer(ws: Workspace, survey: Survey, grouping: str, paths: list[str]) -> Callable[[Status], str]:
    """What group an asset belongs to."""
    if grouping == STATE:
        return lambda status: status.state
    if grouping == FOLDER:
        base = (os.path.commonpath([path.rpartition("/")[0] or "." for path in paths]) if paths else "") or "."
        return lambda status: _folder_below(base, status.path)
    facts = {path: desired.facts for path, desired in survey.snapshot.assets.items()}
    if grouping == GENERATOR:
        return lambda status: (facts[status.path].generator if status.path in facts else status.generator) or SOURCE
    return lambda status: _model_of(survey, status)


def _folder_below(base: str, path: str) -> str:
    """The folder just below `base` in which a path lies, with a slash; the base itself for what lies in it directly."""
    folder = path.rpartition("/")[0] or "."
    if folder == base:
        return "./" if base == "." else base + "/"
    rest = folder if base == "." else folder[len(base) + 1 :]
    return ("" if base == "." else base + "/") + rest.partition("/")[0] + "/"


def _model_of(survey: Survey, status: Status) -> str:
    desired = survey.snapshot.assets.get(status.path)
    if desired is None or desired.facts.generator is None or desired.facts.problem or desired.side_sig is None:
        return NO_MODEL if desired is not None and desired.facts.generator else SOURCE
    try:
        models = survey.snapshot.inputs.recipe_of(desired).models
    except RegenError:
        return NO_MODEL
    return ", ".join(sorted(each.name or each.hash or "?" for each in models.values())) or NO_MODEL


def _typical_seconds(ws: Workspace, survey: Survey, tally: Totals) -> dict[str, float]:
    """{generator: seconds of a run}, for those that stores have brought and nothing here has made; from a few records each."""
    unknown = {generator for generator in tally.hits if generator not in tally.made}
    found: dict[str, list[float]] = {}
    for desired in survey.snapshot.assets.values():
        name, key = desired.facts.generator, desired.facts.out_key
        if name in unknown and key and len(found.setdefault(name, [])) < 5:
            times = [take.get("seconds") for take in ws.results.takes(key)]
            found[name] += [each for each in times if isinstance(each, int | float) and 0 <= each < 1e7]
    return {name: sum(times) / len(times) for name, times in found.items() if times}


# -- stores and git --------------------------------------------------------------------------------------------------


def store_use(ws: Workspace) -> StoreUse:
    """Walks the stores: names and sizes only."""
    stores, found = ws.stores, StoreUse()
    for store, name in ((stores.keep, "keep"), *(() if stores.is_one else ((stores.cache, "cache"),))):
        sizes = list(_object_sizes(store))
        setattr(found, name, sum(sizes))
        found.objects += len(sizes)
        found.quarantine += sum(_sizes_in(f"{store.root}/quarantine"))
    found.trash = sum(size for store in stores.trashes for size in _object_sizes(store))
    found.spares = sum(size for size in _sizes_in(f"{ws.repo.state_dir}/spare"))
    return found


def _object_sizes(store: ObjectStore) -> Iterator[int]:
    folder = f"{store.root}/objects"
    for shard in _names_in(folder):
        if len(shard) == 2:
            yield from _sizes_in(f"{folder}/{shard}")


def _sizes_in(folder: str) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        yield entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue  # swept this moment
    except OSError:
        return


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def git_use(ws: Workspace) -> GitUse:
    """What the history accepts. Sidecars that were parsed before are not read again."""
    history = History(ws.repo)
    blobs = {oid: path for oid, path in history.blobs().items() if path.rpartition("/")[2] != ".regen.json"}
    known = {oid: ws.memo.recall_facts(oid, asset_of(path)) for oid, path in blobs.items()}
    unread = [oid for oid, facts in known.items() if facts is None]
    for oid, data in iter_blobs(ws.repo, unread):
        known[oid] = ws.memo.facts(data, oid, asset_of(blobs[oid]))[1]
    sizes = {facts.out_hash: facts.out_size for facts in known.values() if facts is not None and facts.out_hash}
    return GitUse(_git_bytes(ws), sum(sizes.values()), len(sizes), history.missing)


def _git_bytes(ws: Workspace) -> int:
    """Bytes of git's objects, loose and packed."""
    counts = {}
    for line in ws.repo.git.text("count-objects", "-v").splitlines():
        name, _, value = line.partition(": ")
        counts[name] = int(value) if value.isdigit() else 0
    return (counts.get("size", 0) + counts.get("size-pack", 0)) * 1024
