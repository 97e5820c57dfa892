"""`regen-vcs add`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import asset_paths, fail_with, note, say, workspace
from regen_vcs.cli.words import input_targets, pairs, param_texts
from regen_vcs.engine.accept import accept
from regen_vcs.engine.capture import add_assets
from regen_vcs.engine.recovery import Recovery
from regen_vcs.errors import UsageError

# Names of what was recovered that one line has room for.
_SHOWN = 12


@click.command("add")
@click.argument("paths", nargs=-1, required=True)
@click.option("--as-one", is_flag=True, help="A directory as one asset, not file by file.")
@click.option("--as-source", is_flag=True, help="A generated asset's new bytes become a source asset.")
@click.option("--recover/--no-recover", default=None, help="Read the recipe out of the file: also of source assets; or never.")
@click.option("--generator", "-g", metavar="G", help="What made it, where you know.")
@click.option("--param", "-p", "params", multiple=True, metavar="K=V", help="A parameter it was made with.")
@click.option("--model", "-m", "models", multiple=True, metavar="ROLE=ALIAS", help="A model it was made with.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="What it was made from.")
def add_command(paths, as_one, as_source, recover, generator, params, models, inputs) -> int:
    """Capture existing media: their bytes go into the store, a sidecar is written beside each.

    What ComfyUI, the A1111 web UI and InvokeAI leave in their files becomes the recipe. Without that, and without
    --generator, they are source assets: nothing can make their bytes again. gc deletes neither. In a directory,
    sidecars, unchanged assets and what git tracks are passed over.

    \b
    Example: regen-vcs add plates/ && git add -A
    """
    with workspace() as ws:
        names = asset_paths(ws, paths)
        if recover and (as_source or as_one or generator):
            raise UsageError("--recover reads the recipe out of the file", "leave --as-source, --as-one and --generator away")
        if generator is None:
            if params or models or inputs:
                raise UsageError("--param, --model and --input say how it was made: they want --generator")
            recovers = bool(recover)
            return _report(
                add_assets(ws, names, as_one=as_one, as_source=as_source, recover=recover, in_place=recovers or as_source)
            )
        if len(names) != 1:
            raise UsageError("a recipe is for one asset: give one path with --generator")
        # The schema libraries: not for the common case above, thousands of source files.
        from regen_vcs.engine.compose import Composer, is_foreign, record_sidecar
        from regen_vcs.engine.recipe_changes import refuse_cycle

        path = names[0]
        results = add_assets(ws, names, as_one=True, recover=False, in_place=True)
        if results[0].action == "failed":
            return _report(results)
        composer = Composer(ws)
        compose = composer.captured if is_foreign(generator) else composer.new
        recipe = compose(
            path, generator, param_texts(params), pairs(models, "--model", "ROLE=ALIAS"), input_targets(ws, inputs), {}
        )
        refuse_cycle(ws, path, recipe)
        record_sidecar(ws, path, recipe.replace(output=None))
        accept(ws, path)
        say(f"added {path} with its recipe; these bytes are the accepted take")
        if is_foreign(generator):
            note(f"no generator {generator} is installed here: nothing can make these bytes again, and gc keeps them")
    return 0


def _report(results: list) -> int:
    counts: dict[str, int] = {}
    for each in results:
        counts[each.action] = counts.get(each.action, 0) + 1
    if len(results) <= 20:
        for each in results:
            if each.action != "failed":
                say(f"{each.action} {each.path}")
            if each.recovery:
                _say_recovery(each.recovery)
    else:
        say(", ".join(f"{count} {action}" for action, count in counts.items() if action != "failed"))
        recovered = sum(each.recovery is not None for each in results)
        if recovered:
            say(f"of {recovered} the recipe was in the file; what was not: regen-vcs show")
    if not results:
        say("nothing to add")
    return fail_with({each.path: each.error for each in results if each.error})


def _say_recovery(recovery: Recovery) -> None:
    """Two lines: what is known now, and what is not."""
    recipe = recovery.recipe
    known = [*(name for name in recipe.params if name != "graph"), *(f"models.{role}" for role in recipe.models)]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    say(f"  recipe found in the file ({recovery.label}): {', '.join(known[:_SHOWN]) or 'its graph'}{more}")
    if recovery.missing:
        say(f"  not recovered: {'; '.join(recovery.missing)}")
