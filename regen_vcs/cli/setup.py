"""`init`, `install`, `uninstall`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import MakingProgress, fail_with, note, say, waiting, workspace
from regen_vcs.cli.transfer_progress import TransferProgress
from regen_vcs.engine import setup
from regen_vcs.engine.checkout import check_out, missing_line, warning_line
from regen_vcs.engine.sync import BY_HAND
from regen_vcs.errors import UsageError

_DESTROYED = (
    "git itself deletes ignored files without asking in: clean -fdx, worktree remove, a switch to history that "
    "tracks the same path, cone-mode sparse-checkout. What was edited since the last sync is lost then."
)


@click.command("init")
def init_command() -> int:
    """Set up this repository, and bring its media. Safe to repeat.

    Writes .gitattributes and regen.toml, installs git hooks (chaining those that exist), sets the merge and diff
    drivers, and syncs. `regen-vcs uninstall` takes it all back.

    \b
    Example: regen-vcs init
    """
    with workspace() as ws, MakingProgress(0) as progress, TransferProgress("fetching") as transfer:
        done = setup.init(ws)
        report = check_out(ws, BY_HAND, making=progress, waiting=waiting, fetching=transfer)
    for line in done.actions:
        say(line)
    if not done.actions:
        say("set up already")
    for line in done.warnings:
        note(f"warning: {line}")
    for snippet in done.snippets:
        note(f"  add to {snippet.file}:  {snippet.line}")
    brought = len(report.outcome.done) + len([each for each in report.made if each.verdict != "failed"])
    if brought:
        say(f"brought {brought} assets")
    if "set up already" not in done.actions and done.actions:
        note(f"note: {_DESTROYED}")
    line = missing_line(report.outcome, report.made)
    for error in report.unreachable:
        note(warning_line(error))
    if line:
        note(line)
    fail_with(report.outcome.failed)
    return 0


@click.command("install")
@click.option("--global", "everywhere", is_flag=True, help="For every repository of this user.")
def install_command(everywhere: bool) -> int:
    """Set git's drivers for every repository of this user, so that a fresh clone's media come by themselves.

    \b
    Example: regen-vcs install --global
    """
    if not everywhere:
        raise UsageError("install: wants --global", "for this repository only: regen-vcs init")
    for line in setup.install_global(os.getcwd(), os.environ):
        say(line)
    return 0


@click.command("uninstall")
@click.option("--global", "everywhere", is_flag=True, help="What install --global did.")
def uninstall_command(everywhere: bool) -> int:
    """Take back what init (or install --global) did, leaving every file as it was.

    Sidecars, media and the stores stay.

    \b
    Example: regen-vcs uninstall
    """
    if everywhere:
        for line in setup.uninstall_global(os.getcwd(), os.environ):
            say(line)
        return 0
    with workspace() as ws:
        done = setup.uninstall(ws)
    for line in done.actions:
        say(line)
    for line in done.warnings:
        note(f"warning: {line}")
    return 0
