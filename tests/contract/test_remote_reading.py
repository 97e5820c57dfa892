"""A plain web server to read from, redirects, proxies: what is no WebDAV and no object store, and works all the same."""

from __future__ import annotations

import http.server
import io
import os
import ssl
import subprocess
import threading
from urllib.parse import urlsplit

import pytest
from blake3 import blake3

from regen_vcs.errors import RegenError
from regen_vcs.remote.base import Refused, Remote, Unreachable
from regen_vcs.remote.opening import open_remote
from tests.remote_servers.fault_proxy import FaultProxy
from tests.remote_servers.fixtures import nginx, proxy_to, rclone  # noqa: F401 (fixtures)
from tests.remote_servers.servers import PASSWORD, USER, s3_url

DATA = {"small": b"rain on glass " * 300, "large": os.urandom(3 << 20)}


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def open_at(url: str, home, **environ: str):
    return open_remote(Remote("films", url), {"HOME": str(home), **environ}, patience=2)


@pytest.fixture
def published(tmp_path):
    """A folder that `python -m http.server` could serve: a file remote, filled."""
    folder = tmp_path / "published"
    store = open_at(f"file://{folder}", tmp_path)
    store.establish()
    for data in DATA.values():
        store.put_object(hash_of(data), io.BytesIO(data), len(data))
    store.put_recipe("ab" * 32, b"{}\n")
    return folder


class Handler(http.server.SimpleHTTPRequestHandler):
    """The simplest of servers: HTTP/1.0, no ranges, no listing as we need it."""

    def log_message(self, *_arguments):
        self.server.seen.append((self.path, self.headers.get("Authorization")))


@pytest.fixture
def serve():
    """A function (folder, handler) → base URL."""
    running = []

    def serve(folder, handler=Handler, tls=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *arguments: handler(*arguments, directory=str(folder)))
        server.seen = []
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread))
        serve.last = server
        return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"

    yield serve
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_published_folder_can_be_read(published, serve, tmp_path):
    store = open_at(serve(published), tmp_path)
    for data in DATA.values():
        assert store.has(hash_of(data))
        assert b"".join(store.open_object(hash_of(data), len(data))) == data
    assert not store.has(hash_of(b"other")) and store.open_object(hash_of(b"other")) is None
    assert store.recipe("ab" * 32) == b"{}\n"
    assert list(store.records("ab" * 32)) == []
    with pytest.raises(Refused, match="does not list"):
        list(store.list_objects())
    with pytest.raises(Refused, match=r"read from only|cannot do that"):
        store.put_object(hash_of(b"x"), io.BytesIO(b"x"), 1)
    reader = open_remote(Remote("films", store.remote.url, read_only=True), {"HOME": str(tmp_path)}, patience=2)
    assert "cannot list" in reader.probe()


