"""The header of an OpenEXR file: its parts, their windows and channels. Nothing is decoded."""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

from regen_vcs.media.reading import CannotDecode, read_exactly

MAGIC = b"\x76\x2f\x31\x01"
_MULTI_PART = 0x1000
_MAX_PARTS = 256
_MAX_ATTRIBUTES = 4096
_MAX_CHANNELS_BYTES = 1 << 20
_SAMPLE_BYTES = {0: 4, 1: 2, 2: 4}  # unsigned, half, float


class Window(NamedTuple):
    """Both corners belong to it."""

    left: int
    top: int
    right: int
    bottom: int


class Channel(NamedTuple):
    name: str
    sample_bytes: int
    x_step: int  # one sample for so many pixels
    y_step: int


class Part(NamedTuple):
    data: Window
    display: Window
    channels: tuple[Channel, ...]
    kind: str  # scanlineimage, tiledimage, deepscanline, deeptile

    @property
    def width(self) -> int:
        return self.data.right - self.data.left + 1

    @property
    def height(self) -> int:
        return self.data.bottom - self.data.top + 1

    @property
    def depth(self) -> int:
        return 8 * max((channel.sample_bytes for channel in self.channels), default=0)

    @property
    def decoded_bytes(self) -> int:
        pixels = self.width * self.height
        return sum(pixels * each.sample_bytes // (each.x_step * each.y_step) for each in self.channels)


def read_parts(file: BinaryIO) -> list[Part]:
    """At least one part; CannotDecode or struct.error for damage."""
    file.seek(0)
    if read_exactly(file, 4) != MAGIC:
        raise CannotDecode("not an EXR file")
    flags = struct.unpack("<I", read_exactly(file, 4))[0]
    parts = []
    while len(parts) < _MAX_PARTS:
        attributes = _read_attributes(file)
        if not attributes:
            break
        parts.append(_part(attributes))
        if not flags & _MULTI_PART:
            break
    if not parts:
        raise CannotDecode("an EXR file without parts")
    return parts


def _read_attributes(file: BinaryIO) -> dict[str, bytes]:
    """Those that matter; large ones (manifests of mattes, previews) are stepped over."""
    found = {}
    for _ in range(_MAX_ATTRIBUTES):
        name = _read_name(file)
        if not name:
            return found
        _read_name(file)  # its type
        size = struct.unpack("<i", read_exactly(file, 4))[0]
        if size < 0:
            raise CannotDecode("an attribute of negative size")
        if name in ("channels", "dataWindow", "displayWindow", "type") and size <= _MAX_CHANNELS_BYTES:
            found[name] = read_exactly(file, size)
        else:
            found[name] = b""
            file.seek(size, 1)
    raise CannotDecode("too many attributes")


def _read_name(file: BinaryIO) -> str:
    name = bytearray()
    while (byte := read_exactly(file, 1)) != b"\0":
        name += byte
        if len(name) > 255:
            raise CannotDecode("a name without end")
    return name.decode("utf-8", "replace")


def _part(attributes: dict[str, bytes]) -> Part:
    data = Window(*struct.unpack("<4i", attributes["dataWindow"]))
    display = Window(*struct.unpack("<4i", attributes["displayWindow"]))
    kind = attributes.get("type", b"").decode("ascii", "replace") or "scanlineimage"
    part = Part(data, display, _channels(attributes["channels"]), kind)
    if part.width < 1 or part.height < 1:
        raise CannotDecode("an empty data window")
    return part


def _channels(data: bytes) -> tuple[Channel, ...]:
    channels = []
    at = 0
    while data[at : at + 1] not in (b"\0", b""):
        end = data.index(b"\0", at)
        kind, x_step, y_step = struct.unpack_from("<i4xii", data, end + 1)
        if x_step < 1 or y_step < 1:
            raise CannotDecode("a channel without samples")
        channels.append(Channel(data[at:end].decode("utf-8", "replace"), _SAMPLE_BYTES[kind], x_step, y_step))
        at = end + 17
    return tuple(channels)
