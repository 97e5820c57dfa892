"""The queue as people use it: a checkout that misses much, following it, cancelling, retrying, one worker's terminal dying."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from tests.conftest import PYTHON
from tests.patience import BUSY
from tests.real_git import recipes

SLEEPY = """\
[generators.slow]
uses = "command"
argv = ["sh", "{code}/slow.sh", "{output}", "{params.seconds}", "{params.says}"]
code = ["tools/slow.sh"]
timeout = "60s"
"""
SCRIPT = 'echo $$ >>"$0.pids" 2>/dev/null; sleep "$2"; echo "$3" >"$1"\n'


def jobs(project) -> dict[str, dict]:
    return {job["path"]: job for job in json.loads(project.regen("queue", "--json").stdout)["jobs"]}


def wait_until(true, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def film(home):
    project = home.repo()
    project.write("regen.toml", SLEEPY.encode())
    project.write("tools/slow.sh", SCRIPT.encode())
    project.commit("tools")
    project.regen("trust", "--yes")
    return project


def slow(project, path: str, seconds: float = 0.0, *, make: bool = True, says: str = "hello") -> None:
    params = ("--param", f"seconds={seconds}", "--param", f"says={says}")
    project.regen("generate", path, "--generator", "command:slow", *params, *(() if make else ("--no-run",)))


def lose(project) -> None:
    shutil.rmtree(project.user.keep, ignore_errors=True)
    shutil.rmtree(project.user.cache, ignore_errors=True)
    shutil.rmtree(project.root / ".git/regen/spare", ignore_errors=True)


def textures(project, count: int) -> list[str]:
    """Many small ones, accepted, committed on main; `empty` has none, and nothing is in any store."""
    project.git("branch", "empty")
    paths = []
    for number in range(count):
        path = f"tex/t{number:03}.png"
        params = recipes.TEXTURE | {"seed": number}
        recipes.write(project, path, recipes.generated(path, None, params))
        paths.append(path)
    project.git("add", "-A")
    project.regen("regenerate")
    project.commit("textures")
    project.git("switch", "-q", "empty")
    project.regen("sync")  # so many removals at once ask for it
    lose(project)
    return paths


@pytest.fixture
def busy(home):
    """A user whose checkouts leave everything to the background."""
    home.env |= {"REGEN_CHECKOUT_BACKGROUND": "true", "REGEN_CHECKOUT_WAIT": "0s"}
    project = home.repo()
    yield project
    subprocess.run(["pkill", "-f", str(home.base)], check=False)
    for pid in background_workers(project):
        os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: not background_workers(project))


def background_workers(project) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            cwd = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if b"worker\0--background" in line and cwd == str(project.root):
            found.append(int(pid))
    return found


def test_a_checkout_of_much_returns_at_once_and_the_media_arrive_by_themselves(busy):
    paths = textures(busy, 200)
    began = time.monotonic()
    done = busy.git("switch", "-q", "main")  # captured: a descriptor that the worker inherits would hold us here
    took = time.monotonic() - began
    assert "200 assets missing: 200 to regenerate" in done.stderr
    assert "a worker makes them; follow it: regen-vcs queue --follow" in done.stderr
    assert len(background_workers(busy)) <= 1
    followed = busy.regen("queue", "--follow", timeout=240)
    assert followed.returncode == 0
    assert followed.stdout.count("done ") == 200 or "200 done" in followed.stdout, followed.stdout[-500:]
    assert set(busy.status().values()) == {"ok"}
    assert all(busy.path(path).exists() for path in paths)
    assert busy.git("status", "--porcelain").stdout == ""
    assert took < 15, "the bound that CI can hold; benchmarks/ has the figure"


def test_the_worker_ends_when_there_is_nothing_left_and_the_next_checkout_starts_another(busy):
    textures(busy, 2)
    busy.git("switch", "-q", "main")
    assert wait_until(lambda: set(busy.status().values()) == {"ok"})
    assert wait_until(lambda: background_workers(busy) == [], 30)
    busy.git("switch", "-q", "empty")
    lose(busy)
    busy.git("switch", "-q", "main")
    assert wait_until(lambda: set(busy.status().values()) == {"ok"}, 30)


def test_a_worker_survives_the_death_of_the_terminal_that_started_it(busy):
    busy.write("regen.toml", SLEEPY.encode())
    busy.write("tools/slow.sh", SCRIPT.encode())
    busy.commit("tools")
    busy.regen("trust", "--yes")
    slow(busy, "long.txt", 1.5)
    busy.commit("long")
    busy.path("long.txt").unlink()
    lose(busy)
    # A shell in a session of its own, as a terminal has; its end hangs up whatever belongs to it.
    shell = subprocess.Popen(
        ["sh", "-c", "git switch -q --detach HEAD~1; git switch -q -; kill -HUP 0"], cwd=busy.root, env=busy.env,
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    shell.wait(timeout=30)
    assert wait_until(lambda: busy.path("long.txt").exists(), 40)
    assert busy.status() == {"long.txt": "ok"}


def test_nothing_is_queued_without_trust(busy):
    busy.write("regen.toml", SLEEPY.encode())
    busy.write("tools/slow.sh", SCRIPT.encode())
    busy.commit("tools")
    busy.regen("trust", "--yes")
    slow(busy, "a.txt")
    busy.commit("a")
    busy.path("a.txt").unlink()
    lose(busy)
    busy.regen("trust", "--revoke")
    busy.git("switch", "-q", "--detach", "HEAD~1")
    done = busy.git("switch", "-q", "main")
    assert "trust" in done.stderr
    assert busy.regen("queue").stdout == "the queue is empty\n" or "done" in busy.regen("queue").stdout
    assert background_workers(busy) == []


def test_rebase_queues_nothing(busy):
    textures(busy, 3)
    busy.git("switch", "-qc", "side", "main~1")
    busy.write("notes.txt", b"1")
    busy.commit("notes")
    busy.regen("queue", "clear")
    lose(busy)
    busy.git("rebase", "-q", "main", check=False)
    time.sleep(0.3)
    listed = jobs(busy)
    assert not [path for path, job in listed.items() if job["state"] in ("queued", "running")] or "rebase" not in busy.git("status").stdout


def test_cancelling_a_running_job_ends_its_processes_within_two_seconds(film):
    slow(film, "long.txt", 307, make=False)  # a length that no other test sleeps
    film.git("add", "-A")
    film.regen("regenerate", "long.txt", "--queue")
    worker = subprocess.Popen([PYTHON, "-I", "-m", "regen_vcs", "worker"], cwd=film.root, env=film.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert wait_until(lambda: jobs(film)["long.txt"]["state"] == "running")
    assert wait_until(lambda: sleepers() != [])
    assert film.status()["long.txt"] == "running"
    began = time.monotonic()
    assert film.regen("queue", "cancel", "long.txt").stdout == "0 cancelled, 1 told to stop\n"
    assert wait_until(lambda: sleepers() == [], 4 + BUSY)
    assert time.monotonic() - began < 4 + BUSY  # two seconds, and the start of the command that asked
    worker.communicate(timeout=20)
    listed = jobs(film)["long.txt"]
    assert (listed["state"], listed["reason"]) == ("cancelled", "cancelled")
    assert film.status()["long.txt"] == "pending"


def sleepers() -> list[str]:
    return subprocess.run(["pgrep", "-fx", "sleep 307"], capture_output=True, text=True, check=False).stdout.split()


def test_one_failure_blocks_its_dependants_and_nobody_else(film):
    film.write("regen.toml", (SLEEPY + """
