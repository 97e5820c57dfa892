"""`regen-vcs generate`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.making import run_making
from regen_vcs.cli.terminal import say, workspace
from regen_vcs.engine.compose import Composer, check_new_asset, record_sidecar, refuse_cycle
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import UsageError

_FILE_LIMIT = 1 << 20


@click.command("generate")
@click.argument("asset")
@click.option("--generator", "-g", required=True, metavar="G", help='A built-in, or "command:NAME" of regen.toml.')
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
            path, generator, param_texts(params), pairs(models, "--model", "ROLE=ALIAS"),
            input_targets(ws, inputs), {"tags": sorted(tags)} if tags else {},
        )
        refuse_cycle(ws, path, recipe)
        record_sidecar(ws, path, recipe)
        if no_run:
            say(f"{path}.regen.json written; make it with: regen-vcs regenerate {asset}")
            return 0
        return run_making(ws, [path], force=False)


def pairs(words: tuple[str, ...], option: str, form: str) -> dict[str, str]:
    """{left: right} of `left=right` words; UsageError for one that is not, or is there twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {word}: wants {form}")
        if name in found:
            raise UsageError(f"{option} {name}: given twice")
        found[name] = value
    return found


def param_texts(words: tuple[str, ...]) -> dict[str, str]:
    """Parameters as text; `k=@file` is the file's text."""
    return {name: _file_text(value[1:]) if value.startswith("@") else value
            for name, value in pairs(words, "--param", "K=V").items()}


def _file_text(name: str) -> str:
    try:
        with open(name, encoding="utf-8") as file:
            text = file.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}", "to say a value that starts with @, put it in a file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not UTF-8 text") from None
    if len(text) > _FILE_LIMIT:
        raise UsageError(f"{name}: larger than 1 MiB")
    return text


def input_targets(ws: Workspace, words: tuple[str, ...]) -> dict[str, str]:
    return {name: value if value.startswith("@") else ws.asset_arg(value, os.getcwd())
            for name, value in pairs(words, "--input", "NAME=PATH").items()}
