"""The answer to PROPFIND, from servers that write it differently and from ones that mean harm."""

from __future__ import annotations

import tracemalloc

import pytest

from regen_vcs.remote.base import Refused
from regen_vcs.remote.bucket import Transient
from regen_vcs.remote.dav_listing import Entry, parse_listing

URL = "http://nas:80/fi%20lm/v1/objects/"


def parsed(text: str | bytes, pieces: int = 11) -> list[Entry]:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_listing((data[at : at + pieces] for at in range(0, len(data), pieces)), URL, "films")


def response(href: str, properties: str = "<D:getcontentlength>5</D:getcontentlength>") -> str:
    return f"<D:response><D:href>{href}</D:href><D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"


def multistatus(*responses: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">{"".join(responses)}</D:multistatus>'


FOLDER = "<D:resourcetype><D:collection/></D:resourcetype>"


def test_files_and_folders():
    text = multistatus(response("/fi%20lm/v1/objects/", FOLDER), response("/fi%20lm/v1/objects/9f/", FOLDER), response("/fi%20lm/v1/objects/ab", FOLDER),
                       response("/fi lm/v1/objects/x.json"), response("http://nas/fi%20lm/v1/objects/%C3%A4", "<D:resourcetype/>"))
    assert parsed(text) == [Entry("9f", 0, True), Entry("ab", 0, True), Entry("x.json", 5, False), Entry("ä", 0, False)]


def test_another_prefix_for_the_namespace():
    text = multistatus(response("/fi%20lm/v1/objects/a")).replace("xmlns:D", "xmlns:lp1").replace("D:", "lp1:")
    assert parsed(text) == [Entry("a", 5, False)]
    assert parsed(multistatus(response("/fi%20lm/v1/objects/a")).replace('"DAV:"', '"urn:other"')) == []


def test_names_elsewhere_are_left_out():
    text = multistatus(response("/etc/passwd"), response("/fi%20lm/v1/objects/../../secret"), response("/fi%20lm/v1/objects/a/b"), response("a"),
                       response(""), response("/fi%20lm/v1/objects/.."), response("/fi%20lm/v1/objects/./"), response("/fi%20lm/v1/objects/%2e%2e%2f%2e%2e%2fx"), response("/fi%20lm/v1/objects/ok"))
    assert [entry.name for entry in parsed(text)] == ["ok"]


def test_sizes_that_are_none():
    for size in ("-1", "1e9", "", "9" * 400, "٣"):
        assert parsed(multistatus(response("/fi%20lm/v1/objects/a", f"<D:getcontentlength>{size}</D:getcontentlength>"))) == [Entry("a", 0, False)]


@pytest.mark.parametrize("text", ["", "<html>sign in", "no xml", multistatus(response("/x"))[:-20], b"\xff\xfe\x00", "<a>&nbsp;</a>"])
def test_what_is_no_listing_is_tried_again(text):
    with pytest.raises(Transient):
        parsed(text)


def test_entities_are_refused():
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + multistatus(response("&b;")).partition("\n")[2]
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + multistatus(response("&a;")).partition("\n")[2]
    for text in (laughs, outside):
        with pytest.raises(Refused, match="entities"):
            parsed(text)


def test_a_name_without_an_end_takes_no_memory():
    def chunks():
        yield b'<D:multistatus xmlns:D="DAV:"><D:response><D:href>/fi%20lm/v1/objects/'
        for _ in range(400):
            yield b"a" * 65536
        yield b"</D:href></D:response></D:multistatus>"

    tracemalloc.start()
    parse_listing(chunks(), URL, "films")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_listing_without_an_end():
    def chunks():
        while True:
            yield b" " * (1 << 20)

    def begun():
        yield b'<D:multistatus xmlns:D="DAV:">'
        yield from chunks()

    with pytest.raises(Refused, match="MiB"):
        parse_listing(begun(), URL, "films")
