"""Who relies on the store: a lock that keeps gc from sweeping, and leases that name what must not go.

A *writer* holds the lock shared from its first "is it there?" to the moment when something gc can see (a sidecar, a
record, a lease) refers to the object. gc takes it exclusively, for a shard at a time, and reads the leases inside.
All of it ends with the process that holds it, even by kill -9.
"""

from __future__ import annotations

import os
from _thread import allocate_lock  # what threading wraps, without its import
from collections.abc import Iterable

from regen_vcs.errors import RegenError
from regen_vcs.platform import files
from regen_vcs.platform.files import FileLock
from regen_vcs.stores import durable


class StoreLock:
    """`<root>/lock`, for `with`-statements: shared for who relies on objects, exclusive for who removes them."""

    def __init__(self, root: str):
        self._path = f"{root}/lock"

    def shared(self, timeout: float | None = None) -> _Held:
        """Rely on what the store has. `timeout` in seconds, None waits for ever; RegenError when it is over."""
        return _Held(self._path, timeout, shared=True)

    def exclusive(self, timeout: float | None = None) -> _Held:
        """Remove from the store. Waits until nobody relies on it; RegenError when `timeout` is over."""
        return _Held(self._path, timeout, shared=False)

    def works(self) -> bool:
        """Whether locks exclude one another on this file system. Where they do not (some NFS), nothing is swept."""
        probe = f"{self._path}-probe-{files.temp_tag()}"
        first, second = FileLock(probe), FileLock(probe)
        try:
            return first.acquire(timeout=0) and not second.acquire(timeout=0)
        except OSError:
            return False
        finally:
            second.release()
            first.release()
            files.remove_file(probe)


class _Held:
    """A lock for the length of a `with`."""

    def __init__(self, path: str, timeout: float | None, *, shared: bool):
        self._lock = FileLock(path)
        self._timeout, self._shared = timeout, shared

    def __enter__(self) -> FileLock:
        try:
            if self._lock.acquire(self._timeout, self._shared):
                return self._lock
        except OSError as error:
            raise files.write_error(error, f"locking {self._lock.path}") from error
        raise RegenError(f"{self._lock.path}: held by another regen-vcs", "wait for it to end, then try again")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Lease:
    """Objects this process relies on, for longer than it can hold the store's lock (a job, a transfer).

    `<root>/leases/<name>`: a line per hash. It lives as long as its maker holds the file's lock.
    """

    def __init__(self, root: str):
        self._folder = f"{root}/leases"
        self._lock: FileLock | None = None
        self._guard = allocate_lock()

    def add(self, hashes: Iterable[str]) -> None:
        """Rely on these from now on; to be called under the store's shared lock. RegenError."""
        try:
            with self._guard:
                if self._lock is None:
                    self._lock = self._make()
            fd = os.open(self._lock.path, os.O_WRONLY | os.O_APPEND | files.O_CLOEXEC)
            try:
                files.write_all(fd, "".join(f"{hash}\n" for hash in hashes).encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise files.write_error(error, f"writing a lease in {self._folder}") from error

    def release(self) -> None:
        """Rely on them no longer."""
        lock, self._lock = self._lock, None
        if lock is not None:
            files.remove_file(lock.path)
            lock.release()

    def _make(self) -> FileLock:
        durable.make_folder(self._folder)
        while True:
            lock = FileLock(f"{self._folder}/{durable.temp_name()}")
            lock.acquire(timeout=0)  # nobody else has that name
            if os.path.exists(lock.path):  # else somebody cleared it away between its making and its lock
                return lock
            lock.release()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def leased(root: str) -> set[str]:
    """The objects somebody alive relies on; leases of the dead are removed. To be called under the exclusive lock."""
    found: set[str] = set()
    folder = f"{root}/leases"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return found
    for name in names:
        path = f"{folder}/{name}"
        lock = FileLock(path)
        if lock.acquire(timeout=0):
            files.remove_file(path)
            lock.release()
            continue
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                found.update(line for line in file.read().split("\n") if len(line) == 64)
        except FileNotFoundError:
            continue  # released this moment
    return found
