"""Relying on objects: how who is about to refer to an object, and gc, keep out of each other's way.

A *writer* relies on objects from its first "is it there?" to the moment when something that gc reads (a sidecar, git's
index, a record with a lease) refers to them. Meanwhile it holds `<keep>/v1/lock` shared. gc removes only while it holds that
lock alone, so it never removes anything under a writer's hands. Between two such moments of gc writers come and go, and
what they referred to is younger than gc's look at the repositories. So while a gc is at work, writers also note what
they rely on, in `<keep>/v1/gc/relied`: gc reads it each time it has the lock. A writer that comes while no gc is at work pays
for a lock and one look for that file. Hot path.

    <keep>/v1/lock         shared: who relies; alone: who removes
    <keep>/v1/gc/lock      held by the gc at work, from its first look to its end
    <keep>/v1/gc/relied    a line per object that somebody relied on since that gc began
"""

from __future__ import annotations

import os
from _thread import allocate_lock  # what threading wraps, without its import
from collections.abc import Iterator
from contextlib import contextmanager

from regen_vcs.errors import RegenError
from regen_vcs.platform import files
from regen_vcs.platform.files import FileLock
from regen_vcs.stores.locks import StoreLock, leased

_APPEND = os.O_WRONLY | os.O_APPEND | files.O_CLOEXEC | files.O_BINARY


class Reliance:
    """A writer's side, for `with`: any number of times and in any thread of a process, which holds one lock for all."""

    def __init__(self, root: str):
        self._root = root
        self._lock = FileLock(f"{root}/lock")
        self._guard = allocate_lock()
        self._count = 0
        self._log: int | None = None
        self._noted: set[str] = set()

    def __enter__(self) -> Reliance:
        with self._guard:
            if self._count == 0:
                self._begin()
            self._count += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._count -= 1
            if self._count == 0:
                self._end()

    @property
    def is_noting(self) -> bool:
        """Whether a gc is at work, and wants to know what is relied on."""
        return self._log is not None

    def note(self, hash: str) -> None:
        """This object is relied on. RegenError where a gc is at work and cannot be told."""
        if self._log is None or hash in self._noted:
            return
        try:
            files.write_all(self._log, f"{hash}\n".encode())
        except OSError as error:
            raise files.write_error(error, f"telling the gc at work in {self._root} what is in use") from error
        self._noted.add(hash)

    def _begin(self) -> None:
        try:
            self._lock.acquire(None, shared=True)
        except OSError:
            return  # a store that cannot be written, or without locks: no gc removes from it either
        path = f"{self._root}/gc/relied"
        if os.path.exists(path) and _is_held(f"{self._root}/gc/lock"):
            try:
                self._log = os.open(path, _APPEND)
            except OSError as error:
                self._lock.release()
                raise files.write_error(error, f"telling the gc at work in {self._root} what is in use") from error

    def _end(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            os.close(log)
        self._noted.clear()
        self._lock.release()


def _is_held(path: str) -> bool:
    lock = FileLock(path)
    try:
        if not lock.acquire(timeout=0, shared=True):
            return True
    except OSError:
        return True  # it cannot be asked: then it is taken for at work
    lock.release()
    return False


class Gate:
    """gc's side. Open it, look at the repositories, then remove in turns of `closed`, each of a fraction of a second."""

    def __init__(self, root: str):
        self._root = root
        self._own = FileLock(f"{root}/gc/lock")
        self._relied_path = f"{root}/gc/relied"
        self._relied: set[str] = set()
        self._read = 0

    def open(self, patience: float = 60.0) -> None:
        """Be the gc at work: from now on writers note what they rely on, and those before have ended.

        RegenError where another gc is at work, or writers are busy for longer than `patience` seconds.
        """
        try:
            # Writers look at this lock for an instant: not at the first try only.
            if not self._own.acquire(timeout=0.5):
                raise RegenError("another gc is at work in this store", "wait for it to end, then try again")
        except OSError as error:
            raise files.write_error(error, f"locking {self._own.path}") from error
        try:
            with StoreLock(self._root).exclusive(patience):
                files.write_atomic(self._relied_path, b"")
        except OSError as error:
            self._own.release()
            raise files.write_error(error, f"writing {self._relied_path}") from error
        except BaseException:
            self._own.release()
            raise

    @contextmanager
    def closed(self, patience: float = 60.0) -> Iterator[set[str]]:
        """Nobody relies on anything now but, from before, on what is yielded. RegenError after `patience` seconds."""
        with StoreLock(self._root).exclusive(patience):
            self._read_news()
            yield self._relied | leased(self._root)

    def _read_news(self) -> None:
        with open(self._relied_path, "rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        self._relied.update(whole.decode("ascii", "replace").split())

    def finish(self) -> None:
        """No longer the gc at work."""
        if self._own.held:
            files.remove_file(self._relied_path)
            self._own.release()

    def __enter__(self) -> Gate:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()


__all__ = ["Gate", "Reliance"]
