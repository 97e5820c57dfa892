"""Runs inside Blender: a recipe's parameters become the scene's settings. None leaves what the file has."""

from __future__ import annotations

import bpy
import linked_files
from talking import Failure

IMAGE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".exr": "OPEN_EXR", ".webp": "WEBP", ".tif": "TIFF",
                 ".tiff": "TIFF"}
CONTAINERS = {".mp4": "MPEG4", ".mkv": "MKV", ".mov": "QUICKTIME", ".webm": "WEBM"}
_DEPTHS = {"PNG": "8", "TIFF": "8", "OPEN_EXR": "16"}
_CODEC_NAMES = {"VP9": "WEBM"}
# What differs from machine to machine or run to run; burnt into the picture it would make every rerun another take.
_VOLATILE_STAMPS = ("date", "time", "render_time", "memory", "hostname", "filename")


def choose_scene(name):
    """The scene to render, made the current one."""
    scene = bpy.context.scene if name is None else _named(bpy.data.scenes, name, "scene")
    if bpy.context.window is not None:
        bpy.context.window.scene = scene
    return scene


def apply(scene, params):
    """Everything but the output's format."""
    render = scene.render
    if params["engine"] is not None:
        _set_engine(render, params["engine"])
    if params["view_layer"] is not None:
        chosen = _named(scene.view_layers, params["view_layer"], "view layer")
        for layer in scene.view_layers:
            layer.use = layer == chosen
    if params["camera"] is not None:
        _set_camera(scene, params["camera"])
    _set_size(render, params)
    _set_sampling(scene, params)
    if params["fps"] is not None:
        _set_rate(render, params["fps"])
    if params["transparent"] is not None:
        render.film_transparent = params["transparent"]
    if params["sequencer"] is not None:
        if params["sequencer"] and not linked_files.strips_of(scene):
            raise Failure(f"scene {scene.name} has no strips to render", "sequencer=false renders the scene itself")
        render.use_sequencer = params["sequencer"]


def keep_inside(scene):
    """Nothing is written but what we ask for, and nothing volatile goes into it."""
    render = scene.render
    render.use_file_extension = False
    render.use_overwrite, render.use_placeholder = True, False
    if hasattr(render, "use_render_cache"):
        render.use_render_cache = False
    stamps = [prop.identifier for prop in render.bl_rna.properties if prop.identifier.startswith("use_stamp_")]
    for name in stamps:
        if not render.use_stamp or name.removeprefix("use_stamp_") in _VOLATILE_STAMPS:
            setattr(render, name, False)
    for tree in [each.node_tree for each in bpy.data.scenes if getattr(each, "node_tree", None)] + list(bpy.data.node_groups):
        for node in tree.nodes:
            if node.bl_idname == "CompositorNodeOutputFile":
                node.mute = True


def set_image_format(scene, suffix, params):
    """PNG, JPEG, …; what the file says of the same format stays."""
    settings = scene.render.image_settings
    wanted = IMAGE_FORMATS[suffix]
    if not (settings.file_format == wanted or (wanted == "OPEN_EXR" and settings.file_format == "OPEN_EXR_MULTILAYER")):
        if hasattr(settings, "media_type"):
            settings.media_type = "IMAGE"
        _choose(settings, "file_format", wanted, "format")
        if wanted in _DEPTHS:
            settings.color_depth = _DEPTHS[wanted]
        settings.color_mode = "RGB"
    if params["transparent"]:
        _choose(settings, "color_mode", "RGBA", "transparent")
    if params["color_depth"] is not None:
        _choose(settings, "color_depth", str(params["color_depth"]), "color_depth")
    if params["codec"] is not None:
        if wanted != "OPEN_EXR":
            raise Failure(f"params.codec: {suffix} has none", "it is for .exr and movies")
        _choose(settings, "exr_codec", params["codec"], "codec")
    if params["quality"] is not None:
        if not isinstance(params["quality"], int) or wanted not in ("JPEG", "WEBP"):
            raise Failure(f"params.quality: of {suffix} there is none" if wanted not in ("JPEG", "WEBP")
                          else "params.quality: of a picture is a number, 1 to 100")
        settings.quality = params["quality"]
    if params["audio_codec"] is not None:
        raise Failure(f"params.audio_codec: {suffix} has no sound", "it is for movies")


