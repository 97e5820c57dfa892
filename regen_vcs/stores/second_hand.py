"""A second hand: another thread puts objects into the worktree while the first goes on to the next asset.

Making a file keeps the kernel busy for longer than it takes Python to say which, and Python lets go of its lock
meanwhile. Loaded only where many files are to be made.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue

from regen_vcs.errors import RegenError
from regen_vcs.platform.files import StatSig
from regen_vcs.platform.tree import Tree
from regen_vcs.stores import links

# Beyond so many that wait, the first hand makes the file itself: both stay busy, and neither runs far ahead.
_BACKLOG = 4


class SecondHand:
    """Places objects in a worktree, one after another, on a thread of its own.

    root_abs: of the worktree; link: as in `links.place`. Between `give` and `finish` nobody else may touch the paths.
    """

    def __init__(self, root_abs: str, link: str):
        self._root, self._link = root_abs, link
        self._todo: SimpleQueue = SimpleQueue()
        self._results: list[tuple[object, StatSig | Exception]] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def is_free(self) -> bool:
        return self._todo.qsize() < _BACKLOG

    def give(self, ticket: object, source_abs: str, path: str) -> None:
        """Put the object at `source_abs` at `path`; `finish` gives the ticket back with what came of it."""
        self._todo.put((ticket, source_abs, path))

    def finish(self) -> list[tuple[object, StatSig | Exception]]:
        """Wait until all is done: (ticket, the new file's signature or the error), in the order given."""
        self._todo.put(None)
        self._thread.join()
        return self._results

    def _work(self) -> None:
        with Tree(self._root) as tree:  # a tree holds one directory open: each hand has its own
            while (job := self._todo.get()) is not None:
                ticket, source_abs, path = job
                try:
                    outcome = links.place(source_abs, tree, path, link=self._link)
                except (RegenError, OSError) as error:
                    outcome = error
                self._results.append((ticket, outcome))
