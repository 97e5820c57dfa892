"""HTTP connections that are kept, with a limit on every silence: looking up the name, connecting, sending, waiting.

`http.client` below, since it streams bodies of any size in both directions; the object-store client would hold an
upload whole in memory.
"""

from __future__ import annotations

import http.client
import netrc
import os
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Lock, Thread
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import proxy_bypass_environment

from regen_vcs.remote.base import Refused
from regen_vcs.remote.bucket import Content, Silence, Transient

CHUNK = 256 << 10
_MOST_REDIRECTS = 5
_DRAINED = 64 << 10  # bytes of an error's body that are read so that the connection can be used again
_MOST_IDLE = 32
_REFUSED_FOR = 1.0  # seconds: a server that is starting again is back by then
_AGENT = "regen-vcs"


class Answer(NamedTuple):
    """A response whose body is still to be read. Whoever has it reads `chunks` to the end, or closes them."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Origin(NamedTuple):
    """scheme, host, port: what a connection leads to, and what credentials are for."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


class Connections:
    """Requests to one origin (and where it redirects readers to). environ: proxies, and where .netrc is."""

    def __init__(self, base_url: str, where: str, environ: Mapping[str, str], patience: float):
        self._origin = origin_of(base_url)
        self._where, self._environ, self._patience = where, environ, patience
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = Lock()
        self._tls: ssl.SSLContext | None = None
        self._authorization = _authorization(self._origin.host, environ, where)

    def __del__(self):
        self.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def request(self, method: str, url: str, headers: Mapping[str, str] | None = None, content: Content | None = None) -> Answer:
        """One request, and its answer whatever the status. GET, HEAD and PROPFIND follow redirects, without credentials.

        Transient, Silence; Refused for a certificate that is not trusted.
        """
        for _ in range(_MOST_REDIRECTS):
            answer = self._to_origin(method, url, headers or {}, content)
            target = answer.headers.get("location")
            if answer.status not in (301, 302, 303, 307, 308) or not target or method not in ("GET", "HEAD", "PROPFIND"):
                return answer
            answer.chunks.close()
            url = self._redirected(url, target)
        raise Refused(f"remote {self._where} redirects in a circle", f"git config regen.remote.{self._where}.url")

    def _redirected(self, url: str, target: str) -> str:
        to = urljoin(url, target)
        if not to.startswith(("https://", "http://")) or (url.startswith("https://") and not to.startswith("https://")):
            raise Refused(f"remote {self._where} redirects from https to something else", "ask whoever runs the server")
        return to

    def _to_origin(self, method: str, url: str, headers: Mapping[str, str], content: Content | None) -> Answer:
        origin = origin_of(url)
        mine = origin == self._origin
        connection = self._kept() if mine else None
        fresh = connection is None
        if connection is None:
            connection = self._connect(origin)
        try:
            response = self._exchange(connection, method, url, self._headers(headers, mine), content)
        except _Dropped as error:
            connection.close()
            if fresh:
                raise Transient("the connection was reset") from error
            # A kept connection that the server closed meanwhile says nothing about the server.
            self.close()
            return self._to_origin(method, url, headers, content)
        except BaseException:
            connection.close()
            raise
        return Answer(response.status, response.headers, self._chunks(connection, response, keep=mine))

    def _kept(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _headers(self, headers: Mapping[str, str], mine: bool) -> dict[str, str]:
        # identity: a server that compresses on the way would make sizes and ranges mean something else.
        base = {"User-Agent": _AGENT, "Accept-Encoding": "identity", "Cache-Control": "no-transform"}
        if mine and self._authorization:
            base["Authorization"] = self._authorization
        return base | dict(headers)

    # -- one exchange ------------------------------------------------------------------------------------------------

    def _exchange(self, connection, method: str, url: str, headers: dict[str, str], content: Content | None):
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if getattr(connection, "regen_absolute", False):
            target = url
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if content is not None:
                connection.putheader("Content-Length", str(content.size))
            connection.endheaders()
            if content is not None:
                for chunk in content.chunks():
                    for at in range(0, len(chunk), CHUNK):
                        connection.send(memoryview(chunk)[at : at + CHUNK])
        except TimeoutError as error:
            raise Silence from error
        except (ConnectionError, ssl.SSLError) as error:
            return self._early_answer(connection, error)
        try:
            return connection.getresponse()
        except TimeoutError as error:
            raise Silence from error
        except (http.client.RemoteDisconnected, http.client.BadStatusLine, ConnectionError, ssl.SSLError) as error:
            raise _Dropped from error
        except (http.client.HTTPException, OSError) as error:
            raise Transient("its answer is no HTTP") from error

    def _early_answer(self, connection, error: Exception):
        """A server that will not have an upload answers (401, 413, 507) and hangs up while we still send."""
        try:
            connection.sock.settimeout(min(1.0, self._patience))
            response = http.client.HTTPResponse(connection.sock, method="PUT")
            response.begin()
        except (OSError, http.client.HTTPException, AttributeError):
            raise _Dropped from error
        response.will_close = True
        return response

    def _chunks(self, connection, response, *, keep: bool) -> Iterator[bytes]:
        """The body; afterwards the connection is kept if all of it was read, else closed."""
        try:
            while True:
                try:
                    chunk = response.read1(CHUNK)
                except TimeoutError as error:
                    raise Silence from error
                except (OSError, http.client.HTTPException) as error:
                    raise Transient("a transfer broke") from error
                if not chunk:
                    break
                yield chunk
            # `length` of 0: read to the end, which http.client itself notices only sometimes. HEAD has no body.
            if keep and not response.will_close and (response.isclosed() or response.length == 0):
                response.close()
                self._keep(connection)
                connection = None
        finally:
            if connection is not None:
                response.close()
                connection.close()

    # -- connecting --------------------------------------------------------------------------------------------------

    def _connect(self, origin: Origin) -> http.client.HTTPConnection:
        proxy = _proxy_of(origin, self._environ)
        near = origin_of(proxy) if proxy else origin
        headers = _proxy_headers(proxy) if proxy else {}
        if origin.scheme == "https":
            connection = http.client.HTTPSConnection(near.host, near.port, timeout=self._patience, context=self._tls_context())
            if proxy:
                connection.set_tunnel(origin.host, origin.port, headers)
        else:
            connection = http.client.HTTPConnection(near.host, near.port, timeout=self._patience)
            connection.regen_absolute = bool(proxy)
        # http.client's own would give each of a name's addresses the whole time, and the look-up any.
        connection._create_connection = lambda address, timeout, source=None: _dial(address, self._patience)
        try:
            self._open(connection, origin, near)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self, connection: http.client.HTTPConnection, origin: Origin, near: Origin) -> None:
        try:
            connection.connect()
        except TimeoutError as error:
            raise Silence from error
        except ssl.SSLCertVerificationError as error:
            raise Refused(
                f"remote {self._where}: the certificate of {origin.host} is not trusted: {error.verify_message}",
                "SSL_CERT_FILE names the file with your own authority's certificate",
            ) from error
        except ConnectionRefusedError as error:
            raise Transient(f"{near.host}:{near.port} refuses connections", for_seconds=_REFUSED_FOR) from error
        except OSError as error:
            raise Transient(f"{near.host}:{near.port}: {error.strerror or 'no connection'}", for_seconds=_REFUSED_FOR) from error

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            if bundle := self._environ.get("SSL_CERT_FILE"):
                with suppress(OSError):  # a file that is not there: the system's own stay
                    self._tls.load_verify_locations(bundle)
        return self._tls


