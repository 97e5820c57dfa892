"""regen.toml as the engine sees it: which generators it defines, and the hash of each definition.

`load` costs nothing; the TOML is parsed when first asked about, with the few checks that running needs. `validate`
is the full check, with the schema library, for the user's own verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from regen_vcs.engine.config import PROJECT_FILE, check_project_keys, parse_toml
from regen_vcs.errors import InvalidError
from regen_vcs.model import generator_table as rules
from regen_vcs.model.key import definition_hash, hash_bytes

# What `init` writes: nobody's words yet.
FIRST_PROJECT_FILE = """\
# regen.toml says what could run in this repository and the defaults of `regen-vcs generate`.
# Nothing here runs before its user has said `regen-vcs trust`. See docs/configuration.md.
#
# [generators.upscale]              # used as: --generator command:upscale
# uses = "command"
# argv = ["python3", "{code}/upscale.py", "{inputs.image}", "{output}", "--scale", "{params.scale}"]
# code = ["tools/upscale.py"]

[checkout]
missing = "regenerate"              # or "fetch", or "leave"
wait = "30s"                        # the longest regeneration that a checkout waits for
"""


class ProjectFile:
    """One version of regen.toml. `hash` names its bytes; an absent file is an empty one, without a hash."""

    def __init__(self, data: bytes | None, where: str):
        self.data = data if data is not None else b""
        self.where = where
        self.exists = data is not None
        self._document: dict[str, Any] | None = None

    @classmethod
    def load(cls, data: bytes | None, where: str = PROJECT_FILE) -> ProjectFile:
        return cls(data, where)

    @property
    def hash(self) -> str:
        return hash_bytes(self.data)

    @property
    def document(self) -> dict[str, Any]:
        """The parsed file; InvalidError where it is not TOML, or sets what only the user may set."""
        if self._document is None:
            document = parse_toml(self.data, self.where) if self.exists else {}
            check_project_keys(document, self.where)
            self._document = document
        return self._document

    def validate(self) -> None:
        """Every rule of the schema; InvalidError with line, key and the nearest known key."""
        if self.exists:
            # Here, not above: pydantic takes 200 ms, and hooks never validate.
            from regen_vcs.model.toml_schema import validate_project

            check_project_keys(self.document, self.where)
            validate_project(self.document, self.data, self.where)

    def generator_names(self) -> list[str]:
        """What a recipe may say for each table: "command:upscale", sorted."""
        tables = self._tables("generators")
        return sorted(f"{table['uses']}:{alias}" for alias, table in tables.items() if isinstance(table.get("uses"), str))

    def generator_table(self, name: str) -> dict[str, Any]:
        """A copy of the table behind "command:upscale"; {} for a generator without a table, as "texture".

        InvalidError where there is no such table, or it is of another kind.
        """
        kind, alias = rules.split_generator(name)
        if alias is None:
            return {}
        tables = self._tables("generators")
        if alias not in tables:
            known = ", ".join(self.generator_names()[:10])
            raise InvalidError(
                f"{self.where} has no [generators.{alias}], which {name} stands for",
                f"there is {known}" if known else f"define it in {self.where}",
                field=f"generators.{alias}",
            )
        table = deepcopy(tables[alias])
        if table.get("uses") != kind:
            raise self._bad(alias, f'uses = "{table.get("uses")}", so it is not {name}')
        self._check_table(alias, table)
        return table

    def definition(
        self, name: str, read_code: Callable[[str], bytes], list_paths: Callable[[list[str]], list[str]]
    ) -> tuple[str | None, dict[str, tuple[str, str]]]:
        """(definition hash, {name below {code}: (repository path, BLAKE3 of its bytes)}) of a generator.

        read_code: the bytes of one repository path, in clean form; it refuses what is not a regular file.
        list_paths: the repository paths, at least all those that the given code globs match.
        (None, {}) for a generator without a table. InvalidError where the table or a glob is not valid.
        """
        table = self.generator_table(name)
        if not table:
            return None, {}
        code = {dest: (path, hash_bytes(read_code(path))) for dest, path in self._code_files(name, table, list_paths)}
        hashes = {dest: digest for dest, (_path, digest) in code.items()}
        return definition_hash(rules.definition_table(table), hashes), code

    @property
    def needs_trust(self) -> bool:
        """Whether any table here could make this machine run or contact something."""
        return any(rules.can_run_code(table) for table in self._tables("generators").values())

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """{alias: table} of `[models.<alias>]`."""
        return deepcopy(self._tables("models"))

    @property
    def suggested_remotes(self) -> dict[str, dict[str, Any]]:
        """{name: table with "url"} of `[suggestedRemotes.<name>]`: shown to the user, never used by themselves."""
        return deepcopy(self._tables("suggestedRemotes"))

    def _code_files(
        self, name: str, table: Mapping[str, Any], list_paths: Callable[[list[str]], list[str]]
    ) -> Iterator[tuple[str, str]]:
        globs = rules.code_globs(table)
        if not globs:
            return iter(())
        paths = [path for path in list_paths(globs) if rules.is_code_path(path)]
        try:
            return iter(sorted(rules.code_destinations(globs, paths).items()))
        except InvalidError as error:
            raise self._bad(name.partition(":")[2], error.what, error.hint) from None

    def _tables(self, section: str) -> dict[str, dict[str, Any]]:
        tables = self.document.get(section, {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise InvalidError(f"{self.where}: [{section}] holds tables only: [{section}.NAME]", field=section)
        return tables

    def _check_table(self, alias: str, table: Mapping[str, Any]) -> None:
        """What must hold before the table is hashed or run, whoever asks."""
        try:
            rules.check_alias(alias)
            _check_json(table, "")
            _check_globs(table.get("code", []))
            if "workflow" in table:
                rules.check_workflow(table["workflow"])
            if "env" in table:
                rules.check_env_names(table["env"])
            if table["uses"] == "command":
                rules.check_argv(table.get("argv"))
        except InvalidError as error:
            raise self._bad(alias, error.what, error.hint) from None

    def _bad(self, alias: str, what: str, hint: str | None = None) -> InvalidError:
        return InvalidError(f"{self.where}: [generators.{alias}]: {what}", hint, field=f"generators.{alias}")


def _check_globs(globs: Any) -> None:
    if not isinstance(globs, list):
        raise InvalidError("code is a list of paths or globs")
    for glob in globs:
        rules.check_code_glob(glob)


def _check_json(value: Any, where: str) -> None:
    """InvalidError for what TOML has and JSON has not: dates, nan, inf. A definition is hashed as JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_json(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, where)
    elif isinstance(value, float) and not -float("inf") < value < float("inf"):
        raise InvalidError(f"{where} is not a finite number")
    elif not isinstance(value, str | bool | int | float):
        raise InvalidError(f"{where} is a date or a time", "put it in quotes")
