"""What the queue costs: making many tiny assets, listing many jobs, and leaving a checkout's missing ones to a worker.

    python benchmarks/jobs.py ROOT ASSETS LISTED

ROOT: an empty repository that regen-vcs was set up in. Prints one JSON object of seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from statistics import median

from regen_vcs.engine.making import make_assets
from regen_vcs.engine.queue import MISSING, Queue, Request
from regen_vcs.engine.workspace import Workspace
from regen_vcs.generators import registry
from regen_vcs.model.recipe import Recipe, recipe_bytes

LEFT = 200


def write_recipes(root: str, count: int) -> list[str]:
    """Recipes of textures so small that making one takes the generator next to no time."""
    plain = registry.complete_params(registry.load("texture"), {"kind": "checker", "width": 16, "height": 16})
    paths = [f"tex/{number:05}.png" for number in range(count)]
    os.makedirs(f"{root}/tex", exist_ok=True)
    for number, path in enumerate(paths):
        with open(f"{root}/{path}.regen.json", "wb") as file:
            file.write(recipe_bytes(Recipe(generator="texture", params=plain | {"scale": number + 1})))
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    return paths


def make(root: str, paths: list[str]) -> tuple[float, float]:
    """(seconds a job in all, seconds of it that the generator took)."""
    ws = Workspace.open(root, os.environ)
    began = time.perf_counter()
    made = list(make_assets(ws, paths, by_user=True, workers=1))
    seconds = time.perf_counter() - began
    ws.close()
    assert all(each.verdict == "made" for each in made)
    return seconds / len(paths), sum(each.take.seconds for each in made) / len(paths)


def leave_to_worker(root: str, paths: list[str]) -> float:
    """Seconds of a switch to a branch of which 200 assets are missing, captured as a GUI does it."""
    env = os.environ | {"REGEN_CHECKOUT_WAIT": "0s"}
    git = lambda *argv: subprocess.run(["git", *argv], cwd=root, env=env, check=True, capture_output=True)  # noqa: E731
    for path in paths[LEFT:]:
        os.unlink(f"{root}/{path}.regen.json")
    git("add", "-A")
    git("commit", "-qm", "few")
    git("branch", "film")
    git("switch", "-q", "--orphan", "empty")
    git("commit", "-q", "--allow-empty", "-m", "empty")
    subprocess.run(["regen-vcs", "sync"], cwd=root, env=env, check=True, capture_output=True)
    for folder in (os.environ["REGEN_KEEP_DIR"], os.environ["REGEN_CACHE_DIR"], f"{root}/.git/regen/spare"):
        shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    git("switch", "-q", "film")
    seconds = time.perf_counter() - began
    subprocess.run(["regen-vcs", "queue", "--follow"], cwd=root, env=env, check=True, capture_output=True)
    assert all(os.path.exists(f"{root}/{path}") for path in paths[:LEFT])
    return seconds


def list_jobs(root: str, count: int) -> float:
    """Seconds of `regen-vcs queue` with that many queued."""
    with Queue(f"{root}/.git/regen") as queue:
        queue.clear()
        queue.add(root, [Request(f"shots/{n:06}.png", None, "texture", "texture", 1.0, []) for n in range(count)], MISSING)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(["regen-vcs", "queue"], cwd=root, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return median(times)


def main() -> None:
    root, assets, listed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    paths = write_recipes(root, assets)
    each, own = make(root, paths)
    print(json.dumps({
        "job": each, "generator": own, "switch": leave_to_worker(root, paths), "listing": list_jobs(root, listed),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
