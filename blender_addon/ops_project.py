"""Operators that make a project: set up, adopt files, restore recipes out of the .blend."""

import os
import shutil
import tempfile

import bpy
from bpy.props import BoolProperty, StringProperty

from . import blend_vault, messages, state
from .ops_assets import finish, run
from .state import Session
from .vault import VaultDamaged


class REGEN_OT_setup_project(bpy.types.Operator):
    bl_idname = "regen.setup_project"
    bl_label = "Set Up Project"
    bl_description = "Have git remember recipes in this folder, and media follow them"

    folder: StringProperty(name="Folder", subtype="DIR_PATH", description="The project's folder; empty: that of this .blend")

    def invoke(self, context, _event):
        return context.window_manager.invoke_props_dialog(self, width=420)

    def draw(self, _context):
        column, session = self.layout.column(align=True), state.get()
        place = session.root or self.folder or os.path.dirname(bpy.data.filepath)
        column.label(text=place, icon="FILE_FOLDER")
        column.separator()
        for line in (
            *(() if session.root else ("A git repository is made here.",)),
            "Recipes (small text files) are kept by git;",
            "pictures, movies and sounds stay out of it, and are brought",
            "back from their recipes whenever you switch versions.",
            "",
            "Written: .gitattributes, .gitignore, regen.toml, git hooks.",
            "No program of the project runs before you allow it.",
        ):
            column.label(text=line)

    def execute(self, _context):
        session = state.get()
        folder = session.root or bpy.path.abspath(self.folder) or os.path.dirname(bpy.data.filepath)
        if not folder:
            self.report({"ERROR"}, "Save the .blend inside the project's folder first")
            return {"CANCELLED"}
        errors = []

        def fail(error):
            session.note("ERROR", error.what, error.hint)
            errors.append(error)

        def initialise(_value=None):
            ignore_leavings(session.root)
            session.do("Setting up", "init", then=lambda _value: _reopen(session), otherwise=fail)

        if session.root:
            initialise()
        else:
            session.root = folder
            session.do("Making a git repository", "init", "--quiet", then=initialise, otherwise=fail, git=True)
        return finish(self, errors)


# What Blender leaves beside a .blend and its movies.
LEAVINGS = ("*.blend[1-9]", "*.blend[1-9][0-9]", "BL_proxy/")


def ignore_leavings(root):
    """Have git ignore what nobody wants in a version."""
    path = os.path.join(root, ".gitignore")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        text = ""
    new = [pattern for pattern in LEAVINGS if pattern not in text.splitlines()]
    if new and not os.path.islink(path):
        with open(path, "a", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(("" if text.endswith("\n") or not text else "\n") + "\n".join(new) + "\n")


def _reopen(session: Session):
    from .handlers import open_project  # handlers register last, and use what is here

    notices = session.notices
    open_project()
    state.get().notices = notices


class REGEN_OT_adopt_file(bpy.types.Operator):
    bl_idname = "regen.adopt_file"
    bl_label = "Adopt File"
    bl_description = "Make a picture, movie or sound of the project an asset: its bytes are kept, and its recipe if one is in it"

    filepath: StringProperty(subtype="FILE_PATH")
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_sound: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def invoke(self, context, _event):
        self.filepath = (state.get().root or "") + os.sep
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context):
        session = state.get()
        path = os.path.realpath(bpy.path.abspath(self.filepath))
        if not os.path.isfile(path):
            self.report({"ERROR"}, f"There is no file {path}")
            return {"CANCELLED"}
        inside = os.path.relpath(path, os.path.realpath(session.root))
        if inside.startswith("..") or os.path.isabs(inside):
            self.report({"ERROR"}, "The file is outside the project: copy it into its folder first")
            return {"CANCELLED"}
        return run(self, f"Adopting {os.path.basename(path)}", "add", "--", inside.replace(os.sep, "/"))


