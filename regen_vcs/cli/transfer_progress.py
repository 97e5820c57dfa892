"""What a transfer shows on a terminal: bytes, rate and the time that is left; nothing in a pipe."""

from __future__ import annotations

import sys
from typing import Any

from regen_vcs.engine.transfer import Meter


class TransferProgress:
    """Draws a `Meter`, for a `with`; call it with the meter as often as it changes. verb: "fetching", "pushing"."""

    def __init__(self, verb: str):
        self._verb = verb
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> TransferProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._progress = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(complete_style="cyan"),
                TextColumn("{task.fields[objects]}", justify="right"), DownloadColumn(), TransferSpeedColumn(),
                TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )
        return self

    def __call__(self, meter: Meter) -> None:
        if self._progress is None:
            return
        if self._task is None:  # not before there is something: most commands have nothing to transfer
            self._progress.start()
            self._task = self._progress.add_task(self._verb, total=meter.total, objects="")
        self._progress.update(
            self._task, completed=meter.done, total=max(meter.total, meter.done), objects=f"{meter.objects} of {meter.expected}"
        )

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._progress.stop()
