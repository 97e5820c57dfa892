"""A project with a command of its own, and machines without a clone that run its jobs."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

PYTHON = sys.executable
SECRET = "hunter2-hunter2"

SCRIPT = """
import os, sys, time
source, output, times, wait = sys.argv[1:5]
print("the key is", os.environ.get("FARM_KEY"), flush=True)
time.sleep(float(wait))
if times == "0":
    sys.exit(3)
data = b"".join(open(os.path.join(folder, name), "rb").read() for folder, _, names in sorted(os.walk(source)) for name in sorted(names)) \\
    if os.path.isdir(source) else open(source, "rb").read()
open(output, "wb").write(data * int(times))
"""

TABLE = """
[generators.times]
uses = "command"
argv = ["python3", "{code}/times.py", "{inputs.source}", "{output}", "{params.times}", "{params.wait}"]
code = ["tools/times.py"]
env = ["FARM_KEY"]
"""

PARAMS = """
[generators.times.params]
times = { type = "integer", default = 2 }
wait = { type = "number", default = 0 }
"""


def make_project(project, more: str = ""):
    """`out.bin` is pending: `notes.txt`, twice. more: further lines of its generator's table."""
    project.write("tools/times.py", SCRIPT.encode())
    project.write("notes.txt", b"some notes\n")
    project.write("regen.toml", (project.path("regen.toml").read_text() + TABLE + more + PARAMS).encode())
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen("generate", "out.bin", "--generator", "command:times", "--input", "source=notes.txt", "--no-run")
    project.commit("times")
    return project


class Machine:
    """Another machine: nothing of ours but the program, not even a home with anything in it."""

    def __init__(self, base: Path):
        self.folder = base / "machine"
        self.folder.mkdir()
        home = base / "machine home"
        home.mkdir()
        self.env = {
            "HOME": str(home), "PATH": f"{os.path.dirname(PYTHON)}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8",
            "FARM_KEY": SECRET,
        }  # fmt: skip

    def regen(self, *argv: str, **kwargs) -> subprocess.CompletedProcess:
        return subprocess.run(
            [PYTHON, "-I", "-m", "regen_vcs", *argv], cwd=self.folder, env=self.env, capture_output=True, text=True,
            stdin=kwargs.pop("stdin", subprocess.DEVNULL), timeout=60, check=False, **kwargs,
        )  # fmt: skip


def write_farm(base: Path, body: str, name: str = "farm.sh") -> Path:
    """An executor: a shell script whose first argument is the job and whose second the place of its result."""
    path = base / name
    path.write_text("#!/bin/sh\n" + textwrap.dedent(body))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def farm_that_runs(base: Path, machine: Machine) -> Path:
    """One that does what a farm's node does: it runs the job in another folder, with a home of its own."""
    python, home = PYTHON, machine.env["HOME"]
    return write_farm(base, f"""
        cd '{machine.folder}' && exec env HOME='{home}' REGEN_CACHE_DIR= REGEN_KEEP_DIR= REGEN_CONFIG_DIR= REGEN_EXECUTOR= \\
            '{python}' -I -m regen_vcs job run "$1" -o "$2" --trust
    """)
