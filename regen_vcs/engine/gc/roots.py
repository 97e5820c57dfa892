"""The root set: every object that one repository refers to, from anywhere in it, and how that is kept for later.

It errs on one side only: a name too many keeps an object, a name too few would lose one. So it takes texts as they are.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping

from regen_vcs.engine.gc.names import may_name_trees, names_in
from regen_vcs.engine.queue import OPEN, Queue
from regen_vcs.engine.queue_file import has_queue
from regen_vcs.errors import RegenError
from regen_vcs.git import roots as git_roots
from regen_vcs.git.repo import Repo
from regen_vcs.git.roots import Document, Reachable, Unreadable, Worktree, sidecars_on_disk

_FORMAT = 1


class RootSet:
    """names: {hash}. trees: those of them that some text may mean as a manifest. committed: those that git itself holds.

    at: seconds since 1970 when looking began. is_whole: False where there is history that is not here.
    """

    def __init__(self, at: float | None = None):
        self.names: set[str] = set()
        self.trees: set[str] = set()
        self.committed: set[str] = set()
        self.at = time.time() if at is None else at
        self.is_whole = True

    def add(self, data: bytes, *, is_committed: bool = False, may_be_tree: bool | None = None) -> None:
        """All that a text names. may_be_tree: None looks for the words of sidecars and records."""
        found = names_in(data)
        self.names |= found
        if may_name_trees(data) if may_be_tree is None else may_be_tree:
            self.trees |= found
        if is_committed:
            self.committed |= found

    def include(self, other: RootSet) -> None:
        """What `other`, an earlier look, says counts too."""
        self.names |= other.names
        self.trees |= other.trees
        self.committed |= other.committed

    def to_bytes(self) -> bytes:
        head = json.dumps({"format": _FORMAT, "at": self.at, "is_whole": self.is_whole})
        marks = [f"{'T' if name in self.trees else '-'}{'C' if name in self.committed else '-'}{name}" for name in sorted(self.names)]
        return zlib.compress("\n".join([head, *marks]).encode(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> RootSet | None:
        """None for what is no root set."""
        try:
            head, *marks = zlib.decompress(data).decode("ascii").split("\n")
            fields = json.loads(head)
            if fields["format"] != _FORMAT:
                return None
            found = cls(float(fields["at"]))
            found.is_whole = bool(fields["is_whole"])
        except (zlib.error, ValueError, KeyError, TypeError):
            return None
        for mark in marks:
            name = mark[2:]
            if len(name) != 64:
                return None
            found.names.add(name)
            if mark[0] == "T":
                found.trees.add(name)
            if mark[1] == "C":
                found.committed.add(name)
        return found


class RepositoryRoots:
    """One repository as gc looks at it: once, and again where it has changed since.

    visit(document): told of every sidecar and document that is read. RegenError of any kind where it cannot be read.
    """

    def __init__(self, common_dir: str, main_root: str | None, environ: Mapping[str, str],
                 visit: Callable[[Document], None] | None = None):
        self.repo: Repo = git_roots.open_common(common_dir, environ)
        self.main_root = main_root
        self._visit = visit or (lambda _: None)
        self._known: set[str] = set()  # blobs
        self._fingerprint: tuple | None = None
        self.roots = RootSet()
        self.missing: list[Worktree] = []  # worktrees that are not there: what lies in them is unknown

    def look(self) -> None:
        """Read all of it into `roots`, to which earlier looks stay added.

        Disk before history, and disk again after it: what git carries from one to the other meanwhile is seen in one of them.
        """
        self._fingerprint = git_roots.fingerprint(self.repo)
        self.look_at_disk()
        reachable = Reachable(self.repo, self._known)
        for document in reachable:
            self.roots.add(document.data, is_committed=True)
            self._visit(document)
        self.roots.is_whole = self.roots.is_whole and reachable.is_whole
        self._add_queue()

    def look_at_disk(self) -> None:
        """The working trees, and what we remember of them."""
        self.missing = []
        for worktree in git_roots.worktrees(self.repo, self.main_root):
            self._add_state(f"{worktree.git_dir}/regen")
            if worktree.root is None or not os.path.lexists(f"{worktree.root}/.git"):
                if not self._is_bare(worktree):
                    self.missing.append(worktree)
                continue
            for document in sidecars_on_disk(worktree.root):
                self.roots.add(document.data)
                self._visit(document)
            self._add_in_place(worktree)

    def has_changed(self) -> bool:
        """Whether git has changed anything since the last `look` began."""
        return git_roots.fingerprint(self.repo) != self._fingerprint

    def _is_bare(self, worktree: Worktree) -> bool:
        if worktree.git_dir != self.repo.common_dir:
            return False
        return self.repo.git.result("--git-dir=.", "rev-parse", "--is-bare-repository").stdout.strip() == b"true"

    def _add_state(self, folder: str) -> None:
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise Unreadable(f"{folder}: cannot be read: {error.strerror}") from error
        for name in names:
            # Not the memo, which knows every sidecar that ever was.
            if name in ("state.json", "journal") or (name.startswith("in-place") and name.endswith(".json")):
                data = _read_whole(f"{folder}/{name}")
                if data:
                    self.roots.add(data, may_be_tree=True)

    def _add_in_place(self, worktree: Worktree) -> None:
        """Documents that lie in the place of their media: edited ones are on disk alone."""
        from regen_vcs.engine.in_place_filter import IN_PLACE, looks_like_document

        git = self.repo.git.at(worktree.root)
        if not _speaks_of_in_place(worktree.root):
            return
        for name in git.lines0("ls-files", "-z", "--cached", "--others", "--", IN_PLACE):
            path = f"{worktree.root}/{name.decode('utf-8', 'surrogateescape')}"
            try:
                if os.lstat(path).st_size > 1 << 20:
                    continue
            except OSError:
                continue
            data = _read_whole(path)
            if data and looks_like_document(data):
                self.roots.add(data)

    def _add_queue(self) -> None:
        """What jobs to be made or under way stand for, and the logs of all that are listed."""
        if not has_queue(self.repo.shared_dir):
            return
        try:
            with Queue(self.repo.shared_dir) as queue:
                jobs = queue.jobs()
        except (RegenError, sqlite3.Error, OSError) as error:
            raise Unreadable(f"{self.repo.shared_dir}: its queue cannot be read: {getattr(error, 'what', error)}") from error
        for job in jobs:
            if job.log:
                self.roots.names.add(job.log)
            if job.state in OPEN and job.take:
                self.roots.names.add(job.take)
                self.roots.trees.add(job.take)


def _speaks_of_in_place(root: str) -> bool:
    try:
        with open(f"{root}/.gitattributes", "rb") as file:
            return b"regen-inplace" in file.read(1 << 20)
    except OSError:
        return False


def _read_whole(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from error
