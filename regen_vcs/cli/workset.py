"""`regen-vcs workset show|add|remove|only|all|reapply`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from regen_vcs.api.project import Project
from regen_vcs.api.results import SyncReport
from regen_vcs.cli import sync as syncing
from regen_vcs.cli.project import followed_by, project
from regen_vcs.cli.terminal import MakingProgress, fail_with, note, print_json, say, waiting, workspace
from regen_vcs.cli.transfer_progress import TransferProgress
from regen_vcs.engine.filling import leave_rest_to_worker
from regen_vcs.engine.workset import Selector, describe, with_selectors
from regen_vcs.engine.workset_changes import Change, Extent, change_set, extent_of, matches, selectors_of
from regen_vcs.engine.workset_uses import is_out_of_date, uses_selector
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.quantities import human_size

_SHOWN = 20


def _selecting(command: Callable) -> Callable:
    """The words that choose assets."""
    for option in reversed((
        click.argument("selectors", nargs=-1, metavar="[PATHSPEC]..."),
        click.option("--tag", "tags", multiple=True, help="Assets with this tag."),
        click.option("--shot", "shots", multiple=True, help="Assets of this shot: meta.shot, or in a folder of that name."),
        click.option("--scene", "scenes", multiple=True, help="Assets of this scene: meta.scene, or in a folder of that name."),
        click.option("--uses", "blends", multiple=True, metavar="BLEND", help="What this .blend uses, directly or not."),
        click.option("--yes", "-y", is_flag=True, help="With --uses: trust the .blend, so that Blender opens it."),
        click.option("--dry-run", "-n", is_flag=True, help="Say what would leave the disk, and do nothing."),
        click.option("--json", "as_json", is_flag=True, help="The set and what was done, as JSON."),
    )):
        command = option(command)
    return command


_later = click.option("--background", "later", is_flag=True, help="Leave what is in no store here to a worker in the background.")


@click.group("workset", invoke_without_command=True)
@click.pass_context
def workset_command(context: click.Context) -> int:
    """Which assets this checkout holds on disk; the rest stay recipes, `skipped` in status. Each worktree has its own set.

    \b
    Example: regen-vcs workset only 'shots/010/**' --tag hero
    """
    return context.invoke(show) if context.invoked_subcommand is None else 0


@workset_command.command("show")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(as_json: bool = False) -> int:
    """The set, what it holds, and what lies on disk outside of it.

    \b
    Example: regen-vcs workset show
    """
    with workspace() as ws:
        extent = extent_of(ws)
        if as_json:
            print_json(_document(ws, extent))
            return 0
        for each in ws.working_set.selectors or ():
            say(f"  {describe(each)}")
        _say_extent(ws, extent)
        for each in (selector for selector in ws.working_set.selectors or () if selector.kind == "uses"):
            if is_out_of_date(ws, each):
                note(f"{each.values[0]} has changed since it was looked into; run: regen-vcs workset add --uses {each.values[0]}")
        if extent.strays:
            note(f"{len(extent.strays)} on disk outside the set: {_some(extent.strays)}; take them off: regen-vcs workset reapply")
    return 0


@workset_command.command("add")
@_selecting
@_later
def add(later: bool, **said: Any) -> int:
    """Bring these assets into the set, and onto the disk: from the stores, the remotes, else by their generators.

    \b
    Example: regen-vcs workset add shots/020 --uses film.blend
    """
    return _change(said, lambda ws, new: with_selectors(ws.working_set.selectors, new), brings=True, later=later)


@workset_command.command("remove")
@_selecting
def remove(**said: Any) -> int:
    """Take these assets out of the set, and off the disk unless they are modified. Their bytes stay in a store.

    \b
    Example: regen-vcs workset remove 'shots/010/**'
    """
    return _change(said, lambda ws, new: with_selectors(ws.working_set.selectors, new), adds=False)


@workset_command.command("only")
@_selecting
@click.option("--nothing", is_flag=True, help="No asset at all: recipes only.")
@_later
def only(nothing: bool, later: bool, **said: Any) -> int:
    """Make these assets the whole set: the others leave the disk unless they are modified, what is missing of these comes.

    \b
    Example: regen-vcs workset only 'shots/010/**' ':(exclude)shots/010/old/**'
    """
    # From an empty set: one that cannot be read is in nobody's way.
    return _change(said, lambda ws, new: with_selectors((), new), brings=True, later=later, nothing=nothing)


@workset_command.command("all")
@_later
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
def everything(later: bool, as_json: bool) -> int:
    """Hold every asset again, as a checkout without a working set does.

    \b
    Example: regen-vcs workset all
    """
    with project() as film:
        return _apply(film, None, brings=True, later=later, as_json=as_json)


@workset_command.command("reapply")
@_later
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
def reapply(later: bool, as_json: bool) -> int:
    """Take off the disk what is outside the set (fetched by name, or left by a command that was ended), and bring what is in it.

    \b
    Example: regen-vcs workset reapply
    """
    with project() as film:
        return _apply(film, film.workspace.working_set.selectors, brings=True, later=later, as_json=as_json)


def _change(
    said: dict[str, Any], choose: Callable[[Workspace, list[Selector]], Any], *, adds: bool = True, brings: bool = False,
    later: bool = False, nothing: bool = False,
) -> int:
    with project() as film:
        ws = film.workspace
        new = _selectors(ws, said, adds)
        if nothing and new:
            raise UsageError("--nothing: and something is named too", "say one of them")
        if not new and not nothing:
            raise UsageError("which assets? none are named", "PATHSPEC…, --tag, --shot, --scene or --uses; everything: regen-vcs workset all")
        if adds and not nothing:
            for each, count in matches(ws, new).items():
                if not count:
                    note(f"{describe(each)}: no asset yet; those to come will be in the set")
        return _apply(
            film, choose(ws, new), brings=brings, later=later, as_json=said["as_json"], dry_run=said["dry_run"]
        )


def _selectors(ws: Workspace, said: dict[str, Any], adds: bool) -> list[Selector]:
    meta = {"tag": said["tags"], "shot": said["shots"], "scene": said["scenes"]}
    found = selectors_of(ws, said["selectors"], meta, os.getcwd(), adds=adds)
    for each in said["blends"]:
        blend = ws.asset_arg(each, os.getcwd())
        if not adds:
            found.append(_known_uses(ws, blend))
            continue
        used = uses_selector(ws, blend, trust=said["yes"])
        if used.asked == "recipes":
            note(f"{blend}: no Blender here to look into it; taken from the recipes that are made from it")
        found.append(used.selector)
    return found


def _known_uses(ws: Workspace, blend: str) -> Selector:
    """What a .blend was found to use when it was added; else it is looked into now."""
    for each in ws.working_set.selectors or ():
        if each.kind == "uses" and each.values == (blend,):
            return each._replace(adds=False)
    return uses_selector(ws, blend).selector._replace(adds=False)


def _apply(
    film: Project, selectors: Any, *, brings: bool, later: bool, as_json: bool, dry_run: bool = False
) -> int:
    ws = film.workspace
    change = change_set(ws, selectors, dry_run=dry_run, waiting=waiting)
    if dry_run:
        if as_json:
            print_json({"took": sorted(change.took), "freed": change.freed, "left": change.left, "dry_run": True})
        else:
            _say_change(change, "would take")
        return 0
    if not as_json:
        _say_change(change, "took")
    report, queued = None, 0
    if brings and later:
        queued = leave_rest_to_worker(ws)
    elif brings:
        report = _bring(film)
    errors = dict(change.failed) | (syncing.errors_of(report) if report else {})
    extent = extent_of(ws)
    if as_json:
        print_json(_document(ws, extent) | _outcome(change, report, queued))
        return fail_with(errors)
    if report:
        for line in report.plan.notices:
            note(line)
        say(syncing.summary(report))
    elif queued:
        say(f"{queued} left to a worker in the background; follow it: regen-vcs queue --follow")
    _say_extent(ws, extent)
    code = fail_with(errors)
    if report and report.missing:
        note(report.missing)
    return code


def _bring(film: Project) -> SyncReport:
    with MakingProgress(0) as progress, TransferProgress("fetching") as transfer:
        return film.sync(progress=followed_by(progress), waiting=waiting, fetching=transfer)


# -- what is said -----------------------------------------------------------------------------------------------------------


def _say_change(change: Change, verb: str) -> None:
    for path, why in sorted(change.left.items()):
        note(f"left     {path}  ({why}; outside the set from now on)")
    if change.took:
        say(f"{verb} {_assets(len(change.took))} off the disk, which frees {human_size(change.freed)}")
    if change.cancelled:
        say(f"{change.cancelled} queued jobs are not needed any more")


def _say_extent(ws: Workspace, extent: Extent) -> None:
    inside, outside = sum(extent.inside.values()), sum(extent.outside.values())
    sparse = f"; {extent.sparse} outside git's sparse checkout" if extent.sparse else ""
    if ws.working_set.is_everything:
        say(f"everything is in the working set: {_assets(len(extent.inside))}, {human_size(inside)}{sparse}")
    else:
        total = len(extent.inside) + len(extent.outside)
        say(f"the working set holds {len(extent.inside)} of {_assets(total)}, {human_size(inside)} of {human_size(inside + outside)}{sparse}")


def _document(ws: Workspace, extent: Extent) -> dict:
    selectors = ws.working_set.selectors
    return {
        "everything": selectors is None,
        "selectors": [
            {"adds": each.adds, "kind": each.kind, "values": list(each.values), "assets": len(each.found) if each.kind == "uses" else None}
            for each in selectors or ()
        ],
        "inside": {"assets": len(extent.inside), "bytes": sum(extent.inside.values())},
        "outside": {"assets": len(extent.outside), "bytes": sum(extent.outside.values()), "on_disk": sorted(extent.strays)},
        "sparse": extent.sparse,
    }


def _outcome(change: Change, report: SyncReport | None, queued: int) -> dict:
    failed: dict[str, RegenError] = dict(change.failed) | (syncing.errors_of(report) if report else {})
    return {
        "took": sorted(change.took),
        "freed": change.freed,
        "left": change.left,
        "brought": len(report.done) + sum(each.ok for each in report.made) if report else 0,
        "queued": queued,
        "failed": {path: error.what for path, error in failed.items()},
    }


def _assets(count: int) -> str:
    return "1 asset" if count == 1 else f"{count} assets"


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(sorted(paths)[:_SHOWN]) + more
