"""`regen-vcs root list|add|remove`."""

from __future__ import annotations

import os
from collections import Counter

import click

from regen_vcs.cli.terminal import note, print_json, say, workspace
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.user_config import remove_root, set_root
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, UsageError


@click.group("root", invoke_without_command=True)
@click.pass_context
def root_command(context: click.Context) -> int:
    """Named roots: where inputs such as @plates/sky.exr lie on this machine. They stand in your config.toml, never in a repository.

    \b
    Example: regen-vcs root add plates /mnt/plates
    """
    return context.invoke(list_roots) if context.invoked_subcommand is None else 0


@root_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_roots(as_json: bool = False) -> int:
    """The roots that are mapped here, and those that recipes of this repository name.

    \b
    Example: regen-vcs root list
    """
    with workspace() as ws:
        mapped, named = ws.settings.roots(), _named(ws)
    rows = [
        {"name": name, "folder": mapped.get(name), "there": name in mapped and os.path.isdir(mapped[name]), "inputs": named[name]}
        for name in sorted({*mapped, *named})
    ]
    if as_json:
        print_json({"roots": rows})
        return 0
    for row in rows:
        inputs = f"  ({row['inputs']} inputs)" if row["inputs"] != 1 else "  (1 input)"
        if row["folder"] is None:
            say(f"@{row['name']}  not mapped{inputs}: regen-vcs root add {row['name']} FOLDER")
        else:
            say(f"@{row['name']}  {row['folder']}{'' if row['there'] else '  not there'}{inputs}")
    if not rows:
        say("no named roots: regen-vcs root add NAME FOLDER")
    return 0


@root_command.command("add")
@click.argument("name")
@click.argument("folder")
def add(name: str, folder: str) -> int:
    """Say that @NAME/… lies in FOLDER on this machine, for all of your repositories; over what was said before.

    \b
    Example: regen-vcs root add plates /mnt/plates
    """
    place = os.path.abspath(os.path.expanduser(folder))
    with workspace() as ws:
        new = set_root(ws.settings, name.removeprefix("@"), place)
    say(f"@{name.removeprefix('@')} is {place}" if new else f"@{name.removeprefix('@')} is {place} already")
    return 0


@root_command.command("remove")
@click.argument("name")
def remove(name: str) -> int:
    """Forget where @NAME/… lies. Nothing in its folder is touched.

    \b
    Example: regen-vcs root remove plates
    """
    with workspace() as ws:
        if not remove_root(ws.settings, name.removeprefix("@")):
            raise UsageError(f"there is no root {name}", "see: regen-vcs root")
    say(f"@{name.removeprefix('@')} is not mapped any more")
    return 0


def _named(ws: Workspace) -> Counter[str]:
    """{root: how many inputs of this repository's recipes lie below it}."""
    found: Counter[str] = Counter()
    snapshot = look_at_both(ws, paths=set())
    for desired in snapshot.assets.values():
        try:
            targets = snapshot.inputs.targets(desired).values()
        except InvalidError as error:
            note(f"warning: {error.what}")
            continue
        found.update(each[1:].partition("/")[0] for each in targets if each.startswith("@"))
    return found
