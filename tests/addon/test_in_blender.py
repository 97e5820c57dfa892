"""The tests of `inside/`, run in every Blender there is: Debian's program and the bpy wheels."""

from __future__ import annotations

import os

import pytest

from tests.addon.blenders import HERE, Stage, blenders, require

# A minute or more in each Blender: `make addon-test` runs all of them, `make test` those that take seconds, in the program.
QUICK = {"test_install.py", "test_register.py"}
ALL = os.environ.get("REGEN_ADDON_TESTS") == "all"
BLENDERS = [blender for blender in blenders() if ALL or blender.program]
MODULES = sorted(path.name for path in (HERE / "inside").glob("test_*.py") if ALL or path.name in QUICK)
# What is about git and regen-vcs more than about Blender: in the oldest and the newest one.
AT_BOTH_ENDS = {"test_generate.py", "test_project.py"}
RUNS = [
    pytest.param(module, blender, id=f"{module.removesuffix('.py')}-{blender.name}")
    for module in MODULES for blender in (dict.fromkeys((BLENDERS[0], BLENDERS[-1])) if module in AT_BOTH_ENDS else BLENDERS)
]  # fmt: skip


@pytest.mark.parametrize(("module", "blender"), RUNS)
def test_inside(module, blender, home, record_property):
    require(blender)
    tests = Stage(home.base / "stage", home.env, served=module not in QUICK).run(blender, str(HERE / "inside" / module))
    for each in tests:
        record_property(each["name"], each["outcome"])
