"""Full and read-only disks below a whole repository: git goes on, one line says why, nothing is lost, sync mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.wreck import Film, frame_bytes, hash_of


def filled(folder, leave: int = 0) -> Path:
    """Take all space of the file system of `folder` but `leave` bytes; the file that holds it."""
    ballast = Path(folder) / "ballast"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with open(ballast, "wb") as file:
        size = max(0, free - leave)
        while size > 0:
            try:
                size -= file.write(b"\0" * min(size, 1 << 20))
                file.flush()
            except OSError:
                break
    return ballast


class Disks:
    """Bind mounts and remounts, taken back at the end."""

    def __init__(self):
        self._bound: list[str] = []

    def read_only(self, folder) -> None:
        """Nobody, not even root, writes below this folder from now on."""
        folder = str(folder)
        self._run("mount", "--bind", folder, folder)
        self._bound.append(folder)
        self._run("mount", "-o", "remount,ro,bind", folder)

    def writable(self) -> None:
        while self._bound:
            self._run("umount", "-l", self._bound.pop())

    @staticmethod
    def _run(*argv: str) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


@pytest.fixture
def disks():
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root on Linux, to mount")
    disks = Disks()
    try:
        yield disks
    finally:
        disks.writable()


def switch(film, branch: str, *, allowed: int = 1) -> str:
    """`git switch` as a user calls it; it must succeed, say at most a line of ours, and no traceback. The line."""
    done = film.project.git("switch", "-q", branch)
    film.branch = branch
    lines = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr
    assert len(lines) <= allowed and len(set(lines)) <= 1, lines
    return lines[0] if lines else ""


def recover(film) -> None:
    done = film.project.regen("sync")
    assert "Traceback" not in done.stderr
    film.assert_synced()
    assert film.leftovers() == []


# -- full ----------------------------------------------------------------------------------------------------------------


def test_a_store_that_is_full_keeps_edited_bytes_where_they_are(home, mounts):
    """An edited asset must give way, but its bytes can be stored nowhere: they stay."""
    disk = mounts.tmpfs("4m")
    for name in ("REGEN_KEEP_DIR", "REGEN_CACHE_DIR"):
        home.env[name] = f"{disk}/{name}"
    film = Film(home, count=8)
    name = "shots/01/frame 001.png"
    edited = os.urandom(400_000)
    film.project.write(name, edited)
    ballast = filled(disk)
    line = switch(film, film.other())
    assert "no space left on device" in line and line.startswith("regen-vcs: ")
    assert film.project.path(name).read_bytes() == edited
    for other, versions in film.versions.items():
        if other != name:
            assert film.project.path(other).exists() == (film.branch in versions)
    done = film.project.regen("sync", check=False)
    assert done.returncode == 1 and "no space left on device" in done.stderr and "hint: " in done.stderr
    assert film.project.path(name).read_bytes() == edited
    ballast.unlink()
    recover(film)
    ws = film.open()
    assert [each["hash"] for each in ws.rescued.entries(ws.uuid)] == [hash_of(edited)]
    assert ws.stores.read_bytes(hash_of(edited)) == edited
    ws.close()


def test_a_removal_whose_rescue_cannot_be_noted_waits(home, mounts):
    """The bytes are stored already, but there is no room for the rescue log: the edited file is not taken away."""
    film = Film(home, count=8)
    name = "shots/01/frame 001.png"
    edited = frame_bytes("mine", 9)
    film.project.write(name, edited)
    film.project.regen("status")  # it stores what is edited
    rescued = home.keep / "v1" / "rescued"
    shutil.rmtree(rescued, ignore_errors=True)
    rescued.write_bytes(b"a file, where a folder must be")
    film.project.git("switch", "-q", "-c", "none")
    film.project.git("rm", "-q", f"{name}.regen.json")
    done = film.project.regen("sync", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert film.project.path(name).read_bytes() == edited
    rescued.unlink()
    film.project.regen("sync")
    assert not film.project.path(name).exists()
    ws = film.open()
    assert [each["hash"] for each in ws.rescued.entries(ws.uuid)] == [hash_of(edited)]
    ws.close()


@pytest.mark.parametrize("leave", [0, 30_000, 200_000])
def test_a_worktree_that_is_full(home, mounts, leave):
    """Worktree and `.git` on a disk with room for git's own files, or not even for ours."""
    disk = mounts.tmpfs("8m")
    home.work = Path(disk)
    film = Film(home, count=24)
    film.switch_quietly("one")
    film.sync()
    film.project.git("config", "regen.spareLimit", "0")
    shutil.rmtree(film.git_state / "spare", ignore_errors=True)
    film.wipe()
    ballast = filled(disk, leave + 90_000)  # git needs some of it to switch at all
    line = switch(film, "two")
    if leave < 200_000:
        assert "no space left on device" in line
    film.assert_whole()
    done = film.project.regen("sync", check=False)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
    film.assert_whole()
    ballast.unlink()
    recover(film)
    film.assert_sound()


