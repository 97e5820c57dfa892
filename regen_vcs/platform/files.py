"""File operations whose meaning or speed differs between systems: stat signatures, syncing, cloning, locks.

Hot path: nothing here imports more than the interpreter has loaded anyway. What needs `ctypes` lies in
`native.py` and is loaded on first use.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import sys
import time
from collections import namedtuple

from regen_vcs.errors import InvalidError, RegenError

WINDOWS = sys.platform == "win32"
MACOS = sys.platform == "darwin"

if WINDOWS:
    import msvcrt
else:
    import fcntl

# Flags that only some systems have; 0 changes nothing where they are missing.
O_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
O_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
O_BINARY = getattr(os, "O_BINARY", 0)
O_CLOEXEC = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))

READ_FLAGS = os.O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_BINARY
CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_BINARY

_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_COPY_CHUNK = 1 << 20
_STALE_SECONDS = 24 * 3600
# What says "this pair of file systems cannot", as against "this file cannot".
_UNSUPPORTED = frozenset(
    getattr(errno, name)
    for name in ("EOPNOTSUPP", "ENOTSUP", "ENOTTY", "ENOSYS", "EXDEV", "EINVAL", "EPERM", "EBADF", "ETXTBSY")
    if hasattr(errno, name)
)

StatSig = namedtuple("StatSig", ("size", "mtime_ns", "ctime_ns", "inode"))
StatSig.__doc__ = "What must not have moved for a file's bytes to count as unchanged: bytes, two times (ns), inode."


def sig(st: os.stat_result) -> StatSig:
    """The signature of a stat result."""
    return StatSig(st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)


def read_regular(path_abs: str, limit: int) -> bytes | None:
    """The first `limit` bytes of a regular file; None where nothing is. For files that anybody may have put there.

    InvalidError for a symlink, a folder, a pipe or a device (none is followed, none can make us wait), and for a
    file that cannot be read.
    """
    try:
        fd = os.open(path_abs, READ_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = "is a symlink" if os.path.islink(path_abs) else f"cannot be read: {error.strerror}"
        raise InvalidError(f"{path_abs}: {why}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidError(f"{path_abs}: not a regular file")
    with open(fd, "rb", buffering=0) as file:
        return file.read(limit)


# -- names of temporary files ------------------------------------------------------------------------------------

_next_number = itertools.count(1).__next__  # indivisible: threads share it
_SALT = os.urandom(4).hex()


def temp_tag() -> str:
    """`<pid>-<random>`: unique on this machine, and says whose it is."""
    return f"{os.getpid()}-{_SALT}{_next_number():x}"


def process_exists(pid: int) -> bool:
    """Whether a process of this machine has that id. Unknown (Windows, foreign user) counts as yes."""
    if WINDOWS:
        return True  # os.kill(pid, 0) would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def is_dead_tag(tag: str, modified: float) -> bool:
    """Whether a temporary file with this `temp_tag` was left by a dead process, or has lain untouched for a day."""
    pid = tag.partition("-")[0]
    if pid.isdigit() and not process_exists(int(pid)):
        return True
    return time.time() - modified > _STALE_SECONDS


# -- writing -----------------------------------------------------------------------------------------------------


def write_all(fd: int, data) -> None:
    """Write every byte of a bytes-like object; OSError as the system gives it (ENOSPC, …)."""
    written = os.write(fd, data)
    if written < len(data):
        view = memoryview(data)
        while written < len(data):
            written += os.write(fd, view[written:])


def flush_file(fd: int) -> None:
    """The file's bytes and metadata reach the disk, not only the drive's cache (macOS asks for that apart)."""
    if MACOS:
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
        except OSError:
            pass  # network volumes know no such request
    os.fsync(fd)


def start_writeback(fd: int, start: int, length: int) -> None:
    """Ask that a written range goes to the disk now, in the background, so that a later fsync waits for less."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, start, length, os.POSIX_FADV_DONTNEED)  # on Linux this begins by writing what is dirty


def fsync_dir(path: str) -> None:
    """The names in a folder reach the disk. Nothing to do on Windows, which has no such call."""
    if WINDOWS:
        return
    fd = os.open(path, os.O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EROFS):  # some FUSE file systems refuse it
            raise
    finally:
        os.close(fd)


def sync_filesystem(fd: int) -> None:
    """Everything written so far to the file system of `fd` reaches the disk: one call for any number of files."""
    if WINDOWS:
        return  # no such call: callers there flush file by file
    if sys.platform == "linux":
        from regen_vcs.platform import native  # ctypes costs milliseconds that most commands need not pay

        if native.syncfs(fd):
            return
    os.sync()


def write_atomic(path: str, data: bytes, *, mode: int = 0o644, durable: bool = False) -> None:
    """Replace a file's content as a whole: another process sees the old bytes or the new, never a mixture.

    durable: survive a power cut too (fsync of file and folder). The folder must exist. OSError.
    """
    temp = f"{path}.{temp_tag()}.tmp"
    try:
        fd = os.open(temp, CREATE_FLAGS, mode)
        try:
            write_all(fd, data)
            if durable:
                flush_file(fd)
        finally:
            os.close(fd)
        replace(temp, path)
    except BaseException:
        remove_file(temp)
        raise
    if durable:
        fsync_dir(os.path.dirname(path) or ".")


def sweep_atomic_temps(folder: str) -> None:
    """Remove what killed writers of `write_atomic` left in a folder."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".tmp")]
    except OSError:
        return
    for name in names:
        path = f"{folder}/{name}"
        try:
            if is_dead_tag(name.removesuffix(".tmp").rpartition(".")[2], os.lstat(path).st_mtime):
                remove_file(path)
        except OSError:
            continue  # gone by itself


def remove_file(path: str) -> bool:
    """Unlink, also where Windows would not because the file is read-only. False when it could not be."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        if not WINDOWS:
            return False
        try:
            os.chmod(path, stat.S_IWRITE)
            os.unlink(path)
        except OSError:
            return False
    except OSError:
        return False
    return True


