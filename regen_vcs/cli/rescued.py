"""`regen-vcs rescued`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.status import printable
from regen_vcs.cli.terminal import note, print_json, say, workspace
from regen_vcs.engine.rescue import rescued_here, restore
from regen_vcs.model.quantities import human_size


@click.command("rescued")
@click.argument("what", required=False, metavar="[HASH]")
@click.option("--to", "target", metavar="FILE", help="Where to put it; by default beside the asset.")
@click.option("--all", "everywhere", is_flag=True, help="Of every repository on this machine.")
@click.option("--json", "as_json", is_flag=True)
def rescued_command(what: str | None, target: str | None, everywhere: bool, as_json: bool) -> int:
    """List edited files that gave way to others, or bring the one named by HASH (its first digits) back.

    \b
    Example: regen-vcs rescued 3fa9 --to sky-edited.png
    """
    with workspace() as ws:
        entries = rescued_here(ws, everywhere=everywhere)
        if what:
            where = restore(ws, entries, what, os.path.abspath(target) if target else None)
            say(f"brought back as {where}")
            return 0
        if as_json:
            print_json({"rescued": entries})
            return 0
        for each in entries:
            say(f"{each['hash'][:12]}  {each['at'][:19]}  {human_size(each['size']):>9}  "
                f"{printable(each['path'])}  ({each['why']})")
        if not entries:
            note("nothing was ever rescued here")
    return 0
