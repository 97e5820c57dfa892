"""`regen-vcs watch`."""

from __future__ import annotations

import os

import click

from regen_vcs.api.results import Result, SyncReport
from regen_vcs.cli.main import one_line
from regen_vcs.cli.making import say_failure
from regen_vcs.cli.sync import summary
from regen_vcs.cli.terminal import end_as_interrupted, note, say
from regen_vcs.engine.checkout import Report, missing_line, warning_line
from regen_vcs.engine.watch import watch
from regen_vcs.errors import Interrupted, RegenError
from regen_vcs.git.repo import Repo


@click.command("watch")
@click.option("--poll", is_flag=True, help="Look at the files every 2 s, where the system tells of no changes (network disks).")
def watch_command(poll: bool) -> int:
    """Sync whenever sidecars, regen.toml or git's index change on disk, and keep edited media safe; until ^C.

    For where no hook runs: editors, programs that write sidecars, git clients of their own. Many changes at once are one
    sync. It does what the hooks do: no sidecar is written, nothing pending or stale is run, nothing paid either.

    \b
    Example: regen-vcs watch
    """
    root = Repo.discover(os.getcwd(), os.environ).root
    end_as_interrupted()
    said = _Said()
    note(f"watching {one_line(root)}; ^C ends it")
    try:
        for report in watch(root, os.environ, polling=poll, tell=note):
            said.tell(report)
    except (KeyboardInterrupt, Interrupted):
        note("watching ended")
    return 0


class _Said:
    """One line for a sync that did something; what is still missing only when that has changed."""

    def __init__(self):
        self._missing: str | None = None

    def tell(self, report: Report | RegenError) -> None:
        if isinstance(report, RegenError):
            say_failure(report)
            return
        outcome, made = report.outcome, tuple(Result.of(each) for each in report.made)
        if outcome.done or made:
            say(summary(SyncReport(outcome.plan, tuple(outcome.done), made)))
        for line in [*outcome.plan.notices, *map(warning_line, report.unreachable)]:
            note(line)
        missing = missing_line(outcome, report.made, report.queued)
        if missing and missing != self._missing:
            note(missing)
        self._missing = missing
