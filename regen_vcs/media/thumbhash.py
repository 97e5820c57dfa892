"""ThumbHash: a picture's preview in some 25 bytes, after Evan Wallace's public format.

The picture becomes luminance, two colour differences (yellow-blue P, red-green Q) and alpha, and of each the lowest
terms of a cosine transform are kept: the constant with 6 bits, the others with 4 bits of a common scale.

    bytes 0-2   l_dc:6  p_dc:6  q_dc:6  l_scale:5  has_alpha:1
    bytes 3-4   terms along the shorter side:3  p_scale:6  q_scale:6  is_landscape:1
    byte  5     a_dc:4  a_scale:4, with alpha only
    then        4 bits a term: L, P, Q, A
"""

from __future__ import annotations

import base64
import binascii
import math

import numpy as np

from regen_vcs.media.reading import CannotDecode

MAX_SIDE = 100  # pixels: what the format allows as input
_MAX_DECODED_SIDE = 1024
_FLAT = 1e-9  # rounding errors, which must not be blown up to the full range of a term
_CHROMA_BOOST = 1.25  # of the decoder: quantisation dulls colours


def to_text(look: bytes) -> str:
    return base64.b64encode(look).decode("ascii")


def from_text(text: str) -> bytes:
    """The bytes of a look; CannotDecode where they are none."""
    try:
        look = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise CannotDecode("not base64") from None
    if len(look) < 5 or len(look) != _length(look):
        raise CannotDecode("not a ThumbHash")
    return look


def encode(rgba: np.ndarray) -> bytes:
    """rgba: (height, width, 4) of uint8, straight alpha, no side over 100 pixels."""
    height, width, _ = rgba.shape
    values = rgba.astype(np.float64) / 255
    alpha = values[..., 3]
    total = alpha.sum()
    average = (values[..., :3] * alpha[..., None]).sum(axis=(0, 1)) / total if total else np.zeros(3)
    has_alpha = total < width * height
    # What is transparent shows the average colour, so that its edge costs no terms.
    red, green, blue = np.moveaxis(average * (1 - alpha[..., None]) + values[..., :3] * alpha[..., None], 2, 0)
    columns, rows = _terms_along(width, height, has_alpha)
    l_dc, l_ac, l_scale = _transform((red + green + blue) / 3, max(3, columns), max(3, rows))
    p_dc, p_ac, p_scale = _transform((red + green) / 2 - blue, 3, 3)
    q_dc, q_ac, q_scale = _transform(red - green, 3, 3)
    is_landscape = width > height
    first = (
        _round(63 * l_dc) | _round(31.5 + 31.5 * p_dc) << 6 | _round(31.5 + 31.5 * q_dc) << 12
        | _round(31 * l_scale) << 18 | has_alpha << 23
    )  # fmt: skip
    second = (
        (rows if is_landscape else columns) | _round(63 * p_scale) << 3 | _round(63 * q_scale) << 9 | is_landscape << 15
    )
    out = bytearray(int(first).to_bytes(3, "little") + int(second).to_bytes(2, "little"))
    terms = [*l_ac, *p_ac, *q_ac]
    if has_alpha:
        a_dc, a_ac, a_scale = _transform(alpha, 5, 5)
        out.append(_round(15 * a_dc) | _round(15 * a_scale) << 4)
        terms += a_ac
    nibbles = [_round(15 * term) for term in terms] + [0]
    out += bytes(low | high << 4 for low, high in zip(nibbles[:-1:2], nibbles[1::2], strict=False))
    return bytes(out)


def average(look: bytes) -> tuple[float, float, float, float]:
    """Red, green, blue, alpha, each 0…1."""
    bits = int.from_bytes(look[:3], "little")
    alpha = (look[5] & 15) / 15 if bits >> 23 else 1.0
    colour = _to_rgb((bits & 63) / 63, (bits >> 6 & 63) / 31.5 - 1, (bits >> 12 & 63) / 31.5 - 1)
    return *(min(1.0, max(0.0, float(value))) for value in colour), alpha