[generators.copy]
uses = "command"
argv = ["cp", "{inputs.from}", "{output}"]
[generators.broken]
uses = "command"
argv = ["sh", "-c", "echo no ink >&2; exit 3", "{inputs.from}", "{output}"]
""").encode())
    film.git("add", "-A")
    film.regen("trust", "--yes")
    slow(film, "a.txt", make=False)
    film.regen("generate", "bad.txt", "--generator", "command:broken", "--input", "from=a.txt", "--no-run")
    film.regen("generate", "c.txt", "--generator", "command:copy", "--input", "from=bad.txt", "--no-run")
    film.regen("generate", "d.txt", "--generator", "command:copy", "--input", "from=c.txt", "--no-run")
    film.regen("generate", "e.txt", "--generator", "command:copy", "--input", "from=a.txt", "--no-run")
    film.git("add", "-A")
    done = film.regen("regenerate", check=False)
    assert done.returncode == 1
    assert "no ink" in done.stderr
    assert film.status() | {} == {"a.txt": "ok", "bad.txt": "failed", "c.txt": "pending", "d.txt": "pending", "e.txt": "ok"}
    listed = jobs(film)
    assert listed["c.txt"]["reason"] == "blocked: its input bad.txt failed"
    assert listed["d.txt"]["reason"] == "blocked: its input c.txt is blocked"
    text = film.regen("queue").stdout
    assert "blocked   c.txt  (blocked: its input bad.txt failed)" in text and "failed    bad.txt" in text


def test_a_reason_that_passes_is_tried_again(film):
    film.write("regen.toml", b"""[generators.moody]
