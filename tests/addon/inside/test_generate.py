"""Generate…, by its form and by scripts, and what becomes of the result."""

import json
import os
from types import SimpleNamespace

import addon_utils
import bpy
import pytest
from project import Project
from test_drawing import ICONS, Layout

ENLARGE = '\n[generators.enlarge]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n'


def recipe(film, path):
    with open(film.path(path + ".regen.json")) as file:
        return json.load(file)


def open_dialog(session, generator):
    """As Generate… shows itself, up to the form of a generator."""
    from regen_vcs_addon import ops_generate

    class Dialog(SimpleNamespace):
        _target = ops_generate.REGEN_OT_generate._target
        _params = ops_generate.REGEN_OT_generate._params
        _inputs = ops_generate.REGEN_OT_generate._inputs
        _check_kind_and_way = ops_generate.REGEN_OT_generate._check_kind_and_way
        _draw_target = ops_generate.REGEN_OT_generate._draw_target
        _look_at_target = ops_generate.REGEN_OT_generate._look_at_target

    dialog = Dialog(generator=generator, kind="image", name="untitled", way="NONE", path="", replace=False, params_json="", inputs_json="", _asks=True, told=[])
    dialog.report = lambda kind, text: dialog.told.append(text)
    ops_generate._choose(dialog, bpy.context)
    return dialog


def press(dialog):
    from regen_vcs_addon import ops_generate

    return ops_generate.REGEN_OT_generate.execute(dialog, bpy.context)


class DialogLayout(Layout):
    def prop_search(self, data, name, source, sources, *, text, icon, results_are_suggestions):
        getattr(data, name), getattr(source, sources)
        assert icon in ICONS and results_are_suggestions
        self.drawn.append(text)

    def _part(self, *_args, **_kwargs):
        return DialogLayout(self.drawn)

    row = column = _part


def drawn(dialog):
    from regen_vcs_addon import ops_generate

    dialog.layout = DialogLayout()
    ops_generate.REGEN_OT_generate.draw(dialog, bpy.context)
    return dialog.layout.drawn


def form():
    from regen_vcs_addon import props

    return props.window_properties().new_form


def placed():
    from regen_vcs_addon import strips

    return strips.strips_of(strips.sequencer_scene(bpy.context))


def test_generate_and_place(session, film):
    scene = bpy.context.scene
    scene.frame_set(24)
    session.need_schema("texture")
    session.wait(60)
    done = bpy.ops.regen.generate(generator="texture", kind="image", name="Wolken: hoch", way="STRIP", params_json=json.dumps({"width": 32, "height": 16, "seed": "18446744073709551557"}))
    assert done == {"FINISHED"}
    session.wait(60)
    path = "film_generated/image/Wolken_ hoch/Wolken_ hoch.png"
    assert session.by_path[path].state == "ok"
    with open(film.path(path + ".regen.json")) as file:
        assert json.load(file)["params"]["seed"] == "18446744073709551557"
    from regen_vcs_addon import strips

    placed = strips.strips_of(strips.sequencer_scene(bpy.context))
    assert [strip["regen_asset"] for strip in placed] == [path]
    assert placed[0].frame_final_start == 24
    assert placed[0].directory.startswith("//")


def test_generate_says_what_is_wrong(session, film):
    with pytest.raises(RuntimeError):
        bpy.ops.regen.generate(generator="texture", kind="image", name="x", params_json='{"kind": "no such kind"}')
    assert session.notices[-1].level == "ERROR"


def test_by_the_form(session, film):
    dialog = open_dialog(session, "texture")
    session.wait(60)
    form()["width"].int_value, form()["height"].int_value, form()["kind"].enum_value = 24, 12, "bricks"
    assert press(dialog) == {"FINISHED"}, dialog.told
    assert dialog.told == ["Queued: untitled.png"]
    session.wait(60)
    written = recipe(film, "film_generated/image/untitled/untitled.png")
    assert (written["params"]["width"], written["params"]["height"], written["params"]["kind"]) == (24, 12, "bricks")
    assert session.by_path["film_generated/image/untitled/untitled.png"].state == "ok"


