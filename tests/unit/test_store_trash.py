"""The trash: out of the way, still found, and back where it was."""

from __future__ import annotations

import json
import os

import pytest
from blake3 import blake3

from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.trash import Discarded, Trash
from regen_vcs.stores.witness import ACCEPTED, LOG, MADE, Witness


@pytest.fixture
def stores(tmp_path):
    return LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))


def put(stores, data: bytes, *, proven=False) -> str:
    return stores.ingest_bytes(data, proven=proven)[0]


@pytest.mark.parametrize("proven", [False, True])
def test_there_and_back(stores, proven):
    trash, hash = Trash(stores), put(stores, b"x", proven=proven)
    where = stores.find(hash)
    trash.announce([Discarded(hash, 1, 1000.0, "why")])
    assert trash.put(hash)
    assert stores.holder(hash) is None and stores.read_bytes(hash) == b"x", "gone from the store, and still found"
    assert set(trash) == {hash}
    assert not trash.put(hash)
    assert trash.take_back(hash)
    assert stores.find(hash) == where


def test_gone_for_good(stores):
    trash, hash = Trash(stores), put(stores, b"x" * 10)
    trash.put(hash)
    assert trash.remove(hash) == 10
    assert not stores.has(hash) and trash.remove(hash) == 0


def test_a_clock_that_was_wrong_does_not_shorten_the_stay(stores):
    trash, hash = Trash(stores), put(stores, b"x")
    trash.announce([Discarded(hash, 1, 5.0, "why")])  # said to be of 1970
    trash.put(hash)
    found = trash.contents()[hash]
    assert found.why == "why"
    assert found.at == os.stat(stores.find(hash)).st_ctime


def test_torn_and_foreign_lines_cost_only_themselves(stores):
    trash, hash = Trash(stores), put(stores, b"x")
    trash.announce([Discarded(hash, 1, 4e9, "why")])
    with open(f"{stores.keep.root}/gc/trash", "ab") as file:
        file.write(b'{"hash": "abc\n[1]\n{"hash": 1, "at": "x", "why": 2}\n')
    trash.put(hash)
    assert trash.contents()[hash].at == 4e9
    trash.tidy()
    with open(f"{stores.keep.root}/gc/trash", encoding="utf-8") as file:
        assert [json.loads(line)["hash"] for line in file if line.strip()] == [hash]


def test_what_is_none_of_ours_stays(stores, tmp_path):
    trash, hash = Trash(stores), blake3(b"x").hexdigest()
    path = stores.keep.path_of(hash)
    os.makedirs(os.path.dirname(path))
    target = tmp_path / "mine"
    target.write_bytes(b"x")
    os.symlink(target, path)
    assert not trash.put(hash)
    assert os.path.islink(path) and target.read_bytes() == b"x"


def test_damaged_bytes_do_not_pass_for_an_object(stores):
    trash, hash = Trash(stores), put(stores, b"x")
    path = stores.keep.path_of(hash)
    os.chmod(path, 0o644)
    with open(path, "wb") as file:
        file.write(b"y")
    assert not trash.put(hash)
    assert set(trash) == set()
    assert len(os.listdir(f"{stores.keep.root}/quarantine")) == 1


def test_trash_on_another_disk_is_a_copy_that_was_verified(stores, monkeypatch):
    import errno

    from regen_vcs.platform import files

    def replace(src, dst, **kwargs):
        if "/trash/" in dst and "/tmp-" not in src:
            raise OSError(errno.EXDEV, "another disk")
        return os.replace(src, dst, **kwargs)

    trash, hash = Trash(stores), put(stores, b"x")
    monkeypatch.setattr(files, "replace", replace)
    assert trash.put(hash)
    assert stores.holder(hash) is None and stores.read_bytes(hash) == b"x"


def test_witness(stores):
    witness = Witness(stores.keep.root)
    assert witness.read() == ({}, {}, set())
    made, log, given = (blake3(each).hexdigest() for each in (b"1", b"2", b"3"))
    witness.saw(MADE, [made])
    witness.saw(LOG, [log])
    witness.saw(ACCEPTED, [given])
    witness.saw(MADE, [])
    with open(witness.path, "ab") as file:
        file.write(f"made {given[:30]}".encode())  # torn
    witness.saw(MADE, [given])
    found = witness.read()
    assert set(found.made) == {made, given} and set(found.logs) == {log} and found.accepted == {given}


def test_witness_forgets_what_is_gone(stores, monkeypatch):
    from regen_vcs.stores import witness as module

    monkeypatch.setattr(module, "_FEW", 0)
    witness = Witness(stores.keep.root)
    hashes = [blake3(bytes([n])).hexdigest() for n in range(10)]
    witness.saw(MADE, hashes)
    witness.saw(ACCEPTED, hashes[:2])
    witness.forget_all_but({hashes[0]})
    found = witness.read()
    assert set(found.made) == {hashes[0]} and found.accepted == {hashes[0]}
