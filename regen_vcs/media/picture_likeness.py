"""How alike two pictures are: structural similarity, see `likeness`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from regen_vcs.media.pictures import Frame, Plane, read_frames
from regen_vcs.media.reading import CannotDecode
from regen_vcs.media.tone import finite, straight_display

_FRAMES_IN_FULL = 8

Opened = tuple[BinaryIO, str, dict]  # file, its path, its header


def picture_likeness(left: Opened, right: Opened) -> tuple[float, bool, bool]:
    """(likeness, identical, same size), see `Likeness`; raises for damage and what is too big."""
    identical = same_size = True
    values = []
    counts = [0, 0]
    for index, pair in enumerate(zip_longest(read_frames(*left), read_frames(*right))):
        for side, frame in enumerate(pair):
            counts[side] += frame is not None
        if None in pair:
            identical = False
            continue
        same = _same_frame(*pair)
        same_size &= _size(pair[0]) == _size(pair[1])
        identical &= same
        # Of a long animation the first frames and then each power of two: the cost of a frame is some 100 ms.
        if index < _FRAMES_IN_FULL or index & (index - 1) == 0:
            values.append(1.0 if same else _frame_likeness(*pair))
    return float(np.mean(values)) * min(counts) / max(counts), identical, same_size


def _size(frame: Frame) -> tuple[int, ...]:
    return frame.planes[0].samples.shape[:2]


def _same_frame(left: Frame, right: Frame) -> bool:
    return (
        left.note == right.note
        and len(left.planes) == len(right.planes)
        and all(
            one.name == other.name
            and one.samples.dtype == other.samples.dtype
            and one.samples.shape == other.samples.shape
            # As bits: NaN is equal to itself, and 0.0 is not -0.0.
            and np.array_equal(_bits(one.samples), _bits(other.samples))
            for one, other in zip(left.planes, right.planes, strict=True)
        )
    )


def _bits(samples: np.ndarray) -> np.ndarray:
    return samples.view(f"u{samples.dtype.itemsize}")


class Rows(NamedTuple):
    """A picture to compare: `read(top, bottom)` gives (rows, width, channels) of float32, mostly 0…1."""

    height: int
    width: int
    channels: int
    read: Callable[[int, int], np.ndarray]


def _frame_likeness(left: Frame, right: Frame) -> float:
    names = [tuple(plane.name for plane in frame.planes) for frame in (left, right)]
    if names[0] == names[1] and left.is_scene and right.is_scene:
        pairs = zip(left.planes, right.planes, strict=True)
        return float(np.mean([_rows_likeness(*_plane_rows(one, other)) for one, other in pairs]))
    return _rows_likeness(*_shown_rows(left, right))


def _rows_likeness(left: Rows, right: Rows) -> float:
    if (left.width, left.height) != (right.width, right.height):
        right = _resized(right, left.width, left.height)
    return _ssim(left, right)


def _plane_rows(left: Plane, right: Plane) -> tuple[Rows, Rows]:
    """One channel of two EXR: colours under a gamma, depth and the like by the left one's range."""
    if left.name.rpartition(".")[2] in ("R", "G", "B", "Y", "A"):

        def scale(values: np.ndarray) -> np.ndarray:
            return np.sign(values) * np.power(np.abs(values), 1 / 2.2)
    else:
        top = float(np.abs(finite(left.samples)).max(initial=0)) or 1.0

        def scale(values: np.ndarray) -> np.ndarray:
            return values / top

    def rows(plane: Plane) -> Rows:
        height, width, channels = plane.samples.shape
        return Rows(height, width, channels, lambda top, bottom: scale(finite(plane.samples[top:bottom])))

    return rows(left), rows(right)


def _shown_rows(left: Frame, right: Frame) -> tuple[Rows, Rows]:
    """Both as grey or RGB, with alpha where one has it."""
    shown = [_shown(frame) for frame in (left, right)]
    colours = max(colour.shape[2] for colour, _ in shown)
    has_alpha = any(alpha is not None for _, alpha in shown)

    def rows(colour: np.ndarray, alpha: np.ndarray | None) -> Rows:
        def read(top: int, bottom: int) -> np.ndarray:
            values = _unit(colour[top:bottom])
            if values.shape[2] < colours:
                values = np.repeat(values, colours, axis=2)
            if not has_alpha:
                return values
            opacity = np.ones_like(values[..., :1]) if alpha is None else _unit(alpha[top:bottom])
            return np.concatenate([values * opacity, opacity], axis=2)

        return Rows(colour.shape[0], colour.shape[1], colours + has_alpha, read)

    return rows(*shown[0]), rows(*shown[1])


