"""`fsck`: re-hash the stores, then say which accepted outputs of this repository that hurts, and how each comes back.

What is damaged or missing in the stores and lies sound in the working tree is stored again on the way.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Mapping

from regen_vcs.engine.config import Settings
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.observe import manifest_of, read_manifest
from regen_vcs.engine.prospects import prospects_of
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.git import config as git_config
from regen_vcs.git.run import Git
from regen_vcs.stores import fsck as stores_fsck
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.results import Results

HEALED, REGENERATE, NOWHERE = "healed", "regenerate", "nowhere"

Loss = namedtuple(
    "Loss",
    (
        "path",  # the asset
        "hash",  # of its accepted output
        "objects",  # the objects that were damaged or missing: its bytes, its manifest or members of that
        "damaged",  # one of them was found wrong: in this run, or in quarantine from an earlier look
        "comes_back",  # "healed", "regenerate" or "nowhere"
        "how",  # a command for "regenerate", the reason for "nowhere"
    ),
)

# store: what stores/fsck.py found. losses: [Loss], sorted by path. healed: {hash} stored again from the working tree.
Examination = namedtuple("Examination", ("store", "losses", "healed"))


def open_stores(cwd: str, environ: Mapping[str, str]) -> LocalStores:
    """The stores alone, for when there is no repository around `cwd`."""
    settings = Settings({}, environ, git_config.read_config(Git(cwd, environ)))
    return LocalStores(os.path.join(settings.get("keepDir"), "v1"), os.path.join(settings.get("cacheDir"), "v1"))


def examine_stores(stores: LocalStores, progress: Callable[[int, int], None] | None = None) -> Examination:
    """Re-hash everything; nothing is known of repositories."""
    return Examination(stores_fsck.fsck(stores, progress=progress), [], set())


def examine(ws: Workspace, progress: Callable[[int, int], None] | None = None) -> Examination:
    """Re-hash everything, store again what the working tree has, and say what of this repository is lost."""
    report = stores_fsck.fsck(ws.stores, Results(ws.stores.keep.root), progress=progress)
    snapshot = look_at_both(ws)
    lost = {}
    for path, desired in snapshot.assets.items():
        if desired.facts.out_hash is not None:
            missing = _missing_objects(ws.stores, desired)
            if missing:
                lost[path] = missing
    healed = _heal(snapshot, report, lost)
    return Examination(report, _losses(snapshot, report, lost), healed)


def _missing_objects(stores: LocalStores, desired: Desired) -> list[str]:
    """The objects of an accepted output that no store has."""
    facts = desired.facts
    if not stores.has(facts.out_hash):
        return [facts.out_hash]
    if not facts.is_tree:
        return []
    try:
        members = read_manifest(stores, facts.out_hash)
    except (RegenError, OSError):
        return [facts.out_hash]
    return [member.hash for member in members if not stores.has(member.hash)]


def _heal(snapshot: Snapshot, report: stores_fsck.Report, lost: dict[str, list[str]]) -> set[str]:
    """Store what the working tree still has, each object where the damaged one was; the hashes that are sound again.

    Damaged objects count even where no sidecar here names them any more: they may be another repository's.
    """
    stores = snapshot.ws.stores
    wanted = {hash for missing in lost.values() for hash in missing}
    wanted |= {bad.hash for bad in report.bad if not stores.has(bad.hash)}
    proven = {bad.hash for bad in report.bad if bad.store == stores.cache.root and not stores.is_one}
    healed = set()
    for path, seen in snapshot.observed.items():
        trees = wanted if seen.kind == "present" and path not in seen.files and seen.hash in wanted else ()
        for each, (file_hash, _sig) in seen.files.items():
            if (file_hash in wanted or trees) and file_hash not in healed and not stores.has(file_hash):
                _store_again(snapshot, each, file_hash, file_hash in proven, healed)
        if trees and _store_manifest(snapshot, path, seen.hash in proven):
            healed.add(seen.hash)
    return healed


def _store_again(snapshot: Snapshot, path: str, file_hash: str, proven: bool, healed: set[str]) -> None:
    try:
        snapshot.ws.stores.ingest_file(f"{snapshot.ws.root}/{path}", proven=proven, expect=file_hash)
    except (RegenError, OSError):
        return  # edited since, or unreadable: then it is lost here too
    healed.add(file_hash)


def _store_manifest(snapshot: Snapshot, path: str, proven: bool) -> bool:
    """Store the manifest of a directory or sequence again; False where its files are not what it says."""
    seen, stores = snapshot.seen(path), snapshot.ws.stores
    if not all(stores.has(found[0]) for found in seen.files.values()):
        return False
    try:
        stores.ingest_bytes(manifest_of(path, seen.files), proven=proven, expect=seen.hash)
    except RegenError:
        return False
    return True


def _losses(snapshot: Snapshot, report: stores_fsck.Report, lost: dict[str, list[str]]) -> list[Loss]:
    stores = snapshot.ws.stores
    bad = {each.hash for each in report.bad} | {hash for hash, _store, _why in report.unreadable} | _in_quarantine(stores)
    gone = [snapshot.assets[path] for path in lost if _missing_objects(stores, snapshot.assets[path])]
    prospects = prospects_of(snapshot, gone) if gone else {}
    losses = []
    for path, missing in sorted(lost.items()):
        comes_back, how = _prospect(path, prospects)
        damaged = not bad.isdisjoint(missing)
        losses.append(Loss(path, snapshot.assets[path].facts.out_hash, missing, damaged, comes_back, how))
    return losses


def _prospect(path: str, prospects: dict) -> tuple[str, str | None]:
    if path not in prospects:
        return HEALED, None
    bring = prospects[path]
    if bring.source == "regenerate":
        return REGENERATE, "regen-vcs sync"
    if bring.source is not None:
        return bring.source, "regen-vcs sync"
    return NOWHERE, bring.reason


def _in_quarantine(stores: LocalStores) -> set[str]:
    """Hashes of objects that were found wrong, now or before."""
    found = set()
    for store in stores.stores + stores.trashes:
        try:
            found.update(name[:64] for name in os.listdir(f"{store.root}/quarantine"))
        except OSError:
            continue
    return found


def is_corrupt(examined: Examination) -> bool:
    """Whether bytes were wrong: in this run, or earlier and what they were is still wanted and not back."""
    wrong_here = any(loss.damaged and loss.comes_back != HEALED for loss in examined.losses)
    return bool(examined.store.bad or examined.store.unreadable or wrong_here)
