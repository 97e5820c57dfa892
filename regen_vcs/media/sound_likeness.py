"""How alike two sounds are: their log spectrograms, side by side; see `likeness`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from regen_vcs.media.content import hash_samples
from regen_vcs.media.sounds import check_length, open_sound, read_blocks

_HOP_SECONDS = 0.02
_WINDOW_SECONDS = 0.04
_LOWEST_HZ = 40.0
_BANDS = 96
_HOPS_A_BLOCK = 128
_FULL_SCALE = 1000.0  # before the logarithm: -60 dB counts as log 2


def sound_likeness(left_file: BinaryIO, right_file: BinaryIO) -> tuple[float, bool, bool]:
    """(likeness, identical, same rate and channels), see `Likeness`; raises for damage and length."""
    if hash_samples(left_file) == hash_samples(right_file):
        return 1.0, True, True
    with open_sound(left_file) as left, open_sound(right_file) as right:
        check_length(left)
        check_length(right)
        same_shape = left.samplerate == right.samplerate and left.channels == right.channels
        highest = min(left.samplerate, right.samplerate) / 2
        mono = left.channels != right.channels
        value = _alike(_spectrogram(left, highest, mono), _spectrogram(right, highest, mono))
        value *= _ratio(left.frames / left.samplerate, right.frames / right.samplerate)
    return value, False, same_shape


def _alike(left: np.ndarray, right: np.ndarray) -> float:
    """The cosine over the time both last, times the ratio of their levels."""
    both = min(len(left), len(right))
    left, right = left[:both].ravel(), right[:both].ravel()
    levels = [float(np.sqrt(np.dot(side, side))) for side in (left, right)]
    if not any(levels):
        return 1.0  # silence
    if not all(levels):
        return 0.0
    return float(np.dot(left, right)) / (levels[0] * levels[1]) * _ratio(*levels)


def _ratio(one: float, other: float) -> float:
    return min(one, other) / max(one, other) if max(one, other) else 1.0


def _spectrogram(sound: soundfile.SoundFile, highest: float, mono: bool) -> np.ndarray:
    """(hops, bands × channels) of float32: the logarithm of the amplitude in bands of equal musical width."""
    hop = max(1, round(sound.samplerate * _HOP_SECONDS))
    window = 1 << max(5, int(np.ceil(np.log2(sound.samplerate * _WINDOW_SECONDS))))
    shape = np.hanning(window).astype(np.float32)
    edges = _band_edges(sound.samplerate, window, highest)
    highest_bin = max(edges[-1], edges[-2] + 1)
    columns = []
    for block in _overlapping(sound, hop, window, mono):
        pieces = np.lib.stride_tricks.sliding_window_view(block, window, axis=0)[::hop]  # (hops, channels, window)
        power = np.abs(np.fft.rfft(pieces * shape, axis=2)[..., :highest_bin]).astype(np.float32) ** 2
        # A band narrower than a bin gets the bin it lies in.
        bands = np.sqrt(np.add.reduceat(power, edges[:-1], axis=2)) * (2 / shape.sum())
        columns.append(np.log1p(_FULL_SCALE * bands).astype(np.float32).reshape(len(bands), -1))
    return np.concatenate(columns) if columns else np.zeros((0, _BANDS), dtype=np.float32)


def _band_edges(rate: int, window: int, highest: float) -> np.ndarray:
    """Indices of bins. The bands are the same in Hz for both sounds."""
    hertz = np.geomspace(min(_LOWEST_HZ, highest / 2), highest, _BANDS + 1)
    return np.floor(hertz * window / rate).astype(int)


def _overlapping(sound: soundfile.SoundFile, hop: int, window: int, mono: bool) -> Iterator[np.ndarray]:
    """(n, channels) blocks, each long enough for its hops' windows; the end is filled with silence."""
    rest = np.zeros((0, 1 if mono else sound.channels), dtype=np.float32)
    for block in read_blocks(sound, "float32", hop * _HOPS_A_BLOCK):
        block = np.clip(np.nan_to_num(block), -16, 16)
        if mono:
            block = block.mean(axis=1, keepdims=True)
        rest = np.concatenate([rest, block])
        hops = (len(rest) - window) // hop + 1
        if hops > 0:
            yield rest[: (hops - 1) * hop + window]
            rest = rest[hops * hop :]
    if len(rest):
        yield np.pad(rest, ((0, max(0, window - len(rest))), (0, 0)))
