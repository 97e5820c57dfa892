"""`regen-vcs check`: the slow door to cli/check.py."""

from __future__ import annotations

import os
import shlex
import sys

import click

from regen_vcs.cli.check import EXIT_INVALID, keep_edited, print_problems
from regen_vcs.cli.terminal import chosen_by, fail_with, print_json, require_matches, say, workspace
from regen_vcs.engine.check import Report, check_index, check_range, check_staged, fix
from regen_vcs.engine.in_place import is_used, look_in_place
from regen_vcs.errors import UsageError
from regen_vcs.git.index import list_sidecars
from regen_vcs.git.repo import Repo
from regen_vcs.model.paths import SIDECAR_SUFFIX


@click.command("check")
@click.argument("words", nargs=-1, metavar="[REV..REV] [PATHS]...")
@click.option("--no-bytes", is_flag=True, help="Do not ask for the bytes of accepted outputs: for CI without a store.")
@click.option("--staged", is_flag=True, help="Only what the next commit would change: exactly what the hook will say.")
@click.option("--fix", "mends", is_flag=True, help="Rewrite sidecars that are not canonical; then git add them.")
@click.option("--json", "as_json", is_flag=True, help="All problems, as JSON.")
def check_command(words: tuple[str, ...], no_bytes: bool, staged: bool, mends: bool, as_json: bool) -> int:
    """Check sidecars as the pre-commit hook does: all in the index, or those a range of commits changes.

    Each problem is named with file, field, reason and what mends it. The exit code is 3 where there is an error;
    warnings alone are 0.

    \b
    Example: regen-vcs check --no-bytes origin/main..HEAD
    """
    rev_range, paths = _split(words)
    if staged and (words or no_bytes or mends):
        raise UsageError("--staged goes alone: the hook takes no options either", "regen-vcs check --staged")
    with workspace() as ws:
        wanted = chosen_by(ws, paths)
        if mends:
            if rev_range:
                raise UsageError("--fix mends files on disk, not history", "leave the range out")
            return _fix(ws, wanted, paths)
        if staged:
            keep_edited(ws)
            report = check_staged(ws, Repo.discover(os.getcwd(), os.environ, keep_index=True))
        elif rev_range:
            report = check_range(ws, rev_range, wanted, with_bytes=not no_bytes)
        else:
            if not no_bytes:
                keep_edited(ws)
            report = check_index(ws, wanted, with_bytes=not no_bytes)
            require_matches(paths, [True] * report.checked)
    errors = sum(each.severity == "error" for each in report.problems)
    if as_json:
        print_json(_document(report, errors))
    else:
        print_problems(report.problems, sys.stdout)
        say(_summary(report, errors))
    return EXIT_INVALID if errors else 0


def _split(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The range among the arguments, if there is one, and the paths. What exists as a path is one."""
    ranges = [word for word in words if _is_range(word)]
    if len(ranges) > 1:
        raise UsageError(f"one range at a time, not {' '.join(ranges)}", "as in: regen-vcs check main..HEAD")
    return (ranges[0] if ranges else None), tuple(word for word in words if word not in ranges)


def _is_range(word: str) -> bool:
    """`A..B`, `A...`, `..B`; not `../b.png`, nor any file that is there."""
    return ".." in word and word.strip(".") != "" and not word.startswith(("../", "./", "/")) and not os.path.lexists(word)


def _fix(ws, wanted, paths: tuple[str, ...]) -> int:
    sidecars = [e.path for e in list_sidecars(ws.repo)[0] if wanted(e.path.removesuffix(SIDECAR_SUFFIX))]
    sidecars = list(dict.fromkeys([*sidecars, *(f"{p}{SIDECAR_SUFFIX}" for p in _named(ws, paths))]))
    kept = [each.path for each in look_in_place(ws) if each.document and wanted(each.path)] if is_used(ws) else []
    sidecars += kept
    require_matches(paths, sidecars)
    fixed, failed = fix(ws, sidecars)
    for path in fixed:
        say(f"rewrote {path}")
    if fixed:
        unstaged = [path for path in fixed if path not in kept]
        if unstaged:
            say(f"now: git add {' '.join(map(shlex.quote, unstaged))}" if len(unstaged) <= 20 else "now: git add -u")
    elif not failed:
        say(f"{len(sidecars)} sidecars, all canonical on disk; what differs is staged: git add them again")
    return fail_with(failed)


def _named(ws, paths: tuple[str, ...]) -> list[str]:
    """Assets that are named themselves: their sidecars may be untracked."""
    named = (ws.asset_arg(path, os.getcwd()) for path in paths)
    return [path for path in named if os.path.isfile(f"{ws.root}/{path}{SIDECAR_SUFFIX}")]


def _document(report: Report, errors: int) -> dict:
    return {
        "checked": report.checked,
        "errors": errors,
        "warnings": len(report.problems) - errors,
        "problems": [each._asdict() for each in report.problems],
    }


def _summary(report: Report, errors: int) -> str:
    beside = report.checked - report.documents
    checked = f"{beside} sidecar{'s' * (beside != 1)}"
    if report.documents:
        checked += f" and {report.documents} document{'s' * (report.documents != 1)} in place"
    checked += " checked"
    warnings = len(report.problems) - errors
    counts = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    return f"{checked}: {', '.join(counts)}" if counts else f"{checked}: all is well"
