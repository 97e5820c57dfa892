"""examples/plugin_template: a third party's generator, installed as its user would, seen and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # an environment is made and a package built

TEMPLATE = Path(__file__).parents[2] / "examples" / "plugin_template"

PROGRAM = """
import json, os, sys, threading
from regen_vcs.generators import registry
from regen_vcs.generators.client import RunnerClient
from regen_vcs.generators.scratch import Scratch, collect_output
swatch = registry.load("swatch")
params = registry.complete_params(swatch, {"colours": ["#ff0000", "#00ff00", "#0000ff"], "columns": 2, "chip": 8})
client = RunnerClient(os.environ)
with Scratch(sys.argv[1]) as scratch:
    spec = {"generator": "swatch", "params": params, "output": scratch.output_path("a.png"), "scratch": scratch.root}
    result = client.run(spec, lambda fraction, message: None, threading.Event())
    files = collect_output(scratch, "a.png")
    os.rename(files[0][1], sys.argv[2])
client.close()
print(json.dumps({"names": registry.names(), "params": params, "ok": result.ok, "reason": result.reason,
    "built_in": registry.is_exact_built_in("swatch"), "version": result.generator_version,
    "environment": result.environment, "schema": registry.params_schema(swatch)}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """The interpreter of a fresh environment that sees ours, with the template installed into it."""
    base = tmp_path_factory.mktemp("plugin")
    venv.create(base / "venv", with_pip=False, symlinks=True)
    interpreter = str(base / "venv" / "bin" / "python")
    packages = sysconfig.get_path("purelib", vars={"base": str(base / "venv"), "platbase": str(base / "venv")})
    # What our own environment has, by a .pth: the runner is started with -I, which ignores PYTHONPATH.
    Path(packages, "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    source = shutil.copytree(TEMPLATE, base / "source")  # a build leaves things beside what it builds
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, "--target", packages, str(source)], capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("needs hatchling, which no package index offers here")
    assert done.returncode == 0, done.stderr
    return interpreter


def test_an_installed_plugin_is_seen_and_runs(python, tmp_path):
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [python, "-I", "-c", PROGRAM, str(tmp_path / "scratch"), str(tmp_path / "a.png")],
        env=environ, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"swatch", "texture", "tone", "command"} <= set(told["names"])
    assert told["ok"], told["reason"]
    assert told["version"] == "1"
    assert "zlib" in told["environment"]
    assert told["params"] == {"colours": ["#ff0000", "#00ff00", "#0000ff"], "columns": 2, "chip": 8}
    assert told["schema"]["properties"]["chip"]["maximum"] == 1024
    assert not told["built_in"]  # only a run of ours is its own proof
    picture = Image.open(tmp_path / "a.png")
    assert picture.size == (16, 16)
    assert [picture.getpixel(at) for at in ((0, 0), (8, 0), (0, 8), (8, 8))] == [
        (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255),
    ]  # fmt: skip


def test_the_tool_makes_an_asset_with_it(python, project):
    """generate; sync brings it back where it was removed; a bad param is refused by name."""
    regen = (python, "-I", "-m", "regen_vcs")
    assert "swatch" in project.run(*regen, "schema", "--json").stdout
    made = ("generate", "art/chips.png", "--generator", "swatch", "--param", "chip=8", "--param", 'colours=["#ff0000"]')
    project.run(*regen, *made)
    assert Image.open(project.path("art/chips.png")).getpixel((0, 0)) == (255, 0, 0)
    sidecar = json.loads(project.path("art/chips.png.regen.json").read_text())
    assert sidecar["generator"] == "swatch"
    assert sidecar["params"] == {"chip": 8, "colours": ["#ff0000"], "columns": 4}
    before = project.path("art/chips.png").read_bytes()
    project.path("art/chips.png").unlink()
    project.run(*regen, "sync")
    assert project.path("art/chips.png").read_bytes() == before

    wrong = project.run(*regen, "generate", "b.png", "--generator", "swatch", "--param", "chip=0", check=False)
    assert wrong.returncode == 3
    assert "params.chip" in wrong.stderr
    assert not project.path("b.png").exists()


def test_the_template_is_not_installed_here():
    from regen_vcs.generators import registry

    assert "swatch" not in registry.names()
