"""Operators on assets: regenerate, fetch, accept, cancel, their params, and their place in the scene."""

import os
import sys

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from . import form_props, forms, placing, props, state
from .generate_choices import ways_of

# Characters of paths on a command line; Windows has little more.
MAX_WORDS = 20_000


def run(operator, title, *args, paths=(), then=None, **more):
    """A deed of the session, for an operator. In Blender's window it goes on by itself; headless it is waited for, and its error reported."""
    session = state.get()
    errors = []

    def fail(error):
        session.note("ERROR", error.what, error.hint)
        errors.append(error)

    deed = session.do(title, *args, paths=paths, then=then, otherwise=fail, **more)
    if deed is None:
        operator.report({"ERROR"}, session.notices[-1].text)
        return {"CANCELLED"}
    return finish(operator, errors)


def finish(operator, errors):
    if bpy.app.background:
        state.get().wait()
        if errors:
            operator.report({"ERROR"}, f"{errors[0].what} {errors[0].hint}".strip())
            return {"CANCELLED"}
    return {"FINISHED"}


def in_portions(paths, most=MAX_WORDS):
    """Lists of paths that each fit on a command line."""
    portion, size = [], 0
    for path in paths:
        if portion and size + len(path) > most:
            yield portion
            portion, size = [], 0
        portion.append(path)
        size += len(path)
    if portion:
        yield portion


class _AssetOperator:
    """Needs a project."""

    @classmethod
    def poll(cls, _context):
        if not state.get().usable:
            if hasattr(cls, "poll_message_set"):
                cls.poll_message_set("There is no project here")
            return False
        return True

    def chosen(self):
        """The asset's path, None (with a report) if there is no such asset."""
        path = self.asset_id or state.get().selected
        if path not in state.get().by_path:
            self.report({"ERROR"}, f"There is no asset {path or 'selected'}")
            return None
        return path


class MOVIE_DIRECTOR_OT_regenerate_asset(_AssetOperator, bpy.types.Operator):
    bl_idname = "movie_director.regenerate_asset"
    bl_label = "Regenerate Asset"
    bl_description = "Make this asset again from its recipe"
    bl_options = {"REGISTER"}

    asset_id: StringProperty(name="Asset ID", description="Its path from the project's root; empty: the selected one")
    use_latest_model: BoolProperty(name="Use Latest Model", description="First change the recipe to the models the project configures now", default=False)
    with_dependants: BoolProperty(name="With Dependants", description="And what is made from it", default=False)

    def execute(self, _context):
        path = self.chosen()
        if path is None:
            return {"CANCELLED"}
        if not state.get().by_path[path].can_regenerate:
            self.report({"ERROR"}, f"{path} cannot be regenerated")
            return {"CANCELLED"}
        more = ["--current-models", "--yes"] if self.use_latest_model else []
        more += ["--with-dependents"] if self.with_dependants else []
        return run(self, f"Making {os.path.basename(path)}", "regenerate", *more, "--", path, paths=[path])


class MOVIE_DIRECTOR_OT_regenerate_missing(_AssetOperator, bpy.types.Operator):
    bl_idname = "movie_director.regenerate_missing"
    bl_label = "Regenerate Missing"
    bl_description = "Bring back every asset whose file is missing: from the stores where they have it, else by making it again"

    def execute(self, _context):
        missing = state.get().missing()
        if not missing and state.get().looked:
            self.report({"INFO"}, "No missing files found")
            return {"FINISHED"}
        return run(self, f"Making {len(missing)} missing", "regenerate", "--missing", paths=missing)


class REGEN_OT_regenerate_stale(_AssetOperator, bpy.types.Operator):
    bl_idname = "regen.regenerate_stale"
    bl_label = "Make Outdated"
    bl_description = "Make what is outdated, was never made, or failed"

    def execute(self, _context):
        return run(self, "Making what is outdated", "regenerate", "--stale")


