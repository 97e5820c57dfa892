"""`regen-vcs config`."""

from __future__ import annotations

import difflib

import click

from regen_vcs.cli.terminal import note, print_json, say, workspace
from regen_vcs.engine.config import Settings
from regen_vcs.errors import UsageError
from regen_vcs.model.settings import SETTINGS, format_setting


@click.command("config")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Typed values: seconds, bytes, dollars.")
def config_command(name: str | None, as_json: bool) -> int:
    """Print every setting, its value, and where that comes from; or the value of NAME alone.

    To change one: git config regen.SECTIONKEY VALUE, or your config.toml. docs/configuration.md has all of them.

    \b
    Example: regen-vcs config checkout.wait
    """
    with workspace() as ws:
        settings = ws.settings
        settings.check()
        if name is not None:
            return _show_one(settings, _known(name), as_json)
        if as_json:
            print_json(_document(settings))
            return 0
        _print(settings)
    return 0


def _known(name: str) -> str:
    """The setting's own name; it may be said as in git config (`regen.checkoutWait`). UsageError for no setting."""
    for setting in SETTINGS.values():
        if name == setting.name or name.lower() == setting.git_key.lower():
            return setting.name
    near = difflib.get_close_matches(name, SETTINGS, n=1)
    raise UsageError(f"{name} is not a setting", f"did you mean {near[0]}?" if near else "see: regen-vcs config")


def _show_one(settings: Settings, name: str, as_json: bool) -> int:
    if as_json:
        print_json({"name": name, "value": settings.get(name), "origin": settings.origin(name)})
    else:
        say(format_setting(SETTINGS[name], settings.get(name)))
    return 0


def _document(settings: Settings) -> dict:
    return {
        "settings": [{"name": name, "value": value, "origin": origin} for name, value, origin in settings.all()],
        "roots": settings.roots(),
        "user_file": settings.user_config_path,
        "unknown": [{"name": name, "origin": origin} for name, origin in settings.unknown()],
    }


def _print(settings: Settings) -> None:
    rows = [(name, format_setting(SETTINGS[name], value) or "(not set)", origin) for name, value, origin in settings.all()]
    wide = max(len(name) for name, _, _ in rows)
    middle = min(40, max(len(value) for _, value, _ in rows))
    for name, value, origin in rows:
        say(f"{name:<{wide}}  {value:<{middle}}  {origin}")
    for name, folder in sorted(settings.roots().items()):
        say(f"{'@' + name:<{wide}}  {folder:<{middle}}  roots.{name} in {settings.user_config_path}")
    for name, origin in settings.unknown():
        note(f"warning: {name}, from {origin}, is no setting of this version")
