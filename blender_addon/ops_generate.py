"""Generate…: choose a generator, fill in its form, and have the result placed when it arrives."""

import json
import os
import time

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from . import form_props, forms, generate_choices, placing, props, state
from .form_drawing import draw_form
from .ops_assets import finish

_TYPES = (
    ("image", "Image", "A picture: .png", "IMAGE_DATA", 0),
    ("sequence", "Image Sequence", "Numbered frames: .####.png", "RENDERLAYERS", 1),
    ("movie", "Movie", ".mp4", "FILE_MOVIE", 2),
    ("sound", "Sound", ".wav", "SOUND", 3),
)
_FORM = "new"
# Files of the project that are offered as inputs.
_MOST_SOURCES = 5000

# Blender needs the items of a menu to stay referenced.
_generator_items = [("", "(none)", "")]
_kind_items, _way_items = list(_TYPES), list(placing.WAYS)


def _usable(session):
    # What needs neither a model nor a server comes first.
    return sorted((each for each in session.generators if not each.get("problem")), key=lambda each: (each["name"] != "texture", each["name"]))


def _generators(_self, _context):
    usable = _usable(state.get())
    _generator_items[:] = [(each["name"], each["name"], str(each.get("about") or "")) for each in usable] or [("", "(none)", "")]
    return _generator_items


def _kinds(self, _context):
    _kind_items[:] = [each for each in _TYPES if each[0] in generate_choices.kinds_of(self.generator)]
    return _kind_items


def _ways(self, _context):
    _way_items[:] = [each for each in placing.WAYS if each[0] in generate_choices.ways_of(self.kind)]
    return _way_items


def _choose(self, context):
    """Another generator: its kinds, its inputs, and its form as soon as its schema is known."""
    session, regen, generator = state.get(), props.window_properties(), self.generator
    if self.kind not in generate_choices.kinds_of(generator):
        self.kind = generate_choices.kinds_of(generator)[0]
    _keep_way(self, context)
    if not generator:
        return
    ask_inputs(session, regen, generator)
    _wanted["generator"] = generator
    if generator not in session.schemas or not props.new_form_shows(session, generator):
        # Until its own fields are there none are shown: others would be taken for this one's.
        props.empty_new_form(session)
        session.need_schema(generator, then=lambda: show_form(generator))


# Seconds after a click within which a dialog is still expected.
_PATIENCE = 20.0
_wanted = {"generator": ""}
# What the dialog says of the asset's path: drawing does not look at the disk.
_target_shown = {"asked": None, "text": "", "icon": "FILE", "is_taken": False}


def learn_forms(session):
    """Have every generator's schema, one after another. A dialog that somebody asked for meanwhile opens then: once it is open, nothing draws it anew."""
    unknown = _unknown(session)
    if not unknown and session.questions.is_asking("generators"):
        return  # the answer comes here again
    if unknown:
        session.need_schema(unknown[0], then=lambda: learn_forms(session))
    else:
        asked = session.documents.pop("generate_asked", None)
        if asked and time.monotonic() - asked["at"] < _PATIENCE:
            _ask_again(asked)


def hear_generators(session):
    """Listener of "generators". Headless nobody opens a dialog, unless a test does."""
    if not bpy.app.background or "generate_asked" in session.documents:
        learn_forms(session)


def _unknown(session):
    return [each["name"] for each in _usable(session) if each["name"] not in session.schemas and each["name"] not in session.no_schemas]