class REGEN_OT_fetch(_AssetOperator, bpy.types.Operator):
    bl_idname = "regen.fetch"
    bl_label = "Fetch"
    bl_description = "Bring the accepted version back from the stores. Runs nothing"

    asset_id: StringProperty(description="Empty: the selected one")
    everything: BoolProperty(default=False, description="Every asset of the project")

    def execute(self, _context):
        path = None if self.everything else self.chosen()
        if path is None and not self.everything:
            return {"CANCELLED"}
        words = ["--", path] if path else []
        return run(self, f"Fetching {os.path.basename(path) if path else 'all'}", "fetch", *words, paths=[path] if path else [], then=_tell_fetch, as_json=True)


def _tell_fetch(document):
    failed = [each for each in document.get("assets", ()) if isinstance(each, dict) and each.get("error")] if isinstance(document, dict) else []
    if failed:
        state.get().note("WARNING", f"{len(failed)} could not be fetched", f"{failed[0].get('path')}: {failed[0].get('error')}")


class REGEN_OT_accept(_AssetOperator, bpy.types.Operator):
    bl_idname = "regen.accept"
    bl_label = "Accept"
    bl_description = "Make this the accepted version: the take that is named, else what is on disk"

    asset_id: StringProperty(description="Empty: the selected one")
    take: StringProperty(description="Its name or hash. Empty: what is on disk")
    with_recipe: BoolProperty(default=False, description="The recipe becomes that which the take was made from", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context, properties):
        return "Have this take again, and the recipe that it was made from" if properties.with_recipe else cls.bl_description

    def execute(self, _context):
        path = self.chosen()
        if path is None:
            return {"CANCELLED"}
        which = ["--take", self.take] if self.take else _as_shown(path)
        which += ["--with-recipe"] if self.with_recipe else []
        return run(self, f"Accepting {os.path.basename(path)}", "accept", *which, "--", path, paths=[path])


def _as_shown(path):
    """What a worker has made since the list was told is not what somebody looked at and accepts."""
    row = state.get().by_path.get(path)
    # In the second layout the take may be noted, and not be what is on disk.
    return ["--expect", row.on_disk] if row and row.on_disk and row.on_disk != row.output else []


class REGEN_OT_cancel(bpy.types.Operator):
    bl_idname = "regen.cancel"
    bl_label = "Cancel"
    bl_description = "Stop what is being made"

    asset_id: StringProperty(description="Empty: everything")

    def execute(self, _context):
        session = state.get()
        # Made later all the same, it would appear out of nowhere.
        placing.forget(self.asset_id)
        for deed in list(session.deeds):
            if deed.git:
                self.report({"INFO"}, f"{deed.title}: git is at work, and is not broken off half way")
            elif not self.asset_id or list(deed.paths) == [self.asset_id]:
                session.cancel(deed)
        waiting = [job.path for job in session.batch.jobs if not self.asset_id or job.path == self.asset_id]
        if waiting or self.asset_id:
            # By name: other worktrees of this repository have jobs in the same queue.
            for words in in_portions([self.asset_id] if self.asset_id else list(dict.fromkeys(waiting))):
                session.do("Cancelling", "queue", "cancel", "--", *words, otherwise=lambda error: None)
        if bpy.app.background:
            session.wait()
        return {"FINISHED"}


def plain_folder(folder):
    """The nearest folder that a file browser opens. On a Mac one called `x.app` is a program, and opening it would run it."""
    while os.path.splitext(folder)[1]:
        folder = os.path.dirname(folder)
    return folder


class REGEN_OT_open_folder(_AssetOperator, bpy.types.Operator):
    bl_idname = "regen.open_folder"
    bl_label = "Open Folder"
    bl_description = "Show the asset's folder in the file browser of the system"

    asset_id: StringProperty(description="Empty: the selected one")

    def execute(self, _context):
        path = self.chosen()
        if path is None:
            return {"CANCELLED"}
        folder = os.path.dirname(state.get().absolute(path))
        if sys.platform == "darwin":
            folder = plain_folder(folder)
        if not os.path.isdir(folder):
            self.report({"ERROR"}, f"There is no folder {folder}")
            return {"CANCELLED"}
        if not bpy.app.background:
            bpy.ops.wm.path_open(filepath=folder)
        return {"FINISHED"}


