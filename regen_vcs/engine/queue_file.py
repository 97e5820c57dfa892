"""Where the queue lies: all that commands without a job need to know of it. Hot path."""

from __future__ import annotations

import os


def queue_path(folder: str) -> str:
    """folder: `Repo.shared_dir`."""
    return f"{folder}/queue.sqlite"


def has_queue(folder: str) -> bool:
    """Whether there has ever been a job: cheaper than opening it."""
    return os.path.exists(queue_path(folder))
