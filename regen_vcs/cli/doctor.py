"""`regen-vcs doctor`."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

import click

from regen_vcs.cli.main import printable
from regen_vcs.cli.terminal import fail_with, note, print_json, say, workspace
from regen_vcs.engine.doctor import examine
from regen_vcs.engine.finding import NOTE, OK, PROBLEM, Finding, count, some
from regen_vcs.engine.repair import Mended, mend, propose
from regen_vcs.errors import UsageError, worst_exit_code

_MARKS = {OK: "✓", NOTE: "!", PROBLEM: "✗"}
_PLAIN_MARKS = {OK: "ok", NOTE: "note", PROBLEM: "PROBLEM"}
_COLOURS = {OK: "32", NOTE: "33", PROBLEM: "31;1"}
_MIN_WIDTH, _MAX_WIDTH = 60, 110  # columns


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Mend what can be mended without a guess: inputs that moved, hooks, objects elsewhere.")
@click.option("--dry-run", "-n", is_flag=True, help="With --fix: show what would be mended.")
@click.option("--look-in", multiple=True, metavar="FOLDER", help="With --fix: where an old cache or keep may lie.")
@click.option("--json", "as_json", is_flag=True, help="All findings, as JSON.")
def doctor_command(fix: bool, dry_run: bool, look_in: tuple[str, ...], as_json: bool) -> int:
    """Say what is wrong with this set-up, and how to mend it. Changes nothing, but with --fix.

    The exit code is 1 where there is a problem; notes alone are 0.

    \b
    Example: regen-vcs doctor
    """
    if (dry_run or look_in) and not fix:
        raise UsageError("--dry-run and --look-in go with --fix", "regen-vcs doctor --fix --dry-run")
    if fix:
        return _fix(look_in, dry_run, as_json)
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


def _fix(look_in: tuple[str, ...], dry_run: bool, as_json: bool) -> int:
    """Mend, say each thing that was mended, and look again."""
    with workspace() as ws:
        proposal = propose(ws, look_in)
        mended = [Mended(each, None) for each in proposal.repairs] if dry_run else list(mend(ws, proposal.repairs))
    findings = examine(os.getcwd(), os.environ)
    problems = [each for each in findings if each.level == PROBLEM]
    failed = {str(number): each.error for number, each in enumerate(mended) if each.error}
    if as_json:
        print_json({
            "repairs": [{"topic": each.repair.topic, "what": each.repair.what, "error": each.error and each.error.what} for each in mended],
            "unsure": [each._asdict() for each in proposal.unsure], "dry_run": dry_run,
            "findings": [each._asdict() for each in findings], "problems": len(problems),
        })
        return worst_exit_code([*(each.exit_code for each in failed.values()), int(bool(problems))])
    for each in mended:
        if not each.error:
            say(f"{'would mend' if dry_run else 'mended'}  {each.repair.topic}: {each.repair.what}")
    for each in proposal.unsure:
        might = f"; it might be {some(each.candidates)}" if each.candidates else ""
        note(f"unsure  {each.asset}: inputs.{each.name}: {each.value}: {each.why}{might}")
    if not mended and not proposal.unsure:
        say("nothing to mend")
    if problems and not dry_run:
        _print(problems)
    return worst_exit_code([fail_with(failed), int(bool(problems))])


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