def test_redirects_are_followed_without_credentials(published, serve, tmp_path):
    target = serve(published)
    theirs = serve.last

    class Redirecting(Handler):
        def do_GET(self):
            self.server.seen.append((self.path, self.headers.get("Authorization")))
            self.send_response(302)
            self.send_header("Location", target + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

    base = serve(published, Redirecting).replace("127.0.0.1", "localhost")
    (tmp_path / ".netrc").write_text("machine localhost login somebody password word\nmachine 127.0.0.1 login a password b\n")
    (tmp_path / ".netrc").chmod(0o600)
    store = open_at(base, tmp_path, no_proxy="*")
    for data in DATA.values():
        assert store.has(hash_of(data)) and b"".join(store.open_object(hash_of(data))) == data
    assert {authorization for _, authorization in theirs.seen} == {None}
    assert all(authorization.startswith("Basic ") for _, authorization in serve.last.seen)


def test_redirects_in_a_circle(published, serve, tmp_path):
    class Circling(Handler):
        def do_HEAD(self):
            self.send_response(301)
            self.send_header("Location", self.path)
            self.end_headers()

    with pytest.raises(Refused, match="in a circle"):
        open_at(serve(published, Circling), tmp_path).has("ab" * 32)


def test_a_proxy_from_the_environment(published, serve, tmp_path):
    """Plain http goes through it by whole URLs; what no_proxy names does not."""
    target = serve(published)
    seen = []

    class Proxying(Handler):
        def do_HEAD(self):
            seen.append((self.path, self.headers.get("Host")))
            self.send_response(404)
            self.end_headers()

    proxy = serve(published, Proxying)
    hash = hash_of(DATA["small"])
    assert not open_at(target, tmp_path, http_proxy=proxy).has(hash)
    assert seen == [(f"{target}/v1/objects/{hash[:2]}/{hash[2:]}", urlsplit(target).netloc)]
    assert open_at(target, tmp_path, http_proxy=proxy, no_proxy="127.0.0.1").has(hash)
    assert open_at(target, tmp_path, HTTP_PROXY=proxy).has(hash)  # a web server sets that one from a header
    assert len(seen) == 1


@pytest.fixture
def certificate(tmp_path):
    """A server's context; `ca.pem` in tmp_path is the authority that nobody else knows."""
    def openssl(*argv: str) -> None:
        subprocess.run(["openssl", *argv], cwd=tmp_path, check=True, capture_output=True, timeout=60)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Studio")
    openssl(*new, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=127.0.0.1")
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "cert.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


@pytest.mark.needs("openssl")
def test_tls(published, serve, certificate, tmp_path):
    base = serve(published, tls=certificate)
    data = DATA["large"]
    with pytest.raises(Refused, match="certificate") as caught:
        open_at(base, tmp_path).has(hash_of(data))
    assert "SSL_CERT_FILE" in caught.value.hint
    store = open_at(base, tmp_path, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    assert store.has(hash_of(data)) and b"".join(store.open_object(hash_of(data))) == data


@pytest.mark.needs("openssl")
def test_tls_of_an_object_store(serve, certificate, tmp_path):
    base = serve(tmp_path, tls=certificate)
    environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
    with pytest.raises(Refused, match="certificate"):
        open_at(s3_url(base), tmp_path, **environ).has("ab" * 32)
    assert not open_at(s3_url(base), tmp_path, **environ, AWS_CA_BUNDLE=str(tmp_path / "ca.pem")).has("ab" * 32)


@pytest.mark.needs("openssl")
def test_https_does_not_become_http(published, serve, certificate, tmp_path):
    plain = serve(published)

    class Downgrading(Handler):
        def do_HEAD(self):
            self.send_response(302)
            self.send_header("Location", plain + self.path)
            self.end_headers()

    store = open_at(serve(published, Downgrading, certificate), tmp_path, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    with pytest.raises(Refused, match="https to something else"):
        store.has(hash_of(DATA["small"]))


@pytest.mark.needs("nginx")
def test_ranges_are_used_where_they_work(nginx, rclone, proxy_to, tmp_path):  # noqa: F811
    """After a break nginx sends the rest, rclone everything: both come out right."""
    from tests.remote_servers.fault_proxy import Fault
    from tests.remote_servers.servers import s3_environ

    data = os.urandom(2 << 20)
    for server, environ in ((nginx, {"HOME": str(tmp_path)}), (rclone, s3_environ(tmp_path))):
        proxy: FaultProxy = proxy_to(server)
        url = (lambda base: s3_url(base, "ranges")) if server is rclone else (lambda base: f"{base}/ranges")
        open_remote(Remote("films", url(server.base)), environ, patience=5).put_object(hash_of(data), io.BytesIO(data), len(data))
        proxy.fail(Fault("cut", 1 << 20, times=1, when=lambda method, path: method == "GET"))  # a reset would take along what lies in buffers
        store = open_remote(Remote("films", url(proxy.base)), environ, patience=5)
        assert b"".join(store.open_object(hash_of(data))) == data
        gets = [path for method, path in proxy.seen if method == "GET"]
        assert len(gets) == (2 if server is nginx else 3)  # rclone: the range is refused by the client, so once more


def test_messages_have_no_secrets(tmp_path):
    (tmp_path / ".netrc").write_text(f"machine nobody.invalid login {USER} password {PASSWORD}\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    environ = {"AWS_ACCESS_KEY_ID": "AKIDOFMINE", "AWS_SECRET_ACCESS_KEY": "SecretOfMine", "AWS_SESSION_TOKEN": "TokenOfMine",
               "AZURE_STORAGE_ACCOUNT_KEY": "S2V5T2ZNaW5l", "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=SigOfMine", "no_proxy": "*"}
    for url in ("http://nobody.invalid/x", s3_url("http://127.0.0.1:9"), "az://films/x?account=me&endpoint=http://127.0.0.1:9"):
        store = open_at(url, tmp_path, **environ)
        for attempt in (lambda: store.has("ab" * 32), store.probe, lambda: list(store.list_objects())):  # noqa: B023
            with pytest.raises((Unreachable, Refused)) as caught:
                attempt()
            shown = f"{caught.value.what} {caught.value.hint}"
            assert not any(secret in shown for secret in ("AKIDOFMINE", "OfMine", "S2V5", PASSWORD, "sig="))
            assert isinstance(caught.value, RegenError)
