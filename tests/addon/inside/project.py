"""A repository with regen-vcs set up, as tests inside Blender use it. Needs no pytest: `window/` uses it too."""

import os
import subprocess

import bpy


class Project:
    """A repository with regen-vcs set up. root: its folder."""

    def __init__(self, root):
        self.root = str(root)
        os.makedirs(self.root)
        self.git("init", "-q")
        self.regen("init")
        self.commit("init")

    def run(self, *argv, check=True):
        done = subprocess.run(argv, cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def git(self, *argv, check=True):
        return self.run("git", *argv, check=check)

    def regen(self, *argv, check=True):
        return self.run("regen-vcs", *argv, check=check)

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def path(self, name):
        return os.path.join(self.root, *name.split("/"))

    def texture(self, name, **params):
        """An asset made by `texture`, small unless told otherwise."""
        given = {"width": 16, "height": 16, **params}
        options = [word for key, value in given.items() for word in ("--param", f"{key}={value}")]
        self.regen("generate", name, "--generator", "texture", *options)
        return self.path(name)

    def save(self, name="film.blend"):
        """Save the open file in the project; its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=path, compress=False)
        return path
