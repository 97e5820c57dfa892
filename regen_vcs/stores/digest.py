"""BLAKE3 of files in constant memory. Hot path.

Files are read, not mapped: a mapped file that shrinks or meets a bad sector kills the process with SIGBUS, and
mapped pages count as its memory.
"""

from __future__ import annotations

import os
import stat

from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.platform.files import READ_FLAGS

SMALL = 1 << 20  # bytes: up to here a file is read whole
_THREADS_FROM = 8 << 20  # below it, waking threads costs more than they save
_CHUNK = 2 << 20  # the best measured with threads; still in the processor's cache when it is hashed


def open_regular(path_abs: str) -> int:
    """A descriptor to read; InvalidError for symlinks, devices and folders; OSError (FileNotFoundError, …)."""
    try:
        fd = os.open(path_abs, READ_FLAGS)
    except OSError:
        if os.path.islink(path_abs):
            raise InvalidError(f"{path_abs}: is a symlink") from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidError(f"{path_abs}: not a regular file")
    return fd


def hash_fd(fd: int) -> tuple[str, int]:
    """(hash, size) of a file from its start; the descriptor's position moves."""
    os.lseek(fd, 0, os.SEEK_SET)
    size = os.fstat(fd).st_size
    hasher = blake3(max_threads=blake3.AUTO if size >= _THREADS_FROM else 1)
    buffer = bytearray(min(max(size + 1, 1), _CHUNK))
    view = memoryview(buffer)
    total = 0
    with open(fd, "rb", buffering=0, closefd=False) as file:
        while count := file.readinto(buffer):
            hasher.update(view[:count])
            total += count
    return hasher.hexdigest(), total


def hash_file(path_abs: str) -> tuple[str, int]:
    """(hash, size) of a regular file. InvalidError, OSError."""
    fd = open_regular(path_abs)
    try:
        return hash_fd(fd)
    finally:
        os.close(fd)


def read_small(fd: int, size: int) -> bytes | None:
    """The whole of a file of that size in one read; None if it turns out to be longer or shorter just now."""
    data = os.read(fd, size + 1)
    return data if len(data) == size else None
