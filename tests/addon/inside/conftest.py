"""Fixtures for tests that run inside Blender: the addon switched on, a project, a saved file.

The folder of the addon is linked as `regen_vcs_addon` where Python finds it; as a legacy addon of 3.4 it bears that name too.
"""

import os
import subprocess
import sys

import addon_utils
import bpy
import pytest

MODULE = "regen_vcs_addon"


@pytest.fixture(autouse=True)
def empty_blender():
    """Factory settings before each test, no addon of ours after it: what one leaves behind fails the next."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    yield
    addon_utils.disable(MODULE, default_set=True)


@pytest.fixture
def addon():
    """The addon, enabled as a user enables it; it is disabled afterwards."""
    module = addon_utils.enable(MODULE, default_set=True, persistent=False)
    assert module is not None, "the addon could not be enabled; the reason is printed above"
    yield module
    addon_utils.disable(MODULE, default_set=True)


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


@pytest.fixture
def project(tmp_path):
    """In a folder with a space and an umlaut in its name."""
    return Project(tmp_path / "ein schöner film")


def pytest_report_header():
    return f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}"
