"""The samples of an EXR file through OpenEXR, and what its binding gets wrong set right.

For damaged pixels `OpenEXR.File` raises nothing: it prints a warning on Python's standard output, where a program may
be reading JSON, and leaves the part out. So what it returns is held against the header, and its words are dropped.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import OpenEXR

from regen_vcs.media.exr_header import Part
from regen_vcs.media.reading import CannotDecode


def read_channels(path_abs: str, parts: Sequence[Part]) -> list[dict[str, np.ndarray]]:
    """For each part of the header {channel: (height, width) of half, float or unsigned}, little-endian.

    CannotDecode where something the header names is not there; whatever OpenEXR raises for damage.
    """
    if any(part.kind.startswith("deep") for part in parts):
        raise CannotDecode("deep pixels")
    with _silence():
        decoded = OpenEXR.File(path_abs, separate_channels=True).parts
    if len(decoded) != len(parts):
        raise CannotDecode("a part is damaged")
    return [_checked(part, found.channels) for part, found in zip(parts, decoded, strict=True)]


def _checked(part: Part, found: dict) -> dict[str, np.ndarray]:
    if {channel.name for channel in part.channels} != set(found):
        raise CannotDecode("a channel is damaged")
    channels = {}
    for channel in part.channels:
        samples = found[channel.name].pixels
        expected = len(range(0, part.height, channel.y_step)), len(range(0, part.width, channel.x_step))
        if samples.shape != expected or samples.dtype.kind not in "fu" or samples.itemsize != channel.sample_bytes:
            raise CannotDecode("a channel is damaged")
        channels[channel.name] = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    return channels


# -- standard output ---------------------------------------------------------------------------------------------

_lock = threading.Lock()
_silent_threads: set[int] = set()


class _Filter:
    """Standard output without the words of the threads that decode; everybody else's go through."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() in _silent_threads else self._stream.write(text)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop what this thread prints. The first thread in puts the filter up, the last one out takes it down."""
    me = threading.get_ident()
    with _lock:
        if not _silent_threads:
            sys.stdout = _Filter(sys.stdout)
        _silent_threads.add(me)
    try:
        yield
    finally:
        with _lock:
            _silent_threads.discard(me)
            if not _silent_threads and isinstance(sys.stdout, _Filter):
                sys.stdout = sys.stdout._stream
