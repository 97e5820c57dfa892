"""Making assets: what `generate`, `regenerate` and the end of a sync do with takes (DESIGN, section 4's table).

Only the user's own verbs (`by_user`) set a sidecar's output. Whoever else makes something puts a stand-in.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.planner import is_edited
from regen_vcs.engine.production import JobFailed, Producer, Take, make_order
from regen_vcs.engine.sidecars import read_sidecar, write_sidecar
from regen_vcs.engine.sync import Executor, Snapshot, WorktreeLock, look, remember, rescue, tidy_spare
from regen_vcs.engine.takes import measure
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import Interrupted, InvalidError, RegenError
from regen_vcs.generators import registry
from regen_vcs.model.plan import Step

# verdict: "made", "restored" (same bytes), "equal" (same content), "drifted", "proposed", "filed" (recipe changed
# meanwhile), "failed"; score: 0..1 for drifted, None where it could not be measured.
Made = namedtuple("Made", ("path", "verdict", "take", "error", "score"))


def make_assets(
    ws: Workspace,
    paths: Iterable[str],
    *,
    by_user: bool,
    force: bool = False,
    workers: int | None = None,
    progress: Callable[[str, float, str], None] | None = None,
) -> Iterator[Made]:
    """Run the generators of these assets, dependencies first; yields what became of each as it happens.

    by_user: plain inputs and definitions are taken as they are on disk, and a pending or stale sidecar's output is
    set. Otherwise the index's are taken. workers: how many at once; None: as the user's settings say. On ^C what is finished stays, and Interrupted is raised.
    """
    snapshot = user_look(ws) if by_user else look(ws)
    wanted = list(dict.fromkeys(paths))
    for path in wanted:
        if path not in snapshot.assets:
            raise RegenError(f"{path}: there is no recipe for it", f"regen-vcs generate {path} --generator …")
    waits = {path: _upstream(snapshot, path) for path in wanted}

    def start(path: str):
        if by_user:
            _refresh_definition(ws, snapshot, path)
        return make_order(snapshot, path, force=force)

    with Producer(snapshot, workers=workers or _workers_for(snapshot, wanted), progress=progress) as producer:
        for batch in producer.run_all(waits, start):
            yield from _settle(ws, snapshot, [each for each in batch if not isinstance(each[1], Interrupted)], by_user)


def _workers_for(snapshot: Snapshot, paths: list[str]) -> int:
    """As set; where nothing is, a built-in on every processor, and others one at a time: they may fill a GPU."""
    settings = snapshot.ws.settings
    if settings.origin("jobs") != "default":
        return settings.get("jobs")
    generators = {snapshot.assets[path].facts.generator for path in paths}
    harmless = all(each and registry.is_exact_built_in(each) for each in generators if each is not None)
    return (os.cpu_count() or 1) if harmless else 1


def user_look(ws: Workspace) -> Snapshot:
    """A snapshot in which plain inputs and definitions count as they are on disk."""
    snapshot = look(ws)
    snapshot.inputs.from_disk = True
    snapshot._definitions = Definitions(ws, from_disk=True)
    return snapshot


def _upstream(snapshot: Snapshot, path: str) -> set[str]:
    try:
        targets = snapshot.inputs.targets(snapshot.assets[path]).values()
    except InvalidError:
        return set()
    return {target for target in targets if snapshot.inputs.is_asset(target)}


def _refresh_definition(ws: Workspace, snapshot: Snapshot, path: str) -> None:
    """The user's verbs write the current definition before they run a recipe."""
    facts = snapshot.assets[path].facts
    if facts.generator is None or facts.problem:
        return
    current = snapshot.definitions.current(facts.generator)
    if current != facts.definition:
        write_sidecar(ws, path, replace(read_sidecar(ws, path), definition=current))
        _reread(ws, snapshot, path)


def _reread(ws: Workspace, snapshot: Snapshot, path: str) -> None:
    from regen_vcs.engine.desired import read_one

    old = snapshot.assets.get(path)
    tracked = old.tracked if old else False
    snapshot.assets[path] = read_one(ws.repo, path, ws.state, ws.memo, tracked=tracked, skip=False)


def _settle(
    ws: Workspace, snapshot: Snapshot, batch: list[tuple[str, Take | RegenError]], by_user: bool
) -> list[Made]:
    """Give results their places, under the worktree's lock."""
    paths = {path for path, _ in batch}
    with WorktreeLock(ws):
        ws.reload_state()
        here = look(ws, paths=paths, also=paths)
        here.inputs.from_disk = snapshot.inputs.from_disk
        here.inputs.preload([here.assets[path] for path in paths if path in here.assets])
        made = [_settle_one(ws, here, path, result, by_user) for path, result in batch]
        tidy_spare(ws)
        remember(here, {each.path for each in made if each.verdict not in ("made", "restored")})
        # What comes after in this run sees the new outputs.
        for path in paths & here.assets.keys():
            snapshot.assets[path] = here.assets[path]
            snapshot.observed[path] = here.seen(path)
    return made


def _settle_one(ws: Workspace, here: Snapshot, path: str, result: Take | RegenError, by_user: bool) -> Made:
    try:
        if isinstance(result, RegenError):
            return _settle_failure(ws, here, path, result)
        return _settle_take(ws, here, path, result, by_user)
    except RegenError as error:
        return Made(path, "failed", None, error, None)
    except OSError as error:
        return Made(path, "failed", None, RegenError(f"{path}: {error.strerror or error}"), None)


def _settle_failure(ws: Workspace, here: Snapshot, path: str, error: RegenError) -> Made:
    if path in here.assets:
        try:
            key = here.inputs.key_of(here.assets[path])
        except RegenError:
            key = None
        log = error.log if isinstance(error, JobFailed) else None
        ws.state.failed[path] = {"key": key, "reason": error.what, "log": log, "at": _now()}
    return Made(path, "failed", None, error, None)


def _settle_take(ws: Workspace, here: Snapshot, path: str, take: Take, by_user: bool) -> Made:
    desired = here.assets.get(path)
    if desired is None or desired.facts.problem or desired.side_sig is None:
        return Made(path, "filed", take, None, None)
    if here.inputs.key_of(desired) != take.order.key:
        return Made(path, "filed", take, None, None)
    facts = desired.facts
    ws.state.failed.pop(path, None)
    executor = Executor(here)
    _rescue_edited(ws, here, path)
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


def _rescue_edited(ws: Workspace, here: Snapshot, path: str) -> None:
    row, seen = ws.state.rows.get(path, EMPTY_ROW), here.seen(path)
    if seen.kind == "present" and is_edited(row, seen) and seen.hash != here.assets[path].facts.out_hash:
        rescue(ws, path, seen, "edited; regenerated")


def _accept(ws: Workspace, here: Snapshot, executor: Executor, desired: Desired, take: Take, verdict: str) -> Made:
    path = desired.path
    write_sidecar(ws, path, replace(read_sidecar(ws, path), output=take.output))
    executor.bring_in(path, take.hash, take.is_tree)
    _reread(ws, here, path)
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


def regenerate_steps(ws: Workspace, steps: list[Step], *, progress=None) -> Iterator[Made]:
    """The regenerations of a sync's plan: accepted bytes that are nowhere are made again."""
    return make_assets(ws, [step.path for step in steps], by_user=False, progress=progress)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
