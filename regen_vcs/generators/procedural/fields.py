"""Scalar fields over a picture: noise, cells, gradients and patterns. Each gives (rows, columns) float64, about 0…1.

A field is called with pixel columns and rows (integers as float64, not necessarily inside the picture) and
computes just those, so a picture of any size is made in bands. Lattices wrap where the field tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from regen_vcs.generators.procedural.exact import (
    angle,
    clamp,
    cosine,
    hash_grid,
    sine,
    smooth,
    sub_seed,
    unit,
)

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Grid:
    """How pixels map to lattice cells along both axes.

    cells: cells across width and height; wraps: they are whole numbers, and the lattice repeats after them.
    shift: added to the coordinates, in cells.
    """

    width: int
    height: int
    cells: tuple[float, float]
    wraps: bool
    shift: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def square(cls, width: int, height: int, across: float, *, tileable: bool, even: bool = False) -> Grid:
        """Square cells, `across` of them over the width; tileable: rounded to whole (even) numbers of cells."""
        down = across * height / width
        if not tileable:
            return cls(width, height, (across, down), False)
        unit_cells = 2 if even else 1
        return cls(
            width,
            height,
            tuple(float(max(unit_cells, unit_cells * math.floor(n / unit_cells + 0.5))) for n in (across, down)),
            True,
        )

    def scaled(self, factor: int, shift: tuple[float, float]) -> Grid:
        """The lattice of a finer octave."""
        return Grid(
            self.width,
            self.height,
            (self.cells[0] * factor, self.cells[1] * factor),
            self.wraps,
            (self.shift[0] * factor + shift[0], self.shift[1] * factor + shift[1]),
        )

    def moved(self, shift: tuple[float, float]) -> Grid:
        return Grid(self.width, self.height, self.cells, self.wraps, (self.shift[0] + shift[0], self.shift[1] + shift[1]))

    def place(self, axis: int, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(cell, fraction inside it) of pixel centres along an axis; cells are not yet wrapped."""
        size = (self.width, self.height)[axis]
        position = (pixels + 0.5) * self.cells[axis] / size + self.shift[axis]
        cell = np.floor(position)
        return cell.astype(np.int64), position - cell

    def wrap(self, axis: int, cells: np.ndarray) -> np.ndarray:
        return cells % int(self.cells[axis]) if self.wraps else cells

    def pixel(self, axis: int) -> float:
        """The size of a pixel in cells."""
        return self.cells[axis] / (self.width, self.height)[axis]


# --- lattice noise --------------------------------------------------------------------------------------------


def _directions() -> np.ndarray:
    """64 unit vectors, evenly spread: halved angles by normalised sums, so sqrt and division are all it takes."""
    quarter = [(1.0, 0.0), (0.0, 1.0)]
    for _ in range(4):
        finer = []
        for (ax, ay), (bx, by) in pairwise(quarter):
            x, y = ax + bx, ay + by
            length = math.sqrt(x * x + y * y)
            finer += [(ax, ay), (x / length, y / length)]
        quarter = [*finer, quarter[-1]]
    first = quarter[:-1]
    return np.array([turned for x, y in first for turned in ((x, y), (-y, x), (-x, -y), (y, -x))])


_DIRECTIONS = _directions()
_SQRT2 = math.sqrt(2.0)


def _fade(t: np.ndarray) -> np.ndarray:
    """6t⁵ - 15t⁴ + 10t³: no visible lattice in the second derivative (Perlin 2002)."""
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


