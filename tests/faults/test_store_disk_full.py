"""Disks that are full, read-only or somebody else's: an error in words, nothing half-written, nothing lost."""

from __future__ import annotations

import errno
import os

import pytest

from regen_vcs.errors import RegenError
from regen_vcs.platform.tree import Tree
from regen_vcs.stores.links import SparePool
from regen_vcs.stores.objects import LocalStores, ObjectStore
from regen_vcs.stores.results import RescueLog, Results


def files_below(folder) -> list[str]:
    return [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]


@pytest.mark.parametrize("size", [700_000, 5_000_000])
def test_a_full_disk(mounts, tmp_path, size):
    disk = mounts.tmpfs("1m")
    (tmp_path / "large").write_bytes(os.urandom(size))
    store = ObjectStore(f"{disk}/v1")
    first, _ = store.ingest_bytes(os.urandom(600_000))
    for ingest in (
        lambda: store.ingest_file(str(tmp_path / "large")),
        lambda: store.ingest_bytes((tmp_path / "large").read_bytes()),
        lambda: store.ingest_stream([(tmp_path / "large").read_bytes()]),
    ):
        with pytest.raises(RegenError, match="no space left on device while storing") as caught:
            ingest()
        assert "gc" in caught.value.hint
        assert files_below(disk) == [store.path_of(first)]
    small, _ = store.ingest_bytes(b"there is room for this")
    assert sorted(store) == sorted([first, small])


def test_a_disk_that_fills_in_a_batch(mounts):
    disk = mounts.tmpfs("1m")
    store = ObjectStore(f"{disk}/v1")
    stored = []
    with pytest.raises(RegenError, match="no space"), store.batch():
        for _ in range(10):
            stored.append(store.ingest_bytes(os.urandom(150_000))[0])
    assert 4 <= len(stored) <= 6
    assert sorted(store) == sorted(stored)
    assert len(files_below(disk)) == len(stored)
    assert all(store.verify(hash) for hash in stored)


def test_a_worktree_that_is_full(mounts, tmp_path):
    disk = mounts.tmpfs("1m")
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    small, _ = stores.ingest_bytes(b"accepted")
    large, _ = stores.ingest_bytes(os.urandom(2_000_000))
    with Tree(disk) as tree:
        stores.place(small, tree, "a.png")
        with pytest.raises(RegenError, match=r"no space left on device while writing a\.png"):
            stores.place(large, tree, "a.png")
    assert files_below(disk) == [f"{disk}/a.png"]
    with open(f"{disk}/a.png", "rb") as file:
        assert file.read() == b"accepted"


def test_a_read_only_store_is_read(mounts, tmp_path):
    disk = mounts.tmpfs("4m")
    stores = LocalStores(f"{disk}/keep/v1", f"{disk}/cache/v1")
    sound, _ = stores.ingest_bytes(b"sound")
    touched, _ = stores.ingest_bytes(b"touched")
    wrong, _ = stores.ingest_bytes(b"wrong")
    os.utime(stores.find(touched))
    path = stores.find(wrong)
    os.chmod(path, 0o644)
    with open(path, "wb") as file:
        file.write(b"WRONG")
    mounts.remount_read_only(disk)
    assert stores.read_bytes(sound) == b"sound"
    assert stores.read_bytes(touched) == b"touched"
    assert not stores.has(wrong)
    with pytest.raises(RegenError, match="read-only file system while storing"):
        stores.ingest_bytes(b"new")
    with pytest.raises(RegenError, match="read-only file system"):
        Results(stores.keep.root).record(sound, sound, {})
    with pytest.raises(RegenError, match="read-only file system"):
        RescueLog(stores.keep.root).add("repo", "/w", "x", sound, 1, "edited")


def test_a_cache_on_another_disk(mounts, tmp_path):
    disk = mounts.tmpfs("8m")
    stores = LocalStores(str(tmp_path / "keep" / "v1"), f"{disk}/v1")
    hashes = [stores.ingest_bytes(os.urandom(size))[0] for size in (10, 2_000_000)]
    for hash in hashes:
        assert stores.demote(hash)
        assert stores.holder(hash) is stores.cache
        assert stores.promote(hash)
        assert stores.holder(hash) is stores.keep
    assert sorted(stores) == sorted(hashes)
    huge, _ = stores.ingest_bytes(os.urandom(9_000_000))
    with pytest.raises(RegenError, match="no space"):
        stores.demote(huge)
    assert stores.holder(huge) is stores.keep
    assert stores.verify(huge)


def test_spares_do_not_cross_disks(mounts, tmp_path):
    disk = mounts.tmpfs("1m")
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    hash, _ = stores.ingest_bytes(b"x")
    pool = SparePool(f"{disk}/spare", 1 << 20)
    (tmp_path / "tree").mkdir()
    with Tree(str(tmp_path / "tree")) as tree:
        was = stores.place(hash, tree, "x")
        assert not pool.put(tree, "x", hash, was)
        assert (tmp_path / "tree" / "x").read_bytes() == b"x"
        placed = stores.place(hash, tree, "x", link="hardlink!")
    assert placed.size == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace", "utime"])
@pytest.mark.parametrize("size", [10, 2 << 20])
def test_every_call_may_fail(tmp_path, monkeypatch, call, number, size):
    """The same without a disk of our own: one failing system call at a time."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    store = ObjectStore(str(tmp_path / "v1"))
    store.ingest_bytes(b"first, so that folders exist")
    before = files_below(tmp_path / "v1")
    real = getattr(os, call)

    def fail(*args, **kwargs):
        if call == "open" and not (isinstance(args[0], str) and "/tmp-" in args[0]):
            return real(*args, **kwargs)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(RegenError, match="while storing"):
            store.ingest_file(str(source))
    assert files_below(tmp_path / "v1") == before
    store.ingest_file(str(source))
