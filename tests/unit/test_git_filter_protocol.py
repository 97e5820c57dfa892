"""The filter protocol, from memory."""

from __future__ import annotations

import io

import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.git.filter_protocol import serve
from regen_vcs.git.pktline import (
    ProtocolError,
    encode_list,
    encode_stream,
    read_list,
    read_packet_or_end,
    read_stream,
)

HELLO = encode_list((b"git-filter-client", b"version=2"))
OFFER = encode_list((b"capability=clean", b"capability=smudge", b"capability=delay"))


def request(path, content, command=b"smudge", extra=()):
    return encode_list((b"command=" + command, b"pathname=" + path, *extra)) + encode_stream(content)


def talk(data, on_smudge=lambda path, content: None, **options):
    """(welcome, capabilities, [(status, content, trailer)]) of a whole conversation."""
    answer = io.BytesIO()
    serve(io.BytesIO(data), answer, on_smudge, **options)
    answer.seek(0)
    welcome, capabilities, replies = read_list(answer), read_list(answer), []
    while (packet := read_packet_or_end(answer)) != b"":
        status = packet
        assert read_list(answer) == []
        replies.append((status, read_stream(answer), read_list(answer)) if status == b"status=success\n" else (status,))
    return welcome, capabilities, replies


def test_greeting_advertises_smudge_only():
    assert talk(HELLO + OFFER) == ([b"git-filter-server", b"version=2"], [b"capability=smudge"], [])
    assert talk(HELLO + OFFER, on_clean=lambda path, content: None)[1] == [b"capability=clean", b"capability=smudge"]


def test_only_what_git_offers_is_advertised():
    assert talk(HELLO + encode_list((b"capability=clean",)))[1] == []


@pytest.mark.parametrize("content", [b"", b"{}\n", bytes(range(256)), b"0000", b"x" * 65516, b"x" * 65517, b"y" * 300_000])
def test_bytes_come_back_unchanged(content):
    replies = talk(HELLO + OFFER + request(b"a.png.regen.json", content))[2]
    assert replies == [(b"status=success\n", content, [])]


def test_paths_and_unknown_keys():
    seen = []
    extra = (b"ref=refs/heads/main", b"treeish=12", b"blob=34", b"can-delay=1", b"future=a=b")
    data = HELLO + OFFER + request("ä\n b".encode() + b"\xff", b"1", extra=extra) + request(b"second", b"2")
    assert len(talk(data, lambda path, content: seen.append((path, content)))[2]) == 2
    assert seen == [("ä\n b\udcff", b"1"), ("second", b"2")]


def test_converted_content():
    replies = talk(HELLO + OFFER + request(b"a", b"doc"), lambda path, content: content * 50_000)[2]
    assert replies == [(b"status=success\n", b"doc" * 50_000, [])]


def test_a_failure_is_of_one_blob():
    told = []

    def smudge(path, content):
        if path == "bad":
            raise InvalidError("bad")

    data = HELLO + OFFER + request(b"bad", b"1") + request(b"good", b"2")
    replies = talk(data, smudge, on_error=lambda path, error: told.append((path, error.what)))[2]
    assert replies == [(b"status=error\n",), (b"status=success\n", b"2", [])]
    assert told == [("bad", "bad")]


def test_a_command_that_was_not_advertised():
    assert talk(HELLO + OFFER + request(b"a", b"1", command=b"clean"))[2] == [(b"status=error\n",)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        encode_list((b"git-filter-client", b"version=1")),
        encode_list((b"git-lfs", b"version=2")),
        HELLO,
        HELLO + OFFER + b"00",
        HELLO + OFFER + encode_list((b"command=smudge",)),
        HELLO + OFFER + encode_list((b"pathname=a",)) + encode_stream(b""),
        HELLO + OFFER + encode_list((b"command",)),
        HELLO + OFFER + b"0014command=smudge\n",
        HELLO + OFFER + request(b"a", b"content")[:-4],
        HELLO + OFFER + request(b"a", b"content")[:-6],
    ],
)
def test_malformed(data):
    with pytest.raises(ProtocolError):
        talk(data)