def test_add_on_a_full_store(home, mounts):
    disk = mounts.tmpfs("2m")
    for name in ("REGEN_KEEP_DIR", "REGEN_CACHE_DIR"):
        home.env[name] = f"{disk}/{name}"
    project = home.repo()
    for number in range(8):
        project.write(f"{number}.bin", os.urandom(400_000))
    done = project.regen("add", ".", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no space left on device" in done.stderr and "hint: " in done.stderr
    for number in range(8):
        sidecar = project.path(f"{number}.bin.regen.json")
        if sidecar.exists():
            assert project.status()[f"{number}.bin"] == "ok"
    assert project.regen("fsck").returncode == 0


def test_a_generator_whose_take_cannot_be_stored(home, mounts):
    disk = mounts.tmpfs("1m")
    project = home.repo()
    project.env["REGEN_CACHE_DIR"] = f"{disk}/cache"
    filled(disk, 100_000)
    words = ("generate", "big.png", "--generator", "texture", "--param", "kind=white-noise", "--param", "width=512", "--param", "height=512")
    done = project.regen(*words, check=False)
    assert done.returncode in (1, 2, 3) and "Traceback" not in done.stderr, done.stderr
    if done.returncode == 1:
        assert "no space left" in done.stderr.lower()
        assert project.status() == {"big.png": "failed"}


# -- read-only -------------------------------------------------------------------------------------------------------------


def test_a_store_that_is_read_only(home, disks):
    """What is in it is brought; what must be rescued stays."""
    film = Film(home, count=8)
    name = "shots/01/frame 001.png"
    (home.cache / "v1").mkdir(parents=True)
    disks.read_only(home.keep)
    disks.read_only(home.cache)
    shutil.rmtree(film.git_state / "spare", ignore_errors=True)
    assert switch(film, "one") == ""
    film.assert_synced()
    film.project.write(name, b"mine")
    line = switch(film, "two")
    assert "read-only file system" in line
    assert film.project.path(name).read_bytes() == b"mine"
    for argv in (["status"], ["sync"], ["fsck"], ["add", "."], ["status", "--json"]):
        done = film.project.regen(*argv, check=False)
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr
    assert film.project.path(name).read_bytes() == b"mine"
    disks.writable()
    recover(film)


def test_a_state_folder_that_is_read_only(home, disks):
    """Nothing can be noted, so nothing is moved; git does its own part."""
    film = Film(home, count=8)
    before = {name: film.project.path(name).read_bytes() for name in film.versions if film.project.path(name).exists()}
    disks.read_only(film.git_state)
    line = switch(film, "one", allowed=2)  # two hooks, and nowhere to note that the first has said it
    assert "ead-only file system" in line and line.startswith("regen-vcs: ")
    assert {name: film.project.path(name).read_bytes() for name in film.versions if film.project.path(name).exists()} == before
    assert film.project.regen("status", check=False).returncode == 0
    done = film.project.regen("sync", check=False)
    assert done.returncode == 1 and "ead-only file system" in done.stderr and "Traceback" not in done.stderr
    disks.writable()
    recover(film)


def test_a_worktree_that_is_read_only(home, disks):
    """git cannot switch; the tool's own verbs say why they cannot, and looking works."""
    film = Film(home, count=8)
    film.wipe()
    disks.read_only(film.root)
    done = film.project.git("switch", "-q", "one", check=False)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    for argv in (["sync"], ["add", "."], ["fetch"], ["init"], ["set", "shots/01/frame 001.png", "a=b"], ["rm", "shots/01/frame 001.png"]):
        done = film.project.regen(*argv, check=False)
        assert done.returncode not in (0, 130), argv
        assert ("Traceback" not in done.stderr and "ead-only file system" in done.stderr) or argv[0] == "set", done.stderr
    done = film.project.regen("status")
    assert done.returncode == 0 and "missing" in done.stdout
    assert film.project.regen("status", "--json").returncode == 0
    disks.writable()
    recover(film)


def test_no_home(home):
    """Without HOME, and without a word on where the stores are: git works, and one line says what is missing."""
    film = Film(home, count=4)
    for name in ("HOME", "REGEN_KEEP_DIR", "REGEN_CACHE_DIR", "REGEN_CONFIG_DIR"):
        film.env.pop(name)
    film.project.git("config", "user.name", "A Test")
    line = switch(film, "one")
    done = film.project.regen("sync", check=False)
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert line and len(done.stderr.strip().splitlines()) <= 2
    film.project.env = film.env = dict(home.env)
    recover(film)
