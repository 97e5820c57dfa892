"""Generate…: choose a generator, fill in its form, and have the result placed when it arrives."""

import json
import os

import bpy
from bpy.props import EnumProperty, StringProperty

from . import form_props, forms, placing, props, state
from .content_paths import RegenerativePathManager, sanitize_filename
from .form_drawing import draw_form
from .ops_assets import finish

_TYPES = (
    ("image", "Image", "A picture: .png", "IMAGE_DATA", 0),
    ("sequence", "Image Sequence", "Numbered frames: .####.png", "RENDERLAYERS", 1),
    ("movie", "Movie", ".mp4", "FILE_MOVIE", 2),
    ("sound", "Sound", ".wav", "SOUND", 3),
)
SUFFIXES = {"image": ".png", "sequence": ".####.png", "movie": ".mp4", "sound": ".wav"}
_SOUND_GENERATORS = {"tone"}

# Blender needs the items of a menu to stay referenced.
_generator_items = [("", "(none)", "")]


def _generators(_self, _context):
    usable = [each for each in state.get().generators if not each.get("problem")]
    _generator_items[:] = [(each["name"], each["name"], str(each.get("about") or "")) for each in usable] or [("", "(none)", "")]
    return _generator_items


def default_path(blend, root, kind, name):
    """The asset's path in the repository that the requirement's rule gives: `<blend name>_generated/<type>/<name>/<name>.png`.

    Makes no folder. ValueError where the .blend lies outside the project.
    """
    content = RegenerativePathManager.get_project_content_dir(blend)
    plain = sanitize_filename(name)
    path = os.path.join(content, sanitize_filename(kind), plain, plain + SUFFIXES[kind])
    inside = os.path.relpath(path, root)
    if inside.startswith("..") or os.path.isabs(inside):
        raise ValueError("the .blend lies outside the project")
    return inside.replace(os.sep, "/")


def _choose(self, _context):
    session = state.get()
    generator = self.generator
    if generator:
        session.need_schema(generator, then=lambda: form_props.fill(props.window_properties().new_form, "new", session.schemas[generator]))
        self.kind = "sound" if generator in _SOUND_GENERATORS else self.kind if self.kind != "sound" else "image"


class REGEN_OT_generate(bpy.types.Operator):
    bl_idname = "regen.generate"
    bl_label = "Generate…"
    bl_description = "Make a new asset with a generator"
    bl_options = {"REGISTER"}

    generator: EnumProperty(name="Generator", items=_generators, update=_choose)
    kind: EnumProperty(name="Makes", items=_TYPES)
    name: StringProperty(name="Name", default="untitled", description="Of the asset; folder and file are named after it")
    way: EnumProperty(name="Then Add As", items=placing.WAYS)
    path: StringProperty(name="Path", description="From the project's root; empty: below <name of the .blend>_generated", options={"SKIP_SAVE"})
    params_json: StringProperty(name="Parameters", description="For scripts: a JSON object, instead of the form", options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def invoke(self, context, _event):
        _choose(self, context)
        return context.window_manager.invoke_props_dialog(self, width=460)

    def draw(self, _context):
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        for name in ("generator", "kind", "name", "way"):
            column.prop(self, name)
        session = state.get()
        try:
            target = self.path or default_path(session.blend, session.root, self.kind, self.name)
            column.label(text=target, icon="FILE")
            if target in session.by_path:
                column.label(text="There is an asset of this name: its recipe would be replaced", icon="ERROR")
        except ValueError as error:
            column.label(text=str(error), icon="ERROR")
        draw_form(layout, props.window_properties().new_form, "new", everything=True)

    def execute(self, context):
        session = state.get()
        try:
            target = self.path or default_path(session.blend, session.root, self.kind, self.name)
            params = self._params(session)
        except (ValueError, forms.FormError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not self.generator:
            self.report({"ERROR"}, "Choose a generator")
            return {"CANCELLED"}
        placing.place_later(context, target, self.way)
        errors = []

        def fail(error):
            session.note("ERROR", error.what, error.hint)
            errors.append(error)

        def wrote(_value):
            # The recipe is there; making it takes its time, and is shown with all that is made.
            session.selected = target
            session.do(f"Making {os.path.basename(target)}", "regenerate", "--", target, paths=[target], otherwise=fail)

        words = ["--generator", self.generator, *forms.to_arguments(params), "--no-run", "--", target]
        session.do(f"Writing the recipe of {os.path.basename(target)}", "generate", *words, paths=[target], then=wrote, otherwise=fail)
        return finish(self, errors)

    def _params(self, _session):
        if self.params_json:
            params = json.loads(self.params_json)
            if not isinstance(params, dict):
                raise ValueError("the parameters must be a JSON object")
            return params
        form = props.window_properties().new_form
        fields = form_props.fields_shown("new")
        if self.generator not in state.get().schemas or {field.name for field in fields} != {field.name for field in state.get().schemas[self.generator]}:
            return {}
        return forms.to_params(fields, form_props.touched_values(form))


def register():
    bpy.utils.register_class(REGEN_OT_generate)


def unregister():
    bpy.utils.unregister_class(REGEN_OT_generate)
