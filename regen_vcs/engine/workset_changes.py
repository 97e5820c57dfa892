"""Changing the working set: the new set is written down first, then what is outside of it leaves the disk.

In that order, ended at any instant, everything is where it was or in a store, and `workset reapply` does the rest. Bringing
what is new in the set is a sync as by hand (engine/checkout.py), without the lock that is held here.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterable, Mapping

from regen_vcs.engine import in_place
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place_snapshot import include
from regen_vcs.engine.in_place_sync import put_document
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.plan_execution import Executor, as_regen_error
from regen_vcs.engine.planner import is_edited
from regen_vcs.engine.queue import OPEN, QUEUED, Queue
from regen_vcs.engine.queue_file import has_queue
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workset import Selector, WorkingSet, path_of, write_selectors
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.pathspec import parse_pathspec
from regen_vcs.model.plan import REMOVE, Plan, Step

_LEAVES = "outside the working set"
_STAYS = {
    "modified": "its bytes are not the accepted ones",
    "proposed": "nobody has accepted it yet",
    "drifted": "another result than the accepted one",
}

# took: paths that left the disk, or would. freed: bytes that this gives back to it. left: {path: why it stays}. failed:
# {path: error}. cancelled: jobs that nobody needs any more.
Change = namedtuple("Change", ("took", "freed", "left", "failed", "cancelled"))
# inside, outside: {path: bytes of the accepted output}. sparse: assets outside of the sparse checkout. strays: those outside
# of the set of which something is on disk.
Extent = namedtuple("Extent", ("inside", "outside", "sparse", "strays"))


def selectors_of(
    ws: Workspace, pathspecs: Iterable[str], meta: Mapping[str, Iterable[str]], cwd: str, *, adds: bool
) -> list[Selector]:
    """What somebody says in `cwd`, as selectors. meta: {"tag", "shot", "scene": words}. UsageError names what is wrong."""
    folder = _folder_in(ws, cwd)
    specs = [parse_pathspec(_from_root(ws, each), "" if os.path.isabs(each) else folder) for each in pathspecs]
    for each in specs:
        if each.pattern.split("/")[0] == ".git":
            raise UsageError(f"{each.text}: git's own folder holds no assets", "name what is in the worktree")
    texts = [each.text for each in specs]
    if any(each.excludes for each in specs):
        found = [Selector(adds, "paths", tuple(texts))]  # they mean something together only
    else:
        found = [Selector(adds, "paths", (text,)) for text in texts]
    for kind, words in meta.items():
        for word in words:
            if not word.strip():
                raise UsageError(f"--{kind}: an empty word names nothing", "leave it out")
            found.append(Selector(adds, kind, (word,)))
    return found


def _folder_in(ws: Workspace, cwd: str) -> str:
    folder = os.path.relpath(os.path.realpath(cwd), os.path.realpath(ws.root)).replace(os.sep, "/")
    return "" if folder == "." or folder.split("/")[0] == ".." else folder


def _from_root(ws: Workspace, text: str) -> str:
    """An absolute path as git takes it: as one from the root."""
    if not os.path.isabs(text):
        return text
    for root in (ws.root, os.path.realpath(ws.root)):
        if text == root or text.startswith(root.rstrip("/") + "/"):
            return text[len(root):].lstrip("/") or ":/"
    raise UsageError(f"{text}: outside this repository ({ws.root})", "assets live in the repository")


def change_set(ws: Workspace, selectors: Iterable[Selector] | None, *, dry_run: bool = False, waiting=None) -> Change:
    """Make this the working set, and take what is outside of it off the disk, as far as it is unmodified. RegenError.

    selectors: None for everything. waiting: called once if another process is at work here.
    """
    selectors = None if selectors is None else tuple(selectors)
    if dry_run:
        return _plan_change(ws, WorkingSet(ws, selectors), look(ws))
    lock = WorktreeLock(ws)
    lock.acquire(True, waiting)
    try:
        write_selectors(path_of(ws), selectors)
        ws.reload_state()
        change = _take_out(ws, look(ws))
    except BaseException:
        lock.release()
        raise
    lock.__exit__(None)  # does what hooks have left to us meanwhile, with the new set
    return change._replace(cancelled=_cancel_jobs(ws))


def extent_of(ws: Workspace) -> Extent:
    """What is in the working set, and what is not."""
    snapshot = include(look(ws))
    inside, outside, strays, sparse = {}, {}, [], 0
    for path, desired in snapshot.assets.items():
        if desired.skip and desired.side_sig is None:
            sparse += 1
        elif ws.working_set.wants(desired):
            inside[path] = desired.facts.out_size
        else:
            outside[path] = desired.facts.out_size
            if snapshot.seen(path).kind != "absent":
                strays.append(path)
    return Extent(inside, outside, sparse, strays)


def matches(ws: Workspace, selectors: Iterable[Selector]) -> dict[Selector, int]:
    """{selector: how many assets it speaks of now}."""
    snapshot = include(look(ws, paths=set()))
    counts = {}
    for each in selectors:
        alone = WorkingSet(ws, [each._replace(adds=True)])
        counts[each] = sum(alone.wants(desired) for desired in snapshot.assets.values())
    return counts


def _plan_change(ws: Workspace, wanted: WorkingSet, snapshot: Snapshot) -> Change:
    leaving, left = _leaving(ws, wanted, snapshot)
    placed, more_left = _leaving_in_place(ws, wanted)
    room = _room_of(ws, [file for path in leaving for file in snapshot.seen(path).files] + [each.path for each in placed])
    return Change([*leaving, *(each.path for each in placed)], sum(room.values()), left | more_left, {}, 0)


def _take_out(ws: Workspace, snapshot: Snapshot) -> Change:
    leaving, left = _leaving(ws, ws.working_set, snapshot)
    files = {path: list(snapshot.seen(path).files) for path in leaving}
    room = _room_of(ws, [file for path in leaving for file in files[path]])
    stored = {path for path in leaving if _is_stored(ws, snapshot, path)}
    steps = [Step(REMOVE, path, snapshot.seen(path).hash, 0, _LEAVES, None) for path in leaving]
    # Not into the spare pool: whoever takes assets out of his checkout wants the room.
    outcome = Executor(snapshot, keeps_spares=False).execute(Plan(steps))
    took = [step.path for step in outcome.done]
    freed = sum(room[file] for path in took if path in stored for file in files[path])
    change = Change(took, freed, left, dict(outcome.failed), 0)
    return _take_out_in_place(ws, change)


def _leaving(ws: Workspace, wanted: WorkingSet, snapshot: Snapshot) -> tuple[list[str], dict[str, str]]:
    """(assets outside the set whose unmodified bytes are on disk, {path: why it stays} of the other ones there)."""
    leaving, left = [], {}
    for path, desired in snapshot.assets.items():
        seen = snapshot.seen(path)
        if seen.kind == "absent" or path in snapshot.in_place or not _is_readable(desired) or wanted.wants(desired):
            continue
        state = "modified" if seen.kind == "foreign" else _kind_of_bytes(ws, desired, snapshot)
        if state in _STAYS:
            left[path] = _STAYS[state]
        else:
            leaving.append(path)
    return leaving, left


def _is_readable(desired: Desired) -> bool:
    """A sidecar that is gone, damaged or in conflict says nothing: its asset is left as it is."""
    return desired.side_sig is not None and not desired.unmerged and not desired.facts.problem


def _kind_of_bytes(ws: Workspace, desired: Desired, snapshot: Snapshot) -> str:
    row, seen = ws.state.rows.get(desired.path, EMPTY_ROW), snapshot.seen(desired.path)
    if seen.hash == desired.facts.out_hash:
        return "ok"
    if row.stand_in in ("proposed", "drifted") and seen.hash == row.disk_hash:
        return row.stand_in
    # An earlier result that we put there, or the same content in other bytes, is nobody's work.
    is_known = row.accepted is not None or (row.stand_in == "equal" and seen.hash == row.disk_hash)
    return "modified" if is_edited(row, seen) or not is_known else "ok"


def _is_stored(ws: Workspace, snapshot: Snapshot, path: str) -> bool:
    """Whether a store holds these bytes already: else they go into one now, and no room is won."""
    return all(ws.stores.has(found[0]) for found in snapshot.seen(path).files.values())


def _room_of(ws: Workspace, paths: Iterable[str]) -> dict[str, int]:
    """{path: bytes of disk that its file alone takes}; 0 for one that shares them with a store by a hardlink."""
    room = {}
    for path in paths:
        try:
            st = os.lstat(f"{ws.root}/{path}")
        except OSError:
            room[path] = 0
            continue
        room[path] = 0 if st.st_nlink > 1 else getattr(st, "st_blocks", -(-st.st_size // 512)) * 512
    return room


# -- the second layout -----------------------------------------------------------------------------------------------------


def _leaving_in_place(ws: Workspace, wanted: WorkingSet) -> tuple[list[in_place.Asset], dict[str, str]]:
    """The same of assets that are kept in place: their documents stay."""
    leaving, left = [], {}
    if not in_place.is_used(ws) or not in_place.has_filter(ws):
        return leaving, left
    for asset in in_place.look_in_place(ws):
        desired = Desired(asset.path, asset.facts, None, "", True, False, asset.unmerged)
        if asset.document is None or asset.unmerged or asset.facts.problem or wanted.wants(desired):
            continue
        if asset.disk.kind == in_place.BYTES and not in_place.differs(ws, asset):
            leaving.append(asset)
        elif asset.disk.kind == in_place.BYTES or asset.is_document_edited:
            left[asset.path] = _STAYS["modified"]
    return leaving, left


def _take_out_in_place(ws: Workspace, change: Change) -> Change:
    leaving, left = _leaving_in_place(ws, ws.working_set)
    room = _room_of(ws, [asset.path for asset in leaving])
    took, failed, freed = [], {}, 0
    for asset in leaving:
        stored = ws.stores.has(asset.disk.hash)
        try:
            put_document(ws, asset)
        except (RegenError, OSError) as error:
            failed[asset.path] = as_regen_error(asset.path, error)
            continue
        took.append(asset.path)
        freed += room[asset.path] if stored else 0
    return change._replace(took=change.took + took, freed=change.freed + freed, left=change.left | left, failed=change.failed | failed)


# -- the queue ---------------------------------------------------------------------------------------------------------------


def _cancel_jobs(ws: Workspace) -> int:
    """Drop what was queued for this worktree by no user and is needed by nothing in the set any more; how many."""
    if not has_queue(ws.repo.shared_dir) or ws.working_set.is_everything or ws.settings.get("workset.fill") == "all":
        return 0
    assets = include(look(ws, paths=set())).assets
    try:
        with Queue(ws.repo.shared_dir) as queue:
            jobs = {job.id: job for job in queue.jobs(OPEN, worktree=ws.root)}
            needed = {number for number, job in jobs.items() if job.by_user or _is_wanted(ws, assets, job.path)}
            return queue.cancel([number for number in jobs.keys() - _with_needs(needed, queue.needs()) if jobs[number].state == QUEUED])[0]
    except RegenError:
        return 0  # a queue that cannot be read keeps no set from being changed: its jobs are dropped when they start


def _is_wanted(ws: Workspace, assets: Mapping[str, Desired], path: str) -> bool:
    return path in assets and ws.working_set.wants(assets[path])


def _with_needs(jobs: set[int], needs: Mapping[int, set[int]]) -> set[int]:
    """These, and what they wait for, directly or not."""
    found, todo = set(jobs), list(jobs)
    for job in todo:  # grows while it is walked
        for each in needs.get(job, set()) - found:
            found.add(each)
            todo.append(each)
    return found
