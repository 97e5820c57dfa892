"""`regen-vcs generate`."""

from __future__ import annotations

import shlex

import click

from regen_vcs.api.results import Selection
from regen_vcs.cli.making import note_linked_files, run_making
from regen_vcs.cli.project import project
from regen_vcs.cli.terminal import say
from regen_vcs.cli.words import pairs, param_texts
from regen_vcs.engine.in_place_documents import is_in_place


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
    with project() as film:
        path = film.write_recipe(
            asset, generator, param_texts=param_texts(params), models=pairs(models, "--model", "ROLE=ALIAS"),
            inputs=pairs(inputs, "--input", "NAME=PATH"), tags=tags,
        )
        if no_run:
            note_linked_files(film.workspace, path)
            written = f"{path}: staged" if is_in_place(film.workspace, path) else f"{path}.regen.json written"
            say(f"{written}; make it with: regen-vcs regenerate {shlex.quote(asset)}")
            return 0
        return run_making(film, Selection((path,)))