def replace(src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Rename over. On Windows tried for two seconds while a program (Blender, a scanner) holds the file."""
    if not WINDOWS:
        os.replace(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        return
    delay = 0.01
    for _ in range(8):  # 0.01 + 0.02 + … + 1.28 s
        try:
            os.replace(src, dst)
            return
        except PermissionError:
            _make_writable(dst)
            time.sleep(delay)
            delay *= 2
    os.replace(src, dst)


def _make_writable(path: str) -> None:
    """Windows refuses to rename over a read-only file."""
    try:
        os.chmod(path, stat.S_IWRITE)
    except OSError:
        pass


# -- copying -----------------------------------------------------------------------------------------------------


def clone_file(src_fd: int, dst_fd: int) -> bool:
    """Make dst share src's blocks, copy on write. False where the file systems cannot (then nothing was done).

    Real failures (ENOSPC, EIO) are raised as OSError.
    """
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(dst_fd, _FICLONE, src_fd)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def clone_new(src_fd: int, dst_dir_fd: int, name: str) -> bool:
    """The macOS form of a clone: it makes the new file itself, so there must be none of that name."""
    if not MACOS:
        return False
    from regen_vcs.platform import native

    return native.clone_new(src_fd, dst_dir_fd, name)


def copy_range(src_fd: int, dst_fd: int, size: int) -> int:
    """Copy `size` bytes from the start of src to dst's position, in the kernel where it can.

    Returns the bytes copied: fewer than `size` only if src ended early.
    """
    done = 0
    if hasattr(os, "copy_file_range"):
        try:
            while done < size:
                step = os.copy_file_range(src_fd, dst_fd, size - done)
                if step == 0:
                    break
                done += step
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    return done if done == size else done + _copy_by_hand(src_fd, dst_fd, size - done)


def _copy_by_hand(src_fd: int, dst_fd: int, size: int) -> int:
    done = 0
    while done < size:
        chunk = os.read(src_fd, min(_COPY_CHUNK, size - done))
        if not chunk:
            break
        write_all(dst_fd, chunk)
        done += len(chunk)
    return done


# -- what went wrong, for people -----------------------------------------------------------------------------------

_FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name))


def write_error(error: OSError, doing: str, hint: str | None = None) -> RegenError:
    """The RegenError for a failed write. `doing`: "storing sky.png"; `hint` is for a full disk."""
    if error.errno in _FULL:
        words = "no space left on device" if error.errno == errno.ENOSPC else "disk quota exceeded"
        return RegenError(f"{words} while {doing}", hint or "free some space and run the command again")
    if error.errno == errno.EROFS:
        return RegenError(f"read-only file system while {doing}", "mount it writable, or choose another folder")
    if error.errno in (errno.EACCES, errno.EPERM):
        return RegenError(f"permission denied while {doing}", "give yourself write access to the folder")
    return RegenError(f"{error.strerror or error} while {doing}")


# -- locks ---------------------------------------------------------------------------------------------------------


class FileLock:
    """An advisory lock on a file that is made if missing and never removed. Ends with the process, even by kill -9.

    One object is one holder: it is not re-entrant, and two objects in one process exclude each other too.
    """

    def __init__(self, path: str):
        self.path = path
        self._fd: int | None = None
        self._slot = 0

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self, timeout: float | None = None, shared: bool = False) -> bool:
        """Wait up to `timeout` seconds (None: for ever, 0: not at all); whether it is held now.

        A shared lock excludes exclusive ones only. OSError where the file system knows no locks.
        """
        if self._fd is not None:
            raise RuntimeError(f"{self.path}: already held by this FileLock")
        fd = self._open()
        try:
            if self._wait(fd, timeout, shared):
                self._fd, fd = fd, None
                return True
            return False
        finally:
            if fd is not None:
                os.close(fd)

    def release(self) -> None:
        """Let go; nothing happens if it is not held."""
        fd, self._fd = self._fd, None
        if fd is not None:
            if WINDOWS:
                _windows_unlock(fd, self._slot)
            os.close(fd)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | O_CLOEXEC | O_BINARY
        try:
            return os.open(self.path, flags, 0o644)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            return os.open(self.path, flags, 0o644)

    def _wait(self, fd: int, timeout: float | None, shared: bool) -> bool:
        if timeout is None and not WINDOWS:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        delay = 0.002
        while not self._try(fd, shared):
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                delay = min(delay, left)
            time.sleep(delay)
            delay = min(delay * 1.5, 0.1)
        return True

    def _try(self, fd: int, shared: bool) -> bool:
        if WINDOWS:
            self._slot = _windows_lock(fd, shared)
            return self._slot >= 0
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def __enter__(self) -> FileLock:
        if self._fd is None:
            self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


_SLOTS = 64  # Windows knows exclusive ranges only: an exclusive lock takes all slots, a shared one any of them


def _windows_lock(fd: int, shared: bool) -> int:
    """The first slot taken (0 and all others for an exclusive lock), or -1."""
    for slot in range(_SLOTS) if shared else (0,):
        os.lseek(fd, slot, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1 if shared else _SLOTS)
        except OSError:
            continue
        return slot if shared else _SLOTS
    return -1


def _windows_unlock(fd: int, slot: int) -> None:
    whole = slot == _SLOTS
    os.lseek(fd, 0 if whole else slot, os.SEEK_SET)
    msvcrt.locking(fd, msvcrt.LK_UNLCK, _SLOTS if whole else 1)
