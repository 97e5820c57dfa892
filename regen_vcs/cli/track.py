"""`track`, `untrack`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import note, say, workspace
from regen_vcs.engine import setup
from regen_vcs.errors import UsageError


@click.command("track")
@click.argument("patterns", nargs=-1)
@click.option("--in-place", "in_place", is_flag=True, help="Keep these files' recipes in git under their own names.")
def track_command(patterns: tuple[str, ...], in_place: bool) -> int:
    """Have git ignore media of PATTERNS, for everybody who clones; sidecars stay visible.

    Not needed for assets of ours, which are ignored by themselves: it is a guard against files that have no
    sidecar yet. Without PATTERNS: lists them.

    --in-place is the second layout, for those who come from git-lfs: no sidecars; `git add sky.png` stores the
    recipe as that file's content in git, checkout turns it back into the picture.

    \b
    Example: regen-vcs track 'media/**'
             regen-vcs track --in-place '*.png'
    """
    if in_place:
        return _track_in_place(patterns)
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


def _track_in_place(patterns: tuple[str, ...]) -> int:
    with workspace() as ws:
        for pattern in patterns or ():
            if setup.track_in_place(ws, pattern):
                say(f"keeping {pattern} in place: git add .gitattributes")
            else:
                say(f"{pattern} is kept in place already")
        if not patterns:
            for pattern in setup.in_place_patterns(ws):
                say(pattern)
        else:
            note("note: files that git has already become recipes with: git add --renormalize .")
    return 0


@click.command("untrack")
@click.argument("patterns", nargs=-1, required=True)
@click.option("--in-place", "in_place", is_flag=True, help="A pattern of track --in-place.")
def untrack_command(patterns: tuple[str, ...], in_place: bool) -> int:
    """Take back a pattern given to `track`.

    \b
    Example: regen-vcs untrack 'media/**'
    """
    with workspace() as ws:
        for pattern in patterns:
            if not (setup.untrack_in_place if in_place else setup.untrack)(ws, pattern):
                raise UsageError(f"{pattern} is not tracked", "see: regen-vcs track" + (" --in-place" if in_place else ""))
            say(f"no longer tracking {pattern}")
    return 0
