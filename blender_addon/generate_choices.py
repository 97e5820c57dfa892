"""What Generate… offers: kinds by generator, ways by kind, roles of inputs, and a name that nothing has yet. Nothing here knows Blender."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .content_paths import RegenerativePathManager, sanitize_filename

KINDS = ("image", "sequence", "movie", "sound")
SUFFIXES = {"image": ".png", "sequence": ".####.png", "movie": ".mp4", "sound": ".wav"}
# Of built-in generators; a command or a graph may make anything.
_KINDS_OF = {"tone": ("sound",), "texture": ("image", "sequence"), "diffusers": ("image",), "blender": ("image", "sequence", "movie")}
_ROLES_OF = {"blender": ("scene",), "diffusers": ("image", "mask", "control")}
_WAYS_OF = {"sound": ("STRIP", "NONE"), "movie": ("STRIP", "NONE")}
_WAYS = ("STRIP", "PLANE", "TEXTURE", "IMAGE", "NONE")
_WAY_IN = {"SEQUENCE_EDITOR": "STRIP", "VIEW_3D": "PLANE", "NODE_EDITOR": "TEXTURE", "IMAGE_EDITOR": "IMAGE"}
_INPUT = re.compile(r"\{inputs\.([\w.-]{1,60})\}")
_MOST_NAMES = 10_000


def kinds_of(generator: str) -> tuple[str, ...]:
    return _KINDS_OF.get(generator.partition(":")[0], KINDS)


def ways_of(kind: str) -> tuple[str, ...]:
    """How an asset of a kind can be added to a scene; kind: as `SUFFIXES` or `placing.kind_of` name them."""
    return _WAYS_OF.get(kind, _WAYS)


def way_in(editor: str, kind: str) -> str:
    """What one expects who asks in this editor."""
    way = _WAY_IN.get(editor, "STRIP")
    return way if way in ways_of(kind) else "STRIP"


def input_roles(generator: str, tables: Iterable[Any]) -> tuple[str, ...]:
    """The inputs that a generator asks for, as far as that is known. tables: entries of `trust --json`, {"name", "table"}."""
    table = next((each.get("table") for each in tables if isinstance(each, Mapping) and each.get("name") == generator), {})
    named = _INPUT.findall(json.dumps(table)) if isinstance(table, Mapping) else []
    return tuple(dict.fromkeys([*_ROLES_OF.get(generator.partition(":")[0], ()), *named]))[:12]


def default_path(blend: str, root: str, kind: str, name: str) -> str:
    """The asset's path in the repository that the requirement's rule gives: `<blend name>_generated/<type>/<name>/<name>.png`.

    Makes no folder. ValueError where the .blend lies outside the project.
    """
    content = RegenerativePathManager.get_project_content_dir(blend)
    inside(content, root, "the .blend")
    plain = sanitize_filename(name)
    return inside(os.path.join(content, sanitize_filename(kind), plain, plain + SUFFIXES[kind]), root)


def free_path(blend: str, root: str, kind: str, name: str, is_taken: Callable[[str], bool]) -> str:
    """`default_path`, or that of `<name>_002`, `_003` and on: the first that nothing has. ValueError as there."""
    for number in range(1, _MOST_NAMES):
        path = default_path(blend, root, kind, name if number == 1 else f"{name}_{number:03d}")
        if not is_taken(path):
            return path
    raise ValueError(f"there are too many assets called {name}")


def inside(path: str, root: str, what: str = "") -> str:
    """A path on disk as the repository names it. ValueError outside; what: the name of the thing in its words."""
    try:
        relative = os.path.relpath(path, root)
    except ValueError:
        relative = ".."  # another drive of Windows
    if relative == os.pardir or relative.startswith(os.pardir + os.sep) or os.path.isabs(relative):
        raise ValueError(f"{what or path} lies outside the project")
    return relative.replace(os.sep, "/")
