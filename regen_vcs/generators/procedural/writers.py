"""Picture and sound files written a band at a time, with nothing in them but the samples: no dates, no names.

PNG and EXR are written here rather than by a library because both must take any size in bounded memory, and
because the bytes then depend on zlib alone.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np

# Level 6 costs three times as much for 4 % on noise.
PNG_LEVEL = 4
EXR_LEVEL = 4
# Changes whenever the same samples would be written as other bytes by the same zlib.
ENCODER = f"png {PNG_LEVEL}, exr {EXR_LEVEL}, 1"
_EXR_LINES = 16  # scan lines in one block of ZIP compression, fixed by the format


class PngWriter:
    """8 or 16 bits, grey (1 channel) or RGB (3). Rows come top to bottom, any number at a time."""

    def __init__(self, out: BinaryIO, width: int, height: int, channels: int, depth: int):
        self._out = out
        self._top = (1 << depth) - 1
        self._sample = np.dtype(">u2" if depth == 16 else "u1")
        self._above = np.zeros(width * channels * self._sample.itemsize, dtype=np.uint8)
        self._deflate = zlib.compressobj(PNG_LEVEL)
        out.write(b"\x89PNG\r\n\x1a\n")
        colour = {1: 0, 3: 2}[channels]
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))

    def write(self, rows: np.ndarray) -> None:
        """rows: (n, width) or (n, width, channels), 0…1; values outside are clipped, halves round up."""
        values = np.minimum(np.maximum(rows, 0.0), 1.0)
        samples = np.floor(values * self._top + 0.5).astype(self._sample)
        lines = np.ascontiguousarray(samples).view(np.uint8).reshape(len(rows), -1)
        # Each byte less the one above it (PNG's filter 2): good on smooth pictures, and vectorised.
        previous = np.concatenate([self._above[None, :], lines[:-1]])
        filtered = np.full((len(lines), lines.shape[1] + 1), 2, dtype=np.uint8)
        np.subtract(lines, previous, out=filtered[:, 1:])
        self._above = lines[-1].copy()
        packed = self._deflate.compress(filtered)
        if packed:
            self._chunk(b"IDAT", packed)

    def close(self) -> None:
        self._chunk(b"IDAT", self._deflate.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


class ExrWriter:
    """Scan-line OpenEXR, ZIP-compressed, half (16) or float (32); Y (1 channel) or RGB (3)."""

    def __init__(self, out: BinaryIO, width: int, height: int, channels: int, depth: int):
        self._out = out
        self._height = height
        self._sample = np.dtype("<f2" if depth == 16 else "<f4")
        names = {1: ["Y"], 3: ["R", "G", "B"]}[channels]
        # The file holds channels in the order of their names: B, G, R.
        self._order = [names.index(name) for name in sorted(names)]
        self._pending: list[np.ndarray] = []
        self._line = 0
        out.write(_exr_header(width, height, sorted(names), 1 if depth == 16 else 2))
        self._table_at = out.tell()
        self._offsets: list[int] = []
        out.write(bytes(8 * -(-height // _EXR_LINES)))

    def write(self, rows: np.ndarray) -> None:
        """rows: (n, width) or (n, width, channels), any finite value."""
        if rows.ndim == 2:
            rows = rows[..., None]
        # To float32 first: rounded twice everywhere, rather than once or twice by the hardware's choice.
        samples = rows.astype(np.float32).astype(self._sample)[..., self._order]
        self._pending.extend(np.ascontiguousarray(line.T).view(np.uint8).reshape(-1) for line in samples)
        while len(self._pending) >= _EXR_LINES:
            self._block(_EXR_LINES)

    def close(self) -> None:
        if self._pending:
            self._block(len(self._pending))
        end = self._out.tell()
        self._out.seek(self._table_at)
        self._out.write(struct.pack(f"<{len(self._offsets)}Q", *self._offsets))
        self._out.seek(end)

    def _block(self, lines: int) -> None:
        raw = np.concatenate(self._pending[:lines])
        del self._pending[:lines]
        # Even bytes, then odd ones, then differences: sign and exponent end up beside their like.
        split = np.concatenate([raw[0::2], raw[1::2]])
        coded = split.copy()
        coded[1:] -= split[:-1]
        coded[1:] += np.uint8(128)
        packed = zlib.compress(coded, EXR_LEVEL)
        data = packed if len(packed) < len(raw) else raw.tobytes()
        self._offsets.append(self._out.tell())
        self._out.write(struct.pack("<ii", self._line, len(data)) + data)
        self._line += lines


def _exr_header(width: int, height: int, names: list[str], sample_type: int) -> bytes:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channels = b"".join(name.encode() + b"\0" + struct.pack("<iBxxxii", sample_type, 0, 1, 1) for name in names)
    attributes = [
        ("channels", "chlist", channels + b"\0"),
        ("compression", "compression", b"\x03"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\x00"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
    ]
    packed = b"".join(
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, kind, value in attributes
    )
    return struct.pack("<ii", 20000630, 2) + packed + b"\0"


class WavWriter:
    """PCM of 16 or 24 bits. The length is said at the start: `frames` must follow."""

    def __init__(self, out: BinaryIO, sample_rate: int, channels: int, depth: int, frames: int):
        self._out = out
        self._depth = depth
        block = channels * depth // 8
        size = frames * block
        form = _wav_format(sample_rate, channels, depth)
        out.write(
            b"RIFF" + struct.pack("<I", 20 + len(form) + size + (size & 1)) + b"WAVE"
            + b"fmt " + struct.pack("<I", len(form)) + form
            + b"data" + struct.pack("<I", size)
        )  # fmt: skip
        self._odd = bool(size & 1)

    def write(self, samples: np.ndarray) -> None:
        """samples: (n, channels), int32 within the depth."""
        if self._depth == 16:
            self._out.write(samples.astype("<i2").tobytes())
        else:
            as_bytes = np.ascontiguousarray(samples.astype("<i4")).view(np.uint8).reshape(-1, 4)
            self._out.write(np.ascontiguousarray(as_bytes[:, :3]).tobytes())

    def close(self) -> None:
        if self._odd:
            self._out.write(b"\0")


# Which loudspeakers, as bits of WAVEFORMATEXTENSIBLE: from mono to 7.1, in the order that players expect.
_SPEAKERS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x13F, 8: 0x63F}
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def _wav_format(sample_rate: int, channels: int, depth: int) -> bytes:
    """The format chunk: the plain one that everything reads, the extensible one where loudspeakers must be named."""
    block = channels * depth // 8
    plain = struct.pack("<HIIHH", channels, sample_rate, sample_rate * block, block, depth)
    if channels <= 2:
        return struct.pack("<H", 1) + plain
    return struct.pack("<H", 0xFFFE) + plain + struct.pack("<HHI", 22, depth, _SPEAKERS[channels]) + _PCM_GUID
