"""What the user asked for, at work: the part of `state.Session` that changes something. Nothing here knows Blender."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from .bridge import Bridge, RegenError, git_argv
from .jobs import Job, Jobs


class Deed:
    """Something the user asked for that is at work. paths: the assets it concerns, empty for all. git: git does it, and is not broken off half way."""

    def __init__(self, title: str, paths: Sequence[str], *, git: bool = False):
        self.title, self.paths, self.git = title, tuple(paths), git
        self.job: Job | None = None
        self.line = ""


class Deeds:
    """Of a session: what is at work for the user, and how it ends. Errors become notices."""

    blend: str
    root: str | None
    bridge: Bridge | None
    jobs: Jobs
    deeds: list[Deed]
    note: Callable[..., None]
    refresh: Callable[[], None]
    refresh_trust: Callable[[], None]

    def do(
        self, title: str, *args: str, paths: Sequence[str] = (), then: Callable[[Any], None] | None = None,
        otherwise: Callable[[RegenError], None] | None = None, as_json: bool = False, stdin: bytes | None = None, git: bool = False,
    ) -> Deed | None:  # fmt: skip
        """Run `regen-vcs ARGS` (or `git ARGS`) for the user; afterwards everything is looked at again.

        otherwise: is given the error instead of the notice. None where there is nothing to run it with.
        """
        if self.bridge is None:
            self.note("ERROR", "regen-vcs is not installed", "name it in the addon's preferences")
            return None
        try:
            argv = git_argv(self.bridge.environ, *args) if git else self.bridge.json_argv(*args) if as_json else self.bridge.argv(*args)
        except RegenError as error:
            self.note("ERROR", error.what, error.hint)
            return None
        deed = Deed(title, paths, git=git)

        def finish(value: Any) -> None:
            self._end(deed)
            if then:
                then(value)

        def fail(error: RegenError) -> None:
            self._end(deed)
            self._take_failure(title, error, otherwise)

        def hear(line: str) -> None:
            deed.line = line[:200]

        self.deeds.append(deed)
        deed.job = self.jobs.start(
            title, argv, cwd=self.root or os.path.dirname(self.blend) or None, environ=self.bridge.environ, on_line=None if as_json else hear,
            on_done=finish, on_error=fail, as_json=as_json, stdin=stdin,
        )  # fmt: skip
        return deed

    def _end(self, deed: Deed) -> None:
        self.deeds.remove(deed)
        self.refresh()

    def _take_failure(self, title: str, error: RegenError, otherwise: Callable[[RegenError], None] | None) -> None:
        if error.kind == "not-trusted":
            self.refresh_trust()
        if error.kind == "cancelled":
            self.note("INFO", f"{title}: cancelled")
        elif otherwise:
            otherwise(error)
        else:
            self.note("ERROR", error.what, error.hint)

    def cancel(self, deed: Deed | None = None) -> int:
        """Cancel one deed, or all; how many."""
        chosen = [deed] if deed else list(self.deeds)
        for each in chosen:
            if each.job is not None:
                self.jobs.cancel(each.job)
        return len(chosen)
