"""Files that exist whole or not at all, whenever the machine dies: temp → bytes → fsync → rename → fsync folder.

A batch does the same for many files at the price of one: all temporaries, one flush of the file system, all
renames, one more flush. Hot path.
"""

from __future__ import annotations

import os
import time

from regen_vcs.errors import RegenError
from regen_vcs.platform import files

TEMP_PREFIX = "tmp-"
# A temporary whose maker cannot be asked (another machine's, or a reused process id) counts as dead after this.
STALE_SECONDS = 24 * 3600
_FEW_FOLDERS = 4  # up to here, fsync of each folder is cheaper than flushing the file system again

_HOST = "".join(c if c.isalnum() else "." for c in (os.uname().nodename if hasattr(os, "uname") else ""))[:32] or "host"


def temp_name() -> str:
    """`tmp-<host>-<pid>-<random>`."""
    return f"{TEMP_PREFIX}{_HOST}-{files.temp_tag()}"


def is_dead_temp(name: str, st: os.stat_result, now: float | None = None) -> bool:
    """Whether a temporary's maker is gone: a dead process of this machine, or a day without a change.

    The age is that of the inode (ctime): the modification time may carry a seal already.
    """
    host, _, rest = name.removeprefix(TEMP_PREFIX).partition("-")
    pid = rest.partition("-")[0]
    if host == _HOST and pid.isdigit() and not files.process_exists(int(pid)):
        return True
    return (time.time() if now is None else now) - st.st_ctime > STALE_SECONDS


def create_temp(folder: str, batch: Batch | None = None) -> tuple[int, str]:
    """(descriptor, path) of a new file in a folder, which is made if missing. OSError."""
    path = f"{folder}/{temp_name()}"
    try:
        return os.open(path, files.CREATE_FLAGS, 0o644), path
    except FileNotFoundError:
        make_folder(folder, batch)
        return os.open(path, files.CREATE_FLAGS, 0o644), path


def make_folder(folder: str, batch: Batch | None = None) -> None:
    """mkdir -p. Each new name is flushed in its parent, at once or at the end of the batch. OSError."""
    parent = os.path.dirname(folder)
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(parent, batch)
        make_folder(folder, batch)
        return
    if batch is None:
        files.fsync_dir(parent)
    else:
        batch.made_folders.add(parent)


def publish(temp: str, final: str) -> None:
    """Give a flushed temporary its name, durably. OSError."""
    files.replace(temp, final)
    files.fsync_dir(os.path.dirname(final))


def write_durably(final: str, data: bytes, mode: int = 0o444) -> None:
    """A new file with these bytes, whole or not at all. OSError; nothing is left behind by a failure."""
    fd, temp = create_temp(os.path.dirname(final))
    try:
        try:
            files.write_all(fd, data)
            if not files.WINDOWS:
                os.chmod(fd, mode)
            files.flush_file(fd)
        finally:
            os.close(fd)
        publish(temp, final)
    except BaseException:
        files.remove_file(temp)
        raise


class Batch:
    """Temporaries that wait to get their names together."""

    def __init__(self, root: str):
        self._root = root
        self._temps: dict[str, str] = {}  # final path → temporary
        self.made_folders: set[str] = set()  # folders with new folders in them, not flushed yet

    def __contains__(self, final: str) -> bool:
        return final in self._temps

    def add(self, temp: str, final: str) -> None:
        """Take over a temporary, written and closed but not flushed."""
        self._temps[final] = temp

    def publish(self) -> None:
        """Flush all bytes, give all names, flush the names. RegenError; what could not be named is removed."""
        if not self._temps:
            return
        waiting, self._temps = self._temps, {}
        folders = self.made_folders
        try:
            self._flush(waiting.values())
            for final in list(waiting):
                files.replace(waiting[final], final)
                del waiting[final]
                folders.add(os.path.dirname(final))
            self._flush_names(folders)
        except OSError as error:
            raise files.write_error(error, f"storing files in {self._root}") from error
        finally:
            for temp in waiting.values():
                files.remove_file(temp)

    def _flush(self, temps) -> None:
        if files.WINDOWS:  # no call there flushes a whole volume without administrator's rights
            for temp in temps:
                fd = os.open(temp, os.O_RDWR)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            return
        self._sync_root()

    def _flush_names(self, folders: set[str]) -> None:
        if len(folders) > _FEW_FOLDERS and not files.WINDOWS:
            self._sync_root()
            return
        for folder in folders:
            files.fsync_dir(folder)

    def _sync_root(self) -> None:
        fd = os.open(self._root, os.O_RDONLY | files.O_CLOEXEC)
        try:
            files.sync_filesystem(fd)
        finally:
            os.close(fd)


class Batching:
    """`with store.batch():`. Nested uses join the outermost one, which publishes.

    It publishes after an exception too: what was stored before it is whole, and somebody may rely on it.
    """

    def __init__(self, owner, root: str):
        self._owner, self._root = owner, root

    def __enter__(self) -> None:
        self._outermost = self._owner.pending is None
        if self._outermost:
            self._owner.pending = Batch(self._root)

    def __exit__(self, kind: object, *_: object) -> None:
        if not self._outermost:
            return
        batch, self._owner.pending = self._owner.pending, None
        try:
            batch.publish()
        except RegenError:
            if kind is None:
                raise  # else the error under way says what happened first