def test_the_form_of_one_generator_is_never_sent_to_another(session, film):
    from regen_vcs_addon import ops_generate, props

    dialog = open_dialog(session, "texture")
    session.wait(60)
    form()["width"].int_value = 24
    dialog.generator = "tone"
    ops_generate._choose(dialog, bpy.context)
    assert not props.new_form_shows(session, "texture") and not len(form()), "the other one's fields are gone at once"
    assert dialog.kind == "sound" and dialog.way in ("STRIP", "NONE")
    assert press(dialog) == {"CANCELLED"} and "try again" in dialog.told[-1]
    ops_generate._choose(SimpleNamespace(generator="texture", kind="image", way="NONE"), bpy.context)
    session.wait(60)
    assert props.new_form_shows(session, "texture"), "the schema of `tone` came too late to be shown"
    assert not any(item.touched for item in form())


def test_a_form_that_is_filled_again_keeps_its_fields(session, film):
    """Blender would write what is being typed into a field that is no more."""
    from regen_vcs_addon import form_props

    open_dialog(session, "texture")
    session.wait(60)
    before = [item.as_pointer() for item in form()]
    form()["width"].int_value = 99
    form_props.fill(form(), "new", session.schemas["texture"], {"width": 7})
    assert [item.as_pointer() for item in form()] == before
    assert form()["width"].int_value == 7 and not form()["width"].touched


def test_a_name_that_is_taken(session, film):
    for number in range(3):
        bpy.ops.regen.generate(generator="texture", kind="image", name="Grund", way="NONE", params_json=json.dumps({"width": 8, "height": 8, "seed": number}))
        session.wait(60)
    names = [row.name for row in session.rows if row.path.startswith("film_generated")]
    assert names == ["Grund.png", "Grund_002.png", "Grund_003.png"]
    with pytest.raises(RuntimeError, match="replaced"):
        bpy.ops.regen.generate(generator="texture", path="sky.png", way="NONE", params_json='{"seed": 5}')
    assert "5" not in str(recipe(film, "sky.png")["params"]["seed"])
    with open(film.path("drawn.png"), "wb") as file:
        file.write(b"by hand")
    with pytest.raises(RuntimeError, match="replaced"):
        bpy.ops.regen.generate(generator="texture", path="drawn.png", way="NONE", params_json="{}")
    bpy.ops.regen.generate(generator="texture", path="sky.png", replace=True, way="NONE", params_json='{"seed": 5, "width": 8, "height": 8}')
    session.wait(60)
    assert recipe(film, "sky.png")["params"]["seed"] == 5


def test_inputs(session, film):
    from regen_vcs_addon import props

    with open(film.path("regen.toml"), "a") as file:
        file.write(ENLARGE)
    film.regen("trust", "--yes")
    session.refresh_trust()
    session.wait(60)
    dialog = open_dialog(session, "command:enlarge")
    session.wait(60)
    inputs = props.window_properties().new_inputs
    assert [each.name for each in inputs] == ["image"]
    inputs["image"].target = "sky.png"
    assert press(dialog) == {"FINISHED"}, dialog.told
    session.wait(60)
    assert session.by_path["film_generated/image/untitled/untitled.png"].inputs == (("image", "sky.png"),)
    dialog = open_dialog(session, "command:enlarge")
    inputs["image"].target = "//sky.png"
    dialog.name = "by Blender's path"
    assert press(dialog) == {"FINISHED"}, dialog.told
    session.wait(60)
    inputs["image"].target = "/etc/passwd"
    assert press(dialog) == {"CANCELLED"} and "outside" in dialog.told[-1]


