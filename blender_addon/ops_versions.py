"""Operators for git: take a snapshot, switch to another version."""

import os

import bpy
from bpy.props import EnumProperty, StringProperty

from . import props, state
from .ops_assets import finish

_branch_items = [("", "(none)", "")]


def _branches(_self, _context):
    session = state.get()
    _branch_items[:] = [(name, name, "") for name in session.branches if name != session.branch] or [("", "(no other version)", "")]
    return _branch_items


def save_file():
    """Save the open file under its own name."""
    bpy.ops.wm.save_mainfile()


def files_of_recipes(session):
    """Plain files that recipes and generators read: a snapshot without them could not be made again."""
    inputs = [source for row in session.rows for _role, source in row.inputs]
    code = [item.get("path") for item in session.trust.get("items", ()) if isinstance(item, dict)]
    files = {path for path in (*inputs, *code) if isinstance(path, str) and path and not path.startswith("@") and path not in session.by_path}
    return sorted(path for path in files if os.path.isfile(session.absolute(path)))


class REGEN_OT_snapshot(bpy.types.Operator):
    bl_idname = "regen.snapshot"
    bl_label = "Snapshot"
    bl_description = "Save, and commit this .blend and every recipe"

    message: StringProperty(name="Message", description="What you did, in one line", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def execute(self, _context):
        session = state.get()
        message = self.message.strip() or props.window_properties().message.strip()
        if not message:
            self.report({"ERROR"}, "Say in a few words what you did")
            return {"CANCELLED"}
        save_file()
        errors = []

        def fail(error):
            if "nothing to commit" in error.what + error.hint or "nothing added" in error.what + error.hint:
                session.note("INFO", "Nothing has changed since the last snapshot")
                return
            session.note("ERROR", error.what, error.hint)
            errors.append(error)

        def listed(text):
            blend = os.path.relpath(session.blend, session.root).replace(os.sep, "/")
            chosen = [blend, *(name for name in text.split("\0") if name), *files_of_recipes(session)]
            data = "\0".join(dict.fromkeys(chosen)).encode("utf-8", "surrogateescape")
            session.do("Adding", "--literal-pathspecs", "add", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=data, git=True, then=commit, otherwise=fail)

        def commit(_value):
            session.do("Snapshot", "commit", "--quiet", f"--message={message}", git=True, then=done, otherwise=fail)

        def done(_value):
            props.window_properties().message = ""
            session.refresh_branches()
            session.note("INFO", f"Snapshot taken: {message}")

        changed = ("ls-files", "-z", "--others", "--modified", "--deleted", "--exclude-standard", "--", ":(glob)**/*.regen.json", "regen.toml", ".gitattributes", ".gitignore")
        session.do("Looking for recipes", *changed, git=True, then=listed, otherwise=fail)
        return finish(self, errors)


class REGEN_OT_switch_version(bpy.types.Operator):
    bl_idname = "regen.switch_version"
    bl_label = "Switch Version"
    bl_description = "Save, switch to another branch, and open this file as it is there"

    branch: EnumProperty(name="Version", items=_branches)
    name: StringProperty(name="Name", description="For scripts: the branch, instead of the menu", options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def invoke(self, context, _event):
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, _context):
        session = state.get()
        target = self.name or self.branch
        if not target or target.startswith("-"):
            self.report({"ERROR"}, "There is no other version")
            return {"CANCELLED"}
        # Without a window some Blenders call every file changed; scripts save by themselves.
        if bpy.data.is_dirty and not bpy.app.background:
            save_file()
        errors = []

        def fail(error):
            unsaved = "would be overwritten" in error.what + error.hint
            session.note("ERROR", "This version has changes that are in no snapshot" if unsaved else error.what, "take a snapshot first" if unsaved else error.hint)
            errors.append(error)

        def switched(_value):
            blend = session.blend
            if not os.path.exists(blend):
                session.note("WARNING", f"{os.path.basename(blend)} does not exist in {target}", "save it there, or switch back")
                return
            reopen(blend)

        session.do(f"Switching to {target}", "switch", "--quiet", target, git=True, then=switched, otherwise=fail)
        return finish(self, errors)


def reopen(blend):
    """Open the file as it is on disk now. From a timer there is no window in the context, so it is named."""
    if bpy.app.background:
        bpy.ops.wm.open_mainfile(filepath=blend)
        return
    window = bpy.context.window or bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window):
        bpy.ops.wm.open_mainfile(filepath=blend)




_CLASSES = (REGEN_OT_snapshot, REGEN_OT_switch_version)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
