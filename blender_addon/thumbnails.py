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
        if not os.path.isfile(path):
            return 0
        _previews.load(path, path, "IMAGE")
    return _previews[path].icon_id


def make_room(*_args):
    """Listener of "detail", so never while something is drawn: of too many pictures those in view are read again."""
    if _previews is not None and len(_previews) > _MAX:
        _previews.clear()


def register():
    global _previews
    _previews = bpy.utils.previews.new()


def unregister():
    global _previews
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None
