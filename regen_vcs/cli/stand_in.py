"""`regen-vcs stand-in`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import Wanted, note, print_json, say, workspace
from regen_vcs.engine.stand_ins import make_stand_ins


@click.command("stand-in")
@click.argument("paths", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Asset, file and kind of each, as JSON.")
def stand_in_command(paths: tuple[str, ...], as_json: bool) -> int:
    """Draw a stand-in for each missing asset: of its size and length, blurred from its look. Prints the files.

    They lie in the user's cache, never in the working tree.

    \b
    Example: regen-vcs stand-in shots/010
    """
    with workspace() as ws:
        wanted = Wanted(ws, paths)
        made, without = make_stand_ins(ws, wanted)
        wanted.require_some()
    if as_json:
        print_json({"stand_ins": [each._asdict() for each in made], "without": [{"path": path, "reason": why} for path, why in sorted(without.items())]})
        return 0
    for each in made:
        say(f"{each.path}  {each.file}")
    for path, why in sorted(without.items()):
        note(f"{path}: no stand-in: {why}")
    return 0
