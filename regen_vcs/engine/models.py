"""Models as first-class: which ones the recipes use, what this machine has of them, and which ones to change to.

A recipe says what it was made with. `[models]` in regen.toml says what new recipes are written with; a recipe
follows it only when the user says `--current-models`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.documents import read_document, write_document
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.model_files import Located, ModelFiles
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.model_reference import identity_of
from regen_vcs.model.recipe import Model, Recipe

# One role of one asset whose recipe names another model than regen.toml configures.
Difference = namedtuple("Difference", ("path", "role", "old", "new"))

# Told with the name of a model and the bytes of it that were read since the last call.
OnHashing = Callable[[str, int], None]


@dataclass
class ModelUse:
    """One model: of recipes, of regen.toml, or of both.

    alias: in regen.toml, None where only recipes name it. about: its table there ("license", "source", "successor").
    """

    model: Model
    alias: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    assets: list[str] = field(default_factory=list)
    located: Located | None = None
    problem: str | None = None

    @property
    def pinned(self) -> bool:
        return self.model.hash is not None

    @property
    def state(self) -> str:
        """"here", "missing", "differs", or "invalid": a name or hash that is none."""
        return "invalid" if self.problem else self.located.state


def survey_models(ws: Workspace, *, hash_all: bool = False, on_hashing: OnHashing = lambda name, count: None) -> list[ModelUse]:
    """Every model that recipes use or regen.toml defines, those in use first, by name.

    One with a hash is checked against it; `hash_all` computes the hash of the others too.
    """
    uses = _uses(ws)
    files = ModelFiles.of(ws.settings, ws.environ)
    for use in uses:
        name = use.model.name or use.model.hash
        try:
            use.located = files.locate(use.model, hash_it=hash_all, on_bytes=lambda count, name=name: on_hashing(name, count))
        except RegenError as error:
            use.problem = error.what
    return sorted(uses, key=lambda use: (not use.assets, use.model.name or "", use.model.version or "", use.model.hash or ""))


def _uses(ws: Workspace) -> list[ModelUse]:
    found: dict[tuple, ModelUse] = {}
    for alias, table in Definitions(ws, from_disk=True).project.models.items():
        model = configured_model(alias, table)
        about = {key: table[key] for key in ("license", "source", "successor") if key in table}
        found.setdefault(identity_of(model), ModelUse(model, alias, about))
    for path, recipe in _recipes(look_at_both(ws, paths=set())):
        for role, model in recipe.models.items():
            use = found.setdefault(identity_of(model), ModelUse(model))
            use.roles.add(role)
            if path not in use.assets[-1:]:
                use.assets.append(path)
    return list(found.values())


def configured_model(alias: str, table: Mapping[str, str]) -> Model:
    """The model of `[models.ALIAS]` as a recipe has it; its alias stands beside it, outside the key."""
    return Model(table.get("hash"), table.get("name"), table.get("version"), {"alias": alias})


def differing_models(snapshot: Snapshot, wanted: Callable[[str], bool]) -> list[Difference]:
    """Where the recipes of the assets that `wanted` lets pass name another model than regen.toml configures for the same one.

    Which one that is: by the alias the recipe was written with, else by the file's name. A model that regen.toml
    does not know stays as it is.
    """
    tables = Definitions(snapshot.ws, from_disk=True).project.models
    if not tables:
        return []
    found = []
    for path, recipe in _recipes(snapshot, wanted):
        for role, old in sorted(recipe.models.items()):
            new = _configured(old, tables)
            if new is not None and identity_of(new) != identity_of(old):
                found.append(Difference(path, role, old, new))
    return found


def _configured(model: Model, tables: Mapping[str, Mapping[str, str]]) -> Model | None:
    """What regen.toml says now of the model a recipe names; None where it says nothing, or more than one thing."""
    alias = model.extra.get("alias")
    if alias in tables:
        return configured_model(alias, tables[alias])
    configured = [configured_model(each, table) for each, table in tables.items()]
    same = next((each for each in configured if identity_of(each) == identity_of(model)), None)
    named = [each for each in configured if each.name == model.name]
    return same or (named[0] if len(named) == 1 else None)


def apply_models(ws: Workspace, differences: Iterable[Difference]) -> None:
    """Write the new models into the recipes. Their outputs stay: they are stale now.

    A recipe that changed since the difference was shown is left alone in that role.
    """
    by_path: dict[str, list[Difference]] = {}
    for each in differences:
        by_path.setdefault(each.path, []).append(each)
    with WorktreeLock(ws):
        ws.reload_state()
        for path, changes in by_path.items():
            recipe = read_document(ws, path)
            models = {each.role: each.new for each in changes if recipe.models.get(each.role) == each.old}
            write_document(ws, path, replace(recipe, models={**recipe.models, **models}))
        remember(look(ws, paths=set(by_path), also=set(by_path)), set(by_path))


def grouped(differences: Iterable[Difference]) -> list[tuple[Model, Model, list[str]]]:
    """[(old, new, assets)], so that a change that concerns a hundred assets is one line."""
    found: dict[tuple, tuple[Model, Model, list[str]]] = {}
    for each in differences:
        entry = found.setdefault((identity_of(each.old), identity_of(each.new)), (each.old, each.new, []))
        if each.path not in entry[2]:
            entry[2].append(each.path)
    return list(found.values())


def models_of_job(
    ws: Workspace, recipe: Recipe, generator: object, *, attended: bool, on_bytes: Callable[[int], None]
) -> dict[str, dict]:
    """The models of one job, by role, as a runner is told of them: {"hash", "name", "version"}.

    A generator that loads models itself (`local_models = True`) gets "path" and "found_hash" too, None where there
    is nothing, and "download": whether it may fetch what is missing. attended: the user started this by hand.
    """
    models = {role: {"hash": each.hash, "name": each.name, "version": each.version} for role, each in recipe.models.items()}
    if not getattr(generator, "local_models", False):
        return models
    files = ModelFiles.of(ws.settings, ws.environ)
    download = attended and ws.settings.get("modelDownload") == "allow"
    for role, model in recipe.models.items():
        located = files.locate(model, hash_it=True, on_bytes=on_bytes)
        models[role] |= {"path": located.path, "found_hash": located.hash, "download": download}
    return models


def _recipes(snapshot: Snapshot, wanted: Callable[[str], bool] = lambda path: True) -> Iterator[tuple[str, Recipe]]:
    """(asset, recipe) of every valid sidecar with a generator, of those `wanted`."""
    for path in filter(wanted, sorted(snapshot.assets)):
        desired = snapshot.assets[path]
        if desired.facts.generator is None or desired.facts.problem or desired.side_sig is None:
            continue
        try:
            yield path, snapshot.inputs.recipe_of(desired)
        except RegenError:
            continue  # changed since, and not for the better: `status` tells
