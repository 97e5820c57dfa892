"""^C: exit 130, no traceback, nothing half, nobody left running; the next sync brings what is missing."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

import regen_vcs
from tests.faults import wreck
from tests.faults.test_concurrency import Workshop, forget_bytes
from tests.faults.wreck import PYTHON, Film, frame_bytes, wait_until
from tests.patience import BUSY


@pytest.fixture
def rng():
    return random.Random(int(os.environ.get("REGEN_TEST_SEED", "21")))


def started(film, *argv: str) -> subprocess.Popen:
    """A command as a terminal starts it: leader of a process group that ^C reaches as a whole."""
    return subprocess.Popen(
        argv, cwd=film.root, env=film.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def tool(film, *argv: str) -> subprocess.Popen:
    return started(film, PYTHON, "-I", "-m", "regen_vcs", *argv)


# From this line on ^C is ours. Before it, a Python that is starting tells in its own way that it was ended.
_PACKAGE = Path(regen_vcs.__file__).parent
_FIRST = next(number for number, line in enumerate((_PACKAGE / "__main__.py").read_text().splitlines(), 1) if "SIG_DFL" in line)


def ours(said: str) -> list[str]:
    """The lines of our files in tracebacks, and what threads said of exceptions.

    One that struck in an import's own callback is Python's to tell ("Exception ignored in"), and shows no line of ours.
    """
    frames = re.findall(rf'File "({re.escape(str(_PACKAGE))}/[^"]+)", line (\d+)', said)
    early = [(str(_PACKAGE / "__main__.py"), str(number)) for number in range(_FIRST + 1)]
    return [f"{name}:{line}" for name, line in frames if (name, line) not in early] + re.findall("Exception in .*", said)


def interrupt(child: subprocess.Popen, *, times: int = 1) -> tuple[int, str]:
    """^C in its terminal; (exit code, everything it said)."""
    for _ in range(times):
        try:
            os.killpg(child.pid, signal.SIGINT)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    said = child.communicate(timeout=30)[0].decode()
    assert not ours(said) and "internal error" not in said, said
    # While it leaves, when all is done, ^C ends it as it ends any program; a shell says 130 then.
    return 130 if child.returncode == -signal.SIGINT else child.returncode, said


def at_work(film):
    counter = film.git_state / "generation"
    before = counter.stat().st_size
    return lambda: counter.stat().st_size != before


@pytest.mark.parametrize("times", [1, 3])
def test_sync(home, rng, times):
    film = Film(home, count=60, size=200_000)
    interrupted = 0
    for _ in range(40):  # a sync that is over before the signal reaches it shows nothing
        film.wipe()
        begun = at_work(film)
        child = tool(film, "sync")
        assert wait_until(lambda: begun() or child.poll() is not None, 20, pause=0.0005)  # noqa: B023
        time.sleep(rng.uniform(0, 0.03))
        code, said = interrupt(child, times=times)
        assert code in (0, 130), said
        if code == 130:
            interrupted += 1
            # What it says of its work it says at the end of it.
            assert re.fullmatch(r"\n*(\d+ brought \(.*\)\n+)?(error: interrupted\n)?", said), said
            if "error" not in said:
                film.assert_synced()
        film.assert_whole()
        film.sync()
        film.assert_synced()
        assert film.leftovers() == []
        if interrupted == 6:
            break
    assert interrupted >= 4
    film.assert_sound()


@pytest.mark.parametrize("trigger", ["hooks", "filter"])
def test_git_switch(home, rng, trigger):
    """In the middle of a switch: git is gone at once, what it had not done is git's; the media follow the sidecars."""
    film = Film(home, count=60, size=100_000, trigger=trigger)
    film.git_state.mkdir(exist_ok=True)
    (film.git_state / "generation").touch()
    for number in range(8):
        target = film.other()
        begun = at_work(film)
        child = started(film, "git", "switch", "-q", target)
        if number % 4:
            wait_until(lambda: begun() or child.poll() is not None, 20, pause=0.0005)  # noqa: B023
        time.sleep(rng.uniform(0, 0.04))
        interrupt(child)
        assert wait_until(lambda: wreck.processes_of(home) == [], 5), wreck.processes_of(home)
        (film.root / ".git" / "index.lock").unlink(missing_ok=True)
        for name, versions in film.versions.items():
            path = film.root / name
            assert not path.exists() or path.read_bytes() in versions.values(), name
        # What a user does next: sets git right (it may have left files it had not noted yet), and all is right.
        film.project.git("clean", "-fdq")
        film.branch = target if number % 3 else film.other()
        film.project.git("switch", "-q", "--discard-changes", film.branch)
        film.sync()
        film.assert_synced()
    ws = film.open()
    assert ws.rescued.entries() == []
    ws.close()
    film.assert_sound()


