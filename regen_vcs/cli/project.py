"""The Python API as commands use it: opened in the current directory, which their paths are relative to."""

from __future__ import annotations

import os
from collections.abc import Callable

from regen_vcs.api.following import Progress
from regen_vcs.api.project import Project
from regen_vcs.cli.terminal import MakingProgress
from regen_vcs.model.plan import REGENERATE


def project() -> Project:
    """The project of the current directory; a context manager."""
    return Project(os.getcwd(), base=os.getcwd())


def followed_by(bars: MakingProgress) -> Callable[[Progress], None]:
    """What the bars show of the API's progress: generators that run."""

    def follow(event: Progress) -> None:
        if event.action == REGENERATE and event.result is None:
            bars(event.path, event.fraction, event.message)

    return follow