def set_movie_format(scene, suffix, params):
    render, settings, movie = scene.render, scene.render.image_settings, scene.render.ffmpeg
    if settings.file_format != "FFMPEG":
        if hasattr(settings, "media_type"):
            settings.media_type = "VIDEO"
        _choose(settings, "file_format", "FFMPEG", "format")
        movie.format = CONTAINERS[suffix]
        movie.codec = "WEBM" if suffix == ".webm" else "H264"
        movie.constant_rate_factor = "MEDIUM"
        movie.gopsize, movie.audio_codec = 12, "NONE"
    movie.format = CONTAINERS[suffix]
    movie.use_autosplit = False
    if params["codec"] is not None:
        _choose(movie, "codec", _CODEC_NAMES.get(params["codec"], params["codec"]), "codec")
    if params["quality"] is not None:
        _choose(movie, "constant_rate_factor", params["quality"], "quality")
    if params["audio_codec"] is not None:
        _choose(movie, "audio_codec", params["audio_codec"], "audio_codec")
    if params["transparent"]:
        _choose(settings, "color_mode", "RGBA", "transparent")
    if params["color_depth"] is not None:
        _choose(settings, "color_depth", str(params["color_depth"]), "color_depth")
    return render


def device_of(scene, wanted):
    """What Cycles renders on, set up; "CPU" for the other engines too, which ask nobody."""
    if scene.render.engine != "CYCLES":
        return "CPU"
    scene.cycles.device = wanted
    if wanted == "CPU":
        return "CPU"
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for kind in ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI"):
        try:
            preferences.compute_device_type = kind
            preferences.get_devices()
        except TypeError:
            continue  # this Blender is built without it
        found = [each for each in preferences.devices if each.type == kind]
        if found:
            for each in preferences.devices:
                each.use = each.type == kind
            return f"{kind}: {', '.join(each.name for each in found)}"
    raise Failure("this Blender finds no GPU that Cycles can use", "render with device=CPU")


def _named(collection, name, word):
    found = collection.get(name)
    if found is None:
        raise Failure(f"there is no {word} {name!r} in it", "there is " + (", ".join(map(repr, collection.keys()[:10])) or "none"))
    return found


def _choose(holder, attribute, value, param):
    """Set an enumeration's value; Failure that names what this Blender takes."""
    try:
        setattr(holder, attribute, value)
    except TypeError as error:
        allowed = str(error).rpartition("not found in ")[2]
        raise Failure(f"params.{param}: {value!r} is not possible here", f"this Blender takes {allowed}" if allowed else None) from None


def _set_engine(render, name):
    """EEVEE was called otherwise in 4.2 to 4.5."""
    if name == "BLENDER_EEVEE" and (4, 2) <= bpy.app.version < (5, 0):
        name = "BLENDER_EEVEE_NEXT"
    _choose(render, "engine", name, "engine")


def _set_camera(scene, name):
    found = _named(scene.objects, name, "object")
    if found.type != "CAMERA":
        cameras = ", ".join(repr(each.name) for each in scene.objects if each.type == "CAMERA")
        raise Failure(f"params.camera: {name!r} is not a camera", f"there is {cameras or 'none'}")
    for marker in scene.timeline_markers:
        marker.camera = None  # else the timeline would change it
    scene.camera = found


def _set_size(render, params):
    if params["width"] is not None:
        render.resolution_x = params["width"]
    if params["height"] is not None:
        render.resolution_y = params["height"]
    if params["percentage"] is not None:
        render.resolution_percentage = params["percentage"]
    elif params["width"] is not None or params["height"] is not None:
        render.resolution_percentage = 100  # whoever says pixels means pixels


def _set_sampling(scene, params):
    if params["samples"] is not None:
        scene.cycles.samples = params["samples"]
        scene.eevee.taa_render_samples = params["samples"]
    if params["seed"] is not None:
        scene.cycles.seed = params["seed"]
    if params["denoise"] is not None:
        scene.cycles.use_denoising = params["denoise"]


def _set_rate(render, rate):
    """23.976 as 24 / 1.001."""
    whole = round(rate)
    render.fps, render.fps_base = max(1, whole), max(1, whole) / rate
