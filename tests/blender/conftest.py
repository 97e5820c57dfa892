"""Small films, made once by the Blender that is installed, and a bench to render them on."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from PIL import Image

from regen_vcs.generators import registry
from regen_vcs.generators.client import RunnerClient
from regen_vcs.generators.scratch import Scratch, collect_output

HERE = Path(__file__).parent
LINKED = (
    "lib/props.blend", "plates/bg.0001.png", "plates/bg.0002.png", "plates/bg.0003.png", "textures/floor.1001.png",
    "textures/floor.1002.png", "textures/prop.png", "textures/wood.png",
)  # fmt: skip


class Films:
    """root: the folder of the .blend files and what they link; forbidden: where nobody may write."""

    def __init__(self, base: Path):
        self.root, self.forbidden, self.outside = base / "films", base / "forbidden", base / "elsewhere" / "sky.png"
        for folder in ("lib", "textures", "plates"):
            (self.root / folder).mkdir(parents=True)
        self.forbidden.mkdir()
        self.outside.parent.mkdir()
        colours = {
            "textures/wood.png": "#a06030", "textures/prop.png": "#2040c0", "textures/floor.1001.png": "#20c040",
            "textures/floor.1002.png": "#c0c020", "plates/bg.0001.png": "#ff0000", "plates/bg.0002.png": "#00ff00",
            "plates/bg.0003.png": "#0000ff",
        }  # fmt: skip
        for name, colour in colours.items():
            Image.new("RGB", (8, 8), colour).save(self.root / name)
        Image.new("RGB", (8, 8), "#102030").save(self.outside)

    def make(self, home: Path) -> None:
        home.mkdir()
        own = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "BLENDER_USER_SCRIPTS", "BLENDER_USER_RESOURCES"), str(home))
        env = {**os.environ, **own, "FILMS": str(self.root), "FORBIDDEN": str(self.forbidden), "OUTSIDE": str(self.outside)}
        done = subprocess.run(
            ["blender", "--background", "--factory-startup", "--python-exit-code", "3", "--python", str(HERE / "make_films.py")],
            env=env, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (self.root / "made").exists(), done.stdout + done.stderr
        (self.root / "made").unlink()

    def copy_to(self, root: Path, *names: str) -> None:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / name, root / name)


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    base = tmp_path_factory.mktemp("films")
    made = Films(base)
    made.make(base / "home")
    return made


class Bench:
    """Renders as a job would, in a runner of its own."""

    def __init__(self, client: RunnerClient, films: Films, parent: Path):
        self.client, self.films, self.parent = client, films, str(parent)
        self.told: list[tuple[float, str]] = []

    def render(self, asset, scene="simple.blend", *, linked=("textures/wood.png",), params=None, table=None, cancelled=None,
               on_progress=None, places=None, before=lambda: None):
        """(result, {name: bytes}); linked: repository paths of further inputs; places: {path: what the job
        calls it}; before: called when the inputs are copied."""
        name = "blender:it" if table else "blender"
        table = {"uses": "blender", **table} if table else None
        given = {"samples": 1, "width": 32, "height": 32, "denoise": False, **(params or {})}
        roles = {"scene": scene, **{f"linked/{path}": path for path in linked}}

        def progress(fraction, message=""):
            self.told.append((fraction, message))
            if on_progress:
                on_progress(message)

        with Scratch(self.parent) as scratch:
            self.root = scratch.root
            brought = {}
            for role, path in roles.items():
                brought[role] = scratch.input_path(role, os.path.basename(path))
                shutil.copyfile(self.films.root / path, brought[role])
            spec = {
                "generator": name,
                "table": table,
                "params": registry.complete_params(registry.load(name, table), given),
                "inputs": brought,
                "input_paths": {role: (places or {}).get(path, path) for role, path in roles.items()},
                "output": scratch.output_path(asset),
                "scratch": scratch.root,
            }
            before()
            result = self.client.run(spec, progress, cancelled or threading.Event())
            files = collect_output(scratch, asset) if result.ok else []
            return result, {name: Path(path).read_bytes() for name, path, _ in files}


@pytest.fixture(scope="session")
def client():
    made = RunnerClient(dict(os.environ))
    yield made
    made.close()


@pytest.fixture
def bench(client, films, tmp_path):
    return Bench(client, films, tmp_path / "scratch")
