"""Colour ramps: stops of display-referred sRGB colours, interpolated without np.interp (which may fuse)."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from regen_vcs.generators.procedural.exact import fifth_root

PALETTES: dict[str, list[str]] = {
    "gray": ["#000000", "#ffffff"],
    "clouds": ["#2f6fb5", "#7fb0dd", "#e8f0f7", "#ffffff"],
    "dusk": ["#120c2e", "#4a1e5c", "#b23a5f", "#f0895a", "#fbe3a2"],
    "fire": ["#050000", "#6a0a00", "#d63c02", "#ffae1c", "#fff8d0"],
    "forest": ["#0c140b", "#24391c", "#4d6b2c", "#9aa853"],
    "ice": ["#0a1c2f", "#285f86", "#8ec7dc", "#f4fbff"],
    "ocean": ["#020a1a", "#06345a", "#13788f", "#8fd6cf"],
    "rust": ["#1b1210", "#5a2b1a", "#a4501f", "#d28a4b", "#7d7a76"],
    "sand": ["#6b4f2e", "#b08d57", "#dcc393", "#f2e6c8"],
    "stone": ["#23221f", "#5b5852", "#8f8a80", "#c9c5ba"],
    "terrain": ["#0b2a55", "#2f6f8f", "#c9b57e", "#4f7a3a", "#6f5f4a", "#f4f4f2"],
}

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})\Z")


def parse_colour(text: str) -> tuple[int, int, int]:
    """(r, g, b), 0…255, of "#rrggbb" or "#rgb"; ValueError for anything else."""
    if not _HEX.match(text):
        raise ValueError(f'{text!r} is not a colour such as "#1e90ff"')
    digits = text[1:] if len(text) == 7 else "".join(2 * c for c in text[1:])
    return tuple(int(digits[at : at + 2], 16) for at in (0, 2, 4))


def parse_ramp(ramp: str | list) -> list[tuple[float, tuple[int, int, int]]]:
    """Stops (position, colour) in rising order, of a palette's name, of colours, or of [position, colour] pairs.

    ValueError, in words for people, for anything else.
    """
    if isinstance(ramp, str):
        if ramp not in PALETTES:
            raise ValueError(f"{ramp!r} is not a palette: {', '.join(sorted(PALETTES))}")
        ramp = list(PALETTES[ramp])
    if not 2 <= len(ramp) <= 256:
        raise ValueError("a ramp has from 2 to 256 stops")
    if all(isinstance(stop, str) for stop in ramp):
        return [(at / (len(ramp) - 1), parse_colour(stop)) for at, stop in enumerate(ramp)]
    stops = [_parse_stop(stop) for stop in ramp]
    if any(later[0] <= earlier[0] for earlier, later in pairwise(stops)):
        raise ValueError("the positions of a ramp rise from stop to stop")
    return stops


def _parse_stop(stop: object) -> tuple[float, tuple[int, int, int]]:
    if (
        isinstance(stop, list)
        and len(stop) == 2
        and isinstance(stop[0], int | float)
        and not isinstance(stop[0], bool)
        and 0 <= stop[0] <= 1
        and isinstance(stop[1], str)
    ):
        return float(stop[0]), parse_colour(stop[1])
    raise ValueError(f'{stop!r} is not a stop: a colour, or [position from 0 to 1, colour]')


def linear_light(encoded: np.ndarray) -> np.ndarray:
    """sRGB's transfer function undone (IEC 61966-2-1), values 0…1: x^2.4 as x² · (x²)^⅕."""
    x = (encoded + 0.055) / 1.055
    square = x * x
    return np.where(encoded <= 0.04045, encoded / 12.92, square * fifth_root(square))


class Ramp:
    """Maps values to colours. linear: interpolate and give scene-linear light (for EXR), else sRGB as encoded."""

    def __init__(self, ramp: str | list, *, linear: bool):
        stops = parse_ramp(ramp)
        colours = np.array([colour for _, colour in stops], dtype=np.float64) / 255.0
        self._positions = [position for position, _ in stops]
        self._colours = linear_light(colours) if linear else colours

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(rows, columns) → (rows, columns, 3)."""
        at = np.zeros(values.shape, dtype=np.intp)
        for position in self._positions[1:-1]:
            at += values >= position
        starts = np.array(self._positions[:-1])
        spans = np.array([later - earlier for earlier, later in zip(starts, self._positions[1:], strict=True)])
        part = (values - starts[at]) / spans[at]
        part = np.minimum(np.maximum(part, 0.0), 1.0)
        out = np.empty((*values.shape, 3))
        for channel in range(3):
            colours = self._colours[:, channel]
            rises = colours[1:] - colours[:-1]
            out[..., channel] = colours[:-1][at] + part * rises[at]
        return out
