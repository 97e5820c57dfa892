"""`regen-vcs completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from regen_vcs.cli.terminal import say


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    """Print the completion script of a shell.

    \b
    Example: regen-vcs completion bash >> ~/.bashrc
    """
    from regen_vcs.cli.commands import regen_vcs

    completer = get_completion_class(shell)(regen_vcs, {}, "regen-vcs", "_REGEN_VCS_COMPLETE")
    say(completer.source())
    return 0
