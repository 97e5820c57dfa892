"""Operators for git: take a snapshot, switch to another version, begin a new one."""

import os

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from . import props, snapshot_words, standing, state
from .bridge import RegenError
from .film_file import aside_name, film_file
from .ops_assets import finish

# The panel in which what these have to say stands too.
PART = "version"
# Of git's answers, in all its releases, where it has no name or no address; it is asked for in English.
_NOBODY = ("tell me who you are", "empty ident", "auto-detect email", "no email was given", "no name was given")

_branch_items = [("", "(none)", "")]


def others(session):
    """The versions that this one can be switched to."""
    return [name for name in session.branches if name != session.branch]


def _branches(_self, _context):
    _branch_items[:] = [(name, name, "") for name in others(state.get())] or [("", "(no other version)", "")]
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
    author_name: StringProperty(name="Name", description="Who takes the snapshots of this project on this machine", options={"SKIP_SAVE"})
    author_email: StringProperty(name="E-mail", description="It stands in every snapshot beside the name", options={"SKIP_SAVE"})

    _asks = False

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def invoke(self, context, _event):
        session = state.get()
        if not standing.lacks_who(session) or not (self.message.strip() or props.window_properties().message.strip()):
            return self.execute(context)
        self._asks = True
        return context.window_manager.invoke_props_dialog(self, width=360)

    def draw(self, _context):
        column = self.layout.column(align=True)
        column.label(text="Who takes the snapshots here? Git writes it into each of them.", icon="USER")
        column.label(text="Kept for this project, on this machine.")
        self.layout.prop(self, "author_name")
        self.layout.prop(self, "author_email")

    def execute(self, _context):
        session = state.get()
        message = self.message.strip() or props.window_properties().message.strip()
        if not message:
            self.report({"ERROR"}, "Say in a few words what you did")
            return {"CANCELLED"}
        who = self.author_name.strip(), self.author_email.strip()
        wrong = standing.wrong_with_who(*who) if self._asks or any(who) else ""
        if wrong:
            self.report({"ERROR"}, wrong)
            return {"CANCELLED"}
        save_file()
        errors = []
        TakingSnapshot(session, message, who if any(who) else None, errors).begin()
        return finish(self, errors)


class TakingSnapshot:
    """The steps of a snapshot: who takes it where that was asked, what belongs into it, whether it would be refused, and the commit."""

    def __init__(self, session, message, who, errors):
        self.session, self.message, self.who, self.errors = session, message, who, errors

    def begin(self):
        if self.who is None:
            self.look()
        else:
            self._do("Noting who you are", "config", "--local", "user.name", self.who[0], then=self.note_email)

    def note_email(self, _value):
        self._do("Noting who you are", "config", "--local", "user.email", self.who[1], then=self.note_who)

    def note_who(self, _value):
        standing.ask_who(self.session)
        self.look()

    def look(self):
        changed = ("ls-files", "-z", "--others", "--modified", "--deleted", "--exclude-standard", "--", ":(glob)**/*.regen.json", "regen.toml", ".gitattributes", ".gitignore")
        self._do("Looking for recipes", *changed, then=self.add)

    def add(self, text):
        blend = os.path.relpath(self.session.blend, self.session.root).replace(os.sep, "/")
        chosen = [blend, *(name for name in text.split("\0") if name), *files_of_recipes(self.session)]
        data = "\0".join(dict.fromkeys(chosen)).encode("utf-8", "surrogateescape")
        self._do("Adding", "--literal-pathspecs", "add", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=data, then=self.check)

    def check(self, _value):
        """What git's hook would say to it, as something that can be read. A regen-vcs that cannot tell leaves it to the hook."""
        self.session.do("Checking", "check", "--staged", then=self.commit, otherwise=lambda _error: self.commit(None), as_json=True)

    def commit(self, document):
        refused = snapshot_words.refusal(document)
        if refused:
            self.fail(RegenError("invalid", refused.text, refused.hint))
        else:
            self._do("Snapshot", "commit", "--quiet", f"--message={self.message}", then=self.done)

    def done(self, _value):
        props.window_properties().message = ""
        self.session.refresh_branches()
        self.session.note("INFO", f"Snapshot taken: {self.message}", part=PART)

    def fail(self, error):
        said = error.what + error.hint
        if any(words in said for words in ("nothing to commit", "nothing added", "no changes added")):
            self.session.note("INFO", "Nothing has changed since the last snapshot", part=PART)
            return
        if any(words in said for words in _NOBODY):
            standing.ask_who(self.session)
            error = RegenError(error.kind, "Git does not know who you are yet", "press Snapshot again: it asks for your name and e-mail")
        self.session.note("ERROR", error.what, error.hint, PART)
        self.errors.append(error)

    def _do(self, title, *args, then, **more):
        self.session.do(title, *args, git=True, then=then, otherwise=self.fail, **more)


