"""How alike two pictures or two sounds are, 0…1.

1.0 says that what is decoded is identical, to the last bit; everything else stays below it, however near.

Pictures    structural similarity (SSIM) over windows of 8 × 8 pixels, four apart, the mean over channels: colour
            counts as much as light and shade do. Where one has alpha, colours count as far as they are opaque, and
            alpha is a channel. EXR with the same channels: each of them, colours under a gamma, data by their range.
            Of animations some frames; other numbers of frames count in proportion.
            Of another size: the right one is resized to the left, and the figure is at most 0.95.
Sounds      cosine of the log spectrograms, 20 ms apart, times the ratio of their levels and of their lengths.
            Of another rate or number of channels: at most 0.95.
"""

from __future__ import annotations

import contextlib
import math
from typing import NamedTuple

from regen_vcs.media.headers import header_of
from regen_vcs.media.reading import open_media

_OTHER_SHAPE_CAP = 0.95
_NOT_IDENTICAL = 1 - 1e-6


class Likeness(NamedTuple):
    """`identical`: bit by bit, decoded. `same_shape`: the same size; of sounds the same rate and channels."""

    value: float
    identical: bool
    same_shape: bool

    def bounded(self) -> float:
        if self.identical:
            return 1.0
        if not math.isfinite(self.value):
            return 0.0
        return round(min(max(self.value, 0.0), _NOT_IDENTICAL if self.same_shape else _OTHER_SHAPE_CAP), 6)


def likeness(left_abs: str, right_abs: str) -> float | None:
    """See `regen_vcs.media.score`; raises for damage and what is too big."""
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(open_media(path)) for path in (left_abs, right_abs)]
        left, right = (header_of(file) for file in files)
        kinds = {header.get("type", "").partition("/")[0] for header in (left, right)}
        if kinds == {"image"}:
            from regen_vcs.media.picture_likeness import picture_likeness

            return Likeness(*picture_likeness((files[0], left_abs, left), (files[1], right_abs, right))).bounded()
        if kinds == {"audio"}:
            from regen_vcs.media.sound_likeness import sound_likeness

            return Likeness(*sound_likeness(*files)).bounded()
    return None
