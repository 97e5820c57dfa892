"""A writer killed mid-push, at fifty random moments: the store stays sound, and a later push completes it.

REGEN_TEST_SEED chooses the moments.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

from blake3 import blake3

from tests.faults.wreck import Killer, start, wait_until

_OBJECTS = 60


class _Store:
    """A film whose media go to a folder, and what is in that folder."""

    def __init__(self, home):
        self.project = home.repo("film")
        self.root, self.env = self.project.root, self.project.env
        self.store = home.base / "store"
        # Noise, which no remote packs: an object's file holds its very bytes.
        self.frames = {f"shots/{number:03}.png": random.Random(number).randbytes(40_000 + number) for number in range(_OBJECTS)}
        for name, data in self.frames.items():
            self.project.write(name, data)
        self.project.regen("add", "shots")
        self.project.commit("shots")
        self.project.regen("remote", "add", "studio", str(self.store), "--durable")

    def objects(self) -> dict[str, bytes]:
        """{name: bytes} of everything that a reader would take for an object."""
        folder = self.store / "v1" / "objects"
        found = {}
        for shard in folder.iterdir() if folder.exists() else ():
            for path in shard.iterdir():
                if len(path.name) == 62:
                    found[shard.name + path.name] = path.read_bytes()
        return found

    def count(self) -> int:
        folder = str(self.store / "v1" / "objects")
        try:
            return sum(len(os.listdir(f"{folder}/{shard}")) for shard in os.listdir(folder))
        except FileNotFoundError:
            return 0

    def forget(self) -> None:
        """As if nothing had ever been pushed."""
        shutil.rmtree(self.store / "v1", ignore_errors=True)
        shutil.rmtree(self.root / ".git" / "regen" / "remotes", ignore_errors=True)


def kill_mid_push(film, rng) -> bool:
    """Start a push and kill it a moment after some number of objects has arrived; whether it was alive then."""
    enough = rng.randrange(_OBJECTS)
    child = start(film, ["push"])
    wait_until(lambda: child.poll() is not None or film.count() >= enough, pause=0.0005)
    time.sleep(rng.random() * 0.005)
    killed = child.poll() is None
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    stderr = child.communicate()[1]
    assert b"Traceback" not in stderr, stderr.decode()
    return killed


def test_a_writer_killed_mid_push(home):
    film = _Store(home)
    rng = random.Random(int(os.environ.get("REGEN_TEST_SEED", "21")))
    killed = half = 0
    for number in range(200):
        if number >= 50 and killed > 25 and half > 15:
            break
        killed += kill_mid_push(film, rng)
        objects = film.objects()
        assert all(blake3(data).hexdigest() == name for name, data in objects.items())
        half += 0 < len(objects) < _OBJECTS
        if number % 10 == 9:
            checked = json.loads(film.project.regen("remote", "check", "--all", "--json").stdout)["remotes"][0]
            assert checked["ok"] and checked["objects"] == len(objects)
        if number % 3 == 2:
            film.forget()  # else the next one goes on where this one died
    assert killed > 25 and half > 15, (killed, half)
    film.project.regen("push")
    assert len(film.objects()) == _OBJECTS
    done = film.project.regen("remote", "check", "--all")
    assert f"{_OBJECTS} objects" in done.stdout
    # What lay in keep is still here, in keep or in cache: nothing is lost, whenever it died.
    shutil.rmtree(film.store)
    for name in film.frames:
        film.project.path(name).unlink()
    film.project.regen("sync")
    assert {name: film.project.path(name).read_bytes() for name in film.frames} == film.frames


def test_a_fetch_killed_mid_way_goes_on_where_it_was(home):
    film = _Store(home)
    film.project.regen("push")
    rng = random.Random(int(os.environ.get("REGEN_TEST_SEED", "22")))

    def empty() -> None:
        for name in film.frames:
            film.project.path(name).unlink(missing_ok=True)
        shutil.rmtree(home.keep, ignore_errors=True)
        shutil.rmtree(home.cache, ignore_errors=True)

    empty()
    killer = Killer(film, ["fetch"], rng)
    killer.strike()
    for _ in range(8):
        empty()
        killer.strike()
        for name, data in film.frames.items():
            path = film.project.path(name)
            assert not path.exists() or path.read_bytes() == data
        film.project.regen("fetch")
        assert all(film.project.path(name).read_bytes() == data for name, data in film.frames.items())
    assert film.project.regen("fsck").returncode == 0
