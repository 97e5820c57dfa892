"""`regen-vcs status`: a line for every asset that is not ok, and a summary. Quick: no click on its way."""

from __future__ import annotations

import os
import sys

from regen_vcs.cli.main import json_text, one_line
from regen_vcs.engine.status import Survey, survey_all
from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.quantities import human_size

_COLOURS = {
    "ok": "32", "missing": "33", "stale": "33", "pending": "36", "proposed": "36", "modified": "31", "drifted": "35",
    "failed": "31;1", "invalid": "31;1", "skipped": "2", "orphan": "33", "unmanaged": "2", "queued": "34", "running": "34",
}
_ORDER = ("invalid", "failed", "modified", "missing", "stale", "drifted", "proposed", "pending", "running", "queued",
          "orphan", "unmanaged", "skipped", "ok")
# A screenful says more than ten thousand lines; a pipe gets them all.
_SCREENFUL = 200


def main(words: list[str]) -> int:
    ws = Workspace.open(os.getcwd(), os.environ)
    try:
        return show(ws, as_json="--json" in words, exit_code="--exit-code" in words)
    finally:
        ws.close()


def show(ws: Workspace, *, as_json: bool, exit_code: bool, wanted=None) -> int:
    """Print the state of the assets that `wanted(path)`, a `terminal.Wanted`, lets pass (all by default)."""
    found = survey_all(ws)
    statuses = [each for each in found.statuses if wanted is None or wanted(each.path)]
    if wanted is not None:
        wanted.require_some()
    if as_json:
        from regen_vcs.engine.report import status_document

        print(json_text(status_document(ws, Survey(statuses, found.snapshot))))
    else:
        _print(statuses)
    wrong = any(each.state not in ("ok", "skipped") for each in statuses)
    return 1 if exit_code and wrong else 0


def _print(statuses: list) -> None:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = [each for each in statuses if each.state not in ("ok", "skipped")]
    lines.sort(key=lambda each: (_ORDER.index(each.state), each.path))
    shown = lines[:_SCREENFUL] if sys.stdout.isatty() else lines
    out = []
    for each in shown:
        word = f"{each.state:<9}"
        if colour:
            word = f"\x1b[{_COLOURS[each.state]}m{word}\x1b[0m"
        out.append(f"{word} {printable(each.path)}" + (f"  ({one_line(each.reason)})" if each.reason else ""))
    if len(shown) < len(lines):
        out.append(f"… and {len(lines) - len(shown)} more")
    out.append(summary_line(statuses))
    print("\n".join(out))


def summary_line(statuses: list) -> str:
    """`12 assets: 9 ok, 2 missing, 1 modified (34.1 MB)`."""
    counts: dict[str, int] = {}
    for each in statuses:
        counts[each.state] = counts.get(each.state, 0) + 1
    if not statuses:
        return "no assets yet: regen-vcs generate, or regen-vcs add"
    parts = [f"{counts[state]} {state}" for state in reversed(_ORDER) if state in counts]
    noun = "asset" if len(statuses) == 1 else "assets"
    return f"{len(statuses)} {noun}: {', '.join(parts)} ({human_size(sum(each.size for each in statuses))})"


def printable(path: str) -> str:
    """A path on one line, whatever it is made of: control characters are escaped, as git does."""
    if path.isprintable():
        return path
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path) + '"'
