"""Stand-ins for media that are not here: of their size and length, blurred from their look, with a few words on them.

Numbers come from a recipe, and may be anything: they are bounded here. What would be larger than the bounds has no stand-in.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from regen_vcs.media.preview import to_png
from regen_vcs.media.reading import CannotDecode
from regen_vcs.media.thumbhash import decode, from_text

PICTURE, SEQUENCE, MOVIE, SOUND = "picture", "sequence", "movie", "sound"
ENDINGS = {PICTURE: ".png", SEQUENCE: ".png", MOVIE: ".avi", SOUND: ".wav"}

_MAX_SIDE, _MAX_PIXELS = 16_384, 64 << 20
_MAX_BYTES = 128 << 20  # of a movie or a sound
_GREY, _WHITE, _DARK = (70, 70, 74), (235, 235, 235), (20, 20, 22)
_RATES = (8_000, 192_000)


class NoStandIn(ValueError):
    """There is none for such media. str(): why."""


def kind_of(media: Mapping[str, object], *, is_tree: bool) -> str:
    """Which kind stands in for it. NoStandIn for what is no picture, movie or sound."""
    general = str(media.get("type", "")).partition("/")[0]
    if _number(media.get("width"), _MAX_SIDE) and _number(media.get("height"), _MAX_SIDE):
        return SEQUENCE if is_tree else MOVIE if general == "video" else PICTURE
    if general == "audio" and not is_tree:
        return SOUND
    raise NoStandIn("nobody knows its size" if general in ("image", "video") else "it is no picture, movie or sound")


def draw_stand_in(kind: str, media: Mapping[str, object], look: str | None, words: str) -> bytes:
    """The bytes of a PNG, of a Motion-JPEG AVI or of a WAV. NoStandIn where it would be too large."""
    if kind == SOUND:
        return _silence(media)
    picture = _picture(media, look, words)
    if kind != MOVIE:
        return to_png(picture)
    frame = io.BytesIO()
    picture.save(frame, "JPEG", quality=60)
    return _movie(frame.getvalue(), picture.size, media)


def _number(value: object, limit: float) -> float | None:
    """A number above 0 and up to `limit`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= limit:
        return None
    return value


# -- pictures --------------------------------------------------------------------------------------------------------------


def _picture(media: Mapping[str, object], look: str | None, words: str) -> Image.Image:
    width, height = (int(_number(media.get(side), _MAX_SIDE) or 0) for side in ("width", "height"))
    if width < 1 or height < 1 or width * height > _MAX_PIXELS:
        raise NoStandIn("its size is none that a picture has")
    picture = _blurred(look, width, height)
    _write(picture, words)
    return picture


def _blurred(look: str | None, width: int, height: int) -> Image.Image:
    try:
        across, down, rgba = decode(from_text(look), 32) if look else (0, 0, b"")
    except CannotDecode:
        across = 0
    if not across:
        return Image.new("RGB", (width, height), _GREY)
    small = Image.frombytes("RGBA", (across, down), rgba)
    ground = Image.new("RGBA", small.size, (*_GREY, 255))
    return Image.alpha_composite(ground, small).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


def _write(picture: Image.Image, words: str) -> None:
    """The words in the middle, as large as fits well; on a dark band, so that any picture lets them be read."""
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    size = max(8, min(height // 8, width // 8))
    while True:
        font = ImageFont.load_default(size)
        left, top, right, bottom = pen.textbbox((0, 0), words, font=font)
        if right - left <= width * 0.9 or size <= 8:
            break
        size = max(8, int(size * 0.85))
    if bottom - top + 2 > height:
        return  # a picture of a few pixels
    x, y = (width - (right - left)) / 2 - left, (height - (bottom - top)) / 2 - top
    band = size * 0.6
    pen.rectangle((0, y + top - band, width, y + bottom + band), fill=_DARK)
    pen.text((x, y), words, font=font, fill=_WHITE)


# -- movies ----------------------------------------------------------------------------------------------------------------


def _movie(frame: bytes, size: tuple[int, int], media: Mapping[str, object]) -> bytes:
    """An AVI of one JPEG, again and again."""
    rate = _number(media.get("fps"), 1000) or 24.0
    count = _number(media.get("frames"), 1 << 24) or (_number(media.get("duration"), 1 << 20) or 0) * rate
    frames = max(1, round(count))
    frame += b"\0" * (len(frame) % 2)
    if frames * (len(frame) + 24) > _MAX_BYTES:
        raise NoStandIn("it is too long")
    width, height = size
    scale = 1000
    main = struct.pack("<14I", round(1e6 / rate), len(frame) * round(rate), 0, 0x10, frames, 0, 1, len(frame), width, height, 0, 0, 0, 0)
    stream = b"vidsMJPG" + struct.pack("<IHHIIIIIIiI4H", 0, 0, 0, 0, scale, round(rate * scale), 0, frames, len(frame), -1, 0, 0, 0,
                                       min(width, 0x7FFF), min(height, 0x7FFF))  # fmt: skip
    shape = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    head = _list(b"hdrl", _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", shape)))
    one = _chunk(b"00dc", frame)
    index = b"".join(struct.pack("<4sIII", b"00dc", 0x10, 4 + number * len(one), len(frame)) for number in range(frames))
    return _chunk(b"RIFF", b"AVI " + head + _list(b"movi", one * frames) + _chunk(b"idx1", index))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


def _list(name: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", name + data)


# -- sounds ----------------------------------------------------------------------------------------------------------------


def _silence(media: Mapping[str, object]) -> bytes:
    """A WAV of 16 bits a sample."""
    rate = int(_number(media.get("sample_rate"), _RATES[1]) or 48_000)
    rate = max(_RATES[0], rate)
    channels = int(_number(media.get("channels"), 16) or 1) or 1
    seconds = _number(media.get("duration"), 1 << 20)
    if seconds is None:
        raise NoStandIn("nobody knows its length")
    size = max(1, round(seconds * rate)) * channels * 2
    if size > _MAX_BYTES:
        raise NoStandIn("it is too long")
    shape = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return _chunk(b"RIFF", b"WAVE" + _chunk(b"fmt ", shape) + _chunk(b"data", bytes(size)))
