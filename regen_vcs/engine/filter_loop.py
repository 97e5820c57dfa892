"""The filter's work: notes the sidecars git smudges, and at the end of the pipe syncs those assets.

By then git has written its new index and waits for us. The bytes of sidecars pass unchanged; media never do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from regen_vcs.git.filter_protocol import serve

_SUFFIX = ".regen.json"
# How long the index may stay locked after git closed our pipe, before the work is left to the next sync.
_INDEX_PATIENCE = 1.0


def main(cwd: str, environ: Mapping[str, str], stdin, stdout) -> list[str]:
    """Serve git until it closes the pipe, then sync; the lines to tell the user."""
    noted: set[str] = set()

    def on_smudge(path: str, _content: bytes) -> None:
        if path.endswith(_SUFFIX):
            noted.add(path.removesuffix(_SUFFIX))

    serve(stdin, stdout, on_smudge)
    if not noted or environ.get("REGEN_ACTIVE") or environ.get("_PRE_COMMIT_SKIP_POST_CHECKOUT"):
        return []
    return sync_noted(noted, cwd, environ)


def sync_noted(noted: set[str], cwd: str, environ: Mapping[str, str]) -> list[str]:
    # Only now: git's first answer does not wait for these imports.
    from regen_vcs.engine.checkout import check_out, missing_line, warning_line
    from regen_vcs.engine.sync import FILTER
    from regen_vcs.engine.workspace import Workspace
    from regen_vcs.git.index import forget_listing

    ws = Workspace.open(cwd, environ)
    try:
        if not index_is_free(ws.repo.git_dir):
            forget_listing(ws.repo)  # the mark: the next hook or command looks at everything
            return ["git's index is locked; what is missing comes with the next git command, or: regen-vcs sync"]
        report = check_out(ws, FILTER, paths=noted)
    finally:
        ws.close()
    line = missing_line(report.outcome, report.made, report.queued)
    warnings = map(warning_line, report.unreachable)
    return [*report.outcome.plan.notices, *warnings, *([line] if line else [])]


def index_is_free(git_dir: str) -> bool:
    """Whether git has put its new index in place, or does so within a second."""
    deadline = time.monotonic() + _INDEX_PATIENCE
    while os.path.exists(os.path.join(git_dir, "index.lock")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
