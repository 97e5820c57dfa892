"""Opening a file to look into it, and the limits of what is decoded."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

MAX_PIXELS = 64 << 20  # of one picture: a 16K plate is over it, an 8K one well under
MAX_ANIMATION_PIXELS = 1 << 30  # of all frames together, one in memory at a time
MAX_DECODED_BYTES = 512 << 20
MAX_PICTURE_BYTES = 512 << 20  # of the file
MAX_SOUND_SECONDS = 3600.0
MAX_SOUND_CHANNELS = 64

# A pipe or a device must not hold us up, and a symlink is no asset.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))


class CannotDecode(Exception):
    """Damaged, too big, or of a kind that would lose something when decoded."""


def open_media(path_abs: str) -> BinaryIO:
    """A regular file to read; OSError where it is none, CannotDecode for devices and pipes."""
    fd = os.open(path_abs, _FLAGS)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CannotDecode(f"{path_abs}: not a regular file")
    return os.fdopen(fd, "rb")


def check_size(width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise CannotDecode(f"{width} × {height} pixels")


def read_exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise CannotDecode("the file ends early")
    return data
