"""gc beside people at work, gc beside gc, and gc that dies: nothing that cannot come back is lost, all else comes back."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time

import pytest

from regen_vcs.engine import fsck
from regen_vcs.engine.gc.collecting import Collector, Room
from regen_vcs.engine.gc.planning import Policy
from tests.faults.wreck import PYTHON, Film, die_at_call, hash_of, start, wait_until
from tests.real_git import recipes

SMALL = ("--param", "width=16", "--param", "height=16")
ALL_AT_ONCE = ("gc", "--grace", "0", "--budget", "0", "--takes")


class Studio(Film):
    """A film of filmed frames, which cannot come back, and of textures, which can; the same names on both branches."""

    def __init__(self, home):
        super().__init__(home, count=8, size=4_000)
        for branch in ("one", "two"):
            self.project.git("switch", "-q", branch)
            self.branch = branch
            for name in ("sky.png", "sea.png"):
                self.texture(name, seed=len(branch) * 10 + len(name) + (branch == "two"))
            self.project.commit(f"textures of {branch}")

    def texture(self, name: str, seed: int) -> None:
        self.project.regen("generate", name, "--generator", "texture", "--param", f"seed={seed}", *SMALL)

    def filmed(self) -> set[str]:
        """Hashes of what nothing brings back."""
        return {hash_of(data) for versions in self.versions.values() for data in versions.values()}

    def assert_nothing_lost(self) -> None:
        """What was filmed is in the stores or their trash."""
        ws = self.open()
        try:
            held = {*ws.stores, *(hash for trash in ws.stores.trashes for hash in trash)}
        finally:
            ws.close()
        lost = self.filmed() - held
        assert not lost, f"{len(lost)} objects that cannot come back are gone"

    def assert_sound(self) -> None:
        """No byte is wrong, nothing half; what the stores lack comes back."""
        ws = self.open()
        try:
            examined = fsck.examine(ws)
        finally:
            ws.close()
        assert not fsck.is_corrupt(examined)
        assert [loss for loss in examined.losses if loss.comes_back == fsck.NOWHERE] == []
        assert (examined.store.stray, examined.store.broken_records) == ([], [])

    def assert_both_branches_come_back(self) -> None:
        for branch in (self.other(), self.branch):
            self.project.git("switch", "-q", branch)
            self.branch = branch
            self.project.regen("sync")
            states = self.project.status()
            assert set(states.values()) == {"ok"}, (branch, states)
            for name, versions in self.versions.items():
                if branch in versions:
                    assert (self.root / name).read_bytes() == versions[branch], name
            for name in ("sky.png", "sea.png"):
                accepted = recipes.read(self.project, name).output.hash
                assert hash_of((self.root / name).read_bytes()) == accepted, (branch, name)


@pytest.fixture
def studio(home):
    return Studio(home)


class Sweeping(threading.Thread):
    """gc, again and again, with the least grace there is."""

    def __init__(self, film):
        super().__init__(daemon=True)
        self._film = film
        self._enough = threading.Event()
        self.rounds = 0
        self.troubles: list[str] = []

    def run(self) -> None:
        while not self._enough.is_set():
            done = subprocess.run(
                [PYTHON, "-I", "-m", "regen_vcs", *ALL_AT_ONCE], cwd=self._film.root, env=self._film.env,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            )
            self.rounds += 1
            if done.returncode or "Traceback" in done.stderr:
                self.troubles.append(done.stderr)

    def __enter__(self) -> Sweeping:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._enough.set()
        self.join(120)


def test_beside_switches_and_generate(studio):
    """Whoever works beside a gc that takes all it may has at the end what he made and what he had."""
    made = {}
    with Sweeping(studio) as gc:
        for number in range(4):
            studio.project.git("switch", "-q", studio.other())
            studio.branch = studio.other()
            name = f"new {number}.png"
            studio.texture(name, seed=1_000 + number)
            made[name] = (studio.root / name).read_bytes()
            studio.project.write(f"filmed {number}.png", f"filmed {number}".encode() * 99)
            studio.project.regen("add", f"filmed {number}.png")
            studio.project.regen("regenerate", "sky.png", "sea.png")
            studio.project.commit(f"day {number}")
            if number == 2:
                studio.project.git("stash", "push", "-qu", check=False)
        assert wait_until(lambda: gc.rounds >= 3, 60)
    assert gc.troubles == []
    studio.assert_nothing_lost()
    studio.assert_sound()
    studio.assert_both_branches_come_back()
    for number in range(4):
        branch = ("one", "two")[number % 2]
        studio.project.git("switch", "-q", branch)
        studio.branch = branch
        studio.project.regen("sync")
        assert (studio.root / f"filmed {number}.png").read_bytes() == f"filmed {number}".encode() * 99
        assert (studio.root / f"new {number}.png").read_bytes() == made[f"new {number}.png"]


def test_beside_the_run_of_a_generator(studio):
    """What a generator works on, and what it makes, is nobody's yet: gc leaves both."""
    studio.project.write("regen.toml", b'[generators.slow]\nuses = "command"\nargv = ["cp", "{inputs.plate}", "{output}"]\n')
    studio.project.regen("trust", "--yes")
    studio.project.write("plate.raw", os.urandom(50_000))
    studio.project.regen("add", "plate.raw")
    plate = (studio.root / "plate.raw").read_bytes()
    with Sweeping(studio) as gc:
        for number in range(5):
            studio.project.regen("generate", f"copy {number}.raw", "--generator", "command:slow", "--input", "plate=plate.raw")
        assert wait_until(lambda: gc.rounds >= 2, 60)
    assert gc.troubles == []
    for number in range(5):
        (studio.root / f"copy {number}.raw").unlink()
    studio.project.regen("sync")
    for number in range(5):
        assert (studio.root / f"copy {number}.raw").read_bytes() == plate


def test_several_at_once(studio):
    """One sweeps; the others wait their turn or say that it is at work. All of them leave the store whole."""
    for number in range(3):
        studio.texture("sky.png", seed=500 + number)  # takes that are nobody's any more
    gcs = [start(studio, list(ALL_AT_ONCE)) for _ in range(3)]
    ends = [(gc.communicate(timeout=120)[1].decode(), gc.returncode) for gc in gcs]
    assert any(code == 0 for _said, code in ends), ends
    assert all(code == 0 or "another gc" in said for said, code in ends), ends
    assert not any("Traceback" in said for said, _code in ends), ends
    studio.assert_nothing_lost()
    studio.assert_sound()
    studio.project.git("checkout", "--", ".")
    studio.assert_both_branches_come_back()


def test_killed_at_any_moment(studio):
    """At each change of the disk that gc makes, or a part of them: the store is whole, and the next gc goes on."""
    for number in range(3):
        studio.texture("sky.png", seed=500 + number)
    studio.project.git("checkout", "--", ".")

    def sweep() -> None:
        ws = studio.open()
        Collector(ws.settings, ws.environ, ws).run(Policy(grace=0.0, takes=True, keep_takes=0, now=time.time()), Room(budget=0))

    studio.project.regen("sync")
    total = die_at_call(1 << 30, sweep)
    assert total > 40
    rng = random.Random(int(os.environ.get("REGEN_TEST_SEED", "4")))
    died = 0
    for moment in sorted(rng.sample(range(1, total), 30)):
        studio.project.regen("sync")
        died += die_at_call(moment, sweep) is None
        studio.assert_nothing_lost()
        studio.assert_sound()
    assert died >= 10
    studio.project.regen(*ALL_AT_ONCE)
    studio.assert_nothing_lost()
    studio.assert_both_branches_come_back()