def decode(look: bytes, size: int = 32) -> tuple[int, int, bytes]:
    """(width, height, RGBA bytes); the longer side has `size` pixels, 1 to 1024."""
    size = min(_MAX_DECODED_SIDE, max(1, size))
    bits, more = int.from_bytes(look[:3], "little"), int.from_bytes(look[3:5], "little")
    columns, rows, has_alpha = _terms_of(look)
    width = max(1, _round(size * min(1.0, columns / rows)))
    height = max(1, _round(size * min(1.0, rows / columns)))
    terms = iter(_nibbles(look[6 if has_alpha else 5 :]))

    def channel(constant: float, columns: int, rows: int, scale: float) -> np.ndarray:
        weights = np.zeros((rows, columns))
        for y, x in _indices(columns, rows):
            # Each term of a cosine series but the constant stands for two of the Fourier series.
            weights[y, x] = 2 * scale * (next(terms) / 7.5 - 1)
        weights[0, 0] = constant
        return _cosines(height, rows).T @ weights @ _cosines(width, columns)

    luminance = channel((bits & 63) / 63, max(3, columns), max(3, rows), (bits >> 18 & 31) / 31)
    p = channel((bits >> 6 & 63) / 31.5 - 1, 3, 3, _CHROMA_BOOST * (more >> 3 & 63) / 63)
    q = channel((bits >> 12 & 63) / 31.5 - 1, 3, 3, _CHROMA_BOOST * (more >> 9 & 63) / 63)
    alpha = np.ones_like(luminance)
    if has_alpha:
        alpha = channel((look[5] & 15) / 15, 5, 5, (look[5] >> 4) / 15)
    rgba = np.stack([*_to_rgb(luminance, p, q), alpha], axis=2)
    return width, height, (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8).tobytes()


def _to_rgb(luminance, p, q):
    blue = luminance - p * 2 / 3
    red = (3 * luminance - blue + q) / 2
    return red, red - q, blue


def _terms_along(width: int, height: int, has_alpha: bool) -> tuple[int, int]:
    """Terms of luminance along each side: fewer where alpha needs room."""
    most = 5 if has_alpha else 7
    longer = max(width, height)
    return max(1, _round(most * width / longer)), max(1, _round(most * height / longer))


def _terms_of(look: bytes) -> tuple[int, int, bool]:
    """(columns, rows, has_alpha): their ratio is the picture's, nearly."""
    has_alpha, is_landscape = bool(look[2] & 0x80), bool(look[4] & 0x80)
    most, less = 5 if has_alpha else 7, max(1, look[3] & 7)
    return (most, less, has_alpha) if is_landscape else (less, most, has_alpha)


def _length(look: bytes) -> int:
    columns, rows, has_alpha = _terms_of(look)
    terms = len(_indices(max(3, columns), max(3, rows))) + 2 * len(_indices(3, 3))
    terms += len(_indices(5, 5)) if has_alpha else 0
    return (6 if has_alpha else 5) + (terms + 1) // 2


def _indices(columns: int, rows: int) -> list[tuple[int, int]]:
    """(y, x) of the terms kept, without the constant: a triangle, in the order of the format."""
    return [
        (y, x) for y in range(rows) for x in range(columns) if x * rows < columns * (rows - y) and (x or y)
    ]  # fmt: skip


def _cosines(length: int, terms: int) -> np.ndarray:
    """(terms, length)."""
    return np.cos(np.pi / length * np.arange(terms)[:, None] * (np.arange(length) + 0.5)[None, :])


def _transform(channel: np.ndarray, columns: int, rows: int) -> tuple[float, list[float], float]:
    """(constant, the other terms moved to 0…1, their scale) of a (height, width) channel."""
    height, width = channel.shape
    found = _cosines(height, rows) @ channel @ _cosines(width, columns).T / (width * height)
    terms = [float(found[y, x]) for y, x in _indices(columns, rows)]
    scale = max(map(abs, terms), default=0.0)
    if scale < _FLAT:
        return float(found[0, 0]), [0.0] * len(terms), 0.0
    return float(found[0, 0]), [0.5 + 0.5 * term / scale for term in terms], scale


def _nibbles(data: bytes) -> list[int]:
    return [half for byte in data for half in (byte & 15, byte >> 4)]


def _round(value: float) -> int:
    """Halves up, as the format's first implementation rounds."""
    return math.floor(value + 0.5)
