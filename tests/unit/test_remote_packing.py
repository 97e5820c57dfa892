"""Compression in a remote: what gains by it, what goes as it is, and what hostile bytes can do to whoever unpacks."""

from __future__ import annotations

import io
import os
import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from regen_vcs.errors import CorruptionError, RegenError
from regen_vcs.remote.packing import BLOCK, pack, unpack


def packed(data: bytes) -> bytes:
    content = pack(io.BytesIO(data), len(data))
    first, again = b"".join(content.chunks()), b"".join(content.chunks())
    assert first == again
    assert content.size in (None, len(first))
    return first


def in_pieces(data: bytes, size: int):
    return (data[at : at + size] for at in range(0, len(data), size))


def unpacked(data: bytes, limit: int | None = None, pieces: int = 1000) -> bytes:
    return b"".join(unpack(in_pieces(data, pieces), limit))


@settings(max_examples=150, deadline=None)
@given(st.one_of(
    st.binary(max_size=3000),
    st.binary(max_size=300).map(lambda data: b"regen-pack " + data),
    st.builds(lambda unit, times, tail: unit * times + tail, st.binary(min_size=1, max_size=9), st.integers(0, 40_000), st.binary(max_size=7)),
), st.integers(1, 70_000))
def test_every_byte_string_comes_back(data, pieces):
    assert unpacked(packed(data), None, pieces) == unpacked(packed(data), len(data), pieces) == data


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("surplus", [0, 1, 5])
def test_samples_of_any_width(width, surplus):
    """Counters of that many bytes, around the seams of blocks."""
    data = b"".join((number * 37 % (1 << 8 * width)).to_bytes(width, "little") for number in range(2 * BLOCK // width + 3)) + b"x" * surplus
    assert len(packed(data)) < 0.7 * len(data)
    assert unpacked(packed(data), len(data), 100_000) == data


def test_what_does_not_shrink_goes_as_it_is():
    for size in (0, 1, 600, 70_000, BLOCK + 1):
        data = os.urandom(size)
        assert packed(data) == data


def test_what_only_begins_compressible_is_judged_by_its_middle_too():
    data = b"\0" * 70_000 + os.urandom(BLOCK)
    assert len(packed(data)) <= len(data)
    assert unpacked(packed(data)) == data


@pytest.mark.parametrize("stored", [
    b"regen-pack ", b"regen-pack 1", b"regen-pack 1 zstd 1 5", b"regen-pack 1 zstd 1 5\n", b"regen-pack 1 zstd 0 5\nx", b"regen-pack 1 zstd 9 5\nx",
    b"regen-pack 1 lzma 1 5\nx", b"regen-pack 2 zstd 1 5\nx", b"regen-pack 1 zstd 1 05\nx", b"regen-pack 1 zstd 1 -5\nx",
    b"regen-pack 1 zstd 1 " + b"9" * 40 + b"\nx", b"regen-pack 1 stored 1 5\nabcd", b"regen-pack 1 stored 1 5\nabcdef", b"regen-pack" + b" " * 100,
    b"regen-pack 1 zstd 1 5\n" + zstandard.compress(b"abcd"), b"regen-pack 1 zstd 1 5\n" + zstandard.compress(b"abcde")[:-3],
    b"regen-pack 1 zstd 2 5\n\x28\xb5\x2f\xfd\x00\xff\xff\xff",
])
def test_damaged_packing(stored):
    for pieces in (1, 7, 1000):
        with pytest.raises(CorruptionError):
            unpacked(stored, None, pieces)


def test_a_bomb_needs_neither_memory_nor_time():
    bomb = zstandard.ZstdCompressor(level=19, threads=0).compress(bytes(1 << 28))
    tracemalloc.start()
    with pytest.raises(CorruptionError):
        for _ in unpack(iter((b"regen-pack 1 zstd 8 100\n" + bomb,)), None):
            pass
    with pytest.raises(CorruptionError):
        next(unpack(iter((b"regen-pack 1 zstd 1 %d\n" % (1 << 28) + bomb,)), 100))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_window_that_asks_for_memory_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    stored = frame.compress(b"abcde" * 1000) + frame.flush()
    with pytest.raises(CorruptionError):
        unpacked(b"regen-pack 1 zstd 1 5000\n" + stored)


def test_without_a_header_the_known_size_is_the_limit():
    assert unpacked(b"abcde", 5) == b"abcde"
    with pytest.raises(CorruptionError, match="larger"):
        unpacked(b"abcdef", 5)


def test_a_source_that_fails_says_so():
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with pytest.raises(RegenError, match="Input/output error"):
        pack(Failing(b"x" * 5000), 5000)
    shrunk = pack(io.BytesIO(b"x" * 4000), 5000)
    with pytest.raises(CorruptionError, match="changed its length"):
        b"".join(shrunk.chunks())