# Blender needs the items of a menu to stay referenced.
_way_items = [way for way in placing.WAYS if way[0] != "NONE"]


def _ways(self, _context):
    kind = placing.kind_of(self.asset_id or state.get().selected)
    _way_items[:] = [way for way in placing.WAYS if way[0] != "NONE" and (not kind or way[0] in ways_of(kind))]
    return _way_items


class REGEN_OT_add_to_scene(_AssetOperator, bpy.types.Operator):
    bl_idname = "regen.add_to_scene"
    bl_label = "Add to Scene"
    bl_description = "Put the asset into the scene, at the current frame or the 3D cursor"
    bl_options = {"REGISTER", "UNDO"}

    asset_id: StringProperty(description="Empty: the selected one")
    way: EnumProperty(name="As", items=_ways)

    def execute(self, context):
        path = self.chosen()
        if path is None:
            return {"CANCELLED"}
        session = state.get()
        if not session.by_path[path].on_disk:
            self.report({"ERROR"}, f"{path} is not on disk: fetch or regenerate it first")
            return {"CANCELLED"}
        try:
            placing.place(context, self.way, path, session.absolute(path), frames=session.frames_of(path))
        except (placing.CannotPlace, RuntimeError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class REGEN_OT_apply_params(_AssetOperator, bpy.types.Operator):
    bl_idname = "regen.apply_params"
    bl_label = "Apply"
    bl_description = "Write the changed parameters into the recipe"

    asset_id: StringProperty(description="Empty: the selected one")
    make: BoolProperty(default=False, description="And make the asset with them")

    def execute(self, _context):
        path, regen = self.chosen(), props.window_properties()
        if path is None or not props.form_shows(state.get(), path):
            return {"CANCELLED"}
        try:
            params = form_props.touched_params(regen.form, "edit")
        except forms.FormError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for item in regen.form:
            item.touched = False
        then = None
        if self.make:
            def then(_value):
                state.get().do(f"Making {os.path.basename(path)}", "regenerate", "--", path, paths=[path])
        props.set_params(path, params, then=then)
        if bpy.app.background:
            state.get().wait()
        return {"FINISHED"}


class REGEN_OT_reset_params(bpy.types.Operator):
    bl_idname = "regen.reset_params"
    bl_label = "Undo Changes"
    bl_description = "Show the parameters as the recipe has them"

    def execute(self, _context):
        session = state.get()
        for item in props.window_properties().form:
            item.touched = False
        props.follow_detail(session.selected)
        return {"FINISHED"}


class REGEN_OT_select_asset(bpy.types.Operator):
    bl_idname = "regen.select_asset"
    bl_label = "Show"
    bl_description = "Select this asset in the list"

    asset_id: StringProperty()

    def execute(self, _context):
        regen = props.window_properties()
        index = regen.assets.find(self.asset_id)
        if index < 0:
            return {"CANCELLED"}
        regen.active = index
        return {"FINISHED"}


class REGEN_OT_refresh(bpy.types.Operator):
    bl_idname = "regen.refresh"
    bl_label = "Refresh"
    bl_description = "Look at the project again"

    def execute(self, _context):
        from .handlers import open_project  # handlers register last, and use what is here

        session = state.get()
        if session.usable and session.looked:
            session.refresh()
        else:
            open_project()
        if bpy.app.background:
            state.get().wait()
        return {"FINISHED"}


class REGEN_OT_dismiss(bpy.types.Operator):
    bl_idname = "regen.dismiss"
    bl_label = "Dismiss"
    bl_description = "I have read this"

    def execute(self, _context):
        state.get().notices.clear()
        return {"FINISHED"}


_CLASSES = (
    MOVIE_DIRECTOR_OT_regenerate_asset, MOVIE_DIRECTOR_OT_regenerate_missing, REGEN_OT_regenerate_stale, REGEN_OT_fetch, REGEN_OT_accept,
    REGEN_OT_cancel, REGEN_OT_open_folder, REGEN_OT_add_to_scene, REGEN_OT_apply_params, REGEN_OT_reset_params, REGEN_OT_select_asset,
    REGEN_OT_refresh, REGEN_OT_dismiss,
)  # fmt: skip


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
