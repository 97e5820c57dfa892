"""Pictures, decoded with nothing lost: frames of planes.

Pillow decodes what has eight bits a sample, `png16` PNG of sixteen, OpenEXR half and float. What would lose bits on
the way (TIFF or AVIF of more than eight bits in colour) is CannotDecode: two different pictures must not look equal.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from regen_vcs.media import exr_header
from regen_vcs.media.png16 import read_png16
from regen_vcs.media.reading import (
    MAX_ANIMATION_PIXELS,
    MAX_DECODED_BYTES,
    MAX_PICTURE_BYTES,
    CannotDecode,
    check_size,
)

# Pillow warns of odd metadata on stderr; whoever asks for pixels can do nothing about it.
warnings.filterwarnings("ignore", module=r"PIL\.")

PILLOW_FORMATS = {
    "image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP", "image/bmp": "BMP",
    "image/tiff": "TIFF", "image/avif": "AVIF", "image/jp2": "JPEG2000", "image/x-portable-pixmap": "PPM",
    "image/x-portable-graymap": "PPM", "image/x-portable-bitmap": "PPM",
}  # fmt: skip
# JPEG is not here: further pictures in it are previews and gain maps, beside the one it shows.
_MANY_FRAMES = frozenset({"image/png", "image/gif", "image/webp", "image/tiff", "image/avif"})
_KEPT_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"})


class Plane(NamedTuple):
    """`name`: the letters of the channels ("RGB"), or one EXR channel. `samples`: (height, width, channels)."""

    name: str
    samples: np.ndarray


class Frame(NamedTuple):
    """`note`: what else decides what is seen: how long a frame stands, where an EXR's window lies.

    `is_scene`: linear light as EXR holds it, a plane for each channel; else one plane as a screen shows it.
    """

    planes: tuple[Plane, ...]
    note: str = ""
    is_scene: bool = False


def read_frames(file: BinaryIO, path_abs: str, header: dict) -> Iterator[Frame]:
    """Frames or pages in turn (an EXR's parts). CannotDecode, or whatever a decoder raises for damage."""
    if os.fstat(file.fileno()).st_size > MAX_PICTURE_BYTES:
        raise CannotDecode("the file is too big")
    media_type = header.get("type")
    if media_type == "image/x-exr":
        return _exr_frames(file, path_abs)
    check_size(header.get("width", 0), header.get("height", 0))
    if media_type == "image/png" and header.get("depth") == 16:
        return iter([Frame((Plane(*read_png16(file)),))])
    return _pillow_frames(file, header)


def open_picture(file: BinaryIO, header: dict) -> Image.Image:
    """Pillow's view of it, not decoded yet."""
    name = PILLOW_FORMATS.get(header["type"])
    if name is None:
        raise CannotDecode(f"{header['type']} is not decoded here")
    check_size(header.get("width", 0), header.get("height", 0))
    file.seek(0)
    picture = Image.open(file, formats=[name])
    check_size(*picture.size)
    return picture


def _pillow_frames(file: BinaryIO, header: dict) -> Iterator[Frame]:
    with open_picture(file, header) as picture:
        count = getattr(picture, "n_frames", 1) if header["type"] in _MANY_FRAMES else 1
        seen = 0
        for index in range(count):
            picture.seek(index)
            check_size(*picture.size)
            seen += picture.width * picture.height
            if seen > MAX_ANIMATION_PIXELS:
                raise CannotDecode("too many frames")
            picture.load()
            note = f"{round(picture.info.get('duration') or 0)} ms" if count > 1 else ""
            yield Frame((_plane(picture, header, in_colour=count > 1 and header["type"] != "image/tiff"),), note)


def _plane(picture: Image.Image, header: dict, *, in_colour: bool) -> Plane:
    """What is shown. A palette is a way to store, and so are the frames of an animation that lack one."""
    mode = picture.mode
    if mode.startswith("I;16"):
        return Plane("L", np.asarray(picture).astype("<u2", copy=False)[..., None])
    if mode in ("I", "F"):
        return Plane(mode, np.asarray(picture).astype("<i4" if mode == "I" else "<f4", copy=False)[..., None])
    if _depth(picture, header) > 8:
        raise CannotDecode("more bits than would be kept")
    if in_colour or mode in ("P", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    elif mode not in _KEPT_MODES:
        picture = picture.convert({"1": "L", "RGBX": "RGB"}[mode])
    samples = np.asarray(picture)
    return Plane(picture.mode, samples[..., None] if samples.ndim == 2 else samples)


def _depth(picture: Image.Image, header: dict) -> int:
    """Bits a sample; unknown counts as too many."""
    if header["type"] == "image/tiff":  # each page has its own
        return max(picture.tag_v2.get(258, (1,)))
    return 8 if header["type"] == "image/bmp" else header.get("depth", 99)


def _exr_frames(file: BinaryIO, path_abs: str) -> Iterator[Frame]:
    parts = exr_header.read_parts(file)
    for part in parts:
        check_size(part.width, part.height)
    if sum(part.decoded_bytes for part in parts) > MAX_DECODED_BYTES:
        raise CannotDecode("too many samples")
    from regen_vcs.media.exr import read_channels  # OpenEXR costs 100 ms, which other pictures need not pay

    for part, channels in zip(parts, read_channels(path_abs, parts), strict=True):
        planes = tuple(Plane(name, samples[..., None]) for name, samples in sorted(channels.items()))
        yield Frame(planes, _windows(part), is_scene=True)


def _windows(part: exr_header.Part) -> str:
    """The size of the display window, and where in it the pixels begin: 1920x1080+0+0."""
    display = part.display
    return (
        f"{display.right - display.left + 1}x{display.bottom - display.top + 1}"
        f"{part.data.left - display.left:+}{part.data.top - display.top:+}"
    )
