"""kill -9 at random moments, and at every single call that changes a disk: nothing half, nothing lost, nothing lied.

REGEN_TEST_SEED chooses the moments: some 240 starts, about 220 of them killed alive; and as many chosen deaths.
"""

from __future__ import annotations

import os
import random
import shutil

import pytest

from regen_vcs.engine.capture import add_assets
from regen_vcs.engine.checkout import check_out
from regen_vcs.engine.sync import HOOK
from tests.faults import wreck
from tests.faults.wreck import Film, Killer, die_at_call, frame_bytes, hash_of


@pytest.fixture
def rng():
    return random.Random(int(os.environ.get("REGEN_TEST_SEED", "20")))


class Folder:
    """What the wrecking tools want of a film, for any project."""

    leftovers, open, sync = Film.leftovers, Film.open, Film.sync

    def __init__(self, project):
        self.project, self.root, self.env = project, project.root, project.env
        self.git_state = project.root / ".git" / "regen"

    def add(self, *names: str) -> None:
        ws = self.open()
        try:
            results = add_assets(ws, list(names))
        finally:
            ws.close()
        assert not [each.error for each in results if each.error]


def run_hook(film) -> None:
    ws = film.open()
    check_out(ws, HOOK)
    ws.close()


def forget(film, names: list[str]) -> None:
    """As if these had never been added."""
    for name in names:
        (film.root / f"{name}.regen.json").unlink(missing_ok=True)
    shutil.rmtree(film.git_state, ignore_errors=True)
    film.git_state.mkdir()


def nothing_rescued(film) -> bool:
    ws = film.open()
    try:
        return ws.rescued.entries() == []
    finally:
        ws.close()


# -- at random, as users' machines do it -------------------------------------------------------------------------------


def test_sync_of_a_cold_worktree(home, rng):
    film = Film(home)
    killer = Killer(film, ["sync"], rng)
    for _ in killer.rounds(72, kills=40):
        film.wipe()
        killer.strike()
        film.assert_whole()
        film.sync()
        film.assert_synced()
        assert film.leftovers() == []
    film.assert_sound()
    assert film.project.regen("fsck").returncode == 0


def test_the_hook_of_a_switch_to_and_fro(home, rng):
    film = Film(home)
    killer = Killer(film, ["hook", "post-checkout", "a", "b", "1"], rng)
    for number in killer.rounds(96, kills=40):
        film.switch_quietly(film.other())
        killer.strike()
        film.assert_whole()
        if number % 2:  # the user goes back before anything mended it
            film.switch_quietly(film.other())
        film.sync()
        film.assert_synced()
        assert film.leftovers() == []
    assert nothing_rescued(film), "our own bytes were taken for edited ones"
    film.assert_sound()


def test_add(home, rng):
    film = Folder(home.repo())
    names = [f"plates/{number:02}.png" for number in range(24)]
    for name in names:
        film.project.write(name, frame_bytes(name, 1))
    killer = Killer(film, ["add", "plates"], rng)
    for _ in killer.rounds(30, kills=18):
        forget(film, names)
        killer.strike()
        assert all(film.project.path(name).read_bytes() == frame_bytes(name, 1) for name in names)
        film.sync()
        shown = film.project.git("status", "--porcelain", "-uall").stdout.splitlines()
        for name in names:  # whose sidecar was written is an asset, the others are still plain files
            assert (f'?? {name}.regen.json' in shown) != (f"?? {name}" in shown)
        film.add("plates")
        film.sync()
        assert film.leftovers() == []
    assert film.project.regen("fsck").returncode == 0
    film.project.commit("plates")
    assert film.project.git("status", "--porcelain").stdout == ""
    assert set(film.project.status().values()) == {"ok"}


