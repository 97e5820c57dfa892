"""`status` with paths: the slow door to cli/status.py."""

from __future__ import annotations

import click

from regen_vcs.cli import status
from regen_vcs.cli.terminal import Wanted, workspace


@click.command("status")
@click.argument("paths", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Every asset, as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything is not ok.")
def status_command(paths: tuple[str, ...], as_json: bool, exit_code: bool) -> int:
    """Show every asset that is not as its recipe says, and a summary.

    PATHS are assets, sidecars, folders or globs.

    \b
    Example: regen-vcs status shots/010
    """
    with workspace() as ws:
        return status.show(ws, as_json=as_json, exit_code=exit_code, wanted=Wanted(ws, paths))
