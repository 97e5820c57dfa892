"""A proxy that stands between a client and a server and does what networks and servers do on bad days.

One request a connection, so that a fault hits the request it is meant for. A fault applies to the requests that
`when` picks, `times` times, and then no more.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

_BUFFER = 64 << 10
_HEAD_END = b"\r\n\r\n"
FOR_EVER = 1 << 30


class Fault(NamedTuple):
    """kind: what happens. at: after how many bytes of the answer's body (of the request's for "reset upload").

    "reset" RST; "cut" a clean end too early; "flip" one bit; "stall" silence; "drip" a byte a second; "answer" the
    proxy itself answers `answer`; "silent" nothing at all is answered; "reset upload", "stall upload".
    """

    kind: str
    at: int = 0
    times: int = 1
    answer: bytes = b""
    when: Callable[[str, str], bool] = lambda method, path: True


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + _HEAD_END + body


class FaultProxy:
    """base: the URL to use in place of the server's. seen: (method, path) of every request."""

    def __init__(self, upstream: str):
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: list[tuple[str, str]] = []
        self._fault: Fault | None = None
        self._left = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def fail(self, fault: Fault | None) -> None:
        with self._lock:
            self._fault, self._left = fault, fault.times if fault else 0

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            open_now = list(self._open)
        for sock in open_now:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        try:
            with client, contextlib.suppress(OSError):
                self._one_request(client)
        finally:
            with self._lock:
                self._open.discard(client)

    def _one_request(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        if not head:
            return
        method, path = head.split(b" ", 2)[:2]
        fault = self._pick(method.decode(), path.decode())
        if fault is not None and fault.kind == "silent":
            self._closed.wait()
            return
        if fault is not None and fault.kind == "answer":
            client.sendall(fault.answer)
            client.shutdown(socket.SHUT_WR)
            _drain(client)
            return
        with socket.create_connection(self._upstream, 10) as server:
            server.sendall(_closing(head))
            upload = threading.Thread(target=self._upload, args=(client, server, rest, _content_length(head), fault), daemon=True)
            upload.start()
            self._download(client, server, fault)
        upload.join(5)

    def _pick(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.seen.append((method, path))
            if self._fault is None or not self._left or not self._fault.when(method, path):
                return None
            self._left -= 1
            return self._fault

    def _upload(self, client, server, rest: bytes, length: int | None, fault: Fault | None) -> None:
        spoilt = fault.at if fault is not None and fault.kind.endswith("upload") else None
        sent = 0
        with contextlib.suppress(OSError):
            while length is None or sent < length or rest:
                data = rest or client.recv(_BUFFER)
                rest = b""
                if not data:
                    return
                if spoilt is not None and sent + len(data) > spoilt:
                    if fault.kind == "stall upload":
                        self._closed.wait()
                        return
                    _reset(client)
                    _reset(server)
                    return
                server.sendall(data)
                sent += len(data)

    def _download(self, client, server, fault: Fault | None) -> None:
        head, rest = _read_head(server)
        client.sendall(head)
        passed = 0
        while data := rest or server.recv(_BUFFER):
            rest = b""
            if fault is None or fault.kind.endswith("upload") or passed + len(data) <= fault.at:
                client.sendall(data)
                passed += len(data)
                continue
            keep = fault.at - passed
            if fault.kind == "flip":
                client.sendall(data[:keep] + bytes([data[keep] ^ 1]) + data[keep + 1 :])
                fault = None
                continue
            client.sendall(data[:keep])
            self._break(client, data[keep:], fault)
            return

    def _break(self, client, rest: bytes, fault: Fault) -> None:
        match fault.kind:
            case "reset":
                _reset(client)
            case "stall":
                self._closed.wait()
            case "drip":
                for at in range(len(rest)):
                    client.sendall(rest[at : at + 1])
                    if self._closed.wait(1):
                        return
            case "cut":
                client.shutdown(socket.SHUT_WR)


class Silent:
    """Ports that do not answer: one that accepts and says nothing, one whose queue is full, one where nobody listens."""

    def __init__(self):
        self._accepting = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._full = socket.socket()
        self._full.bind(("127.0.0.1", 0))
        self._full.listen(0)
        self._waiting = []
        for _ in range(4):  # further connections are dropped, as a firewall does
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(self._full.getsockname())
            self._waiting.append(sock)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            self._refusing = closed.getsockname()[1]
        time.sleep(0.05)

    def bases(self) -> dict[str, str]:
        ports = {"mute": self._accepting.getsockname()[1], "black hole": self._full.getsockname()[1], "refused": self._refusing}
        return {kind: f"http://127.0.0.1:{port}" for kind, port in ports.items()}

    def close(self) -> None:
        for sock in (self._accepting, self._full, *self._waiting):
            sock.close()


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """(head with its empty line, what came after it)."""
    data = b""
    while _HEAD_END not in data:
        more = sock.recv(_BUFFER)
        if not more:
            return b"", b""
        data += more
    head, _, rest = data.partition(_HEAD_END)
    return head + _HEAD_END, rest


def _closing(head: bytes) -> bytes:
    lines = [line for line in head[: -len(_HEAD_END)].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close"]) + _HEAD_END


def _content_length(head: bytes) -> int | None:
    """Bytes of the request's body; None where they end with the connection (or in chunks)."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
        if line.startswith(b"transfer-encoding:"):
            return None
    return 0


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
    sock.close()


def _drain(sock: socket.socket) -> None:
    sock.settimeout(2)
    with contextlib.suppress(OSError):
        while sock.recv(_BUFFER):
            pass
