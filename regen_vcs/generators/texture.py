"""`texture`: procedural pictures. Backgrounds, displacement and bump maps, mattes and grain; no server, no weights.

Exact: the same parameters give the same samples on every machine (see procedural/exact.py), and under the same
zlib the same bytes. Pictures are made in bands, so 16384 × 16384 takes as little memory as 512 × 512.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field as Described
from pydantic import field_validator, model_validator

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import Job, Params, Seed
from regen_vcs.generators.procedural import fields
from regen_vcs.generators.procedural.colour import Ramp, parse_ramp
from regen_vcs.generators.procedural.exact import clamp, sub_seed
from regen_vcs.generators.procedural.writers import ENCODER, ExrWriter, PngWriter

MAX_SIDE = 16384
MAX_FRAMES = 100_000

# A band's working arrays stay in a processor's cache; the size cannot be seen in the result.
_BAND_PIXELS = 1 << 16

_FRAMES = re.compile(r"([0-9]{1,7})-([0-9]{1,7})\Z")
_FRACTAL = ("fbm", "ridged", "turbulence")


class TextureParams(Params):
    """What `texture` accepts. docs/generators.md tells which kind reads what."""

    kind: Literal[
        "fbm", "ridged", "turbulence", "worley", "white", "gradient", "checker", "stripes", "dots", "bricks"
    ] = Described("fbm", description="what to draw")
    width: int = Described(1024, ge=1, le=MAX_SIDE, description="pixels")
    height: int = Described(1024, ge=1, le=MAX_SIDE, description="pixels")
    seed: Seed = Described(0, description="another number, another picture of the same kind; up to 2^64-1")
    tileable: bool = Described(False, description="left meets right and top meets bottom")
    depth: Literal[8, 16, 32] = Described(16, description="bits a channel: PNG 8 or 16, EXR 16 (half) or 32 (float)")

    output: Literal["value", "normal"] = Described("value", description="the picture, or its normal map (OpenGL, Y up)")
    strength: float = Described(1.0, ge=0, le=1000, description="height of a normal map's relief")
    ramp: str | list[str | list[float | str]] | None = Described(
        None, description="colours: a palette's name, colours, or [position, colour] pairs; none: plain data"
    )
    normalize: bool = Described(True, description="stretch noise and cells to the full range 0 to 1")
    invert: bool = Described(False, description="1 - value")
    contrast: float = Described(1.0, ge=0, le=100, description="about the middle value")
    brightness: float = Described(0.0, ge=-1, le=1, description="added at the end")

    scale: float = Described(8.0, gt=0, le=4096, description="cells, squares or periods across the width")
    basis: Literal["perlin", "value"] = Described("perlin", description="noise: smooth gradients, or blotches")
    octaves: int = Described(6, ge=1, le=16, description="noise: layers of ever finer detail")
    lacunarity: int = Described(2, ge=2, le=8, description="noise: how much finer each layer is")
    gain: float = Described(0.5, ge=0, le=1, description="noise: how much weaker each layer is")
    feature: Literal["f1", "f2", "f2-f1", "cell"] = Described("f1", description="worley: which distance, or flat cells")
    metric: Literal["euclidean", "manhattan", "chebyshev"] = Described("euclidean", description="worley: distance")
    jitter: float = Described(1.0, ge=0, le=1, description="worley: disorder of the points; bricks: of the tones")
    shape: Literal["linear", "radial", "angular"] = Described("linear", description="gradient: its shape")
    angle: float = Described(0.0, ge=-360, le=360, description="gradient, stripes: degrees clockwise from rightwards")
    ratio: float = Described(0.5, ge=0, le=1, description="stripes, dots: how much of a period is light")
    gap: float = Described(0.1, ge=0, le=1, description="bricks: joint, in brick heights")
    softness: float = Described(0.0, ge=0, le=1, description="stripes, dots, bricks: blur of the edges")

    frames: str = Described("", pattern=r"^([0-9]{1,7}-[0-9]{1,7})?$", description='a sequence: its frames, as in "1-48"')
    drift_x: float = Described(0.0, ge=-4096, le=4096, description="a sequence: cells to the right, each frame")
    drift_y: float = Described(0.0, ge=-4096, le=4096, description="a sequence: cells downwards, each frame")
    reseed: bool = Described(False, description="a sequence: another seed for each frame (grain)")

    @field_validator("ramp")
    @classmethod
    def _ramp_is_one(cls, ramp: Any) -> Any:
        if ramp is not None:
            parse_ramp(ramp)
        return ramp

    @field_validator("frames")
    @classmethod
    def _frames_rise(cls, frames: str) -> str:
        if frames and not 0 < len(frame_numbers(frames)) <= MAX_FRAMES:
            raise ValueError(f"frames go from first to last, {MAX_FRAMES} at most")
        return frames

    @model_validator(mode="after")
    def _tiles(self) -> TextureParams:
        if self.tileable and self.kind == "gradient":
            raise ValueError("a gradient has two ends: it cannot be tileable")
        if self.tileable and self.kind == "stripes" and self.angle % 90:
            raise ValueError("tileable stripes have an angle of 0, 90, 180 or 270")
        return self


def frame_numbers(frames: str) -> range:
    """The numbers of "1-48"; an empty range where they do not rise."""
    match = _FRAMES.match(frames)
    return range(int(match[1]), int(match[2]) + 1) if match else range(0)


class Texture:
    """The generator. Its version changes whenever a picture would."""

    name = "texture"
    Params = TextureParams
    exact = True
    version = "1"
    suffixes = (".png", ".exr")

    def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
        return {}

    def environment(self) -> dict[str, str]:
        return {"numpy": np.__version__, "zlib": zlib.ZLIB_RUNTIME_VERSION, "encoder": ENCODER}

    def estimate_seconds(self, params: Mapping[str, Any]) -> float:
        """Rounded up from measurements on a slow machine: per pixel, and per octave or neighbour."""
        megapixels = params["width"] * params["height"] / 1e6 * max(1, len(frame_numbers(params["frames"])))
        layers = {"worley": 12.0, "white": 1.0}.get(params["kind"], 1.0)
        if params["kind"] in _FRACTAL:
            # The cells of an octave double the work where they shrink to a few pixels.
            cells = [params["scale"] * params["lacunarity"] ** octave for octave in range(params["octaves"])]
            layers = sum(1.0 if across < params["width"] / 4 else 2.2 for across in cells)
        return megapixels * (0.1 + 0.05 * layers * (2 if params["normalize"] else 1))

    def run(self, job: Job) -> None:
        params: TextureParams = job.params
        suffix = os.path.splitext(job.output)[1].lower()
        _check_format(suffix, params.depth)
        if not params.frames:
            if "#" in os.path.basename(job.output):
                raise InvalidError("a sequence needs its frames", 'as in frames=1-48', field="params.frames")
            _write_picture(job, params, suffix, job.output, 0, None, (0.0, 1.0))
            return
        outputs = job.frames(frame_numbers(params.frames))
        first = outputs[0][0]
        # One range for all frames: each stretched for itself would flicker.
        levels = _levels(job, params, _field(params, first, first), (0.0, 0.0))
        for done, (number, path) in enumerate(outputs):
            part = (done / len(outputs), 1.0 / len(outputs))
            _write_picture(job, params, suffix, path, number - first, (number, levels), part)


def _check_format(suffix: str, depth: int) -> None:
    allowed = {".png": (8, 16), ".exr": (16, 32)}.get(suffix)
    if allowed is None:
        raise InvalidError(f"texture writes .png and .exr, not {suffix or 'a name without a suffix'}")
    if depth not in allowed:
        raise InvalidError(
            f"params.depth: {suffix} takes {allowed[0]} or {allowed[1]} bits a channel, not {depth}",
            field="params.depth",
        )


def _write_picture(
    job: Job,
    params: TextureParams,
    suffix: str,
    path: str,
    frame_offset: int,
    of_sequence: tuple[int, tuple[float, float]] | None,
    part: tuple[float, float],
) -> None:
    """One file. of_sequence: (frame number, levels for all frames); part: (start, share) of the job's progress."""
    start, share = part
    number = of_sequence[0] if of_sequence else 0
    field = _field(params, number, number - frame_offset)
    if of_sequence:
        levels = of_sequence[1]
    else:
        levels = _levels(job, params, field, (start, share * 0.4))
        start, share = start + share * 0.4, share * 0.6
    colours = params.output == "normal" or params.ramp is not None
    make = PngWriter if suffix == ".png" else ExrWriter
    shade = _shader(params, field, levels, linear=suffix == ".exr")
    with open(path, "xb") as out:
        writer = make(out, params.width, params.height, 3 if colours else 1, params.depth)
        for rows in _bands(params):
            job.check_cancelled()
            writer.write(shade(rows))
            job.progress(start + share * (rows[-1] + 1) / params.height)
        writer.close()