def test_regenerate(home):
    """The generator, a grandchild of its own session, ends with the command."""
    workshop = Workshop(home)
    workshop.recipe("made.dat", 30)
    child = tool(workshop, "regenerate", "made.dat")
    assert workshop.started()
    generator = int(workshop.log.read_text().splitlines()[0])
    began = time.monotonic()
    code, said = interrupt(child)
    assert code == 130 and "error: interrupted\n  hint: 1 left in the queue" in said
    assert time.monotonic() - began < 2 + BUSY
    assert wait_until(lambda: not os.path.exists(f"/proc/{generator}"), 2 + BUSY)
    assert wait_until(lambda: wreck.processes_of(home) == [], 2 + BUSY), wreck.processes_of(home)
    assert workshop.project.status() == {"made.dat": "queued"}, "nothing that was asked for is forgotten"
    workshop.project.regen("queue", "cancel", "--all")
    assert workshop.project.status() == {"made.dat": "pending"}
    assert workshop.project.git("status", "--porcelain").stdout == "?? made.dat.regen.json\n"
    assert [each for each in os.listdir(home.cache / "scratch") if os.path.isdir(home.cache / "scratch" / each)] == []


def test_what_is_finished_stays(home):
    workshop = Workshop(home)
    workshop.recipe("first.dat", 0)
    workshop.recipe("second.dat", 30)
    child = tool(workshop, "regenerate", "--jobs", "1")
    assert workshop.started(2)
    code, _ = interrupt(child)
    assert code == 130
    assert workshop.project.status() == {"first.dat": "ok", "second.dat": "queued"}


def test_a_hook_that_regenerates(home):
    """git dies of ^C while its hook makes something: nobody is left, and the asset comes with the next sync."""
    workshop = Workshop(home)
    project = workshop.project
    project.git("switch", "-qc", "plain")
    project.git("switch", "-qc", "made")
    workshop.recipe("made.dat", 1.5)
    project.regen("regenerate", "made.dat")
    project.commit("made")
    accepted = project.path("made.dat").read_bytes()
    project.git("switch", "-q", "plain")
    forget_bytes(workshop, accepted)
    before = workshop.runs()
    child = started(workshop, "git", "switch", "-q", "made")
    assert workshop.started(before + 1)
    interrupt(child)
    assert wait_until(lambda: wreck.processes_of(home) == [], 2 + BUSY), wreck.processes_of(home)
    assert not project.path("made.dat").exists()
    project.git("switch", "-q", "made")
    project.regen("sync")
    assert project.path("made.dat").read_bytes() == accepted
    assert project.git("status", "--porcelain").stdout == ""


def test_add(home, rng):
    project = home.repo()
    names = [f"{number:03}.png" for number in range(60)]
    for name in names:
        project.write(name, frame_bytes(name, 1, 300_000))
    project.git_state, project.env = project.root / ".git" / "regen", project.env
    for _ in range(4):
        child = tool(project, "add", ".")
        time.sleep(rng.uniform(0.25, 0.5))
        code, said = interrupt(child)
        assert code in (0, 130), said
        for name in names:
            (project.root / f"{name}.regen.json").unlink(missing_ok=True)
        assert all(project.path(name).read_bytes() == frame_bytes(name, 1, 300_000) for name in names)
    project.regen("add", ".")
    project.commit("all")
    assert set(project.status().values()) == {"ok"}
    assert project.regen("fsck").returncode == 0


def test_while_waiting_for_another(home):
    from tests.faults.test_concurrency import hold

    film = Film(home, count=4)
    holder, _ = hold(film, 20)
    child = tool(film, "sync")
    assert b"waiting for it" in child.stdout.readline()
    began = time.monotonic()
    code, said = interrupt(child)
    assert holder.poll() is None, "it was still waiting"
    holder.kill()
    holder.wait()
    assert code == 130 and said.strip() == "error: interrupted" and time.monotonic() - began < 2 + BUSY
