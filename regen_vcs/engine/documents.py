"""An asset's recipe as git keeps it, whichever the layout: a sidecar beside it, or the document under its own name."""

from __future__ import annotations

from regen_vcs.engine.in_place_documents import has_in_place, is_in_place, read_in_place, write_in_place
from regen_vcs.engine.sidecars import has_sidecar, read_sidecar, write_sidecar
from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.recipe import Recipe


def has_document(ws: Workspace, path: str) -> bool:
    return has_sidecar(ws, path) or has_in_place(ws, path)


def read_document(ws: Workspace, path: str) -> Recipe:
    """InvalidError where there is none, or none that can be read."""
    return read_in_place(ws, path) if is_in_place(ws, path) else read_sidecar(ws, path)


def write_document(ws: Workspace, path: str, recipe: Recipe) -> None:
    """Write a sidecar, or stage a document in place. InvalidError for a path that no asset may have.

    One that is there but cannot be read (conflict, newer format, damage) is never rewritten.
    """
    if is_in_place(ws, path):
        write_in_place(ws, path, recipe)
    else:
        write_sidecar(ws, path, recipe)
