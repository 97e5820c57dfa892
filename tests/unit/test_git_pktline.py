"""pkt-line framing, from memory."""

from __future__ import annotations

import io

import pytest

from regen_vcs.git import pktline
from regen_vcs.git.pktline import ProtocolError


def test_encode():
    assert pktline.encode(b"hi\n") == b"0007hi\n"
    assert pktline.encode(b"x" * pktline.MAX_PAYLOAD)[:4] == b"fff0"


@pytest.mark.parametrize("size", [0, pktline.MAX_PAYLOAD + 1])
def test_encode_refuses(size):
    with pytest.raises(ProtocolError):
        pktline.encode(b"x" * size)


def test_list():
    data = pktline.encode_list((b"version=2", b"path=a\nb"))
    assert data == b"000eversion=2\n000dpath=a\nb\n0000"
    assert pktline.read_list(io.BytesIO(data)) == [b"version=2", b"path=a\nb"]
    assert pktline.encode_list(()) == b"0000"


def test_stream_bounds():
    assert pktline.encode_stream(b"") == b"0000"
    assert pktline.encode_stream(b"x" * 65516).startswith(b"fff0x")
    assert pktline.encode_stream(b"x" * 65517).endswith(b"0005x0000")


def test_end_of_stream_between_packets():
    assert pktline.read_packet_or_end(io.BytesIO(b"")) == b""
    assert pktline.read_packet_or_end(io.BytesIO(b"0000")) is None
    assert pktline.read_packet_or_end(io.BytesIO(b"0005a")) == b"a"


@pytest.mark.parametrize(
    "data", [b"", b"00", b"0006a", b"zzzz", b"+005a", b" 005a", b"0001", b"0002", b"0004", b"fff1" + b"x" * 70000, b"0x05a"]
)
def test_malformed(data):
    with pytest.raises(ProtocolError):
        pktline.read_packet(io.BytesIO(data))