def test_generate_and_regenerate(home, rng):
    project = home.repo()
    film = Folder(project)
    names = [f"t{number}.png" for number in range(3)]
    options = ("--generator", "texture", "--param", "kind=fbm", "--param", "width=32", "--param", "height=32")
    for number, name in enumerate(names):
        project.regen("generate", name, *options, "--param", f"seed={number}")
    project.commit("textures")
    accepted = {name: project.path(name).read_bytes() for name in names}
    commands = ["regenerate", "--all"], ["regenerate", "--missing"], ["generate", "new.png", *options]
    killers = [Killer(film, command, rng) for command in commands]
    for number in range(60):
        if number >= 18 and sum(each.killed for each in killers) > 8:
            break
        if number % 3 == 1:
            for name in names:  # nowhere to be had: they must be made
                project.path(name).unlink(missing_ok=True)
            shutil.rmtree(home.cache / "v1" / "objects", ignore_errors=True)
            shutil.rmtree(film.git_state / "spare", ignore_errors=True)
        killers[number % 3].strike()
        for name in names:
            assert not project.path(name).exists() or project.path(name).read_bytes() == accepted[name]
        assert project.git("status", "--porcelain", "-uall").stdout in ("", "?? new.png.regen.json\n")
        assert wreck.wait_until(lambda: wreck.processes_of(home) == [], 10), wreck.processes_of(home)
        if number % 3 == 2:
            outcome, made = film.sync()
            assert outcome.failed == {} and all(each.verdict == "restored" for each in made)
            assert {name: project.path(name).read_bytes() for name in names} == accepted
            project.path("new.png.regen.json").unlink(missing_ok=True)
            film.sync()
            assert not project.path("new.png").exists()
            assert film.leftovers() == []
    assert sum(each.killed for each in killers) > 8
    assert project.regen("fsck").returncode == 0
    project.regen("regenerate", "--all")
    assert os.listdir(home.cache / "scratch") == []


def test_fsck(home, rng):
    film = Film(home, count=16)
    killer = Killer(film, ["fsck"], rng)
    for _ in killer.rounds(22, kills=14):
        killer.strike()
    assert "damaged" not in film.project.regen("fsck").stdout
    film.assert_synced()


# -- at every call that changes a disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize("goes_back", [False, True])
def test_every_moment_of_a_hook(home, goes_back):
    """Death at each change a hook makes; then the user syncs at once, or goes back first."""
    film = Film(home, count=12)
    number = 0
    lived = None
    while lived is None:
        number += 1
        film.switch_quietly(film.other())
        lived = die_at_call(number, lambda: run_hook(film))
        film.assert_whole()
        if goes_back:
            film.switch_quietly(film.other())
        film.sync()
        film.assert_synced()
        assert film.leftovers() == []
    assert number > 30
    assert nothing_rescued(film)
    film.assert_sound()


def test_every_moment_of_a_hook_that_rescues(home):
    """An edited asset whose sidecar changes: at no moment of death are the edited bytes nowhere."""
    film = Film(home, count=12)
    name = "shots/01/frame 001.png"
    number = 0
    lived = None
    while lived is None:
        number += 1
        edited = frame_bytes(f"edited {number}", 9)
        film.project.write(name, edited)
        film.switch_quietly(film.other())
        lived = die_at_call(number, lambda: run_hook(film))
        film.sync()
        film.assert_synced()
        ws = film.open()
        assert hash_of(edited) in {each["hash"] for each in ws.rescued.entries(ws.uuid)}, number
        assert ws.stores.read_bytes(hash_of(edited)) == edited
        ws.close()
    assert number > 30
    film.assert_sound()


def test_every_moment_of_add(home):
    film = Folder(home.repo())
    names = [f"plates/{number}.png" for number in range(5)]
    for name in names:
        film.project.write(name, frame_bytes(name, 1))
    number = 0
    lived = None
    while lived is None:
        number += 1
        forget(film, names)
        shutil.rmtree(home.keep / "v1" / "objects", ignore_errors=True)
        lived = die_at_call(number, lambda: film.add("plates"))
        assert ".regen-tmp-" not in film.project.git("status", "--porcelain", "-uall").stdout
        film.sync()
        shown = film.project.git("status", "--porcelain", "-uall").stdout.splitlines()
        ws = film.open()
        for name in names:
            has_sidecar = (film.root / f"{name}.regen.json").exists()
            assert has_sidecar != (f"?? {name}" in shown)
            assert not has_sidecar or ws.stores.has(hash_of(frame_bytes(name, 1)))
        ws.close()
        film.add("plates")
        shown = film.project.git("status", "--porcelain", "-uall").stdout.splitlines()
        assert shown == [f"?? {name}.regen.json" for name in names]
        film.sync()
        assert film.leftovers() == []
    assert number > 40
