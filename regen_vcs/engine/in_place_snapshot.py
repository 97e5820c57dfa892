"""Both layouts in one look, for verbs that act on either: recipes, keys, dependencies and takes are the same in both."""

from __future__ import annotations

from blake3 import blake3

from regen_vcs.engine.desired import Desired, problem_facts, read_one
from regen_vcs.engine.in_place import ABSENT, BYTES, FOREIGN, Asset, is_used, look_in_place
from regen_vcs.engine.in_place_paths import kept_in_place
from regen_vcs.engine.observe import FOREIGN as FOREIGN_SEEN
from regen_vcs.engine.planner import ABSENT as NOTHING_SEEN
from regen_vcs.engine.planner import Observed
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes

# What stands for a sidecar's stat where nothing is on disk: an asset of this layout has its recipe in any case.
_NO_SIG = "0 0 0 0"
# git has an empty file as it is; this is what its document would be.
_OF_EMPTY = recipe_bytes(Recipe(output=Output(hash=blake3(b"").hexdigest(), key=None, size=0)))


def look_at_both(ws: Workspace, *, paths: set[str] | None = None, also: set[str] = frozenset()) -> Snapshot:
    """As `look`, with the assets that are kept in place. Its `remember` writes down the others only."""
    return include(look(ws, paths=paths, also=also))


def user_look(ws: Workspace) -> Snapshot:
    """A snapshot in which plain inputs and definitions count as they are on disk."""
    from regen_vcs.engine.definitions import Definitions  # hooks come by here, and seldom need it

    snapshot = look_at_both(ws)
    snapshot.inputs.from_disk = True
    snapshot._definitions = Definitions(ws, from_disk=True)
    return snapshot


def include(snapshot: Snapshot, assets: list[Asset] | None = None) -> Snapshot:
    """Add the assets that are kept in place to a look; the same look. assets: what `look_in_place` has just found."""
    if is_used(snapshot.ws):
        for asset in look_in_place(snapshot.ws) if assets is None else assets:
            _add(snapshot, asset)
    return snapshot


def include_again(snapshot: Snapshot, path: str) -> None:
    """Look at one path again, which may have become an asset that is kept in place."""
    if kept_in_place(snapshot.ws.repo, [path]):
        for asset in look_in_place(snapshot.ws, [path]):
            snapshot.assets.pop(path, None)
            _add(snapshot, asset)


def reread(ws: Workspace, snapshot: Snapshot, path: str) -> None:
    """Look at one asset's recipe again."""
    if path in snapshot.in_place:
        include_again(snapshot, path)
        return
    old = snapshot.assets.get(path)
    tracked = old.tracked if old else False
    snapshot.assets[path] = read_one(ws.repo, path, ws.state, ws.memo, tracked=tracked, skip=False)


def adopt(snapshot: Snapshot, other: Snapshot, path: str) -> None:
    """Have a look show an asset as another, later look has it."""
    snapshot.assets[path], snapshot.observed[path] = other.assets[path], other.seen(path)
    if path in other.in_place:
        snapshot.in_place[path] = other.in_place[path]
        snapshot.inputs.documents[path] = other.inputs.documents[path]


def seen_in_place(asset: Asset) -> Observed:
    """What lies at the asset's path, as of a sidecar's asset: a document in the place of its bytes is nothing."""
    disk = asset.disk
    if disk.kind == BYTES:
        return Observed("present", disk.hash, {asset.path: [disk.hash, disk.sig]}, True)
    return FOREIGN_SEEN if disk.kind == FOREIGN else NOTHING_SEEN


def _add(snapshot: Snapshot, asset: Asset) -> None:
    """A sidecar for a file that git has itself is told as invalid, raw bytes as unmanaged: neither is added."""
    path = asset.path
    if path in snapshot.assets or asset.document is None:
        return
    snapshot.in_place[path] = asset
    snapshot.assets[path] = _desired(snapshot.ws, asset)
    snapshot.observed[path] = seen_in_place(asset)
    snapshot.inputs.documents[path] = asset.document or _OF_EMPTY


def _desired(ws: Workspace, asset: Asset) -> Desired:
    path, facts = asset.path, asset.facts
    if facts.is_tree:
        facts = problem_facts(InvalidError(f"{path}: a directory or sequence cannot be kept in place"))
    name = ws.memo.facts(asset.document, asset.entry.oid, path)[0] if asset.document else ""
    skip = asset.entry.tag in "Ss" and asset.disk.kind == ABSENT
    return Desired(path, facts, asset.disk.sig or _NO_SIG, name, True, skip, asset.unmerged)
