"""Runs inside a Blender with a window: shows one of the pictures that `screenshots.py` takes, and says when it is ready."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bpy
import in_window
from in_window import area_of, frame_of, region_of, window

SHOT = os.environ["REGEN_SHOT"]


def arrange():
    from regen_vcs_addon import nodes, props, state

    regen, session = props.window_properties(), state.get()
    regen.sort = "state"
    area = area_of("VIEW_3D")
    if SHOT == "graph":
        area.type = "NODE_EDITOR"
        area.spaces.active.tree_type = nodes.TREE
        tree = nodes.tree_of_project()
        nodes.fill(tree, session)
        area.spaces.active.node_tree = tree
        area.spaces.active.show_region_ui = False
    if SHOT == "panel":
        regen.active = regen.assets.find("shots/020/haze.png")
        session.notices = session.notices[:1]
    in_window.redraw()
    return True


def view_all():
    area = area_of("NODE_EDITOR")
    with bpy.context.temp_override(window=window(), area=area, region=region_of(area, "WINDOW")):
        bpy.ops.node.select_all(action="DESELECT")
        bpy.ops.node.view_all()
    return True


def at_work():
    from regen_vcs_addon import state

    return bool(state.get().batch.running)


def ready():
    in_window.redraw()
    in_window.say("READY", *frame())
    return True


def frame():
    """What of the window the picture shows: x, y from the top, width, height."""
    if SHOT == "queue":
        return 0, 0, window().width, window().height
    if SHOT == "panel":
        area = area_of("VIEW_3D")
        return frame_of(area, region_of(area, "UI"))
    # The nodes are in the middle, and around them is nothing.
    left, top, width, height = frame_of(area_of("NODE_EDITOR"))
    return left + width // 4, top + height // 5, width // 2, height * 13 // 20


tab = in_window.Tab("VIEW_3D", "view")
shown = [view_all] if SHOT == "graph" else [tab.find, tab.wait]
settled = [in_window.wait_for(8), at_work] if SHOT == "queue" else [in_window.wait_for(4)]
in_window.run([in_window.switch_addon_on, in_window.open_film, in_window.looked, arrange, *shown, *settled, ready])
