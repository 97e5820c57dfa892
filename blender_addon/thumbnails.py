"""Small pictures of takes, made by regen-vcs, loaded once."""

import os

import bpy.utils.previews

_MAX = 400

_previews = None


def icon_of(path):
    """The icon of a picture at an absolute path, 0 if there is none. Blender reads the file when it is first drawn."""
    if _previews is None or not path:
        return 0
    if path not in _previews:
        if len(_previews) >= _MAX or not os.path.isfile(path):
            return 0
        _previews.load(path, path, "IMAGE")
    return _previews[path].icon_id


def load(paths):
    """Have these pictures at hand before they are drawn."""
    for path in paths:
        icon_of(path)


def register():
    global _previews
    _previews = bpy.utils.previews.new()


def unregister():
    global _previews
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None
