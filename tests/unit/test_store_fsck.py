"""fsck: every byte is looked at, what is wrong leaves the store, what the dead left is cleared away."""

from __future__ import annotations

import os

import pytest

from regen_vcs.stores import durable
from regen_vcs.stores.fsck import BadObject, fsck
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.results import Results
from regen_vcs.stores.seal import is_sealed

DEAD = 2**22 + 1  # above the largest process id


@pytest.fixture
def stores(tmp_path):
    return LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))


def rot(path: str) -> None:
    """Change a byte without moving anything a stat shows but ctime."""
    st = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"\xff")
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    os.chmod(path, 0o444)


def test_a_store_that_is_not_there_is_clean(stores):
    assert fsck(stores) == (0, 0, [], [], [], [], [])


def test_bit_rot_is_found_in_every_store(stores):
    for number in range(200):
        stores.ingest_bytes(b"%d" % number, proven=bool(number % 2))
    kept, _ = stores.ingest_bytes(b"kept")
    cached, _ = stores.ingest_bytes(b"cached", proven=True)
    trashed, _ = stores.ingest_bytes(b"trashed")
    stores.discard(trashed)
    for hash in (kept, cached, trashed):
        rot(stores.find(hash))
    calls = []
    report = fsck(stores, progress=lambda count, size: calls.append((count, size)))
    assert report.checked == 203
    assert sorted(report.bad) == sorted(
        [
            BadObject(kept, stores.keep.root, 4),
            BadObject(cached, stores.cache.root, 6),
            BadObject(trashed, f"{stores.keep.root}/trash", 7),
        ]
    )
    assert calls[-1][0] == 203
    assert not any(stores.has(hash) for hash in (kept, cached, trashed))
    again = fsck(stores)
    assert (again.checked, again.bad) == (200, [])


def test_broken_seals_on_sound_objects_are_mended(stores):
    hash, _ = stores.ingest_bytes(b"x")
    path = stores.find(hash)
    os.utime(path)
    assert fsck(stores).bad == []
    assert is_sealed(os.stat(path), hash)


def test_temporaries_of_the_dead_go_and_those_of_the_living_stay(stores):
    hash, _ = stores.ingest_bytes(b"x")
    objects = f"{stores.keep.root}/objects"
    mine = f"{objects}/{hash[:2]}/{durable.temp_name()}"
    dead = [f"{objects}/{hash[:2]}/tmp-{durable._HOST}-{DEAD}-1", f"{objects}/tmp-{durable._HOST}-{DEAD}-2"]
    foreign = f"{objects}/tmp-otherhost-{DEAD}-3"
    results = Results(stores.keep.root)
    results.save_recipe(hash, b"{}")
    dead.append(f"{stores.keep.root}/recipes/{hash[:2]}/tmp-{durable._HOST}-{DEAD}-4")
    for path in [mine, foreign, *dead]:
        open(path, "w").close()
    report = fsck(stores, results)
    assert sorted(report.removed) == sorted(dead)
    assert sorted(report.stray) == sorted([mine, foreign])
    assert list(stores) == [hash]


def test_an_old_temporary_of_another_machine_is_dead(stores):
    stores.ingest_bytes(b"x")
    path = f"{stores.keep.root}/objects/tmp-otherhost-1-1"
    open(path, "w").close()
    st = os.stat(path)
    os.utime(path, (0, 0))  # a seal's time says nothing about its age
    assert not durable.is_dead_temp(os.path.basename(path), os.stat(path))
    assert durable.is_dead_temp(os.path.basename(path), st, now=st.st_ctime + durable.STALE_SECONDS + 1)


def test_broken_records_are_named_and_left(stores):
    results = Results(stores.keep.root)
    hash, _ = stores.ingest_bytes(b"x")
    results.record(hash, hash, {"at": "1"})
    bad = f"{stores.keep.root}/results/{hash[:2]}/{hash}/{hash}/{'0' * 64}.json"
    with open(bad, "w") as file:
        file.write("{}")
    assert fsck(stores, results).broken_records == [bad]
    assert os.path.exists(bad)


def test_what_vanishes_meanwhile_is_no_finding(stores):
    hashes = [stores.ingest_bytes(b"%d" % number)[0] for number in range(300)]

    def sweep(count, _size):
        for hash in hashes[::2]:
            stores.keep.remove(hash)

    report = fsck(stores, progress=sweep)
    assert report.bad == []
    assert 150 <= report.checked <= 300