def _ask_again(asked):
    """Open the dialog in the editor it was asked for in, if that is still there."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.as_pointer() == asked["area"]:
                region = next(each for each in area.regions if each.type == "WINDOW")
                with bpy.context.temp_override(window=window, area=area, region=region):
                    bpy.ops.regen.generate("INVOKE_DEFAULT", **asked["given"])
                return


def show_form(generator):
    """Its schema has arrived. Meanwhile another may have been chosen."""
    session, form = state.get(), props.window_properties().new_form
    if generator == _wanted["generator"] and generator in session.schemas and not props.new_form_shows(session, generator):
        props.show_new_form(session, generator)
        if generator == "blender" and "scene" in form:
            form["scene"].text_value = bpy.context.scene.name


def ask_inputs(session, regen, generator):
    """A line for each input that the generator is known to take; of `blender` the scene is this file."""
    tables = session.trust.get("generators")
    roles = generate_choices.input_roles(generator, tables if isinstance(tables, list) else ())
    if [each.name for each in regen.new_inputs] != list(roles):
        regen.new_inputs.clear()
        for role in roles:
            regen.new_inputs.add().name = role
    if roles:
        session.questions.ask_git("sources", "ls-files", "-z", "--cached", "--others", "--exclude-standard", on_done=show_sources)
    if generator == "blender" and session.blend and not regen.new_inputs["scene"].target:
        try:
            regen.new_inputs["scene"].target = generate_choices.inside(session.blend, session.root)
        except ValueError:
            pass


def show_sources(text):
    """What an input can be: the project's assets, and the files that git knows. text: `git ls-files -z`."""
    session, sources = state.get(), props.window_properties().new_sources
    files = {path for path in text.split("\0") if path.isprintable() and not path.endswith(".regen.json")}
    names = sorted({*session.by_path, *sorted(files)[:_MOST_SOURCES]} - {""})
    if [each.name for each in sources] != names:
        sources.clear()
        for name in names:
            sources.add().name = name


def _keep_way(self, _context):
    if self.way not in generate_choices.ways_of(self.kind):
        self.way = "STRIP"


