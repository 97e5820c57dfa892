"""Which files this .blend uses: images, movies, sounds, and the strips of every scene. And how to point one of them elsewhere.

What shows a stand-in (stand_ins.py) uses the file that it will show again: its true path stays in a custom property.
"""

import json
import os

import bpy

from .references import Use
from .strips import strips_of

TRUTH = "regen_true_path"
_ON_DISK = {"FILE", "SEQUENCE", "MOVIE", "TILED"}


class Holder:
    """Something that names a file. key: ("image", name), ("strip", scene, name) and the like, good for as long as names stay."""

    def __init__(self, key, owner, path, folder, sequence=False):
        self.key, self.owner, self.path, self.folder, self.sequence = key, owner, path, folder, sequence


def holders():
    """Every Holder of this .blend. What is packed or made in Blender names no file."""
    found = []
    for image in bpy.data.images:
        source, path = truth_of(image).get("source", image.source), path_of(image)
        if source in _ON_DISK and path and (not image.packed_file or truth_of(image)):
            found.append(Holder(("image", image.name, _library(image)), f"Image {image.name}", path, folder_of(image), source == "SEQUENCE"))
    for clip in bpy.data.movieclips:
        if clip.filepath:
            found.append(Holder(("clip", clip.name, _library(clip)), f"Clip {clip.name}", path_of(clip), folder_of(clip), clip.source == "SEQUENCE"))
    for sound in bpy.data.sounds:
        if sound.filepath and (not sound.packed_file or truth_of(sound)):
            found.append(Holder(("sound", sound.name, _library(sound)), f"Sound {sound.name}", path_of(sound), folder_of(sound)))
    for scene in bpy.data.scenes:
        for strip in strips_of(scene):
            path = strip_path(strip)
            if path:
                several = strip.type == "IMAGE" and len(strip.elements) > 1
                found.append(Holder(("strip", scene.name, strip.name), f"Strip {strip.name}", path, folder_of(scene), several))
    return found


def _library(block):
    return block.library.filepath if block.library else ""


def folder_of(block):
    """Of the file that a datablock's `//` is relative to."""
    path = bpy.path.abspath(block.library.filepath) if block.library else bpy.data.filepath
    return os.path.dirname(os.path.abspath(path)) if path else ""


def path_of(block):
    """What an image, a clip or a sound names."""
    return truth_of(block).get("filepath", block.filepath)


def strip_path(strip):
    """The path of what a strip shows, "" for those that show no file. A sound strip's is its sound's."""
    if strip.type == "MOVIE":
        return path_of(strip)
    if strip.type != "IMAGE":
        return ""
    truth = truth_of(strip)
    folder, names = truth.get("directory", strip.directory), truth.get("names") or [each.filename for each in strip.elements[:1]]
    if not names or not names[0]:
        return ""
    # "//" is the folder of the .blend, and no slash too many.
    return folder + ("" if folder.endswith(("/", "\\")) else "/") + names[0]


def truth_of(block):
    """Of what shows a stand-in: {"filepath", "source"}, of an image strip {"directory", "names"}; else {}, also where somebody has chosen another
    file since. What is read may come from a .blend of anybody."""
    text = block.get(TRUTH)
    if not isinstance(text, str):
        return {}
    try:
        truth = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(truth, dict) or not _shows(block, truth.get("shown")):
        return {}
    names = truth.get("names")
    if has_elements(block):
        found = {"directory": truth.get("directory"), "names": names if isinstance(names, list) and all(isinstance(each, str) for each in names) else None}
    else:
        found = {"filepath": truth.get("filepath"), "source": truth.get("source") if hasattr(block, "source") else None}
    for key in ("directory", "filepath"):
        if isinstance(found.get(key), str):
            found[key] = _rebased(found[key], truth.get("folder"), folder_of(block.id_data))
    return {key: value for key, value in found.items() if isinstance(value, list if key == "names" else str)}


def has_elements(block):
    """An image strip names a folder and files in it; whatever else a file."""
    return getattr(block, "type", "") == "IMAGE" and hasattr(block, "elements")


def _path_now(block):
    if not has_elements(block):
        return block.filepath
    return os.path.join(block.directory, block.elements[0].filename if len(block.elements) else "")


def _shows(block, shown):
    """Whether a block still shows what was put there, however its path is written now. shown: None in files of earlier versions."""
    if shown is None:
        return True
    return isinstance(shown, str) and os.path.normpath(bpy.path.abspath(_path_now(block), library=block.id_data.library)) == os.path.normpath(shown)


def _rebased(path, then, now):
    """A `//` path of a block that was copied into a .blend in another folder."""
    if not path.startswith("//") or not isinstance(then, str) or not os.path.isabs(then) or not now or os.path.normpath(then) == os.path.normpath(now):
        return path
    absolute = os.path.normpath(os.path.join(then, path[2:]))
    try:
        moved = "//" + os.path.relpath(absolute, now).replace(os.sep, "/")
    except ValueError:
        return absolute  # another drive of Windows
    return moved + "/" if path.endswith(("/", "\\")) and not moved.endswith("/") else moved


def show(block, file):
    """Have a block show a stand-in, and remember what has to be set to have everything as it is now."""
    truth = {"shown": file, "folder": folder_of(block.id_data)}
    if has_elements(block):
        truth |= {"directory": block.directory, "names": [element.filename for element in block.elements]}
    else:
        truth |= {"filepath": block.filepath, **({"source": block.source} if isinstance(block, bpy.types.Image) else {})}
    block[TRUTH] = json.dumps(truth)
    if has_elements(block):
        block.directory, name = os.path.dirname(file) + "/", os.path.basename(file)
        for element in block.elements:
            element.filename = name
    else:
        if getattr(block, "source", "") == "SEQUENCE" and isinstance(block, bpy.types.Image):
            block.source = "FILE"  # a stand-in has no frames
        block.filepath = file


def put_truth(block):
    """Have it name its own file again. What is not as we wrote it is dropped, and what somebody has chosen meanwhile stays."""
    truth = truth_of(block)
    if TRUTH in block:
        del block[TRUTH]
    try:
        if truth and getattr(block, "packed_file", None):
            block.unpack(method="REMOVE")  # it is the stand-in that was packed
        for name, value in truth.items():
            if name == "names":
                for element, filename in zip(block.elements, value, strict=False):
                    element.filename = filename
            else:
                setattr(block, name, value)
    except (TypeError, AttributeError, RuntimeError):
        pass  # a source that this Blender does not know


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
    put_truth(block)
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
