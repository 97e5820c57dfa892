"""`regen-vcs worker`."""

from __future__ import annotations

import os

import click

from regen_vcs.api.results import Result
from regen_vcs.cli.making import line_of, say_failure
from regen_vcs.cli.terminal import MakingProgress, end_as_interrupted, note, say, workspace
from regen_vcs.engine.serving import IDLE_SECONDS, serve
from regen_vcs.errors import Interrupted


@click.command("worker")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="How many at once; by default as `jobs` is set.")
@click.option("--keep", is_flag=True, help="Stay when the queue is empty, and wait for more.")
@click.option("--fill", is_flag=True, help="Then bring what the working set misses; always with --keep.")
@click.option("--background", is_flag=True, hidden=True, help="As checkouts start it: at most one, at low priority.")
def worker_command(jobs: int | None, keep: bool, fill: bool, background: bool) -> int:
    """Make what is queued, until nothing is left.

    Several at once, also on several machines with one repository on a shared disk, divide the queue among them. A
    worker never changes a recipe: what comes out differently is shown as `drifted` or `proposed`.

    \b
    Example: regen-vcs worker --keep --jobs 2
    """
    end_as_interrupted()
    if background and hasattr(os, "nice"):
        os.nice(10)
    try:
        return _work(jobs, keep, fill, background)
    except KeyboardInterrupt:
        raise Interrupted("told to stop; what was running is queued again") from None


def _work(jobs: int | None, keep: bool, fill: bool, background: bool) -> int:
    failed = count = 0
    with workspace() as ws, MakingProgress(0) as progress:
        idle = None if keep else IDLE_SECONDS if background else 0.0
        works = serve(
            ws, slots=jobs or ws.settings.get("jobs"), background=background, idle=idle, budget=ws.settings.get("budget"),
            fills=fill or keep or background, progress=progress,
        )
        for made in works:
            count += 1
            progress.finished(made.path)
            if made.verdict == "failed":
                failed += 1
                say_failure(made.error)
            else:
                progress.say(line_of(Result.of(made)))
    if not count and not background:
        say("nothing to do")
    elif failed:
        note(f"{failed} of {count} failed; see: regen-vcs queue")
    return 1 if failed else 0
