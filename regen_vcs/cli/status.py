"""`regen-vcs status`: a line for every asset that is not ok, and a summary. Quick: no click on its way."""

from __future__ import annotations

import os
import sys

from regen_vcs.cli.main import json_text, one_line
from regen_vcs.engine.quiet import Answer, answer_of, recall
from regen_vcs.git.repo import Repo
from regen_vcs.model.quantities import human_size

STATE_COLOURS = {
    "ok": "32", "missing": "33", "stale": "33", "pending": "36", "proposed": "36", "modified": "31", "drifted": "35",
    "failed": "31;1", "invalid": "31;1", "skipped": "2", "orphan": "33", "unmanaged": "2", "queued": "34", "running": "34",
}
_ORDER = ("invalid", "failed", "modified", "missing", "stale", "drifted", "proposed", "pending", "running", "queued",
          "orphan", "unmanaged", "skipped", "ok")
# A screenful says more than ten thousand lines; a pipe gets them all.
_SCREENFUL = 200


def main(words: list[str]) -> int:
    if "--json" not in words:
        known = recall(Repo.discover(os.getcwd(), os.environ), os.environ)
        if known:
            _print(known)
            return _exit_code(known, "--exit-code" in words)
    # From here on it takes what it takes: all that looks closely is loaded only now.
    from regen_vcs.engine.workspace import Workspace

    ws = Workspace.open(os.getcwd(), os.environ)
    try:
        return show(ws, as_json="--json" in words, exit_code="--exit-code" in words)
    finally:
        ws.close()


def show(ws, *, as_json: bool, exit_code: bool, wanted=None) -> int:
    """Print the state of the assets that `wanted(path)`, a `terminal.Wanted`, lets pass (all by default)."""
    from regen_vcs.engine.status import survey_all

    found = survey_all(ws)
    statuses = [each for each in found.statuses if wanted is None or wanted(each.path)]
    if wanted is not None:
        wanted.require_some()
    if as_json:
        from regen_vcs.engine.report import status_document

        print(json_text(status_document(ws, found._replace(statuses=statuses))))
    else:
        _print(answer_of(statuses))
    return _exit_code(answer_of(statuses), exit_code)


def _exit_code(answer: Answer, asked: bool) -> int:
    return 1 if asked and answer.told else 0


def _print(answer: Answer) -> None:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = sorted(answer.told, key=lambda told: (_ORDER.index(told[0]), told[1]))
    shown = lines[:_SCREENFUL] if sys.stdout.isatty() else lines
    out = []
    for state, path, reason in shown:
        word = f"{state:<9}"
        if colour:
            word = f"\x1b[{STATE_COLOURS[state]}m{word}\x1b[0m"
        out.append(f"{word} {printable(path)}" + (f"  ({one_line(reason)})" if reason else ""))
    if len(shown) < len(lines):
        out.append(f"… and {len(lines) - len(shown)} more")
    out.append(summary_line(answer))
    if "skipped" in answer.counts:
        out.append(f"{answer.counts['skipped']} skipped: outside the working set, or git's sparse checkout; see: regen-vcs workset")
    print("\n".join(out))


def summary_line(answer: Answer) -> str:
    """`12 assets: 9 ok, 2 missing, 1 modified (34.1 MB)`."""
    number = sum(answer.counts.values())
    if not number:
        return "no assets yet: regen-vcs generate, or regen-vcs add"
    parts = [f"{answer.counts[state]} {state}" for state in reversed(_ORDER) if state in answer.counts]
    noun = "asset" if number == 1 else "assets"
    return f"{number} {noun}: {', '.join(parts)} ({human_size(answer.total)})"


def printable(path: str) -> str:
    """A path on one line, whatever it is made of: control characters are escaped, as git does."""
    if path.isprintable():
        return path
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path) + '"'
