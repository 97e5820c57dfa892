"""What scripts that run in a Blender with a window share: one step after another, the sidebar's tab, and words to whoever looks on.

Words on stdout: `TABS x top bottom left` (where the sidebar's tabs are), `EDGE left` (where its edge is by now), `READY x y width height` (a picture may be taken), `FAILED`. The
files `drawn`, `taken` and `quit` in REGEN_SHOT_FOLDER speak the other way.
"""

import os
import sys
import time
import traceback

sys.path.insert(0, os.environ["REGEN_TEST_SOURCE"])

import addon_utils
import bpy

FOLDER = os.environ["REGEN_SHOT_FOLDER"]
BLEND = os.environ["REGEN_SHOT_BLEND"]
_LONGEST = 400  # seconds; then Blender ends


def say(*words):
    print(*words, flush=True)


def told(word):
    """Whether the other side has left this word."""
    return os.path.exists(os.path.join(FOLDER, word))


def window():
    return bpy.context.window_manager.windows[0]


def area_of(kind):
    return next((area for area in window().screen.areas if area.type == kind), None)


def region_of(area, kind):
    return next(each for each in area.regions if each.type == kind)


def redraw():
    for area in window().screen.areas:
        area.tag_redraw()


def run(steps):
    """From now on, one after another: a step that returns True is through. One that fails is told, and nothing follows it."""
    steps, began = list(steps), time.monotonic()

    def beat():
        if told("quit") or time.monotonic() - began > _LONGEST:
            addon_utils.disable("regen_vcs_addon")
            bpy.ops.wm.quit_blender()
            return None
        try:
            if steps and steps[0]():
                del steps[0]
        except Exception:
            traceback.print_exc()
            say("FAILED")
            steps.clear()
        return 0.3

    bpy.app.timers.register(beat, first_interval=1.0, persistent=True)


# Before Blender would show it: a click beside it would only close it.
bpy.context.preferences.view.show_splash = False


def switch_addon_on():
    bpy.context.preferences.view.ui_scale = 1.1
    bpy.context.preferences.filepaths.save_version = 0
    assert addon_utils.enable("regen_vcs_addon", default_set=True) is not None
    return True


def open_film(path=BLEND):
    """The file, in the screen as it is."""
    with bpy.context.temp_override(window=window()):
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=False)
    return True


def looked():
    from regen_vcs_addon import state

    return state.get().looked


class Tab:
    """Our tab of the sidebar in an area of this type. From 4.2 on it can be chosen; before, somebody has to click on it."""

    def __init__(self, kind, panel):
        """panel: the end of our main panel's name there."""
        self._kind, self._panel, self._drawn = kind, panel, False

    def find(self):
        area = area_of(self._kind)
        area.spaces.active.show_region_ui = True
        region = region_of(area, "UI")
        if hasattr(region, "active_panel_category"):
            region.active_panel_category = "Regen"
            self._drawn = True
            return True
        from regen_vcs_addon import panels

        original = panels.draw_main

        def watched(panel, context):
            self._drawn = True
            original(panel.layout, context)

        next(each for each in panels._CLASSES if each.bl_idname == f"REGEN_PT_main_{self._panel}").draw = watched
        height = window().height
        say("TABS", region.x + region.width - 12, height - region.y - region.height, height - region.y, region.x)
        return True

    def wait(self):
        say("EDGE", region_of(area_of(self._kind), "UI").x)
        if self._drawn:
            open(os.path.join(FOLDER, "drawn"), "w").close()
        return self._drawn


def wait_for(seconds):
    """A step that lets a while pass."""
    until = []

    def step():
        until.append(time.monotonic() + seconds)
        return time.monotonic() >= until[0]

    return step


def frame_of(area, region=None, margin=20):
    """x, y from the top, width and height of an area, or of a region in it with a strip of what stands beside it."""
    left, width = (region.x - margin, region.width + margin) if region else (area.x, area.width)
    return left, window().height - area.y - area.height, width, area.height
