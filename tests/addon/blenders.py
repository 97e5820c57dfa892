"""The Blenders on this machine, and how the tests in `inside/` run in each of them.

The program `blender` is one; the bpy wheels are others: modules of a Python of their own, in `.venv-bpy-4.2` and so on
(`make addon-test` sets these up). REGEN_BPY_PYTHONS, paths as in PATH, names other Pythons that can import bpy.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fork_server import ForkServer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ADDON = ROOT / "blender_addon"
RUNNER = HERE / "inside" / "run.py"
# One test module in one Blender, start and end included.
TIMEOUT = 400
WANTED_WHEELS = ("4.2", "4.5", "5.0")
# What pytest consists of. Blender's Python has none, and is lent ours: this and nothing besides.
_PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py", "tomli", "exceptiongroup")


class Blender(NamedTuple):
    """One Blender. argv: starts a Python script in it; program: with `blender`, else as a module of a Python."""

    name: str
    argv: tuple[str, ...]
    program: bool
    reason: str = ""


def blenders() -> list[Blender]:
    """All that should be here, those that are missing with the reason."""
    return [_program(), *_modules()]


def _program() -> Blender:
    found = shutil.which("blender")
    argv = (found or "blender", "--background", "--factory-startup", "--python-exit-code", "3", "--python", str(RUNNER), "--")
    return Blender("program", argv, True, "" if found else "needs blender, which is not installed")


def _modules() -> list[Blender]:
    named = [each for each in os.environ.get("REGEN_BPY_PYTHONS", "").split(os.pathsep) if each]
    if named:
        return [Blender(f"bpy-{_version(Path(each))}", (each, str(RUNNER)), False, "" if os.access(each, os.X_OK) else f"{each} is not there") for each in named]
    return [_module(version) for version in WANTED_WHEELS]


def _module(version: str) -> Blender:
    folder = ROOT / f".venv-bpy-{version}"
    ready = (folder / ".ready").exists()
    return Blender(f"bpy-{version}", (str(folder / "bin" / "python"), str(RUNNER)), False, "" if ready else f"needs bpy {version}: make addon-test")


def _version(python: Path) -> str:
    """"4.2" of the bpy that a Python has, from what pip noted; its path where that says nothing."""
    notes = python.parent.parent.glob("lib/python*/site-packages/bpy-*.dist-info")
    found = re.search(r"bpy-(\d+\.\d+)", " ".join(map(str, notes)))
    return found[1] if found else str(python)


def require(blender: Blender) -> None:
    """Skip with the reason where a Blender is missing; fail where somebody promised to have it."""
    if not blender.reason:
        return
    promise = "REGEN_REQUIRE_PROGRAMS" if blender.program else "REGEN_REQUIRE_BPY"
    if os.environ.get(promise):
        pytest.fail(blender.reason)
    pytest.skip(blender.reason)


class Stage:
    """A home and folders for one run of one Blender, and nothing of whoever runs the tests.

    served: the first `regen-vcs` on PATH is fork_client.py: an addon starts some hundred commands a module, and most of each is Python
    that imports.
    """

    def __init__(self, base: Path, environ: dict[str, str], *, served: bool = False):
        self.base = base
        base.mkdir()
        self.report = base / "report.json"
        self.modules = base / "modules"
        self.modules.mkdir()
        _link_pytest(self.modules)
        source = base / "source"
        source.mkdir()
        (source / "regen_vcs_addon").symlink_to(ADDON)
        own = {name: str(base / "blender" / name.lower()) for name in ("BLENDER_USER_RESOURCES", "BLENDER_USER_SCRIPTS", "BLENDER_USER_EXTENSIONS", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
        for folder in own.values():
            Path(folder).mkdir(parents=True)
        path = environ["PATH"]
        if served and sys.platform == "linux":
            path = f"{served_program(base / 'bin')}{os.pathsep}{path}"
        self.environ = {
            **environ, **own, "PATH": path, "REGEN_TEST_MODULES": str(self.modules), "REGEN_TEST_SOURCE": str(source), "REGEN_TEST_REPORT": str(self.report), "REGEN_TEST_BASE": str(base / "work"),
        }  # fmt: skip

    def run(self, blender: Blender, *args: str) -> list[dict]:
        """What pytest reported of each test, run in Blender with these arguments. Fails with Blender's own words where it did not get that far."""
        try:
            done = subprocess.run(
                [*blender.argv, *args], env=self.environ, cwd=self.base, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=TIMEOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            words = (error.stdout or b"").decode("utf-8", "replace")[-6000:]
            pytest.fail(f"{blender.name} did not end within {TIMEOUT} s\n{words}")
        said = f"{blender.name}: exit code {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
        try:
            report = json.loads(self.report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            pytest.fail(f"no report was written\n{said}")
        if not report["finished"]:
            pytest.fail(f"the last test that began never ended: {report['began']}\n{said}")
        failed = [each for each in report["tests"] if each["outcome"] == "failed"]
        if failed or done.returncode or not report["tests"]:
            words = "\n\n".join(f"{each['name']}\n{each['words']}" for each in failed)
            pytest.fail(f"{len(failed)} of {len(report['tests'])} failed in {blender.name}\n{words or said}", pytrace=False)
        return report["tests"]


@functools.cache
def _server() -> str:
    """The address of a server that ends with this process of tests."""
    folder = tempfile.mkdtemp(prefix="regen-")  # short: the name of a socket has at most 108 bytes
    server = ForkServer(f"{folder}/s")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.close)
    return f"{folder}/s"


def served_program(folder: Path) -> Path:
    """A folder for PATH, with a `regen-vcs` that is forked from a server of this process."""
    folder.mkdir()
    program = folder / "regen-vcs"
    words = (sys.executable, "-I", "-S", str(ROOT / "tests" / "fork_client.py"), _server())
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return folder


def _link_pytest(folder: Path) -> None:
    """Links to pytest's own packages: a path to all of ours would bring Blender another numpy."""
    for name in _PYTEST:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        (folder / (name if origin.name == "__init__.py" else origin.name)).symlink_to(origin.parent if origin.name == "__init__.py" else origin)
