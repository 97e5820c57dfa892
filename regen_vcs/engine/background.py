"""Leaving work to the background: the queue, and one detached worker for a repository."""

from __future__ import annotations

import os
import sys

from regen_vcs.engine.workspace import Workspace
from regen_vcs.platform.files import FileLock
from regen_vcs.platform.processes import start_detached

_LOG_LIMIT = 1 << 20


def leave_to_worker(ws: Workspace, paths: list[str]) -> int:
    """Queue what a checkout misses, and see to it that somebody works on it; how many jobs there are. RegenError."""
    from regen_vcs.engine.making import enqueue

    count = enqueue(ws, paths, by_user=False)
    if count:
        start_worker(ws)
    return count


def start_worker(ws: Workspace) -> bool:
    """Start the repository's worker, unless it has one; whether it was started.

    It is in a session of its own and has none of our descriptors, so that whoever waits for us to end does not wait
    for it; and none of git's variables, which are about the command that is under way.
    """
    folder = ws.repo.shared_dir
    lock = FileLock(os.path.join(folder, "worker.lock"))
    if not lock.acquire(timeout=0):
        return False
    lock.release()
    start_alone(ws, ["worker", "--background"], os.path.join(folder, "worker.log"))
    return True


def start_alone(ws: Workspace, command: list[str], log_path: str) -> None:
    """Start one of our commands in the worktree, in a session of its own; what it prints goes to the end of a file. OSError."""
    env = {name: value for name, value in ws.environ.items() if not name.startswith("GIT_") and name != "REGEN_ACTIVE"}
    log = os.open(log_path, _log_flags(log_path), 0o644)
    try:
        start_detached([sys.executable, "-I", _entry(), *command], cwd=ws.root, env=env, log_fd=log)
    finally:
        os.close(log)


def _entry() -> str:
    import regen_vcs

    return os.path.join(os.path.dirname(os.path.abspath(regen_vcs.__file__)), "__main__.py")


def _log_flags(log_path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        too_long = os.path.getsize(log_path) > _LOG_LIMIT
    except OSError:
        too_long = False
    return flags | os.O_TRUNC if too_long else flags
