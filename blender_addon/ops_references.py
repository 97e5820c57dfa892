"""Operators on the files that this .blend uses: repair what leads nowhere, make paths relative."""

import bpy
from bpy.props import StringProperty

from . import blend_uses, blend_vault, references, state


class REGEN_OT_check_references(bpy.types.Operator):
    bl_idname = "regen.check_references"
    bl_label = "Check Files"
    bl_description = "Look which files this .blend uses, and whether they are assets"

    def execute(self, _context):
        look(state.get())
        return {"FINISHED"}


def look(session):
    """Have `session.documents["references"]` as it is now: [(key of the holder, references.Finding)]."""
    found = list(zip((holder.key for holder in blend_uses.holders()), blend_vault.findings(session), strict=False)) if session.root else []
    session.documents["references"] = found
    session.tell("notice")
    return found


class REGEN_OT_repair_references(bpy.types.Operator):
    bl_idname = "regen.repair_references"
    bl_label = "Repair Files"
    bl_description = "Point what leads nowhere to the asset with the same content, or the only one of the same name"
    bl_options = {"REGISTER", "UNDO"}

    owner: StringProperty(description="As the list names it; empty: everything that can be repaired", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context):
        return bool(state.get().root)

    def execute(self, _context):
        session = state.get()
        count = 0
        for key, finding in look(session):
            if finding.status == references.BROKEN and finding.repair and self.owner in ("", finding.use.owner):
                path = references.relative_to_blend(finding.repair, finding.use.folder) or finding.repair
                count += blend_uses.point_to(key, path)
        look(session)
        self.report({"INFO"}, f"{count} repaired" if count else "Nothing could be repaired")
        return {"FINISHED"}


class REGEN_OT_make_relative(bpy.types.Operator):
    bl_idname = "regen.make_relative"
    bl_label = "Make Paths Relative"
    bl_description = "Name every file of the project by its place beside this .blend, so that the project can move"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, _context):
        return bool(state.get().root and bpy.data.filepath)

    def execute(self, _context):
        session = state.get()
        count = 0
        for holder in blend_uses.holders():
            absolute = references.absolute_of(holder.path, holder.folder)
            if holder.path.startswith("//") or not references.repository_path(absolute, session.root):
                continue
            relative = references.relative_to_blend(absolute, holder.folder)
            count += bool(relative and blend_uses.point_to(holder.key, relative))
        look(session)
        self.report({"INFO"}, f"{count} made relative" if count else "They are relative already")
        return {"FINISHED"}


_CLASSES = (REGEN_OT_check_references, REGEN_OT_repair_references, REGEN_OT_make_relative)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
