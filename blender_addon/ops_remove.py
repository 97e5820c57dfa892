"""Taking an asset away: the file and its recipe. It asks first."""

import os

import bpy
from bpy.props import BoolProperty, StringProperty

from . import blend_vault, state
from .ops_assets import _AssetOperator, run
from .panel_text import wrapped

_WIDTH = 380
_NAMED = 5


class REGEN_OT_remove(_AssetOperator, bpy.types.Operator):
    bl_idname = "regen.remove"
    bl_label = "Remove Asset"
    bl_description = "Take the asset away: its file and its recipe"

    asset_id: StringProperty(description="Empty: the selected one")
    anyway: BoolProperty(name="Remove it all the same", description="Although other assets are made from it", default=False, options={"SKIP_SAVE"})

    def invoke(self, context, _event):
        path = self.chosen()
        if path is None:
            return {"CANCELLED"}
        self.asset_id = path
        self._lines = consequences(state.get(), path)
        return context.window_manager.invoke_props_dialog(self, width=_WIDTH)

    def draw(self, _context):
        column = self.layout.column(align=True)
        for text in self._lines:
            for line in wrapped(text, _WIDTH // 7):
                column.label(text=line)
        if state.get().dependants(self.asset_id):
            self.layout.prop(self, "anyway")

    def execute(self, _context):
        path = self.chosen()
        if path is None:
            return {"CANCELLED"}
        dependants = state.get().dependants(path)
        if dependants and not self.anyway:
            self.report({"ERROR"}, f"{_named(dependants)} {'are' if len(dependants) > 1 else 'is'} made from {os.path.basename(path)}")
            return {"CANCELLED"}
        return run(self, f"Removing {os.path.basename(path)}", "rm", *(["--force"] if self.anyway else []), "--", path, paths=[path])


def consequences(session, path):
    """What one should know before, in sentences."""
    row, dependants = session.by_path[path], session.dependants(path)
    lines = [f"{path} goes, with its recipe." if row.generator else f"{path} goes. Nothing can make it again."]
    lines.append("Versions that have it keep it; what was made of it stays in the cache until it is cleaned." if row.generator else "Versions that have it keep it, and so does the cache.")
    if path in blend_vault.used_assets(session):
        lines.append("This .blend uses it, and will show nothing there.")
    if dependants:
        lines.append(f"{_named(dependants)} {'are' if len(dependants) > 1 else 'is'} made from it, and could not be made again.")
    return lines


def _named(paths):
    names = [os.path.basename(each) for each in sorted(paths)]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def register():
    bpy.utils.register_class(REGEN_OT_remove)


def unregister():
    bpy.utils.unregister_class(REGEN_OT_remove)
