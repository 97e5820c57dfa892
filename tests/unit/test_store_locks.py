"""The store's lock and leases: what a sweep must wait for, and what it must leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from blake3 import blake3

from regen_vcs.errors import RegenError
from regen_vcs.stores.locks import Lease, StoreLock, leased

HASH = blake3(b"x").hexdigest()


def test_many_rely_or_one_sweeps(tmp_path):
    lock = StoreLock(str(tmp_path / "v1"))
    with lock.shared(), lock.shared(), pytest.raises(RegenError, match="another"), lock.exclusive(timeout=0):
        pass
    with lock.exclusive(timeout=0), pytest.raises(RegenError), lock.shared(timeout=0.05):
        pass
    with lock.exclusive(timeout=0):
        pass


def test_whether_locks_work_is_found_out(tmp_path):
    assert StoreLock(str(tmp_path)).works()
    assert os.listdir(tmp_path) == []


def test_leases_live_as_long_as_their_holder(tmp_path):
    root = str(tmp_path / "v1")
    assert leased(root) == set()
    with Lease(root) as lease:
        lease.add([HASH])
        lease.add([blake3(b"y").hexdigest()])
        assert leased(root) == {HASH, blake3(b"y").hexdigest()}
    assert leased(root) == set()
    assert os.listdir(f"{root}/leases") == []


def test_a_killed_process_leases_nothing(tmp_path):
    root = str(tmp_path / "v1")
    code = (
        "import sys, time\nfrom regen_vcs.stores.locks import Lease\n"
        "lease = Lease(sys.argv[1]); lease.add([sys.argv[2]]); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, root, HASH], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    assert leased(root) == {HASH}
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert leased(root) == set()
    assert os.listdir(f"{root}/leases") == []
