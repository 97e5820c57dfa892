"""The state of every asset (DESIGN, section 11): one state an asset, the first that holds.

invalid, running, queued, skipped, failed, modified, proposed, drifted, pending, missing, stale, ok;
and beside the recipes: orphan (an asset whose sidecar is gone) and unmanaged (media without one).
"""

from __future__ import annotations

from collections import namedtuple

from regen_vcs.engine import in_place
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place_snapshot import include
from regen_vcs.engine.in_place_sync import is_wanted
from regen_vcs.engine.in_place_takes import NotedTake, noted_takes
from regen_vcs.engine.keeping import store_files
from regen_vcs.engine.memory import EMPTY_ROW, Row
from regen_vcs.engine.observe import size_of_files
from regen_vcs.engine.planner import Observed, is_edited
from regen_vcs.engine.queue_file import has_queue
from regen_vcs.engine.quiet_recorder import Recorder
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workset import OUTSIDE
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git.tracking import media_files, tracked_patterns

Status = namedtuple("Status", ("path", "state", "reason", "generator", "key", "output", "on_disk", "size"))
# jobs: {asset: engine.queue.Job}, of those that have an open one.
Survey = namedtuple("Survey", ("statuses", "snapshot", "jobs"), defaults=({},))


def survey(ws: Workspace) -> Survey:
    """Every asset's state, of both layouts, in order of path. Edited assets found on the way are brought into keep."""
    _ = ws.working_set.selectors  # one that cannot be read is told at once, not of every asset
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
    statuses += _in_place_statuses(snapshot)
    statuses.sort(key=lambda each: each.path)
    return Survey(statuses, snapshot)


def survey_all(ws: Workspace) -> Survey:
    """As `survey`, with what the queue has of them."""
    recorder = Recorder(ws)
    found = survey(ws)
    if has_queue(ws.repo.shared_dir):
        found = _with_jobs(ws, found)
    if not in_place.is_used(ws) and not tracked_patterns(ws.repo):
        recorder.record(found.snapshot, found.statuses)
    return found


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


def _in_place_statuses(snapshot: Snapshot) -> list[Status]:
    """Those of the second layout, which the snapshot shows afterwards."""
    ws = snapshot.ws
    if not in_place.is_used(ws):
        return []
    sidecars = set(snapshot.assets)
    assets = in_place.look_in_place(ws)
    include(snapshot, assets)
    snapshot.inputs.preload([snapshot.assets[path] for path in snapshot.in_place])
    noted = noted_takes(ws)
    return [_in_place_status(snapshot, each, noted.get(each.path)) for each in assets if each.path not in sidecars]


def _in_place_status(snapshot: Snapshot, asset: in_place.Asset, noted: NotedTake | None) -> Status:
    facts, path = asset.facts, asset.path
    state, reason = in_place.state_of(snapshot.ws, asset)
    key = None
    if state in ("missing", "pending") and asset.disk.kind == in_place.DOCUMENT and not is_wanted(snapshot.ws, asset):
        state, reason = "skipped", OUTSIDE
    if facts.generator is not None and state not in ("invalid", "unmanaged"):
        try:
            key = snapshot.inputs.key_of(snapshot.assets[path])
            state, reason = _state_of_made(snapshot, path, key, state, reason, noted)
        except InvalidError as error:
            state, reason = "invalid", error.what
    return Status(path, state, reason, facts.generator, key, facts.out_hash, asset.bytes_hash, facts.out_size)


def _state_of_made(
    snapshot: Snapshot, path: str, key: str | None, state: str, reason: str | None, noted: NotedTake | None
) -> tuple[str, str | None]:
    """What a recipe adds to what its bytes say: failed, proposed, drifted, stale."""
    desired = snapshot.assets[path]
    failure = snapshot.ws.state.failed.get(path)
    if state == "skipped":
        return state, reason
    if failure and failure["key"] == key:
        return "failed", failure["reason"].removeprefix(f"{path}: ")
    if state == "modified":
        return state, reason
    if noted and noted.key == key and noted.hash != desired.facts.out_hash:
        return noted.kind, _NOTED[noted.kind]
    stale = staleness(snapshot, desired, key)
    if stale and state == "missing":
        return state, f"{reason}; {stale}"
    return ("stale", stale) if stale and state == "ok" else (state, reason)


_NOTED = {
    "proposed": "made, but nobody has accepted it; it is in the store: regen-vcs accept",
    "drifted": "regenerated with another result, which is in the store: regen-vcs accept, or forget it: regen-vcs fetch",
}


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
        if not snapshot.ws.working_set.wants(desired) and _byte_state(desired, row, seen, None)[0] in ("missing", "pending"):
            return "skipped", OUTSIDE, key
        stale = staleness(snapshot, desired, key)
    except InvalidError as error:
        return "invalid", error.what, None
    failure = snapshot.ws.state.failed.get(desired.path)
    if failure and failure["key"] == key:
        return "failed", failure["reason"].removeprefix(f"{desired.path}: "), key
    state, reason = _byte_state(desired, row, seen, stale)
    if key is None and facts.generator is not None and reason is None and (away := snapshot.inputs.root_problem(desired)):
        reason = f"not known whether it is stale: its input {away.what}" if state == "ok" else f"blocked: its input {away.what}"
    return state, reason, key


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
        return None if snapshot.inputs.root_problem(desired) else "an input is pending or missing"
    if key != facts.out_key:
        edited = _edited_in_roots(snapshot, desired) if facts.inputs else []
        return f"input edited: {', '.join(edited)}" if edited else "the recipe or an input has changed since it was made"
    if facts.inputs:
        edited = snapshot.inputs.edited(list(snapshot.inputs.targets(desired).values()))
        if edited:
            return f"input edited: {', '.join(edited)}"
    if facts.definition is not None and not snapshot.definitions_on_disk.is_current(facts.generator, facts.definition):
        return f"the definition of {facts.generator} has changed"
    return None


def _edited_in_roots(snapshot: Snapshot, desired: Desired) -> list[str]:
    """Its inputs below named roots that have other bytes than the accepted output was made from, as far as that is on record."""
    named = {name: target for name, target in snapshot.inputs.targets(desired).items() if target.startswith("@")}
    for record in snapshot.ws.results.takes(desired.facts.out_key) if named and desired.facts.out_key else ():
        made_from = record.get("inputs")
        if isinstance(made_from, dict):
            return [each for name, each in named.items() if made_from.get(name) not in (None, f"blake3:{snapshot.inputs.hash_of(each)}")]
    return []


def _size(seen: Observed) -> int:
    return size_of_files(seen.files)


def in_store(ws: Workspace, desired: Desired) -> bool:
    return desired.facts.out_hash is not None and has_all(ws.stores, desired.facts.out_hash, desired.facts.is_tree)