def _bands(params: TextureParams) -> Iterator[np.ndarray]:
    step = max(1, _BAND_PIXELS // params.width)
    for top in range(0, params.height, step):
        yield np.arange(top, min(top + step, params.height), dtype=np.float64)


def _field(params: TextureParams, number: int, first: int) -> fields.Field:
    """The scalar field of one frame."""
    seed = sub_seed(params.seed, number) if params.reseed else params.seed
    across = params.scale
    grid = fields.Grid.square(
        params.width, params.height, across, tileable=params.tileable, even=params.kind in ("checker", "bricks")
    ).moved((-params.drift_x * (number - first), -params.drift_y * (number - first)))
    kind = params.kind
    if kind in _FRACTAL:
        return fields.fractal(
            grid,
            seed,
            kind=kind,
            basis=params.basis,
            octaves=params.octaves,
            lacunarity=params.lacunarity,
            gain=params.gain,
        )
    if kind == "worley":
        return fields.worley(grid, seed, feature=params.feature, metric=params.metric, jitter=params.jitter)
    if kind == "white":
        return fields.white(params.width, params.height, seed)
    if kind == "gradient":
        return fields.gradient(params.width, params.height, shape=params.shape, degrees=params.angle)
    if kind == "checker":
        return fields.checker(grid)
    if kind == "stripes":
        return fields.stripes(grid, degrees=params.angle, ratio=params.ratio, softness=params.softness)
    if kind == "dots":
        return fields.dots(grid, ratio=params.ratio, softness=params.softness)
    return fields.bricks(grid, seed, gap=params.gap, softness=params.softness, jitter=params.jitter)


def _levels(job: Job, params: TextureParams, field: fields.Field, part: tuple[float, float]) -> tuple[float, float]:
    """(lowest, highest) value of the picture where it is to be stretched, else (0, 1)."""
    if not params.normalize or not (params.kind in _FRACTAL or params.kind == "worley"):
        return 0.0, 1.0
    columns = np.arange(params.width, dtype=np.float64)
    low, high = np.inf, -np.inf
    for rows in _bands(params):
        job.check_cancelled()
        values = field(columns, rows)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        job.progress(part[0] + part[1] * (rows[-1] + 1) / params.height)
    return (low, high) if high > low else (low, low + 1.0)


def _shader(params: TextureParams, field: fields.Field, levels: tuple[float, float], *, linear: bool):
    """rows → samples: the field, levelled, then coloured or turned into normals."""
    columns = np.arange(params.width, dtype=np.float64)
    low, span = levels[0], levels[1] - levels[0]
    ramp = Ramp(params.ramp, linear=linear) if params.ramp is not None else None

    def level(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        values = (field(columns, rows) - low) / span
        if params.invert:
            values = 1.0 - values
        if params.contrast != 1.0 or params.brightness != 0.0:
            values = (values - 0.5) * params.contrast + 0.5 + params.brightness
        return clamp(values) if params.normalize else values

    if params.output == "normal":
        return lambda rows: _normals(level, columns, rows, params.strength)
    if ramp is not None:
        return lambda rows: ramp(level(columns, rows))
    return lambda rows: level(columns, rows)


def _normals(level: fields.Field, columns: np.ndarray, rows: np.ndarray, strength: float) -> np.ndarray:
    """Tangent-space normals, packed to 0…1. One pixel beyond each edge is computed: no seams between bands or tiles."""
    around_columns = np.concatenate([columns[:1] - 1, columns, columns[-1:] + 1])
    around_rows = np.concatenate([rows[:1] - 1, rows, rows[-1:] + 1])
    height = level(around_columns, around_rows) * (strength * 16.0)
    x = height[1:-1, :-2] - height[1:-1, 2:]
    y = height[2:, 1:-1] - height[:-2, 1:-1]  # rows go down, Y goes up
    length = np.sqrt(x * x + y * y + 1.0)
    return np.stack([x / length, y / length, 1.0 / length], axis=-1) * 0.5 + 0.5
