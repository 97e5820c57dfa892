"""Where new assets go, and paths between a .blend and its media. Nothing here knows Blender.

A project moves between systems, so names are made safe for all of them: what Windows or git refuses is refused on Linux too.
"""

from __future__ import annotations

import ntpath
import os
import re
import unicodedata
from types import ModuleType

# Bytes of one name: the asset's suffix, `.regen.json` and a frame number still fit under the 255 that file systems take.
NAME_BYTES = 120

_RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", *(f"{word}{digit}" for word in ("COM", "LPT") for digit in "0123456789¹²³")}
# As component of a path git or regen-vcs gives each a meaning of its own; `~1` is how NTFS abbreviates.
_TAKEN = re.compile(r"(?:\.?git(?:attributes|ignore|modules)?|regen\.toml|(?:git|gitatt|gitign|gitmod|gi[0-9a-f]{4})~\d+)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*#%{}$`\x00-\x1f\x7f]')


def sanitize_filename(name: str, fallback: str = "asset") -> str:
    """A name as one component of a path that every system and git take as a plain one; `fallback` where nothing of it is left.

    A name that was fine stays as it is (in NFC), so the same name always gives the same folder.
    """
    text = unicodedata.normalize("NFC", name)
    # Surrogates are half characters; format characters are invisible, and some file systems drop them when comparing.
    text = "".join(char for char in text if unicodedata.category(char) not in ("Cf", "Cs", "Cc", "Co", "Cn") or char in "\t\n\r")
    text = _FORBIDDEN.sub("_", text).strip(" .").lstrip("-.").strip(" .")
    text = _cut(text, NAME_BYTES)
    if not text.strip("_ "):
        return fallback
    text = re.sub(r"\.regen\.json$", "_regen_json", text, flags=re.IGNORECASE)
    if _TAKEN.fullmatch(text) or text.partition(".")[0].rstrip(" ").upper() in _RESERVED:
        text = "_" + text
    return text


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, no character torn, no trailing dot or space left by the cut."""
    return text.encode("utf-8")[:limit].decode("utf-8", "ignore").rstrip(" .")


class RegenerativePathManager:
    """File paths of generated content. `flavour` is the system's path rules, `os.path` if not given; `ntpath` are those of Windows."""

    @staticmethod
    def get_project_content_dir(blend_path: str, *, flavour: ModuleType = os.path) -> str:
        """The folder for what belongs to a .blend: `film.blend` → `film_generated` beside it. ValueError for an unsaved file."""
        _check_path(blend_path)
        folder, file_name = flavour.split(blend_path)
        stem = flavour.splitext(file_name)[0]
        if not stem:
            raise ValueError("the .blend has not been saved yet, so it has no folder")
        return str(flavour.join(folder, f"{sanitize_filename(stem, 'untitled')}_generated"))

    @staticmethod
    def make_relative_path(abs_path: str, blend_path: str, *, flavour: ModuleType = os.path) -> str:
        """A path relative to the .blend's folder, with `/`; as it is where no relative one exists (another drive on Windows)."""
        _check_path(abs_path)
        _check_path(blend_path)
        try:
            relative = str(flavour.relpath(abs_path, flavour.dirname(blend_path)))
        except ValueError:
            return abs_path
        return relative.replace("\\", "/") if flavour is ntpath else relative

    @staticmethod
    def resolve_path(relative_path: str, blend_path: str, *, flavour: ModuleType = os.path) -> str:
        """The absolute path of a path relative to the .blend, Blender's `//` before it or not; an absolute one as it is."""
        _check_path(relative_path)
        folder = flavour.dirname(blend_path)
        if relative_path.startswith("//"):
            # A UNC path of Windows looks the same with slashes; Blender too takes `//` for the .blend's folder.
            relative_path = relative_path[2:].lstrip("/\\") if flavour is ntpath else relative_path[2:].lstrip("/").replace("\\", "/")
        elif flavour.isabs(relative_path):
            return relative_path
        if not flavour.isabs(folder):
            raise ValueError("the .blend has not been saved yet, so paths relative to it mean nothing")
        return str(flavour.normpath(flavour.join(folder, relative_path)))

    @staticmethod
    def organize_by_type(content_dir: str, asset_type: str, asset_name: str) -> str:
        """`<content_dir>/<type>/<name>`, made if it is not there. ValueError if a link would lead it out of `content_dir`."""
        _check_path(content_dir)
        names = (sanitize_filename(asset_type.lower(), "other"), sanitize_filename(asset_name))
        asset_dir = os.path.join(content_dir, *names)
        top = os.path.realpath(content_dir)
        if os.path.realpath(asset_dir) != os.path.join(top, *names):
            raise ValueError(f"{asset_dir} leads elsewhere through a link")
        os.makedirs(asset_dir, exist_ok=True)
        return asset_dir


def _check_path(path: str) -> None:
    if not path or "\0" in path:
        raise ValueError("a path is empty, or has a NUL in it")
