"""kill -9 at random moments, and at every single call that changes a disk: nothing half, nothing lost, nothing lied."""

from __future__ import annotations

import os
import random
import shutil
import time

import pytest

from regen_vcs.engine.capture import add_assets
from regen_vcs.engine.checkout import check_out
from regen_vcs.engine.sync import HOOK
from tests.faults.wreck import Film, die_at_call, frame_bytes, kill_at_random, processes_of, wait_until

SWEPT = None
SEED = int(os.environ.get("REGEN_TEST_SEED", "20"))


@pytest.fixture(scope="module")
def rng():
    return random.Random(SEED)


def duration_of(work) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def works(film):
    """A test for "the process that was just started is at work": it has announced itself."""
    counter = film.git_state / "generation"
    before = counter.stat().st_size
    return lambda: counter.stat().st_size != before


# -- at random, as users' machines do it -------------------------------------------------------------------------------


def test_sync_of_a_cold_worktree(home, rng):
    film = Film(home)
    film.wipe()
    seconds = duration_of(lambda: film.project.regen("sync"))
    killed = 0
    for number in range(50):
        film.wipe()
        ready = works(film) if number % 4 else None
        killed += kill_at_random(film, ["sync"], rng, ready=ready, seconds=seconds / 4 if ready else seconds)
        film.assert_whole()
        film.sync()
        film.assert_synced()
        SWEPT and film.leftovers()
    assert killed > 25
    film.assert_sound()
    assert film.project.regen("fsck").returncode == 0


def test_the_hook_of_a_switch_to_and_fro(home, rng):
    film = Film(home)
    killed = 0
    for number in range(70):
        film.switch_quietly(film.other())
        killed += kill_at_random(film, ["hook", "post-checkout", "a", "b", "1"], rng, ready=works(film), seconds=0.06)
        film.assert_whole()
        if number % 2:  # the user goes back before anything mended it
            film.switch_quietly(film.other())
        film.sync()
        film.assert_synced()
        SWEPT and film.leftovers()
    assert killed > 35
    assert film.project.regen("rescued").stdout.strip() in ("", "nothing was rescued"), "our own bytes were taken for edited ones"
    film.assert_sound()


def test_add(home, rng):
    project = home.repo()
    names = [f"plates/{number:02}.png" for number in range(24)]
    for name in names:
        project.write(name, frame_bytes(name, 1))
    film = Bystander(project)
    killed = 0
    for _ in range(30):
        for name in names:
            (project.root / f"{name}.regen.json").unlink(missing_ok=True)
        killed += kill_at_random(film, ["add", "plates"], rng, ready=works(film), seconds=0.12)
        for name in names:
            assert project.path(name).read_bytes() == frame_bytes(name, 1)
        shown = project.git("status", "--porcelain", "-uall").stdout
        assert ".regen-tmp-" not in shown
        project.regen("add", "plates")
        project.regen("sync")
        assert set(project.status().values()) == {"ok"}
        SWEPT and film.leftovers()
    assert killed > 12
    assert project.regen("fsck").returncode == 0
    project.commit("plates")
    assert project.git("status", "--porcelain").stdout == ""


class Bystander:
    """What `kill_at_random` wants of a film, for any project."""

    leftovers = Film.leftovers

    def __init__(self, project):
        self.project, self.root, self.env = project, project.root, project.env
        self.git_state = project.root / ".git" / "regen"


def test_generate_and_regenerate(home, rng):
    project = home.repo()
    film = Bystander(project)
    names = [f"t{number}.png" for number in range(3)]
    options = ("--generator", "texture", "--param", "kind=fbm", "--param", "width=48", "--param", "height=48")
    for number, name in enumerate(names):
        project.regen("generate", name, *options, "--param", f"seed={number}")
    project.commit("textures")
    accepted = {name: project.path(name).read_bytes() for name in names}
    seconds = duration_of(lambda: project.regen("regenerate", "--all"))
    killed = 0
    for number in range(40):
        if number % 2:
            for name in names:  # nowhere to be had: it must be made
                project.path(name).unlink(missing_ok=True)
            shutil.rmtree(home.cache / "v1" / "objects", ignore_errors=True)
            shutil.rmtree(project.root / ".git" / "regen" / "spare", ignore_errors=True)
        argv = ["regenerate", "--all"] if number % 4 < 3 else ["generate", "new.png", *options]
        killed += kill_at_random(film, argv, rng, ready=None, seconds=seconds)
        for name in names:
            assert not project.path(name).exists() or project.path(name).read_bytes() == accepted[name]
        shown = project.git("status", "--porcelain", "-uall").stdout
        assert shown in ("", "?? new.png.regen.json\n")
        assert wait_until(lambda: processes_of(home) == [], 2), processes_of(home)
        if number % 4 == 3:
            done = project.regen("sync")
            assert "error" not in done.stderr
            assert {name: project.path(name).read_bytes() for name in names} == accepted
            project.path("new.png.regen.json").unlink(missing_ok=True)
            project.regen("sync")
            assert not project.path("new.png").exists()
            assert film.leftovers() == []
    assert killed > 25
    assert project.regen("fsck").returncode == 0
    project.regen("regenerate", "--all")
    assert list((home.cache / "scratch").glob("job-*")) == []


