"""Putting an asset into the scene: as strip, image plane, texture, or sound."""

import os

import bpy

from . import strips
from .frame_names import first_frame

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".exr", ".tif", ".tiff", ".webp", ".hdr", ".tga", ".bmp"}
MOVIE_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi"}
SOUND_SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aac"}
WAYS = (
    ("STRIP", "Strip", "In the sequencer, at the current frame", "SEQUENCE", 0),
    ("PLANE", "Image Plane", "A plane of the picture's shape, at the 3D cursor", "IMAGE_PLANE" if bpy.app.version >= (4, 2, 0) else "MESH_PLANE", 1),
    ("TEXTURE", "Texture", "In the material of the active object", "TEXTURE", 2),
    ("NONE", "Not Yet", "Only make it", "X", 3),
    ("IMAGE", "Image", "Among this file's images, and shown in the image editor", "IMAGE_DATA", 4),
)


class CannotPlace(Exception):
    """Why an asset cannot be put there, for the user."""


def kind_of(path):
    """"image", "movie" or "sound" by a path's suffix; "" for what Blender cannot show."""
    suffix = os.path.splitext(path)[1].lower()
    for kind, suffixes in (("image", IMAGE_SUFFIXES), ("movie", MOVIE_SUFFIXES), ("sound", SOUND_SUFFIXES)):
        if suffix in suffixes:
            return kind
    return ""


def place(context, way, asset, absolute, *, frames="", frame=None, location=None, object_name=""):
    """Put an asset into the scene; what was made of it (a strip, an object, an image).

    asset: path in the repository; absolute: on disk (`####` for a sequence, whose range is `frames`); frame: where, else the
    current one; location: of a plane, else the cursor. CannotPlace where that makes no sense.
    """
    kind = kind_of(asset)
    if not kind:
        raise CannotPlace(f"{asset}: Blender shows no such files")
    if way == "STRIP":
        return place_strip(context, asset, absolute, kind, frames, frame)
    if kind != "image":
        raise CannotPlace(f"{asset}: only pictures can be a plane, a texture or an image; it can be a strip")
    if way == "PLANE":
        return place_plane(context, asset, absolute, frames, location)
    if way == "IMAGE":
        return place_image(context, absolute, frames)
    return place_texture(context, asset, absolute, frames, object_name)


def place_image(context, absolute, frames=""):
    """An image of this file, kept though nothing uses it yet, in the image editor if one is open."""
    image = load_image(absolute, frames)
    image.use_fake_user = True
    for area in context.screen.areas if context.screen else ():
        if area.type == "IMAGE_EDITOR":
            area.spaces.active.image = image
    return image


def place_strip(context, asset, absolute, kind, frames="", frame=None):
    scene = strips.sequencer_scene(context)
    collection = strips.collection_of(scene, create=True)
    start = scene.frame_current if frame is None else frame
    name = os.path.basename(asset)
    files = _files_of(absolute, frames)
    path = _relative(files[0])
    channel = strips.free_channel(collection, start, max(len(files), 250))
    if kind == "sound":
        strip = collection.new_sound(name=name, filepath=path, channel=channel, frame_start=start)
    elif kind == "movie":
        strip = collection.new_movie(name=name, filepath=path, channel=channel, frame_start=start)
    else:
        strip = collection.new_image(name=name, filepath=path, channel=channel, frame_start=start)
        for each in files[1:]:
            strip.elements.append(os.path.basename(each))
        if len(files) == 1:
            strip.frame_final_duration = max(1, scene.render.fps * 2)
    strip["regen_asset"] = asset
    _keep_clear(collection, strip)
    if scene.frame_end < strips.end_of(strip) - 1:
        scene.frame_end = strips.end_of(strip) - 1
    return strip


def _keep_clear(collection, strip):
    """Its length is known only now: where it would lie over another strip, it goes higher."""
    start, end = strip.frame_final_start, strips.end_of(strip)
    others = [each for each in collection if each != strip]
    if any(each.channel == strip.channel and each.frame_final_start < end and strips.end_of(each) > start for each in others):
        strip.channel = strips.free_channel(others, start, end - start)


def _files_of(absolute, frames):
    """The files of an asset: of a sequence those of its range that are there."""
    if "#" not in os.path.basename(absolute):
        return [absolute]
    numbers = [int(part) for part in frames.split("-") if part.strip().isascii() and part.strip().isdigit()][:2] or [1]
    found = [first_frame(absolute, str(number)) for number in range(numbers[0], min(numbers[-1], numbers[0] + 100_000) + 1)]
    return [path for path in found if os.path.exists(path)] or found[:1]


def _relative(path):
    """`//…` where the .blend is saved and on the same drive."""
    if not bpy.data.filepath:
        return path
    try:
        return bpy.path.relpath(path)
    except ValueError:
        return path


def load_image(absolute, frames=""):
    """The image datablock of an asset, that of its file if it is there already."""
    files = _files_of(absolute, frames)
    image = bpy.data.images.load(_relative(files[0]), check_existing=True)
    if len(files) > 1:
        image.source = "SEQUENCE"
    return image


