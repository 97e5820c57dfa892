"""What every object store promises, whichever folder it is: one suite over all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError, RegenError
from regen_vcs.stores.digest import SMALL
from regen_vcs.stores.objects import LocalStores, ObjectStore
from regen_vcs.stores.seal import is_sealed

SIZES = (0, 1, 32 * 1024, SMALL - 1, SMALL, SMALL + 1, 5 * SMALL + 7)


def name_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def noise(size: int) -> bytes:
    return (os.urandom(min(size, 4096)) * (size // 4096 + 1))[:size]


class Proven:
    """LocalStores as one sees it who only stores what can be made again."""

    def __init__(self, stores: LocalStores):
        self._stores = stores

    def __getattr__(self, name: str):
        return getattr(self._stores, name)

    def __iter__(self):
        return iter(self._stores)

    def ingest_file(self, *args, **kwargs):
        return self._stores.ingest_file(*args, proven=True, **kwargs)

    def ingest_bytes(self, *args, **kwargs):
        return self._stores.ingest_bytes(*args, proven=True, **kwargs)

    def ingest_stream(self, *args, **kwargs):
        return self._stores.ingest_stream(*args, proven=True, **kwargs)


@pytest.fixture(params=["object store", "keep", "cache", "one folder"])
def store(request, tmp_path):
    keep, cache = str(tmp_path / "kéep" / "v1"), str(tmp_path / "cache" / "v1")
    match request.param:
        case "object store":
            return ObjectStore(keep)
        case "keep":
            return LocalStores(keep, cache)
        case "cache":
            return Proven(LocalStores(keep, cache))
        case _:
            return LocalStores(keep, keep)


@pytest.fixture
def write(tmp_path):
    def write(data: bytes, name: str = "source.png") -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


def everything_below(tmp_path) -> list[str]:
    """All files in the stores, without the cache's tag."""
    found = []
    for folder in ("kéep", "cache"):
        for where, _, names in os.walk(tmp_path / folder):
            found.extend(os.path.join(where, name) for name in names if name != "CACHEDIR.TAG")
    return found


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_under_its_hash(store, write, size):
    data = noise(size)
    hash, stored = store.ingest_file(write(data))
    assert (hash, stored) == (name_of(data), size)
    assert store.has(hash)
    assert store.size_of(hash) == size
    assert store.read_bytes(hash) == data
    assert store.verify(hash)
    assert list(store) == [hash]


@pytest.mark.parametrize("size", SIZES)
def test_bytes_and_streams_get_the_same_name(store, size):
    data = noise(size)
    pieces = [data[at : at + 100_000] for at in range(0, size, 100_000)]
    assert store.ingest_stream(iter(pieces)) == store.ingest_bytes(data) == (name_of(data), size)
    assert list(store) == [name_of(data)]


@pytest.mark.parametrize("size", (10, SMALL + 1))
def test_objects_are_read_only_sealed_and_alone(store, write, tmp_path, size):
    hash, _ = store.ingest_file(write(noise(size)))
    (path,) = everything_below(tmp_path)
    st = os.lstat(path)
    assert path.endswith(f"objects/{hash[:2]}/{hash[2:]}")
    assert st.st_mode & 0o7777 == 0o444
    assert is_sealed(st, hash)


@pytest.mark.parametrize("size", (10, SMALL + 1))
def test_a_descriptor_is_read_from_its_start(store, write, size):
    data = noise(size)
    fd = os.open(write(data), os.O_RDONLY)
    try:
        os.read(fd, 5)
        assert store.ingest_file(fd) == (name_of(data), size)
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", (10, SMALL + 1))
def test_unexpected_bytes_are_refused_and_leave_nothing(store, write, tmp_path, size):
    source, other = write(noise(size)), name_of(b"other")
    with pytest.raises(CorruptionError):
        store.ingest_file(source, expect=other)
    with pytest.raises(CorruptionError):
        store.ingest_bytes(b"x", expect=other)
    with pytest.raises(CorruptionError):
        store.ingest_stream([b"x"], expect=other)
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("size", (10, SMALL + 1))
def test_unexpected_bytes_are_refused_though_the_expected_ones_are_here(store, write, size):
    expected, _ = store.ingest_bytes(b"expected")
    with pytest.raises(CorruptionError):
        store.ingest_file(write(noise(size)), expect=expected)
    assert list(store) == [expected]


@pytest.mark.parametrize("size", (10, SMALL + 1))
def test_storing_twice_writes_once(store, write, tmp_path, size):
    source = write(noise(size))
    store.ingest_file(source)
    (path,) = everything_below(tmp_path)
    inode = os.stat(path).st_ino
    store.ingest_file(source)
    store.ingest_file(source, expect=name_of(Path(source).read_bytes()))
    assert everything_below(tmp_path) == [path]
    assert os.stat(path).st_ino == inode


def test_a_stream_that_fails_leaves_nothing(store, tmp_path):
    def broken():
        yield b"half"
        raise ConnectionResetError("gone")

    with pytest.raises(RegenError):
        store.ingest_stream(broken())
    assert everything_below(tmp_path) == []


def test_interrupting_a_stream_leaves_nothing(store, tmp_path):
    def interrupted():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.ingest_stream(interrupted())
    assert everything_below(tmp_path) == []


