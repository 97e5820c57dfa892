"""What a diffusers recipe may say, and what a table may. Light: read wherever a recipe is written or checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue

from regen_vcs.errors import InvalidError
from regen_vcs.model.schema import Params, Seed, near_miss

_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
_KEYS = frozenset({"uses", "timeout", "env", "paid", "cost", "params", "pipeline", "options"})

# name: type. What a pipeline is loaded with; anything that could name code or another model is not among them.
OPTIONS: dict[str, type] = {
    "variant": str,  # "fp16": of several files for the same weights
    "safety_checker": bool,  # false: without
    "vae_slicing": bool,
    "vae_tiling": bool,
    "attention_slicing": bool,
    "cpu_offload": bool,  # parts wait in main memory until they are needed
}


class DiffusersParams(Params):
    """Parameters of every pipeline; what only some know goes into `extra`, by the pipeline's own names."""

    prompt: str = ""
    negative_prompt: str = ""
    seed: Seed = 0
    steps: int = Field(30, ge=1, le=1000, description="Denoising steps.")
    guidance: float = Field(7.5, ge=0, le=100, description="Guidance scale; 0 for distilled models.")
    width: int | None = Field(None, ge=8, le=16384, description="Pixels; none: the model's own size.")
    height: int | None = Field(None, ge=8, le=16384, description="Pixels; none: the model's own size.")
    strength: float | None = Field(None, ge=0, le=1, description="How much of an input image is made anew.")
    num_frames: int | None = Field(None, ge=1, le=10_000, description="Frames of a video.")
    fps: float = Field(24.0, gt=0, le=1000, description="Frames a second in an .mp4.")
    scheduler: str | None = Field(
        None, pattern=_CLASS.pattern.replace(r"\Z", "$"), description="Class of diffusers; none: the model's own."
    )
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    extra: dict[str, JsonValue] = Field({}, description="More arguments of the pipeline, by its own names.")


def fold_seed(seed: int) -> int:
    """0 … 2^64-1 → 0 … 2^32-1: torch's CPU generator drops the upper half, so 1 and 2^32+1 would be one picture.

    Both halves are joined by exclusive or; a seed below 2^32 is itself.
    """
    return (seed >> 32) ^ (seed & 0xFFFF_FFFF)


def check_table(table: Mapping[str, Any], where: str) -> None:
    """InvalidError, with its field, where a table says what means nothing here or could name code."""
    for key in table:
        if key not in _KEYS:
            raise InvalidError(f"[{where}]: {key} means nothing to diffusers", near_miss(key, _KEYS), field=f"{where}.{key}")
    pipeline = table.get("pipeline")
    if pipeline is not None and (not isinstance(pipeline, str) or not _CLASS.match(pipeline)):
        raise InvalidError(
            f"[{where}]: pipeline is the name of a class of diffusers, not {pipeline!r}",
            "as in StableDiffusionXLPipeline", field=f"{where}.pipeline",
        )  # fmt: skip
    options = table.get("options", {})
    if not isinstance(options, Mapping):
        raise InvalidError(f"[{where}]: options is a table", field=f"{where}.options")
    for name, value in options.items():
        _check_option(name, value, f"{where}.options.{name}")


def _check_option(name: str, value: Any, field: str) -> None:
    kind = OPTIONS.get(name)
    if kind is None:
        hint = near_miss(name, OPTIONS) or "there are: " + ", ".join(OPTIONS)
        raise InvalidError(f"[{field}] is not an option there is", hint, field=field)
    if type(value) is not kind or (kind is str and not re.fullmatch(r"[A-Za-z0-9_]+", value)):
        raise InvalidError(f"[{field}] is {value!r}, not {'true or false' if kind is bool else 'a word'}", field=field)
