"""A film whose every byte is known, processes that die in it, and the questions asked afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from blake3 import blake3

from regen_vcs.engine import fsck
from regen_vcs.engine.checkout import check_out
from regen_vcs.engine.sync import BY_HAND
from regen_vcs.engine.workspace import Workspace

PYTHON = sys.executable
QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "filter.regen.process=")


def frame_bytes(name: str, version: int, size: int = 20_000) -> bytes:
    """Bytes that say whose they are, so that a mixture of two versions is neither."""
    return (f"{name} v{version} ".encode() * (size // 8))[:size]


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


class Film:
    """Branches `one` and `two`: `count` frames that differ in every byte; some are on one branch only.

    `versions`: {asset: {branch: its bytes}}.
    """

    def __init__(self, home, *, count: int = 40, size: int = 20_000, trigger: str = "hooks"):
        self.project = home.repo("film", init=trigger == "hooks")
        if trigger != "hooks":
            self.project.regen("install", "--global")
            self.project.write(".gitattributes", b"*.regen.json filter=regen merge=regen diff=regen text eol=lf\n")
        self.root, self.env = self.project.root, self.project.env
        self.git_state = self.root / ".git" / "regen"
        self.versions: dict[str, dict[str, bytes]] = {}
        for number in range(count):
            name = f"shots/{number % 4:02}/frame {number:03}.png"
            branches = [b for b in ("one", "two") if number % 8 or (b == "one") == (number % 16 == 0)]
            self.versions[name] = {b: frame_bytes(name, ("one", "two").index(b) + 1, size) for b in branches}
        self.project.git("commit", "-q", "--allow-empty", "-m", "root")
        for branch in ("one", "two"):
            self.project.git("switch", "-q", "-c", branch)
            self.project.regen("sync")
            for name, versions in self.versions.items():
                if branch in versions:
                    self.project.write(name, versions[branch])
                elif (self.root / name).exists():
                    self.project.regen("rm", name)
            self.project.regen("add", ".")
            self.project.commit(branch)
        self.branch = "two"

    # -- doing -----------------------------------------------------------------------------------------------------

    def other(self) -> str:
        return "one" if self.branch == "two" else "two"

    def switch_quietly(self, branch: str) -> None:
        """The sidecars of another branch, and nobody told."""
        self.project.git(*QUIET, "switch", "-q", branch)
        self.branch = branch

    def open(self) -> Workspace:
        return Workspace.open(str(self.root), self.env)

    def sync(self):
        """One `sync` by hand, in this process: (outcome, made)."""
        ws = self.open()
        try:
            return check_out(ws, BY_HAND)[:2]
        finally:
            ws.close()

    def wipe(self) -> None:
        for name in self.versions:
            (self.root / name).unlink(missing_ok=True)

    # -- asking ----------------------------------------------------------------------------------------------------

    def assert_whole(self) -> None:
        """Each asset is one of its versions or absent; nothing of ours shows in `git status`."""
        for name, versions in self.versions.items():
            path = self.root / name
            if path.exists():
                assert path.read_bytes() in versions.values(), f"{name} is half of something"
        assert (told := self.project.git("status", "--porcelain").stdout) == "", told

    def assert_synced(self) -> None:
        """Every asset of this branch lies here with its bytes, and no other."""
        for name, versions in self.versions.items():
            path = self.root / name
            assert path.exists() == (self.branch in versions), name
            if path.exists():
                assert path.read_bytes() == versions[self.branch], f"{name} is another version"
        assert (told := self.project.git("status", "--porcelain").stdout) == "", told

    def assert_sound(self) -> None:
        """`fsck` finds nothing; what the dead left is gone."""
        ws = self.open()
        try:
            examined = fsck.examine(ws)
        finally:
            ws.close()
        assert not fsck.is_corrupt(examined)
        assert (examined.losses, examined.store.stray, examined.store.broken_records) == ([], [], [])

    def leftovers(self) -> list[str]:
        """Temporary files beside assets and in our state folder."""
        found = [str(path) for path in self.root.rglob(".regen-tmp-*")]
        return found + [str(path) for path in self.git_state.glob("*.tmp")]


def start(film, argv: list[str]) -> subprocess.Popen:
    """`regen-vcs ARGV` in a session of its own."""
    return subprocess.Popen(
        [PYTHON, "-I", "-m", "regen_vcs", *argv], cwd=film.root, env=film.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )


class Killer:
    """Kills one command again and again, each time at another moment of its life."""

    def __init__(self, film, argv: list[str], rng):
        self._film, self._argv, self._rng = film, argv, rng
        self.killed = 0
        self._seconds: float | None = None

    def rounds(self, count: int, *, kills: int) -> Iterator[int]:
        """Numbers of rounds to strike in: `count`, and more where the command was not alive often enough to be killed."""
        for number in range(4 * count):
            if number >= count and self.killed >= kills:
                break
            yield number
        assert self.killed >= kills

    def strike(self) -> None:
        """Start the command and kill its group, most often in the later part of its life: the start is only imports."""
        if self._seconds is None:
            began = time.monotonic()
            assert start(self._film, self._argv).wait() == 0
            self._seconds = time.monotonic() - began
            return
        began = time.monotonic()
        child = start(self._film, self._argv)
        try:
            child.wait(self._seconds * self._rng.triangular(0, 0.95, 0.65))
            self._seconds = min(self._seconds, time.monotonic() - began)  # the machine was busier when it was measured
        except subprocess.TimeoutExpired:
            self.killed += 1
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        stderr = child.communicate()[1]
        assert b"Traceback" not in stderr, stderr.decode()


def wait_until(happened: Callable[[], bool], seconds: float = 10, pause: float = 0.01) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def processes_of(home) -> list[str]:
    """Command lines of living processes that were started in this test's home."""
    mark = f"HOME={home.home}".encode()
    found = []
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


# -- dying at an exact call ------------------------------------------------------------------------------------------

# Every call by which the tool changes a disk. Death strikes before the call, or in the middle of a write.
_DEADLY = ("replace", "unlink", "rmdir", "mkdir", "link", "write", "truncate", "fsync")


def die_at_call(number: int, work: Callable[[], object]) -> int | None:
    """Run `work` in a forked child that kills itself at its `number`-th change of a disk.

    None where it died; else how many changes it made, having lived.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_end)
            count = _arm(number)
            work()
            _real["write"](write_end, str(count()).encode())
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(1)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return int(said) if status == 0 else None


_real = {name: getattr(os, name) for name in (*_DEADLY, "open")}


def _arm(number: int) -> Callable[[], int]:
    made = 0

    def step(before: Callable[[], object] = lambda: None) -> None:
        nonlocal made
        made += 1
        if made == number:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(name: str):
        def call(*args, **kwargs):
            if name == "write":
                data = bytes(args[1])
                step(lambda: _real["write"](args[0], data[: len(data) // 2]))
            else:
                step()
            return _real[name](*args, **kwargs)

        return call

    def opening(path, flags, *args, **kwargs):
        if flags & (os.O_CREAT | os.O_TRUNC):
            step()
        return _real["open"](path, flags, *args, **kwargs)

    for name in _DEADLY:
        setattr(os, name, deadly(name))
    os.open = opening
    copy = getattr(os, "copy_file_range", None)
    if copy:
        def half_copy(src, dst, count, *args):
            step(lambda: copy(src, dst, max(1, count // 2)))
            return copy(src, dst, count, *args)

        os.copy_file_range = half_copy
    return lambda: made
