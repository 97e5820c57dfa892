"""What commands share on the terminal: opening the workspace, progress, choosing assets, saying failures."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from regen_vcs.cli.main import json_text, one_line, printable
from regen_vcs.engine import choosing
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError, worst_exit_code


@contextmanager
def workspace(**overrides: Any) -> Iterator[Workspace]:
    """The workspace of the current directory, closed at the end whatever happens."""
    ws = Workspace.open(os.getcwd(), os.environ, overrides)
    try:
        yield ws
    finally:
        ws.close()


def say(text: str = "") -> None:
    print(printable(text))


def note(text: str) -> None:
    """A remark that is not the command's result: to stderr, so that a pipe gets results only."""
    print(printable(text), file=sys.stderr)


def print_json(document: Any) -> None:
    print(json_text(document))


def waiting() -> None:
    note("another regen-vcs is at work in this worktree; waiting for it (^C to leave)")


def end_as_interrupted() -> None:
    """From now on SIGTERM is as ^C: no error of a job's or of a sync's, which somebody would take for its end."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def asset_paths(ws: Workspace, arguments: Iterable[str]) -> list[str]:
    return [ws.asset_arg(each, os.getcwd()) for each in arguments]


def chosen_by(ws: Workspace, arguments: Iterable[str]) -> Callable[[str], bool]:
    """A test for asset paths: named themselves, below a named folder, or matched by a glob (a git pathspec)."""
    return choosing.chosen_by(ws, arguments, os.getcwd())


class Wanted:
    """A test for asset paths as of `chosen_by`, that notices arguments which match nothing at all."""

    def __init__(self, ws: Workspace, arguments: tuple[str, ...]):
        self._arguments = arguments
        self._test = chosen_by(ws, arguments)
        self._found = False

    def __call__(self, path: str) -> bool:
        matches = self._test(path)
        self._found = self._found or matches
        return matches

    def require_some(self) -> None:
        """UsageError where nothing matched, and it is no folder or file without assets either."""
        if not self._found and not all(os.path.lexists(each) for each in self._arguments):
            require_matches(self._arguments, [])


def require_matches(arguments: tuple[str, ...], found: list) -> None:
    if arguments and not found:
        raise UsageError(f"no asset matches {' '.join(arguments)}", "see: regen-vcs status")


def fail_with(errors: dict[str, RegenError]) -> int:
    """Say each failure; the exit code of them all."""
    for error in errors.values():
        note(f"error: {one_line(error.what)}")
        if error.hint:
            note(f"  hint: {one_line(error.hint)}")
    return worst_exit_code([error.exit_code for error in errors.values()])


def _tail(path: str, width: int = 40) -> str:
    """The end of a long path, which tells assets of one folder apart."""
    return path if len(path) <= width else "…" + path[1 - width :]


class MakingProgress:
    """Follows several generators at once: one bar in all and one for each that runs; nothing in a pipe."""

    def __init__(self, total: int):
        self._total = total
        self._bars: dict[str, Any] = {}
        self._progress = None

    def __enter__(self) -> MakingProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                # Names are a repository's: no markup in them.
                TextColumn("{task.description}", markup=False), BarColumn(complete_style="cyan"),
                TextColumn("{task.fields[done]}", justify="right"), TimeRemainingColumn(),
                console=Console(stderr=True), transient=True,
            )
            self._progress.start()
            self._all = self._progress.add_task("in all", total=self._total, done=f"0 of {self._total}")
            self._finished = 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def __call__(self, path: str, fraction: float, message: str = "") -> None:
        """Called from worker threads."""
        if not self._progress:
            return
        if path not in self._bars:
            self._bars[path] = self._progress.add_task(_tail(printable(path)), total=1.0, done="")
        self._progress.update(self._bars[path], completed=fraction, done=f"{fraction:.0%}")

    def finished(self, path: str) -> None:
        if not self._progress:
            return
        bar = self._bars.pop(path, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._finished += 1
        self._progress.update(self._all, completed=self._finished, done=f"{self._finished} of {self._total}")

    def expect(self, total: int, left: str) -> None:
        """How many there are in all by now, and in words how long they will take."""
        if self._progress:
            self._progress.update(self._all, total=total, description=left, done=f"{self._finished} of {total}")

    def say(self, text: str, *, lead: str = "") -> None:
        """Print a result line above the bars. lead: words of our own before it, with their colours."""
        if self._progress and sys.stdout.isatty():
            from rich.text import Text

            self._progress.console.print(Text.from_ansi(lead) + Text(printable(text)), highlight=False, soft_wrap=True)
        else:
            print(lead + printable(text))
