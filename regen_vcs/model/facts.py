"""Facts: the few things about a sidecar that sync and status need, small and quick to load.

They are memoised by the sidecar's content, so that no sidecar is ever parsed twice (engine/memory.py).
"""

from __future__ import annotations

from collections import namedtuple

from regen_vcs.errors import InvalidError, NewerFormat
from regen_vcs.model.key import compute_key
from regen_vcs.model.recipe import Recipe, parse_recipe

_FIELDS = (
    "generator",  # str, or None for a source asset
    "definition",  # hash of the generator's table and code, or None
    "out_hash",  # accepted bytes, or None while pending
    "out_size",  # bytes (a directory's or sequence's: all its files)
    "out_key",  # the key those bytes were made for, or None
    "out_content",  # "pixels:blake3:…", or None
    "is_tree",  # the accepted object is a manifest (directory or sequence)
    "inputs",  # {name: value as spelt in the sidecar}
    "own_key",  # the key, where there are no inputs; else None
    "review",  # review state, or None
    "problem",  # None, or [kind, what, hint]: the sidecar is not valid
)


class Facts(namedtuple("_Facts", _FIELDS)):
    """What a sidecar says, as far as sync and status go. JSON-able as a list."""

    __slots__ = ()

    @property
    def is_source(self) -> bool:
        return self.generator is None

    @property
    def is_newer(self) -> bool:
        return bool(self.problem) and self.problem[0] == NewerFormat.kind


def facts_of(data: bytes, asset_path: str) -> Facts:
    """The facts of one sidecar's text. Never raises: an invalid sidecar has a `problem`."""
    try:
        return facts_of_recipe(parse_recipe(data, asset_path + ".regen.json"), asset_path)
    except InvalidError as error:
        return Facts(None, None, None, 0, None, None, False, {}, None, None, [error.kind, error.what, error.hint])


def facts_of_recipe(recipe: Recipe, asset_path: str) -> Facts:
    output = recipe.output
    own_key = None
    if recipe.generator is not None and not recipe.inputs:
        own_key = compute_key(recipe, asset_path, {})
    review = recipe.review or {}
    return Facts(
        recipe.generator,
        recipe.definition,
        output.hash if output else None,
        output.size if output else 0,
        output.key if output else None,
        output.content if output else None,
        bool(output) and (output.files is not None or output.frames is not None),
        dict(recipe.inputs),
        own_key,
        review.get("state") if isinstance(review, dict) else None,
        None,
    )
