"""The state of every asset (DESIGN, section 11): one state an asset, the first that holds.

invalid, running, queued, skipped, failed, modified, proposed, drifted, pending, missing, stale, ok;
and beside the recipes: orphan (an asset whose sidecar is gone) and unmanaged (media without one).
"""

from __future__ import annotations

from collections import namedtuple

from regen_vcs.engine import in_place
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.memory import EMPTY_ROW, Row
from regen_vcs.engine.observe import size_of_files
from regen_vcs.engine.planner import Observed, is_edited
from regen_vcs.engine.queue_file import has_queue
from regen_vcs.engine.quiet_recorder import Recorder
from regen_vcs.engine.sync import Snapshot, WorktreeLock, has_all, look, remember, store_files
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git.tracking import media_files, tracked_patterns

Status = namedtuple("Status", ("path", "state", "reason", "generator", "key", "output", "on_disk", "size"))
# jobs: {asset: engine.queue.Job}, of those that have an open one.
Survey = namedtuple("Survey", ("statuses", "snapshot", "jobs"), defaults=({},))


def survey(ws: Workspace) -> Survey:
    """Every asset's state, in order of path. Edited assets found on the way are brought into keep."""
    snapshot = look(ws)
    inputs = snapshot.inputs
    with_inputs = [each for each in snapshot.assets.values() if each.facts.inputs]
    if with_inputs:
        inputs.preload(with_inputs)
    statuses = [_status(snapshot, each) for each in snapshot.assets.values()]
    rows = ws.state.rows
    for path in rows.keys() - snapshot.assets.keys():
        seen = snapshot.seen(path)
        if seen.kind == "present" and rows[path].disk_hash:
            reason = "its sidecar is gone; regen-vcs sync takes the asset away too"
            statuses.append(Status(path, "orphan", reason, None, None, None, seen.hash, _size(seen)))
    _keep_edited(ws, snapshot, statuses)
    statuses += _unmanaged(ws, snapshot)
    statuses.sort(key=lambda each: each.path)
    return Survey(statuses, snapshot)


def survey_all(ws: Workspace) -> Survey:
    """As `survey`, with the assets of the second layout, which have no sidecars."""
    recorder = Recorder(ws)
    found = survey(ws)
    if has_queue(ws.repo.shared_dir):
        found = _with_jobs(ws, found)
    if not in_place.is_used(ws):
        if not tracked_patterns(ws.repo):
            recorder.record(found.snapshot, found.statuses)
        return found
    more = [_in_place_status(ws, each) for each in in_place.look_in_place(ws) if each.path not in found.snapshot.assets]
    return found._replace(statuses=sorted([*found.statuses, *more], key=lambda each: each.path))


def _with_jobs(ws: Workspace, survey: Survey) -> Survey:
    """What is queued or being made is told as that, whatever else it is; what is blocked says so."""
    from regen_vcs.engine.queue import (  # SQLite: only where there was a job
        BLOCKED,
        OPEN,
        RUNNING,
        Queue,
        liveness,
    )

    try:
        with Queue(ws.repo.shared_dir) as queue:
            jobs = {job.path: job for job in queue.jobs(OPEN, worktree=ws.root)}
    except RegenError:
        return survey  # a queue that cannot be read hides no asset's state
    is_alive = liveness(ws.repo.shared_dir)
    told = []
    for each in survey.statuses:
        job = jobs.get(each.path)
        if job is not None and job.state == BLOCKED and each.state not in ("ok", "invalid"):
            each = each._replace(reason=job.reason)
        elif job is not None and job.state != BLOCKED and each.state != "invalid":
            runs = job.state == RUNNING and is_alive(job.owner, job.lease)
            reason = f"{job.progress:.0%}{' ' * bool(job.message)}{job.message}" if runs else None
            each = each._replace(state="running" if runs else "queued", reason=reason)
        told.append(each)
    return survey._replace(statuses=told, jobs=jobs)


def _in_place_status(ws: Workspace, asset: in_place.Asset) -> Status:
    facts = asset.facts
    state, reason = in_place.state_of(ws, asset)
    return Status(asset.path, state, reason, facts.generator, facts.out_key, facts.out_hash, asset.bytes_hash, facts.out_size)


def _unmanaged(ws: Workspace, snapshot: Snapshot) -> list[Status]:
    """Media under a tracked pattern that no sidecar speaks of."""
    ours = {file for seen in snapshot.observed.values() for file in seen.files}
    found = []
    for path in media_files(ws.repo):
        if path not in ours and path not in snapshot.assets:
            reason = "media without a sidecar: regen-vcs add, or regen-vcs generate"
            found.append(Status(path, "unmanaged", reason, None, None, None, None, 0))
    return found


def _keep_edited(ws: Workspace, snapshot: Snapshot, statuses: list[Status]) -> None:
    """Store what is edited, and remember the look, if nobody else is at work here."""
    fresh = False
    rows = ws.state.rows
    for status in statuses:
        seen = snapshot.seen(status.path)
        if seen.kind == "present" and seen.files is not rows.get(status.path, EMPTY_ROW).files:
            fresh = True
            if status.state == "modified" and not seen.stored:
                try:
                    store_files(ws, status.path, seen)
                except (RegenError, OSError):
                    continue
    if fresh or any(
        each.side_sig != rows.get(path, EMPTY_ROW).side_sig for path, each in snapshot.assets.items()
    ):
        remember_quietly(ws, snapshot)


