"""Waves and noises, exact on every machine. Each is called with the numbers of consecutive samples, a block at a time.

Phases are integers in 2^-64 turns, so an hour later a tone is as much in tune as at its start; noise is hashed
from the number of the sample. Only the filters of pink and brown noise remember anything between blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from regen_vcs.generators.procedural.exact import (
    MASK64,
    exp2_less_one,
    hash_line,
    log2,
    phase_step,
    sine,
    unit,
)

# Fixed: the filters' rounding depends on it.
BLOCK = 1 << 16
_ROWS = 256

Sound = Callable[[np.ndarray], np.ndarray]
"""Sample numbers (BLOCK,) int64 → samples (BLOCK,) float64, about -1…1."""


class Phase(NamedTuple):
    """Where an oscillator is at each sample: turns in [0, 1), and how many turns one sample is."""

    turns: np.ndarray
    step: np.ndarray


Phases = Callable[[np.ndarray], Phase]
"""Sample numbers (BLOCK,) int64 → Phase."""


# --- phases ---------------------------------------------------------------------------------------------------


def steady(frequency: float, sample_rate: int, start: int = 0) -> Phases:
    """A constant frequency, Hz. start: the phase at sample 0, in 2^-64 turns."""
    step = phase_step(frequency, sample_rate)
    width = np.full(BLOCK, step * 2.0**-64)

    def phases(index: np.ndarray) -> Phase:
        return Phase(unit(index.astype(np.uint64) * np.uint64(step) + np.uint64(start & MASK64)), width)

    return phases


def linear_sweep(first: float, last: float, frames: int, sample_rate: int) -> Phases:
    """From `first` to `last` Hz over `frames` samples, as many Hz each second."""
    start = phase_step(first, sample_rate)
    rise = round(Fraction(last - first) * (1 << 64) / (sample_rate * frames)) & MASK64

    def phases(index: np.ndarray) -> Phase:
        n = index.astype(np.uint64)
        # n (n - 1) / 2, halving whichever of the two is even: no bit is lost.
        pairs = np.where(n & np.uint64(1), n * ((n - np.uint64(1)) >> np.uint64(1)), (n >> np.uint64(1)) * (n - np.uint64(1)))
        turns = unit(n * np.uint64(start) + pairs * np.uint64(rise))
        return Phase(turns, (first + (last - first) * (index / frames)) / sample_rate)

    return phases


def octave_sweep(first: float, last: float, frames: int, sample_rate: int) -> Phases:
    """From `first` to `last` Hz over `frames` samples, as many octaves each second (a pink spectrum)."""
    octaves = log2(last / first)
    # ∫ first · 2^(octaves · n / frames) dn, in turns.
    total = first / sample_rate * frames / (octaves * 0.6931471805599453)

    def phases(index: np.ndarray) -> Phase:
        growth = exp2_less_one(octaves * (index / frames))
        turns = growth * total
        return Phase(turns - np.floor(turns), (growth + 1.0) * (first / sample_rate))

    return phases


# --- waves ----------------------------------------------------------------------------------------------------


def wave(shape: str, phases: Phases, duty: float = 0.5) -> Sound:
    """An oscillator of peak 1: "sine", "square" (high for `duty` of a turn), "saw" or "triangle".

    Steps and corners are rounded over two samples (PolyBLEP and PolyBLAMP; Välimäki and Huovilainen 2007, Esqueda
    and others 2016), which takes most of the aliasing away.
    """
    draw = _SHAPES[shape]
    return lambda index: draw(phases(index), duty)


def _sine(phase: Phase, duty: float) -> np.ndarray:
    return sine(phase.turns)


def _square(phase: Phase, duty: float) -> np.ndarray:
    level = np.where(phase.turns < duty, 1.0, -1.0)
    return level + _step(phase.turns, phase.step) - _step(_shifted(phase.turns, 1.0 - duty), phase.step)


def _saw(phase: Phase, duty: float) -> np.ndarray:
    turns = _shifted(phase.turns, 0.5)  # begins in the middle of its rise, at 0
    return turns * 2.0 - 1.0 - _step(turns, phase.step)


def _triangle(phase: Phase, duty: float) -> np.ndarray:
    turns = _shifted(phase.turns, 0.25)  # begins at 0, rising
    naive = 1.0 - 4.0 * np.abs(turns - 0.5)
    rounding = _corner(turns, phase.step) - _corner(_shifted(turns, 0.5), phase.step)
    return naive + 8.0 * phase.step * rounding


_SHAPES: dict[str, Callable[[Phase, float], np.ndarray]] = {
    "sine": _sine,
    "square": _square,
    "saw": _saw,
    "triangle": _triangle,
}


def _shifted(turns: np.ndarray, by: float) -> np.ndarray:
    moved = turns + by
    return moved - np.floor(moved)


def _distances(turns: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far, 1…0, each sample is inside the sample's width after and before the turn."""
    return np.maximum(1.0 - turns / step, 0.0), np.maximum(1.0 - (1.0 - turns) / step, 0.0)


def _step(turns: np.ndarray, step: np.ndarray) -> np.ndarray:
    """What rounds a jump of +2 at each whole turn."""
    after, before = _distances(turns, step)
    return before * before - after * after


def _corner(turns: np.ndarray, step: np.ndarray) -> np.ndarray:
    """What rounds a corner, of one more a sample in slope, at each whole turn."""
    after, before = _distances(turns, step)
    return (before * before * before + after * after * after) / 6.0


