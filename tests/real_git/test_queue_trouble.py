"""The queue under generators that misbehave, and under a repository that changes or goes away while it works."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import PYTHON
from tests.patience import BUSY
from tests.real_git.test_queue import SCRIPT, SLEEPY, background_workers, jobs, lose, slow, wait_until

BAD = """
[generators.bad]
uses = "command"
argv = ["sh", "{code}/bad.sh", "{params.what}", "{output}"]
code = ["tools/bad.sh"]
timeout = "2s"
env = ["MY_KEY", "NAP"]
[generators.loud]
uses = "command"
argv = ["sh", "{code}/bad.sh", "{params.what}", "{output}"]
code = ["tools/bad.sh"]
env = ["MY_KEY", "NAP"]
[generators.copy]
uses = "command"
argv = ["cp", "{inputs.from}", "{output}"]
"""
BAD_SCRIPT = """\
echo "begun $1 with $MY_KEY"
case "$1" in
hangs) trap "" TERM; sleep 331 & sleep 332;;
floods) head -c 104857600 /dev/zero | tr '\\0' x; echo the end; exit 3;;
floods-well) head -c 104857600 /dev/zero | tr '\\0' x; echo hello >"$2";;
nothing) exit 0;;
empty) : >"$2";;
outside) echo mine >../../escaped.txt; echo mine >"$2.more";;
links) ln -s "$0" "$2";;
dies) kill -9 $$;;
kills) kill -9 $PPID;;
fails) echo "no ink" >&2; exit 3;;
naps*) [ -e "$NAP" ] && sleep 333; echo hello >"$2";;
esac
"""
REASONS = {
    "hangs": "took longer than its timeout of 2.0 s",
    "floods": "sh ended with exit code 3: xxx",
    "nothing": "it ended well but wrote no output",
    "empty": "its output is empty",
    "outside": "it ended well but wrote no output",
    "links": "its output is a link or a device, not a file",
    "dies": "sh ended with SIGKILL",
    "kills": "the generator's process died (SIGKILL)",
    "fails": "sh ended with exit code 3: no ink",
}


def prepare(project):
    project.write("regen.toml", (SLEEPY + BAD).encode())
    project.write("tools/slow.sh", SCRIPT.encode())
    project.write("tools/bad.sh", BAD_SCRIPT.encode())
    project.commit("tools")
    project.regen("trust", "--yes")
    return project


@pytest.fixture
def film(home):
    home.env["MY_KEY"] = "s3cr3t-value-of-mine"
    return prepare(home.repo())


@pytest.fixture
def busy(home):
    """A user whose checkouts leave everything to the background."""
    home.env |= {"REGEN_CHECKOUT_BACKGROUND": "true", "REGEN_CHECKOUT_WAIT": "0s"}
    project = prepare(home.repo())
    yield project
    for pid in background_workers(project):
        os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: not background_workers(project))


@pytest.fixture
def start(film):
    """start("worker", …): one of our commands, which is ended with the test. Its output comes from `communicate`."""
    started = []

    def start(*words: str, cwd=None) -> subprocess.Popen:
        started.append(subprocess.Popen(
            [PYTHON, "-I", "-m", "regen_vcs", *words], cwd=cwd or film.root, env=film.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=20)


def is_running(project, path: str) -> bool:
    return jobs(project).get(path, {}).get("state") == "running"


def sleepers(*seconds: int) -> list[str]:
    found = [subprocess.run(["pgrep", "-fx", f"sleep {each}"], capture_output=True, text=True, check=False) for each in seconds]
    return [pid for each in found for pid in each.stdout.split()]


# -- generators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", REASONS)
def test_whatever_a_generator_does_is_one_failed_job_with_its_log_and_a_reason(film, tmp_path, what):
    # A hundred megabytes take as long as the machine is busy.
    generator = "command:loud" if what == "floods" else "command:bad"
    film.regen("generate", "bad.txt", "--generator", generator, "--param", f"what={what}", "--no-run")
    slow(film, "good.txt", make=False)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    done = film.regen("worker", check=False)
    assert done.returncode == 1
    told = next(line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert told.startswith(f"error: bad.txt: {REASONS[what]}") and len(told) < 500
    assert "regen-vcs show --log bad.txt" in done.stderr
    listed = jobs(film)
    assert (listed["bad.txt"]["state"], listed["bad.txt"]["attempts"]) == ("failed", 1)
    assert listed["bad.txt"]["reason"].startswith(REASONS[what])
    assert (listed["good.txt"]["state"], film.path("good.txt").read_bytes()) == ("done", b"hello\n")
    log = film.regen("show", "--log", "bad.txt").stdout
    assert log.startswith(f"begun {what} with ***\n")
    if what == "floods":
        assert len(log) < 3 << 20 and "bytes left out" in log and log.endswith("the end\n")
    assert not film.path("bad.txt").exists() and not (tmp_path / "escaped.txt").exists()
    assert list((film.user.cache / "scratch").iterdir()) == [], "nothing is left lying about"
    assert wait_until(lambda: sleepers(331, 332) == [], 4 + BUSY)
    assert film.status()["bad.txt"] == "failed"


def test_a_flood_that_ends_well_is_no_failure_and_fills_no_memory(film, start):
    film.regen("generate", "loud.txt", "--generator", "command:loud", "--param", "what=floods-well", "--no-run")
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    worker = start("worker", "--keep")
    assert wait_until(lambda: jobs(film)["loud.txt"]["state"] == "done")
    status = Path(f"/proc/{worker.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 200_000, peak
    assert film.status() == {"loud.txt": "proposed"}


def test_a_secret_is_nowhere_but_in_the_environment(film, start):
    film.regen("generate", "bad.txt", "--generator", "command:bad", "--param", "what=hangs", "--no-run")
    film.regen("generate", "worse.txt", "--generator", "command:bad", "--param", "what=fails", "--no-run")
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    worker = start("worker", "--jobs", "2")
    assert wait_until(lambda: sleepers(332) != [])
    seen = subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout
    printed = worker.communicate(timeout=40)[0]
    assert "s3cr3t-value-of-mine" not in seen + printed + film.regen("queue", "--json").stdout
    found = subprocess.run(["grep", "-rl", "s3cr3t-value-of-mine", film.user.base], capture_output=True, text=True, check=False)
    assert found.stdout == ""


# -- git in the middle ---------------------------------------------------------------------------------------------------


def nap(project, path: str) -> None:
    """Made at once, but not where the file that NAP names is there."""
    project.regen("generate", path, "--generator", "command:bad", "--param", f"what=naps {path}")


def test_a_captured_switch_does_not_wait_for_what_it_has_queued(busy, tmp_path):
    """Who captures git's output waits until nobody has its pipe any more: no worker, and none of its children, may."""
    busy.env["NAP"] = str(tmp_path / "nap")
    for number in range(4):
        nap(busy, f"s{number}.txt")
    busy.commit("slow ones")
    busy.git("switch", "-q", "--detach", "HEAD~1")
    busy.regen("sync")
    lose(busy)
    (tmp_path / "nap").touch()
    began = time.monotonic()
    done = busy.git("switch", "-q", "main")
    took = time.monotonic() - began
    assert "4 assets missing: 4 to regenerate" in done.stderr
    assert took < 12, "a second on a machine of one's own (benchmarks/); the first job alone sleeps for 333"
    assert wait_until(lambda: sleepers(333) != [])
    worker, = background_workers(busy)
    assert os.getsid(worker) == worker
    held = {os.readlink(f"/proc/{worker}/fd/{number}") for number in (0, 1, 2)}
    assert held == {"/dev/null", str(busy.path(".git/regen/worker.log"))}
    environ = Path(f"/proc/{worker}/environ").read_text().split("\0")
    assert not [each for each in environ if each.startswith("GIT_") and not each.startswith("GIT_CONFIG")], environ
    busy.regen("queue", "cancel", "--all")
    assert wait_until(lambda: sleepers(333) == [], 4 + BUSY)


