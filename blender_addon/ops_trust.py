"""Allowing what a project could run: shown first, all of it, and allowed as it was shown."""

import bpy
from bpy.props import BoolProperty

from . import state, trust_words
from .ops_assets import finish

_WIDTH = 760
TEXT = "What may run here"


class REGEN_OT_trust_project(bpy.types.Operator):
    bl_idname = "regen.trust_project"
    bl_label = "Allow Programs"
    bl_description = "Show what could run on this machine, and allow it"

    looked: BoolProperty(name="I have looked at these, and know who wrote them", default=False, options={"SKIP_SAVE"})

    _shown = None
    _asks = False

    def invoke(self, context, _event):
        self._shown, self._asks = state.get().trust, True
        self._lines = trust_words.shown_lines(self._shown)
        return context.window_manager.invoke_props_dialog(self, width=_WIDTH)

    def draw(self, _context):
        column = self.layout.column(align=True)
        column.label(text="Generators of this project run programs on this machine, as you.", icon="ERROR")
        column.label(text="Allow them only if you know who wrote them.")
        column.separator()
        for icon, line in self._lines[: trust_words.MOST_LINES]:
            column.label(text=line, icon=icon)
        more = len(self._lines) - trust_words.MOST_LINES
        if more > 0:
            column.label(text=f"and {more} more lines: read them all as text first", icon="ERROR")
        row = self.layout.row()
        row.operator("regen.read_what_may_run", icon="TEXT")
        self.layout.prop(self, "looked")

    def execute(self, _context):
        session = state.get()
        if self._asks and not self.looked:
            self.report({"ERROR"}, "Nothing was allowed: look at what could run first, and say so")
            return {"CANCELLED"}
        # Of a dialog that was opened before anything was known, nothing was shown: what came in since is not what was looked at.
        digest = (self._shown if self._asks else session.trust).get("digest")
        if not isinstance(digest, str):
            self.report({"ERROR"}, "It is not known yet what could run here")
            return {"CANCELLED"}
        errors = []

        def fail(error):
            session.refresh_trust()
            session.note("WARNING", error.what, "Look at it again" if error.kind == "not_trusted" else error.hint)
            errors.append(error)

        session.do("Allowing programs", "trust", "--yes", "--as-shown", digest, then=lambda _value: session.refresh_trust(), otherwise=fail)
        return finish(self, errors)


class REGEN_OT_read_what_may_run(bpy.types.Operator):
    bl_idname = "regen.read_what_may_run"
    bl_label = "Read All of It as Text"
    bl_description = "Every command, server and file that could run here, and what is new in them, in a text window"

    def execute(self, context):
        text = bpy.data.texts.get(TEXT) or bpy.data.texts.new(TEXT)
        text.clear()
        text.write(trust_words.full_text(state.get().trust))
        text.cursor_set(0)
        if not bpy.app.background:
            _show(context, text)
        return {"FINISHED"}


def _show(context, text):
    """In a text editor that is open, else in a window of its own."""
    areas = [area for area in context.screen.areas if area.type == "TEXT_EDITOR"]
    if not areas:
        bpy.ops.wm.window_new()
        areas = [context.window_manager.windows[-1].screen.areas[0]]
        areas[0].type = "TEXT_EDITOR"
    space = areas[0].spaces.active
    space.text, space.show_word_wrap, space.show_syntax_highlight = text, True, False


def forget_text():
    """It is no part of the film: before a file is saved."""
    text = bpy.data.texts.get(TEXT)
    if text is not None:
        bpy.data.texts.remove(text)


_CLASSES = (REGEN_OT_trust_project, REGEN_OT_read_what_may_run)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