def test_fsck(home, rng):
    film = Film(home, count=16)
    seconds = duration_of(lambda: film.project.regen("fsck"))
    killed = sum(kill_at_random(film, ["fsck"], rng, ready=None, seconds=seconds) for _ in range(20))
    assert killed > 10
    assert "damaged" not in film.project.regen("fsck").stdout
    film.assert_synced()


# -- at every call that changes a disk -----------------------------------------------------------------------------------


def test_every_moment_of_a_hook(home):
    """Death at each change a hook makes; then the user either syncs, or goes back first."""
    film = Film(home, count=12)
    deaths = 0
    for goes_back in (False, True):
        number = 1
        while True:
            film.switch_quietly(film.other())
            lived = die_at_call(number, lambda: run_hook(film))
            film.assert_whole()
            if goes_back:
                film.switch_quietly(film.other())
            film.sync()
            film.assert_synced()
            assert film.leftovers() == []
            if lived is not None:
                break
            deaths += 1
            number += 1
    assert deaths > 60
    assert film.project.regen("rescued", "--json").stdout.strip() in ("", "[]")
    film.assert_sound()


def run_hook(film) -> None:
    ws = film.open()
    check_out(ws, HOOK)
    ws.close()


def test_every_moment_of_a_hook_that_rescues(home):
    """An edited asset whose sidecar changes: at no moment of death are the edited bytes nowhere."""
    film = Film(home, count=12)
    name = "shots/01/frame 001.png"
    number = 1
    while True:
        edited = frame_bytes(f"edited {number}", 9)
        film.project.write(name, edited)
        film.switch_quietly(film.other())
        lived = die_at_call(number, lambda: run_hook(film))
        on_disk = film.project.path(name).read_bytes() if film.project.path(name).exists() else b""
        film.sync()
        film.assert_synced()
        entries = film.project.regen("rescued", "--json").stdout if on_disk != edited or lived is not None else None
        ws = film.open()
        rescued = {each["hash"] for each in ws.rescued.entries(ws.uuid)}
        from tests.faults.wreck import hash_of

        assert hash_of(edited) in rescued, (number, entries)
        assert ws.stores.read_bytes(hash_of(edited)) == edited
        ws.close()
        if lived is not None:
            break
        number += 1
    assert number > 30
    film.assert_sound()


def test_every_moment_of_add(home):
    project = home.repo()
    film = Bystander(project)
    names = [f"plates/{number}.png" for number in range(5)]
    for name in names:
        project.write(name, frame_bytes(name, 1))

    def add() -> None:
        ws = Film.open(film)
        results = add_assets(ws, ["plates"])
        ws.close()
        assert not [each.error for each in results if each.error]

    number = 1
    while True:
        for name in names:
            (project.root / f"{name}.regen.json").unlink(missing_ok=True)
        shutil.rmtree(home.keep / "v1" / "objects", ignore_errors=True)
        shutil.rmtree(film.git_state, ignore_errors=True)
        film.git_state.mkdir()
        lived = die_at_call(number, add)
        assert ".regen-tmp-" not in project.git("status", "--porcelain", "-uall").stdout
        # A sidecar that is there names bytes that are stored; what was recorded is known to git's ignores.
        Film.sync(film)
        ws = Film.open(film)
        for name in names:
            if (project.root / f"{name}.regen.json").exists():
                assert ws.stores.has(__import__("blake3").blake3(frame_bytes(name, 1)).hexdigest())
        ws.close()
        add()
        shown = project.git("status", "--porcelain", "-uall").stdout.splitlines()
        assert shown == [f"?? {name}.regen.json" for name in names]
        Film.sync(film)
        SWEPT and film.leftovers()
        if lived is not None:
            break
        number += 1
    assert number > 40
