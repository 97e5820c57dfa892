"""`regen-vcs schema`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import fail_with, print_json, say
from regen_vcs.engine.schemas import EXPORT_FOLDER, Catalogue, export_schemas, sidecar_schema
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import UsageError


@click.command("schema")
@click.argument("generator", required=False)
@click.option("--sidecar", is_flag=True, help="The schema of sidecars themselves.")
@click.option("--export", is_flag=True, help=f"Write {EXPORT_FOLDER}/ for every generator in use here, so that CI "
                                             "can check params where the generator is not installed.")
@click.option("--json", "as_json", is_flag=True, help="The list as JSON; a schema is JSON anyway.")
def schema_command(generator: str | None, sidecar: bool, export: bool, as_json: bool) -> int:
    """Print the JSON Schema of GENERATOR's params. Without GENERATOR: list all generators.

    \b
    Example: regen-vcs schema texture
    """
    if (generator is not None) + sidecar + export > 1:
        raise UsageError("schema: GENERATOR, --sidecar and --export are one at a time")
    if sidecar:
        print_json(sidecar_schema())
        return 0
    ws = _workspace_if_any()
    try:
        if export:
            return _export(ws)
        catalogue = Catalogue(ws)
        if generator is not None:
            print_json(catalogue.document(generator))
        elif as_json:
            print_json({"generators": catalogue.entries()})
        else:
            _list(catalogue.entries())
    finally:
        if ws:
            ws.close()
    return 0


def _workspace_if_any() -> Workspace | None:
    """Outside a repository the installed generators can still be asked."""
    try:
        return Workspace.open(os.getcwd(), os.environ)
    except UsageError:
        return None


def _export(ws: Workspace | None) -> int:
    if ws is None:
        raise UsageError("schema --export: not inside a git repository")
    written, errors = export_schemas(ws)
    for path in written:
        say(f"wrote {path}")
    if not written and not errors:
        say("the exported schemas are current")
    return fail_with(errors)


def _list(entries: list[dict]) -> None:
    wide = max(len(each["name"]) for each in entries) if entries else 0
    for each in entries:
        about = f"not usable as it is: {each['problem']}" if each["problem"] else each["about"]
        say(f"{each['name']:<{wide}}  {'exact' if each['exact'] else '':<5}  {about}")
