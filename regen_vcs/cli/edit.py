"""`set`, `mv`, `rm`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.making import note_linked_files
from regen_vcs.cli.terminal import asset_paths, note, say, workspace
from regen_vcs.cli.words import input_targets, pairs, param_texts
from regen_vcs.engine.edit import move, remove_assets, set_params
from regen_vcs.errors import UsageError


@click.command("set")
@click.argument("asset")
@click.argument("params", nargs=-1, metavar="[K=V]…")
@click.option("--unset", multiple=True, metavar="K", help="Remove a parameter, input or model.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="Set an input.")
@click.option("--model", "-m", "models", multiple=True, metavar="ROLE=ALIAS", help="Set a model.")
def set_command(asset, params, unset, inputs, models) -> int:
    """Change parameters of ASSET's recipe. The accepted output stays until you regenerate: it is stale now.

    \b
    Example: regen-vcs set sky.png seed=43 && regen-vcs regenerate sky.png
    """
    if not (params or unset or inputs or models):
        raise UsageError("set: nothing to set", "regen-vcs set ASSET seed=43")
    with workspace() as ws:
        path = ws.asset_arg(asset, os.getcwd())
        lines = set_params(
            ws, path, param_texts(params, ""), unset=list(unset), inputs=input_targets(ws, inputs),
            models=pairs(models, "--model", "ROLE=ALIAS"),
        )
        note_linked_files(ws, path)
    for line in lines:
        say(f"{path}: {line}")
    if not lines:
        say(f"{path}: no change")
    return 0


@click.command("mv")
@click.argument("source")
@click.argument("target")
def mv_command(source: str, target: str) -> int:
    """Move an asset with its sidecar, or all assets of a folder, and rewrite the recipes that use them.

    \b
    Example: regen-vcs mv sky.png shots/010/sky.png
    """
    with workspace() as ws:
        old, new = ws.asset_arg(source, os.getcwd()), ws.asset_arg(target, os.getcwd())
        if os.path.isdir(target):
            new = f"{new}/{old.rpartition('/')[2]}" if new != "." else old.rpartition("/")[2]
        moved, rewritten = move(ws, old, new)
    for before, after in moved:
        say(f"moved {before} to {after}")
    for path in rewritten:
        say(f"rewrote the inputs of {path}")
    if moved != [(old, new)] and os.path.isdir(source):
        note(f"what is no asset stays in {source}; git mv takes it along")
    return 0


@click.command("rm")
@click.argument("assets", nargs=-1, required=True)
@click.option("--force", "-f", is_flag=True, help="Even if other assets are made from it.")
def rm_command(assets: tuple[str, ...], force: bool) -> int:
    """Remove assets with their sidecars. The bytes stay in the store until gc may take them.

    \b
    Example: regen-vcs rm old.png
    """
    with workspace() as ws:
        paths = asset_paths(ws, assets)
        left = remove_assets(ws, paths, force=force)
    for path in paths:
        say(f"removed {path}")
    for path in left:
        note(f"warning: {path} is made from it, and cannot be made any more")
    return 0
