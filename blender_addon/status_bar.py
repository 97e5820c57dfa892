"""A word in Blender's status bar while something is being made."""

import bpy

from . import props, state


def words(session):
    """"Regen: 3 of 12, 1 failed, 40 s left"; "" where nothing is at work."""
    if session.batch.jobs:
        return f"Regen: {session.batch.words()}"
    return f"Regen: {session.deeds[0].title}…" if session.deeds else ""


def draw_progress(layout, number, text):
    """A bar for the batch (number 0), or for one of the jobs that run. Blender has one from 4.0 on; before, a slider that nobody can move stands in."""
    fraction = props.progress_of(state.get(), number)
    if hasattr(layout, "progress"):
        layout.progress(factor=fraction, text=text)
    else:
        layout.prop(props.window_properties(), f"bar_{min(number, props.BARS - 1)}", text=text, slider=True)


def _draw(self, _context):
    session = state.get()
    text = words(session)
    if text:
        row = self.layout.row(align=True)
        row.label(text=text, icon="RENDER_ANIMATION")
        if session.batch.jobs:
            part = row.row()
            part.ui_units_x = 6
            draw_progress(part, 0, "")
        row.operator("regen.cancel", text="", icon="X").asset_id = ""


def register():
    bpy.types.STATUSBAR_HT_header.append(_draw)


def unregister():
    bpy.types.STATUSBAR_HT_header.remove(_draw)
