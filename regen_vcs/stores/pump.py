"""Copy and hash a large file at once: one thread reads and writes, another hashes what was read.

What is hashed is the very buffer that was written, so the name is that of the stored bytes even if the source
changes meanwhile. Memory: three buffers of 1 MiB, whatever the file's size.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue

from blake3 import blake3

from regen_vcs.platform.files import start_writeback, write_all

_BUFFER = 1 << 20
_BUFFERS = 3
_WRITEBACK = 16 << 20  # bytes after which the disk is set to work while the processor goes on


def pump(src_fd: int, dst_fd: int) -> tuple[str, int]:
    """Copy src, from its start, to dst; (hash, size) of what was copied. OSError."""
    hasher = blake3()
    free: SimpleQueue = SimpleQueue()
    full: SimpleQueue = SimpleQueue()
    for _ in range(_BUFFERS):
        free.put(memoryview(bytearray(_BUFFER)))
    thread = threading.Thread(target=_hash_all, args=(hasher, full, free), daemon=True)
    thread.start()
    size = flushed = 0
    try:
        with open(src_fd, "rb", buffering=0, closefd=False) as source:
            source.seek(0)
            while True:
                buffer = free.get()
                count = source.readinto(buffer)
                if not count:
                    break
                full.put((buffer, count))
                write_all(dst_fd, buffer[:count])
                size += count
                if size - flushed >= _WRITEBACK:
                    start_writeback(dst_fd, flushed, size - flushed)
                    flushed = size
    finally:
        full.put(None)
        thread.join()
    return hasher.hexdigest(), size


def _hash_all(hasher: blake3, full: SimpleQueue, free: SimpleQueue) -> None:
    while True:
        item = full.get()
        if item is None:
            return
        buffer, count = item
        hasher.update(buffer[:count])
        free.put(buffer)
