"""`fetch`: bring the accepted takes back, also where a stand-in shows another one."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.planner import is_edited
from regen_vcs.engine.sync import (
    Executor,
    Snapshot,
    WorktreeLock,
    has_all,
    look,
    remember,
    rescue,
    tidy_spare,
)
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError

# verdict: "fetched", "edited" (left alone), "failed", "invalid" (its sidecar says nothing that could be brought)
Fetched = namedtuple("Fetched", ("path", "verdict", "error"))


def fetch(ws: Workspace, wanted: Callable[[str], bool], *, force: bool = False) -> list[Fetched]:
    """Put the accepted bytes of every wanted asset on disk that does not show them.

    Stand-ins give way (they stay in the store). Edited files do so only with `force`, and are rescued first.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = look(ws)
        executor = Executor(snapshot)
        needy = [
            path for path, desired in snapshot.assets.items()
            if wanted(path) and desired.side_sig is not None and not desired.unmerged and not desired.facts.problem
            and desired.facts.out_hash is not None and snapshot.seen(path).hash != desired.facts.out_hash
        ]
        results = [_fetch_one(ws, snapshot, executor, path, force) for path in needy]
        results += [
            Fetched(path, "invalid", InvalidError(desired.facts.problem[1], desired.facts.problem[2]))
            for path, desired in snapshot.assets.items() if desired.facts.problem and wanted(path)
        ]
        tidy_spare(ws)
        remember(snapshot, {each.path for each in results if each.verdict != "fetched"})
    return results


def _fetch_one(ws: Workspace, snapshot: Snapshot, executor: Executor, path: str, force: bool) -> Fetched:
    facts, seen = snapshot.assets[path].facts, snapshot.seen(path)
    row = ws.state.rows.get(path, EMPTY_ROW)
    try:
        if not has_all(ws.stores, facts.out_hash, facts.is_tree):
            hint = "regen-vcs sync makes it again" if facts.generator else "look where it was made: it is a source asset"
            raise RegenError(f"{path}: its accepted bytes are in no store here", hint)
        if seen.kind == "present" and is_edited(row, seen):
            if not force:
                return Fetched(path, "edited", None)
            rescue(ws, path, seen, "edited; the accepted take was fetched")
        executor.bring_in(path, facts.out_hash, facts.is_tree)
        return Fetched(path, "fetched", None)
    except RegenError as error:
        return Fetched(path, "failed", error)
    except OSError as error:
        return Fetched(path, "failed", RegenError(f"{path}: {error.strerror or error}"))