def place_plane(context, asset, absolute, frames="", location=None):
    """A plane two units high, lit by itself, standing upright and facing the front view."""
    image = load_image(absolute, frames)
    width, height = image.size if image.size[0] and image.size[1] else (1, 1)
    half = width / height
    name = os.path.splitext(os.path.basename(asset))[0]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(-half, 0, -1), (half, 0, -1), (half, 0, 1), (-half, 0, 1)], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    for loop, corner in zip(layer.data, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=False):
        loop.uv = corner
    mesh.materials.append(_picture_material(name, image, len(_files_of(absolute, frames))))
    plane = bpy.data.objects.new(name, mesh)
    plane.location = context.scene.cursor.location if location is None else location
    plane["regen_asset"] = asset
    context.scene.collection.objects.link(plane)
    return plane


def _picture_material(name, image, frame_count):
    material = bpy.data.materials.new(name)
    _use_nodes(material)
    tree = material.node_tree
    tree.nodes.clear()
    texture, shine, output = (tree.nodes.new(kind) for kind in ("ShaderNodeTexImage", "ShaderNodeEmission", "ShaderNodeOutputMaterial"))
    texture.image = image
    texture.location, shine.location, output.location = (-400, 0), (-100, 0), (100, 0)
    if frame_count > 1:
        texture.image_user.frame_duration = frame_count
        texture.image_user.use_auto_refresh = True
    tree.links.new(texture.outputs["Color"], shine.inputs["Color"])
    tree.links.new(shine.outputs["Emission"], output.inputs["Surface"])
    return material


def _use_nodes(material):
    """From 5.0 on every material has nodes, and saying so is a thing of the past."""
    if material.node_tree is None:
        material.use_nodes = True


def place_texture(context, asset, absolute, frames="", object_name=""):
    """An image texture in the active object's material, linked to its base colour if nothing is yet."""
    target = bpy.data.objects.get(object_name) if object_name else context.object
    if target is None or not hasattr(target.data, "materials"):
        raise CannotPlace("Select an object that can have a material first")
    material = target.active_material
    if material is None:
        material = bpy.data.materials.new(os.path.splitext(os.path.basename(asset))[0])
        target.data.materials.append(material)
    _use_nodes(material)
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = load_image(absolute, frames)
    node.location = (-400, 300)
    shader = next((each for each in tree.nodes if each.type == "BSDF_PRINCIPLED"), None)
    if shader and not shader.inputs["Base Color"].is_linked:
        tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    return node.image


# ------------------------------------------------------------------------------------ what is placed when it arrives


class Waiting:
    """An asset that is to be placed as soon as it is on disk, and where. scene, edit: the names of the scene and of the one whose strips were shown."""

    def __init__(self, asset, way, scene, edit, frame, location, object_name):
        self.asset, self.way, self.frame, self.location, self.object_name = asset, way, frame, location, object_name
        self.scene, self.edit = scene, edit

    def scenes(self):
        """Of the context to place it in: whoever waits may have gone to another scene. One that is gone leaves the present one."""
        found = {"scene": bpy.data.scenes.get(self.scene), "sequencer_scene": bpy.data.scenes.get(self.edit)}
        return {name: scene for name, scene in found.items() if scene is not None and hasattr(bpy.context, name)}


_waiting: list[Waiting] = []


def place_later(context, asset, way):
    """Place an asset when it arrives, where cursor, frame and selection are now."""
    if way != "NONE":
        active = context.object.name if context.object else ""
        edit = strips.sequencer_scene(context)
        forget(asset)
        _waiting.append(Waiting(asset, way, context.scene.name, edit.name, edit.frame_current, tuple(context.scene.cursor.location), active))


def forget(asset):
    """It will not come: its recipe could not be written, it could not be made, or nobody wants it any more. "": nothing will."""
    _waiting[:] = [each for each in _waiting if asset and each.asset != asset]


def is_rendering():
    """Whether a render runs beside: it reads the scene, which must not change under it."""
    return bpy.app.is_job_running("RENDER")


def place_arrived(session):
    """Place what has arrived; called when the rows are new."""
    if _waiting and is_rendering():
        return
    for each in list(_waiting):
        row = session.by_path.get(each.asset)
        if row is None or not row.on_disk or row.state in ("running", "queued"):
            continue
        _waiting.remove(each)
        frames = session.frames_of(each.asset)
        try:
            with bpy.context.temp_override(**each.scenes()):
                place(bpy.context, each.way, each.asset, session.absolute(each.asset), frames=frames, frame=each.frame, location=each.location, object_name=each.object_name)
        except (CannotPlace, RuntimeError, ReferenceError) as error:
            session.note("ERROR", f"{each.asset} is there, but could not be placed", str(error))
        else:
            undo_step(each.asset)
            session.note("INFO", f"{os.path.basename(each.asset)} has arrived")


def undo_step(asset):
    """What a timer changes belongs to no operator: without this it would be undone together with whatever the user did before."""
    if bpy.app.background:
        return
    with bpy.context.temp_override(window=bpy.context.window or bpy.context.window_manager.windows[0]):
        bpy.ops.ed.undo_push(message=f"Regen: place {os.path.basename(asset)}")
