"""Composing recipes: from what the user says on a command line to a complete recipe."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.documents import has_document, read_document, write_document
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.in_place_documents import is_in_place
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.models import configured_model
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.sidecars import has_sidecar
from regen_vcs.engine.snapshot import look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.generators import registry
from regen_vcs.git import index
from regen_vcs.model.canonical import normalise
from regen_vcs.model.paths import check_asset_path, fold, relative_input, sidecar_of
from regen_vcs.model.recipe import Model, Recipe
from regen_vcs.model.schema import near_miss, parse_param

_SPELLING = "check its spelling; paths are relative to the folder you are in"


class Composer:
    """Builds and changes recipes against the generators and regen.toml of one workspace."""

    def __init__(self, ws: Workspace):
        self._ws = ws
        self._definitions = Definitions(ws, from_disk=True)

    def new(self, path: str, generator: str, params: Mapping[str, str], models: Mapping[str, str],
            inputs: Mapping[str, str], meta: Mapping[str, object], values: Mapping[str, object] | None = None) -> Recipe:
        """The complete recipe of a new or re-made asset; what its sidecar held beside the recipe stays.

        params: {name: text as typed}; values: {name: value as it is}; models: {role: alias in regen.toml}; inputs: {name:
        repo path or @root/…}.
        """
        self._check_suffix(path, generator)
        old = read_document(self._ws, path) if has_document(self._ws, path) else Recipe(
            meta={"created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")}
        )
        recipe = replace(
            old,
            generator=generator,
            definition=self._definitions.current(generator),
            params=self.complete(generator, {**self.typed(generator, params), **(values or {})}),
            models={role: self.model(alias) for role, alias in self._with_default_models(generator, models).items()},
            inputs={name: self.input_value(path, target) for name, target in inputs.items()},
        )
        return replace(recipe, meta={**recipe.meta, **meta})

    def captured(self, path: str, generator: str, params: Mapping[str, str], models: Mapping[str, str],
                 inputs: Mapping[str, str], meta: Mapping[str, object]) -> Recipe:
        """As `new`, for what was made by something that is not installed here: params are JSON where they parse as such."""
        old = read_document(self._ws, path) if has_document(self._ws, path) else Recipe()
        return replace(
            old,
            generator=generator,
            definition=None,
            params={name: parse_param({}, name, text) for name, text in params.items()},
            models={role: self.model(alias) for role, alias in models.items()},
            inputs={name: self.input_value(path, target) for name, target in inputs.items()},
            meta={**old.meta, **meta},
        )

    def typed(self, generator: str, texts: Mapping[str, str]) -> dict:
        schema = registry.params_schema(self._load(generator))
        with _pointing_to_schema(generator):
            return {name: parse_param(schema, name, text) for name, text in texts.items()}

    def complete(self, generator: str, params: Mapping[str, object]) -> dict:
        """All parameters, defaults written out: the key never depends on installed code."""
        with _pointing_to_schema(generator):
            return normalise(registry.complete_params(self._load(generator), params))

    def current_definition(self, generator: str) -> str | None:
        return self._definitions.current(generator)

    def model(self, alias: str) -> Model:
        tables = self._definitions.project.models
        if alias not in tables:
            near = difflib.get_close_matches(alias, tables, n=1)
            hint = f"did you mean {near[0]}?" if near else f"define it in regen.toml: [models.{alias}] name = …"
            raise UsageError(f"there is no model {alias!r} in regen.toml", hint)
        table = tables[alias]
        return configured_model(alias, table)

    def _with_default_models(self, generator: str, models: Mapping[str, str]) -> dict[str, str]:
        """{role: alias}: as said, and `[defaults.models]` for what else this generator wants. UsageError for a role
        that it has not."""
        roles = getattr(self._load(generator), "model_roles", None)
        if roles is None:  # it does not say, so anything goes
            return dict(models)
        for role in models:
            if role not in roles:
                raise UsageError(f"{generator} has no model called {role!r}", f"it has {', '.join(roles) or 'none'}")
        defaults = self._ws.settings.defaults("models")
        return {role: defaults[role] for role in roles if role in defaults} | dict(models)

    def input_value(self, path: str, target: str) -> str:
        """How an input stands in the sidecar of `path`; UsageError where it does not exist."""
        if target.startswith("@"):
            return target
        if target == path:
            raise UsageError(f"{path}: cannot be its own input", "name another file or asset")
        if not (has_sidecar(self._ws, target) or os.path.isfile(f"{self._ws.root}/{target}")):
            raise UsageError(f"{target}: no such file or asset to be an input", _SPELLING)
        return relative_input(sidecar_of(path), target)

    def _check_suffix(self, path: str, generator: str) -> None:
        """UsageError before anything is written, where the generator says what it writes and it is not this."""
        kind = self._load(generator)
        suffixes = getattr(kind, "suffixes", None)
        stem, suffix = os.path.splitext(path)
        if suffixes and suffix.lower() not in suffixes:
            found = suffix or "a name without a suffix"
            hint = f"regen-vcs generate {shlex.quote(stem + suffixes[0])} --generator {generator}"
            raise UsageError(f"{path}: {generator} writes {' and '.join(suffixes)}, not {found}", hint)

    def _load(self, generator: str):
        definitions = self._definitions
        return registry.load(generator, definitions.table(generator) or None, lambda: definitions.code_files(generator))


@contextmanager
def _pointing_to_schema(generator: str) -> Iterator[None]:
    """A refused parameter without a hint of its own is answered with where all of them are."""
    try:
        yield
    except InvalidError as error:
        error.hint = error.hint or f"what it takes: regen-vcs schema {generator}"
        raise


def is_foreign(generator: str) -> bool:
    """Whether a name can only mean something that made media elsewhere: not installed, and no slip of the pen."""
    if ":" in generator or registry.is_installed(generator):
        return False
    return near_miss(generator, registry.names()) is None


def check_new_asset(ws: Workspace, path: str) -> None:
    """InvalidError where `path` cannot become an asset: refused name, tracked by git, collision, inside another."""
    try:
        check_asset_path(path)
    except InvalidError as error:
        error.hint = error.hint or "choose another name for the asset"
        raise
    if index.tracked(ws.repo, [path]) and not is_in_place(ws, path):
        if os.path.isdir(f"{ws.root}/{path}"):
            raise InvalidError(f"{path}: git tracks files in this folder, so it cannot be an asset", "name a file in it")
        raise InvalidError(
            f"{path}: git tracks this file itself, so it cannot be an asset", f"git rm --cached {path}, and commit that"
        )
    assets = look_at_both(ws, paths=set()).assets
    folded = fold(path)
    for other in assets:
        if other != path and fold(other) == folded:
            raise InvalidError(f"{path}: differs from the asset {other} only in case or in the form of its accents", f"use the name {other}, or one that is quite different")
        if path.startswith(other + "/") or other.startswith(path + "/"):
            raise InvalidError(f"{path}: one of this and the asset {other} lies inside the other", "choose another name for it")


def record_sidecar(ws: Workspace, path: str, recipe: Recipe) -> None:
    """Write a sidecar and remember it, so that it counts before git knows it; of the second layout, stage the document."""
    with WorktreeLock(ws):
        ws.reload_state()
        write_document(ws, path, recipe)
        after = look(ws, paths={path}, also={path})
        refresh_ignores(ws, after)
        remember(after, {path})