def test_the_scene_of_a_render_is_this_file(session, film):
    from regen_vcs_addon import props

    bpy.context.scene.name = "Shot 10"
    open_dialog(session, "blender")
    session.wait(60)
    assert props.window_properties().new_inputs["scene"].target == "film.blend"
    assert form()["scene"].text_value == "Shot 10" and form()["scene"].touched


def test_what_could_not_be_made_is_never_placed(session, film):
    from regen_vcs_addon import placing

    with open(film.path("regen.toml"), "a") as file:
        file.write('\n[generators.broken]\nuses = "command"\nargv = ["false", "{output}"]\n')
    film.regen("trust", "--yes")
    session.refresh()
    session.wait(60)
    with pytest.raises(RuntimeError):
        bpy.ops.regen.generate(generator="command:broken", kind="image", name="x", way="STRIP", params_json="{}")
    assert not placing._waiting and not placed()
    placing.place_later(bpy.context, "sky.png", "STRIP")
    bpy.ops.regen.cancel(asset_id="sky.png")
    session.refresh()
    session.wait(60)
    assert not placed()


def test_a_form_of_another_project_or_an_earlier_addon_is_forgotten(session, film, tmp_path):
    """The window manager keeps fields and what was typed there, whatever is opened."""
    from regen_vcs_addon import handlers, props

    open_dialog(session, "texture")
    session.wait(60)
    form()["width"].int_value = 99
    other = Project(tmp_path / "zwei")
    other.save()
    session.need_schema("texture")
    session.wait(60)
    assert session.root == other.root and not props.new_form_shows(session, "texture")
    dialog = open_dialog(session, "texture")
    session.wait(60)
    assert not any(item.touched for item in form()) and form()["width"].int_value != 99
    form()["width"].int_value = 99
    addon_utils.disable(handlers.__package__, default_set=True)
    addon_utils.enable(handlers.__package__, default_set=True, persistent=False)
    from regen_vcs_addon import state

    state.get().wait(60)
    assert not props.new_form_shows(state.get(), "texture")
    assert press(dialog) == {"CANCELLED"} and "try again" in dialog.told[-1]


def test_a_schema_that_has_changed(session, film):
    dialog = open_dialog(session, "texture")
    session.wait(60)
    form()["width"].int_value = 24
    session.schemas["texture"] = session.schemas["texture"][:2]
    assert press(dialog) == {"CANCELLED"} and "try again" in dialog.told[-1]
    open_dialog(session, "texture")
    assert len(form()) == 2 and not any(item.touched for item in form())


def test_what_is_typed_into_a_recipe_stays_in_its_project(session, film, tmp_path):
    from regen_vcs_addon import props

    session.select("sky.png")
    session.wait(60)
    props.window_properties().form["width"].int_value = 99
    other = Project(tmp_path / "zwei")
    other.texture("sky.png", seed=2)
    other.save()
    session.wait(60)
    session.select("sky.png")
    session.wait(60)
    assert props.form_shows(session, "sky.png")
    assert not any(item.touched for item in props.window_properties().form)
    assert props.window_properties().form["width"].int_value == 16


def test_a_generator_that_cannot_say_what_it_takes(session, film):
    dialog = open_dialog(session, "command:nope")
    assert any("Asking" in (text or "") for text in drawn(dialog))
    session.wait(60)
    assert not any("Asking" in (text or "") for text in drawn(dialog)) and any("nope" in (text or "") for text in drawn(dialog))
    assert press(dialog) == {"CANCELLED"}


