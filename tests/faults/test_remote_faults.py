"""Servers and networks that fail: the result is right or a clear error, nothing wrong is passed on, nothing hangs."""

from __future__ import annotations

import io
import os
import socket
import time
from contextlib import contextmanager

import pytest
from blake3 import blake3

from regen_vcs.errors import CorruptionError, RegenError, RemoteError
from regen_vcs.remote.base import Refused, Remote, Unreachable
from regen_vcs.remote.opening import open_remote
from regen_vcs.remote.store import BUFFERED
from tests.remote_servers.fault_proxy import FOR_EVER, Fault, Silent, answer
from tests.remote_servers.fixtures import moto, nginx, proxy_to, rclone  # noqa: F401 (fixtures)
from tests.remote_servers.servers import s3_environ, s3_url

SMALL, LARGE = os.urandom(200_000), os.urandom(3 << 20)
assert len(LARGE) > BUFFERED
PATIENCE = 2.5
BUSY = 2.4
SLOW_DOWN = answer(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", "Retry-After: 1")


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


class Site:
    """A remote behind a proxy. `store()` goes through it, `direct()` does not."""

    def __init__(self, server, proxy, kind: str, home):
        self.proxy, self._server, self._kind, self._home = proxy, server, kind, home
        self._name = f"p{os.urandom(6).hex()}"

    def _open(self, base: str, patience: float):
        url = f"{base}/{self._name}" if self._kind == "dav" else s3_url(base, self._name)
        return open_remote(Remote("films", url), self._server.environ, patience=patience)

    def store(self, patience: float = PATIENCE):
        return self._open(self.proxy.base, patience)

    def direct(self):
        return self._open(self._server.base, 20)

    def put(self, data: bytes) -> str:
        with self.direct() as store:
            store.put_object(hash_of(data), io.BytesIO(data), len(data))
        return hash_of(data)


@pytest.fixture(params=["moto", "rclone", pytest.param("dav", marks=pytest.mark.needs("nginx"))])
def site(request, proxy_to, tmp_path):  # noqa: F811
    server = request.getfixturevalue("nginx" if request.param == "dav" else request.param)
    return Site(server, proxy_to(server), request.param, tmp_path)


@contextmanager
def within(seconds: float):
    """That long, and what a busy machine adds; another wait for the server would be longer than that."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < seconds + BUSY


def of_objects(method: str, path: str) -> bool:
    return method == "GET" and "/v1/objects/" in path


def uploads(method: str, path: str) -> bool:
    return method in ("PUT", "POST") and "/v1/objects/" in path


def fetched(store, hash: str) -> bytes:
    """What a consumer would take for the object: all of it, or an error."""
    return b"".join(store.open_object(hash))


# -- fetching: faults that pass ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["reset", "cut"])
def test_a_broken_download_goes_on(site, kind, data):
    hash = site.put(data)
    for at in (0, 1000, len(data) - 1):
        site.proxy.fail(Fault(kind, at, times=2, when=of_objects))
        with within(8), site.store(10) as store:
            assert fetched(store, hash) == data
        # The head counts as a try as well where the connection ends before it.
        assert site.proxy._left == 0


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_that_recovers(site, status):
    hash = site.put(SMALL)
    busy = SLOW_DOWN if status == 503 else answer(status, b"busy")
    site.proxy.fail(Fault("answer", answer=busy, times=3))
    with within(8), site.store(10) as store:
        assert fetched(store, hash) == SMALL
    site.proxy.fail(Fault("answer", answer=busy, times=3))
    with within(8), site.store(10) as store:
        assert store.has(hash)
    site.proxy.fail(Fault("answer", answer=busy, times=2, when=lambda method, path: method in ("GET", "PROPFIND")))
    with within(8), site.store(10) as store:
        assert [held.hash for held in store.list_objects()] == [hash]


def test_a_flipped_bit_in_a_small_object_is_fetched_again(site):
    hash = site.put(SMALL)
    site.proxy.fail(Fault("flip", 777, when=of_objects))
    with site.store() as store:
        assert fetched(store, hash) == SMALL


def test_a_flipped_bit_in_what_is_packed(site):
    """In the header's line, in zstd's own, in the middle: each is noticed, or does not matter."""
    data = os.urandom(150_000).hex().encode()
    hash = site.put(data)
    noticed = 0
    for at in (3, 11, 20, 23, 27, 30, 1000, 140_000):
        site.proxy.fail(Fault("flip", at, when=of_objects))
        with site.store() as store:
            assert fetched(store, hash) == data
        site.proxy.fail(Fault("flip", at, times=FOR_EVER, when=of_objects))
        with site.store() as store:
            try:
                assert fetched(store, hash) == data
            except CorruptionError as error:
                assert hash in error.what
                noticed += 1
    assert noticed >= 6


# -- fetching: faults that stay ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_bit_that_is_always_flipped(site, data):
    hash = site.put(data)
    site.proxy.fail(Fault("flip", 777, times=FOR_EVER, when=of_objects))
    with site.store() as store, pytest.raises(CorruptionError, match=hash):
        fetched(store, hash)
    # Of a large object the caller learns at the end, and asks once more.
    site.proxy.fail(Fault("flip", 777, times=1, when=of_objects))
    with site.store() as store:
        if len(data) > BUFFERED:
            with pytest.raises(CorruptionError):
                fetched(store, hash)
        assert fetched(store, hash) == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["stall", "drip"])
@pytest.mark.parametrize("at", [0, 100_000])
def test_a_stalled_download(site, kind, at, data):
    hash = site.put(data)
    site.proxy.fail(Fault(kind, at, times=FOR_EVER, when=of_objects))
    with within(PATIENCE), site.store() as store, pytest.raises(Unreachable, match="films"):
        fetched(store, hash)


def test_a_download_that_always_breaks(site):
    hash = site.put(LARGE)
    site.proxy.fail(Fault("reset", 0, times=FOR_EVER, when=of_objects))
    with within(PATIENCE), site.store() as store, pytest.raises(Unreachable):
        fetched(store, hash)


def test_a_server_that_stays_busy(site):
    hash = site.put(SMALL)
    site.proxy.fail(Fault("answer", answer=SLOW_DOWN, times=FOR_EVER))
    for attempt in (lambda store: store.has(hash), lambda store: fetched(store, hash), lambda store: list(store.list_objects()),
                    lambda store: store.recipe(hash), lambda store: store.put_object(hash, io.BytesIO(SMALL), len(SMALL)), lambda store: store.probe()):
        with within(1), site.store(1) as store, pytest.raises(Unreachable, match="503"):
            attempt(store)


def test_a_dead_server_is_asked_once(site):
    hash = site.put(SMALL)
    site.proxy.fail(Fault("silent", times=FOR_EVER))
    with site.store() as store:
        with within(PATIENCE), pytest.raises(Unreachable):
            store.has(hash)
        count = len(site.proxy.seen)
        for attempt in (lambda: store.has(hash), lambda: store.open_object(hash), lambda: list(store.list_objects()),
                        lambda: list(store.records(hash)), lambda: store.put_object(hash, io.BytesIO(b""), 0), store.probe):
            with within(0), pytest.raises(Unreachable):
                attempt()
        assert len(site.proxy.seen) == count


def test_answers_that_are_no_http(site):
    hash = site.put(SMALL)
    for garbage in (b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, os.urandom(3000),
                    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nx"):
        site.proxy.fail(Fault("answer", answer=garbage, times=FOR_EVER))
        with within(1), site.store(0.5) as store, pytest.raises((RemoteError, CorruptionError)):
            fetched(store, hash)
        with within(1), site.store(0.5) as store, pytest.raises(RemoteError):
            list(store.list_objects())


def test_a_page_of_a_captive_portal_is_no_object(site):
    hash = site.put(SMALL)
    site.proxy.fail(Fault("answer", answer=answer(200, b"<html>Please sign in to the hotel</html>"), times=FOR_EVER))
    with site.store() as store, pytest.raises(CorruptionError):
        fetched(store, hash)
    with site.store() as store, pytest.raises(RegenError):
        store.put_object(hash, io.BytesIO(SMALL), len(SMALL))


# -- uploading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [200_000, 12 << 20])
def test_a_broken_upload_is_made_again(site, size):
    data = os.urandom(size)
    site.put(b"a mark")
    site.proxy.fail(Fault("reset upload", 50_000, times=2, when=uploads))
    with within(20), site.store(15) as store:
        assert store.put_object(hash_of(data), io.BytesIO(data), size) == size
    assert fetched(site.direct(), hash_of(data)) == data


def test_an_upload_that_always_breaks_leaves_nothing_visible(site):
    data = os.urandom(1 << 20)
    site.put(b"a mark")
    site.proxy.fail(Fault("reset upload", 50_000, times=FOR_EVER, when=uploads))
    with within(PATIENCE), site.store() as store, pytest.raises(Unreachable):
        store.put_object(hash_of(data), io.BytesIO(data), len(data))
    assert not site.direct().has(hash_of(data))
    assert {held.hash for held in site.direct().list_objects()} == {hash_of(b"a mark")}


def test_an_upload_whose_answer_is_lost(site):
    data = os.urandom(100_000)
    site.put(b"a mark")
    site.proxy.fail(Fault("cut", 0, times=1, when=lambda method, path: method in ("PUT", "MOVE") and "/v1/objects/" in path))
    with within(15), site.store(10) as store:
        store.put_object(hash_of(data), io.BytesIO(data), len(data))
    assert fetched(site.direct(), hash_of(data)) == data


def test_a_stalled_small_upload(site):
    site.put(b"a mark")
    data = os.urandom(200_000)
    site.proxy.fail(Fault("stall upload", 1000, times=FOR_EVER, when=uploads))
    with within(PATIENCE), site.store() as store, pytest.raises(Unreachable):
        store.put_object(hash_of(data), io.BytesIO(data), len(data))
    assert not site.direct().has(hash_of(data))


@pytest.mark.parametrize(("status", "words"), [(507, "full"), (403, "forbids|denied"), (401, "credentials"), (413, "no")])
def test_a_server_that_takes_no_more(site, status, words):
    data = os.urandom(2 << 20)
    site.put(b"a mark")
    code = {507: b"QuotaExceeded", 403: b"AccessDenied", 413: b"EntityTooLarge"}.get(status, b"")
    said = answer(status, b"<Error><Code>" + code + b"</Code></Error>")
    site.proxy.fail(Fault("answer", answer=said, times=FOR_EVER, when=lambda method, path: method != "GET"))
    with within(PATIENCE), site.store() as store, pytest.raises(Refused, match=words) as caught:
        store.put_object(hash_of(data), io.BytesIO(data), len(data))
    assert caught.value.hint and "films" in caught.value.what
    assert not site.direct().has(hash_of(data))


# -- servers that are not there, or not ours -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_servers_that_do_not_answer(scheme, tmp_path):
    silent = Silent()
    try:
        for base in silent.bases().values():
            url = s3_url(base) if scheme == "s3" else f"{base}/films"
            for attempt in (lambda store: store.has("ab" * 32), lambda store: store.put_object(hash_of(b"x"), io.BytesIO(b"x"), 1)):
                store = open_remote(Remote("films", url), s3_environ(tmp_path), patience=PATIENCE)
                with within(PATIENCE), pytest.raises(Unreachable, match="films") as caught:
                    attempt(store)
                assert caught.value.exit_code == 5 and caught.value.hint
    finally:
        silent.close()


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_a_name_that_nobody_knows(scheme, tmp_path, monkeypatch):
    if scheme == "http":
        def slow(*_args, **_kwargs):
            time.sleep(20)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", slow)  # a resolver whose servers are away
    base = "http://nobody.invalid"
    store = open_remote(Remote("films", s3_url(base) if scheme == "s3" else base), s3_environ(tmp_path), patience=PATIENCE)
    with within(PATIENCE), pytest.raises(Unreachable):
        store.has("ab" * 32)


def test_wrong_credentials(rclone, tmp_path):  # noqa: F811
    secret = "AnotherSecretAltogether"
    store = open_remote(Remote("films", s3_url(rclone.base)), s3_environ(tmp_path, secret=secret), patience=PATIENCE)
    for attempt in (lambda: store.has("ab" * 32), lambda: store.open_object("ab" * 32), lambda: list(store.list_objects()),
                    lambda: store.put_object(hash_of(b"x"), io.BytesIO(b"x"), 1), store.probe, store.establish):
        with within(1), pytest.raises(Refused, match=r"denied|credentials") as caught:
            attempt()
        assert secret not in f"{caught.value.what}{caught.value.hint}"


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_a_missing_bucket(server, request, tmp_path):
    server = request.getfixturevalue(server)
    store = open_remote(Remote("films", s3_url(server.base, bucket="never-made")), server.environ, patience=PATIENCE)
    for attempt in (store.probe, store.establish, lambda: list(store.list_objects()), lambda: store.open_object("ab" * 32),
                    lambda: store.put_object(hash_of(b"x"), io.BytesIO(b"x"), 1)):
        with within(1), pytest.raises(Refused, match="no such bucket"):
            attempt()


@pytest.mark.needs("nginx")
def test_a_web_server_with_a_password(nginx, tmp_path):  # noqa: F811
    for text in ("", "machine 127.0.0.1 login somebody password else\n"):
        (tmp_path / ".netrc").write_text(text)
        (tmp_path / ".netrc").chmod(0o600)
        store = open_remote(Remote("films", f"{nginx.base}/locked/x"), {"HOME": str(tmp_path)}, patience=PATIENCE)
        for attempt in (lambda: store.has("ab" * 32), store.probe, store.establish, lambda: list(store.list_objects())):  # noqa: B023
            with pytest.raises(Refused, match="other credentials") as caught:
                attempt()
            assert "netrc" in caught.value.hint and "else" not in caught.value.what
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login x password\n nonsense secretword\n")
    with pytest.raises(Refused, match=r"\.netrc cannot be read") as caught:
        open_remote(Remote("films", f"{nginx.base}/locked/x"), {"HOME": str(tmp_path)}, patience=PATIENCE)
    assert "secretword" not in str(caught.value)


@pytest.mark.needs("nginx")
def test_a_web_server_with_a_limit(nginx, tmp_path):  # noqa: F811
    store = open_remote(Remote("films", f"{nginx.base}/tight/{os.urandom(4).hex()}"), {"HOME": str(tmp_path)}, patience=5)
    small, large = os.urandom(500), os.urandom(8 << 20)
    store.put_object(hash_of(small), io.BytesIO(small), len(small))
    with within(4), pytest.raises(Refused, match="takes no upload of that size"):
        store.put_object(hash_of(large), io.BytesIO(large), len(large))
    assert store.has(hash_of(small)) and not store.has(hash_of(large))


# -- folders -------------------------------------------------------------------------------------------------------


def folder_store(path, patience: float = PATIENCE):
    return open_remote(Remote("nas", f"file://{path}"), {}, patience=patience)


def test_a_folder_that_is_not_mounted_is_never_made_anew(tmp_path):
    folder = tmp_path / "mnt" / "nas"
    first = folder_store(folder)
    first.establish()
    data = b"kept"
    first.put_object(hash_of(data), io.BytesIO(data), len(data))
    (tmp_path / "mnt").rename(tmp_path / "elsewhere")
    for there in (False, True):  # the mount point is gone; it is there, and empty
        if there:
            folder.mkdir(parents=True)
        store = folder_store(folder)
        for attempt in (lambda: store.has(hash_of(data)), lambda: store.open_object(hash_of(data)), lambda: list(store.list_objects()),  # noqa: B023
                        lambda: store.put_object(hash_of(b"x"), io.BytesIO(b"x"), 1), lambda: store.put_record("ab" * 32, "cd" * 32, b"{}"),  # noqa: B023
                        lambda: store.remove_objects([hash_of(data)]), store.probe):  # noqa: B023
            with pytest.raises(Unreachable, match=r"not mounted|not there"):
                attempt()
        assert folder.exists() == there and (not there or list(folder.iterdir()) == [])
    # Who had it open writes to the very folder that carries the mark, wherever it is now.
    first.put_object(hash_of(b"late"), io.BytesIO(b"late"), 4)
    assert list(folder.iterdir()) == []
    assert folder_store(tmp_path / "elsewhere" / "nas").has(hash_of(b"late"))


def test_a_full_nas(mounts):
    disk = mounts.tmpfs("1m")
    store = folder_store(f"{disk}/store")
    store.establish()
    data = os.urandom(3 << 20)
    with pytest.raises(Refused, match="no space left"):
        store.put_object(hash_of(data), io.BytesIO(data), len(data))
    assert not store.has(hash_of(data))
    assert [name for _, _, names in os.walk(disk) for name in names] == ["regen-remote.json"]


def test_a_hostile_nas(tmp_path):
    """Symlinks, pipes and folders in the place of objects: nothing outside is read or written, nothing waits."""
    folder, outside = tmp_path / "nas", tmp_path / "outside"
    outside.mkdir()
    store = folder_store(folder)
    store.establish()
    secret = b"a secret of this user"
    (outside / hash_of(secret)[2:]).write_bytes(secret)
    objects = folder / "v1" / "objects"
    objects.mkdir(parents=True)
    (objects / hash_of(secret)[:2]).symlink_to(outside)
    with pytest.raises(Refused, match="symlink"):
        store.put_object(hash_of(secret), io.BytesIO(secret), len(secret))
    assert os.listdir(outside) == [hash_of(secret)[2:]]
    assert list(store.list_objects()) == []
    for name, make in (("pipe", os.mkfifo), ("link", lambda path: os.symlink(outside / hash_of(secret)[2:], path)), ("folder", os.mkdir)):
        hash = hash_of(name.encode())
        (objects / hash[:2]).mkdir(exist_ok=True)
        make(objects / hash[:2] / hash[2:])
        with within(1):
            assert not store.has(hash) and store.open_object(hash) is None
    assert list(store.list_objects()) == []


def test_a_folder_without_the_right_to_write(tmp_path, monkeypatch):
    store = folder_store(tmp_path / "nas")
    store.establish()

    def forbidden(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("regen_vcs.platform.tree.Tree.temp_in", forbidden)  # root, who runs many a CI, is never refused
    with pytest.raises(Refused, match="permission denied"):
        store.put_object(hash_of(b"x"), io.BytesIO(b"x"), 1)


def test_a_file_system_that_does_not_answer(tmp_path, monkeypatch):
    store = folder_store(tmp_path / "nas", patience=0.3)
    real = os.stat

    def hangs(path, *args, **kwargs):
        if path == str(tmp_path / "nas"):
            time.sleep(3)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", hangs)  # as a hard-mounted share whose server is away
    with within(1), pytest.raises(Unreachable):
        store.has("ab" * 32)
