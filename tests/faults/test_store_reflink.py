"""File systems that share blocks: materialising and storing cost no space there, and no copy is written through."""

from __future__ import annotations

import os

import pytest
from blake3 import blake3

from regen_vcs.platform import files
from regen_vcs.platform.tree import Tree
from regen_vcs.stores import objects
from regen_vcs.stores.links import place
from regen_vcs.stores.objects import LocalStores

FILE_SYSTEMS = [
    pytest.param(["mkfs.btrfs", "-q"], 300, id="btrfs", marks=pytest.mark.needs("mkfs.btrfs")),
    pytest.param(["mkfs.xfs", "-q", "-m", "reflink=1"], 400, id="xfs", marks=pytest.mark.needs("mkfs.xfs")),
]


@pytest.fixture
def no_copies(monkeypatch):
    """Fails the test if bytes are copied rather than shared."""
    monkeypatch.setattr(files, "copy_range", lambda *_args: pytest.fail("bytes were copied"))


@pytest.mark.parametrize(("mkfs", "megabytes"), FILE_SYSTEMS)
@pytest.mark.parametrize("link", ["copy", "hardlink!"])
def test_materialising_shares_blocks(mounts, no_copies, mkfs, megabytes, link):
    disk = mounts.image(mkfs, megabytes)
    stores = LocalStores(f"{disk}/keep/v1", f"{disk}/cache/v1")
    data = os.urandom(20 << 20)
    hash, _ = stores.ingest_bytes(data)
    os.sync()
    before = os.statvfs(disk)
    os.mkdir(f"{disk}/tree")
    with Tree(f"{disk}/tree") as tree:
        for number in range(5):
            placed = place(stores.find(hash), tree, f"a/{number}.exr", link=link)
            st = os.lstat(f"{disk}/tree/a/{number}.exr")
            assert placed == files.sig(st)
            assert (st.st_nlink, st.st_mode & 0o7777) == (1, 0o644)
    os.sync()
    after = os.statvfs(disk)
    assert (before.f_bavail - after.f_bavail) * before.f_frsize < 10 << 20
    with open(f"{disk}/tree/a/0.exr", "r+b") as file:
        file.write(b"edited")
    assert stores.read_bytes(hash) == data
    with open(f"{disk}/tree/a/1.exr", "rb") as file:
        assert file.read() == data


@pytest.mark.parametrize(("mkfs", "megabytes"), FILE_SYSTEMS)
def test_storing_shares_blocks(mounts, monkeypatch, mkfs, megabytes):
    disk = mounts.image(mkfs, megabytes)
    data = os.urandom(20 << 20)
    with open(f"{disk}/large.exr", "wb") as file:
        file.write(data)
    os.sync()
    cloned = []

    def clone_file(src_fd, dst_fd):
        cloned.append(files.clone_file(src_fd, dst_fd))
        return cloned[-1]

    monkeypatch.setattr(objects, "files", Patched(files, clone_file=clone_file))
    stores = LocalStores(f"{disk}/keep/v1", f"{disk}/cache/v1")
    hash, size = stores.ingest_file(f"{disk}/large.exr")
    assert cloned == [True]
    assert (hash, size) == (blake3(data).hexdigest(), len(data))
    with open(f"{disk}/large.exr", "r+b") as file:
        file.write(b"edited")
    assert stores.verify(hash)


@pytest.mark.parametrize(("mkfs", "megabytes"), FILE_SYSTEMS)
def test_from_another_disk_bytes_are_copied(mounts, tmp_path, mkfs, megabytes):
    disk = mounts.image(mkfs, megabytes)
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    data = os.urandom(3 << 20)
    hash, _ = stores.ingest_bytes(data)
    with Tree(disk) as tree:
        for link in ("copy", "hardlink!"):
            place(stores.find(hash), tree, "x", link=link)
            with open(f"{disk}/x", "rb") as file:
                assert file.read() == data


class Patched:
    """A module with some of its names exchanged, for one importer of it only."""

    def __init__(self, module, **names):
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name):
        return getattr(self._module, name)
