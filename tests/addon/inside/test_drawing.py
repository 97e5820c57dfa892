"""Every panel can be drawn, in every state, by this Blender; and 5,000 assets are drawn in the time of one picture of a screen."""

import ast
import os
import time

import bpy

ICONS = set(bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items.keys())
FRAME = 0.016


class Layout:
    """Stands where Blender's layout does: notes what is drawn, refuses what Blender does not have."""

    def __init__(self, drawn=None):
        object.__setattr__(self, "drawn", [] if drawn is None else drawn)

    def __setattr__(self, name, value):
        assert name in bpy.types.UILayout.bl_rna.properties, f"a layout has no {name}"
        object.__setattr__(self, name, value)

    def _part(self, *_args, **_kwargs):
        return Layout(self.drawn)

    row = column = box = split = grid_flow = column_flow = _part

    def label(self, *, text="", icon="NONE", icon_value=0):
        assert icon in ICONS, icon
        self.drawn.append(text)

    def operator(self, name, *, text=None, icon="NONE", emboss=True, depress=False):
        assert icon in ICONS, icon
        group, _, short = name.partition(".")
        kind = getattr(getattr(bpy.ops, group), short).get_rna_type()
        self.drawn.append(text if text is not None else kind.name)
        return Properties(kind)

    def operator_menu_enum(self, name, prop, *, text="", icon="NONE"):
        assert icon in ICONS, icon
        self.drawn.append(text)

    def prop(self, data, name, *, text=None, icon="NONE", toggle=False, slider=False, index=-1, expand=False):
        assert icon in ICONS, icon
        getattr(data, name)
        self.drawn.append(text)

    def progress(self, *, text="", factor=0.0, type="BAR"):
        assert 0 <= factor <= 1
        self.drawn.append(text)

    def template_list(self, kind, *_args, **_kwargs):
        assert hasattr(bpy.types, kind)

    def template_icon(self, icon_value, scale=1.0):
        assert icon_value

    def separator(self, factor=1.0):
        pass


class Properties:
    """Of an operator: what it has can be set, and nothing else."""

    def __init__(self, kind):
        object.__setattr__(self, "kind", kind)

    def __setattr__(self, name, value):
        assert name in self.kind.properties, f"{self.kind.identifier} has no {name}"


if not hasattr(bpy.types.UILayout, "progress") and "progress" not in bpy.types.UILayout.bl_rna.functions:
    del Layout.progress


def panels():
    from regen_vcs_addon import panels as first
    from regen_vcs_addon import panels_more as second

    return [*first._CLASSES, *second._CLASSES]


def draw_all():
    """The words that are drawn."""
    drawn = []
    for panel in panels():
        stand_in = type("Panel", (), {"layout": Layout(drawn)})()
        panel.draw(stand_in, bpy.context)
    return drawn


def test_every_space_has_the_panel(session):
    names = {panel.bl_space_type for panel in panels() if panel.bl_idname.startswith("REGEN_PT_main")}
    assert names == {"VIEW_3D", "SEQUENCE_EDITOR", "IMAGE_EDITOR", "NODE_EDITOR"}
    assert all(panel.bl_category == "Regen" for panel in panels())
    assert all(hasattr(bpy.types, panel.bl_parent_id) for panel in panels() if hasattr(panel, "bl_parent_id"))


def test_an_unsaved_file(session):
    assert "This file has not been saved" in " ".join(filter(None, draw_all())) and "Save As…" in draw_all()


def test_without_regen_vcs(session, project):
    bpy.context.preferences.addons["regen_vcs_addon"].preferences.executable = "/nowhere/regen-vcs"
    session.wait(30)
    assert "Preferences…" in draw_all()


def test_a_project(session, project):
    project.texture("sky.png", seed=1)
    os.unlink(project.texture("rain.png", seed=2))
    project.save()
    session.wait(60)
    session.select("rain.png")
    session.wait(60)
    bpy.ops.regen.look_at_storage()
    bpy.ops.regen.check_references()
    drawn = draw_all()
    assert "Regenerate 1 Missing" in drawn and "1 of 2 ready" in drawn and "rain.png" in drawn
    assert any(text and text.startswith("Seed") for text in drawn)


