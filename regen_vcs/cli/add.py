"""`regen-vcs add`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import asset_paths, fail_with, say, workspace
from regen_vcs.cli.words import input_targets, pairs, param_texts
from regen_vcs.engine.accept import accept
from regen_vcs.engine.capture import add_assets
from regen_vcs.errors import UsageError


@click.command("add")
@click.argument("paths", nargs=-1, required=True)
@click.option("--as-one", is_flag=True, help="A directory as one asset, not file by file.")
@click.option("--as-source", is_flag=True, help="A generated asset's new bytes become a source asset.")
@click.option("--generator", "-g", metavar="G", help="What made it, where you know.")
@click.option("--param", "-p", "params", multiple=True, metavar="K=V", help="A parameter it was made with.")
@click.option("--model", "-m", "models", multiple=True, metavar="ROLE=ALIAS", help="A model it was made with.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="What it was made from.")
def add_command(paths, as_one, as_source, generator, params, models, inputs) -> int:
    """Capture existing media: their bytes go into the store, a sidecar is written beside each.

    Without --generator they are source assets: nothing can make their bytes again, and gc never deletes them.
    In a directory, sidecars, unchanged assets and what git tracks are passed over.

    \b
    Example: regen-vcs add plates/ && git add -A
    """
    with workspace() as ws:
        names = asset_paths(ws, paths)
        if generator is None:
            if params or models or inputs:
                raise UsageError("--param, --model and --input say how it was made: they want --generator")
            return _report(add_assets(ws, names, as_one=as_one, as_source=as_source))
        if len(names) != 1:
            raise UsageError("a recipe is for one asset: give one path with --generator")
        # The schema libraries: not for the common case above, thousands of source files.
        from regen_vcs.engine.compose import Composer, record_sidecar, refuse_cycle

        path = names[0]
        results = add_assets(ws, names, as_one=True)
        if results[0].action == "failed":
            return _report(results)
        recipe = Composer(ws).new(
            path, generator, param_texts(params), pairs(models, "--model", "ROLE=ALIAS"), input_targets(ws, inputs), {}
        )
        refuse_cycle(ws, path, recipe)
        record_sidecar(ws, path, recipe.replace(output=None))
        accept(ws, path)
        say(f"added {path} with its recipe; these bytes are the accepted take")
    return 0


def _report(results: list) -> int:
    counts: dict[str, int] = {}
    for each in results:
        counts[each.action] = counts.get(each.action, 0) + 1
    if len(results) <= 20:
        for each in results:
            if each.action != "failed":
                say(f"{each.action} {each.path}")
    else:
        say(", ".join(f"{count} {action}" for action, count in counts.items() if action != "failed"))
    if not results:
        say("nothing to add")
    return fail_with({each.path: each.error for each in results if each.error})