def test_the_dialog_opens_with_its_form(session, film, monkeypatch):
    """An open one is not drawn anew when an answer comes in."""
    from regen_vcs_addon import ops_generate

    again, opened = [], []
    monkeypatch.setattr(ops_generate, "_ask_again", again.append)
    dialog = open_dialog(session, "texture")
    session.wait(60)
    session.schemas.clear()
    session.refresh_generators()
    dialog.properties = SimpleNamespace(is_property_set=lambda name: True)
    context = SimpleNamespace(area=bpy.context.screen.areas[0], window_manager=SimpleNamespace(invoke_props_dialog=lambda *_args, **_more: opened.append(1)))
    for _ in range(2):
        assert ops_generate.REGEN_OT_generate.invoke(dialog, context, None) == {"CANCELLED"}
    assert not opened and not again
    session.wait(60)
    assert [asked["given"] for asked in again] == [{"generator": "texture"}], "however often it was clicked"
    ops_generate.REGEN_OT_generate.invoke(dialog, context, None)
    assert opened and not any("Asking" in (text or "") for text in drawn(dialog)) and "Width" in drawn(dialog)
    session.documents["generate_asked"] = {"at": -1e9, "area": 0, "given": {}}
    ops_generate.learn_forms(session)
    assert len(again) == 1, "minutes later nobody expects it any more"


def test_the_dialog_shows_what_is_needed_first(session, film):
    from regen_vcs_addon import forms

    fields = {f"p{number}": {"type": "integer"} for number in range(12)} | {"seed": {"type": "integer"}, "prompt": {"type": "string"}, "who": {"type": "string"}}
    dialog = open_dialog(session, "texture")
    session.wait(60)
    session.schemas["texture"] = forms.fields_of({"properties": fields, "required": ["who"]})
    open_dialog(session, "texture")
    shown = drawn(dialog)
    names = [text for text in shown if text in ("Who", "Prompt", "Seed") or str(text).startswith("P")]
    assert shown[-1] == "7 more"
    assert [name for name in names if name in ("Who", "Prompt", "Seed", "P0")] == ["Who", "Prompt", "Seed", "P0"] and "P4" in names and "P5" not in names


def test_two_of_one_name_at_once(session, film, monkeypatch):
    """In the window the first one's recipe is not written yet when the second is asked for."""
    from regen_vcs_addon import ops_generate

    monkeypatch.setattr(ops_generate, "finish", lambda operator, errors: {"FINISHED"})
    dialog = open_dialog(session, "texture")
    session.wait(60)
    form()["width"].int_value = form()["height"].int_value = 8
    assert press(dialog) == press(dialog) == {"FINISHED"}, dialog.told
    assert dialog.told == ["Queued: untitled.png", "Queued: untitled_002.png"]
    session.wait(60)
    assert {"untitled.png", "untitled_002.png"} <= {row.name for row in session.rows if row.state == "ok"}


def test_a_sound_is_no_picture(session, film):
    dialog = open_dialog(session, "tone")
    session.wait(60)
    dialog.kind = "image"
    assert press(dialog) == {"CANCELLED"} and "makes no image" in dialog.told[-1]
    dialog.kind, dialog.way = "sound", "PLANE"
    assert press(dialog) == {"CANCELLED"} and "cannot be added as plane" in dialog.told[-1]
    assert not [row for row in session.rows if row.path.startswith("film_generated")]
    assert bpy.ops.regen.generate(generator="tone", name="Ton", way="NONE", params_json="{}") == {"FINISHED"}
    assert "film_generated/sound/Ton/Ton.wav" in session.by_path


def test_files_of_the_project_are_offered_as_inputs(session, film):
    from regen_vcs_addon import ops_generate, props

    with open(film.path("Grün.txt"), "w") as file:
        file.write("x")
    open_dialog(session, "blender")
    session.wait(60)
    names = [each.name for each in props.window_properties().new_sources]
    assert {"Grün.txt", "film.blend", "sky.png", "regen.toml"} <= set(names) and not any(name.endswith(".regen.json") for name in names)
    ops_generate.show_sources("a\0b\u202e\0\udcff.png\0")
    assert [each.name for each in props.window_properties().new_sources] == ["a", "sky.png"]


