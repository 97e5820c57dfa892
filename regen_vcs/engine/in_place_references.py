"""What only this worktree has of the second layout, and refers to stored bytes: for gc, which finds in git what git has."""

from __future__ import annotations

from collections.abc import Iterator

from regen_vcs.engine.in_place import DOCUMENT, is_used, look_in_place
from regen_vcs.engine.in_place_takes import NotedTake, noted_takes
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import MAX_BYTES
from regen_vcs.model.recipe import Recipe, parse_recipe
from regen_vcs.platform.files import read_regular


def documents_on_disk(ws: Workspace) -> Iterator[tuple[str, Recipe]]:
    """(path, recipe) of each document that lies in the place of its bytes and is not the index's: edited, never staged.

    Damaged ones name nothing that could be relied on.
    """
    for asset in look_in_place(ws) if is_used(ws) else ():
        if asset.disk.kind != DOCUMENT or asset.disk.hash == asset.entry.oid:
            continue
        try:
            yield asset.path, parse_recipe(read_regular(f"{ws.root}/{asset.path}", MAX_BYTES) or b"", asset.path)
        except InvalidError:
            continue  # it was changed this moment


def takes_that_wait(ws: Workspace) -> dict[str, NotedTake]:
    """{asset: a take that was made and neither accepted nor forgotten}: its bytes are shown nowhere else."""
    return noted_takes(ws)
