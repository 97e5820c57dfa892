"""The working set from Blender: scene, strips, or a range of frames; and making first what is near the current frame."""

import time

import bpy
from bpy.props import EnumProperty

from . import blend_uses, props, references, state, strips, timers
from .ops_assets import run

# Frames before and after the current one, in seconds of the film.
NEAR = 4.0
_LAZY_INTERVAL = 1.0
_NEEDED = {"missing", "pending", "queued", "skipped"}
# Of a scene with more, no others are looked at: it is done beside the artist's work.
MAX_OBJECTS = 2000

_WAYS = (
    ("SCENE", "This Scene", "What the whole .blend uses"),
    ("STRIPS", "Selected Strips", "What the selected strips show"),
    ("FRAMES", "Frame Range", "What the strips show between the scene's first and last frame"),
)


def assets_of_strips(session, chosen):
    """The assets that strips show, in their order, each once."""
    paths = (blend_uses.path_of(strip.sound) if strip.type == "SOUND" and strip.sound else blend_uses.strip_path(strip) for strip in chosen)
    return _assets_at(session, zip(paths, (blend_uses.folder_of(strip.id_data) for strip in chosen), strict=True))


def assets_in_view(session, context):
    """The assets that the materials of visible objects show, and the pictures among the objects themselves."""
    images = dict.fromkeys(image for each in context.view_layer.objects[:MAX_OBJECTS] if each.visible_get() for image in _images_of(each))
    return _assets_at(session, ((blend_uses.path_of(image), blend_uses.folder_of(image)) for image in images))


def _images_of(each):
    if each.type == "EMPTY" and isinstance(each.data, bpy.types.Image):
        yield each.data
    for slot in each.material_slots:
        tree = slot.material.node_tree if slot.material else None
        yield from (node.image for node in (tree.nodes if tree else ()) if node.bl_idname == "ShaderNodeTexImage" and node.image)


def _assets_at(session, places):
    """The assets at (path, folder that it is relative to), in this order, each once."""
    catalogue = references.Catalogue(references.Asset(row.path) for row in session.rows)
    found = {}
    for path, folder in places:
        inside = references.repository_path(references.absolute_of(path, folder), session.root) if path else None
        asset = catalogue.at(inside) if inside else None
        if asset:
            found[asset] = None
    return list(found)


def strips_between(scene, first, last):
    return [strip for strip in strips.strips_of(scene) if strip.frame_final_start <= last and strips.end_of(strip) > first and not strip.mute]


def chosen_assets(session, context, way):
    """What a working set of this .blend would hold, with what that is made from left to regen-vcs."""
    from .blend_vault import used_assets

    scene = strips.sequencer_scene(context)
    if way == "SCENE":
        return used_assets(session)
    if way == "STRIPS":
        return assets_of_strips(session, [strip for strip in strips.strips_of(scene) if strip.select])
    first, last = (scene.frame_preview_start, scene.frame_preview_end) if scene.use_preview_range else (scene.frame_start, scene.frame_end)
    return assets_of_strips(session, strips_between(scene, first, last))


class REGEN_OT_set_working_set(bpy.types.Operator):
    bl_idname = "regen.set_working_set"
    bl_label = "Set Working Set"
    bl_description = "Hold only these assets on this disk; the rest stay recipes, and come back when they are wanted"

    way: EnumProperty(name="Hold", items=_WAYS)

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def invoke(self, context, _event):
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context):
        session = state.get()
        chosen = chosen_assets(session, context, self.way)
        if not chosen:
            self.report({"ERROR"}, "No asset of the project is used there")
            return {"CANCELLED"}
        specs = [f":(top,literal){path}" for path in chosen]
        return run(self, f"Holding {len(chosen)} assets", "workset", "only", "--background", "--", *specs, then=_note_set, as_json=True)


class REGEN_OT_hold_everything(bpy.types.Operator):
    bl_idname = "regen.hold_everything"
    bl_label = "Hold Everything"
    bl_description = "Hold every asset of the project on this disk again"

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def execute(self, _context):
        return run(self, "Holding everything", "workset", "all", "--background", then=_note_set, as_json=True)


def _note_set(document):
    state.get().documents["workset"] = document


class _Lazy:
    """What was asked for lately, so that a standing playhead asks once."""

    def __init__(self):
        self.asked: set[str] = set()
        self.at = 0.0


_lazy = _Lazy()


@timers.every_beat
def follow_playhead():
    """While switched on: what is missing near the current frame is made before everything else."""
    session = state.get()
    if time.monotonic() - _lazy.at < _LAZY_INTERVAL or not session.looked or not session.usable:
        return
    _lazy.at = time.monotonic()
    if props.window_properties().lazy and bpy.context.scene:
        make_near(session, bpy.context)


def make_near(session, context):
    """Queue what is missing near the current frame, nearest first, then what is missing in view; the assets."""
    if not _NEEDED & {row.state for row in session.rows}:
        return []
    scene = strips.sequencer_scene(context)
    now, reach = scene.frame_current, NEAR * scene.render.fps
    near = strips_between(scene, now - reach, now + reach)
    near.sort(key=lambda strip: max(strip.frame_final_start - now, now - strips.end_of(strip), 0))
    assets = dict.fromkeys([*assets_of_strips(session, near), *assets_in_view(session, context)])
    wanted = [path for path in assets if session.by_path[path].state in _NEEDED]
    new = [path for path in wanted if path not in _lazy.asked]
    if new:
        _lazy.asked.update(new)
        waiting = [path for path in new if session.by_path[path].state == "queued"]
        fresh = [path for path in new if path not in waiting]
        if fresh:
            session.do(f"Queuing {len(fresh)} near frame {now}", "regenerate", "--queue", "--", *fresh, paths=fresh)
        if waiting:
            session.do("Putting first what is near", "queue", "prioritize", "--", *waiting, paths=waiting, otherwise=lambda error: None)
    return new


def forget_asked():
    """What was queued has been made or failed: it may be asked for again."""
    session = state.get()
    _lazy.asked = {path for path in _lazy.asked if path in session.by_path and session.by_path[path].state in ("queued", "running", "missing", "failed")}


_CLASSES = (REGEN_OT_set_working_set, REGEN_OT_hold_everything)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    _lazy.asked = set()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
