"""Every test of `inside/`, run in every Blender there is: Debian's program and the bpy wheels."""

from __future__ import annotations

import os

import pytest

from tests.addon.blenders import HERE, Stage, blenders, require

BLENDERS = blenders()
# Minutes in each Blender: `make addon-test` runs all of them, `make test` those that take seconds.
QUICK = {"test_install.py", "test_register.py"}
MODULES = sorted(
    path.name for path in (HERE / "inside").glob("test_*.py") if path.name in QUICK or os.environ.get("REGEN_ADDON_TESTS") == "all"
)


@pytest.mark.parametrize("blender", BLENDERS, ids=lambda blender: blender.name)
@pytest.mark.parametrize("module", MODULES, ids=lambda name: name.removesuffix(".py"))
def test_inside(blender, module, home, record_property):
    require(blender)
    tests = Stage(home.base / "stage", home.env, served=module not in QUICK).run(blender, str(HERE / "inside" / module))
    for each in tests:
        record_property(each["name"], each["outcome"])
