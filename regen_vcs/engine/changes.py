"""Changes on disk: who tells of them (the system, or looking again and again), and when a burst of them is over."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

QUIET = 0.3  # seconds without a change after which a burst is over
MOST = 2.0  # seconds after its first change for which a burst may last
POLL_SECONDS = 2.0

# In place of paths: so much has changed that nobody noted what, or what it was was lost.
EVERYTHING = "*"
_MOST_PATHS = 20_000

# Of `.git` only what says that git has moved.
_GIT_NAMES = ("index", "HEAD")
_EVENTS = [
    FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileDeletedEvent, DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip
# What a system says that cannot watch any more folders, or files.
_LIMITS = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Changes(FileSystemEventHandler):
    """Gathers what is told of, from any thread, until it is taken.

    root, git_dir: absolute. Paths are relative to the root; folders end with "/"; what git has is ".git/index", ".git/HEAD".
    """

    def __init__(self, root: str, git_dir: str):
        self.root, self.git_dir = root, git_dir
        self._news = threading.Condition()
        self._paths: set[str] = set()
        self._first = self._last = 0.0

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, getattr(event, "dest_path", "")):
            name = self._name_of(os.fsdecode(path)) if path else None
            if name is not None:
                self.note(name + "/" if event.is_directory else name)

    def note(self, path: str) -> None:
        with self._news:
            self._last = time.monotonic()
            if not self._paths:
                self._first = self._last
            self._paths.add(path if len(self._paths) < _MOST_PATHS else EVERYTHING)
            self._news.notify()

    def take(self, quiet: float = 0.0) -> set[str]:
        """Wait for a change, and then until nothing more has come for QUIET, or for MOST; what has changed.

        quiet: seconds to wait in place of QUIET, if that is longer.
        """
        with self._news:
            while not self._paths:
                self._news.wait()
            while (left := min(self._last + max(QUIET, quiet), self._first + MOST) - time.monotonic()) > 0:
                self._news.wait(left)
        return self.take_more()

    def take_more(self) -> set[str]:
        """What has come since, without waiting."""
        with self._news:
            paths, self._paths = self._paths, set()
        return paths

    def _name_of(self, path: str) -> str | None:
        """The name under which a path counts; None for what is nobody's affair."""
        folder, _, base = path.rpartition(os.sep)
        if folder == self.git_dir:
            return f".git/{base}" if base in _GIT_NAMES else None
        if not path.startswith(self.root + os.sep):
            return None
        name = path[len(self.root) + 1 :].replace(os.sep, "/")
        return None if ".git" in name.split("/") else name


@contextmanager
def watching(changes: Changes, *, polling: bool, tell: Callable[[str], None]) -> Iterator[Eyes]:
    """Be told of changes while this is open. OSError where the worktree cannot be looked at at all."""
    eyes = Eyes(changes, tell)
    lost = _Lost(changes)
    logger = logging.getLogger("watchdog")
    logger.addHandler(lost)
    logger.propagate = False
    try:
        eyes.open(polling=polling)
        yield eyes
    finally:
        eyes.close()
        logger.removeHandler(lost)
        logger.propagate = True


class Eyes:
    """The observer in use: the system's, and where that cannot see everything, one that looks again and again."""

    def __init__(self, changes: Changes, tell: Callable[[str], None]):
        self._changes, self._tell = changes, tell
        self._observer: BaseObserver | None = None
        self._polling = False

    def open(self, *, polling: bool) -> None:
        if polling:
            self._poll()
            return
        try:
            self._start(Observer())
            self._probe()
        except OSError as error:
            self._fall_back(error)

    def close(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join(5.0)

    def check(self, paths: set[str]) -> None:
        """After new folders: whether the system could watch these too."""
        if self._polling or not any(path.endswith("/") for path in paths):
            return
        try:
            self._probe()
        except OSError as error:
            self._fall_back(error)

    def _start(self, observer: BaseObserver) -> None:
        self._observer = observer
        changes = self._changes
        observer.schedule(changes, changes.root, recursive=True, event_filter=_EVENTS)
        # The recursive watch may cover it (and may not: a linked worktree, or looking without the system's help).
        observer.schedule(changes, changes.git_dir, recursive=False, event_filter=_EVENTS)
        observer.start()

    def _probe(self) -> None:
        """Watch one folder more. An observer that runs out below the root leaves folders out and does not say so."""
        parent = os.path.dirname(self._changes.root)
        if parent != self._changes.root and os.access(parent, os.R_OK):
            self._observer.unschedule(self._observer.schedule(_Nobody(), parent, recursive=False, event_filter=_EVENTS))

    def _fall_back(self, error: OSError) -> None:
        if error.errno not in _LIMITS:
            raise error
        self._tell(
            "this system cannot watch that many folders (on Linux, raise fs.inotify.max_user_watches); "
            f"looking every {POLL_SECONDS:g} s instead"
        )
        self.close()
        self._poll()
        self._changes.note(EVERYTHING)  # whatever was missed meanwhile

    def _poll(self) -> None:
        self._polling = True
        self._start(PollingObserverVFS(os.lstat, _entries, polling_interval=POLL_SECONDS))


class _Nobody(FileSystemEventHandler):
    """Is told and does not care."""


def _entries(path: str | None) -> Iterator[os.DirEntry]:
    """What polling looks at: not the thousands of files in `.git`."""
    with os.scandir(path) as found:
        entries = list(found)
    return iter([entry for entry in entries if entry.name != ".git"])


class _Lost(logging.Handler):
    """An observer complains to its log alone when the system drops events: then anything may have changed."""

    def __init__(self, changes: Changes):
        super().__init__(logging.WARNING)
        self._changes = changes

    def emit(self, record: logging.LogRecord) -> None:
        self._changes.note(EVERYTHING)
