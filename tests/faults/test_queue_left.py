"""What a killed `regenerate` leaves in the queue is taken over by the next one that needs it: nobody waits for the dead."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time

import pytest

from tests.conftest import PYTHON

PAUSING = """\
[generators.pausing]
uses = "command"
argv = ["sh", "{code}/pausing.sh", "{output}"]
code = ["tools/pausing.sh"]
timeout = "60s"
"""


@pytest.fixture
def film(home):
    """Its generator sleeps as long as the file `hold` is there."""
    project = home.repo()
    hold = home.base / "hold"
    project.write("regen.toml", PAUSING.encode())
    project.write("tools/pausing.sh", f"while [ -e '{hold}' ]; do sleep 0.1; done; echo made >\"$1\"\n".encode())
    project.commit("tools")
    project.regen("trust", "--yes")
    project.regen("generate", "up.txt", "--generator", "command:pausing")
    project.regen("generate", "down.txt", "--generator", "command:pausing", "--input", "from=up.txt")
    project.commit("two assets")
    return project, hold


def kill_while_it_makes(project, hold, *paths: str) -> None:
    """Start `regenerate PATHS` for good, and kill it while the first of them is being made."""
    hold.touch()
    process = subprocess.Popen(
        [PYTHON, "-I", "-m", "regen_vcs", "regenerate", "--jobs", "1", *paths], cwd=project.root, env=project.env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while '"running"' not in project.regen("queue", "--json").stdout:
        assert time.monotonic() < deadline, "it was never begun"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hold.unlink()


def lose_media(project) -> None:
    for name in ("up.txt", "down.txt"):
        (project.root / name).unlink()
    for place in (project.user.keep, project.user.cache, project.root / ".git/regen/spare"):
        shutil.rmtree(place, ignore_errors=True)
    project.regen("trust", "--yes")


@pytest.mark.parametrize("verb", [("regenerate", "up.txt"), ("sync",), ("regenerate", "--missing")], ids=" ".join)
def test_the_job_in_which_it_died(film, verb):
    project, hold = film
    lose_media(project)
    kill_while_it_makes(project, hold, "up.txt")
    project.regen(*verb, timeout=60)
    assert project.path("up.txt").read_bytes() == b"made\n"


def test_what_another_job_waits_for(film):
    """Only the second is asked for now, but its job of before waits for the first, which nobody would make."""
    project, hold = film
    lose_media(project)
    kill_while_it_makes(project, hold, "up.txt", "down.txt")
    project.regen("regenerate", "down.txt", timeout=60)
    assert project.path("up.txt").read_bytes() == project.path("down.txt").read_bytes() == b"made\n"
