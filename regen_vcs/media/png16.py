"""PNG of 16 bits a sample, all of them: Pillow keeps eight of colour pictures.

Rows are unfiltered together. The Average and Paeth filters need the pixel to the left and the three around it
above, so pixels that lie on one diagonal depend only on the two diagonals before: a step is one array operation
over all rows of a band.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from regen_vcs.media.reading import MAX_DECODED_BYTES, CannotDecode, check_size, read_exactly

_LAYOUTS = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 64 << 10
_BAND_ROWS = 1024  # few steps, each of some thousand samples
_BAND_BYTES = 32 << 20


def read_png16(file: BinaryIO) -> tuple[str, np.ndarray]:
    """(layout, samples): L, LA, RGB or RGBA, and (height, width, channels) of uint16.

    A transparent colour (tRNS) becomes alpha. CannotDecode or zlib.error for damage, size and animation.
    """
    file.seek(8)
    chunks = _Chunks(file)
    kind, header = chunks.next_small()
    width, height, depth, colour, compression, method, interlace = struct.unpack(">IIBBBBB", header)
    if kind != b"IHDR" or depth != 16 or colour not in _LAYOUTS or compression or method or interlace > 1:
        raise CannotDecode("not a PNG of 16 bits")
    check_size(width, height)
    layout = _LAYOUTS[colour]
    if 2 * width * height * len(layout) > MAX_DECODED_BYTES:
        raise CannotDecode(f"{width} × {height} pixels of {layout}")
    inflated = _Inflated(chunks)
    # Zeros cost nothing until they are written to: a file of a few bytes may claim any size.
    samples = np.zeros((height, width, len(layout)), dtype=np.uint16)
    for x, y, x_step, y_step in _ADAM7 if interlace else ((0, 0, 1, 1),):
        _read_pass(inflated, samples[y::y_step, x::x_step])
    if chunks.transparent is not None:
        return _with_alpha(layout, samples, chunks.transparent)
    return layout, samples


def _with_alpha(layout: str, samples: np.ndarray, transparent: bytes) -> tuple[str, np.ndarray]:
    if layout not in ("L", "RGB") or len(transparent) != 2 * len(layout):
        raise CannotDecode("a transparent colour out of place")
    colour = np.frombuffer(transparent, dtype=">u2")
    alpha = np.where((samples == colour).all(axis=2), 0, 0xFFFF).astype(np.uint16)
    return layout + "A", np.concatenate([samples, alpha[..., None]], axis=2)


class _Chunks:
    """The chunks of a PNG, each checked against its CRC."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._ahead: tuple[int, bytes] | None = None
        self.transparent: bytes | None = None

    def next_small(self) -> tuple[bytes, bytes]:
        size, kind = struct.unpack(">I4s", read_exactly(self._file, 8))
        if size > _PIECE:
            raise CannotDecode("an oversized chunk")
        return kind, b"".join(self._pieces(size, kind))

    def pixels(self) -> Iterator[bytes]:
        """What the IDAT chunks hold, in pieces."""
        begun = False
        while True:
            size, kind = struct.unpack(">I4s", read_exactly(self._file, 8))
            if kind == b"IDAT":
                begun = True
                yield from self._pieces(size, kind)
            elif begun or kind == b"IEND":
                return
            elif kind == b"acTL":
                raise CannotDecode("an animation of 16 bits")
            elif kind == b"tRNS" and size <= 6:
                self.transparent = b"".join(self._pieces(size, kind))
            else:
                self._file.seek(size + 4, 1)

    def _pieces(self, size: int, kind: bytes) -> Iterator[bytes]:
        crc = zlib.crc32(kind)
        while size:
            piece = read_exactly(self._file, min(size, _PIECE))
            crc = zlib.crc32(piece, crc)
            size -= len(piece)
            yield piece
        if struct.unpack(">I", read_exactly(self._file, 4))[0] != crc:
            raise CannotDecode("a chunk is damaged")


