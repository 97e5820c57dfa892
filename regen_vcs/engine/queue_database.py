"""The queue's SQLite file: opened, created, and its troubles told as ours."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from regen_vcs.errors import RegenError

VERSION = 1

COLUMNS = (
    "id", "worktree", "path", "key", "generator", "grp", "priority", "downstream", "estimate", "force", "paid", "by_user", "request",
    "state", "waits", "attempts", "crashes", "not_before", "owner", "lease", "cancel", "progress", "message", "reason",
    "verdict", "take", "log", "seconds", "cost", "added", "started", "ended",
)  # fmt: skip

# cancel: bits, `STOP` and `AGAIN` of queue.py.
_SCHEMA = f"""
CREATE TABLE job (
  id INTEGER PRIMARY KEY, worktree TEXT NOT NULL, path TEXT NOT NULL, key TEXT, generator TEXT, grp TEXT NOT NULL,
  priority INTEGER NOT NULL, downstream REAL NOT NULL DEFAULT 0, estimate REAL, force INTEGER NOT NULL DEFAULT 0,
  paid INTEGER NOT NULL DEFAULT 0, by_user INTEGER NOT NULL DEFAULT 0, request TEXT, state TEXT NOT NULL, waits INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
  owner TEXT, lease REAL, cancel INTEGER NOT NULL DEFAULT 0, progress REAL NOT NULL DEFAULT 0,
  message TEXT NOT NULL DEFAULT '', reason TEXT, verdict TEXT, take TEXT, log TEXT, seconds REAL, cost REAL,
  added REAL NOT NULL, started REAL, ended REAL
);
CREATE UNIQUE INDEX one_open ON job(worktree, path) WHERE state IN ('queued', 'running', 'blocked');
CREATE INDEX ready ON job(state, waits, request, priority, grp, crashes, downstream DESC, coalesce(estimate, 1e9), id);
CREATE TABLE need (job INTEGER NOT NULL, needs INTEGER NOT NULL, PRIMARY KEY (job, needs)) WITHOUT ROWID;
CREATE INDEX needed ON need(needs);
PRAGMA user_version = {VERSION};
"""

PATIENCE = 30.0  # seconds to wait for whoever writes


def connect(path: str, patience: float = PATIENCE) -> sqlite3.Connection:
    """Open or create it. RegenError where it cannot be used: damaged, somebody else's, a newer version's."""
    try:
        db = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            # Power loss may take the last transactions, never the file: a job that runs again finds its take by its key.
            db.execute("PRAGMA synchronous=NORMAL")
            _create(db, path)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise trouble(path, error) from error
    return db


def _create(db: sqlite3.Connection, path: str) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        db.execute(f"SELECT {', '.join(COLUMNS)} FROM job, need LIMIT 0")  # a file that only says so
        return
    if version > VERSION:
        raise RegenError(f"{path}: the queue was written by a newer regen-vcs", "update regen-vcs")
    db.execute("BEGIN EXCLUSIVE")
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # nobody was quicker
            for statement in _SCHEMA.split(";\n"):
                db.execute(statement)
    except BaseException:
        roll_back(db)
        raise
    db.execute("COMMIT")


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction: all of it, or after an error nothing. Whatever happens, none is left open."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise


def roll_back(db: sqlite3.Connection) -> None:
    """Undo what is open; SQLite has done so itself where the disk is full."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def told(method: Callable) -> Callable:
    """A method of something with a `path`: what SQLite cannot do is a RegenError there."""

    @functools.wraps(method)
    def wrapped(self, *arguments, **keywords):
        try:
            return method(self, *arguments, **keywords)
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error

    return wrapped


def trouble(path: str, error: sqlite3.Error) -> RegenError:
    """What is wrong with the file, and what mends it."""
    if isinstance(error, sqlite3.OperationalError):
        text = str(error)
        if "locked" in text:
            return RegenError(f"{path}: another program holds it locked", "which one: fuser " + repr(path))
        if not text.startswith(("no such", "table ")):
            return RegenError(f"{path}: {error}", "is the disk full, or the repository read-only?")
    return RegenError(f"{path}: {error}", f"it holds nothing that cannot be asked for again: rm {path!r}*")
