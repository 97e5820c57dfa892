"""A server of the tests' own, and a bench that runs the generator against it as its runner would."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from regen_vcs.generators.base import Job
from regen_vcs.generators.comfyui import Comfyui
from regen_vcs.generators.comfyui.run import Patience
from tests.comfyui.server import ComfyServer


def picture(**more) -> dict:
    """Grain on grey: a seed, a number, a title, and one picture saved."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 24, "batch_size": 1, "color": 0x808080}},
        "2": {"class_type": "ImageAddNoise", "inputs": {"image": ["1", 0], "seed": 7, "strength": 0.5}, "_meta": {"title": "Grain"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "mine"}},
        **more,
    }


def painting(**more) -> dict:
    """A graph with a checkpoint and a sampler."""
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}, "_meta": {"title": "Load Checkpoint"}},
        "5": {"class_type": "KSampler", "inputs": {"model": ["4", 0], "seed": 7, "steps": 2, "cfg": 8, "sampler_name": "sampler_1"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}},
        **more,
    }


class Bench:
    """Each call is one job in a scratch folder of its own."""

    def __init__(self, folder: Path, urls: list[str]):
        self.folder, self.urls = folder, urls
        self.told: list[tuple[float, str]] = []
        self.patience = Patience(away=5.0, away_of_several=0.5, submissions=4)
        self._count = 0
        self._kept: dict[str, Comfyui] = {}

    def __call__(
        self, graph: dict, asset: str = "a.png", *, params=None, inputs=None, models=None, secrets=None, cancelled=None, fresh=False, **table
    ) -> Path:
        self._count += 1
        scratch = self.folder / f"job {self._count}"
        (scratch / "code").mkdir(parents=True)
        (scratch / "output").mkdir()
        (scratch / "code" / "graph.json").write_text(json.dumps(graph))
        self.generator = self._generator({"uses": "comfyui", "workflow": "w/graph.json", "servers": self.urls, **table})
        self.told = []
        self.generator.run(Job(
            params=None, raw_params=params or {}, inputs={role: str(path) for role, path in (inputs or {}).items()},
            output=str(scratch / "output" / asset), scratch=str(scratch), models=models or {}, env=secrets or {}, fresh=fresh,
            on_progress=lambda *told: self.told.append(told), cancel_requested=(cancelled or threading.Event()).is_set,
        ))  # fmt: skip
        return scratch / "output" / asset

    def _generator(self, table: dict) -> Comfyui:
        """One instance a table, as in a runner."""
        key = json.dumps(table, sort_keys=True)
        if key not in self._kept:
            self._kept[key] = Comfyui.from_table("comfyui:test", table)
            self._kept[key].patience = self.patience
        return self._kept[key]

    def in_background(self, *args, **kwargs) -> Background:
        return Background(lambda: self(*args, **kwargs))


class Background:
    """A job in a thread; `result` waits for it, and raises what it raised."""

    def __init__(self, run):
        self._run, self._made, self._error = run, None, None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._made = self._run()
        except BaseException as error:
            self._error = error

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, seconds: float = 20.0) -> Path:
        self._thread.join(seconds)
        assert self.is_done, "still at it"
        if self._error is not None:
            raise self._error
        return self._made


def wait_for(what, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def server(tmp_path):
    with ComfyServer(tmp_path / "comfy") as made:
        yield made


@pytest.fixture
def bench(server, tmp_path):
    return Bench(tmp_path / "jobs", [server.url])


@pytest.fixture
def servers(tmp_path):
    """Starts more servers; each is ended with the test."""
    started: list[ComfyServer] = []

    def start(name: str, **kwargs) -> ComfyServer:
        made = ComfyServer(tmp_path / name, **kwargs)
        made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()

