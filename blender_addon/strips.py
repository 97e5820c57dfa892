"""The sequencer of every Blender: its strips were called sequences before 4.4, and from 5.0 on it has a scene of its own."""

import os

import bpy


def sequencer_scene(context):
    """The scene whose strips the sequencer shows."""
    scene = getattr(context, "sequencer_scene", None)
    return scene if scene is not None else context.scene


def collection_of(scene, *, create=False):
    """The top-level strips of a scene; None if it never had a sequencer and `create` is False."""
    editor = scene.sequence_editor
    if editor is None:
        if not create:
            return None
        editor = scene.sequence_editor_create()
    strips = getattr(editor, "strips", None)
    # Not `or`: an empty collection is false.
    return editor.sequences if strips is None else strips


def strips_of(scene):
    """Every strip of a scene, those inside meta strips too."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    strips = getattr(editor, "strips_all", None)
    return list(editor.sequences_all if strips is None else strips)


def length_of(strip):
    """Frames from its first visible to its last."""
    return strip.frame_final_end - strip.frame_final_start


def end_of(strip):
    return strip.frame_final_end


def free_channel(strips, start, length):
    """The lowest channel in which nothing lies between `start` and `start + length`."""
    taken = {strip.channel for strip in strips if strip.frame_final_start < start + length and end_of(strip) > start}
    return next(channel for channel in range(1, 130) if channel not in taken)


def drop_proxy(strip):
    """Forget the reduced pictures that Blender made of a strip: it would go on showing those of the old content.

    For strips whose file is an asset of the project. Removed are files below a folder `BL_proxy` beside it, and there only this
    strip's own.
    """
    if not getattr(strip, "use_proxy", False) or strip.type not in {"MOVIE", "IMAGE"}:
        return
    folder = strip.directory if strip.type == "IMAGE" else os.path.dirname(strip.filepath)
    proxies = os.path.join(bpy.path.abspath(folder), "BL_proxy")
    if not _is_folder(proxies):
        return
    if strip.type == "MOVIE":
        name = os.path.basename(strip.filepath)
        if name not in ("", os.curdir, os.pardir):
            _remove_files(os.path.join(proxies, name), None)
        return
    names, images = {element.filename for element in strip.elements}, os.path.join(proxies, "images")
    for size in os.listdir(images) if _is_folder(images) else ():
        _remove_files(os.path.join(images, size), names)


def _is_folder(path):
    return os.path.isdir(path) and not os.path.islink(path)


def _remove_files(folder, names):
    """Plain files of a folder; with `names` only proxies of those: `0001.png_proxy.jpg`."""
    if not _is_folder(folder):
        return
    for each in os.scandir(folder):
        if each.is_file(follow_symlinks=False) and (names is None or each.name.rpartition("_proxy")[0] in names):
            os.unlink(each.path)
