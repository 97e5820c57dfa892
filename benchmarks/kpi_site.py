"""A user's machine below one folder: home, stores, repositories, and the commands run there. And the film that KPIs use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from blake3 import blake3
from measure import Failed, guarded_environment

from regen_vcs.generators import registry
from regen_vcs.model.paths import relative_input, sidecar_of
from regen_vcs.model.recipe import Recipe, recipe_bytes

TOOL = [sys.executable, "-I", "-m", "regen_vcs"]
PROJECT = """\
[generators.film]
uses = "command"
argv = ["python3", "{code}/film.py", "{inputs.still}", "{output}", "{params.frames}"]
code = ["tools/film.py"]

[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""
TWICE = b"import sys\nopen(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() * 2)\n"
# A slow zoom into a still, with film grain, as Motion JPEG in an AVI: compressed as films are, without a library for it.
FILM = b'''\
import io, struct, sys
import numpy as np
from PIL import Image

def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\\0" * (len(data) % 2)

def listed(name, *parts):
    return chunk(b"LIST", name + b"".join(parts))

still, target, count = Image.open(sys.argv[1]).convert("RGB"), sys.argv[2], int(sys.argv[3])
width, height = 1280, 720
grain = np.random.default_rng(1).integers(-12, 13, (height, width, 1), np.int16)
frames = []
for number in range(count):
    edge = number * min(still.size) // (count * 4)
    part = still.crop((edge, edge, still.width - edge, still.height - edge)).resize((width, height))
    grainy = np.asarray(part, np.int16) + np.roll(grain, number * 7919, axis=(0, 1))
    data = io.BytesIO()
    Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=92)
    frames.append(data.getvalue())
main = struct.pack("<14I", 41667, 0, 0, 0x10, count, 0, 1, 0, width, height, 0, 0, 0, 0)
stream = struct.pack("<4s4sIHHIIIIIIIIHHHH", b"vids", b"MJPG", 0, 0, 0, 0, 1, 24, 0, count, 0, 0xFFFFFFFF, 0, 0, 0, width, height)
form = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
header = listed(b"hdrl", chunk(b"avih", main), listed(b"strl", chunk(b"strh", stream), chunk(b"strf", form)))
open(target, "wb").write(chunk(b"RIFF", b"AVI " + header + listed(b"movi", *(chunk(b"00dc", each) for each in frames))))
'''


class Machine:
    """One user's: `run`, `git` and `regen` are told where."""

    def __init__(self, base: str):
        self.base, self.keep, self.cache, self.work = base, f"{base}/keep", f"{base}/cache", f"{base}/work"
        os.makedirs(self.work, exist_ok=True)
        self.env = guarded_environment(f"{base}/home", [os.path.dirname(sys.executable)], {
            "REGEN_KEEP_DIR": self.keep, "REGEN_CACHE_DIR": self.cache, "REGEN_CONFIG_DIR": f"{base}/config",
            "REGEN_CHECKOUT_BACKGROUND": "false", "REGEN_JOBS": "2",
        })

    def run(self, argv: list[str], cwd: str, *, check: bool = True, timeout: float = 900) -> subprocess.CompletedProcess:
        done = subprocess.run(argv, cwd=cwd, env=self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout,
                              errors="surrogateescape")
        if check and done.returncode:
            raise Failed(f"{' '.join(argv)} → {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
        return done


class Project:
    """A repository of a machine."""

    def __init__(self, machine: Machine, root: str):
        self.machine, self.root = machine, root

    @classmethod
    def make(cls, machine: Machine, name: str = "film") -> Project:
        root = f"{machine.work}/{name}"
        os.makedirs(root)
        project = cls(machine, root)
        project.git("init", "-q", "--template=")
        project.regen("init")
        return project

    def git(self, *argv: str, check: bool = True) -> str:
        return self.machine.run(["git", *argv], self.root, check=check).stdout

    def regen(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.machine.run([*TOOL, *argv], self.root, check=check)

    def has(self, command: str) -> bool:
        """Whether this version of the tool knows a command."""
        return self.regen(command, "--help", check=False).returncode == 0

    def states(self) -> dict[str, str]:
        document = json.loads(self.regen("status", "--json").stdout)
        return {each["path"]: each["state"] for each in document["assets"]}

    def write(self, name: str, data: bytes) -> str:
        path = f"{self.root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def read(self, name: str) -> bytes:
        with open(f"{self.root}/{name}", "rb") as file:
            return file.read()

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message, "--no-verify")

    def sidecars(self) -> dict[str, bytes]:
        """{asset: text of its sidecar} on disk."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [each for each in folders if each != ".git"]
            for name in names:
                if name.endswith(".regen.json"):
                    path = os.path.relpath(os.path.join(folder, name), self.root)
                    found[path.removesuffix(".regen.json")] = self.read(path)
        return found

    def outputs(self) -> dict[str, str]:
        """{asset: accepted hash}, of what the sidecars on disk accept."""
        documents = {path: json.loads(text) for path, text in self.sidecars().items()}
        return {path: each["output"]["hash"][7:] for path, each in documents.items() if "output" in each}

    def wrong(self, outputs: dict[str, str]) -> list[str]:
        """Assets whose bytes on disk are not these."""
        return [path for path, digest in outputs.items() if hash_at(f"{self.root}/{path}") != digest]


def hash_at(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return blake3(file.read()).hexdigest()
    except OSError:
        return None


def bytes_below(*folders: str) -> int:
    """Allocated bytes, one inode counted once."""
    total, seen = 0, set()
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                st = os.lstat(os.path.join(folder, name))
                if (st.st_dev, st.st_ino) not in seen:
                    seen.add((st.st_dev, st.st_ino))
                    total += st.st_blocks * 512
    return total


def texture(seed: int, side: int, **more: object) -> dict:
    """Complete params of a texture, as `generate` writes them."""
    generator = registry.load("texture")
    return registry.complete_params(generator, {"kind": "fbm", "seed": seed, "width": side, "height": side, **more})


def write_recipe(project: Project, asset: str, generator: str, params: dict, inputs: dict[str, str] | None = None, *,
                 definition: str | None = None, meta: dict | None = None) -> None:
    values = {name: relative_input(sidecar_of(asset), target) for name, target in (inputs or {}).items()}
    recipe = Recipe(generator=generator, params=params, inputs=values, definition=definition, meta=meta or {})
    project.write(sidecar_of(asset), recipe_bytes(recipe))


def little_film(machine: Machine) -> Project:
    """A dozen small assets of every kind: made from plates, from one another, by scripts; a sequence, a source asset."""
    project = Project.make(machine)
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", TWICE)
    project.write("tools/film.py", FILM)
    for number in range(4):
        project.write(f"plates/plate {number}.txt", b"plate %d\n" % number)
    project.write("plates/plätze.txt", b"places\n")
    project.commit("before")
    project.regen("trust", "--yes")
    for number in range(4):
        write_recipe(project, f"shots/{number:03}/sky.png", "texture", texture(number, 24))
        project.regen("generate", f"shots/{number:03}/plate.dat", "--generator", "command:twice", "--no-run",
                      "--input", f"image=plates/plate {number}.txt")
    write_recipe(project, "shots/000/glow.png", "texture", texture(9, 24), {"base": "shots/001/sky.png"})
    write_recipe(project, "frames/f.####.png", "texture", texture(5, 24, frames="1-3"))
    project.git("add", "-A")
    project.regen("generate", "shots/000/places.dat", "--generator", "command:twice", "--no-run", "--input", "image=plates/plätze.txt")
    project.regen("generate", "shots/002/again.dat", "--generator", "command:twice", "--no-run", "--input", "image=shots/002/plate.dat")
    project.git("add", "-A")
    project.regen("regenerate", "--jobs", "2")
    project.write("source.png", b"somebody's own bytes" * 50)
    project.regen("add", "source.png")
    project.commit("a film")
    return project


def copy_of(template: Project, base: str) -> Project:
    """The same machine and project again, below another folder."""
    shutil.copytree(template.machine.base, base, symlinks=True)
    project = Project(Machine(base), f"{base}/{os.path.relpath(template.root, template.machine.base)}")
    project.git("status")  # the copy's stats are others
    return project