class REGEN_OT_switch_version(bpy.types.Operator):
    bl_idname = "regen.switch_version"
    bl_label = "Switch Version"
    bl_description = "Save, switch to another branch, and open this file as it is there"

    branch: EnumProperty(name="Version", items=_branches)
    name: StringProperty(name="Name", description="For scripts: the branch, instead of the menu", options={"SKIP_SAVE", "HIDDEN"})
    discard: BoolProperty(name="Discard What I Painted", description="Images with changes that are not saved are read again", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def draw(self, _context):
        self.layout.prop(self, "branch")
        if self._painted:
            self.layout.label(text=f"Painted on, and not saved: {', '.join(self._painted[:3])}", icon="ERROR")
            self.layout.prop(self, "discard")

    def invoke(self, context, _event):
        self._painted = painted()
        if not others(state.get()):
            self.report({"INFO"}, f"{state.get().branch or 'This'} is the only version: New Version… begins another")
            return {"CANCELLED"}
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, _context):
        session = state.get()
        target = self.name or self.branch
        if not target or target.startswith("-"):
            self.report({"ERROR"}, "There is no other version")
            return {"CANCELLED"}
        if painted() and not self.discard:
            self.report({"ERROR"}, f"{', '.join(painted()[:3])}: painted on, and not saved. Image > Save All Images, or discard it")
            return {"CANCELLED"}
        # Without a window some Blenders call every file changed; scripts save by themselves.
        if bpy.data.is_dirty and not bpy.app.background:
            save_file()
        errors, before = [], session.branch or "the version before"
        film_file.saved_meanwhile = False

        def fail(error):
            unsaved = "would be overwritten" in error.what + error.hint
            session.note("ERROR", "This version has changes that are in no snapshot" if unsaved else error.what, "take a snapshot first" if unsaved else error.hint, PART)
            errors.append(error)

        def switched(_value):
            blend = session.blend
            if not os.path.exists(blend):
                session.note("WARNING", f"{os.path.basename(blend)} does not exist in {target}", "save it there, or switch back", PART)
                return
            kept = keep_unsaved(blend, before)
            if kept and not os.path.exists(blend):
                # It was saved while git was at work, over what git had brought.
                relative = os.path.relpath(blend, session.root).replace(os.sep, "/")
                session.do("Bringing the file", "checkout", "--quiet", "--", relative, git=True, then=lambda _value: opened(blend, kept), otherwise=fail)
            else:
                opened(blend, kept)

        def opened(blend, kept):
            reopen(blend)
            if kept:
                state.get().note("WARNING", f"What you did while the version was switched is in {os.path.basename(kept)}", kept, PART)

        session.do(f"Switching to {target}", "switch", "--quiet", target, git=True, then=switched, otherwise=fail)
        return finish(self, errors)


def painted():
    """Names of the images with changes that no file has."""
    return [image.name for image in bpy.data.images if image.is_dirty and image.source in {"FILE", "SEQUENCE", "TILED", "GENERATED"} and not image.library]


def keep_unsaved(blend, before):
    """What has been done in this file since git began to switch, as another file beside it: its path, "" if that was nothing."""
    kept = aside_name(blend, f"{before}, not saved")
    if film_file.saved_meanwhile:
        film_file.saved_meanwhile = False
        os.replace(blend, kept)
        return kept
    if bpy.data.is_dirty and not bpy.app.background:
        with bpy.context.temp_override(window=bpy.context.window or bpy.context.window_manager.windows[0]):
            bpy.ops.wm.save_as_mainfile(filepath=kept, copy=True)
        return kept
    return ""


def reopen(blend):
    """Open the file as it is on disk now. From a timer there is no window in the context, so it is named."""
    if bpy.app.background:
        bpy.ops.wm.open_mainfile(filepath=blend)
        return
    window = bpy.context.window or bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window):
        bpy.ops.wm.open_mainfile(filepath=blend)



class REGEN_OT_new_version(bpy.types.Operator):
    bl_idname = "regen.new_version"
    bl_label = "New Version"
    bl_description = "Begin another version of the film here. The one you are in stays as its last snapshot has it"

    name: StringProperty(name="Name", description="Of the new version, such as: night or shot-3-slower", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def invoke(self, context, _event):
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, _context):
        self.layout.prop(self, "name")
        self.layout.label(text="What is in no snapshot yet comes along.", icon="INFO")

    def execute(self, _context):
        session = state.get()
        name = "-".join(self.name.split())
        wrong = self._wrong_with(session, name)
        if wrong:
            self.report({"ERROR"}, wrong)
            return {"CANCELLED"}
        errors = []

        def fail(error):
            session.note("ERROR", error.what, error.hint, PART)
            errors.append(error)

        def refused(_error):
            fail(RegenError("usage", f"{name} can be no version's name", "use letters, digits, - and _; not .. or any of ~ ^ : ? * [ \\"))

        def allowed(_value):
            session.do(f"Beginning {name}", "switch", "--quiet", "--create", name, git=True, then=begun, otherwise=fail)

        def begun(_value):
            session.refresh_branches()
            session.note("INFO", f"This is the version {name} now", "a snapshot goes into it; Switch Version… takes you back", PART)

        session.do("Looking at the name", "check-ref-format", f"refs/heads/{name}", git=True, then=allowed, otherwise=refused)
        return finish(self, errors)

    @staticmethod
    def _wrong_with(session, name):
        if not name:
            return "Give the new version a name"
        # On a Mac and on Windows names that differ in case alone are one file.
        there = next((each for each in session.branches if each.casefold() == name.casefold()), None)
        if there:
            return f"There is a version {there} already: give it another name, or switch to it"
        around = next((each for each in session.branches if name.startswith(f"{each}/") or each.startswith(f"{name}/")), None)
        if around:
            return f"There is a version {around}, and none can lie inside another: leave out the /"
        if not session.branches:
            return "Take a first snapshot: a new version begins with what is in one"
        if name.startswith("-") or name == "HEAD":
            return f"{name} can be no version's name"
        return ""


_CLASSES = (REGEN_OT_snapshot, REGEN_OT_switch_version, REGEN_OT_new_version)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
