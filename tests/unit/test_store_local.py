"""Keep, cache and trash together: an object is in one of them, and moves between them whole."""

from __future__ import annotations

import os

import pytest
from blake3 import blake3

from regen_vcs.errors import CorruptionError, RegenError
from regen_vcs.platform.tree import Tree
from regen_vcs.stores.objects import LocalStores


@pytest.fixture
def stores(tmp_path):
    return LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))


def test_nothing_is_created_before_something_is_stored(stores, tmp_path):
    assert not stores.has(blake3(b"x").hexdigest())
    assert os.listdir(tmp_path) == []


def test_proven_bytes_go_to_cache_and_all_others_to_keep(stores):
    proven, _ = stores.ingest_bytes(b"made", proven=True)
    other, _ = stores.ingest_bytes(b"found")
    assert (list(stores.cache), list(stores.keep)) == ([proven], [other])
    assert stores.find(proven).startswith(stores.cache.root)
    assert stores.find(other).startswith(stores.keep.root)
    assert sorted(stores) == sorted([proven, other])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("size", [10, 3 << 20])
def test_an_object_is_in_one_of_them(stores, tmp_path, first, size):
    (tmp_path / "a").write_bytes(os.urandom(size))
    hash, _ = stores.ingest_file(str(tmp_path / "a"), proven=first)
    stores.ingest_file(str(tmp_path / "a"), proven=not first)
    assert list(stores) == [hash]
    assert stores.holder(hash) is (stores.cache if first else stores.keep)


def test_promote_and_demote(stores):
    hash, _ = stores.ingest_bytes(b"x")
    assert stores.demote(hash)
    assert stores.holder(hash) is stores.cache
    assert stores.demote(hash)
    assert stores.promote(hash)
    assert stores.holder(hash) is stores.keep
    assert list(stores) == [hash]
    assert not stores.promote(blake3(b"absent").hexdigest())


def test_moving_never_moves_damage(stores):
    hash, _ = stores.ingest_bytes(b"x")
    os.chmod(stores.find(hash), 0o644)
    with open(stores.find(hash), "wb") as file:
        file.write(b"y")
    assert not stores.demote(hash)
    assert not stores.has(hash)


def test_moving_onto_a_second_copy_leaves_one(stores):
    hash, _ = stores.keep.ingest_bytes(b"x")
    stores.cache.ingest_bytes(b"x")
    assert stores.promote(hash)
    assert list(stores) == [hash]
    assert stores.holder(hash) is stores.keep


def test_the_trash_is_still_a_place_to_look(stores):
    hash, _ = stores.ingest_bytes(b"x", proven=True)
    assert stores.discard(hash)
    assert stores.holder(hash) is None
    assert stores.find(hash).startswith(f"{stores.cache.root}/trash/objects/")
    assert stores.read_bytes(hash) == b"x"
    assert list(stores) == []
    assert stores.restore(hash)
    assert stores.holder(hash) is stores.cache
    assert not stores.restore(hash)


def test_what_is_only_in_the_trash_is_stored_anew(stores):
    hash, _ = stores.ingest_bytes(b"x")
    stores.discard(hash)
    stores.ingest_bytes(b"x")
    assert stores.holder(hash) is stores.keep


def test_one_folder_for_both(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink("real", tmp_path / "alias")
    stores = LocalStores(str(tmp_path / "real" / "v1"), str(tmp_path / "alias" / "v1"))
    hash, _ = stores.ingest_bytes(b"x", proven=True)
    assert stores.keep is stores.cache
    assert stores.demote(hash)
    assert stores.promote(hash)
    assert list(stores) == [hash]
    with stores.batch():
        other, _ = stores.ingest_bytes(b"y")
    assert stores.has(other)
    assert not any("CACHEDIR.TAG" in names for _, _, names in os.walk(tmp_path))


def test_the_cache_is_tagged_as_one_and_keep_is_not(stores, tmp_path):
    stores.ingest_bytes(b"x")
    stores.ingest_bytes(b"y", proven=True)
    tag = (tmp_path / "cache" / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    assert sorted(os.listdir(tmp_path / "keep")) == ["v1"]


def test_a_keep_below_the_cache_folder_is_not_called_a_cache(tmp_path):
    stores = LocalStores(str(tmp_path / "c" / "keep" / "v1"), str(tmp_path / "c" / "v1"))
    stores.ingest_bytes(b"y", proven=True)
    assert not (tmp_path / "c" / "CACHEDIR.TAG").exists()
    assert (tmp_path / "c" / "v1" / "CACHEDIR.TAG").exists()


def test_a_sound_copy_is_read_where_another_is_damaged(stores):
    hash, _ = stores.keep.ingest_bytes(b"sound")
    stores.cache.ingest_bytes(b"sound")
    path = stores.keep.path_of(hash)
    times = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "wb") as file:
        file.write(b"wrong")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stores.read_bytes(hash) == b"sound"
    assert stores.holder(hash) is stores.cache


def test_only_damaged_copies_are_an_error(stores):
    hash, _ = stores.ingest_bytes(b"sound")
    path = stores.find(hash)
    times = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "wb") as file:
        file.write(b"wrong")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(CorruptionError, match="quarantine"):
        stores.read_bytes(hash)


def test_place_finds_the_object(stores, tmp_path):
    hash, _ = stores.ingest_bytes(b"pixels")
    (tmp_path / "tree").mkdir()
    with Tree(str(tmp_path / "tree")) as tree:
        stores.place(hash, tree, "shots/a.png")
        with pytest.raises(RegenError, match="no local store"):
            stores.place(blake3(b"absent").hexdigest(), tree, "b.png")
    assert (tmp_path / "tree" / "shots" / "a.png").read_bytes() == b"pixels"
    assert os.listdir(tmp_path / "tree") == ["shots"]


def test_a_batch_of_both_stores_holds_an_object_once(stores):
    with stores.batch():
        hash, _ = stores.ingest_bytes(b"x")
        stores.ingest_bytes(b"x", proven=True)
        other, _ = stores.ingest_bytes(b"y", proven=True)
        stores.ingest_bytes(b"y")
    assert stores.holder(hash) is stores.keep
    assert stores.holder(other) is stores.cache
    assert sorted(stores) == sorted([hash, other])


def test_quarantine_does_not_take_the_sound_object_that_came_instead(stores):
    hash, _ = stores.ingest_bytes(b"x")
    assert stores.keep.quarantine(hash, inode=1) is None
    assert stores.has(hash)
