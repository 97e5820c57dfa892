"""`regen-vcs generate`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.making import note_linked_files, run_making
from regen_vcs.cli.terminal import say, workspace
from regen_vcs.cli.words import input_targets, pairs, param_texts
from regen_vcs.engine.compose import Composer, check_new_asset, record_sidecar, refuse_cycle
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import UsageError
from regen_vcs.generators import registry


@click.command("generate")
@click.argument("asset")
@click.option("--generator", "-g", metavar="G", help='A built-in, or "command:NAME" of regen.toml.')
@click.option("--param", "-p", "params", multiple=True, metavar="K=V", help="A parameter; K=@FILE reads it from a file.")
@click.option("--model", "-m", "models", multiple=True, metavar="ROLE=ALIAS", help="A model, by its alias in regen.toml.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="A file or another asset to work from.")
@click.option("--tag", "tags", multiple=True, help="A tag, noted in the sidecar.")
@click.option("--no-run", is_flag=True, help="Only write the sidecar.")
def generate_command(asset, generator, params, models, inputs, tags, no_run) -> int:
    """Write a recipe beside ASSET and make it.

    \b
    Example:
      regen-vcs generate shots/010/sky.png --generator texture \\
          --param kind=fbm --param width=1024 --param height=1024 --param seed=42
    """
    with workspace() as ws:
        path = ws.asset_arg(asset, os.getcwd())
        check_new_asset(ws, path)
        composer = Composer(ws)
        recipe = composer.new(
            path, generator or _default_generator(ws), param_texts(params), pairs(models, "--model", "ROLE=ALIAS"),
            input_targets(ws, inputs), {"tags": sorted(tags)} if tags else {},
        )
        refuse_cycle(ws, path, recipe)
        record_sidecar(ws, path, recipe)
        if no_run:
            note_linked_files(ws, path)
            say(f"{path}.regen.json written; make it with: regen-vcs regenerate {asset}")
            return 0
        return run_making(ws, [path], force=False)


def _default_generator(ws: Workspace) -> str:
    name = ws.settings.get("defaults.generator")
    if name is None:
        installed = ", ".join(registry.names())
        raise UsageError("generate: which generator?", f"--generator G (installed: {installed}), or [defaults] in regen.toml")
    return name
