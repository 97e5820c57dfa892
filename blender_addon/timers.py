"""The pulse in Blender's window: answers of jobs come in, the project is looked at, panels are drawn anew. Headless there is none."""

import time

import bpy

from . import state
from .prefs import preferences

_SPACES = {"VIEW_3D", "SEQUENCE_EDITOR", "IMAGE_EDITOR", "NODE_EDITOR"}
_changed = True
_polled = _drawn = 0.0
# Seconds between two drawings of a bar that only time moves on: each costs the whole window.
_BAR_INTERVAL = 0.4
# Further things to do now and then on the main thread; each returns nothing and takes no time.
_TICKERS = []


def note_change(*_args):
    """Listener of every event: panels are drawn anew at the next beat."""
    global _changed
    _changed = True


def every_beat(function):
    """Have `function` called at each beat, some times a second."""
    _TICKERS.append(function)
    return function


def _beat():
    from . import handlers  # they register before, and use this module

    global _changed, _polled, _drawn
    session = state.get()
    # What fails here must not end the timer: nothing would ever come in again.
    try:
        if not session.opened:
            handlers.open_if_possible()
        at_work = session.jobs.pump()
        if preferences().auto_refresh and time.monotonic() - _polled > preferences().poll_interval:
            _polled = time.monotonic()
            session.poll()
        elif session.busy and time.monotonic() - _polled > 1.0:
            _polled = time.monotonic()
            session.refresh_queue()
        for each in _TICKERS:
            each()
        if _changed or (session.busy and time.monotonic() - _drawn > _BAR_INTERVAL):
            _changed, _drawn = False, time.monotonic()
            redraw()
        return 0.1 if at_work else 0.4
    except Exception:
        import traceback

        traceback.print_exc()
        return 2.0


def redraw():
    """The sidebars that show our panels, the graphs, and the status bar."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in _SPACES:
                for region in area.regions:
                    if region.type == "UI" or (area.type == "NODE_EDITOR" and region.type == "WINDOW"):
                        region.tag_redraw()
        # The status bar belongs to no area; setting no text of our own draws it anew. Not while a tool has its text there.
        if not getattr(window, "modal_operators", ()) and state.get().busy:
            window.workspace.status_text_set(None)


def register():
    session = state.get()
    for event in ("rows", "changed", "detail", "queue", "notice", "trouble", "looked"):
        session.hear(event, note_change)
    if not bpy.app.background:
        bpy.app.timers.register(_beat, first_interval=0.2, persistent=True)


def unregister():
    if bpy.app.timers.is_registered(_beat):
        bpy.app.timers.unregister(_beat)
