"""The spare pools of all worktrees: copies of what is in the stores, so the first to go for want of room."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from regen_vcs.engine.gc.census import Census
from regen_vcs.git.history import worktree_git_dirs
from regen_vcs.platform.files import FileLock
from regen_vcs.stores.links import SparePool
from regen_vcs.stores.objects import LocalStores


class Pools:
    """Those of the repositories that could be looked at. A pool that somebody is using now is left alone."""

    def __init__(self, census: Census, limit: int):
        self._limit = limit
        self._folders = [
            f"{git_dir}/regen/spare"
            for seen in census.seen
            if seen.looked is not None
            for git_dir in worktree_git_dirs(seen.looked.repo)
            if os.path.isdir(f"{git_dir}/regen/spare")
        ]

    def sizes(self) -> list[tuple[str, int]]:
        """(folder, bytes) of each that has any."""
        found = [(folder, SparePool(folder, self._limit).total_bytes) for folder in self._folders]
        return [each for each in found if each[1]]

    def empty(self, chosen: Iterable[tuple[str, int]], stores: LocalStores) -> int:
        """Empty these, oldest first; the bytes freed. What no store has goes into keep first.

        To be called by the gc at work: nobody else removes what is found here, and it need not rely on it.
        """
        freed = 0
        for folder, wanted in chosen:
            with _held(folder) as pool_is_ours:
                if pool_is_ours:
                    pool = SparePool(folder, self._limit)
                    freed += pool.evict(max(0, pool.total_bytes - wanted), stores.has, stores.ingest_file)
        return freed

    def drop(self, hashes: set[str]) -> int:
        """Delete the spares with these bytes, which nobody needs; the bytes freed."""
        freed = 0
        for folder in self._folders:
            with _held(folder) as pool_is_ours:
                if pool_is_ours:
                    freed += SparePool(folder, self._limit).drop(hashes)
        return freed


@contextmanager
def _held(folder: str) -> Iterator[bool]:
    """The lock of the worktree that a pool belongs to, if nobody has it."""
    lock = FileLock(f"{os.path.dirname(folder)}/lock")
    held = lock.acquire(timeout=0)
    try:
        yield held
    finally:
        lock.release()
