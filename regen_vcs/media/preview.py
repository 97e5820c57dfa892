"""The look of a picture: decoded no larger than needed, made small, and hashed to a preview."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np
from PIL import Image

from regen_vcs.media import thumbhash
from regen_vcs.media.headers import header_of
from regen_vcs.media.pictures import Frame, Plane, open_picture, read_frames
from regen_vcs.media.reading import MAX_PICTURE_BYTES, CannotDecode, open_media
from regen_vcs.media.tone import colour_of_exr, finite, straight, to_display

_SIDE = thumbhash.MAX_SIDE


def look_of(path_abs: str) -> str | None:
    """See `regen_vcs.media.look`; raises for damage and what is too big."""
    with open_media(path_abs) as file:
        header = header_of(file)
        media_type = header.get("type", "")
        if not media_type.startswith("image/"):
            return None
        small = _small_exr(file, path_abs, header) if media_type == "image/x-exr" else _small(file, header)
    return thumbhash.to_text(thumbhash.encode(np.asarray(small)))


def _small(file: BinaryIO, header: dict) -> Image.Image:
    """RGBA, no side over 100 pixels: the first frame."""
    if os.fstat(file.fileno()).st_size > MAX_PICTURE_BYTES:
        raise CannotDecode("the file is too big")
    with open_picture(file, header) as picture:
        # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time.
        picture.draft("RGB", (2 * _SIDE, 2 * _SIDE))
        picture.load()
        return _shrink(_in_colour(picture))


def _in_colour(picture: Image.Image) -> Image.Image:
    """8 bits RGB or RGBA (premultiplied, so that what is transparent does not bleed)."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        values = np.asarray(picture).astype(np.float32)
        top = 65535 if picture.mode == "I" else 1
        return Image.fromarray((np.clip(np.nan_to_num(values / top), 0, 1) * 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        return picture.convert("RGBA").convert("RGBa")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _shrink(picture: Image.Image) -> Image.Image:
    longer = max(picture.size)
    if longer > _SIDE:
        size = tuple(max(1, round(side * _SIDE / longer)) for side in picture.size)
        picture = picture.resize(size, Image.Resampling.BOX)
    return picture.convert("RGBA")


def _small_exr(file: BinaryIO, path_abs: str, header: dict) -> Image.Image:
    colour, alpha = colour_of_exr(_thinned(next(read_frames(file, path_abs, header))))
    if colour is None:
        raise CannotDecode("no colour")
    step = max(1, max(colour.shape[:2]) // (2 * _SIDE))
    small = _mean_blocks(colour, step)
    opacity = np.ones_like(small[..., :1]) if alpha is None else np.clip(_mean_blocks(alpha, step), 0, 1)
    shown = to_display(straight(small, opacity))
    if shown.shape[2] == 1:
        shown = np.repeat(shown, 3, axis=2)
    rgba = (np.concatenate([shown, opacity], axis=2) * 255 + 0.5).astype(np.uint8)
    return _shrink(Image.fromarray(rgba).convert("RGBa"))


def _thinned(frame: Frame) -> Frame:
    """Every n-th sample each way, some 1,000 along the longer side: enough for a mean over what a pixel stands for."""
    step = max(1, max(max(plane.samples.shape[:2]) for plane in frame.planes) // (10 * _SIDE))
    return frame._replace(planes=tuple(Plane(plane.name, plane.samples[::step, ::step]) for plane in frame.planes))


def _mean_blocks(samples: np.ndarray, step: int) -> np.ndarray:
    """(height, width, channels) → about `step` times smaller each way, float32; what is left over at the rim is cut."""
    height, width, channels = samples.shape
    rows, columns = height // step, width // step
    if step == 1 or not rows or not columns:
        return finite(samples[::step, ::step])
    blocks = finite(samples[: rows * step, : columns * step]).reshape(rows, step, columns, step, channels)
    return blocks.mean(axis=(1, 3))
