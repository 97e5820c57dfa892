"""Sidecars written by hand, as a text editor, another tool or a merge would leave them."""

from __future__ import annotations

from blake3 import blake3

from regen_vcs.generators import registry
from regen_vcs.model.key import compute_key
from regen_vcs.model.recipe import Model, Output, Recipe, parse_recipe, recipe_bytes

__all__ = ["TEXTURE", "Model", "Output", "Recipe", "generated", "hash_of", "output_of", "read", "source", "write"]

TEXTURE = registry.complete_params(registry.load("texture"), {"kind": "fbm", "seed": 7, "width": 16, "height": 16})


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def output_of(data: bytes, key: str | None = None, **more) -> Output:
    return Output(hash=hash_of(data), key=key, size=len(data), **more)


def source(data: bytes, **more) -> Recipe:
    """A source asset whose accepted bytes are `data`."""
    return Recipe(output=output_of(data), **more)


def generated(asset: str, data: bytes | None, params: dict, *, generator="texture", inputs=None, hashes=None, **more) -> Recipe:
    """A recipe whose accepted output is `data` (None: pending), with the key that follows. hashes: {input name: hash}."""
    recipe = Recipe(generator=generator, params=params, inputs=inputs or {}, **more)
    if data is None:
        return recipe
    return recipe.replace(output=output_of(data, compute_key(recipe, asset, hashes or {})))


def write(project, asset: str, recipe: Recipe, data: bytes | None = None) -> None:
    """Put a sidecar into the working tree, and with `data` the asset's bytes too."""
    project.write(f"{asset}.regen.json", recipe_bytes(recipe))
    if data is not None:
        project.write(asset, data)


def read(project, asset: str) -> Recipe:
    return parse_recipe(project.path(f"{asset}.regen.json").read_bytes(), asset)