def remember_quietly(ws: Workspace, snapshot: Snapshot) -> None:
    """Note what this look has seen, unless somebody else is at work here: so that the next need not read it again."""
    try:
        lock = WorktreeLock(ws)
        if not lock.try_acquire():
            return
    except OSError:
        return  # a read-only repository can still be looked at
    try:
        # Bytes of another recipe still lying here keep their meaning: only sync decides about them.
        undecided = {p for p, d in snapshot.assets.items() if snapshot.seen(p).hash != d.facts.out_hash}
        if lock.unchanged_since(ws.state):
            remember(snapshot, undecided)
    except OSError:
        return
    finally:
        lock.release()


def _status(snapshot: Snapshot, desired: Desired) -> Status:
    facts = desired.facts
    seen = snapshot.seen(desired.path)
    if _is_plainly_ok(snapshot, desired, seen):
        return Status(desired.path, "ok", None, None, None, seen.hash, seen.hash, facts.out_size)
    row = snapshot.ws.state.rows.get(desired.path, EMPTY_ROW)
    state, reason, key = _state(snapshot, desired, row, seen)
    on_disk = seen.hash if seen.kind == "present" else None
    return Status(desired.path, state, reason, facts.generator, key, facts.out_hash, on_disk, facts.out_size)


def _is_plainly_ok(snapshot: Snapshot, desired: Desired, seen: Observed) -> bool:
    """A source asset whose accepted bytes are there: `ok` as `_state` has it, without asking about keys."""
    facts = desired.facts
    return (
        facts.generator is None and seen.hash is not None and seen.hash == facts.out_hash and seen.kind == "present"
        and facts.problem is None and desired.side_sig is not None and not desired.unmerged
        and desired.path not in snapshot.ws.state.failed
    )


def _state(snapshot: Snapshot, desired: Desired, row: Row, seen: Observed) -> tuple[str, str | None, str | None]:
    facts = desired.facts
    if facts.problem:
        return "invalid", facts.problem[1], None
    if desired.unmerged:
        return "invalid", "its sidecar has a merge conflict; its asset is left as it is", None
    if desired.side_sig is None:
        if desired.skip:
            return "skipped", "outside the sparse checkout", None
        return "invalid", "its sidecar is deleted but still in git's index (git restore, or git rm)", None
    try:
        key = snapshot.inputs.key_of(desired)
        stale = staleness(snapshot, desired, key)
    except InvalidError as error:
        return "invalid", error.what, None
    failure = snapshot.ws.state.failed.get(desired.path)
    if failure and failure["key"] == key:
        return "failed", failure["reason"].removeprefix(f"{desired.path}: "), key
    return (*_byte_state(desired, row, seen, stale), key)


def _byte_state(desired: Desired, row: Row, seen: Observed, stale: str | None) -> tuple[str, str | None]:
    wanted = desired.facts.out_hash
    if seen.kind == "foreign":
        return "modified", "something that is not a regular file is in its place"
    differs = seen.kind == "present" and seen.hash != wanted
    if differs and row.stand_in in ("proposed", "drifted") and seen.hash == row.disk_hash:
        return row.stand_in, _STAND_IN[row.stand_in]
    if wanted is None:
        return "pending", "never made: regen-vcs regenerate"
    if differs and row.stand_in == "equal" and seen.hash == row.disk_hash:
        return ("stale", stale) if stale else ("ok", "same content, other bytes than the accepted ones")
    if differs and (is_edited(row, seen) or row.accepted == wanted):
        return "modified", "its bytes are not the accepted ones"
    if seen.kind == "absent" or differs:
        return "missing", stale
    return ("stale", stale) if stale else ("ok", None)


_STAND_IN = {
    "proposed": "made, but nobody has accepted it: regen-vcs accept",
    "drifted": "regenerated with another result: regen-vcs show; regen-vcs accept, or back: regen-vcs fetch",
}


def staleness(snapshot: Snapshot, desired: Desired, key: str | None) -> str | None:
    """Why the accepted output is not what the recipe would make now; None where it is."""
    facts = desired.facts
    if facts.generator is None or facts.out_hash is None:
        return None
    if key is None:
        return "an input is pending or missing"
    if key != facts.out_key:
        return "the recipe or an input has changed since it was made"
    if facts.inputs:
        edited = snapshot.inputs.edited(list(snapshot.inputs.targets(desired).values()))
        if edited:
            return f"input edited: {', '.join(edited)}"
    if facts.definition is not None and not snapshot.definitions_on_disk.is_current(facts.generator, facts.definition):
        return f"the definition of {facts.generator} has changed"
    return None


def _size(seen: Observed) -> int:
    return size_of_files(seen.files)


def in_store(ws: Workspace, desired: Desired) -> bool:
    return desired.facts.out_hash is not None and has_all(ws.stores, desired.facts.out_hash, desired.facts.is_tree)
