"""Memory of both kinds: how much of the machine's a large asset takes, and what becomes of our own when it is damaged."""

from __future__ import annotations

import json
import os
import random
import shutil

import pytest

from regen_vcs.engine.status import survey
from tests.conftest import Home
from tests.faults.wreck import PYTHON, Film, frame_bytes, hash_of

# -- large -----------------------------------------------------------------------------------------------------------------


MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(f"PEAK {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}", file=sys.stderr)
sys.exit(code)
"""


def peak_mib(project, *argv: str) -> float:
    """Run a command that must succeed; the largest resident size of any process below it."""
    done = project.run(PYTHON, "-I", "-c", MEASURE, *argv, timeout=600)
    said = [line for line in done.stderr.splitlines() if line.startswith("PEAK ")]
    return int(said[-1].split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(shutil.disk_usage("/tmp").free < 8 << 30, reason="needs 8 GiB of disk")
def test_two_gibibytes_in_a_hundred_mebibytes_of_memory(tmp_path):
    """Added, switched away and back, wiped and synced, checked: nobody ever holds the file, nor git a part of it."""
    home = Home(tmp_path)  # on a real disk, not in memory
    project = home.repo()
    tool = (PYTHON, "-I", "-m", "regen_vcs")
    block = os.urandom(1 << 20)
    project.commit("empty") if project.git("status", "--porcelain").stdout else None
    project.git("switch", "-qc", "large")
    peaks: dict[str, float] = {}
    for name, mib in (("plate.mov", 2048), ("plate.exr", 512)):
        with open(project.root / name, "wb") as file:
            for _ in range(mib):
                file.write(block)
        peaks[f"add {name}"] = peak_mib(project, *tool, "add", name)
        if name == "plate.exr":  # one is enough for what follows
            project.regen("rm", name)
    project.commit("large")
    peaks["away"] = peak_mib(project, "git", "switch", "-q", "main")
    assert not project.path("plate.mov").exists()
    peaks["back, from the spare pool"] = peak_mib(project, "git", "switch", "-q", "large")
    project.git("switch", "-q", "main")
    shutil.rmtree(project.root / ".git" / "regen" / "spare")
    peaks["back, from the store"] = peak_mib(project, "git", "switch", "-q", "large")
    project.path("plate.mov").unlink()
    peaks["sync"] = peak_mib(project, *tool, "sync")
    os.utime(project.path("plate.mov"))  # its stat moved: it is hashed again
    peaks["status"] = peak_mib(project, *tool, "status")
    peaks["fsck"] = peak_mib(project, *tool, "fsck")
    with open(project.root / "plate.mov", "r+b") as file:
        file.write(b"edited")
    peaks["rescue"] = peak_mib(project, "git", "rm", "-q", "--cached", "plate.mov.regen.json")
    project.path("plate.mov.regen.json").unlink()
    peaks["rescue"] = peak_mib(project, *tool, "sync")
    assert not project.path("plate.mov").exists()
    print({name: round(peak, 1) for name, peak in peaks.items()})
    assert {name: peak for name, peak in peaks.items() if peak >= 100} == {}


# -- what we remember, damaged ---------------------------------------------------------------------------------------------


def in_all_states(film) -> None:
    """What must hold with whatever memory: looking works, one sync settles, nothing of ours is taken for edited."""
    for argv in (["status"], ["status", "--json"]):
        done = film.project.regen(*argv)
        assert "Traceback" not in done.stderr
    film.sync()
    film.assert_synced()
    ws = film.open()
    assert ws.rescued.entries() == []
    ws.close()


def damages(data: bytes, rng: random.Random, *, flips: bool):
    """Files as crashes, disks and people leave them."""
    yield b""
    yield data[: len(data) // 2]
    yield data[:-1]
    yield b"\0" * len(data)
    yield b"[]"
    yield b"null"
    yield b'{"version": 999, "rows": 3}'
    yield data.replace(b"{", b"[", 3)
    yield os.urandom(2000)
    for _ in range(20 if flips else 0):
        at = rng.randrange(len(data))
        yield data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


@pytest.mark.parametrize("name", ["state.json", "memo-1", "listing", "generation", "spare/index", "journal"])
def test_any_memory_may_be_damaged(home, name):
    """Of the state, the memo, the notes of hooks and pool: whatever is in the file, it costs time and nothing else."""
    film = Film(home, count=8)
    film.project.git("switch", "-q", film.other())
    film.branch = film.other()
    path = film.git_state / name
    rng = random.Random(5)
    if name == "journal":
        path.write_bytes(json.dumps({each: ["0" * 64, "0" * 64, ""] for each in film.versions}).encode())
    for number, data in enumerate(damages(path.read_bytes(), rng, flips=name != "state.json")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        if name == "state.json":  # without it nobody knows that what is left of another branch is ours
            film.wipe()
        elif number % 3 == 0:
            film.switch_quietly(film.other())
        ws = film.open()
        try:
            survey(ws)
        finally:
            ws.close()
        film.sync()
        film.assert_synced()
    in_all_states(film)


def test_memory_lost_in_the_middle_of_everything(home):
    """The whole state folder is gone: edited bytes that no store knows stay, and stay, as modified."""
    film = Film(home, count=8)
    name = "shots/01/frame 001.png"
    film.project.write(name, frame_bytes("mine", 9))
    shutil.rmtree(film.git_state)
    for _ in range(3):
        film.project.regen("sync")
        assert film.project.path(name).read_bytes() == frame_bytes("mine", 9)
        assert film.project.status()[name] == "modified"
    shutil.rmtree(film.git_state)
    for _ in range(2):
        film.project.regen("status")
        film.project.regen("sync")
        assert hash_of(film.project.path(name).read_bytes()) in {
            hash_of(frame_bytes("mine", 9)), hash_of(film.versions[name][film.branch])
        }
    ws = film.open()
    assert ws.stores.read_bytes(hash_of(frame_bytes("mine", 9))) == frame_bytes("mine", 9)
    ws.close()
