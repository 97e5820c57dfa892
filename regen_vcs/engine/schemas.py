"""The generators there are, and the JSON Schemas of what they accept: to be printed, or exported for CI.

An exported schema lets `check` look at params where the generator is not installed.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Mapping

from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.sidecars import write_in_tree
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.generators import registry
from regen_vcs.model.toml_schema import schema_files
from regen_vcs.platform.files import read_regular

EXPORT_FOLDER = ".regen/schemas"
SIDECAR_SCHEMA = "sidecar.schema.json"


class Catalogue:
    """The installed generators, and those that regen.toml defines, if there is a workspace (None: there is none)."""

    def __init__(self, ws: Workspace | None):
        self._definitions = Definitions(ws, from_disk=True) if ws else None

    def names(self) -> list[str]:
        """What a recipe may say: "texture", "command:upscale"; a kind that needs a table stands too, as "command"."""
        named = self._definitions.project.generator_names() if self._definitions else []
        return [*registry.names(), *named]

    def entries(self) -> list[dict]:
        """[{"name", "exact", "version", "about", "problem"}]; problem: why it cannot be used, None where it can."""
        return [self._entry(name) for name in self.names()]

    def schema(self, name: str) -> dict:
        """The JSON Schema of a generator's params. UsageError for an unknown one, InvalidError for a bad table."""
        if ":" in name and self._definitions is None:
            raise UsageError(f"{name}: is defined in a repository's regen.toml, and this is no repository")
        return registry.params_schema(self._load(name))

    def document(self, name: str) -> dict:
        """`schema` as a document of its own."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema", **self.schema(name), "title": f"params of {name}"
        }

    def _load(self, name: str):
        definitions = self._definitions
        code = (lambda: definitions.code_files(name)) if definitions and ":" in name else None
        return registry.load(name, self._table(name) or None, code)

    def _table(self, name: str) -> Mapping[str, object]:
        return self._definitions.table(name) if self._definitions and ":" in name else {}

    def _entry(self, name: str) -> dict:
        try:
            generator = self._load(name)
        except RegenError as error:
            return {"name": name, "exact": None, "version": None, "about": "", "problem": error.what}
        about = " ".join(self._table(name).get("argv", ())) or _about(generator)
        return {"name": name, "exact": bool(generator.exact), "version": str(generator.version), "about": about, "problem": None}


def _about(generator: object) -> str:
    """The first line of what the generator's module, or its class, says of itself."""
    kind = type(generator)
    text = getattr(sys.modules.get(kind.__module__), "__doc__", None) or inspect.getdoc(kind) or ""
    line = text.strip().partition("\n")[0]
    return line.removeprefix(f"`{getattr(generator, 'name', '')}`: ").rstrip(".")


def sidecar_schema() -> dict:
    return json.loads(schema_files()[SIDECAR_SCHEMA])


def export_path(generator: str) -> str:
    """Where a generator's exported schema is, from the root: ".regen/schemas/command-upscale.json"."""
    return f"{EXPORT_FOLDER}/{generator.replace(':', '-')}.json"


def used_generators(ws: Workspace) -> list[str]:
    """Every generator that a recipe here or regen.toml names, sorted."""
    recipes = {each.facts.generator for each in look_at_both(ws, paths=set()).assets.values()} - {None}
    return sorted(recipes | set(Definitions(ws, from_disk=True).project.generator_names()))


def export_schemas(ws: Workspace) -> tuple[list[str], dict[str, RegenError]]:
    """Write the schema of sidecars and of every generator in use here; (paths written, {generator: why not})."""
    catalogue = Catalogue(ws)
    written, errors = [], {}
    for name in used_generators(ws):
        try:
            document = catalogue.document(name)
        except RegenError as error:
            errors[name] = error
            continue
        written += _write(ws, export_path(name), _text(document))
    written += _write(ws, f"{EXPORT_FOLDER}/{SIDECAR_SCHEMA}", schema_files()[SIDECAR_SCHEMA])
    return written, errors


def _write(ws: Workspace, path: str, data: bytes) -> list[str]:
    """[path] if the file changed, else []."""
    if read_regular(os.path.join(ws.root, path), len(data) + 1) == data:
        return []
    write_in_tree(ws, path, data)
    return [path]


def _text(document: dict) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
