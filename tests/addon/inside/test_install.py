"""The zips, installed and switched on as a user does it in the preferences."""

import os
import subprocess
import sys

import addon_utils
import bpy
import pytest
from conftest import MODULE

EXTENSION = "bl_ext.user_default.regen_vcs"
HAS_EXTENSIONS = bpy.app.version >= (4, 2, 0)


@pytest.fixture(autouse=True)
def no_source(monkeypatch):
    """Only what is installed can be imported."""

    def forget():
        for name in [name for name in sys.modules if name.split(".")[0] == MODULE or name.startswith(EXTENSION)]:
            del sys.modules[name]

    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != os.environ["REGEN_TEST_SOURCE"]])
    forget()
    yield
    forget()


def packed(folder, *options):
    done = subprocess.run(["regen-vcs", "addon", *options, "--output", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def is_on(module):
    """(Whether it is wanted, whether it runs.)"""
    return addon_utils.check(module)[1] and module in bpy.context.preferences.addons and hasattr(sys.modules[module], "register")


@pytest.mark.skipif(not HAS_EXTENSIONS, reason="extensions came with Blender 4.2")
def test_the_extension(tmp_path):
    path = packed(tmp_path)
    assert bpy.ops.extensions.package_install_files(filepath=path, repo="user_default", enable_on_install=True) == {"FINISHED"}
    assert is_on(EXTENSION)
    assert bpy.context.preferences.addons[EXTENSION].preferences is not None
    assert not sys.modules[EXTENSION].__file__.startswith(os.environ["REGEN_TEST_SOURCE"])
    addon_utils.disable(EXTENSION, default_set=True)
    assert not addon_utils.check(EXTENSION)[1]


@pytest.mark.skipif(not HAS_EXTENSIONS, reason="extensions came with Blender 4.2")
def test_an_update_over_the_running_extension(tmp_path):
    path = packed(tmp_path)
    for _ in range(2):
        assert bpy.ops.extensions.package_install_files(filepath=path, repo="user_default", enable_on_install=True) == {"FINISHED"}
        assert is_on(EXTENSION)
    addon_utils.disable(EXTENSION, default_set=True)


def test_the_legacy_addon(tmp_path):
    path = packed(tmp_path, "--legacy")
    assert bpy.ops.preferences.addon_install(filepath=path, overwrite=True) == {"FINISHED"}
    assert bpy.ops.preferences.addon_enable(module=MODULE) == {"FINISHED"}
    assert is_on(MODULE)
    assert bpy.context.preferences.addons[MODULE].preferences is not None
    assert bpy.ops.preferences.addon_disable(module=MODULE) == {"FINISHED"}
    assert not addon_utils.check(MODULE)[1]
