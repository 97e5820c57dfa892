"""What runs after git changed the working tree."""

from __future__ import annotations

import time
from collections.abc import Mapping

from regen_vcs.engine.checkout import check_out, missing_line, warning_line
from regen_vcs.engine.sync import HOOK, SEQUENCER_HOOK
from regen_vcs.engine.workspace import Workspace
from regen_vcs.git.index import note_seen
from regen_vcs.platform.files import process_exists


def after_git(name: str, args: list[str], cwd: str, environ: Mapping[str, str]) -> list[str]:
    """Sync after a hook; the lines to tell the user (none where all is well)."""
    if environ.get("REGEN_ACTIVE") or environ.get("_PRE_COMMIT_SKIP_POST_CHECKOUT"):
        return []
    began_ns = time.time_ns()
    ws = Workspace.open(cwd, environ)
    complained = True
    try:
        # While git replays commits, each step gets what the stores have and nothing is made.
        trigger = SEQUENCER_HOOK if ws.repo.in_sequence() else HOOK
        report = check_out(ws, trigger)
        complained = bool(report.outcome.plan.notices) or bool(report.unreachable)
    finally:
        if complained:
            _say_it_once(ws, began_ns)
        ws.close()
    lines = [*report.outcome.plan.notices, *map(warning_line, report.unreachable)]
    line = missing_line(report.outcome, report.made, report.queued)
    if line:
        lines.append(line)
    return lines + [_made_line(each) for each in report.made if each.verdict == "drifted"]


def _say_it_once(ws: Workspace, began_ns: int) -> None:
    """The same git command has more hooks to come: they need not find out, and say, the same again."""
    try:
        note_seen(ws.repo, began_ns)
    except OSError:
        pass  # a full or read-only disk: then it is said twice


def wait_for_exit(args: list[str]) -> None:
    """Wait until the git process that is named is gone, at most ten seconds."""
    pid = int(args[0]) if args and args[0].isdigit() else 0
    deadline = time.monotonic() + 10.0
    while pid > 1 and process_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _made_line(made) -> str:
    score = "" if made.score is None else f" (score {made.score:.3f})"
    return f"{made.path}: regenerated, but not the accepted result{score}; see: regen-vcs status"
