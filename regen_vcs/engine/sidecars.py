"""Writing sidecars: the one place that does. Canonical text, by rename, below directory descriptors."""

from __future__ import annotations

import os

from regen_vcs.engine.keys import read_recipe
from regen_vcs.engine.past_outputs import note_replaced
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError
from regen_vcs.git.index import blob_oid, forget_listing
from regen_vcs.model.paths import SIDECAR_SUFFIX, check_asset_path, sidecar_of
from regen_vcs.model.recipe import Recipe, parse_recipe, recipe_bytes
from regen_vcs.platform.files import write_all


def read_sidecar(ws: Workspace, path: str) -> Recipe:
    return read_recipe(ws.root, path)


def has_sidecar(ws: Workspace, path: str) -> bool:
    return os.path.lexists(f"{ws.root}/{sidecar_of(path)}")


def write_sidecar(ws: Workspace, path: str, recipe: Recipe) -> None:
    """Write a recipe as the sidecar of `path`. InvalidError for a path that no asset may have.

    One that is there but cannot be read (conflict, newer format, damage) is never rewritten.
    """
    check_asset_path(path)
    sidecar = sidecar_of(path)
    before = read_recipe(ws.root, path) if has_sidecar(ws, path) else None
    data = recipe_bytes(recipe)
    readable = parse_recipe(data, sidecar)  # what we write, we can read: or it is not written
    ws.memo.know(readable, blob_oid(data, ws.repo.oid_format), path)
    if len(os.path.basename(sidecar).encode("utf-8", "surrogateescape")) > 255:
        raise InvalidError(f"{path}: too long a name: no room for {SIDECAR_SUFFIX}")
    forget_listing(ws.repo)  # git may put the old text back without touching its index
    if before is not None:
        note_replaced(ws, path, before, recipe)
    write_in_tree(ws, sidecar, data)


def write_in_tree(ws: Workspace, path: str, data: bytes) -> None:
    """Replace a file of the worktree as a whole; no component of its path may be a symlink."""
    directory = path.rpartition("/")[0]
    fd, temp = ws.tree.temp_in(directory)
    try:
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        ws.tree.commit(temp, path)
    except BaseException:
        ws.tree.discard(temp, directory)
        raise