class _Dropped(Exception):
    """The connection ended without an answer."""


def _dial(address: tuple[str, int], patience: float) -> socket.socket:
    """A connected socket, within `patience` seconds in all. OSError; TimeoutError."""
    deadline = time.monotonic() + patience
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, target in _look_up(*address, patience):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left)
            sock.connect(target)
        except OSError as error:
            sock.close()
            failure = error
            continue
        sock.settimeout(patience)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    raise failure


def _look_up(host: str, port: int, patience: float) -> list[tuple]:
    """getaddrinfo with a limit: a resolver whose servers are away takes half a minute."""
    found: list = []

    def run() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(patience)
    if not found:
        raise TimeoutError
    if isinstance(found[0], OSError):
        raise found[0]
    return found


def _authorization(host: str, environ: Mapping[str, str], where: str) -> str | None:
    """HTTP's Basic credentials for a host from .netrc, or None."""
    path = environ.get("NETRC") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".netrc")
    try:
        entry = netrc.netrc(path).authenticators(host)
    except FileNotFoundError:
        return None
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
        # The parser's own words quote the file, and what stands there is secret.
        raise Refused(f"remote {where}: {path} cannot be read ({type(error).__name__})", f"mend {path}") from error
    if not entry:
        return None
    return "Basic " + b64encode(f"{entry[0]}:{entry[2]}".encode()).decode()


def _proxy_of(origin: Origin, environ: Mapping[str, str]) -> str | None:
    def read(name: str) -> str:
        # Upper-case HTTP_PROXY is what a web server sets from a header; nobody trusts it (CVE-2016-5385).
        upper = "" if name == "http_proxy" else environ.get(name.upper(), "")
        return environ.get(name) or upper

    proxy = read(f"{origin.scheme}_proxy") or read("all_proxy")
    if not proxy or proxy_bypass_environment(f"{origin.host}:{origin.port}", {"no": read("no_proxy")}):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    token = b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {token}"}


def drain(answer: Answer) -> None:
    """Read what little is left of an answer, so that its connection can be used again; a long rest is dropped."""
    left = _DRAINED
    for chunk in answer.chunks:
        left -= len(chunk)
        if left < 0:
            break
    answer.chunks.close()
