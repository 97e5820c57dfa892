"""`track`, `untrack`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import note, say, workspace
from regen_vcs.engine import setup
from regen_vcs.errors import UsageError


@click.command("track")
@click.argument("patterns", nargs=-1)
def track_command(patterns: tuple[str, ...]) -> int:
    """Have git ignore media of PATTERNS, for everybody who clones; sidecars stay visible.

    Not needed for assets of ours, which are ignored by themselves: it is a guard against files that have no
    sidecar yet. Without PATTERNS: lists them.

    \b
    Example: regen-vcs track 'media/**'
    """
    with workspace() as ws:
        if not patterns:
            for pattern in setup.tracked_patterns(ws):
                say(pattern)
            return 0
        for pattern in patterns:
            if setup.track(ws, pattern):
                say(f"tracking {pattern}: git add .gitignore")
            else:
                say(f"{pattern} is tracked already")
    note("note: git deletes ignored files without asking in clean -fdx and worktree remove")
    return 0


@click.command("untrack")
@click.argument("patterns", nargs=-1, required=True)
def untrack_command(patterns: tuple[str, ...]) -> int:
    """Take back a pattern given to `track`.

    \b
    Example: regen-vcs untrack 'media/**'
    """
    with workspace() as ws:
        for pattern in patterns:
            if not setup.untrack(ws, pattern):
                raise UsageError(f"{pattern} is not tracked", "see: regen-vcs track")
            say(f"no longer tracking {pattern}")
    return 0
