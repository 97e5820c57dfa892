"""Under what a recipe is run here, now: everything that is not in its key and could change what comes out.

A proof counts while these are what they were. They are found out without a run: a program by its path, size and time, a
library by its version, a server by what it says of itself, a model by the hash of its file. What nobody can see from
outside (a library that a script of the user's imports) is not among them; docs/verify.md says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from blake3 import blake3

from regen_vcs.engine.config import Settings
from regen_vcs.engine.model_files import ModelFiles
from regen_vcs.errors import RegenError
from regen_vcs.generators import registry
from regen_vcs.model.recipe import Model, Recipe
from regen_vcs.platform.machine import hardware, machine_name

_NOTHING = lambda count: None  # noqa: E731


def conditions_of(
    settings: Settings, environ: Mapping[str, str], recipe: Recipe, table: Mapping, *, on_bytes: Callable[[int], None] = _NOTHING
) -> dict:
    """The conditions of a run of this recipe now, as JSON. RegenError where they cannot be told, or it could not run at all.

    table: of the generator in regen.toml, {} for a plain one. on_bytes: told of model files that are read to be hashed.
    """
    named = {role: {"hash": each.hash, "name": each.name, "version": each.version} for role, each in recipe.models.items()}
    return _conditions(settings, environ, recipe.generator, recipe.definition, table, named, on_bytes)


def conditions_again(settings: Settings, environ: Mapping[str, str], then: Mapping, definition: str | None, table: Mapping) -> dict:
    """What `then` would be, were it asked for now, under this definition. RegenError as above."""
    named = {role: {name: model.get(name) for name in ("hash", "name", "version")} for role, model in then.get("models", {}).items()}
    return _conditions(settings, environ, then["generator"], definition, table, named, _NOTHING)


def _conditions(settings, environ, name: str, definition: str | None, table: Mapping, models: dict, on_bytes) -> dict:
    generator = registry.load(name, table or None)
    exact = registry.is_exact_built_in(name)
    found = {
        "generator": name, "definition": definition, "version": str(generator.version), "provider": registry.provider(name),
        "settings": registry.conditions(generator), "exact": exact,
    }  # fmt: skip
    if exact:
        return found  # the same content on every machine: that is what exact means
    # The machine's name stays on it, but a log may be looked at by others.
    found["machine"] = blake3(machine_name().encode("utf-8", "surrogateescape")).hexdigest()[:16]
    found["hardware"] = hardware()
    found["executor"] = list(settings.get("executor") or ())  # another machine would make it
    found["models"] = _located(settings, environ, models, on_bytes) if getattr(generator, "local_models", False) else models
    return found


def _located(settings: Settings, environ: Mapping[str, str], models: dict[str, dict], on_bytes) -> dict[str, dict]:
    """The same with the hash of what this machine has under each name."""
    files = ModelFiles.of(settings, environ)
    found = {}
    for role, model in models.items():
        here = files.locate(Model(model["hash"], model["name"], model["version"]), hash_it=True, on_bytes=on_bytes)
        if here.state != "here":
            raise RegenError(f"the model {model['name'] or model['hash']} is not on this machine", "see: regen-vcs models")
        found[role] = {**model, "found": here.hash}
    return found
