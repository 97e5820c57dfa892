"""`regen-vcs doctor`."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

import click

from regen_vcs.cli.main import printable
from regen_vcs.cli.terminal import print_json, say
from regen_vcs.engine.doctor import examine
from regen_vcs.engine.finding import NOTE, OK, PROBLEM, Finding, count

_MARKS = {OK: "✓", NOTE: "!", PROBLEM: "✗"}
_PLAIN_MARKS = {OK: "ok", NOTE: "note", PROBLEM: "PROBLEM"}
_COLOURS = {OK: "32", NOTE: "33", PROBLEM: "31;1"}
_MIN_WIDTH, _MAX_WIDTH = 60, 110  # columns


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="All findings, as JSON.")
def doctor_command(as_json: bool) -> int:
    """Say what is wrong with this set-up, and how to mend it. Changes nothing.

    The exit code is 1 where there is a problem; notes alone are 0.

    \b
    Example: regen-vcs doctor
    """
    findings = examine(os.getcwd(), os.environ)
    problems = sum(each.level == PROBLEM for each in findings)
    if as_json:
        print_json({"findings": [each._asdict() for each in findings], "problems": problems})
    else:
        _print(findings)
        notes = sum(each.level == NOTE for each in findings)
        say()
        say(f"{count(problems, 'problem')}, {count(notes, 'note')}" if problems else f"no problems, {count(notes, 'note')}")
    return 1 if problems else 0


def _print(findings: list[Finding]) -> None:
    """A line a finding, its mend below it; long ones are folded on a terminal only, so that a pipe can be searched."""
    is_terminal = sys.stdout.isatty()
    colour = is_terminal and not os.environ.get("NO_COLOR")
    marks = _MARKS if is_terminal and (sys.stdout.encoding or "").lower().startswith("utf") else _PLAIN_MARKS
    mark_width = max(len(mark) for mark in marks.values())
    topic_width = max(len(each.topic) for each in findings)
    width = min(max(shutil.get_terminal_size().columns, _MIN_WIDTH), _MAX_WIDTH) if is_terminal else 0
    last = None
    for each in findings:
        mark = marks[each.level].ljust(mark_width)
        topic = (each.topic if each.topic != last or not is_terminal else "").ljust(topic_width)
        lines = _folded(each.what, width - mark_width - topic_width - 4)
        first = f"{_painted(mark, _COLOURS[each.level], colour)}  {_painted(topic, '1', colour)}  "
        indent = " " * (mark_width + topic_width + 4)
        _write(first + lines[0], *(indent + line for line in lines[1:]))
        if each.mend:
            _write(f"{indent}{_painted('mend:', '36', colour)} {printable(each.mend)}")
        last = each.topic


def _folded(text: str, width: int) -> list[str]:
    text = printable(text)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) if width > 20 else [text]


def _painted(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _write(*lines: str) -> None:
    for line in lines:
        print(line.rstrip())