uses = "command"
argv = ["sh", "-c", "[ -e /tmp/nothing-there ] || exit 75", "{output}"]
""")
    film.git("add", "-A")
    film.regen("trust", "--yes")
    film.regen("generate", "a.txt", "--generator", "command:moody", "--no-run")
    film.git("add", "-A")
    film.regen("regenerate", "a.txt", "--queue")
    worker = subprocess.Popen([PYTHON, "-I", "-m", "regen_vcs", "worker"], cwd=film.root, env=film.env, stdout=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: jobs(film)["a.txt"]["attempts"] == 1 and jobs(film)["a.txt"]["state"] == "queued")
        assert "tried 1 times" in film.regen("queue").stdout
        assert wait_until(lambda: jobs(film)["a.txt"]["attempts"] == 2, 15), "after five seconds"
    finally:
        worker.terminate()
        worker.wait()


def test_a_cycle_is_refused_with_the_cycle(film):
    for path, other in (("a.png", "b.png"), ("b.png", "a.png")):
        recipes.write(film, path, recipes.generated(path, None, recipes.TEXTURE, inputs={"x": other}))
    film.git("add", "-A")
    done = film.regen("regenerate", check=False)
    assert done.returncode != 0
    assert "a.png → b.png → a.png" in done.stderr + done.stdout or "b.png → a.png → b.png" in done.stderr + done.stdout


def test_priorities(film):
    for name in ("a", "b", "c"):
        slow(film, f"{name}.txt", make=False, says=name)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    assert {job["priority"] for job in jobs(film).values()} == {"user"}
    film.regen("queue", "prioritize", "a.txt", "b.txt", "--priority", "background")
    assert next(iter(jobs(film))) == "c.txt"
    film.regen("queue", "cancel", "--all")
    assert {job["state"] for job in jobs(film).values()} == {"cancelled"}
    assert film.regen("queue", "clear").stdout == "3 forgotten\n"
    assert film.regen("queue").stdout == "the queue is empty\n"


def test_a_worker_never_accepts(film):
    slow(film, "a.txt", make=False)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    before = film.path("a.txt.regen.json").read_bytes()
    film.regen("worker")
    assert film.path("a.txt.regen.json").read_bytes() == before
    assert film.path("a.txt").read_bytes() == b"hello\n"
    assert film.status() == {"a.txt": "proposed"}
    film.regen("accept", "a.txt")
    assert film.status() == {"a.txt": "ok"}


def test_a_damaged_queue_says_so_and_stops_nothing(film):
    slow(film, "a.txt")
    film.write(".git/regen/queue.sqlite", b"this is no database" * 100)
    for name in ("queue.sqlite-wal", "queue.sqlite-shm"):
        film.path(f".git/regen/{name}").unlink(missing_ok=True)
    done = film.regen("queue", check=False)
    assert done.returncode == 1 and "queue.sqlite" in done.stderr and "rm" in done.stderr
    assert film.status() == {"a.txt": "ok"}
    slow(film, "b.txt")
    assert film.status() == {"a.txt": "ok", "b.txt": "ok"}


def test_unknown_paths_are_errors(film):
    slow(film, "a.txt", make=False)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    assert film.regen("queue", "cancel", "nope.txt", check=False).returncode == 2
    assert film.regen("queue", "cancel", check=False).returncode == 2
    done = film.regen("queue", "retry", "a.txt", check=False)  # which is an asset, and queued: there is nothing to retry
    assert done.returncode == 2 and "no job that could be retried matches a.txt" in done.stderr
    assert "see: regen-vcs queue --all" in done.stderr
    assert "see: regen-vcs queue prioritize --help" in film.regen("queue", "prioritize", check=False).stderr


def test_what_the_user_asked_for_is_made_however_late(film):
    """Moved behind everything else, a pending recipe is still what somebody wanted."""
    slow(film, "a.txt", make=False)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    film.regen("queue", "prioritize", "a.txt", "--priority", "background")
    film.regen("worker")
    assert film.status() == {"a.txt": "proposed"}
