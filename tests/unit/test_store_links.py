"""From the store into a worktree: copies, hardlinks, and the pool of spares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3

from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.platform.files import sig
from regen_vcs.platform.tree import Tree
from regen_vcs.stores import links
from regen_vcs.stores.links import SparePool, choose_link, place
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.seal import is_sealed

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def stores(tmp_path):
    return LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree").mkdir()
    with Tree(str(tmp_path / "tree")) as tree:
        yield tree


@pytest.fixture
def pool(tmp_path):
    return SparePool(str(tmp_path / "spare"), 1 << 30)


def read(tree: Tree, path: str) -> bytes:
    with open(f"{tree.root}/{path}", "rb") as file:
        return file.read()


def no_temporaries(folder) -> bool:
    return not [name for _, _, names in os.walk(folder) for name in names if name.startswith(".regen-tmp")]


# -- place -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 32 * 1024, (2 << 20) + 3])
def test_a_copy_is_the_bytes_with_a_mode_and_time_of_its_own(stores, tree, size):
    data = os.urandom(size)
    hash, _ = stores.ingest_bytes(data)
    placed = place(stores.find(hash), tree, "a/b/sky.png")
    st = os.lstat(f"{tree.root}/a/b/sky.png")
    assert read(tree, "a/b/sky.png") == data
    assert placed == sig(st)
    assert st.st_mode & 0o7777 == 0o644
    assert st.st_nlink == 1
    assert not is_sealed(st, hash)
    assert no_temporaries(tree.root)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_mode_is_0644_under_any_umask(stores, tree, umask):
    hash, _ = stores.ingest_bytes(b"x")
    before = os.umask(umask)
    try:
        placed = place(stores.find(hash), tree, "x")
    finally:
        os.umask(before)
    st = os.lstat(f"{tree.root}/x")
    assert st.st_mode & 0o7777 == 0o644
    assert placed == sig(st)


def test_it_replaces_what_is_there_and_nothing_through_a_symlink(stores, tree, tmp_path):
    hash, _ = stores.ingest_bytes(b"new")
    (tmp_path / "precious").write_bytes(b"old")
    os.symlink(tmp_path / "precious", f"{tree.root}/link")
    place(stores.find(hash), tree, "link")
    assert read(tree, "link") == b"new"
    assert not os.path.islink(f"{tree.root}/link")
    assert (tmp_path / "precious").read_bytes() == b"old"


def test_a_symlinked_folder_is_refused(stores, tree, tmp_path):
    hash, _ = stores.ingest_bytes(b"new")
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", f"{tree.root}/textures")
    for path in ("textures/sky.png", "textures/deeper/sky.png"):
        with pytest.raises(InvalidError, match="symlink"):
            place(stores.find(hash), tree, path)
    assert os.listdir(tmp_path / "outside") == []


def test_a_directory_or_file_in_the_way_is_an_error(stores, tree):
    hash, _ = stores.ingest_bytes(b"new")
    os.makedirs(f"{tree.root}/sky.png")
    open(f"{tree.root}/file", "w").close()
    for path in ("sky.png", "file/sky.png"):
        with pytest.raises(InvalidError, match=r"way|must be"):
            place(stores.find(hash), tree, path)
    assert no_temporaries(tree.root)


def test_an_object_that_is_gone_is_an_error(stores, tree):
    with pytest.raises(RegenError, match="cannot be read"):
        place(stores.keep.path_of(blake3(b"x").hexdigest()), tree, "x")


def test_hardlinks_share_the_read_only_object(stores, tree):
    hash, _ = stores.ingest_bytes(b"shared")
    for _ in range(2):  # the second time over itself
        placed = place(stores.find(hash), tree, "a/x", link="hardlink!")
        st = os.lstat(f"{tree.root}/a/x")
        assert placed == sig(st)
        assert st.st_ino == os.stat(stores.find(hash)).st_ino
        assert st.st_mode & 0o777 == 0o444
        assert st.st_nlink == 2
        assert no_temporaries(tree.root)
    assert stores.has(hash)


def test_root_gets_copies_unless_it_insists(stores, tree, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    hash, _ = stores.ingest_bytes(b"shared")
    assert choose_link("hardlink")[0] == "copy"
    assert "root" in choose_link("hardlink")[1]
    assert choose_link("hardlink!") == ("hardlink!", None)
    place(stores.find(hash), tree, "x", link="hardlink")
    assert os.lstat(f"{tree.root}/x").st_nlink == 1


def test_users_get_the_hardlinks_they_asked_for(stores, tree, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    hash, _ = stores.ingest_bytes(b"shared")
    assert choose_link("hardlink") == ("hardlink", None)
    place(stores.find(hash), tree, "x", link="hardlink")
    assert os.lstat(f"{tree.root}/x").st_nlink == 2


def test_link_modes_are_known_words():
    assert choose_link("copy") == ("copy", None)
    with pytest.raises(UsageError, match="symlink"):
        choose_link("symlink")


def test_where_no_hardlink_can_be_a_copy_is_made(stores, tree, monkeypatch):
    hash, _ = stores.ingest_bytes(b"shared")

    def refuse(*_args, **_kwargs):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    place(stores.find(hash), tree, "x", link="hardlink!")
    assert os.lstat(f"{tree.root}/x").st_nlink == 1
    assert read(tree, "x") == b"shared"


@pytest.mark.skipif(not AS_ROOT, reason="only root writes through read-only files")
def test_what_root_writes_through_a_hardlink_never_comes_out_of_the_store(stores, tree):
    hash, _ = stores.ingest_bytes(b"shared")
    place(stores.find(hash), tree, "x", link="hardlink!")
    with open(f"{tree.root}/x", "r+b") as file:
        file.write(b"EDITED")
    assert stores.find(hash) is None
    assert read(tree, "x") == b"EDITED"  # the edit itself is not touched


# -- spares ----------------------------------------------------------------------------------------------------------


def placed(stores, tree, path, data):
    hash, _ = stores.ingest_bytes(data)
    return hash, place(stores.find(hash), tree, path)


def test_a_spare_leaves_and_comes_back_by_rename(stores, tree, pool):
    hash, was = placed(stores, tree, "a/x.png", b"pixels")
    assert pool.put(tree, "a/x.png", hash, list(was))
    assert not os.path.lexists(f"{tree.root}/a/x.png")
    assert (len(pool), pool.total_bytes) == (1, 6)
    now = pool.take(hash, tree, "b/y.png")
    assert now.inode == was.inode
    assert now == sig(os.lstat(f"{tree.root}/b/y.png"))
    assert read(tree, "b/y.png") == b"pixels"
    assert pool.take(hash, tree, "c.png") is None


def test_spares_are_remembered_without_hashing(stores, tree, pool, monkeypatch):
    hash, was = placed(stores, tree, "x", b"pixels")
    pool.put(tree, "x", hash, was)
    pool.save()
    monkeypatch.setattr(links.digest, "hash_file", lambda _path: pytest.fail("hashed"))
    again = SparePool(pool.folder, pool.limit_bytes)
    assert again.take(hash, tree, "x")


@pytest.mark.parametrize("index", [None, b"", b"\xff\n garbage \n", b"torn"])
def test_without_its_index_a_pool_hashes_what_it_has(stores, tree, pool, index):
    hash, was = placed(stores, tree, "x", b"pixels")
    pool.put(tree, "x", hash, was)
    pool.save()
    path = f"{pool.folder}/index"
    if index is None:
        os.unlink(path)
    else:
        text = Path(path).read_bytes()
        with open(path, "wb") as file:
            file.write(text[:-9] if index == b"torn" else index)
    again = SparePool(pool.folder, pool.limit_bytes)
    assert again.take(hash, tree, "x")
    assert read(tree, "x") == b"pixels"


def test_an_edited_file_is_no_spare(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"pixels")
    with open(f"{tree.root}/x", "ab") as file:
        file.write(b"!")
    assert not pool.put(tree, "x", hash, was)
    assert read(tree, "x") == b"pixels!"
    assert not pool.put(tree, "nothing", hash, was)


def test_an_edit_between_look_and_rename_goes_back(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"pixels")
    move_out = tree.move_out
    os.mkdir(pool.folder)

    def edit_then_move(path, target):
        with open(f"{tree.root}/{path}", "ab") as file:
            file.write(b"!")
        move_out(path, target)

    tree.move_out = edit_then_move
    assert not pool.put(tree, "x", hash, was)
    assert read(tree, "x") == b"pixels!"
    assert len(pool) == 0


def test_a_spare_written_to_while_in_the_pool_is_stored_before_it_goes(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"pixels")
    with open(f"{tree.root}/x", "r+b") as still_open:  # an editor that has not closed it yet
        assert pool.put(tree, "x", hash, was)
        still_open.write(b"PIXELS")
    assert pool.take(hash, tree, "x") is None
    assert not os.path.lexists(f"{tree.root}/x")
    pool.evict(pool.limit_bytes, stores.has, stores.ingest_file)
    assert stores.read_bytes(blake3(b"PIXELS").hexdigest()) == b"PIXELS"
    assert [name for name in os.listdir(pool.folder) if name != "index"] == []


def test_a_spare_whose_time_moved_is_hashed_and_used(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"pixels")
    pool.put(tree, "x", hash, was)
    (name,) = [n for n in os.listdir(pool.folder) if n != "index"]
    os.utime(f"{pool.folder}/{name}")
    assert pool.take(hash, tree, "x")


def test_equal_files_are_spares_each(stores, tree, pool):
    hash, first = placed(stores, tree, "x", b"same")
    _, second = placed(stores, tree, "y", b"same")
    assert pool.put(tree, "x", hash, first)
    assert pool.put(tree, "y", hash, second)
    assert len(pool) == 2
    assert pool.take(hash, tree, "x")
    assert pool.take(hash, tree, "y")


def test_hardlinked_spares(stores, tree, pool):
    hash, _ = stores.ingest_bytes(b"shared")
    was = place(stores.find(hash), tree, "x", link="hardlink!")
    assert pool.put(tree, "x", hash, was)
    now = place(stores.find(hash), tree, "x", link="hardlink!")  # the same inode, in both places
    taken = pool.take(hash, tree, "x")
    assert taken.inode == now.inode
    assert taken == sig(os.lstat(f"{tree.root}/x"))
    assert os.listdir(pool.folder) == []


def test_eviction_frees_the_oldest_first(stores, tree, pool):
    hashes = []
    for number in range(10):
        hash, was = placed(stores, tree, "x", b"%010d" % number)
        pool.put(tree, "x", hash, was)
        hashes.append(hash)
    pool.save()
    again = SparePool(pool.folder, 30)
    assert again.evict(30, stores.has, stores.ingest_file) == 0  # untouched by this object: not even read
    again.load()
    assert again.evict(30, stores.has, stores.ingest_file) == 70
    assert again.total_bytes == 30
    assert [bool(again.take(hash, tree, "x")) for hash in hashes] == [False] * 7 + [True] * 3


def test_eviction_stores_what_no_store_has(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"only copy")
    pool.put(tree, "x", hash, was)
    os.unlink(stores.find(hash))
    assert pool.evict(0, stores.has, stores.ingest_file) == 9
    assert stores.read_bytes(hash) == b"only copy"


def test_eviction_keeps_what_cannot_be_stored(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"only copy")
    pool.put(tree, "x", hash, was)

    def full(_path):
        raise RegenError("no space left on device")

    assert pool.evict(0, lambda _hash: False, full) == 0
    assert pool.take(hash, tree, "x")


def test_a_pool_without_room_takes_nothing(stores, tree, tmp_path):
    hash, was = placed(stores, tree, "x", b"x")
    assert not SparePool(str(tmp_path / "spare"), 0).put(tree, "x", hash, was)
    assert not (tmp_path / "spare").exists()


def test_the_index_stays_short(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"x")
    for _ in range(1500):
        assert pool.put(tree, "x", hash, was)
        pool.save()
        was = pool.take(hash, tree, "x")
        assert was
    with open(f"{pool.folder}/index") as file:
        assert len(file.read().split()) < 5 * 1200


def test_a_pool_survives_the_loss_of_its_folder(stores, tree, pool):
    hash, was = placed(stores, tree, "x", b"x")
    pool.put(tree, "x", hash, was)
    for name in os.listdir(pool.folder):
        os.unlink(f"{pool.folder}/{name}")
    os.rmdir(pool.folder)
    assert pool.take(hash, tree, "x") is None
    pool.evict(0, stores.has, stores.ingest_file)
