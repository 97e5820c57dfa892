"""Runs inside a Blender with a window: shows one of the pictures that `screenshots.py` takes, and says when it is ready.

Words on stdout: `TABS x top bottom` (where the sidebar's tabs are), `READY x y width height`. The files `drawn` and `quit` in REGEN_SHOT_FOLDER speak the other way.
"""

import os
import sys
import time

sys.path.insert(0, os.environ["REGEN_TEST_SOURCE"])

import addon_utils
import bpy

FOLDER, SHOT, BLEND = os.environ["REGEN_SHOT_FOLDER"], os.environ["REGEN_SHOT"], os.environ["REGEN_SHOT_BLEND"]
began = time.monotonic()
steps = []


def say(*words):
    print(*words, flush=True)


def step(function):
    steps.append(function)
    return function


def run():
    """One step after another; a step that returns True is through."""
    if os.path.exists(os.path.join(FOLDER, "quit")) or time.monotonic() - began > 150:
        addon_utils.disable("regen_vcs_addon")
        bpy.ops.wm.quit_blender()
        return None
    if steps and steps[0]():
        del steps[0]
    return 0.3


def area_of(kind):
    return next((area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == kind), None)


@step
def open_film():
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.ui_scale = 1.1
    bpy.context.preferences.filepaths.save_version = 0
    assert addon_utils.enable("regen_vcs_addon", default_set=True) is not None
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.wm.open_mainfile(filepath=BLEND, load_ui=False)
    return True


@step
def wait_for_rows():
    from regen_vcs_addon import state

    return state.get().looked


@step
def arrange():
    from regen_vcs_addon import props, state

    regen, session = props.window_properties(), state.get()
    regen.sort = "path" if SHOT == "story" else "state"
    space = {"panel": "VIEW_3D", "queue": "VIEW_3D", "graph": "NODE_EDITOR"}.get(SHOT, "VIEW_3D")
    area = area_of("VIEW_3D")
    area.type = space
    if SHOT == "panel":
        regen.active = regen.assets.find(os.environ.get("REGEN_SHOT_ASSET", "shots/020/haze.png"))
        session.notices = session.notices[:1]
    if SHOT == "graph":
        from regen_vcs_addon import nodes

        area.spaces.active.tree_type = nodes.TREE
        tree = nodes.tree_of_project()
        nodes.fill(tree, session)
        area.spaces.active.node_tree = tree
        area.spaces.active.show_region_ui = False
    else:
        area.spaces.active.show_region_ui = True
        for other in list(bpy.context.window_manager.windows[0].screen.areas):
            other.tag_redraw()
    return True


@step
def view_all():
    if SHOT != "graph":
        return True
    area = area_of("NODE_EDITOR")
    region = next(each for each in area.regions if each.type == "WINDOW")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        bpy.ops.node.select_all(action="DESELECT")
        bpy.ops.node.view_all()
    return True


drawn = {"main": False}


@step
def find_tabs():
    """From 4.2 on the tab can be chosen; before, somebody has to click on it."""
    if SHOT == "graph":
        return True
    area = area_of("VIEW_3D")
    region = next(each for each in area.regions if each.type == "UI")
    if hasattr(region, "active_panel_category"):
        region.active_panel_category = "Regen"
        return True
    from regen_vcs_addon import panels

    original = panels.draw_main

    def watched(layout, context):
        drawn["main"] = True
        original(layout, context)

    for each in panels._CLASSES:
        if each.bl_idname == "REGEN_PT_main_view":
            each.draw = lambda self, context: watched(self.layout, context)
    height = bpy.context.window_manager.windows[0].height
    say("TABS", region.x + region.width - 12, height - region.y - region.height, height - region.y, region.x, region.y)
    return True


@step
def wait_for_the_tab():
    from regen_vcs_addon import panels  # noqa: F401

    if SHOT == "graph" or drawn["main"] or hasattr(bpy.types.Region, "active_panel_category"):
        open(os.path.join(FOLDER, "drawn"), "w").close()
        return True
    return False


settle = {"until": 0.0}


@step
def wait_for_details():
    from regen_vcs_addon import state

    if not settle["until"]:
        settle["until"] = time.monotonic() + (8 if SHOT == "queue" else 4)
    session = state.get()
    settled = time.monotonic() > settle["until"] and (SHOT != "queue" or session.batch.running)
    return bool(settled)


@step
def ready():
    for area in bpy.context.window_manager.windows[0].screen.areas:
        area.tag_redraw()
    say("READY", *frame())
    return True


def frame():
    """What of the window the picture shows: x, y from the top, width, height. The panel is shown with a strip of what stands beside it."""
    window = bpy.context.window_manager.windows[0]
    area = area_of("NODE_EDITOR" if SHOT == "graph" else "VIEW_3D")
    if SHOT == "queue":
        return 0, 0, window.width, window.height
    left, width = area.x, area.width
    if SHOT == "panel":
        region = next(each for each in area.regions if each.type == "UI")
        left, width = region.x - 20, region.width + 20
    top = window.height - area.y - area.height
    if SHOT == "graph":
        # The nodes are in the middle, and around them is nothing.
        return left + width // 4, top + area.height // 5, width // 2, area.height * 13 // 20
    return left, top, width, area.height


bpy.app.timers.register(run, first_interval=1.0, persistent=True)