def test_what_waits_survives_saving_under_another_name_and_no_other_file(session, film):
    from regen_vcs_addon import placing

    placing.place_later(bpy.context, "later.png", "STRIP")
    film.save("film v2.blend")
    assert [each.asset for each in placing._waiting] == ["later.png"]
    bpy.ops.wm.open_mainfile(filepath=film.path("film.blend"))
    assert not placing._waiting
    placing.place_later(bpy.context, "later.png", "STRIP")
    bpy.ops.wm.read_factory_settings(use_empty=True)  # which switches the addon off
    assert not placing._waiting


def test_it_is_placed_in_the_scene_it_was_asked_for(session, film):
    from regen_vcs_addon import placing, strips

    asked = strips.sequencer_scene(bpy.context)
    asked.frame_set(24)
    placing.place_later(bpy.context, "sky.png", "STRIP")
    placing.place_later(bpy.context, "sky.png", "STRIP")
    other = bpy.data.scenes.new("other")
    bpy.context.window.scene = other
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = other
    assert strips.sequencer_scene(bpy.context) == other
    placing.place_arrived(session)
    assert not strips.strips_of(other)
    assert [strip.frame_final_start for strip in strips.strips_of(asked)] == [24], "asked for twice, it is placed once"


def test_a_render_is_not_disturbed(session, film, monkeypatch):
    from regen_vcs_addon import placing

    placing.place_later(bpy.context, "sky.png", "STRIP")
    monkeypatch.setattr(placing, "is_rendering", lambda: True)
    placing.place_arrived(session)
    assert not placed()
    monkeypatch.undo()
    placing.place_arrived(session)
    assert [strip["regen_asset"] for strip in placed()] == ["sky.png"]


@pytest.mark.skipif(not bpy.app.build_options.audaspace, reason="this Blender has no sound")
def test_a_long_sound_lies_over_nothing(session, film):
    from regen_vcs_addon import placing

    film.regen("generate", "long.wav", "--generator", "tone", "--param", "duration=20")
    there = placing.place(bpy.context, "STRIP", "sky.png", film.path("sky.png"), frame=300)
    sound = placing.place(bpy.context, "STRIP", "long.wav", film.path("long.wav"), frame=1)
    assert sound.frame_final_end > 400 and sound.channel != there.channel
    assert (sound.frame_final_start, there.frame_final_start) == (1, 300)


def test_a_hostile_schema_makes_a_form(session, film):
    from regen_vcs_addon import form_props, forms

    long, words = "x" * 5_000_000, ["__class__", "class", "name", "touched", "</b>{x}", "schön", "a.b[0]", "rna_type"]
    properties = {name: {"type": "string", "default": "d", "title": "<b>\u202e" + name} for name in [*words, "a\0b", "\ud800", "a=b", "\u202e"]}
    properties |= {"long": {"type": "string", "default": long}, "many": {"enum": [long, "a"]}, "strange": {"enum": ["\ud800", "a"]}, "half": {"type": "string", "default": "\ud800"}}
    fields = forms.fields_of({"properties": properties})
    for _ in range(2):
        form_props.fill(form(), "new", fields)
    assert [item.name for item in form()] == [*words, "long", "many", "strange", "half"]
    assert form()["long"].text_value == "" and form()["class"].text_value == "d"
    form()["__class__"].text_value = "set"
    assert form_props.touched_params(form(), "new") == {"__class__": "set"}
    form_props.fill(form(), "new", fields, {"a\0b": 1, "\ud800": 2, "extra": 2**64 - 1})
    assert form()[-1].name == "extra" and form()[-1].text_value == str(2**64 - 1)


def test_as_an_image(session, film):
    assert bpy.ops.regen.add_to_scene(asset_id="sky.png", way="IMAGE") == {"FINISHED"}
    image = bpy.data.images["sky.png"]
    assert image.use_fake_user and os.path.samefile(bpy.path.abspath(image.filepath), film.path("sky.png"))
