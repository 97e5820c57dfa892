"""`file://`: a folder, perhaps on a NAS, perhaps shared by several users.

A NAS that is not mounted looks like an empty folder. So only a folder with a remote's mark is one, and each thread
works below a descriptor of the very folder in which it saw the mark: what is unmounted meanwhile is never replaced
by what lies underneath. Nothing follows a symlink below that folder.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread

from regen_vcs.errors import InvalidError
from regen_vcs.platform import files
from regen_vcs.platform.tree import TEMP_PREFIX, Tree
from regen_vcs.remote.base import Refused
from regen_vcs.remote.bucket import Body, Bucket, Content, Silence, Transient
from regen_vcs.remote.layout import MARK

_CHUNK = 1 << 20
_STALE_SECONDS = 24 * 3600  # a temporary's maker may be another machine, which nobody here can ask
_AWAY = frozenset(
    getattr(errno, name)
    for name in ("ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENOTCONN", "ENODEV", "ECONNABORTED")
    if hasattr(errno, name)
)


class FolderBucket(Bucket):
    """root_abs: the folder. patience: seconds after which a network file system that does not answer counts as away."""

    def __init__(self, root_abs: str, where: str, patience: float):
        self.root = root_abs
        self._where, self._patience = where, patience
        self._trees: list[Tree] = []
        self._made: set[str] = set()  # folders known to be there, flushed in their parents
        self._answered = False

    def __del__(self):
        self.close()

    def close(self) -> None:
        while self._trees:
            self._trees.pop().close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def size(self, name: str) -> int | None:
        with self._tree() as tree:
            st = tree.stat(name)
        return st.st_size if st is not None and stat.S_ISREG(st.st_mode) else None

    def read(self, name: str, start: int = 0) -> Body | None:
        with self._tree(unmarked=name == MARK) as tree:
            try:
                fd = tree.open_read(name)
            except (FileNotFoundError, InvalidError):  # a symlink, a device or a folder is nothing of ours
                return None
        total = os.fstat(fd).st_size
        return Body(start, total, self._chunks(fd, start))

    def _chunks(self, fd: int, start: int) -> Iterator[bytes]:
        with open(fd, "rb", buffering=0) as file, self._telling("reading"):
            file.seek(start)
            while chunk := file.read(_CHUNK):
                yield chunk

    def list(self, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        with self._tree() as tree:
            if tree.stat(prefix.rstrip("/")) is None:
                return
            yield from self._below(prefix, depth)

    def _below(self, folder: str, depth: int) -> Iterator[tuple[str, int]]:
        try:
            entries = sorted(os.scandir(f"{self.root}/{folder}"), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return  # pruned meanwhile
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth:
                    yield from self._below(f"{folder}{entry.name}/", depth - 1)
            elif entry.is_file(follow_symlinks=False) and not entry.name.startswith(TEMP_PREFIX):
                try:
                    yield folder + entry.name, entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, name: str, content: Content) -> None:
        folder = name.rpartition("/")[0]
        with self._tree(unmarked=name == MARK) as tree:
            self._make_folder(tree, folder)
            fd, temp = tree.temp_in(folder)
            try:
                try:
                    for chunk in content.chunks():
                        files.write_all(fd, chunk)
                    files.flush_file(fd)
                finally:
                    os.close(fd)
                tree.commit(temp, name)
            except BaseException:
                tree.discard(temp, folder)
                raise
            self._flush_names(tree, folder)

    def _make_folder(self, tree: Tree, folder: str) -> None:
        """A folder and those above it, each name flushed in its parent."""
        if folder in self._made or not folder:
            return
        above = folder.rpartition("/")[0]
        self._make_folder(tree, above)
        new = tree.stat(folder) is None
        if not new or not tree.by_descriptor:
            self._made.add(folder)
            return
        tree.dir_fd(folder, create=True)
        self._flush_names(tree, above)
        self._made.add(folder)

    def _flush_names(self, tree: Tree, folder: str) -> None:
        if not tree.by_descriptor:
            return  # Windows has no such call
        try:
            os.fsync(tree.dir_fd(folder))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF, errno.EROFS):  # some network file systems refuse it
                raise

    def remove(self, names: Iterable[str]) -> None:
        with self._tree() as tree:
            for name in names:
                tree.unlink(name)

    def establish(self) -> None:
        with self._telling("making the folder"):
            os.makedirs(self.root, exist_ok=True)

    def sweep(self) -> None:
        now = time.time()
        with self._tree() as tree:
            for folder, _, names in os.walk(self.root):
                for name in names:
                    path = os.path.relpath(f"{folder}/{name}", self.root).replace(os.sep, "/")
                    st = tree.stat(path) if name.startswith(TEMP_PREFIX) else None
                    if st is not None and now - st.st_mtime > _STALE_SECONDS:
                        tree.unlink(path)

    # -- whether it is there -----------------------------------------------------------------------------------------

    @contextmanager
    def _tree(self, *, unmarked: bool = False) -> Iterator[Tree]:
        """A tree of its own for one operation. Transient, without another try, where the remote's folder is away.

        unmarked: the mark itself is read or written, so there need be none.
        """
        with self._telling("using it"):
            tree = self._open_tree()
            try:
                if not unmarked and tree.stat(MARK) is None:
                    raise Transient(f"{self.root} has no {MARK}: it is not mounted, or was emptied", for_seconds=0)
                yield tree
            except BaseException:
                tree.close()  # what failed may be stale
                raise
            self._trees.append(tree)

    def _open_tree(self) -> Tree:
        try:
            return self._trees.pop()
        except IndexError:
            tree = Tree(self.root)
        if not self._answered:
            _within(self._patience, lambda: os.stat(self.root))
            self._answered = True
        if tree.by_descriptor:
            tree.dir_fd("")
        return tree

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        """OSError in the words of a remote."""
        try:
            yield
        except FileNotFoundError as error:
            raise Transient(f"{self.root} is not there: not mounted?", for_seconds=0) from error
        except InvalidError as error:
            raise Refused(f"remote {self._where}: {error.what}", error.hint) from error
        except OSError as error:
            if error.errno in _AWAY:
                raise Transient(f"{self.root}: {error.strerror}", for_seconds=1) from error
            told = files.write_error(error, f"{doing}: {self.root}", "free some space there, or raise the quota")
            raise Refused(f"remote {self._where}: {told.what}", told.hint) from error


def _within(seconds: float, ask: Callable[[], object]) -> None:
    """Run a call that a dead network file system would hold for ever. Silence when it takes longer; its own OSError."""
    failures: list[OSError] = []

    def run() -> None:
        try:
            ask()
        except OSError as error:
            failures.append(error)

    # A daemon: a thread that hangs in the kernel cannot be ended, and must not hold the program's own end.
    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Silence
    if failures:
        raise failures[0]
