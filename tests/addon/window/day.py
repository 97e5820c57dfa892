"""Runs inside a Blender with a window: an artist's day (`inside/artists_day.py`), whose answers come in through the addon's own timer.

Says `READY` at the moment of the day that REGEN_SHOT names and goes on once the picture is taken, and `DONE` at its end.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "inside")]

import bpy  # noqa: E402
import in_window  # noqa: E402
from artists_day import clone_of_a_film, live  # noqa: E402
from in_window import area_of, frame_of, region_of  # noqa: E402
from project import Project  # noqa: E402

MOMENT = os.environ["REGEN_SHOT"]
tab = in_window.Tab("IMAGE_EDITOR", "image")


def begin():
    from regen_vcs_addon import state

    session, base = state.get(), Path(in_window.FOLDER)
    with bpy.context.temp_override(window=in_window.window()):
        project = Project(base / "Rückkehr der Möwen")
        clone_of_a_film(session, project, base / "clone")
    in_window.open_film(project.path("film.blend"))
    day.append(steps_of(live(session, project), session))
    return True


def steps_of(story, session):
    """A step for each moment: it waits until nothing is at work, and goes on to the next."""
    moment = None
    while moment != "end":
        yield from until_idle(session)
        with bpy.context.temp_override(window=in_window.window()):
            moment = next(story)
        if moment == MOMENT:
            yield from picture(session)
    in_window.say("DONE")


def until_idle(session):
    """Until nothing has been at work for some beats: what a file that was opened wants begins at the addon's next one."""
    quiet = 0
    while quiet < 4:
        quiet = 0 if session.jobs.running else quiet + 1
        yield


def picture(session):
    area = area_of("VIEW_3D")
    area.type = "IMAGE_EDITOR"
    area.spaces.active.image = bpy.data.images["03.png"]
    session.notices = []
    yield
    with bpy.context.temp_override(window=in_window.window(), area=area, region=region_of(area, "WINDOW")):
        bpy.ops.image.view_zoom_ratio(ratio=4)
        # Out from under the sidebar.
        bpy.ops.image.view_pan("EXEC_DEFAULT", offset=(45, 0))
    tab.find()
    while not tab.wait():
        yield
    settle = in_window.wait_for(4)
    while not settle():
        yield
    in_window.redraw()
    in_window.say("READY", *frame_of(area))
    while not in_window.told("taken"):
        yield


day = []


def live_on():
    return next(day[0], day) is day


in_window.run([in_window.switch_addon_on, begin, live_on])
