"""Which assets somebody means: paths, folders and globs; and which of them a regeneration is about."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable

from regen_vcs.engine.status import Status
from regen_vcs.engine.workspace import Workspace

MISSING_STATES = frozenset({"missing"})
STALE_STATES = frozenset({"stale", "pending", "failed"})
SKIPPED_STATES = frozenset({"skipped"})  # outside the working set: missing only to whoever names them


def chosen_by(ws: Workspace, arguments: Iterable[str], cwd: str) -> Callable[[str], bool]:
    """A test for repository paths: named themselves, below a named folder, or matched by a glob (a git pathspec).

    arguments: relative to `cwd`, or absolute. None at all: everything. UsageError for one outside the repository.
    """
    plain: list[str] = []
    globs: list[str] = []
    for argument in arguments:
        (globs if is_glob(argument, cwd) else plain).append(ws.asset_arg(argument, cwd))
    if not plain and not globs:
        return lambda path: True
    # git's own wildcards: `*` crosses folders.
    patterns = [re.compile(fnmatch.translate(each)) for each in globs]

    def wanted(path: str) -> bool:
        if any(each in (".", path) or path.startswith(each + "/") for each in plain):
            return True
        return any(pattern.match(path) for pattern in patterns)

    return wanted


def is_glob(argument: str, cwd: str) -> bool:
    """A name with a wildcard in it, unless there is something of that very name."""
    return any(c in argument for c in "*?[") and not os.path.lexists(os.path.join(cwd, argument))


def with_recipes(statuses: Iterable[Status], wanted: Callable[[str], bool]) -> list[Status]:
    """What of the wanted could be made at all."""
    return [each for each in statuses if each.generator and wanted(each.path) and each.state != "invalid"]


def choose_to_make(
    statuses: Iterable[Status], *, missing: bool, stale: bool, everything: bool, named: bool, also: Iterable[str] = ()
) -> list[Status]:
    """Of these, what `regenerate` runs: what is missing or stale where that is said, or where nothing is.

    named: they were named one by one, so that their state does not matter. also: paths that are made in any state.
    """
    states = (MISSING_STATES if missing else frozenset()) | (STALE_STATES if stale else frozenset())
    if not states and not named:
        states = MISSING_STATES | STALE_STATES
    if named and missing:
        states |= SKIPPED_STATES
    kept = set(also)
    chosen = [
        each for each in statuses
        if everything or not states or each.state in states or each.path in kept or (missing and _failed_to_come_back(each))
    ]  # fmt: skip
    return chosen if named else [each for each in chosen if each.state not in SKIPPED_STATES]


def _failed_to_come_back(status: Status) -> bool:
    """Accepted bytes that are not on disk, where the last try to make them again failed: they are missing all the same."""
    return status.state == "failed" and status.output is not None and status.on_disk != status.output
