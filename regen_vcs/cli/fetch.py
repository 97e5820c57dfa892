"""`regen-vcs fetch`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import Wanted, asset_paths, fail_with, note, say, workspace
from regen_vcs.engine.fetching import fetch


@click.command("fetch")
@click.argument("paths", nargs=-1)
@click.option("--force", "-f", is_flag=True, help="Also over edited files; they are rescued first.")
def fetch_command(paths: tuple[str, ...], force: bool) -> int:
    """Bring the accepted takes back from the stores: what is missing, drifted or only proposed.

    Runs no generator.

    \b
    Example: regen-vcs fetch shots/010/sky.png
    """
    with workspace() as ws:
        wanted = Wanted(ws, paths)
        named = asset_paths(ws, paths)
        # What a folder or the whole worktree holds besides is `status`' to tell.
        results = [each for each in fetch(ws, wanted, force=force) if each.verdict != "invalid" or each.path in named]
        wanted.require_some()
    for each in results:
        if each.verdict == "fetched":
            say(f"fetched  {each.path}")
        elif each.verdict == "edited":
            note(f"edited   {each.path}  (left alone; --force brings the accepted take and rescues yours)")
    if not results:
        say("nothing to fetch")
    return fail_with({each.path: each.error for each in results if each.error})
