"""`regen-vcs regenerate`."""

from __future__ import annotations

import click

from regen_vcs.cli.making import run_making
from regen_vcs.cli.terminal import chosen_by, require_matches, say, workspace
from regen_vcs.engine.status import survey

_MISSING = frozenset({"missing"})
_STALE = frozenset({"stale", "pending", "failed"})


@click.command("regenerate")
@click.argument("paths", nargs=-1)
@click.option("--missing", is_flag=True, help="What is accepted but not on disk.")
@click.option("--stale", is_flag=True, help="What is stale, pending or failed.")
@click.option("--all", "everything", is_flag=True, help="Everything that has a generator, even if nothing changed.")
@click.option("--with-dependents", is_flag=True, help="And what is made from these.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="How many at once.")
def regenerate_command(paths, missing, stale, everything, with_dependents, jobs) -> int:
    """Run generators: for PATHS, or for what is missing, stale, pending or failed.

    An asset named on the command line is made again even if nothing changed; another result than the accepted
    one is shown as `drifted`, never accepted silently. One failure does not stop the rest.

    \b
    Example: regen-vcs regenerate --missing --jobs 2
    """
    with workspace() as ws:
        found = survey(ws)
        wanted = chosen_by(ws, paths)
        states = (_MISSING if missing else frozenset()) | (_STALE if stale else frozenset())
        if not states and not paths:
            states = _MISSING | _STALE
        chosen = [each for each in found.statuses if each.generator and wanted(each.path) and each.state != "invalid"]
        require_matches(paths, chosen)
        if states and not everything:
            chosen = [each for each in chosen if each.state in states]
        names = [each.path for each in chosen]
        if with_dependents:
            names = with_dependants(found.snapshot, names)
        if not names:
            say("nothing to do")
            return 0
        return run_making(ws, names, force=everything or (bool(paths) and not states), workers=jobs)


def with_dependants(snapshot, names: list[str]) -> list[str]:
    """These and everything that is made from them, directly or not."""
    from regen_vcs.engine.graph import dependants_of

    return list(dict.fromkeys([*names, *dependants_of(snapshot, names)]))
