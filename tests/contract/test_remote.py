"""What every remote promises, wherever it lives: one suite over all of them."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError, NewerFormat, RegenError
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.remote.base import Refused, Remote
from regen_vcs.remote.opening import open_remote
from regen_vcs.remote.packing import BLOCK
from regen_vcs.remote.store import BUFFERED
from tests.remote_servers.fixtures import moto, nginx, rclone  # noqa: F401 (fixtures)
from tests.remote_servers.servers import s3_url

KEY, OTHER = "ab" * 32, "cd" * 32
needs_nginx = pytest.mark.needs("nginx")


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


class Place:
    """An empty place of one kind. `store()` opens it; `put_raw` and `get_raw` go past us to what lies there."""

    def __init__(self, url: str, environ: dict[str, str], raw):
        self.url, self.environ, self._raw = url, environ, raw
        self._stores = []

    def store(self, *, read_only: bool = False, patience: float = 20):
        store = open_remote(Remote("films", self.url, read_only=read_only), self.environ, patience=patience)
        self._stores.append(store)
        return store

    def put_raw(self, name: str, data: bytes) -> None:
        """As somebody else could put it there."""
        from regen_vcs.remote.bucket import content_of

        self._raw().write(name, content_of(data))

    def get_raw(self, name: str) -> bytes | None:
        body = self._raw().read(name)
        return None if body is None else b"".join(body.chunks)

    def names(self) -> list[str]:
        return sorted(name for name, _ in self._raw().list("v1/", 9))

    def close(self) -> None:
        for store in self._stores:
            store.close()


@pytest.fixture(params=[
    "memory", "file", "moto", "rclone", pytest.param("dav", marks=needs_nginx), pytest.param("dav without MOVE", marks=needs_nginx),
    pytest.param("dav without folders", marks=needs_nginx), pytest.param("dav with a password", marks=needs_nginx),
])
def place(request, tmp_path):
    name = f"r{os.urandom(6).hex()}"
    environ = {"HOME": str(tmp_path)}
    if request.param == "memory":
        url = f"memory://{name}"
    elif request.param == "file":
        url = f"file://{tmp_path}/Fïlme 100%/the store"
    elif request.param in ("moto", "rclone"):
        server = request.getfixturevalue(request.param)
        url, environ = s3_url(server.base, f"a film/%C3%A4/{name}"), server.environ
    else:
        server = request.getfixturevalue("nginx")
        below = {"dav": "", "dav without MOVE": "unmoved/", "dav without folders": "strict/", "dav with a password": "locked/"}[request.param]
        url = f"{server.base}/{below}{name}"
        if below == "locked/":
            write_netrc(tmp_path)
    place = Place(url, environ, lambda: place.store()._bucket)
    place.store().establish()
    yield place
    place.close()


def write_netrc(home) -> None:
    from tests.remote_servers.servers import PASSWORD, USER

    (home / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n", encoding="utf-8")
    (home / ".netrc").chmod(0o600)


def noise(size: int) -> bytes:
    return os.urandom(size)


def wave(size: int) -> bytes:
    """Compressible only when its bytes are laid out in planes: 16 bit samples that wander."""
    steps = io.BytesIO()
    value = 0
    for byte in os.urandom(size // 2):
        value = (value + byte - 127) & 0xFFFF
        steps.write(value.to_bytes(2, "little"))
    return steps.getvalue()


DATA = {
    "nothing": b"",
    "a byte": b"x",
    "a text": b'{"prompt": "rain on glass"}\n' * 400,
    "noise": noise(300_000),
    "sound": wave(300_001),
    "as much as is verified first": noise(BUFFERED),
    "a little more": noise(BUFFERED + 1),
    "large and compressible": b"regen " * (2 * BLOCK) + b"end",
    "large": noise(7 << 20),
    "what looks packed": b"regen-pack 1 zstd 1 27\nnothing of the kind",
    "what looks packed, and is": b"regen-pack 1 stored 1 2\nab",
    "what looks packed, large": b"regen-pack " + noise(2 << 20),
}


def put(store, data: bytes) -> str:
    hash = hash_of(data)
    store.put_object(hash, io.BytesIO(data), len(data))
    return hash


def fetched(store, hash: str, size: int | None = None) -> bytes:
    return b"".join(store.open_object(hash, size))


@pytest.mark.parametrize("kind", DATA)
def test_what_is_put_comes_back(place, kind):
    data = DATA[kind]
    here, there = place.store(), place.store()
    hash = hash_of(data)
    assert not here.has(hash) and here.open_object(hash) is None
    here.put_object(hash, io.BytesIO(data), len(data))
    assert there.has(hash)
    assert fetched(there, hash) == fetched(there, hash, len(data)) == data


def test_what_compresses_is_stored_smaller_under_its_own_name(place):
    store = place.store()
    for kind in ("a text", "sound", "large and compressible"):
        data = DATA[kind]
        sent = store.put_object(hash_of(data), io.BytesIO(data), len(data))
        assert sent < 0.8 * len(data), kind
        held = {each.hash: each.size for each in store.list_objects()}
        assert held[hash_of(data)] == sent
    data = DATA["noise"]
    assert store.put_object(hash_of(data), io.BytesIO(data), len(data)) == len(data)


def test_listing_and_removing(place):
    store = place.store()
    assert list(store.list_objects()) == []
    hashes = {put(store, noise(50)) for _ in range(40)}
    assert {each.hash for each in store.list_objects()} == hashes
    assert len([*store.list_objects()]) == 40
    gone = set(list(hashes)[:7])
    store.remove_objects([*gone, hash_of(b"never was there")])
    store.remove_objects([])
    assert {each.hash for each in store.list_objects()} == hashes - gone
    assert not any(store.has(hash) for hash in gone)


def test_names_that_are_not_ours_are_ignored(place):
    store = place.store()
    hash = put(store, b"ours")
    for name in (f"v1/objects/{hash[:2]}/{hash[2:]}.bak", f"v1/objects/{hash[:2]}/README", "v1/objects/notes.txt", f"v1/objects/zz/{hash[2:]}",
                 f"v1/objects/{hash[:2]}/{'A' * 62}", f"v1/objects/{hash[:2]}/deep/{hash[2:]}", "v1/others/x"):
        place.put_raw(name, b"theirs")
    assert [each.hash for each in store.list_objects()] == [hash]


def test_records_and_recipes(place):
    store = place.store()
    assert list(store.records(KEY)) == [] and store.recipe(KEY) is None
    records = {canonical_bytes({"at": f"2026-11-{day}", "seconds": day}) for day in range(10, 13)}
    for record in records:
        store.put_record(KEY, OTHER, record)
        store.put_record(KEY, OTHER, record)
    store.put_record(OTHER, KEY, b"{}")
    assert sorted(place.store().records(KEY)) == sorted((OTHER, record) for record in records)
    store.put_recipe(KEY, b'{\n  "regen": 1\n}\n')
    assert place.store().recipe(KEY) == b'{\n  "regen": 1\n}\n'
    assert place.store().recipe(OTHER) is None


def test_hostile_records_are_passed_over(place):
    store = place.store()
    good = canonical_bytes({"seconds": 1})
    store.put_record(KEY, OTHER, good)
    folder = f"v1/results/{KEY[:2]}/{KEY}"
    lies = {
        f"{folder}/{OTHER}/{hash_of(b'another')}.json": b'{"seconds":2}',  # not what its name says
        f"{folder}/{OTHER}/{hash_of(b'{ }')}.json": b"{ }",  # not canonical
        f"{folder}/{OTHER}/{hash_of(b'[]')}.json": b"[]",
        f"{folder}/{OTHER}/{hash_of(b'no json')}.json": b"no json",
        f"{folder}/{'g' * 64}/{hash_of(b'{}')}.json": b"{}",
        f"{folder}/notes.json": b"{}",
    }
    huge = canonical_bytes({"a": "x" * (1 << 20)})
    lies[f"{folder}/{OTHER}/{hash_of(huge)}.json"] = huge
    for name, data in lies.items():
        place.put_raw(name, data)
    assert list(store.records(KEY)) == [(OTHER, good)]
    place.put_raw(f"v1/recipes/{KEY[:2]}/{KEY}.json", b"x" * ((1 << 20) + 1))
    assert store.recipe(KEY) is None


@pytest.mark.parametrize("size", [10, 200_000, 5 << 20])
def test_wrong_bytes_under_a_name_are_never_passed_on_as_good(place, size):
    right = noise(size)
    hash = hash_of(right)
    for wrong in (right[:-1], right + b"!", bytes([right[0] ^ 1]) + right[1:], b"", b"regen-pack 1 zstd 1 5\nabcde", b"regen-pack 2 new 1 5\nabcde"):
        place.put_raw(f"v1/objects/{hash[:2]}/{hash[2:]}", wrong)
        for known in (None, size):
            with pytest.raises(CorruptionError, match=hash) as caught:
                fetched(place.store(), hash, known)
            assert "films" in caught.value.what and caught.value.hint
    store = place.store()
    put(store, right)
    assert fetched(store, hash) == right  # a push of the right bytes mends it


def test_a_bomb_is_cut_off_at_the_size_it_should_have(place):
    import zstandard

    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(200 << 20))
    assert len(bomb) < 64 << 10
    hash = hash_of(b"small")
    for claimed in (5, 200 << 20):
        place.put_raw(f"v1/objects/{hash[:2]}/{hash[2:]}", b"regen-pack 1 zstd 1 %d\n" % claimed + bomb)
        with pytest.raises(CorruptionError):
            fetched(place.store(), hash, 5)
    place.put_raw(f"v1/objects/{hash[:2]}/{hash[2:]}", b"regen-pack 1 zstd 1 5\n" + bomb)
    with pytest.raises(CorruptionError):  # its own header bounds it where nobody knows better
        fetched(place.store(), hash)


def test_read_only(place):
    hash = put(place.store(), b"there")
    store = place.store(read_only=True)
    assert store.has(hash) and fetched(store, hash) == b"there"
    assert store.probe() is None
    for attempt in (lambda: put(store, b"new"), lambda: store.put_record(KEY, OTHER, b"{}"), lambda: store.put_recipe(KEY, b"{}"),
                    lambda: store.remove_objects([hash])):
        with pytest.raises(Refused, match="read-only"):
            attempt()
    assert not store.has(hash_of(b"new")) and store.has(hash)


def test_names_that_are_no_hashes_are_refused(place):
    store = place.store()
    for name in ("", "a" * 63, "../" * 21 + "x", "A" * 64, "g" * 64, "é" * 64):
        for attempt in (lambda: store.has(name), lambda: store.open_object(name), lambda: put_named(store, name), lambda: store.recipe(name),  # noqa: B023
                        lambda: list(store.records(name)), lambda: store.put_record(name, KEY, b"{}"), lambda: store.put_record(KEY, name, b"{}"),  # noqa: B023
                        lambda: store.remove_objects([name])):  # noqa: B023
            with pytest.raises(InvalidError):
                attempt()


def put_named(store, name: str) -> None:
    store.put_object(name, io.BytesIO(b"x"), 1)


def test_sixteen_threads(place):
    store = place.store()
    blobs = [noise(20_000) if number % 2 else b"text %d " % number * 3000 for number in range(120)]
    with ThreadPoolExecutor(16) as threads:
        hashes = list(threads.map(lambda data: put(store, data), blobs))
        assert list(threads.map(store.has, hashes)) == [True] * len(blobs)
        assert list(threads.map(lambda hash: fetched(store, hash), hashes)) == blobs


def test_an_upload_whose_source_fails_leaves_nothing(place):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 1_000_000:
                raise OSError(5, "the disk is dying")
            return super().read(min(size, 65536) if size > 0 else size)

    store = place.store()
    data = noise(8 << 20)
    with pytest.raises(RegenError, match="the disk is dying"):
        store.put_object(hash_of(data), Failing(data), len(data))
    assert not place.store().has(hash_of(data))
    with pytest.raises(CorruptionError):
        store.put_object(hash_of(data), io.BytesIO(data[:-5]), len(data))
    assert not place.store().has(hash_of(data))
    assert [name for name in place.names() if "objects" in name] == []


def test_the_place_says_what_it_is(place):
    assert place.get_raw("regen-remote.json") == b'{\n  "regen-remote": 1\n}\n'
    place.store().establish()
    assert place.store().probe() is None
    assert [name for name in place.names() if "probe" in name] == []
    place.put_raw("regen-remote.json", b'{"regen-remote": 2}')
    for attempt in (lambda: put(place.store(), b"x"), lambda: place.store().establish(), lambda: place.store().probe()):
        with pytest.raises(NewerFormat, match="newer"):
            attempt()
    for garbage in (b"", b"<html>", b'{"regen-remote": true}', b'{"regen-remote": "1"}', b"[1]"):
        place.put_raw("regen-remote.json", garbage)
        with pytest.raises(InvalidError, match="mark"):
            put(place.store(), b"x")
    assert not place.store().has(hash_of(b"x"))
