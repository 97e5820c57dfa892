"""Arithmetic with one result on every machine: integer hashing, and functions made of +, -, *, / and sqrt alone.

IEEE 754 fixes the result of those five operations to the last bit. NumPy's sin, exp, power, interp, dot and sum
promise no such thing: they use SIMD polynomials, fused multiply-add, BLAS or pairwise sums, which differ between
builds. Nothing here, nor in the modules beside it, calls any of them. Each operation is a ufunc of its own, so
no compiler can contract a product and a sum.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

MASK64 = (1 << 64) - 1

# Odd 64-bit constants: the golden ratio's, and two whose bits look random, to keep the axes apart.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_COLUMN = np.uint64(0xD1B54A32D192ED03)
_ROW = np.uint64(0x8CB92BA72F3D8DD7)

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix(values: np.ndarray) -> np.ndarray:
    """A bijective scramble of uint64 (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    values = values ^ (values >> np.uint64(30))
    values *= _MIX_1
    values ^= values >> np.uint64(27)
    values *= _MIX_2
    values ^= values >> np.uint64(31)
    return values


def mix_integer(value: int) -> int:
    """`mix` of one Python integer, taken modulo 2^64."""
    return int(mix(np.array([value & MASK64], dtype=np.uint64))[0])


def sub_seed(seed: int, *parts: int) -> int:
    """An independent seed for each tuple of parts (octave, channel, frame…)."""
    for part in parts:
        seed = mix_integer(seed + int(_GOLDEN) * (part + 1))
    return seed


def hash_line(index: np.ndarray, seed: int) -> np.ndarray:
    """uint64 hashes of integers (int64 or uint64, any shape)."""
    return mix(index.astype(np.uint64) * _GOLDEN + np.uint64(seed & MASK64))


def hash_grid(columns: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """uint64 hashes of lattice points: shape (len(rows), len(columns))."""
    of_row = mix(rows.astype(np.uint64) * _ROW + np.uint64(seed & MASK64))
    return mix(of_row[:, None] + (columns.astype(np.uint64) * _COLUMN)[None, :])


def unit(hashes: np.ndarray) -> np.ndarray:
    """float64 in [0, 1) from the upper 53 bits."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth(t: np.ndarray) -> np.ndarray:
    """3t² - 2t³, for t in [0, 1]."""
    return t * t * (3.0 - 2.0 * t)


def clamp(values: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(values, 0.0), 1.0)


# sin z = z - z³/3! + z⁵/5! …: up to z¹⁹ the rest is under 2e-16 for |z| ≤ π/2.
_SINE = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(10)]


def sine(turns: np.ndarray) -> np.ndarray:
    """sin(2π · turns), float64; within 1e-15 of the true value."""
    rest = turns - np.floor(turns + 0.5)  # [-0.5, 0.5)
    rest = np.where(rest > 0.25, 0.5 - rest, np.where(rest < -0.25, -0.5 - rest, rest))
    z = rest * 6.283185307179586
    return z * horner(z * z, _SINE)


def cosine(turns: np.ndarray) -> np.ndarray:
    return sine(turns + 0.25)


# atan z = z - z³/3 + z⁵/5 …; |z| ≤ tan(π/8), where 20 terms leave under 1e-16.
_ARCTAN = [(-1.0) ** k / (2 * k + 1) for k in range(20)]


def angle(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The direction of (x, y) in turns, [0, 1); 0 where both are 0."""
    ax, ay = np.abs(x), np.abs(y)
    longer = np.maximum(ax, ay)
    ratio = np.minimum(ax, ay) / np.where(longer == 0.0, 1.0, longer)
    steep = ratio > 0.41421356237309503
    z = np.where(steep, (ratio - 1.0) / (ratio + 1.0), ratio)
    turns = z * horner(z * z, _ARCTAN) * 0.15915494309189535 + np.where(steep, 0.125, 0.0)
    turns = np.where(ay > ax, 0.25 - turns, turns)
    turns = np.where(x < 0.0, 0.5 - turns, turns)
    turns = np.where(y < 0.0, -turns, turns)
    return np.where(turns < 0.0, turns + 1.0, turns)


def horner(x: np.ndarray, coefficients: list[float]) -> np.ndarray:
    """Σ cₖ xᵏ, from the highest power down."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= x
        total += coefficient
    return total


# 2^f = Σ (f ln 2)^k / k!; |f| ≤ 1/2, where 16 terms leave under 1e-17.
_LN2 = 0.6931471805599453
_EXP = [1.0 / math.factorial(k) for k in range(16)]


def exp2(x: np.ndarray) -> np.ndarray:
    """2^x, float64, for |x| < 1000."""
    whole = np.floor(x + 0.5)
    return np.ldexp(horner((x - whole) * _LN2, _EXP), whole.astype(np.int64))


# (2^f - 1) / (f ln 2) = Σ (f ln 2)^k / (k + 1)!
_EXP_LESS_ONE = [1.0 / math.factorial(k + 1) for k in range(16)]


def exp2_less_one(x: np.ndarray) -> np.ndarray:
    """2^x - 1, float64, for |x| < 1000; as precise near 0, where the difference would cancel."""
    z = np.where(np.abs(x) <= 0.5, x, 0.0) * _LN2
    return np.where(np.abs(x) <= 0.5, z * horner(z, _EXP_LESS_ONE), exp2(x) - 1.0)


def log2(x: float) -> float:
    """log₂ of one positive float: ln m = 2 atanh((m-1)/(m+1)), on a mantissa in [√½, √2)."""
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa, exponent = mantissa * 2.0, exponent - 1
    z = (mantissa - 1.0) / (mantissa + 1.0)
    total = 0.0
    for k in range(20, -1, -1):
        total = total * (z * z) + 1.0 / (2 * k + 1)
    return exponent + 2.0 * z * total / _LN2


def decibels(value: float) -> float:
    """The factor of a gain in dB: 10^(dB/20)."""
    return float(exp2(np.array([value * 0.16609640474436813]))[0])


def fifth_root(x: np.ndarray) -> np.ndarray:
    """x^(1/5) for x in [0, 1], by Newton's method from above with a fixed number of steps."""
    root = np.ones_like(x)
    safe = np.where(x == 0.0, 1.0, x)
    for _ in range(60):
        square = root * root
        root = (4.0 * root + safe / (square * square)) / 5.0
    return np.where(x == 0.0, 0.0, root)


def phase_step(frequency: float, sample_rate: int) -> int:
    """How far an oscillator's phase moves in one sample, in 2^-64 turns: exact, rounded once."""
    return round(Fraction(frequency) * (1 << 64) / sample_rate) & MASK64
