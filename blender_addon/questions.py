"""Questions to regen-vcs and git that a session asks of its own accord, each in a slot: one at a time of each kind. Knows no Blender."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .bridge import Bridge, RegenError, git_argv
from .jobs import Job, Jobs

_log = logging.getLogger(__name__)

Heard = Callable[[Any], None]
Failed = Callable[[RegenError], None]


def note_quietly(error: RegenError) -> None:
    """What becomes of an error that nobody waits for."""
    _log.debug("%s (%s)", error.what, error.kind)


class Questions:
    """Of one opened file. bridge: None where there is no regen-vcs, root: None where there is no project; nothing is asked then."""

    def __init__(self, jobs: Jobs, bridge: Bridge | None = None, root: str | None = None):
        self._jobs, self._bridge, self._root = jobs, bridge, root
        self._asked: dict[str, Job] = {}
        self._again: set[str] = set()
        self._left = False

    def leave(self) -> None:
        """Another file is open: what was asked is answered about what was then, and nobody hears it."""
        self._left = True

    def is_asking(self, slot: str) -> bool:
        return slot in self._asked

    def start(
        self, slot: str, title: str, argv: Sequence[str], on_done: Heard, on_error: Failed, *,
        as_json: bool = False, at_root: bool = True, stdin: bytes | None = None,
    ) -> None:  # fmt: skip
        """Run a command in a slot that is free."""

        def end(answer: Callable[[Any], None], value: Any) -> None:
            if not self._left:
                del self._asked[slot]
                answer(value)

        self._asked[slot] = self._jobs.start(
            title, argv, cwd=self._root if at_root else None, environ=self._bridge.environ, on_done=partial(end, on_done),
            on_error=partial(end, on_error), as_json=as_json, stdin=stdin,
        )  # fmt: skip

    def ask(self, slot: str, *args: str, on_done: Heard, on_error: Failed = note_quietly, stdin: bytes | None = None) -> None:
        """`regen-vcs ARGS --json`. Where the same is being asked, it is asked once more when that was answered."""
        if self._bridge is None:
            return
        if slot in self._asked:
            self._again.add(slot)
            return

        def end(answer: Callable[[Any], None], value: Any) -> None:
            answer(value)
            if slot in self._again:
                self._again.discard(slot)
                self.ask(slot, *args, on_done=on_done, on_error=on_error, stdin=stdin)

        argv = self._bridge.json_argv(*args)
        self.start(slot, f"regen-vcs {args[0]}", argv, partial(end, on_done), partial(end, on_error), as_json=True, stdin=stdin)

    def ask_text(self, slot: str, *args: str, on_done: Callable[[str], None], on_error: Failed, as_json: bool = False) -> None:
        """`regen-vcs ARGS`, its stdout as it is, or read as JSON; nothing where the same is being asked."""
        if self._bridge is not None and slot not in self._asked:
            self.start(slot, f"regen-vcs {args[0]}", self._bridge.argv(*args), on_done, on_error, as_json=as_json)

    def ask_git(self, slot: str, *args: str, on_done: Callable[[str], None], on_error: Failed = note_quietly) -> None:
        """`git ARGS`, its stdout as it is; nothing where the same is being asked, or there is no project, or no git."""
        if self._root is None or self._bridge is None or slot in self._asked:
            return
        try:
            argv = git_argv(self._bridge.environ, *args)
        except RegenError:
            return
        self.start(slot, f"git {args[0]}", argv, on_done, on_error)
