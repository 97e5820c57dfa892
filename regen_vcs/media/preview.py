"""What a picture looks like, decoded no larger than needed: hashed to a look, or small as a thumbnail."""

from __future__ import annotations

import io
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
    small = _small_picture(path_abs, _SIDE)
    return thumbhash.to_text(thumbhash.encode(np.asarray(small))) if small else None


def thumbnail_of(path_abs: str, side: int) -> bytes | None:
    """See `regen_vcs.media.thumbnail`; raises for damage and what is too big."""
    small = _small_picture(path_abs, side)
    return to_png(small) if small else None


def look_thumbnail_of(look: str, side: int) -> bytes:
    """See `regen_vcs.media.look_thumbnail`; raises for what is no look."""
    across, down, rgba = thumbhash.decode(thumbhash.from_text(look), side)
    return to_png(Image.frombytes("RGBA", (across, down), rgba))


def to_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()


def _small_picture(path_abs: str, side: int) -> Image.Image | None:
    """RGBA, no side over `side` pixels: of several frames the first. None for what is no picture."""
    with open_media(path_abs) as file:
        header = header_of(file)
        media_type = header.get("type", "")
        if not media_type.startswith("image/"):
            return None
        return _small_exr(file, path_abs, header, side) if media_type == "image/x-exr" else _small(file, header, side)


def _small(file: BinaryIO, header: dict, side: int) -> Image.Image:
    if os.fstat(file.fileno()).st_size > MAX_PICTURE_BYTES:
        raise CannotDecode("the file is too big")
    with open_picture(file, header) as picture:
        # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time.
        picture.draft("RGB", (2 * side, 2 * side))
        picture.load()
        return _shrink(_in_colour(picture), side)


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


def _shrink(picture: Image.Image, side: int) -> Image.Image:
    longer = max(picture.size)
    if longer > side:
        size = tuple(max(1, round(each * side / longer)) for each in picture.size)
        picture = picture.resize(size, Image.Resampling.BOX)
    return picture.convert("RGBA")


def _small_exr(file: BinaryIO, path_abs: str, header: dict, side: int) -> Image.Image:
    colour, alpha = colour_of_exr(_thinned(next(read_frames(file, path_abs, header)), side))
    if colour is None:
        raise CannotDecode("no colour")
    step = max(1, max(colour.shape[:2]) // (2 * side))
    small = _mean_blocks(colour, step)
    opacity = np.ones_like(small[..., :1]) if alpha is None else np.clip(_mean_blocks(alpha, step), 0, 1)
    shown = to_display(straight(small, opacity))
    if shown.shape[2] == 1:
        shown = np.repeat(shown, 3, axis=2)
    rgba = (np.concatenate([shown, opacity], axis=2) * 255 + 0.5).astype(np.uint8)
    return _shrink(Image.fromarray(rgba).convert("RGBa"), side)


def _thinned(frame: Frame, side: int) -> Frame:
    """Every n-th sample each way, ten of them for each pixel that is left: enough for a mean over what it stands for."""
    step = max(1, max(max(plane.samples.shape[:2]) for plane in frame.planes) // (10 * side))
    return frame._replace(planes=tuple(Plane(plane.name, plane.samples[::step, ::step]) for plane in frame.planes))


def _mean_blocks(samples: np.ndarray, step: int) -> np.ndarray:
    """(height, width, channels) → about `step` times smaller each way, float32; what is left over at the rim is cut."""
    height, width, channels = samples.shape
    rows, columns = height // step, width // step
    if step == 1 or not rows or not columns:
        return finite(samples[::step, ::step])
    blocks = finite(samples[: rows * step, : columns * step]).reshape(rows, step, columns, step, channels)
    return blocks.mean(axis=(1, 3))
