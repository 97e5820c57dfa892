"""The addon can be switched on and off as often as one likes, and leaves nothing of itself."""

import addon_utils
import bpy
import pytest
from conftest import MODULE


def traces():
    """What of Blender an addon could leave changed: its classes, properties, handlers and menus."""
    classes = {name for name in dir(bpy.types) if "regen" in name.lower() or "movie_director" in name.lower()}
    kinds = (bpy.types.Scene, bpy.types.WindowManager, bpy.types.Object, bpy.types.Image, bpy.types.Sound, bpy.types.Text)
    properties = {f"{kind.__name__}.{name}" for kind in kinds for name in dir(kind) if "regen" in name.lower()}
    handlers = {
        f"{name}: {handler.__module__}"
        for name in dir(bpy.app.handlers) if isinstance(getattr(bpy.app.handlers, name), list)
        for handler in getattr(bpy.app.handlers, name) if (getattr(handler, "__module__", "") or "").startswith(MODULE)
    }  # fmt: skip
    return classes | properties | handlers


@pytest.mark.parametrize("times", [1, 2])
def test_it_registers_and_leaves_nothing(times):
    before = traces()
    for _ in range(times):
        assert addon_utils.enable(MODULE, default_set=True, persistent=False) is not None
        assert traces() > before
        assert bpy.context.preferences.addons[MODULE].preferences is not None
        addon_utils.disable(MODULE, default_set=True)
        assert traces() == before


def test_it_stays_switched_on_when_a_file_is_opened(addon, project):
    path = project.save()
    during = traces()
    bpy.ops.wm.open_mainfile(filepath=path)
    assert traces() == during


def test_every_icon_of_the_list_is_one_of_this_blender(addon):
    from regen_vcs_addon.listing import STATES, state_of

    icons = bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items.keys()
    assert {state.icon for state in [*STATES.values(), state_of("?")]} <= set(icons)
