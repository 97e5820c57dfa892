"""pkt-line: git's framing. Four hexadecimal digits of length, themselves counted, then the payload.

`0000` is a flush packet: the end of a list or of a stream. Nothing here knows what the packets mean.
"""

from __future__ import annotations

from io import BufferedIOBase

from regen_vcs.errors import RegenError

MAX_PAYLOAD = 65516  # 65520 less the four digits
FLUSH = b"0000"
_HEX = frozenset(b"0123456789abcdefABCDEF")


class ProtocolError(RegenError):
    """The peer broke the protocol: git and this program do not understand each other."""


def encode(payload: bytes) -> bytes:
    """One packet. payload: 1 to MAX_PAYLOAD bytes."""
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise ProtocolError(f"a packet of {len(payload)} bytes cannot be sent")
    return b"%04x%b" % (len(payload) + 4, payload)


def encode_list(lines: tuple[bytes, ...]) -> bytes:
    """Text packets, each with a line feed, and a flush."""
    return b"".join(encode(line + b"\n") for line in lines) + FLUSH


def encode_stream(data: bytes) -> bytes:
    """Bytes of any length as packets, and a flush."""
    if len(data) <= MAX_PAYLOAD:
        return b"%04x%b0000" % (len(data) + 4, data) if data else FLUSH
    view = memoryview(data)
    packets = [encode(bytes(view[at : at + MAX_PAYLOAD])) for at in range(0, len(view), MAX_PAYLOAD)]
    packets.append(FLUSH)
    return b"".join(packets)


def read_packet(stream: BufferedIOBase) -> bytes | None:
    """The next payload, or None for a flush. ProtocolError at the end of the stream or on a bad length."""
    head = stream.read(4)
    if head == FLUSH:
        return None
    return _read_payload(stream, head)


def read_packet_or_end(stream: BufferedIOBase) -> bytes | None:
    """As `read_packet`, but b"" where the stream ended before a packet began."""
    head = stream.read(4)
    if not head:
        return b""
    if head == FLUSH:
        return None
    return _read_payload(stream, head)


def _read_payload(stream: BufferedIOBase, head: bytes) -> bytes:
    if len(head) < 4:
        raise ProtocolError("the stream ended where a packet should begin")
    if not _HEX.issuperset(head):
        raise ProtocolError(f"not a packet length: {head!r}")
    length = int(head, 16) - 4
    if not 0 < length <= MAX_PAYLOAD:
        raise ProtocolError(f"a packet cannot have the length {head.decode()}")
    payload = stream.read(length)
    if len(payload) != length:
        raise ProtocolError("the stream ended inside a packet")
    return payload


def read_list(stream: BufferedIOBase) -> list[bytes]:
    """Text packets up to a flush, without their line feeds."""
    lines = []
    while (packet := read_packet(stream)) is not None:
        lines.append(packet.removesuffix(b"\n"))
    return lines


def read_stream(stream: BufferedIOBase) -> bytes:
    """The bytes of all packets up to a flush."""
    first = read_packet(stream)
    if first is None:
        return b""
    packet = read_packet(stream)
    if packet is None:
        return first
    parts = [first]
    while packet is not None:
        parts.append(packet)
        packet = read_packet(stream)
    return b"".join(parts)
