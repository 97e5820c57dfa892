"""Blender's addon as the zip that Blender installs: an extension for 4.2 and newer, a legacy addon for older ones.

The same files always give the same bytes, whatever their times and the order in which a disk lists them.
"""

from __future__ import annotations

import io
import os
import zipfile

import regen_vcs
from regen_vcs.errors import RegenError

# What Blender calls the legacy addon: its folder in the zip, and the module it becomes.
LEGACY_FOLDER = "regen_vcs_addon"
MANIFEST = "blender_manifest.toml"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say


def addon_folder() -> str:
    """Where the addon's files are: within the installed package, or beside it in a checkout. RegenError where they are missing."""
    package = os.path.dirname(os.path.abspath(regen_vcs.__file__))
    for folder in (f"{package}/blender_addon", f"{os.path.dirname(package)}/blender_addon"):
        if os.path.isfile(f"{folder}/{MANIFEST}"):
            return folder
    raise RegenError("the Blender addon is missing from this installation", "pip install --force-reinstall regen-vcs")


def addon_files(folder: str) -> dict[str, bytes]:
    """{name: bytes} of the addon's files, without what Python or an editor left beside them."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or name.endswith((".pyc", "~", ".orig", ".rej")):
                continue
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder).replace(os.sep, "/")] = file.read()
    return found


def extension_zip(files: dict[str, bytes]) -> bytes:
    """The zip of an extension: its files at the top."""
    return make_zip(files)


def legacy_zip(files: dict[str, bytes]) -> bytes:
    """The zip of a legacy addon: its files in a folder, without the manifest, which newer Blenders would take for an extension's."""
    return make_zip({f"{LEGACY_FOLDER}/{name}": data for name, data in files.items() if name != MANIFEST})


def make_zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # unix: the mode below counts
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    return out.getvalue()


def file_name(*, legacy: bool) -> str:
    """What the zip is called: `regen_vcs-0.1.0.zip`, or `regen_vcs_addon-0.1.0-legacy.zip`."""
    version = regen_vcs.__version__
    return f"{LEGACY_FOLDER}-{version}-legacy.zip" if legacy else f"regen_vcs-{version}.zip"