def test_a_switch_in_the_middle_of_a_run_gets_the_branches_own(busy, tmp_path):
    """The asset is being made as one branch has it when another branch asks for it as that has it."""
    busy.env["NAP"] = str(tmp_path / "nap")
    nap(busy, "a.txt")
    busy.commit("one")
    busy.git("branch", "one")
    busy.regen("set", "a.txt", "what=naps otherwise")
    busy.regen("regenerate")
    busy.commit("two")
    busy.git("switch", "-q", "--detach", "HEAD~2")
    lose(busy)
    (tmp_path / "nap").touch()
    busy.git("switch", "-q", "one")
    assert wait_until(lambda: sleepers(333) != [])
    (tmp_path / "nap").unlink()
    busy.git("switch", "-q", "main")
    for pid in sleepers(333):
        os.kill(int(pid), signal.SIGTERM)  # it goes on, and makes what nobody wants any more
    assert wait_until(lambda: busy.status() == {"a.txt": "ok"}, 30), busy.regen("queue", "--all").stdout


def test_a_recipe_changed_in_the_middle_of_a_run_is_made_as_it_is_now(film, start):
    slow(film, "a.txt", 2, make=False)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    worker = start("worker")
    assert wait_until(lambda: is_running(film, "a.txt"))
    film.regen("set", "a.txt", "says=other", "seconds=0")
    film.regen("regenerate", "--queue")
    assert worker.communicate(timeout=60)[0].count("a.txt") >= 2
    assert film.path("a.txt").read_bytes() == b"other\n"
    assert film.status() == {"a.txt": "proposed"}


