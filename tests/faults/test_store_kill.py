"""kill -9 at random moments: afterwards every object is whole, and what the dead left is cleared away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blake3 import blake3

from regen_vcs.platform.tree import Tree
from regen_vcs.stores.fsck import fsck
from regen_vcs.stores.links import SparePool
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.results import RescueLog, Results

# The child stores small objects, large ones, batches and records until it is killed. Each line it prints is something
# it may rely on from then on: it must be there after its death.
INGEST = """
import os, sys
from blake3 import blake3
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.results import RescueLog, Results
base, seed = sys.argv[1], int(sys.argv[2])
stores = LocalStores(base + "/keep/v1", base + "/cache/v1")
results, log = Results(stores.keep.root), RescueLog(stores.keep.root)
print("ready", flush=True)
number = 0
while True:
    number += 1
    large = base + f"/large-{os.getpid()}"
    with open(large, "wb") as file:
        file.write(b"%d %d " % (seed, number) * 200_000)
    hash, _ = stores.ingest_file(large, proven=bool(number % 2))
    print("object", hash, flush=True)
    with stores.batch():
        hashes = [stores.ingest_bytes(b"%d %d %d" % (seed, number, each), proven=each % 3 == 0)[0] for each in range(20)]
    for hash in hashes:
        print("object", hash, flush=True)
    results.record(hash, hash, {"at": str(number)})
    print("record", hash, flush=True)
    log.add("repo", "/w", "x", hash, 1, "edited")
    print("rescued", hash, flush=True)
    stores.demote(hash); stores.promote(hash); stores.discard(hash)
    print("object", hash, flush=True)
"""

ROUNDS = 100


def killed_after(code: str, arguments: list[str], seconds: float) -> list[bytes]:
    """The lines a child printed before it was killed, `seconds` after it was ready."""
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    out, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL, out
    return out.split(b"\n")[:-1]


def test_no_moment_of_death_leaves_a_partial_object(tmp_path):
    rng = random.Random(7)
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    results, log = Results(stores.keep.root), RescueLog(stores.keep.root)
    stored = set()
    for number in range(ROUNDS):
        lines = killed_after(INGEST, [str(tmp_path), str(number)], rng.uniform(0, 0.1))
        for kind, hash in (line.decode().split() for line in lines):
            if kind == "object":
                stored.add(hash)
            elif kind == "record":
                assert results.takes(hash)
            else:
                assert any(entry["hash"] == hash for entry in log.entries("repo"))
    assert stored
    report = fsck(stores, results)
    assert (report.bad, report.unreadable, report.stray, report.broken_records) == ([], [], [], [])
    assert all(stores.has(hash) for hash in stored)
    again = fsck(stores, results)
    assert again.removed == []
    for store in stores.stores:
        for where, _, names in os.walk(f"{store.root}/objects"):
            for name in names:
                data = Path(where, name).read_bytes()
                assert blake3(data).hexdigest() == os.path.basename(where) + name


# The child moves files out of a worktree into the pool and back, until it is killed.
SPARE = """
import sys
from regen_vcs.platform.tree import Tree
from regen_vcs.stores.links import SparePool
from regen_vcs.stores.objects import LocalStores
base = sys.argv[1]
stores = LocalStores(base + "/keep/v1", base + "/cache/v1")
hashes = sys.argv[2].split(",")
tree = Tree(base + "/tree")
print("ready", flush=True)
while True:
    pool = SparePool(base + "/spare", 1 << 30)
    sigs = {}
    for number, hash in enumerate(hashes):
        sigs[hash] = pool.take(hash, tree, f"d{number % 3}/{number}") or stores.place(hash, tree, f"d{number % 3}/{number}")
    pool.evict(pool.limit_bytes, stores.has, stores.ingest_file)
    for number, hash in enumerate(hashes):
        pool.put(tree, f"d{number % 3}/{number}", hash, sigs[hash])
    pool.evict(len(hashes) * 5, stores.has, stores.ingest_file)
"""


def test_no_moment_of_death_makes_a_wrong_spare(tmp_path):
    rng = random.Random(8)
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    hashes = [stores.ingest_bytes(b"%010d" % number)[0] for number in range(40)]
    (tmp_path / "tree").mkdir()
    for _ in range(ROUNDS // 4):
        killed_after(SPARE, [str(tmp_path), ",".join(hashes)], rng.uniform(0, 0.05))
        pool = SparePool(str(tmp_path / "spare"), 1 << 30)
        with Tree(str(tmp_path / "tree")) as tree:
            for number, hash in enumerate(hashes):
                while pool.take(hash, tree, "taken"):
                    assert (tmp_path / "tree" / "taken").read_bytes() == b"%010d" % number
        for number in range(len(hashes)):
            path = tmp_path / "tree" / f"d{number % 3}" / str(number)
            if path.exists():
                assert path.read_bytes() == b"%010d" % number


def test_many_processes_store_the_same(tmp_path):
    code = (
        "import sys\nfrom regen_vcs.stores.objects import LocalStores\n"
        "stores = LocalStores(sys.argv[1] + '/keep/v1', sys.argv[1] + '/cache/v1')\n"
        "for number in range(60):\n"
        "    stores.ingest_bytes(b'%d' % (number % 20), proven=sys.argv[2] == '1')\n"
        "with stores.batch():\n"
        "    for number in range(60): stores.ingest_bytes(b'batch %d' % number, proven=sys.argv[2] == '1')\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), "1"]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    report = fsck(stores)
    assert (report.checked, report.bad, report.stray, report.removed) == (80, [], [], [])


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_an_interrupt_while_storing_leaves_nothing(tmp_path, size):
    """^C is an exception at any line; whatever the line, no temporary stays."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    stores = LocalStores(str(tmp_path / "keep" / "v1"), str(tmp_path / "cache" / "v1"))
    for name in ("chmod", "utime", "fsync", "replace"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                stores.ingest_file(str(source))
        assert [names for _, _, names in os.walk(tmp_path / "keep") if names] == []
        assert list(stores) == []


def interrupt(*_args, **_kwargs):
    raise KeyboardInterrupt
