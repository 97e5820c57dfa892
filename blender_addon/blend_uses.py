"""Which files this .blend uses: images, movies, sounds, and the strips of every scene. And how to point one of them elsewhere."""

import os

import bpy

from .references import Use
from .strips import strips_of


class Holder:
    """Something that names a file. key: ("image", name), ("strip", scene, name) and the like, good for as long as names stay."""

    def __init__(self, key, owner, path, folder, sequence=False):
        self.key, self.owner, self.path, self.folder, self.sequence = key, owner, path, folder, sequence


def holders():
    """Every Holder of this .blend. What is packed or made in Blender names no file."""
    found = []
    for image in bpy.data.images:
        if image.source in {"FILE", "SEQUENCE", "MOVIE", "TILED"} and image.filepath and not image.packed_file:
            found.append(Holder(("image", image.name, _library(image)), f"Image {image.name}", image.filepath, _folder(image), image.source == "SEQUENCE"))
    for clip in bpy.data.movieclips:
        if clip.filepath:
            found.append(Holder(("clip", clip.name, _library(clip)), f"Clip {clip.name}", clip.filepath, _folder(clip), clip.source == "SEQUENCE"))
    for sound in bpy.data.sounds:
        if sound.filepath and not sound.packed_file:
            found.append(Holder(("sound", sound.name, _library(sound)), f"Sound {sound.name}", sound.filepath, _folder(sound)))
    for scene in bpy.data.scenes:
        for strip in strips_of(scene):
            path = strip_path(strip)
            if path:
                several = strip.type == "IMAGE" and len(strip.elements) > 1
                found.append(Holder(("strip", scene.name, strip.name), f"Strip {strip.name}", path, _folder(scene), several))
    return found


def _library(block):
    return block.library.filepath if block.library else ""


def _folder(block):
    """Of the file that a datablock's `//` is relative to."""
    path = bpy.path.abspath(block.library.filepath) if block.library else bpy.data.filepath
    return os.path.dirname(os.path.abspath(path)) if path else ""


def strip_path(strip):
    """The path of what a strip shows, "" for those that show no file. A sound strip's is its sound's."""
    if strip.type == "IMAGE":
        name = strip.elements[0].filename if len(strip.elements) else ""
        return strip.directory.rstrip("/\\") + "/" + name if name else ""
    return getattr(strip, "filepath", "") if strip.type == "MOVIE" else ""


def uses(remembered=None):
    """references.Use of every holder. remembered: {path of the asset: hash} to find what moved; with it paths are matched by name's end."""
    return [Use(each.owner, each.path, each.folder, _hash_of(each, remembered or {}), each.sequence) for each in holders()]


def _hash_of(holder, remembered):
    """The hash that the .blend remembers for the asset a path ended in, if exactly one fits: folders above may have moved."""
    wanted = holder.path.replace("\\", "/").lstrip("/")
    parts = [part for part in wanted.split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        found = remembered.get("/".join(parts[start:]))
        if found:
            return found
    return ""


def block_of(key):
    """The datablock or strip of a Holder's key, None if it is gone."""
    if key[0] == "strip":
        scene = bpy.data.scenes.get(key[1])
        return next((strip for strip in strips_of(scene) if strip.name == key[2]), None) if scene else None
    collection = {"image": bpy.data.images, "clip": bpy.data.movieclips, "sound": bpy.data.sounds}[key[0]]
    return next((each for each in collection if each.name == key[1] and _library(each) == key[2]), None)


def point_to(key, path):
    """Have a holder name another file; whether it could. What comes from a library cannot be changed here."""
    block = block_of(key)
    if block is None or (key[0] != "strip" and block.library):
        return False
    if key[0] == "strip" and block.type == "IMAGE":
        folder, _, name = path.replace("\\", "/").rpartition("/")
        block.directory = folder + "/"
        _rename_elements(block, name)
    else:
        block.filepath = path
    return True


def _rename_elements(strip, name):
    """The first frame's name; the others keep their distance from it where the names are numbered."""
    from .frame_names import renumbered

    for element, filename in zip(strip.elements, renumbered([each.filename for each in strip.elements], name), strict=False):
        element.filename = filename
