"""Workers that die at any moment: every job still ends once, and no take is lost or made twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import groupby

import pytest

from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.making import enqueue, make_assets
from regen_vcs.engine.queue import DONE, ENDED, OPEN, QUEUED, RUNNING, Queue, liveness
from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.recipe import Recipe
from tests.faults.wreck import hash_of
from tests.patience import BUSY
from tests.real_git import recipes

MODELS = ("ada", "bea", "cyd")
DEPTH = 5

# Who runs it is told by the parent: the runner that keeps a worker's models.
SCRIPT = """\
echo "$PPID $1 $4" >>"$LOG"
if [ -n "$3" ] && [ -f "$3" ]; then cat "$3" >"$2"; fi
echo "$1 $4" >>"$2"
"""


class Studio:
    """Chains of five assets each, of three models: each frame is made from the one before it."""

    def __init__(self, home, count: int):
        self.home = home
        self.project = home.repo("studio")
        self.log = home.base / "runs.log"
        self.project.env["LOG"] = str(self.log)
        tables = "".join(
            f'[generators.{name}]\nuses = "command"\nargv = ["sh", "{{code}}/make.sh", "{name}", "{{output}}", "{{inputs.before}}", '
            f'"{{params.number}}"]\ncode = ["tools/make.sh"]\nenv = ["LOG"]\n'
            for name in MODELS
        )
        # An argv has all its inputs: the first of each chain is made from a plain file.
        self.project.write("regen.toml", tables.encode())
        self.project.write("tools/make.sh", SCRIPT.encode())
        self.project.write("seed.txt", b"seed\n")
        self.project.commit("tools")
        self.project.regen("trust", "--yes")
        self.assets: list[str] = []
        ws = self.open()
        for number in range(count):
            chain, place = divmod(number, DEPTH)
            model = MODELS[chain % len(MODELS)]
            before = "seed.txt" if place == 0 else f"c{chain:03}_{place - 1}.txt"
            path = f"c{chain:03}_{place}.txt"
            definition = Definitions(ws).current(f"command:{model}")
            recipe = Recipe(generator=f"command:{model}", definition=definition, params={"number": number}, inputs={"before": before})
            recipes.write(self.project, path, recipe)
            self.assets.append(path)
        ws.close()
        self.project.git("add", "-A")
        ws = self.open()
        began = time.monotonic()
        made = list(make_assets(ws, self.assets, by_user=True))
        self.seconds_each = (time.monotonic() - began) / count
        ws.close()
        assert Counter(each.verdict for each in made) == {"made": count}
        self.project.commit("all")
        self.bytes = {path: self.project.path(path).read_bytes() for path in self.assets}

    def open(self) -> Workspace:
        return Workspace.open(str(self.project.root), self.project.env)

    def queue(self) -> Queue:
        return Queue(str(self.project.root / ".git/regen"))

    def lose_everything(self) -> None:
        """Every take and every file is gone; only recipes are left, and all of it is queued."""
        for path in self.assets:
            self.project.path(path).unlink()
        shutil.rmtree(self.home.keep)
        shutil.rmtree(self.home.cache, ignore_errors=True)
        shutil.rmtree(self.project.root / ".git/regen/spare", ignore_errors=True)
        self.log.unlink(missing_ok=True)
        self.project.regen("queue", "clear")
        ws = self.open()
        assert enqueue(ws, self.assets, by_user=False) == len(self.assets)
        ws.close()

    def worker(self, *options: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-I", "-m", "regen_vcs", "worker", *options], cwd=self.project.root, env=self.project.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )

    def assert_all_made_once(self) -> None:
        with self.queue() as queue:
            jobs = queue.jobs((*OPEN, *ENDED))
        assert Counter(job.path for job in jobs) == Counter(self.assets)
        assert {job.state for job in jobs} == {DONE}
        for path, data in self.bytes.items():
            assert self.project.path(path).read_bytes() == data
        ws = self.open()
        for path in self.assets:
            recipe = recipes.read(self.project, path)
            takes = ws.results.takes(recipe.output.key)
            assert [take["output_hash"] for take in takes] == [hash_of(self.bytes[path])], "one take, and the accepted one"
        ws.close()
        states = Counter(self.project.status().values())
        assert states == {"ok": len(self.assets)}


@pytest.mark.slow
def test_fifty_killed_workers_lose_nothing_and_double_nothing(home):
    studio = Studio(home, 500)
    studio.lose_everything()
    rng = random.Random(4)
    workers = [studio.worker("--keep"), studio.worker("--keep")]
    killed = 0
    try:
        while killed < 50:
            time.sleep(rng.uniform(0.3, 1.2))
            victim = rng.randrange(2)
            workers[victim].send_signal(signal.SIGKILL)
            workers[victim].communicate()
            workers[victim] = studio.worker("--keep")
            killed += 1
            with studio.queue() as queue:
                if not set(queue.counts()) & {QUEUED, RUNNING}:
                    break  # quicker than we could kill
        deadline = time.monotonic() + 240
        with studio.queue() as queue:
            while set(queue.counts()) & {QUEUED, RUNNING} and time.monotonic() < deadline:
                time.sleep(0.2)
    finally:
        for each in workers:
            each.terminate()
            each.communicate()
    assert killed >= 20
    with studio.queue() as queue:
        assert [(job.path, job.state, job.reason) for job in queue.jobs() if job.state != DONE] == []
    studio.assert_all_made_once()
    assert_one_load_a_model(studio)


def assert_one_load_a_model(studio) -> None:
    """In the life of one runner the jobs of a model come one after another: it is loaded once."""
    lives: dict[str, list[str]] = {}
    for line in studio.log.read_text().splitlines():
        runner, model, _number = line.split()
        lives.setdefault(runner, []).append(model)
    for runner, models in lives.items():
        loads = Counter(model for model, _ in groupby(models))
        assert max(loads.values()) == 1, f"runner {runner} changed models to and fro: {[m for m, _ in groupby(models)]}"


def test_two_workers_divide_the_models(home):
    studio = Studio(home, 60)
    studio.lose_everything()
    workers = [studio.worker(), studio.worker()]
    for each in workers:
        each.communicate(timeout=120)
    studio.assert_all_made_once()
    assert_one_load_a_model(studio)


def test_a_worker_told_to_stop_gives_its_job_back(home):
    studio = Studio(home, 5)
    studio.lose_everything()
    script = studio.project.path("tools/make.sh")
    with studio.queue() as queue:
        # Long enough to be caught in it.
        script.write_text(SCRIPT)
        worker = studio.worker()
        deadline = time.monotonic() + 20
        while not queue.jobs((RUNNING,)) and time.monotonic() < deadline:
            time.sleep(0.005)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=20)
        assert worker.returncode in (0, 130), said
        assert queue.jobs((RUNNING,)) == []
        assert all(job.crashes == 0 for job in queue.jobs())
    studio.project.regen("worker")
    studio.assert_all_made_once()


def test_a_job_that_kills_its_worker_is_given_up(home):
    """The fifth time a worker dies in a job, the job is to blame."""
    studio = Studio(home, 5)
    studio.lose_everything()
    with studio.queue() as queue:
        folder = str(studio.project.root / ".git/regen")
        for _ in range(5):
            claimed = queue.claim("somewhere/dead", 1)
            assert [job.path for job in claimed] == ["c000_0.txt"]
            queue.reclaim(lambda owner, lease: False)
        first = next(job for job in queue.jobs() if job.path == "c000_0.txt")
        assert (first.state, first.reason) == ("failed", "the worker died in it 5 times")
        others = {job.path: (job.state, job.reason) for job in queue.jobs() if job.path != "c000_0.txt"}
        assert others["c000_1.txt"] == ("blocked", "blocked: its input c000_0.txt failed")
        assert others["c000_4.txt"] == ("blocked", "blocked: its input c000_3.txt is blocked")
        assert queue.reclaim(liveness(folder)) == 0
    assert studio.project.regen("queue", "retry").stdout == "5 queued again\n"
    studio.project.regen("worker")
    studio.assert_all_made_once()


def test_a_hanging_child_of_a_dead_worker_ends_by_itself(home):
    """Who kills the worker need not know of the runner, nor of what that has started."""
    studio = Studio(home, 5)
    script = studio.project.path("tools/make.sh")
    script.write_text("sleep 300 & echo $! >>$LOG.pid; wait\n")
    studio.project.commit("slow")
    studio.project.regen("trust", "--yes")
    done = studio.project.regen("regenerate", "c000_0.txt", "--queue")
    assert "1 queued" in done.stdout
    worker = studio.worker()
    pid_file = studio.log.with_suffix(".log.pid")
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    sleeper = int(pid_file.read_text())
    worker.kill()
    worker.communicate()
    deadline = time.monotonic() + 3 + BUSY
    while os.path.exists(f"/proc/{sleeper}") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{sleeper}")
    listed = json.loads(studio.project.regen("queue", "--json").stdout)["jobs"]
    assert next(job for job in listed if job["path"] == "c000_0.txt")["state"] == "queued"
