"""`regen-vcs accept`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import (
    asset_paths,
    chosen_by,
    fail_with,
    require_matches,
    say,
    workspace,
)
from regen_vcs.engine.accept import accept, accept_take
from regen_vcs.engine.named_takes import find_take, named_takes
from regen_vcs.engine.pins import is_hash
from regen_vcs.engine.status import survey
from regen_vcs.errors import InvalidError, RegenError, UsageError

_ACCEPTABLE = frozenset({"drifted", "proposed", "modified"})


@click.command("accept")
@click.argument("paths", nargs=-1, required=True)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Only what is at least so like the accepted result.")
@click.option("--expect", metavar="HASH", help="Only if the one asset still has this hash, as `status --json` says: these bytes were looked at.")
@click.option("--take", "take_name", metavar="NAME", help="This take of the one asset, whatever is on disk: v001, t2 or a hash, as `takes` says.")
@click.option("--with-recipe", is_flag=True, help="With --take: the recipe becomes that which the take was made from.")
def accept_command(paths: tuple[str, ...], min_score: float | None, expect: str | None, take_name: str | None, with_recipe: bool) -> int:
    """Make what is on disk the accepted result of its recipe, or the take that is named.

    The sidecar's output changes, so git shows it; the old take stays in the store.

    \b
    Example: regen-vcs accept shots/010 --min-score 0.98
    """
    if take_name is not None:
        if min_score is not None or expect is not None:
            raise UsageError("--take goes without --min-score and --expect: it names the bytes")
        return _accept_take(paths, take_name, with_recipe)
    if with_recipe:
        raise UsageError("--with-recipe goes with --take", "see: regen-vcs takes ASSET")
    if expect is not None and not is_hash(expect):
        raise UsageError(f"{expect}: no hash, nor the beginning of one", "see: regen-vcs status --json")
    errors: dict[str, RegenError] = {}
    with workspace() as ws:
        wanted = chosen_by(ws, paths)
        found = [each for each in survey(ws).statuses if wanted(each.path)]
        require_matches(paths, found)
        chosen = [each for each in found if each.state in _ACCEPTABLE or (expect and each.state != "invalid")]
        named = asset_paths(ws, paths)
        if expect is not None and len(found) != 1:
            raise UsageError("--expect goes with one asset")
        for each in found:
            if each.state == "invalid" and each.path in named:
                errors[each.path] = InvalidError(each.reason, "see: regen-vcs check")
        for each in chosen:
            try:
                say(f"{each.path}: {accept(ws, each.path, min_score=min_score, expect=expect and expect.removeprefix('blake3:'))}")
            except RegenError as error:
                errors[each.path] = error
        if not chosen and not errors:
            say("nothing to accept: what is on disk is what was accepted, or is missing")
    return fail_with(errors)


def _accept_take(paths: tuple[str, ...], name: str, with_recipe: bool) -> int:
    if len(paths) != 1:
        raise UsageError("--take goes with one asset")
    with workspace() as ws:
        path = ws.asset_arg(paths[0], os.getcwd())
        take = find_take(named_takes(ws, path), name)
        done, *changes = accept_take(ws, path, take, with_recipe=with_recipe)
        say(f"{path}: {take.name} {done}")
        for line in changes:
            say(f"  {line}")
    return 0