def lattice_noise(grid: Grid, seed: int, basis: str, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """One octave in [-1, 1]: gradient ("perlin") or "value" noise.

    The columns' share is worked out once for each lattice row and the pixels' rows mix two of those, which makes
    a smooth octave cost a few operations a pixel.
    """
    column_cell, fx = grid.place(0, columns)
    row_cell, fy = grid.place(1, rows)
    lattice_rows = np.unique(np.concatenate([row_cell, row_cell + 1]))
    upper = np.searchsorted(lattice_rows, row_cell)
    lower = np.searchsorted(lattice_rows, row_cell + 1)

    wrapped = grid.wrap(1, lattice_rows)
    left = hash_grid(grid.wrap(0, column_cell), wrapped, seed)
    right = hash_grid(grid.wrap(0, column_cell + 1), wrapped, seed)
    u, v, fy = _fade(fx), _fade(fy)[:, None], fy[:, None]
    if basis == "value":
        line = unit(left)
        line += u * (unit(right) - line)
        top = line[upper]
        return (top + v * (line[lower] - top)) * 2.0 - 1.0

    left, right = (left >> np.uint64(58)).astype(np.intp), (right >> np.uint64(58)).astype(np.intp)
    near, far = _DIRECTIONS[left, 0] * fx, _DIRECTIONS[right, 0] * (fx - 1.0)
    level = near + u * (far - near)
    near, far = _DIRECTIONS[left, 1], _DIRECTIONS[right, 1]
    slope = near + u * (far - near)
    top = slope[upper]
    top *= fy
    top += level[upper]
    bottom = slope[lower]
    bottom *= fy - 1.0
    bottom += level[lower]
    bottom -= top
    bottom *= v
    bottom += top
    bottom *= _SQRT2
    return bottom


def fractal(
    grid: Grid, seed: int, *, kind: str, basis: str, octaves: int, lacunarity: int, gain: float
) -> Field:
    """Octaves of lattice noise: "fbm" sums them, "turbulence" their absolute value, "ridged" its inverse squared."""

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        total = np.zeros((len(rows), len(columns)))
        weight, weights, factor = 1.0, 0.0, 1
        for octave in range(octaves):
            own = sub_seed(seed, octave)
            # Perlin noise is zero on its lattice: shifted, so that the octaves' zeros do not meet.
            shift = ((own & 0xFFFF) / 65536.0, (own >> 16 & 0xFFFF) / 65536.0)
            noise = lattice_noise(grid.scaled(factor, shift), own, basis, columns, rows)
            if kind != "fbm":
                np.abs(noise, out=noise)
            if kind == "ridged":
                noise = 1.0 - noise
                noise *= noise
            noise *= weight
            total += noise
            weights += weight
            weight *= gain
            factor *= lacunarity
        total /= weights
        return total * 0.5 + 0.5 if kind == "fbm" else total

    return field


def white(width: int, height: int, seed: int) -> Field:
    """Each pixel for itself; it always tiles."""

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return unit(hash_grid(columns.astype(np.int64) % width, rows.astype(np.int64) % height, seed))

    return field


# --- cells ----------------------------------------------------------------------------------------------------

# Two cells away in each direction, but for the corners, which cannot hold the nearest two points.
_NEIGHBOURS = [(dx, dy) for dy in range(-2, 3) for dx in range(-2, 3) if abs(dx) + abs(dy) < 4]


def worley(grid: Grid, seed: int, *, feature: str, metric: str, jitter: float) -> Field:
    """Cellular noise: one point a cell. "f1", "f2": distance to the nearest and second; "f2-f1"; "cell": its colour."""
    seed_x, seed_y, seed_colour = (sub_seed(seed, axis) for axis in range(3))
    margin = (1.0 - jitter) * 0.5
    distance = _METRICS[metric]

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        column_cell, fx = grid.place(0, columns)
        row_cell, fy = grid.place(1, rows)
        shape = (len(rows), len(columns))
        first, second = np.full(shape, np.inf), np.full(shape, np.inf)
        colour = np.zeros(shape)
        used, which = np.unique(row_cell, return_inverse=True)
        for dx, dy in _NEIGHBOURS:
            across, down = grid.wrap(0, column_cell + dx), grid.wrap(1, used + dy)
            to_x = (unit(hash_grid(across, down, seed_x)) * jitter + (margin + dx)) - fx
            to_y = unit(hash_grid(across, down, seed_y)) * jitter + (margin + dy)
            away = distance(to_x[which], to_y[which] - fy[:, None])
            if feature == "cell":
                colour = np.where(away < first, unit(hash_grid(across, down, seed_colour))[which], colour)
            elif feature != "f1":
                np.minimum(second, np.maximum(first, away), out=second)
            np.minimum(first, away, out=first)
        if feature == "cell":
            return colour
        if metric == "euclidean":
            first, second = np.sqrt(first), np.sqrt(second)
        return {"f1": first, "f2": second}[feature] if feature != "f2-f1" else second - first

    return field


def _squared(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    return dx * dx + dy * dy


_METRICS: dict[str, Distance] = {
    "euclidean": _squared,  # its root is taken once, at the end
    "manhattan": lambda dx, dy: np.abs(dx) + np.abs(dy),
    "chebyshev": lambda dx, dy: np.maximum(np.abs(dx), np.abs(dy)),
}


# --- gradients and patterns -----------------------------------------------------------------------------------


def direction(degrees: float) -> tuple[float, float]:
    """The unit vector of an angle, clockwise from rightwards; exact for whole quarter turns."""
    turns = np.array([degrees / 360.0])
    return float(cosine(turns)[0]), float(sine(turns)[0])


def gradient(width: int, height: int, *, shape: str, degrees: float) -> Field:
    """0 → 1: "linear" from edge to edge, "radial" from the centre to the nearer edge, "angular" clockwise round it."""
    along_x, along_y = direction(degrees)
    reach = abs(width * along_x) + abs(height * along_y)

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        x, y = columns[None, :] + (0.5 - width / 2), rows[:, None] + (0.5 - height / 2)
        if shape == "linear":
            return clamp((x * along_x + y * along_y) / reach + 0.5)
        if shape == "radial":
            return clamp(np.sqrt(x * x + y * y) / (min(width, height) / 2))
        turns = angle(*np.broadcast_arrays(y, x)) - degrees / 360.0
        return turns - np.floor(turns)

    return field


def checker(grid: Grid) -> Field:
    """Squares of 0 and 1, hard edges."""

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        across, down = grid.place(0, columns)[0], grid.place(1, rows)[0]
        return ((across[None, :] + down[:, None]) & 1).astype(np.float64)

    return field


def _covered(inside: np.ndarray, edge: float) -> np.ndarray:
    """How much of a pixel lies inside a shape, from the signed distance to its edge; both in cells."""
    return smooth(clamp(inside / edge + 0.5))


def stripes(grid: Grid, *, degrees: float, ratio: float, softness: float) -> Field:
    """Stripes across a direction; `ratio` of each period is 1. softness: the blur of an edge, in periods / 2."""
    along_x, along_y = direction(degrees)
    step = max(abs(grid.pixel(0) * along_x), abs(grid.pixel(1) * along_y))
    edge = max(softness * 0.5, step)

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        cell_x, fx = grid.place(0, columns)
        cell_y, fy = grid.place(1, rows)
        position = ((cell_x + fx) * along_x)[None, :] + ((cell_y + fy) * along_y)[:, None]
        phase = position - np.floor(position)
        return _covered(ratio * 0.5 - np.abs(phase - 0.5), edge)

    return field


def dots(grid: Grid, *, ratio: float, softness: float) -> Field:
    """A disc of diameter `ratio` in each cell."""
    edge = max(softness * 0.5, grid.pixel(0))

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        fx, fy = grid.place(0, columns)[1] - 0.5, grid.place(1, rows)[1] - 0.5
        away = np.sqrt((fx * fx)[None, :] + (fy * fy)[:, None])
        return _covered(ratio * 0.5 - away, edge)

    return field


def bricks(grid: Grid, seed: int, *, gap: float, softness: float, jitter: float) -> Field:
    """Running bond, two to one: 0 in the joints of `gap` brick heights; each brick's own tone varies by `jitter`."""
    # A cell is a brick's height square; a brick is two wide, and each second course starts one later.
    edge = max(softness * 0.25, grid.pixel(0))

    def field(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        cell_x, fx = grid.place(0, columns)
        cell_y, fy = grid.place(1, rows)
        odd = cell_y & 1
        out = np.empty((len(rows), len(columns)))
        inside_y = 0.5 - gap * 0.5 - np.abs(fy - 0.5)
        for parity in (0, 1):
            chosen = np.flatnonzero(odd == parity)
            if not len(chosen):
                continue
            shifted = cell_x + parity
            brick = grid.wrap(0, shifted) >> 1 if grid.wraps else shifted >> 1
            position = (shifted & 1) + fx  # 0 … 2 along the brick
            inside_x = 1.0 - gap * 0.5 - np.abs(position - 1.0)
            tone = 1.0 - jitter * 0.5 * unit(hash_grid(brick, grid.wrap(1, cell_y[chosen]), seed))
            inside = np.minimum(inside_x[None, :], inside_y[chosen][:, None])
            out[chosen] = tone * _covered(inside, edge)
        return out

    return field
