"""The properties: what an asset is to scripts and lists, what a .blend keeps, and what the panels remember for now.

Assets hang on the window manager, which Blender neither saves nor undoes: the .blend keeps two packed texts (`Scene.regen`), and
everything here reads the session, the sidecar, or the vault. So no byte is stored twice.
"""

import json
import os

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import listing, sidecars, state
from .content_paths import RegenerativePathManager
from .form_props import RegenFormField, fill, path_options
from .forms import to_arguments


def _row(asset):
    return state.get().by_path.get(asset.name)


def _recipe(asset):
    session = state.get()
    document = sidecars.read_sidecar(session.absolute(asset.name)) if session.root else {}
    return document or session.vault_recipes().get(asset.name, {})


def _get_params(self):
    params = sidecars.params_of(_recipe(self))
    return json.dumps(params, ensure_ascii=False) if params else ""


def _set_params(self, text):
    """Through `regen-vcs set`, which checks them. Headless it is done when this returns, else a moment later."""
    try:
        wanted = json.loads(text or "{}")
    except ValueError:
        wanted = None
    if not isinstance(wanted, dict):
        state.get().note("ERROR", f"{self.name}: params must be a JSON object")
        return
    set_params(self.name, wanted, replace=True)


def set_params(path, wanted, *, replace=False, then=None):
    """Change a recipe's params. replace: params that are not among `wanted` go."""
    session = state.get()
    before = sidecars.params_of(sidecars.read_sidecar(session.absolute(path)))
    changed = {name: value for name, value in wanted.items() if name not in before or not _same(before[name], value)}
    # A null says what its absence says.
    gone = [name for name, value in before.items() if replace and name not in wanted and value is not None]
    if changed or gone:
        unset = [word for name in gone for word in ("--unset", name)]
        words = [word for word in to_arguments(changed) if word != "--param"]
        session.do(f"changing {path}", "set", *unset, "--", path, *words, paths=[path], then=then)
        if bpy.app.background:
            session.wait(60)
    elif then:
        then(None)


def _same(one, other):
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _get_version(self):
    row = _row(self)
    return (row.models or row.generator) if row else ""


def _get_output_path(self):
    session = state.get()
    if not (session.root and session.blend):
        return ""
    relative = RegenerativePathManager.make_relative_path(session.absolute(self.name), session.blend)
    return relative if os.path.isabs(relative) else f"//{relative}"


def _get_hash(self):
    row = _row(self)
    return row.output if row else ""


class RegenDependency(bpy.types.PropertyGroup):
    """`name`: the path of what an asset is made from. `role`: what the recipe calls it."""

    role: StringProperty(name="Role")


class RegenerativeAssetProperties(bpy.types.PropertyGroup):
    """One asset; `name` is its path from the project's root. Read out of its sidecar, or of the vault where that is gone."""

    generation_timestamp: StringProperty(
        name="Generation Timestamp", description="When the recipe was written, UTC", get=lambda self: sidecars.created_of(_recipe(self))
    )
    generation_version: StringProperty(name="Model Version Used", get=_get_version)
    can_regenerate: BoolProperty(name="Can Regenerate", get=lambda self: bool(_row(self) and _row(self).can_regenerate))
    generation_params_json: StringProperty(
        name="Generation Parameters", description="Complete parameters for regeneration, as JSON", get=_get_params, set=_set_params
    )
    output_path: StringProperty(
        name="Output Path", description="Generated file, relative to this .blend", subtype="FILE_PATH", get=_get_output_path, **path_options()
    )
    file_exists: BoolProperty(name="File Exists", description="When it was last looked at", get=lambda self: bool(_row(self) and _row(self).on_disk))
    file_hash: StringProperty(name="File Hash", description="Of the accepted version", get=_get_hash)
    depends_on: CollectionProperty(name="Dependencies", type=RegenDependency, description="What this is made from")

    def get_generation_params(self):
        """The params as a dict."""
        return json.loads(self.generation_params_json or "{}")

    def set_generation_params(self, params):
        """Make these the recipe's params; the asset is outdated then, until it is regenerated."""
        self.generation_params_json = json.dumps(params)

    def check_file_exists(self):
        """Whether the file is there now."""
        session = state.get()
        return bool(session.root) and os.path.exists(session.absolute(self.name))


# ------------------------------------------------------------------------------------------------- what the .blend keeps


class RegenSceneProperties(bpy.types.PropertyGroup):
    """vault: recipes, see vault.py; the first copy. assets: path, accepted hash and state of each, see remembered.py."""

    vault: StringProperty(name="Recipes", options={"HIDDEN"})
    assets: StringProperty(name="Assets", options={"HIDDEN"})


# ----------------------------------------------------------------------------------------------- what the panels remember

_STATE_ITEMS = [("ALL", "All", "Every asset", "NONE", 0), ("OPEN", "To do", "Everything that is not ready", "NONE", 1)] + [
    (name, each.word, each.meaning, each.icon, number) for number, (name, each) in enumerate(listing.STATES.items(), start=2)
]
_SORT_ITEMS = [
    ("path", "Name", "By folder and name"), ("state", "State", "What needs attention first"), ("size", "Size", "By size"),
    ("time", "Time", "By the time it takes to make"), ("generator", "Generator", "By what makes it"),
]  # fmt: skip