def test_only_regular_files_are_stored(store, write, tmp_path):
    os.symlink(write(b"x"), tmp_path / "link")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "."):
        with pytest.raises(InvalidError):
            store.ingest_file(str(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        store.ingest_file(str(tmp_path / "nothing"))


def test_what_is_not_there(store):
    absent = name_of(b"absent")
    assert not store.has(absent)
    assert not store.verify(absent)
    assert store.size_of(absent) is None
    assert list(store) == []
    with pytest.raises(RegenError) as caught:
        store.read_bytes(absent)
    assert not isinstance(caught.value, CorruptionError)


@pytest.mark.parametrize("name", ["", "../../../etc/passwd", "ab" * 31 + "/.", "ab" * 31 + "\0a", "0" * 63])
def test_names_that_are_no_hashes_reach_no_file(store, name):
    with pytest.raises(InvalidError):
        store.has(name)


def test_a_batch_becomes_visible_at_its_end(store, write):
    large = write(noise(SMALL + 1), "large")
    with store.batch():
        hashes = [store.ingest_bytes(b"%d" % number)[0] for number in range(20)]
        hashes.append(store.ingest_file(large)[0])
        assert store.ingest_bytes(b"0")[0] == hashes[0]
        assert store.ingest_file(large)[0] == hashes[-1]
        assert not any(store.has(hash) for hash in hashes)
    assert all(store.has(hash) for hash in hashes)
    assert sorted(store) == sorted(hashes)


def test_a_batch_keeps_what_it_had_when_something_fails(store, tmp_path):
    with pytest.raises(ZeroDivisionError), store.batch():
        hash, _ = store.ingest_bytes(b"kept")
        raise ZeroDivisionError
    assert store.has(hash)
    assert len(everything_below(tmp_path)) == 1


def test_batches_nest(store):
    with store.batch():
        with store.batch():
            hash, _ = store.ingest_bytes(b"inner")
        assert not store.has(hash)
    assert store.has(hash)


def test_temporaries_are_no_objects(store, tmp_path):
    hash, _ = store.ingest_bytes(b"x")
    (path,) = everything_below(tmp_path)
    for folder in (os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
        with open(f"{folder}/tmp-host-1-abc", "w") as file:
            file.write("half")
    assert list(store) == [hash]


# -- damage ----------------------------------------------------------------------------------------------------------


def damage(path: str, *, keep_time: bool = False) -> None:
    st = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"?")
    if keep_time:
        os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))


def test_a_broken_seal_on_sound_bytes_is_mended(store, tmp_path):
    hash, _ = store.ingest_bytes(b"sound")
    (path,) = everything_below(tmp_path)
    os.chmod(path, 0o644)
    os.utime(path)
    assert store.has(hash)
    st = os.stat(path)
    assert is_sealed(st, hash)
    assert st.st_mode & 0o777 == 0o444


def test_a_broken_seal_on_wrong_bytes_is_never_returned(store, tmp_path):
    hash, _ = store.ingest_bytes(b"sound")
    (path,) = everything_below(tmp_path)
    damage(path)
    assert not store.has(hash)
    assert not os.path.lexists(path)
    (aside,) = everything_below(tmp_path)
    assert f"/quarantine/{hash}-" in aside
    assert Path(aside).read_bytes() == b"?ound"


def test_bit_rot_under_a_whole_seal_is_found_on_reading(store, tmp_path):
    hash, _ = store.ingest_bytes(b"sound")
    (path,) = everything_below(tmp_path)
    damage(path, keep_time=True)
    assert store.has(hash)  # nothing moved that a stat could show
    with pytest.raises(CorruptionError):
        store.read_bytes(hash)
    assert not store.has(hash)


def test_bit_rot_is_found_by_verify_and_the_object_can_come_again(store, tmp_path):
    hash, _ = store.ingest_bytes(b"sound")
    (path,) = everything_below(tmp_path)
    damage(path, keep_time=True)
    assert not store.verify(hash)
    assert store.ingest_bytes(b"sound") == (hash, 5)
    assert store.read_bytes(hash) == b"sound"


def test_an_object_that_was_exchanged_for_a_symlink_is_not_followed(store, write, tmp_path):
    hash, _ = store.ingest_bytes(b"sound")
    (path,) = everything_below(tmp_path)
    os.unlink(path)
    os.symlink(write(b"sound"), path)
    assert not store.has(hash)
    assert store.ingest_bytes(b"sound")[0] == hash
    assert store.has(hash)


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs the peak memory of a child")
def test_memory_does_not_grow_with_the_file(tmp_path):
    source = tmp_path / "large"
    with open(source, "wb") as file:
        file.truncate(600 << 20)
    # A child starts with its parent's peak as its own: it is reset first.
    code = (
        "import sys\nopen('/proc/self/clear_refs', 'w').write('5')\n"
        "from regen_vcs.stores.objects import ObjectStore\n"
        "store = ObjectStore(sys.argv[2])\nhash, size = store.ingest_file(sys.argv[1])\n"
        "assert size == 600 << 20 and store.verify(hash)\n"
        "print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path / "v1")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * 1024 < 100 << 20
