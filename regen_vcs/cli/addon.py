"""`regen-vcs addon`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import say
from regen_vcs.engine.addon_package import addon_files, addon_folder, extension_zip, file_name, legacy_zip
from regen_vcs.errors import UsageError


@click.command("addon")
@click.option("--legacy", is_flag=True, help="For Blender before 4.2: an addon instead of an extension.")
@click.option("--output", metavar="FILE", help="Where to write it, a file or a folder; else the folder you are in.")
def addon_command(legacy: bool, output: str | None) -> int:
    """Write the zip of the Blender addon, to be installed from Blender's preferences.

    \b
    Example: regen-vcs addon --output ~/Downloads
    """
    files = addon_files(addon_folder())
    path = output or "."
    if os.path.isdir(path):
        path = os.path.join(path, file_name(legacy=legacy))
    _write(path, legacy_zip(files) if legacy else extension_zip(files))
    say(path)
    return 0


def _write(path: str, data: bytes) -> None:
    """Under another name first: what Blender installs is whole or not there."""
    partial = f"{path}.{os.getpid()}.part"
    try:
        with open(partial, "xb") as file:
            file.write(data)
        os.replace(partial, path)
    except OSError as error:
        if os.path.exists(partial):
            os.unlink(partial)
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}", "name another file: regen-vcs addon --output FILE") from error