def _shown(frame: Frame) -> tuple[np.ndarray, np.ndarray | None]:
    """(colour of 1 or 3 channels, alpha) with straight alpha."""
    if frame.is_scene:
        colour, alpha = straight_display(frame)
        if colour is None:
            raise CannotDecode("no colour")
        return colour, alpha
    name, samples = frame.planes[0]
    if name in ("LA", "RGBA"):
        return samples[..., :-1], samples[..., -1:]
    if name == "CMYK":
        return ((255 - samples[..., :3].astype(np.uint16)) * (255 - samples[..., 3:]) // 255).astype(np.uint8), None
    if name in ("L", "RGB", "F", "I", "YCbCr", "LAB", "HSV"):
        return samples, None
    raise CannotDecode(f"{name} is not compared")


def _unit(samples: np.ndarray) -> np.ndarray:
    """Integers by their range, so that full is 1; floats as they are."""
    kind = samples.dtype.kind
    if kind == "f":
        return finite(samples)
    top = 65535 if kind == "i" else np.iinfo(samples.dtype).max  # 32-bit integers hold what 16 bits could not sign
    return samples.astype(np.float32) / np.float32(top)


def _resized(rows: Rows, width: int, height: int) -> Rows:
    """With eight bits a channel, which is enough for a figure that is capped."""
    step = max(1, (4 << 20) // rows.width)
    small = np.empty((rows.height, rows.width, rows.channels), dtype=np.uint8)
    for top in range(0, rows.height, step):
        small[top : top + step] = np.clip(rows.read(top, top + step), 0, 1) * 255 + 0.5
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(small[..., each])).resize((width, height), Image.Resampling.BILINEAR))
        for each in range(rows.channels)
    ]
    samples = np.stack(channels, axis=2)
    return Rows(height, width, rows.channels, lambda top, bottom: _unit(samples[top:bottom]))


# -- structural similarity ---------------------------------------------------------------------------------------

_CELL = 4  # pixels; a window is two by two cells
_BAND = 512  # rows at a time: a picture of any size in some 100 MB
_C1, _C2 = 0.01**2, 0.03**2  # as in Wang et al. 2004, for values 0…1


def _ssim(left: Rows, right: Rows) -> float:
    """The mean over windows and channels, -1…1."""
    width, height = (max(2 * _CELL, -(-side // _CELL) * _CELL) for side in (left.width, left.height))
    total = 0.0
    windows = 0
    for top in range(0, height - _CELL, _BAND):
        # One more row of cells than the step: windows span two.
        bottom = min(height, top + _BAND + _CELL)
        values = _ssim_windows(*(_padded(rows, top, bottom, width) for rows in (left, right)))
        total += float(values.sum(dtype=np.float64))
        windows += values.size
    return total / windows


def _padded(rows: Rows, top: int, bottom: int, width: int) -> np.ndarray:
    """The band, its last column and row repeated up to whole cells."""
    values = rows.read(top, min(bottom, rows.height))
    missing = bottom - top - values.shape[0], width - values.shape[1]
    if missing == (0, 0):
        return values
    return np.pad(values, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")


def _ssim_windows(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    mean_left, mean_right = _window_means(left), _window_means(right)
    product = mean_left * mean_right
    squares = mean_left**2 + mean_right**2
    spread = _window_means(left * left) + _window_means(right * right) - squares
    shared = _window_means(left * right) - product
    return ((2 * product + _C1) * (2 * shared + _C2)) / ((squares + _C1) * (np.maximum(spread, 0) + _C2))


def _window_means(values: np.ndarray) -> np.ndarray:
    rows, columns, channels = values.shape
    cells = values.reshape(rows // _CELL, _CELL, columns * channels).sum(axis=1)
    cells = cells.reshape(rows // _CELL, columns // _CELL, _CELL, channels).sum(axis=2)
    cells = cells[:-1] + cells[1:]
    return (cells[:, :-1] + cells[:, 1:]) / np.float32(4 * _CELL * _CELL)
