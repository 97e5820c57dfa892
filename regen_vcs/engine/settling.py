"""What becomes of a take: whose place it takes, and what a sidecar says of it (DESIGN, section 4's table).

Only the user's own verbs (`by_user`) set a sidecar's output. Whoever else makes something puts a stand-in.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.in_place_settling import settle_take
from regen_vcs.engine.in_place_snapshot import adopt, include, reread
from regen_vcs.engine.keeping import rescue_edited
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.plan_execution import Executor, tidy_spare
from regen_vcs.engine.production import JobFailed, Take
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.sidecars import read_sidecar, write_sidecar
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.takes import measure
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import NotTrusted, RegenError

# verdict: "made", "restored" (same bytes), "equal" (same content), "drifted", "proposed", "filed" (recipe changed
# meanwhile), "failed", "present" (not run: its accepted bytes are there, and are what it would make); score: 0..1 for
# drifted, None where it could not be measured.
Made = namedtuple("Made", ("path", "verdict", "take", "error", "score"))


def settle(
    ws: Workspace, snapshot: Snapshot, batch: list[tuple[str, Take | RegenError]], by_user: bool, *, named: Collection[str] = ()
) -> list[Made]:
    """Give results their places, under the worktree's lock. `snapshot` learns of what has changed.

    named: what somebody asked for, though he does not wait for it: it is shown even outside the working set, as all of the
    user's own is.
    """
    paths = {path for path, _ in batch}
    with WorktreeLock(ws):
        ws.reload_state()
        here = look(ws, paths=paths, also=paths)
        refresh_ignores(ws, here, [path for path in paths if path in here.assets])  # a recipe may be new to git, or to us
        include(here)
        here.inputs.from_disk = snapshot.inputs.from_disk
        here.inputs.preload([here.assets[path] for path in paths if path in here.assets])
        made = [_settle_one(ws, here, path, result, by_user, path in named) for path, result in batch]
        _count(ws, here, made, by_user)
        tidy_spare(ws)
        remember(here, {each.path for each in made if each.verdict not in ("made", "restored")})
        # What comes after in this run sees the new outputs.
        for path in paths & here.assets.keys():
            adopt(snapshot, here, path)
    return made


def _count(ws: Workspace, here: Snapshot, made: list[Made], by_user: bool) -> None:
    """For `du`: runs that went well or failed, and those that an earlier take has saved."""
    for each in made:
        if each.take is None:
            desired = here.assets.get(each.path)
            if isinstance(each.error, JobFailed) and desired is not None and desired.facts.generator:
                ws.tally.add("failed", desired.facts.generator)
            continue
        generator = each.take.order.recipe.generator
        if each.take.reused:
            seconds = each.take.record.get("seconds")  # of a sequence: all its frames, however long ago
            ws.tally.add("reused", generator, 1, seconds if isinstance(seconds, int | float) else each.take.seconds)
            continue
        ws.tally.add("made", generator, 1, each.take.seconds)
        if not by_user and each.verdict in ("restored", "equal", "drifted"):
            ws.tally.add("missed", generator)
    ws.tally.flush(now=False)


def _settle_one(ws: Workspace, here: Snapshot, path: str, result: Take | RegenError, by_user: bool, named: bool) -> Made:
    try:
        if isinstance(result, RegenError):
            return _settle_failure(ws, here, path, result)
        if not (by_user or named) and path in here.assets and not is_shown(ws, here, path):
            return _leave_in_store(ws, here, path, result)
        return _settle_take(ws, here, path, result, by_user)
    except RegenError as error:
        return Made(path, "failed", None, error, None)
    except OSError as error:
        return Made(path, "failed", None, RegenError(f"{path}: {error.strerror or error}"), None)


def _settle_failure(ws: Workspace, here: Snapshot, path: str, error: RegenError) -> Made:
    # What is not trusted has not run, so it has not failed: once trusted, nothing may remember it.
    if path in here.assets and not isinstance(error, NotTrusted):
        try:
            key = here.inputs.key_of(here.assets[path])
        except RegenError:
            key = None
        log = error.log if isinstance(error, JobFailed) else None
        ws.state.failed[path] = {"key": key, "reason": error.what, "log": log, "at": _now()}
        if path in here.in_place:
            ws.state.failed[path]["in_place"] = True  # kept by looks that do not know the asset
    return Made(path, "failed", None, error, None)


def _settle_take(ws: Workspace, here: Snapshot, path: str, take: Take, by_user: bool) -> Made:
    desired = here.assets.get(path)
    if desired is None or desired.facts.problem or desired.side_sig is None:
        return Made(path, "filed", take, None, None)
    if here.inputs.key_of(desired) != take.order.key:
        return Made(path, "filed", take, None, None)
    facts = desired.facts
    ws.state.failed.pop(path, None)
    if path in here.in_place:
        settled = settle_take(ws, here, path, take, by_user)
        return Made(path, settled.verdict, take, None, settled.score)
    executor = Executor(here)
    rescue_edited(ws, here, path, "edited; regenerated")
    if facts.out_hash is None or facts.out_key != take.order.key:
        if not by_user:
            return _stand_in(ws, here, executor, desired, take, "proposed", None)
        return _accept(ws, here, executor, desired, take, "made")
    if take.hash == facts.out_hash:
        executor.bring_in(path, take.hash, take.is_tree)
        return Made(path, "restored", take, None, None)
    if facts.out_content and take.output.content == facts.out_content:
        return _stand_in(ws, here, executor, desired, take, "equal", 1.0)
    return _stand_in(ws, here, executor, desired, take, "drifted", measure(ws, facts.out_hash, take.hash))


def is_shown(ws: Workspace, here: Snapshot, path: str) -> bool:
    """Whether what is made of an asset belongs into this worktree: it is in the working set, or something of it is there."""
    return here.seen(path).kind != "absent" or ws.working_set.wants(here.assets[path])


def _leave_in_store(ws: Workspace, here: Snapshot, path: str, take: Take) -> Made:
    """A take of an asset outside the working set: others are made from it, or somebody fetches it later."""
    facts = here.assets[path].facts
    if here.inputs.key_of(here.assets[path]) == take.order.key:
        ws.state.failed.pop(path, None)
    verdict = "restored" if take.hash == facts.out_hash else "filed"
    if verdict == "filed" and facts.out_content and take.output.content == facts.out_content:
        verdict = "equal"
    return Made(path, verdict, take, None, 1.0 if verdict == "equal" else None)


def _accept(ws: Workspace, here: Snapshot, executor: Executor, desired: Desired, take: Take, verdict: str) -> Made:
    path = desired.path
    write_sidecar(ws, path, replace(read_sidecar(ws, path), output=take.output))
    executor.bring_in(path, take.hash, take.is_tree)
    reread(ws, here, path)
    return Made(path, verdict, take, None, None)


def _stand_in(
    ws: Workspace, here: Snapshot, executor: Executor, desired: Desired, take: Take, kind: str, score: float | None
) -> Made:
    """Show a take that is not the accepted one: on disk, and remembered as such."""
    path = desired.path
    executor.bring_in(path, take.hash, take.is_tree, accepted=desired.facts.out_hash, stand_in=kind)
    row = ws.state.rows.get(path, EMPTY_ROW)
    ws.state.rows[path] = row._replace(
        disk_hash=take.hash, stand_in=kind, accepted=desired.facts.out_hash, files=here.seen(path).files
    )
    return Made(path, kind, take, None, score)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
