"""What `add` does with a recipe that was found in the file: its documents into keep, its take on record.

Nothing here says that the bytes could be made again: they are in keep, as any take that is not proven.
"""

from __future__ import annotations

from regen_vcs import media
from regen_vcs.engine.observe import list_files
from regen_vcs.engine.recovery import Recovery, recover
from regen_vcs.engine.takes import record_of_output
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.key import compute_key
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes


def recovery_of(ws: Workspace, path: str, *, required: bool) -> Recovery | None:
    """What the file of an asset says of its making; None for a directory, a sequence, and a file that says nothing.

    required: then that is a RegenError.
    """
    found = None
    if list_files(ws.root, path) == [path]:
        try:
            found = recover(f"{ws.root}/{path}")
        except OSError as error:
            raise RegenError(f"{path}: {error.strerror or error}") from error
    if found is None and required:
        raise RegenError(f"{path}: no recipe is in the file", "say what made it: regen-vcs add --generator …")
    return found


def with_recovery(known: Recipe, recovery: Recovery) -> Recipe:
    """A source asset's sidecar with the recipe that was found; its review and notes stay."""
    found = recovery.recipe
    return known.replace(
        generator=found.generator, params=found.params, models=found.models, meta={**known.meta, **found.meta}
    )


def keep_recovery(ws: Workspace, path: str, recovery: Recovery, output: Output) -> Output:
    """Store the documents that the recipe names by hash; the output with the key it was made for."""
    for data in recovery.texts.values():
        ws.stores.ingest_bytes(data)
    key = compute_key(recovery.recipe, path, {})
    return output.replace(key=key, content=media.content_hash(f"{ws.root}/{path}"))


def record_recovery(ws: Workspace, path: str, recipe: Recipe, output: Output, at: str) -> None:
    """Put the take on record: how long it took, and where, nobody knows."""
    record = {
        "at": at, "seconds": None, "generator": recipe.generator, "generator_version": "", "environment": {}, "inputs": {},
        "log": None, "output": record_of_output(output), "recovered": True,
    }
    ws.results.record(output.key, output.hash, record)
    ws.results.save_recipe(output.key, recipe_bytes(recipe.replace(output=None, review=None)))