class REGEN_OT_generate(bpy.types.Operator):
    bl_idname = "regen.generate"
    bl_label = "Generate…"
    bl_description = "Make a new asset with a generator"
    bl_options = {"REGISTER"}

    generator: EnumProperty(name="Generator", items=_generators, update=_choose)
    kind: EnumProperty(name="Makes", items=_kinds, update=_keep_way)
    name: StringProperty(name="Name", default="untitled", description="Of the asset; folder and file are named after it")
    way: EnumProperty(name="Then Add As", items=_ways)
    path: StringProperty(name="Path", description="From the project's root; empty: below <name of the .blend>_generated", options={"SKIP_SAVE"})
    replace: BoolProperty(name="Replace the One There Is", description="Give an asset that exists another recipe", options={"SKIP_SAVE"})
    params_json: StringProperty(name="Parameters", description="For scripts: a JSON object, instead of the form", options={"SKIP_SAVE", "HIDDEN"})
    inputs_json: StringProperty(name="Inputs", description='For scripts: {"role": "path"}, instead of the lines', options={"SKIP_SAVE", "HIDDEN"})

    _asks = False

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def invoke(self, context, _event):
        session = state.get()
        if _unknown(session) or session.questions.is_asking("generators"):
            given = {"generator": self.generator} if self.properties.is_property_set("generator") else {}
            session.documents["generate_asked"] = {"at": time.monotonic(), "area": context.area.as_pointer() if context.area else 0, "given": given}
            learn_forms(session)
            self.report({"INFO"}, "Asking the generators what they take…")
            return {"CANCELLED"}
        self._asks = True
        _choose(self, context)
        self.way = generate_choices.way_in(context.area.type if context.area else "", self.kind)
        return context.window_manager.invoke_props_dialog(self, width=460)

    def draw(self, _context):
        layout, regen = self.layout, props.window_properties()
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        for name in ("generator", "kind", "name", "way"):
            column.prop(self, name)
        self._draw_target(column)
        for each in regen.new_inputs:
            # A path that is typed, or a file that is dropped here, counts too.
            column.prop_search(each, "target", regen, "new_sources", text=f"{each.name.capitalize()} (file)", icon="FILE", results_are_suggestions=True)
        if props.new_form_shows(state.get(), self.generator):
            hidden = draw_form(layout, regen.new_form, _FORM, everything=regen.all_params)
            if hidden or regen.all_params:
                layout.prop(regen, "all_params", text=f"{hidden} more" if hidden else "All shown", toggle=True)
        elif self.generator in state.get().no_schemas:
            layout.label(text=state.get().no_schemas[self.generator], icon="ERROR")
        else:
            layout.label(text=f"Asking what {self.generator} takes…", icon="SORTTIME")

    def _draw_target(self, column):
        session = state.get()
        asked = (session.blend, session.root, session.revision, self.kind, self.name, self.path, self.replace)
        if _target_shown["asked"] != asked:
            _target_shown.update(asked=asked, **self._look_at_target(session))
        column.label(text=_target_shown["text"], icon=_target_shown["icon"])
        if _target_shown["is_taken"]:
            column.prop(self, "replace")

    def _look_at_target(self, session):
        try:
            named = self.path or _default(self, session)
        except ValueError as error:
            return {"text": str(error), "icon": "ERROR", "is_taken": False}
        try:
            return {"text": self._target(session), "icon": "FILE", "is_taken": is_taken(session, named)}
        except ValueError as error:
            return {"text": str(error), "icon": "ERROR", "is_taken": True}

    def _target(self, session):
        """ValueError where it would replace what is there, and nobody said so."""
        if self.path:
            if is_taken(session, self.path) and not self.replace:
                raise ValueError(f"{self.path} is there already: choose another name, or say that it is to be replaced")
            return self.path
        if self.replace:
            return _default(self, session)
        return generate_choices.free_path(session.blend, session.root, self.kind, self.name, lambda path: is_taken(session, path))

    def execute(self, context):
        session = state.get()
        if not self.generator:
            self.report({"ERROR"}, "Choose a generator")
            return {"CANCELLED"}
        try:
            self._check_kind_and_way()
            target = self._target(session)
            params = self._params(session)
            inputs = self._inputs(session)
        except (ValueError, forms.FormError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        errors = []

        def fail(error):
            placing.forget(target)
            session.note("ERROR", error.what, error.hint)
            errors.append(error)

        def wrote(_value):
            # The recipe is there; making it takes its time, and is shown with all that is made.
            session.selected = target
            session.do(f"Making {os.path.basename(target)}", "regenerate", "--", target, paths=[target], otherwise=fail)

        placing.place_later(context, target, self.way)
        words = ["--generator", self.generator, *forms.to_arguments(params), *inputs, "--no-run", "--", target]
        session.do(f"Writing the recipe of {os.path.basename(target)}", "generate", *words, paths=[target], then=wrote, otherwise=fail)
        done = finish(self, errors)
        if done == {"FINISHED"}:
            self.report({"INFO"}, f"Queued: {os.path.basename(target)}")
        return done

    def _check_kind_and_way(self):
        """The menus offer nothing else; a script may say anything."""
        if not self.path and self.kind not in generate_choices.kinds_of(self.generator):
            raise ValueError(f"{self.generator} makes no {self.kind}: {', '.join(generate_choices.kinds_of(self.generator))}")
        kind = placing.kind_of(self.path) if self.path else self.kind
        if kind and self.way not in generate_choices.ways_of(kind):
            raise ValueError(f"A {kind} cannot be added as {self.way.lower()}: {', '.join(generate_choices.ways_of(kind)).lower()}")

    def _params(self, _session):
        if self.params_json:
            params = json.loads(self.params_json)
            if not isinstance(params, dict):
                raise ValueError("the parameters must be a JSON object")
            return params
        if not props.new_form_shows(state.get(), self.generator):
            # For a script that is the generator's defaults; in the dialog somebody waits for a form.
            if self._asks:
                raise ValueError(f"It is not known yet what {self.generator} takes: try again in a moment")
            return {}
        return forms.to_params(form_props.fields_shown(_FORM), form_props.touched_values(props.window_properties().new_form))

    def _inputs(self, session):
        """Words of the command line. ValueError for what lies outside the project."""
        if self.inputs_json:
            given = json.loads(self.inputs_json)
            if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
                raise ValueError("the inputs must be a JSON object of paths")
        elif self._asks:
            given = {each.name: each.target for each in props.window_properties().new_inputs if each.target.strip()}
        else:
            given = {}
        return [word for role, path in given.items() for word in ("--input", f"{role}={in_project(session, path)}")]


def in_project(session, path):
    """A path as Blender or a person writes it, as the repository names it. Named roots (`@plates/…`) stay."""
    if path in session.by_path or path.startswith("@"):
        return path
    if path.startswith("//") or os.path.isabs(path):
        return generate_choices.inside(os.path.normpath(bpy.path.abspath(path)), session.root)
    return path.replace(os.sep, "/")


def is_taken(session, path):
    """Whether there is an asset of this path, or anything else, or will be in a moment."""
    absolute = session.absolute(path)
    if any(path in deed.paths for deed in session.deeds):
        return True
    return path in session.by_path or os.path.lexists(absolute) or os.path.lexists(absolute + ".regen.json")


def _default(operator, session):
    return generate_choices.default_path(session.blend, session.root, operator.kind, operator.name)


def register():
    bpy.utils.register_class(REGEN_OT_generate)


def unregister():
    bpy.utils.unregister_class(REGEN_OT_generate)
