"""Relying on objects: a sweep waits for whoever relies, and is told of what came to be relied on since it began."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from blake3 import blake3

from regen_vcs.errors import RegenError
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.reliance import Gate

BYTES = b"a picture"
HASH = blake3(BYTES).hexdigest()


@pytest.fixture
def stores(tmp_path):
    return LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))


def root_of(stores) -> str:
    return stores.keep.root


def test_nothing_is_removed_while_somebody_relies(stores):
    with Gate(root_of(stores)) as gate:
        with stores.relying(), pytest.raises(RegenError, match="held by another"), gate.closed(patience=0.05):
            pass
        with gate.closed(patience=1):
            pass


def test_a_sweep_begins_when_those_before_it_have_ended(stores):
    gate = Gate(root_of(stores))
    with stores.relying(), pytest.raises(RegenError, match="held by another"):
        gate.open(patience=0.05)
    gate.open(patience=1)
    gate.finish()


@pytest.mark.parametrize("look", [
    lambda stores: stores.ingest_bytes(BYTES), lambda stores: stores.has(HASH), lambda stores: stores.find(HASH),
    lambda stores: stores.holder(HASH), lambda stores: stores.ingest_stream([BYTES]), lambda stores: stores.size_of(HASH),
], ids=["ingest_bytes", "has", "find", "holder", "ingest_stream", "size_of"])  # fmt: skip
def test_what_is_relied_on_meanwhile_is_told(stores, look):
    stores.ingest_bytes(BYTES)
    with Gate(root_of(stores)) as gate:
        with stores.relying():
            look(stores)
        with gate.closed() as relied:
            assert relied == {HASH}
        with gate.closed() as relied:
            assert relied == {HASH}, "it stays so until the sweep is over"
    assert not os.path.exists(f"{root_of(stores)}/gc/relied")


def test_without_a_sweep_nothing_is_written(stores):
    stores.ingest_bytes(BYTES)
    with stores.relying() as reliance:
        assert not reliance.is_noting
        stores.has(HASH)
    assert not os.path.exists(f"{root_of(stores)}/gc")


def test_what_nobody_has_is_not_relied_on(stores):
    with Gate(root_of(stores)) as gate:
        with stores.relying():
            assert not stores.has(HASH)
        with gate.closed() as relied:
            assert relied == set()


def test_a_killed_sweep_leaves_nothing_to_tell(stores):
    stores.ingest_bytes(BYTES)
    code = (
        "import sys, time\nfrom regen_vcs.stores.reliance import Gate\n"
        "Gate(sys.argv[1]).open(); print('open', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, root_of(stores)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"open\n"
    with stores.relying() as reliance:
        assert reliance.is_noting
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with stores.relying() as reliance:
        assert not reliance.is_noting
    with Gate(root_of(stores)) as gate, gate.closed() as relied:
        assert relied == set(), "what was told to the dead is nobody's"


def test_one_sweep_at_a_time(stores):
    with Gate(root_of(stores)), pytest.raises(RegenError, match="another gc is at work"):
        Gate(root_of(stores)).open()


def test_many_threads_rely_as_one(stores):
    stores.ingest_bytes(BYTES)
    errors = []

    def work():
        try:
            for _ in range(50):
                with stores.relying(), stores.relying():
                    assert stores.has(HASH)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    with Gate(root_of(stores)) as gate:
        while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
            with gate.closed(patience=30):
                pass
    for thread in threads:
        thread.join()
    assert not errors
    with Gate(root_of(stores)) as gate, gate.closed(patience=0.05):
        pass  # nobody holds on


def test_a_store_that_cannot_be_written_is_relied_on_all_the_same(tmp_path):
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "v1").write_text("no folder")
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    with stores.relying():
        assert not stores.has(HASH)
