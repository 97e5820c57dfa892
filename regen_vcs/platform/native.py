"""Calls of the C library that Python does not offer. Loaded only when one of them is needed: ctypes costs ~5 ms."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None
_UNSUPPORTED = (errno.ENOTSUP, errno.EXDEV, errno.EINVAL, errno.ENOSYS)


def syncfs(fd: int) -> bool:
    """Flush the file system that holds `fd`. False where the C library has no such call; OSError if it failed."""
    if not hasattr(_libc, "syncfs"):
        return False
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            return False
        raise OSError(number, os.strerror(number))
    return True


def clone_new(src_fd: int, dst_dir_fd: int, name: str) -> bool:
    """macOS fclonefileat(2): a new file that shares src's blocks. False where the volume cannot."""
    if not hasattr(_libc, "fclonefileat"):
        return False
    if _libc.fclonefileat(src_fd, dst_dir_fd, os.fsencode(name), 0) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))
