"""The order of writes that makes a power cut harmless: bytes and seal, flush, rename, flush of the folder."""

from __future__ import annotations

import os

import pytest

from regen_vcs.platform import files
from regen_vcs.stores.objects import ObjectStore
from regen_vcs.stores.results import Results


@pytest.fixture
def calls(monkeypatch):
    """The names of the calls that matter, in order; a flushed folder counts as "fsync dir"."""
    seen: list[str] = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def call(*args, **kwargs):
            is_folder = name == "fsync" and os.path.isdir(f"/proc/self/fd/{args[0]}")
            seen.append("fsync dir" if is_folder else name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in ("write", "chmod", "utime", "fsync", "replace"):
        watch(name)
    real_sync = files.sync_filesystem
    monkeypatch.setattr(files, "sync_filesystem", lambda fd: (seen.append("syncfs"), real_sync(fd))[1])
    return seen


@pytest.fixture
def store(tmp_path):
    store = ObjectStore(str(tmp_path / "v1"))
    for number in range(600):  # so that nearly every shard exists
        os.makedirs(f"{tmp_path}/v1/objects/{number % 256:02x}", exist_ok=True)
    return store


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to tell a folder's descriptor")


@needs_proc
def test_one_small_object(store, calls):
    store.ingest_bytes(b"x")
    assert calls == ["write", "chmod", "utime", "fsync", "replace", "fsync dir"]


@needs_proc
def test_one_large_object(store, calls, tmp_path):
    (tmp_path / "large").write_bytes(bytes(2 << 20))
    calls.clear()
    store.ingest_file(str(tmp_path / "large"))
    assert calls == ["write", "write", "chmod", "utime", "fsync", "replace", "fsync dir"]


@needs_proc
def test_a_batch(store, calls):
    with store.batch():
        for number in range(30):
            store.ingest_bytes(b"%d" % number)
        assert set(calls) == {"write", "chmod", "utime"}
        calls.clear()
    assert calls == ["syncfs", *["replace"] * 30, "syncfs"]


@needs_proc
def test_a_small_batch_flushes_its_folders(store, calls):
    with store.batch():
        store.ingest_bytes(b"x")
        calls.clear()
    assert calls == ["syncfs", "replace", "fsync dir"]


def test_an_empty_batch_costs_nothing(store, calls):
    with store.batch():
        pass
    assert calls == []


@needs_proc
def test_a_record(calls, tmp_path):
    results = Results(str(tmp_path / "v1"))
    results.save_recipe("ab" * 32, b"{}")
    assert calls[-5:] == ["write", "chmod", "fsync", "replace", "fsync dir"]
    assert set(calls[:-5]) == {"fsync dir"}  # of the folders that were made
