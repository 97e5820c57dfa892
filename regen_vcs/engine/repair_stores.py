"""Objects that this worktree needs and its stores lack, in stores that are not in use any more: a cache on another disk.

Looked for where a store would be under any setting that does not hold here just now (another layer of git's configuration,
the user's file, the default), and where the user says. What is found is copied and verified; where it was, it stays.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterable, Iterator

from regen_vcs.engine.config import Settings
from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import config as git_config
from regen_vcs.stores.objects import ObjectStore
from regen_vcs.stores.results import Results

# A store that is not in use. root: with `objects` in it; is_cache: what it holds can be made again.
OtherStore = namedtuple("OtherStore", ("root", "is_cache"))
# What a store has of what is missing here: {hash}, and their bytes.
Stock = namedtuple("Stock", ("store", "hashes", "size"))

_PLACES = ("", "v1", "cache/v1", "keep/v1", "regen-vcs/v1", "regen-vcs/cache/v1")


def find_stock(snapshot: Snapshot, look_in: Iterable[str] = ()) -> list[Stock]:
    """Each store that has something of what is missing, and what; nothing is listed twice. look_in: folders to look into."""
    ws, found = snapshot.ws, []
    missing = missing_hashes(snapshot)
    for other in other_stores(ws, look_in) if missing else ():
        store = ObjectStore(other.root)
        sizes = {digest: size for digest in sorted(missing) if (size := _size(store, digest)) is not None}
        if sizes:
            found.append(Stock(other, set(sizes), sum(sizes.values())))
            missing -= sizes.keys()
    return found


def _size(store: ObjectStore, digest: str) -> int | None:
    """Bytes of an object as its place says: it is verified when it is copied, so that a dry run changes nothing there."""
    try:
        return os.lstat(store.path_of(digest)).st_size
    except OSError:
        return None


def missing_hashes(snapshot: Snapshot) -> set[str]:
    """Accepted objects, and members of those, that no store here has."""
    stores, missing = snapshot.ws.stores, set()
    for desired in snapshot.assets.values():
        digest = desired.facts.out_hash
        if digest is None:
            continue
        if not stores.has(digest):
            missing.add(digest)
        elif desired.facts.is_tree:
            try:
                missing.update(each.hash for each in read_manifest(stores, digest) if not stores.has(each.hash))
            except RegenError:
                continue
    return missing


def other_stores(ws: Workspace, look_in: Iterable[str] = ()) -> Iterator[OtherStore]:
    """Stores that are there and not in use, the likeliest first."""
    used = {os.path.realpath(store.root) for store in ws.stores.stores}
    for folder, is_cache in [*((os.path.abspath(each), None) for each in look_in), *_configured(ws)]:
        for place in _PLACES:
            root = os.path.join(folder, place).rstrip("/")
            real = os.path.realpath(root)
            if real not in used and os.path.isdir(f"{root}/objects"):
                used.add(real)
                yield OtherStore(root, _is_tagged(root) if is_cache is None else is_cache)


def _configured(ws: Workspace) -> Iterator[tuple[str, bool]]:
    """(folder, whether it is a cache) of every setting, those too that another one overrules."""
    folders = git_config.read_config_list(ws.repo, "regen")
    bare = {name: value for name, value in ws.environ.items() if name not in ("REGEN_CACHE_DIR", "REGEN_KEEP_DIR")}
    for name, is_cache in (("cacheDir", True), ("keepDir", False)):
        for key, value in folders:
            if key == f"regen.{name.lower()}":
                yield os.path.expanduser(value.value), is_cache
        for settings in (Settings({}, bare, {}), Settings({}, bare, {}, user_config_path=os.devnull)):
            try:
                yield settings.get(name), is_cache
            except InvalidError:
                continue


def _is_tagged(root: str) -> bool:
    return any(os.path.exists(f"{folder}/CACHEDIR.TAG") for folder in (root, os.path.dirname(root)))


def adopt(snapshot: Snapshot, stock: Stock) -> int:
    """Copy what a store has into ours, each object verified; how many there were. Also what is known of them.

    What lies in a cache goes to cache, as it was sorted when it was made. RegenError where it cannot be written.
    """
    ws, source = snapshot.ws, ObjectStore(stock.store.root)
    copied, todo = 0, set(stock.hashes)
    while todo:  # a manifest's members are known once it is here
        with ws.stores.batch():
            for digest in sorted(todo):
                copied += _copy(ws, source, digest, stock.store.is_cache)
        todo = {each for each in missing_hashes(snapshot) if each not in todo and _size(source, each) is not None}
    _adopt_records(snapshot, Results(stock.store.root))
    return copied


def _copy(ws: Workspace, source: ObjectStore, digest: str, is_cache: bool) -> int:
    try:
        ws.stores.ingest_file(source.path_of(digest), proven=is_cache, expect=digest)
    except (RegenError, FileNotFoundError):
        if _size(source, digest) is not None and not _is_damaged(source, digest):
            raise
        return 0  # damaged there: fsck's to tell, and no reason to stop
    return 1


def _is_damaged(source: ObjectStore, digest: str) -> bool:
    return source.examine(digest) is False


def _adopt_records(snapshot: Snapshot, other: Results) -> None:
    ours = snapshot.ws.results
    for key in {each.facts.out_key for each in snapshot.assets.values() if each.facts.out_key}:
        recipe = other.recipe(key)
        if recipe is not None and ours.recipe(key) is None:
            ours.save_recipe(key, recipe)
        known = {each["record"] for each in ours.takes(key)}
        for take in other.takes(key):
            if take["record"] not in known:
                record = {name: value for name, value in take.items() if name not in ("key", "output_hash", "record")}
                ours.record(key, take["output_hash"], record)
