"""`regen-vcs sync`."""

from __future__ import annotations

import click

from regen_vcs.api.results import SyncReport
from regen_vcs.cli.project import followed_by, project
from regen_vcs.cli.terminal import MakingProgress, fail_with, note, print_json, say, waiting
from regen_vcs.cli.transfer_progress import TransferProgress
from regen_vcs.errors import RegenError
from regen_vcs.model.plan import FETCH, MATERIALISE, REGENERATE, REMOVE, RESCUE
from regen_vcs.model.quantities import human_size

_WORDS = {MATERIALISE: "brought", REMOVE: "removed", RESCUE: "rescued", FETCH: "fetched"}


@click.command("sync")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="The plan and its outcome, as JSON.")
def sync_command(dry_run: bool, as_json: bool) -> int:
    """Make the working tree's media match its sidecars.

    Brings accepted takes from the stores and the remotes, and regenerates those that are nowhere; never runs a pending or stale
    recipe, never replaces an edited file unless its sidecar's output has changed (and rescues it first).

    \b
    Example: regen-vcs sync --dry-run
    """
    with project() as film, MakingProgress(0) as progress, TransferProgress("fetching") as transfer:
        report = SyncReport(film.plan()) if dry_run else film.sync(
            progress=followed_by(progress), waiting=waiting, fetching=transfer
        )
    plan = report.plan
    if as_json:
        print_json(plan.to_json() | {
            "done": len(report.done),
            "made": [{"path": each.path, "verdict": each.verdict, "score": each.score} for each in report.made],
            "failed": {path: error.what for path, error in report.failed.items()},
            "unreachable": [error.what for error in report.unreachable],
        })
        return 0 if dry_run else fail_with(errors_of(report))
    if dry_run:
        for step in plan.steps:
            say(f"would {step.action} {step.path}" + (f"  ({step.reason})" if step.reason else ""))
        say(f"{len(plan.steps)} steps, {plan.kept} assets as they are")
        return 0
    for line in plan.notices:
        note(line)
    say(summary(report))
    code = fail_with(errors_of(report))
    if report.missing:
        note(report.missing)
    return code


def errors_of(report: SyncReport) -> dict[str, RegenError]:
    return dict(report.failed) | {f"remote {number}": error for number, error in enumerate(report.unreachable)}


def summary(report: SyncReport) -> str:
    counts = {}
    for step in report.done:
        if step.action in _WORDS:
            counts[_WORDS[step.action]] = counts.get(_WORDS[step.action], 0) + 1
    good = [each for each in report.made if each.ok]
    if good:
        counts["regenerated"] = len(good)
    size = sum(step.size for step in report.done if step.action in (MATERIALISE, FETCH, REGENERATE))
    done = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing to do"
    return f"{done} ({human_size(size)})" if size else done