class REGEN_OT_restore_sidecars(bpy.types.Operator):
    bl_idname = "regen.restore_sidecars"
    bl_label = "Restore Recipes from this .blend"
    bl_description = "Write the recipes stored in this .blend back into the project, which is set up if there is none. Files that differ are left alone"

    overwrite: BoolProperty(name="Also over Recipes that Differ", default=False, description="They are kept in the rescue log first")
    and_make: BoolProperty(name="Then Bring the Media", default=False)

    def invoke(self, context, _event):
        return context.window_manager.invoke_props_dialog(self, width=360)

    def execute(self, _context):
        session = state.get()
        try:
            chosen = blend_vault.read()
        except VaultDamaged as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if session.bridge is None or not session.blend:
            self.report({"ERROR"}, " ".join((session.message or messages.UNSAVED).lines))
            return {"CANCELLED"}
        if chosen.damaged:
            session.note("WARNING", "One copy of the recipes in this .blend is damaged", "the other one was used")
        errors = []
        Restoring(session, chosen.export, overwrite=self.overwrite, and_make=self.and_make, errors=errors).begin()
        return finish(self, errors)


class Restoring:
    """The steps of a restore: a repository if there is none, the recipes, then what `init` sets up. In this order: `init` writes a
    first regen.toml where there is none, and a restore leaves alone what differs."""

    def __init__(self, session, export, *, overwrite, and_make, errors):
        self.session, self.overwrite, self.and_make, self.errors = session, overwrite, and_make, errors
        self.fresh = session.root is None or not session.usable
        self.folder = tempfile.mkdtemp(prefix="regen-vault-")
        self.file = os.path.join(self.folder, "vault.regen-export")
        with open(self.file, "wb") as out:
            out.write(export)

    def begin(self):
        if self.session.root is None:
            self.session.root = os.path.dirname(self.session.blend)
            self.session.do("Making a git repository", "init", "--quiet", then=self.restore, otherwise=self.fail, git=True)
        else:
            self.restore()

    def restore(self, _value=None):
        more = ["--force"] if self.overwrite else []
        self.session.do("Restoring recipes", "restore", *more, "--", self.file, then=self.restored, otherwise=self.fail, as_json=True)

    def restored(self, document):
        self.tidy()
        _tell_restored(self.session, document)
        if self.fresh:
            ignore_leavings(self.session.root)
            self.session.do("Setting up", "init", then=self.set_up, otherwise=self.fail)
        else:
            self.make()

    def set_up(self, _value):
        _reopen(self.session)
        self.make()

    def make(self):
        if self.and_make:
            self.session.do("Bringing the media", "sync", otherwise=self.fail)

    def fail(self, error):
        self.tidy()
        self.session.note("ERROR", error.what, error.hint)
        self.errors.append(error)

    def tidy(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def _tell_restored(session, document):
    verdicts = [each.get("verdict") for each in document.get("files", ()) if isinstance(each, dict)] if isinstance(document, dict) else []
    restored = sum(verdict in ("restored", "replaced") for verdict in verdicts)
    session.note("INFO", f"{restored} file{'s' if restored != 1 else ''} restored, {verdicts.count('same')} there already")
    if "differs" in verdicts:
        session.note("WARNING", f"{verdicts.count('differs')} differ and were left alone", "restore again with the option to write over them")
    if "refused" in verdicts:
        session.note("ERROR", f"{verdicts.count('refused')} refused: their paths are not allowed")


class REGEN_OT_open_preferences(bpy.types.Operator):
    bl_idname = "regen.open_preferences"
    bl_label = "Preferences"
    bl_description = "Say where regen-vcs is"

    def execute(self, _context):
        if not bpy.app.background:
            bpy.ops.preferences.addon_show(module=__package__)
        return {"FINISHED"}


_CLASSES = (
    REGEN_OT_setup_project, REGEN_OT_adopt_file, REGEN_OT_restore_sidecars, REGEN_OT_open_preferences,
)  # fmt: skip


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
