"""pkt-line and the filter: whatever goes in comes out; whatever is broken is one of our errors."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from regen_vcs.errors import RegenError
from regen_vcs.git import pktline
from regen_vcs.git.filter_protocol import serve

HELLO = pktline.encode_list((b"git-filter-client", b"version=2")) + pktline.encode_list((b"capability=smudge",))
sizes = st.one_of(st.binary(max_size=300), st.integers(65500, 131100).map(lambda n: b"\x00\xff" * (n // 2) + b"x" * (n % 2)))


@given(sizes)
@settings(max_examples=60)
def test_a_stream_comes_back(data):
    encoded = pktline.encode_stream(data)
    stream = io.BytesIO(encoded)
    assert pktline.read_stream(stream) == data
    assert stream.read() == b""


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda line: not line.endswith(b"\n")), max_size=8))
def test_a_list_comes_back(lines):
    assert pktline.read_list(io.BytesIO(pktline.encode_list(tuple(lines)))) == lines


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40).filter(lambda p: not p.endswith(b"\n")), sizes), max_size=4))
@settings(max_examples=40, deadline=None)
def test_every_request_is_answered_with_its_own_bytes(requests):
    data = HELLO
    for path, content in requests:
        data += pktline.encode_list((b"command=smudge", b"pathname=" + path)) + pktline.encode_stream(content)
    answer, seen = io.BytesIO(), []
    serve(io.BytesIO(data), answer, lambda path, content: seen.append((path.encode("utf-8", "surrogateescape"), content)))
    assert seen == requests
    answer.seek(0)
    pktline.read_list(answer), pktline.read_list(answer)
    for _, content in requests:
        assert pktline.read_list(answer) == [b"status=success"]
        assert pktline.read_stream(answer) == content
        assert pktline.read_list(answer) == []


@given(st.binary(max_size=200), st.integers(0, 400))
def test_broken_input_is_our_error(noise, cut):
    whole = HELLO + pktline.encode_list((b"command=smudge", b"pathname=a")) + pktline.encode_stream(b"content")
    for data in (noise, HELLO + noise, whole[:cut] + noise):
        try:
            serve(io.BytesIO(data), io.BytesIO(), lambda path, content: None)
        except RegenError:
            pass
