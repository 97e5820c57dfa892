"""What `blender` accepts, and what a name asks of it: a still, a sequence or a movie."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field as Described
from pydantic import field_validator, model_validator

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import Params
from regen_vcs.model.paths import frames_text, parse_frames, parse_sequence

STILLS = (".png", ".jpg", ".jpeg", ".exr", ".webp", ".tif", ".tiff")
MOVIES = (".mp4", ".mkv", ".mov", ".webm")
MAX_FRAMES = 100_000

_MAX_FRAME = 1_048_574  # Blender's own


class BlenderParams(Params):
    """None everywhere means: as the file has it. docs/blender.md tells more."""

    scene: str | None = Described(None, description="which scene of the file")
    view_layer: str | None = Described(None, description="render this one alone")
    camera: str | None = Described(None, description="a camera of the scene; markers no longer change it")
    engine: Literal["CYCLES", "BLENDER_EEVEE", "BLENDER_WORKBENCH"] | None = Described(None, description="what renders")

    frame: int | None = Described(None, ge=-_MAX_FRAME, le=_MAX_FRAME, description="a still: which frame")
    frames: str | None = Described(None, description='a sequence or movie: its frames, as in "1-48" or "1-24,30"')
    fps: float | None = Described(None, ge=0.01, le=32767, description="frames a second; 23.976 is 24/1.001")

    width: int | None = Described(None, ge=4, le=65536, description="pixels")
    height: int | None = Described(None, ge=4, le=65536, description="pixels")
    percentage: int | None = Described(None, ge=1, le=1000, description="of width and height; 100 where one of them is given")
    samples: int | None = Described(None, ge=1, le=16_777_216, description="Cycles and EEVEE")
    seed: int | None = Described(None, ge=0, le=2_147_483_647, description="of Cycles' noise")
    denoise: bool | None = Described(None, description="Cycles: needs a Blender that can")
    device: Literal["CPU", "GPU"] = Described("CPU", description="what Cycles renders on")

    sequencer: bool | None = Described(None, description="true: the edit of the video sequencer; false: the scene itself")
    transparent: bool | None = Described(None, description="the sky becomes alpha")
    color_depth: Literal[8, 10, 12, 16, 32] | None = Described(None, description="bits a channel, as the format allows")
    codec: str | None = Described(None, description="movies: H264, VP9, AV1, FFV1, …; .exr: ZIP, PIZ, DWAA, …")
    quality: int | Literal["LOSSLESS", "PERC_LOSSLESS", "HIGH", "MEDIUM", "LOW", "VERYLOW", "LOWEST"] | None = Described(
        None, description="movies: a word; .jpg and .webp: 1 to 100"
    )
    audio_codec: str | None = Described(None, description="movies: AAC, FLAC, MP3, OPUS, PCM, VORBIS, NONE")

    @field_validator("frames")
    @classmethod
    def _frames_are(cls, frames: str | None) -> str | None:
        if frames is None:
            return None
        try:
            numbers = frame_numbers(frames)
        except InvalidError as error:
            raise ValueError(f"{error.what}") from None
        return frames_text(numbers)

    @field_validator("quality")
    @classmethod
    def _quality_is_a_share(cls, quality: int | str | None) -> int | str | None:
        if isinstance(quality, int) and not 1 <= quality <= 100:
            raise ValueError("quality goes from 1 to 100")
        return quality

    @model_validator(mode="after")
    def _one_of_both(self) -> BlenderParams:
        if self.frame is not None and self.frames is not None:
            raise ValueError("frame is for a still, frames for a sequence or a movie: give one of them")
        return self


def frame_numbers(frames: str) -> list[int]:
    """The numbers of "1-24,30", rising. InvalidError where it is not so written, or far too long."""
    ranges = parse_frames(frames)
    if sum(last - first + 1 for first, last in ranges) > MAX_FRAMES:
        raise InvalidError(f"frames: more than {MAX_FRAMES:,}")
    return [number for first, last in ranges for number in range(first, last + 1)]


def kind_of(output: str, params: BlenderParams) -> str:
    """"still", "sequence" or "movie"; InvalidError where the name and the parameters ask for different things."""
    name = os.path.basename(output)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in STILLS + MOVIES:
        raise InvalidError(f"{name}: blender writes {', '.join(STILLS + MOVIES)}")
    if suffix in MOVIES:
        _check_movie(name, params)
        return "movie"
    if parse_sequence(name):
        if params.frame is not None:
            raise InvalidError("params.frame: a sequence has several", "frames=1-48", field="params.frame")
        return "sequence"
    if params.frames is not None:
        raise InvalidError(f"params.frames: {name} is a still", "frame=12, or a name with ####", field="params.frames")
    return "still"


def _check_movie(name: str, params: BlenderParams) -> None:
    if parse_sequence(name):
        raise InvalidError(f"{name}: a movie is one file", "a sequence is of pictures: x.####.png")
    if params.frame is not None:
        raise InvalidError("params.frame: a movie has several", "frames=1-48", field="params.frame")
    if params.frames is not None and "," in params.frames:
        raise InvalidError("params.frames: a movie has no holes", 'as in frames=1-48', field="params.frames")