class _Inflated:
    """The filtered rows: never more in memory than is asked for."""

    def __init__(self, chunks: _Chunks):
        self._pieces = chunks.pixels()
        self._inflate = zlib.decompressobj()
        self._rest = b""

    def read(self, size: int) -> bytearray:
        """Exactly `size` bytes; CannotDecode where the stream ends before."""
        out = bytearray()
        while len(out) < size:
            data = self._rest or next(self._pieces, b"")
            out += self._inflate.decompress(data, size - len(out))
            self._rest = self._inflate.unconsumed_tail
            if not data and len(out) < size:
                raise CannotDecode("the pixels end early")
        return out


def _read_pass(inflated: _Inflated, samples: np.ndarray) -> None:
    """Fill (rows, columns, channels), which may be every n-th pixel of a larger picture."""
    rows, columns, channels = samples.shape
    if not rows or not columns:
        return  # Adam7 leaves out empty passes
    pixel = 2 * channels
    stride = columns * pixel
    above = np.zeros(stride, dtype=np.uint8)
    band = max(1, min(rows, _BAND_ROWS, _BAND_BYTES // stride))
    for start in range(0, rows, band):
        count = min(band, rows - start)
        raw = np.frombuffer(inflated.read(count * (stride + 1)), dtype=np.uint8).reshape(count, stride + 1)
        lines = _unfilter(raw[:, 0], raw[:, 1:], above, pixel)
        above = lines[-1].copy()
        samples[start : start + count] = lines.view(">u2").reshape(count, columns, channels)


def _unfilter(kinds: np.ndarray, rows: np.ndarray, above: np.ndarray, pixel: int) -> np.ndarray:
    """kinds: (n,), rows: (n, stride), above: (stride,), all uint8 → (n, stride), contiguous."""
    most = int(kinds.max())
    if most > 4:
        raise CannotDecode("an unknown filter")
    if most > 2:
        return _unfilter_diagonals(kinds, rows, above, pixel)
    lines = rows.copy()
    for index, kind in enumerate(kinds):
        if kind == 1:
            by_pixel = lines[index].reshape(-1, pixel)
            np.cumsum(by_pixel, axis=0, dtype=np.uint8, out=by_pixel)
        elif kind == 2:
            lines[index] += lines[index - 1] if index else above
    return lines


def _unfilter_diagonals(kinds: np.ndarray, rows: np.ndarray, above: np.ndarray, pixel: int) -> np.ndarray:
    """All five filters. `skew[x + 1 + row, row]` is a pixel; row 0 is the one above, x = -1 a zero margin.

    So the left neighbour stands at [k - 1, row], the one above at [k - 1, row - 1], the one above it to the left
    at [k - 2, row - 1].
    """
    count, stride = rows.shape
    width = stride // pixel
    skew = np.zeros((width + count + 1, count + 1, pixel), dtype=np.int16)
    step = skew.strides
    straight = np.lib.stride_tricks.as_strided(
        skew[1:], shape=(count + 1, width, pixel), strides=(step[0] + step[1], step[0], step[2])
    )
    straight[0] = above.reshape(width, pixel)
    straight[1:] = rows.reshape(count, width, pixel)
    is_sub, is_up, is_average, is_paeth = (np.equal(kinds, kind).astype(np.int16)[:, None] for kind in (1, 2, 3, 4))
    any_paeth, is_mixed = bool(is_paeth.any()), not is_paeth.all()
    for k in range(2, width + count + 1):
        first, last = max(1, k - width), min(count, k - 1)
        here = slice(first - 1, last)  # in the masks, which have no row above
        left = skew[k - 1, first : last + 1]
        up = skew[k - 1, first - 1 : last]
        corner = skew[k - 2, first - 1 : last]
        predicted = _paeth(left, up, corner) if any_paeth else np.zeros_like(left)
        if is_mixed:
            predicted *= is_paeth[here]
            predicted += left * is_sub[here]
            predicted += up * is_up[here]
            predicted += (left + up >> 1) * is_average[here]
        target = skew[k, first : last + 1]
        target += predicted
        target &= 0xFF
    return np.ascontiguousarray(straight[1:].astype(np.uint8).reshape(count, stride))


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Of the three neighbours the one nearest to left + up - corner; the first of them where two are as near."""
    over_left = up - corner
    over_up = left - corner
    to_corner = np.abs(over_left + over_up)
    to_left, to_up = np.abs(over_left), np.abs(over_up)
    nearest = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
