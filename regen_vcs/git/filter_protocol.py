"""git's long-running filter protocol, version 2 (gitattributes(5)), from the filter's side.

What a smudge *means* is the caller's (`on_smudge`, `on_clean`), which processes stand at the pipe's ends is
`engine`'s. So this can be tested from memory, with no git.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedIOBase

from regen_vcs.errors import RegenError
from regen_vcs.git.pktline import (
    FLUSH,
    MAX_PAYLOAD,
    ProtocolError,
    encode_list,
    encode_stream,
    read_list,
    read_packet_or_end,
    read_stream,
)

# (path from the worktree's root, content) → content, or None for "as it was".
Convert = Callable[[str, bytes], "bytes | None"]

_SUCCESS = encode_list((b"status=success",))
_FAILED = encode_list((b"status=error",))


def serve(
    stdin: BufferedIOBase,
    stdout: BufferedIOBase,
    on_smudge: Convert,
    on_clean: Convert | None = None,
    on_error: Callable[[str, RegenError], None] | None = None,
) -> None:
    """Answer git until it closes the pipe.

    stdin, stdout: buffered binary streams. Clean is advertised only with an `on_clean`; delay never. A converter's
    RegenError fails that one blob (`on_error` is told; git then decides by `required`).
    ProtocolError where git breaks the protocol, or ends in the middle of a request.
    """
    converters = {b"smudge": on_smudge} if on_clean is None else {b"clean": on_clean, b"smudge": on_smudge}
    _greet(stdin, stdout, converters)
    read_header, answer = _read_header, _answer
    while header := read_header(stdin):
        content = read_stream(stdin)
        stdout.write(answer(converters, header, content, on_error))
        stdout.flush()


def _greet(stdin: BufferedIOBase, stdout: BufferedIOBase, converters: dict[bytes, Convert]) -> None:
    welcome = read_list(stdin)
    if welcome[:1] != [b"git-filter-client"] or b"version=2" not in welcome:
        raise ProtocolError("this is not git's filter protocol, version 2", "only git starts this command")
    stdout.write(encode_list((b"git-filter-server", b"version=2")))
    stdout.flush()
    offered = read_list(stdin)
    wanted = [b"capability=" + name for name in converters]
    stdout.write(encode_list(tuple(line for line in wanted if line in offered)))
    stdout.flush()


def _read_header(stdin: BufferedIOBase) -> dict[bytes, bytes]:
    """The next request's `key=value` lines; {} at the end of the pipe. Keys we do not know are git's business."""
    header: dict[bytes, bytes] = {}
    packet = read_packet_or_end(stdin)
    if packet == b"":
        return header
    while packet is not None:
        if packet == b"":
            raise ProtocolError("the pipe ended inside a request")
        key, equals, value = packet.partition(b"=")
        if not equals:
            raise ProtocolError(f"not a key and value: {packet[:80]!r}")
        header[key] = value[:-1] if value.endswith(b"\n") else value
        packet = read_packet_or_end(stdin)
    if b"command" not in header or b"pathname" not in header:
        raise ProtocolError("a request without command or pathname")
    return header


def _answer(
    converters: dict[bytes, Convert],
    header: dict[bytes, bytes],
    content: bytes,
    on_error: Callable[[str, RegenError], None] | None,
) -> bytes:
    convert = converters.get(header[b"command"])
    if convert is None:
        return _FAILED  # git never asks for what was not advertised; if it did, the blob would stay as it is
    path = header[b"pathname"].decode("utf-8", "surrogateescape")
    try:
        converted = convert(path, content)
    except RegenError as error:
        if on_error:
            on_error(path, error)
        return _FAILED
    data = content if converted is None else converted
    if 0 < len(data) <= MAX_PAYLOAD:  # nearly every sidecar: one packet
        return b"%b%04x%b00000000" % (_SUCCESS, len(data) + 4, data)
    return _SUCCESS + encode_stream(data) + FLUSH
