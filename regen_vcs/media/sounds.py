"""Sound through libsndfile, a block at a time: an hour of it never lies in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from regen_vcs.media.reading import MAX_SOUND_CHANNELS, MAX_SOUND_SECONDS, CannotDecode

_BLOCK_BYTES = 4 << 20
_UNKNOWN_SIZE = 0x7FFF0000
_DECODED_TO_FLOAT = frozenset({"FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"})


def open_sound(file: BinaryIO) -> soundfile.SoundFile:
    """The sound in an open file, from its start. soundfile.LibsndfileError for damage."""
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return soundfile.SoundFile(file.fileno(), closefd=False)


def check_whole(file: BinaryIO) -> None:
    """RIFF and FORM say how long they are; libsndfile takes what there is without a word."""
    file.seek(0)
    head = file.read(8)
    order = {b"RIFF": "little", b"FORM": "big"}.get(head[:4])
    said = int.from_bytes(head[4:], order) if order else 0
    # Whoever writes to a pipe says "as much as fits", or nothing.
    if said < _UNKNOWN_SIZE and said + 8 > os.fstat(file.fileno()).st_size:
        raise CannotDecode("the sound ends early")


def check_length(sound: soundfile.SoundFile) -> None:
    if sound.frames > MAX_SOUND_SECONDS * sound.samplerate or sound.channels > MAX_SOUND_CHANNELS:
        raise CannotDecode(f"{sound.frames} frames of {sound.channels} channels")


def sample_type(sound: soundfile.SoundFile) -> str:
    """The NumPy type that loses nothing: PCM of any depth fills an int32 from its top bit, in every container."""
    if sound.subtype == "DOUBLE":
        return "float64"
    return "float32" if sound.subtype in _DECODED_TO_FLOAT else "int32"


def read_blocks(sound: soundfile.SoundFile, dtype: str, frames: int | None = None) -> Iterator[np.ndarray]:
    """(n, channels) of `dtype` until the end, `frames` at a time. CannotDecode where it ends before it says so."""
    frames = frames or max(1, _BLOCK_BYTES // (sound.channels * np.dtype(dtype).itemsize))
    left = sound.frames
    while left > 0:
        block = sound.read(min(frames, left), dtype=dtype, always_2d=True)
        if not len(block):
            raise CannotDecode("the sound ends early")
        left -= len(block)
        yield block