def mixed(voices: Sequence[Sound]) -> Sound:
    """The mean of several sounds."""

    def sound(index: np.ndarray) -> np.ndarray:
        total = voices[0](index)
        for voice in voices[1:]:
            total = total + voice(index)
        return total / len(voices)

    return sound


def swelling(voice: Sound, frequency: float, sample_rate: int, seed: int) -> Sound:
    """A voice whose level breathes between 0.3 and 1, `frequency` times a second, from anywhere."""
    breath = steady(frequency, sample_rate, seed)
    return lambda index: voice(index) * (0.65 + 0.35 * sine(breath(index).turns))


# --- noise ----------------------------------------------------------------------------------------------------

_QUARTERS = tuple(np.uint64(shift) for shift in (0, 16, 32, 48))
# Four numbers of 0…65535, about their mean: the variance is 4 · (65536² - 1) / 12.
_NOISE_MEAN = 4 * 65535 / 2
_NOISE_SCALE = math.sqrt(3.0 / (65536.0 * 65536.0 - 1.0))


def white(seed: int) -> Sound:
    """White noise of variance 1, nearly Gaussian (four uniform numbers), never beyond ±3.47."""

    def sound(index: np.ndarray) -> np.ndarray:
        hashes = hash_line(index, seed)
        total = np.zeros(len(index), dtype=np.uint64)
        for shift in _QUARTERS:
            total += (hashes >> shift) & np.uint64(0xFFFF)
        return (total.astype(np.float64) - _NOISE_MEAN) * _NOISE_SCALE

    return sound


class _Poles:
    """A bank of one-pole filters, p[n] = a · p[n-1] + x[n], side by side.

    A block lies in rows: all rows run at once from zero, then what each should have begun with is added.
    """

    def __init__(self, factors: Sequence[float]):
        self._factors = np.array(factors)[:, None]
        powers = [np.array(factors)]
        for _ in range(BLOCK // _ROWS - 1):
            powers.append(powers[-1] * powers[0])
        self._powers = np.stack(powers, axis=1)  # (poles, columns): aⁿ, n from 1
        self._last = np.zeros(len(factors))

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """(BLOCK,) → (poles, BLOCK)."""
        columns = np.ascontiguousarray(block.reshape(_ROWS, -1).T)
        out = np.empty((len(columns), len(self._factors), _ROWS))
        state = np.zeros(out.shape[1:])
        for n, column in enumerate(columns):
            state = state * self._factors
            state += column
            out[n] = state
        before = np.empty_like(state)
        for row in range(_ROWS):
            before[:, row] = self._last
            self._last = state[:, row] + self._powers[:, -1] * self._last
        out += self._powers.T[:, :, None] * before
        return np.ascontiguousarray(out.transpose(1, 2, 0)).reshape(len(self._factors), BLOCK)


class _Filtered:
    """White noise through Σ weight / (1 - factor · z⁻¹) + direct + delayed · z⁻¹, scaled to variance 1."""

    def __init__(self, seed: int, factors: Sequence[float], weights: Sequence[float], taps: tuple[float, float]):
        self._white = white(seed)
        self._poles = _Poles(factors)
        scale = 1.0 / _gain(factors, weights, taps)
        self._weights = [weight * scale for weight in weights]
        self._taps = [tap * scale for tap in taps]
        self._warm = False

    def __call__(self, index: np.ndarray) -> np.ndarray:
        if not self._warm:
            self._warm = True
            self(index - BLOCK)  # the lowest pole forgets its beginning within a tenth of this
        noise = self._white(np.concatenate([index[:1] - 1, index]))
        total = noise[1:] * self._taps[0]
        total += noise[:-1] * self._taps[1]
        for weight, pole in zip(self._weights, self._poles(noise[1:]), strict=True):
            total += weight * pole
        return total


def _gain(factors: Sequence[float], weights: Sequence[float], taps: tuple[float, float]) -> float:
    """The filter's gain for white noise: the root of its impulse response's energy."""
    energy = taps[0] * taps[0] + taps[1] * taps[1]
    for a, weight in zip(factors, weights, strict=True):
        energy += 2.0 * weight * (taps[0] + taps[1] * a)
        for b, other in zip(factors, weights, strict=True):
            energy += weight * other / (1.0 - a * b)
    return math.sqrt(energy)


# -3.01 dB an octave within ±0.08 dB from 1/3200 to 0.48 of the sample rate (15 Hz to 23 kHz at 48 kHz): corners a
# factor of 3 apart from 0.3 of the rate down, weights and taps by weighted least squares of the level in dB.
_PINK_FACTORS = (0.151835802, 0.533488091, 0.811038697, 0.932568035, 0.976997626, 0.992272989, 0.997417667, 0.99913848)
_PINK_WEIGHTS = (
    1.0, -0.271459345, -0.035654604, -0.070859794, -0.015509494, -0.02539064, -0.001887713, -0.015916915,
)  # fmt: skip
_PINK_TAPS = (-1.057574215, -0.144785159)


def pink(seed: int) -> Sound:
    """Noise of equal power in each octave, variance 1."""
    return _Filtered(seed, _PINK_FACTORS, _PINK_WEIGHTS, _PINK_TAPS)


def brown(seed: int, sample_rate: int) -> Sound:
    """Noise that falls by 6 dB an octave above 10 Hz, flat below (so that it stays about zero), variance 1."""
    factor = 1.0 / (1.0 + 6.283185307179586 * 10.0 / sample_rate)
    return _Filtered(seed, (factor,), (1.0,), (0.0, 0.0))

