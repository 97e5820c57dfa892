"""`doctor --fix`: mend what can be mended without a guess, and say each thing that is done.

What there is to mend is found first, by looking only; a dry run ends there. Sidecars of a newer format, in conflict or
unreadable are never rewritten.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterable, Iterator

from regen_vcs.engine import doctor_git, setup
from regen_vcs.engine.documents import write_document
from regen_vcs.engine.finding import OK, Finding, count, some
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.in_place_snapshot import user_look
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.recipe_changes import refuse_cycle
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.repair_inputs import Found, Misplaced, Unsure, readable_but_for_inputs
from regen_vcs.engine.repair_stores import Stock, adopt, find_stock
from regen_vcs.engine.sidecars import write_in_tree
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.whereabouts import Whereabouts
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import config, index
from regen_vcs.model.paths import SIDECAR_SUFFIX, asset_of, relative_input, sidecar_of
from regen_vcs.model.quantities import human_size
from regen_vcs.model.recipe import recipe_bytes
from regen_vcs.stores.results import Repos

# One thing to mend. topic: as of a finding; what: one line; act: does it, for a workspace whose lock is not held.
Repair = namedtuple("Repair", ("topic", "what", "act"))
# repairs: what can be mended. unsure: references that cannot, with what they might be.
Proposal = namedtuple("Proposal", ("repairs", "unsure"))
# repair: which; error: why it could not be done, or None.
Mended = namedtuple("Mended", ("repair", "error"))

_INIT = "regen-vcs init"


def propose(ws: Workspace, look_in: Iterable[str] = ()) -> Proposal:
    """Everything that can be mended here, in the order in which it is to be done. look_in: folders where stores may lie.

    Changes nothing of the repository's own; blobs of untracked inputs may be written into git, as every look of the user does.
    """
    repairs = [*_memory(ws), *_set_up(ws), *_registry(ws)]
    snapshot = user_look(ws)
    repairs += [Repair("stores", _stock_words(each), lambda ws, each=each: _adopt(ws, each)) for each in find_stock(snapshot, look_in)]
    found = list(Misplaced(snapshot, Whereabouts(snapshot)).find())
    unsure = [each for each in found if isinstance(each, Unsure)]
    by_asset: dict[str, list[Found]] = {}
    for each in found:
        if isinstance(each, Found):
            by_asset.setdefault(each.asset, []).append(each)
    sound = {path for path, desired in snapshot.assets.items() if not desired.facts.problem}
    halves = {each.asset for each in unsure}
    for asset, inputs in by_asset.items():
        if asset not in sound and asset in halves:
            continue  # it stays invalid whatever is mended: all of it, or nothing
        for each in inputs if asset in sound else [None]:
            group = [each] if each else inputs
            what = "; ".join(_input_words(one) for one in group)
            repairs.append(Repair("inputs", what, lambda ws, asset=asset, group=group: _rewrite(ws, asset, group)))
    ignores = _ignores(snapshot)
    return Proposal([*repairs, *ignores], unsure)


def mend(ws: Workspace, repairs: Iterable[Repair]) -> Iterator[Mended]:
    """Do these, one after another; what fails does not stop the others."""
    for repair in repairs:
        try:
            repair.act(ws)
            yield Mended(repair, None)
        except RegenError as error:
            yield Mended(repair, error)
        except OSError as error:
            yield Mended(repair, RegenError(f"{error.filename}: {error.strerror}" if error.filename else str(error)))


# ---------------------------------------------------------------- inputs


def _input_words(each: Found) -> str:
    value = each.target if each.target.startswith("@") else relative_input(sidecar_of(each.asset), each.target)
    return f"{each.asset}: inputs.{each.name}: {each.value} → {value} ({each.why})"


def _rewrite(ws: Workspace, asset: str, found: list[Found]) -> None:
    """Have a recipe name its inputs where they are. Its key stays, as far as these are the same bytes."""
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = user_look(ws)
        desired = snapshot.assets.get(asset)
        if desired is None or desired.unmerged or desired.side_sig is None:
            raise RegenError(f"{asset}: has changed meanwhile", "say it again")
        recipe = readable_but_for_inputs(ws.root, asset) if desired.facts.problem else snapshot.inputs.recipe_of(desired)
        if recipe is None or any(recipe.inputs.get(each.name) != each.value for each in found):
            raise RegenError(f"{asset}: has changed meanwhile", "say it again")
        moved = {each.name: relative_input(sidecar_of(asset), each.target) for each in found}
        changed = recipe.replace(inputs={**recipe.inputs, **moved})
        data = recipe_bytes(changed)  # InvalidError where it would still not be valid
        refuse_cycle(ws, asset, changed)
        if desired.facts.problem:
            index.forget_listing(ws.repo)
            write_in_tree(ws, sidecar_of(asset), data)
        else:
            write_document(ws, asset, changed)
        remember(look(ws, paths={asset}, also={asset}), {asset})


# ---------------------------------------------------------------- this worktree's memory


def _memory(ws: Workspace) -> Iterator[Repair]:
    """The state file is lost: what it alone knew is which sidecars count though git does not know them."""
    if ws.state.exists:
        return
    loose = _loose_sidecars(ws)
    if loose or index.list_sidecars(ws.repo)[0]:
        more = f"; of {count(len(loose), 'sidecar')} that git does not know yet: {some(loose)}" if loose else ""
        yield Repair("memory", f"what this worktree's last sync saw is lost: look at everything again{more}", _look_again)


def _loose_sidecars(ws: Workspace) -> list[str]:
    """Assets of valid sidecars that git neither tracks nor ignores."""
    found = []
    for name in index.list_matching(ws.repo, ["**/*" + SIDECAR_SUFFIX], untracked=True):
        try:
            found.append(asset_of(name))
        except InvalidError:
            continue
    tracked = {entry.path for entry in index.list_sidecars(ws.repo)[0]}
    loose = [path for path in found if sidecar_of(path) not in tracked]
    assets = look(ws, paths=set(), also=set(loose)).assets
    return [path for path in loose if path in assets and not assets[path].facts.problem]


def _look_again(ws: Workspace) -> None:
    with WorktreeLock(ws):
        ws.reload_state()
        loose = _loose_sidecars(ws)
        for path in loose:
            ws.state.rows.setdefault(path, EMPTY_ROW._replace(untracked=True))
        snapshot = look(ws, also=set(loose))
        refresh_ignores(ws, snapshot)
        remember(snapshot)


# ---------------------------------------------------------------- set-up


def _set_up(ws: Workspace) -> Iterator[Repair]:
    """Hooks, launcher, drivers and attributes that are not as `init` leaves them, in a repository that was set up."""
    if "regen.uuid" not in config.read_config(ws.repo):
        return
    findings: list[Finding] = []
    for examine in (doctor_git.examine_hooks, doctor_git.examine_drivers, doctor_git.examine_attributes):
        findings += examine(ws.repo)
    wrong = [each for each in findings if each.level != OK and (each.mend or "").partition(",")[0] == _INIT]
    if wrong:
        yield Repair("set-up", "; ".join(f"{each.topic}: {each.what}" for each in wrong), setup.init)


def _registry(ws: Workspace) -> Iterator[Repair]:
    """Keep knows a repository by its places: gc looks there for what is still wanted."""
    known = config.read_config(ws.repo).get("regen.uuid")
    if known is None:
        return
    here = os.path.realpath(ws.repo.common_dir)
    places = [each.path for each in Repos(ws.stores.keep.root).places() if each.uuid == known.value and each.path]
    if here not in map(os.path.realpath, places):
        gone = [each for each in places if not os.path.isdir(each)]
        where = f"has it at {some(gone)}, which is gone" if gone else "does not know that it is here"
        yield Repair("registry", f"keep {where}: note this repository at {ws.repo.common_dir}", Workspace.register)


def _ignores(snapshot: Snapshot) -> Iterator[Repair]:
    for each in doctor_git.examine_ignores(snapshot):
        if each.level != OK and each.mend == "regen-vcs sync":
            yield Repair("ignores", each.what, _refresh_ignores)


def _refresh_ignores(ws: Workspace) -> None:
    with WorktreeLock(ws):
        state = ws.reload_state()
        state.ignored = ""
        refresh_ignores(ws, look(ws))
        state.save()


# ---------------------------------------------------------------- stores


def _stock_words(stock: Stock) -> str:
    return f"{count(len(stock.hashes), 'object')} ({human_size(stock.size)}) that this worktree needs: copied from {stock.store.root}"


def _adopt(ws: Workspace, stock: Stock) -> None:
    adopt(user_look(ws), stock)