def _select(self, _context):
    if 0 <= self.active < len(self.assets):
        state.get().select(self.assets[self.active].name)


# The bar of the batch, and those of the jobs that run.
BARS = 4


def progress_of(session, number):
    """How far the batch (0) or a running job (1 and on) is, 0 to 1."""
    if number == 0:
        return session.batch.fraction
    running = session.batch.running
    return running[number - 1].progress if number <= len(running) else 0.0


def _bar(number):
    return FloatProperty(min=0, max=100, precision=0, subtype="PERCENTAGE", get=lambda self: 100 * progress_of(state.get(), number))


class RegenSource(bpy.types.PropertyGroup):
    """`name`: a file or an asset of the project, to work from."""


class RegenNewInput(bpy.types.PropertyGroup):
    """An input of what is about to be generated. name: its role; target: an asset, or a file, from the project's root or as Blender writes paths."""

    target: StringProperty(name="From", description="An asset of the project, or the path of a file")


class RegenWindowProperties(bpy.types.PropertyGroup):
    """assets: in the order of the session's rows. active: the index of the selected one."""

    assets: CollectionProperty(type=RegenerativeAssetProperties)
    active: IntProperty(update=_select)
    search: StringProperty(name="Search", description="Words in path, generator, model or tag. -word: without it", options={"TEXTEDIT_UPDATE"})
    sort: EnumProperty(name="Sort by", items=_SORT_ITEMS)
    descending: BoolProperty(name="Reverse")
    only: EnumProperty(name="Show", items=_STATE_ITEMS)
    form: CollectionProperty(type=RegenFormField)
    new_form: CollectionProperty(type=RegenFormField)
    new_inputs: CollectionProperty(type=RegenNewInput)
    new_sources: CollectionProperty(type=RegenSource)
    message: StringProperty(name="Message", description="What you did, in one line")
    lazy: BoolProperty(name="Make what is near the current frame", description="While you scrub, what is missing near the current frame is made first")
    bar_0: _bar(0)
    bar_1: _bar(1)
    bar_2: _bar(2)
    bar_3: _bar(3)
    all_params: BoolProperty(name="All parameters", description="Also those that are as the generator has them by default")


def window_properties():
    """The `regen` of the one window manager."""
    return bpy.data.window_managers[0].regen


def follow_rows():
    """Listener of "rows": the collection has one item a row. Kept as it is where only states changed."""
    regen, rows = window_properties(), state.get().rows
    selected = state.get().selected
    if [asset.name for asset in regen.assets] != [row.path for row in rows]:
        regen.assets.clear()
        for row in rows:
            asset = regen.assets.add()
            asset.name = row.path
        regen.active = max(0, regen.assets.find(selected))
    for asset, row in zip(regen.assets, rows, strict=False):
        if len(asset.depends_on) != len(row.inputs) or any(each.name != path for each, (_role, path) in zip(asset.depends_on, row.inputs, strict=False)):
            asset.depends_on.clear()
            for role, path in row.inputs:
                dependency = asset.depends_on.add()
                dependency.name, dependency.role = path, role
    if not selected and rows and 0 <= regen.active < len(rows):
        state.get().select(rows[regen.active].path)


def follow_detail(path):
    """Listener of "detail": the form shows the selected asset's params, unless somebody is at work in it."""
    session, regen = state.get(), window_properties()
    detail = session.details.get(path)
    if detail is None or path != session.selected:
        return
    if form_shows(session, path) and any(item.touched for item in regen.form):
        return
    fill(regen.form, "edit", session.schemas.get(detail.generator, ()), detail.params)
    session.documents["form"] = path, detail.generator


def form_shows(session, path):
    """Whether the form is that of this asset's recipe. The window manager outlives file and addon, so the session knows that, not a property."""
    detail = session.details.get(path)
    return detail is not None and session.documents.get("form") == (path, detail.generator)


def show_new_form(session, generator):
    """The form of Generate… shows the fields of a generator whose schema is known."""
    fields = session.schemas[generator]
    fill(window_properties().new_form, "new", fields)
    session.documents["new_form"] = generator, fields


def new_form_shows(session, generator):
    """Whether the form of Generate… is that of this generator, as the open project has it."""
    shown, fields = session.documents.get("new_form", ("", None))
    return bool(generator) and shown == generator and session.schemas.get(generator, fields) == fields


def empty_new_form(session):
    session.documents.pop("new_form", None)
    window_properties().new_form.clear()


_CLASSES = (RegenFormField, RegenDependency, RegenerativeAssetProperties, RegenSceneProperties, RegenSource, RegenNewInput, RegenWindowProperties)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)
    bpy.types.WindowManager.regen = PointerProperty(type=RegenWindowProperties)
    bpy.types.Scene.regen = PointerProperty(type=RegenSceneProperties)


def unregister():
    del bpy.types.Scene.regen
    del bpy.types.WindowManager.regen
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
