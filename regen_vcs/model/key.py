"""Identity and key: what was asked for, as one hash. docs/spec/key.md has it in MUST words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import Json, canonical_bytes, json_path
from regen_vcs.model.paths import parse_sequence
from regen_vcs.model.recipe import Model, Recipe

# Domain tags with a version: a hash made for one purpose never equals one made for another.
KEY_CONTEXT = "regen-vcs recipe v1"
DEFINITION_CONTEXT = "regen-vcs definition v1"

_HEX64 = re.compile(r"[0-9a-f]{64}")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def identity(recipe: Recipe, asset_path: str, input_hashes: Mapping[str, str]) -> dict:
    """What was asked for, as the JSON object that the key hashes.

    `input_hashes`: bare BLAKE3 hex of each input's bytes, by the input's name. InvalidError for a source
    asset, which nobody asked anything, and for an input whose hash is missing or none.
    """
    if recipe.generator is None:
        raise InvalidError(
            f"{asset_path!r}: a source asset has no generator, so it has no key", field="generator"
        )
    asked = {
        "format": asset_format(asset_path),
        "generator": recipe.generator,
        "inputs": {name: _input_hash(name, input_hashes) for name in recipe.inputs},
        "models": {role: _model_identity(role, model) for role, model in recipe.models.items()},
        "params": recipe.params,
    }
    if recipe.definition is not None:
        asked["definition"] = f"blake3:{recipe.definition}"
    return asked


def compute_key(recipe: Recipe, asset_path: str, input_hashes: Mapping[str, str]) -> str:
    """The key (bare hex) of `identity`, with its arguments and errors."""
    return _derive(KEY_CONTEXT, identity(recipe, asset_path, input_hashes))


def definition_hash(table: Mapping[str, Json], code: Mapping[str, str]) -> str:
    """The hash (bare hex) of a generator's definition: its table in `regen.toml`, and {path: hash} of its code.

    InvalidError if the table has what JSON cannot hold (a date, a float beyond ±(2^53−1)).
    """
    return _derive(DEFINITION_CONTEXT, {"code": dict(code), "table": dict(table)})


def hash_bytes(data: bytes) -> str:
    """BLAKE3 of some bytes, bare hex: the name of an object."""
    return blake3(data).hexdigest()


def asset_format(asset_path: str) -> str:
    """What the asset's name asks for: ".png", "" without a suffix, "sequence.exr" for a numbered sequence.

    Only A–Z are lowered, so that no Unicode version changes a key.
    """
    name = asset_path.rsplit("/", 1)[-1]
    dot = name.rfind(".")
    suffix = name[dot:].translate(_ASCII_LOWER) if 0 < dot < len(name) - 1 else ""
    return f"sequence{suffix}" if parse_sequence(asset_path) else suffix


def _derive(context: str, value: Json) -> str:
    return blake3(canonical_bytes(value), derive_key_context=context).hexdigest()


def _input_hash(name: str, input_hashes: Mapping[str, str]) -> str:
    digest = input_hashes.get(name)
    if digest is None:
        raise _bad(json_path("inputs", name), "no hash of its bytes is known")
    if not _HEX64.fullmatch(digest):
        raise _bad(json_path("inputs", name), f"{digest!r} is not a BLAKE3 hash")
    return f"blake3:{digest}"


def _model_identity(role: str, model: Model) -> dict[str, str]:
    # By bytes where they are known: then the name they go by here says nothing more.
    if model.hash is not None:
        return {"hash": model.hash}
    if model.name is None:
        raise _bad(json_path("models", role), "needs a hash, or a name")
    return {"name": model.name} if model.version is None else {"name": model.name, "version": model.version}


def _bad(field: str, problem: str) -> InvalidError:
    return InvalidError(f"{field}: {problem}", field=field)
