"""`fetch`: bring the accepted takes back, also where a stand-in shows another one; from the stores, else from the remotes.

What no store here has is fetched first, without the worktree's lock. Takes that remotes offer for recipes without an
accepted result come as stand-ins.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place_editing import fetch_in_place
from regen_vcs.engine.in_place_snapshot import include, look_at_both
from regen_vcs.engine.in_place_takes import noted_takes
from regen_vcs.engine.keeping import rescue
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.plan_execution import Executor, tidy_spare
from regen_vcs.engine.planner import is_edited
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError

# verdict: "fetched", "proposed" (a take that a remote offers is shown), "edited" (left alone), "failed", "invalid" (its
# sidecar says nothing that could be brought)
Fetched = namedtuple("Fetched", ("path", "verdict", "error"))
# results: of assets of the worktree. stored: how many assets of other commits came into the stores. failed: {path: error}
# of those. unreachable: an error for each remote that could not be used.
FetchReport = namedtuple("FetchReport", ("results", "stored", "failed", "unreachable"))


def fetch(ws: Workspace, wanted: Callable[[str], bool], *, force: bool = False, named: bool = True) -> list[Fetched]:
    """Put the accepted bytes of every wanted asset on disk that does not show them; what became of each.

    Stand-ins give way (they stay in the store). Edited files do so only with `force`, and are rescued first.
    """
    return fetch_everything(ws, wanted, force=force, named=named).results


def fetch_everything(
    ws: Workspace, wanted: Callable[[str], bool], *, force: bool = False, remote: str | None = None, all_refs: bool = False,
    offers: bool = False, named: bool = True, on_change: Callable[[object], None] | None = None,
) -> FetchReport:
    """As `fetch`; all_refs: and what every local branch and tag accepts into the stores. remote: from this one only.
    offers: takes that remotes offer are shown for stale recipes too, not only for pending ones. named: False where `wanted`
    names nothing: then what is outside the working set stays a recipe.

    on_change(meter): several times a second while bytes arrive. UsageError for a remote that is not there.
    """
    if not (named or ws.working_set.is_everything):
        wanted = _within_set(ws, wanted)
    if not ws.settings.remotes() and remote is None:
        return FetchReport(_put_in_place(ws, wanted, force, {}), 0, {}, [])
    # Threads and the clients of stores: not where there is no remote.
    from regen_vcs.engine.fetching_afar import FetchingAfar

    with FetchingAfar(ws, remote, on_change) as afar:
        errors = afar.bring(needy_assets(ws, look_at_both(ws), wanted))
        stored, failed = afar.bring_all_refs(wanted) if all_refs else (0, {})
        results = _put_in_place(ws, wanted, force, errors)
        shown = afar.propose(wanted, ("pending", "stale") if offers else ("pending",))
        results += [Fetched(path, "proposed", None) for path in shown]
        return FetchReport(results, stored, failed, afar.unreachable)


def _within_set(ws: Workspace, wanted: Callable[[str], bool]) -> Callable[[str], bool]:
    inside = {path for path, desired in look_at_both(ws, paths=set()).assets.items() if ws.working_set.wants(desired)}
    return lambda path: wanted(path) and path in inside


def needy_assets(ws: Workspace, snapshot: Snapshot, wanted: Callable[[str], bool]) -> list[Desired]:
    """The wanted assets whose accepted bytes are not what shows on disk."""
    noted = noted_takes(ws)
    return [
        desired for path, desired in snapshot.assets.items()
        if wanted(path) and desired.side_sig is not None and not desired.unmerged and not desired.facts.problem
        and desired.facts.out_hash is not None
        and (snapshot.seen(path).hash != desired.facts.out_hash or path in noted) and not desired.skip
    ]


def _put_in_place(
    ws: Workspace, wanted: Callable[[str], bool], force: bool, errors: dict[str, RegenError]
) -> list[Fetched]:
    """errors: {asset: why its bytes did not come from a remote}."""
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = include(look(ws))
        executor = Executor(snapshot)
        needy = [each.path for each in needy_assets(ws, snapshot, wanted)]
        results = [_fetch_one(ws, snapshot, executor, path, force, errors.get(path)) for path in needy]
        results += [
            Fetched(path, "invalid", InvalidError(desired.facts.problem[1], desired.facts.problem[2]))
            for path, desired in snapshot.assets.items() if desired.facts.problem and wanted(path)
        ]
        tidy_spare(ws)
        remember(snapshot, {each.path for each in results if each.verdict != "fetched"})
    return results


def _fetch_one(
    ws: Workspace, snapshot: Snapshot, executor: Executor, path: str, force: bool, error: RegenError | None
) -> Fetched:
    facts, seen = snapshot.assets[path].facts, snapshot.seen(path)
    row = ws.state.rows.get(path, EMPTY_ROW)
    try:
        if not has_all(ws.stores, facts.out_hash, facts.is_tree):
            hint = "regen-vcs sync makes it again" if facts.generator else "look where it was made: it is a source asset"
            raise error or RegenError(f"{path}: its accepted bytes are in no store here", hint)
        if path in snapshot.in_place:
            fetched = fetch_in_place(ws, snapshot, path, force=force)
            return Fetched(path, "fetched" if fetched else "edited", None)
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
