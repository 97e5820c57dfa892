"""FLAC, apart from the other writers: whoever makes pictures need not load libsndfile."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import soundfile


class FlacWriter:
    """FLAC of 16 or 24 bits, by libsndfile: the same samples everywhere, bytes as its encoder has them."""

    def __init__(self, out: BinaryIO, sample_rate: int, channels: int, depth: int, frames: int):
        self._shift = 32 - depth
        self._file = soundfile.SoundFile(
            out, "w", samplerate=sample_rate, channels=channels, subtype=f"PCM_{depth}", format="FLAC"
        )

    def write(self, samples: np.ndarray) -> None:
        """samples: (n, channels), int32 within the depth."""
        self._file.write(np.left_shift(samples, self._shift))

    def close(self) -> None:
        self._file.close()
