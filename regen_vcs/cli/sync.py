"""`regen-vcs sync`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import MakingProgress, fail_with, note, print_json, say, waiting, workspace
from regen_vcs.engine.checkout import check_out, missing_line
from regen_vcs.engine.sync import BY_HAND
from regen_vcs.model.plan import FETCH, MATERIALISE, REGENERATE, REMOVE, RESCUE
from regen_vcs.model.quantities import human_size

_WORDS = {MATERIALISE: "brought", REMOVE: "removed", RESCUE: "rescued", FETCH: "fetched"}


@click.command("sync")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="The plan and its outcome, as JSON.")
def sync_command(dry_run: bool, as_json: bool) -> int:
    """Make the working tree's media match its sidecars.

    Brings accepted takes from the stores and regenerates those that are nowhere; never runs a pending or stale
    recipe, never replaces an edited file unless its sidecar's output has changed (and rescues it first).

    \b
    Example: regen-vcs sync --dry-run
    """
    with workspace() as ws, MakingProgress(0) as progress:
        report = check_out(ws, BY_HAND, dry_run=dry_run, making=progress, waiting=waiting)
    outcome, made = report.outcome, report.made
    failed = dict(outcome.failed) | {each.path: each.error for each in made if each.verdict == "failed"}
    if as_json:
        print_json(outcome.plan.to_json() | {
            "done": len(outcome.done),
            "made": [{"path": each.path, "verdict": each.verdict, "score": each.score} for each in made],
            "failed": {path: error.what for path, error in failed.items()},
        })
        return 0 if dry_run else fail_with(failed)
    if dry_run:
        for step in outcome.plan.steps:
            say(f"would {step.action} {step.path}" + (f"  ({step.reason})" if step.reason else ""))
        say(f"{len(outcome.plan.steps)} steps, {outcome.plan.kept} assets as they are")
        return 0
    for line in outcome.plan.notices:
        note(line)
    say(_summary(outcome, made))
    code = fail_with(failed)
    line = missing_line(outcome, made)
    if line:
        note(line)
    return code


def _summary(outcome, made: list) -> str:
    counts = {}
    for step in outcome.done:
        if step.action in _WORDS:
            counts[_WORDS[step.action]] = counts.get(_WORDS[step.action], 0) + 1
    good = [each for each in made if each.verdict != "failed"]
    if good:
        counts["regenerated"] = len(good)
    size = sum(step.size for step in outcome.done if step.action in (MATERIALISE, FETCH, REGENERATE))
    done = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing to do"
    return f"{done} ({human_size(size)})" if size else done
