"""`regen-vcs check`, and what the pre-commit hook runs. The hook leaves before anything heavy where nothing of ours
is staged."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from regen_vcs.cli.main import printable
from regen_vcs.engine.in_place_paths import is_used
from regen_vcs.errors import RegenError
from regen_vcs.git.history import staged_changes
from regen_vcs.git.repo import Repo

EXIT_INVALID = 3
_MANY = 50  # problems said one by one on a commit; CI and --json get them all


def hook_main(cwd: str, environ: Mapping[str, str]) -> int:
    """The pre-commit hook: 0, or 3 where the commit is refused."""
    repo = Repo.discover(cwd, environ, keep_index=True)
    if not _concerns_us(repo):
        return 0
    from regen_vcs.engine.check import check_staged
    from regen_vcs.engine.workspace import Workspace

    ws = Workspace.open(cwd, environ)
    try:
        keep_edited(ws)
        report = check_staged(ws, repo)
    finally:
        ws.close()
    errors = [each for each in report.problems if each.severity == "error"]
    print_problems(report.problems[:_MANY], sys.stderr)
    if len(report.problems) > _MANY:
        print(f"… and {len(report.problems) - _MANY} more: regen-vcs check", file=sys.stderr)
    if errors:
        files = len({each.path for each in errors})
        print(f"regen-vcs: not committed: {files} file{'s' * (files > 1)} to mend", file=sys.stderr)
    return EXIT_INVALID if errors else 0


def keep_edited(ws) -> None:
    """What was edited goes into keep, while somebody is here to do it; no reason to refuse a commit."""
    from regen_vcs.engine.status import survey

    try:
        survey(ws)
    except (RegenError, OSError):
        return  # `status` tells; what is wrong with what is staged is said below


def _concerns_us(repo: Repo) -> bool:
    """Whether sidecars or regen.toml are staged, new files that could be media, or what may be documents in place."""
    changes = staged_changes(repo)
    for change in changes:
        if change.path.endswith(".regen.json") or change.path == "regen.toml" or change.status in "AT":
            return True
    return bool(changes) and is_used(repo.root)


def print_problems(problems: list, stream) -> None:
    for each in problems:
        where = f"{each.path}: {each.field}" if each.field else each.path
        warning = "warning: " if each.severity == "warning" else ""
        print(printable(f"{warning}{where}: {each.reason}"), file=stream)
        if each.mend:
            print(printable(f"  mend: {each.mend}"), file=stream)


def __getattr__(name: str):
    """`check_command` for the click group: its module loads click, which the hook does without."""
    if name == "check_command":
        from regen_vcs.cli.check_command import check_command

        return check_command
    raise AttributeError(name)