def test_a_job_waits_for_what_was_queued_before_it_and_its_worker_for_both(film, start):
    slow(film, "a.txt", 7)
    film.regen("generate", "b.txt", "--generator", "command:copy", "--input", "from=a.txt")
    film.commit("both")
    lose(film)
    film.path("a.txt").unlink()
    film.path("b.txt").unlink()
    own = start("regenerate", "a.txt")
    assert wait_until(lambda: is_running(film, "a.txt"))
    film.regen("regenerate", "b.txt", "--queue")
    worker = start("worker", "--background")  # it has nothing to do for longer than it stays idle
    own.communicate(timeout=60)
    worker.communicate(timeout=60)
    assert {path: job["state"] for path, job in jobs(film).items()} == {"a.txt": "done", "b.txt": "done"}
    assert film.status() == {"a.txt": "ok", "b.txt": "ok"}


# -- a repository that goes away ---------------------------------------------------------------------------------------


def vanish(root: Path) -> None:
    """`rm -rf`, as often as it takes: until it knows, a worker may write into a folder that is being removed."""
    while root.exists():
        shutil.rmtree(root, ignore_errors=True)


def test_an_idle_worker_ends_with_its_repository(film, start):
    worker = start("worker", "--keep")
    assert wait_until(lambda: os.path.exists(film.path(".git/regen/workers")))
    vanish(film.root)
    assert "the repository is gone" in worker.communicate(timeout=20)[0]
    assert worker.returncode == 1 and not film.root.exists()


def test_a_worker_ends_with_its_repository_and_what_it_runs_too(film, start):
    slow(film, "long.txt", 334, make=False)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    worker = start("worker")
    assert wait_until(lambda: sleepers(334) != [])
    vanish(film.root)
    assert "the repository is gone" in worker.communicate(timeout=20)[0]
    assert wait_until(lambda: sleepers(334) == [], 4 + BUSY)
    assert not film.root.exists(), "nor does it come back as an empty shell"


def test_a_repository_that_is_moved_takes_its_queue_along(film, start):
    slow(film, "long.txt", 335, make=False)
    film.git("add", "-A")
    film.regen("regenerate", "--queue")
    worker = start("worker")
    assert wait_until(lambda: sleepers(335) != [])
    elsewhere = film.root.parent / "elsewhere"
    os.rename(film.root, elsewhere)
    assert "the repository is gone" in worker.communicate(timeout=20)[0]
    assert not film.root.exists()
    assert "queued    long.txt" in film.regen("queue", cwd=elsewhere).stdout


def test_a_worktree_that_is_removed_leaves_nothing_behind(film, start):
    slow(film, "a.txt", 3.25, make=False)
    film.commit("a")
    side = film.root.parent / "side"
    film.git("worktree", "add", "-q", "--detach", str(side))
    film.regen("regenerate", "--queue", cwd=side)
    worker = start("worker")
    assert wait_until(lambda: sleepers(3.25) != [])  # from its claim on it counts as running, before it is looked at
    film.git("worktree", "remove", "--force", str(side))
    assert "its worktree" in worker.communicate(timeout=30)[0]
    assert not side.exists() and not (film.path(".git/worktrees/side")).exists()


def test_a_queue_that_is_held_holds_no_checkout(busy):
    slow(busy, "a.txt")
    busy.commit("a")
    busy.git("switch", "-q", "--detach", "HEAD~1")
    lose(busy)
    holder = sqlite3.connect(busy.path(".git/regen/queue.sqlite"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    done = busy.git("switch", "-q", "main")
    assert time.monotonic() - began < 20, "it waited half a minute for this"
    assert "the missing could not be queued" in done.stderr and "locked" in done.stderr
    holder.execute("ROLLBACK")