def test_every_state_and_a_queue(session, project):
    from regen_vcs_addon import listing

    project.save()
    session.wait(60)
    states = [*listing.STATES, "a state of tomorrow"]
    session._take_status({"assets": [asset(number, state) for number, state in enumerate(states)]})
    session._take_queue({"jobs": [{"id": number, "path": f"shots/{number:05d}.png", "state": "running" if number else "queued", "progress": 0.3, "estimate": 9.0} for number in range(7)]})
    for number in range(len(states)):
        session.selected = f"shots/{number:05d}.png"
        assert draw_all()
    from regen_vcs_addon.status_bar import words

    assert words(session).startswith("Regen: 0 of 7")


def asset(number, state="ok"):
    return {
        "path": f"shots/{number:05d}.png", "state": state, "generator": "texture", "output": f"blake3:{number:064x}", "on_disk": f"blake3:{number:064x}",
        "in_store": True, "can_regenerate": True, "size": 1000 + number, "seconds": number / 7, "inputs": {"plate": f"shots/{number - 1:05d}.png"} if number % 2 else {},
        "tags": ["hero"] if number % 5 == 0 else [], "models": {"base": {"name": "sd_xl", "version": "1"}},
    }  # fmt: skip


def test_five_thousand_assets_are_fluid(session, project, record_property):
    """What Blender calls for each picture of its window, and what happens on each new letter of a search. Counted is this thread's own time."""
    from regen_vcs_addon import lists, props

    project.save()
    session.wait(60)
    began = time.thread_time()
    session._take_status({"assets": [asset(number, ("ok", "missing", "stale")[number % 3]) for number in range(5000)]})
    taken = time.thread_time() - began
    regen = props.window_properties()
    assert len(regen.assets) == 5000
    drawing = best_of(5, lambda: draw_list(regen))
    assert drawing < FRAME, f"{drawing * 1000:.1f} ms"
    letters = []
    for text in ("s", "sh", "sho 4", "4999", "hero", ""):
        regen.search = text
        began = time.thread_time()
        draw_list(regen)
        letters.append(time.thread_time() - began)
    regen.search = "0004"
    assert lists.arranged.update(session, regen, 1).count == 11
    print(f"5,000 assets: taken in {taken * 1000:.0f} ms, drawn in {drawing * 1000:.2f} ms, a letter {max(letters) * 1000:.1f} ms")
    assert sorted(letters)[-2] < 2 * FRAME, letters


def best_of(times, function):
    found = []
    for _ in range(times):
        began = time.thread_time()
        function()
        found.append(time.thread_time() - began)
    return min(found)


def draw_list(regen):
    """The list's filter over everything, and as many lines as a tall list shows."""
    from regen_vcs_addon import lists

    flags, _order = FakeList.filter_items(FakeList, bpy.context, regen, "assets")
    assert len(flags) == len(regen.assets)
    for index in range(14):
        lists.REGEN_UL_assets.draw_item(None, bpy.context, Layout(), regen, regen.assets[index], 0, regen, "active", index)
    draw_all()


class FakeList:
    bitflag_filter_item = 1 << 30

    @staticmethod
    def filter_items(self, context, data, name):
        from regen_vcs_addon import lists

        return lists.REGEN_UL_assets.filter_items(self, context, data, name)


def test_drawing_starts_nothing(session, project, monkeypatch):
    project.texture("sky.png")
    project.save()
    session.wait(60)
    from regen_vcs_addon import children, jobs

    def refuse(*_args, **_kwargs):
        raise AssertionError("a process was started while drawing")

    monkeypatch.setattr(children.subprocess, "Popen", refuse)
    monkeypatch.setattr(jobs.Jobs, "start", refuse)
    draw_all()


def test_every_icon_in_the_code_is_one_of_this_blender(addon):
    """Of all words in capitals that are given as an icon, or stand in a table of icons."""
    folder = os.path.dirname(addon.__file__)
    wrong = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                if isinstance(node, ast.keyword) and node.arg == "icon":
                    wrong += [(name, each.value) for each in ast.walk(node.value) if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value.isupper() and each.value not in ICONS]
    assert not wrong
    from regen_vcs_addon import messages

    assert {each.icon for each in vars(messages).values() if isinstance(each, messages.Message)} <= ICONS
