"""Fixtures for tests that run inside Blender: the addon switched on, a project, a saved file.

The folder of the addon is linked as `regen_vcs_addon` where Python finds it; as a legacy addon of 3.4 it bears that name too.
"""

import sys

import addon_utils
import bpy
import pytest
from project import Project

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


@pytest.fixture
def project(tmp_path):
    """In a folder with a space and an umlaut in its name."""
    return Project(tmp_path / "ein schöner film")


@pytest.fixture
def session(addon):
    """The addon's one session."""
    from regen_vcs_addon import state

    return state.get()


@pytest.fixture
def film(session, project):
    """A saved film with one texture, looked at."""
    project.texture("sky.png", seed=1)
    project.save()
    session.wait(60)
    return project


def pytest_report_header():
    return f"Blender {bpy.app.version_string}, Python {sys.version.split()[0]}"
