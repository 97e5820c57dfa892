"""The full rules of regen.toml and of the user's config.toml, and the JSON Schemas that follow from them.

`python -m regen_vcs.model.toml_schema [FOLDER]` writes the schemas; a test holds that the committed ones are current.
Unknown keys are errors, with the nearest known key and the line.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, create_model
from pydantic.functional_validators import AfterValidator, BeforeValidator
from pydantic.json_schema import GenerateJsonSchema

from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.model import generator_table as rules
from regen_vcs.model.quantities import DURATION_WORDS, parse_duration
from regen_vcs.model.settings import SETTINGS, Setting, allowed_words, parse_setting
from regen_vcs.model.sidecar_schema import Sidecar

DURATION_PATTERN = r"^\s*(0|[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w))\s*$"
SIZE_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP]([iI]?[bB])?|[bB])?\s*$"
_HASH_PATTERN = r"^(sha256|blake3):[0-9a-f]{64}$"
_ALIAS_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class _Table(BaseModel):
    """TOML has types of its own, so nothing is converted; a key we do not know is a slip of the keyboard."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _as_value_error(check: Any) -> Any:
    """A check of ours as pydantic wants it: the value back, or ValueError with our words."""

    def checked(value: Any) -> Any:
        try:
            check(value)
        except (InvalidError, UsageError) as error:
            raise ValueError(error.what + (f" ({error.hint})" if error.hint else "")) from None
        return value

    return checked


def _check_server(url: str) -> None:
    match = re.match(r"https?://([^/?#]+)", url)
    if not match:
        raise InvalidError(f"{url!r} is not an http:// or https:// address")
    _check_no_secret(url)


def _check_no_secret(url: str) -> None:
    """A repository is the last place for a password; the address is not repeated in the error."""
    authority = url.partition("://")[2].partition("/")[0]
    if "@" in authority:
        raise InvalidError("the address holds a user name or password", "credentials come from the provider's own chain")


def _check_remote_url(url: str) -> None:
    if not re.match(r"(s3|gs|az|https?|file)://.", url):
        raise InvalidError(f"{url!r} is not an s3://, gs://, az://, http(s):// or file:// address")
    _check_no_secret(url)


def _check_param_schema(properties: dict[str, Any]) -> None:
    """`[generators.X.params]` must be JSON Schema properties that refer to nothing outside themselves."""
    for name, schema in properties.items():
        if any(key in ("$ref", "$dynamicRef") for key in _keys_within(schema)):
            raise InvalidError(f"params.{name}: $ref is not supported here", "write the type out")
        if isinstance(schema, dict) and schema.get("x-regen-argv", "any") != "any":
            raise InvalidError(f'params.{name}: x-regen-argv can only be "any"')
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidError(f"params.{name} is not a JSON Schema: {error.message}") from None


def _keys_within(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _keys_within(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys_within(item)


def _check_positive_duration(text: str) -> None:
    if parse_duration(text) <= 0:
        raise InvalidError("a time-out of 0 would stop every run")


def _check_model_hash(text: str) -> None:
    if not re.fullmatch(_HASH_PATTERN, text):
        raise InvalidError('must be "sha256:" or "blake3:" and 64 hexadecimal digits')


_Name = Annotated[str, Field(pattern=_ALIAS_PATTERN)]
_ModelHash = Annotated[
    str, Field(json_schema_extra={"pattern": _HASH_PATTERN}), AfterValidator(_as_value_error(_check_model_hash))
]
_Duration = Annotated[
    str,
    Field(description=f"{DURATION_WORDS[0].upper()}{DURATION_WORDS[1:]}.", json_schema_extra={"pattern": DURATION_PATTERN}),
    AfterValidator(_as_value_error(_check_positive_duration)),
]
_Argv = Annotated[list[str], Field(min_length=1), AfterValidator(_as_value_error(rules.check_argv))]
_EnvNames = Annotated[list[str], AfterValidator(_as_value_error(rules.check_env_names))]
_Workflow = Annotated[str, AfterValidator(_as_value_error(rules.check_workflow))]
_CodeGlob = Annotated[str, AfterValidator(_as_value_error(rules.check_code_glob))]
_ParamSchemas = Annotated[dict[str, dict[str, Any]], AfterValidator(_as_value_error(_check_param_schema))]
_Server = Annotated[str, Field(json_schema_extra={"format": "uri"}), AfterValidator(_as_value_error(_check_server))]
_RemoteUrl = Annotated[str, AfterValidator(_as_value_error(_check_remote_url))]


class _AnyGenerator(_Table):
    """What the table of every generator may say."""

    code: list[_CodeGlob] = Field(
        [], max_length=rules.MAX_CODE_GLOBS,
        description="Scripts it runs: paths or globs from the repository's root. They count in `definition` by their bytes.",
    )
    timeout: _Duration | None = Field(None, description="How long one run may take.")
    env: _EnvNames = Field([], description="Names of environment variables that reach it. Names only, never values.")
    paid: bool = Field(False, description="Whether a run costs money: never run from a hook, counted against `budget`.")
    cost: float | None = Field(None, ge=0, description="What one run costs, in dollars, where the generator does not say it itself.")
    params: _ParamSchemas = Field({}, description="JSON Schema properties of its params; none: anything goes.")


class CommandTable(_AnyGenerator):
    """A program of yours, started without a shell."""

    uses: Literal["command"]
    argv: _Argv = Field(description="The program, then its arguments; placeholders are whole elements.")


class BlenderTable(_AnyGenerator):
    """Blender in the background, with factory settings and no script of the file started by itself."""

    uses: Literal["blender"]
    program: str | None = Field(None, description='The Blender to start; by default "blender" from PATH.')
    args: list[str] = Field([], description="More arguments for Blender.")


class ComfyuiTable(_AnyGenerator):
    """A workflow graph on a ComfyUI server."""

    uses: Literal["comfyui"]
    workflow: _Workflow | None = Field(
        None, description="The graph, in API format: a path from the repository's root. It counts in `definition` by its bytes."
    )
    servers: list[_Server] = Field([], description="Addresses; the best of those that answer is taken.")
    bind: dict[str, str | list[str]] = Field(
        {}, description='Where a param, input or model goes in the graph: "NODE.inputs.FIELD", or a list of such.'
    )
    auth_env: str | None = Field(
        None, description="The one of `env` that holds the servers' key, sent as `Authorization: Bearer`."
    )


class DiffusersTable(_AnyGenerator):
    """A pipeline of the diffusers library, in this process's own environment. safetensors only."""

    uses: Literal["diffusers"]
    pipeline: str | None = Field(None, description="Class name of the pipeline.")
    options: dict[str, Any] = Field({}, description="What the pipeline is loaded with.")


class HarmlessTable(_AnyGenerator):
    """A named use of a built-in that runs no foreign code."""

    uses: Literal["texture", "tone"]


_BUILT_IN = ("command", "blender", "comfyui", "diffusers", "texture", "tone")


class PluginTable(_AnyGenerator):
    """A generator of an installed plug-in, which checks its own keys when it loads."""

    model_config = ConfigDict(extra="allow")
    uses: Annotated[str, Field(pattern=_ALIAS_PATTERN, json_schema_extra={"not": {"enum": list(_BUILT_IN)}})]


def _kind_of_table(table: Any) -> str:
    uses = table.get("uses") if isinstance(table, dict) else getattr(table, "uses", None)
    if uses in ("texture", "tone"):
        return "harmless"
    return uses if uses in _BUILT_IN else "plugin"


_Generator = Annotated[
    Annotated[CommandTable, Tag("command")]
    | Annotated[BlenderTable, Tag("blender")]
    | Annotated[ComfyuiTable, Tag("comfyui")]
    | Annotated[DiffusersTable, Tag("diffusers")]
    | Annotated[HarmlessTable, Tag("harmless")]
    | Annotated[PluginTable, Tag("plugin")],
    Discriminator(_kind_of_table),
]
_TAGS = frozenset({"command", "blender", "comfyui", "diffusers", "harmless", "plugin"})


class ModelTable(_Table):
    """A model under an alias: what `--model role=alias` writes into a recipe."""

    name: str = Field(min_length=1, description="File or repository name.")
    version: str | None = None
    hash: _ModelHash | None = Field(None, description="Counts in the key in place of name and version.")
    license: str | None = Field(None, description="SPDX expression, or words.")
    source: str | None = Field(None, description="Where it can be had.")
    successor: str | None = Field(None, description="The alias that `upgrade` proposes.")


class SuggestedRemote(_Table):
    """A remote this repository suggests. It is used only after the user added it."""

    url: _RemoteUrl
    note: str | None = None


class _Defaults(_Table):
    """What `generate` takes where the command line is silent."""

    generator: str | None = Field(None, description=SETTINGS["defaults.generator"].about)
    models: dict[str, str] = Field({}, description="Role to model alias.")
    params: dict[str, dict[str, Any]] = Field({}, description='Params for each generator: [defaults.params."command:upscale"].')


def _setting_field(setting: Setting) -> tuple[Any, Any]:
    """One setting as a pydantic field: the JSON types TOML may give it, our parser's verdict."""
    types: dict[str, Any] = {
        "duration": str | int, "size": str | int, "bool": bool, "count": int, "money": str | int | float,
        "path": str, "paths": str | list[str], "argv": str | list[str], "text": str, "choice": Literal[setting.choices] if setting.choices else str,
    }
    patterns = {"duration": DURATION_PATTERN, "size": SIZE_PATTERN}
    extra = {"pattern": patterns[setting.kind]} if setting.kind in patterns else None
    check = BeforeValidator(_as_value_error(lambda value: parse_setting(setting, value)))
    kind = Annotated[types[setting.kind] | None, Field(json_schema_extra=extra), check]
    return kind, Field(None, description=f"{setting.about} Takes {allowed_words(setting)}.")


def _settings_models(project: bool) -> dict[str, Any]:
    """{top-level key: pydantic field} of all settings that this file may hold, one model a section."""
    fields: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for setting in SETTINGS.values():
        if (project and not setting.project) or setting.section == "defaults":
            continue
        if setting.section is None:
            fields[setting.key] = _setting_field(setting)
        else:
            sections.setdefault(setting.section, {})[setting.key] = _setting_field(setting)
    for section, keys in sections.items():
        model = create_model(section.capitalize(), __base__=_Table, **keys)
        fields[section] = (model | None, None)
    fields["defaults"] = (_Defaults | None, None)
    return fields


class _ProjectBase(_Table):
    """What a repository says could run, and the defaults of `generate`. It can set nothing that is the user's."""

    generators: dict[_Name, _Generator] = Field({}, description="Named uses of generators.")
    models: dict[_Name, ModelTable] = Field({}, description="Models under an alias.")
    suggestedRemotes: dict[_Name, SuggestedRemote] = Field({}, description="Remotes to propose, never to use unasked.")


class _UserBase(_Table):
    """What this user wants on this machine, for every repository."""

    roots: dict[_Name, str] = Field({}, description="Absolute folders behind @name/… inputs.")


ProjectDocument = create_model("ProjectDocument", __base__=_ProjectBase, **_settings_models(project=True))
UserDocument = create_model("UserDocument", __base__=_UserBase, **_settings_models(project=False))


class Problem(NamedTuple):
    """One thing that is wrong: `field` is a dotted key, `line` counts from 1, None where it cannot be said."""

    field: str
    line: int | None
    what: str
    hint: str | None


def validate_project(document: Mapping[str, Any], data: bytes, where: str) -> None:
    """InvalidError that names the first problem of a regen.toml, by line; how many more there are."""
    _raise_first(project_problems(document, data), where)


def validate_user(document: Mapping[str, Any], data: bytes, where: str) -> None:
    """The same for the user's config.toml."""
    _raise_first(list(_problems(UserDocument, document, data)), where)


def project_problems(document: Mapping[str, Any], data: bytes) -> list[Problem]:
    """Everything that is wrong with a parsed regen.toml; `data` is its text, searched for line numbers."""
    problems = list(_problems(ProjectDocument, document, data))
    return problems or list(_self_successors(document, data))


def _raise_first(problems: list[Problem], where: str) -> None:
    if not problems:
        return
    first = problems[0]
    place = f"{where}:{first.line}" if first.line else where
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise InvalidError(f"{place}: {first.what}{more}", first.hint, field=first.field)


def _problems(model: type[BaseModel], document: Mapping[str, Any], data: bytes) -> Iterator[Problem]:
    try:
        model.model_validate(dict(document))
    except ValidationError as error:
        text = data.decode("utf-8", "replace")
        # Unknown keys first: a key that is misspelt is also one that is missing.
        for detail in sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden"):
            yield _problem(model, detail, document, text)


def _problem(model: type[BaseModel], detail: Any, document: Mapping[str, Any], text: str) -> Problem:
    keys = _document_path(detail["loc"], document)
    field = ".".join(str(key) for key in keys)
    line = find_line(text, [key for key in keys if isinstance(key, str)])
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(keys[-1]), _known_keys(model, detail["loc"]), n=1)
        return Problem(field, line, f"{field} is not a key there can be", f"did you mean {near[0]}?" if near else None)
    if detail["type"] == "missing":
        return Problem(field, line, f"{field} is missing", None)
    # Our own words may start with the key already, because the engine shows them without a path.
    words = _words(detail).removeprefix(f"{keys[-1]}: " if keys else "")
    return Problem(field, line, f"{field}: {words}", None)


_TYPE_WORDS = {
    "list_type": "must be a list", "string_type": "must be text in quotes", "bool_type": "must be true or false",
    "int_type": "must be a whole number", "float_type": "must be a number", "dict_type": "must be a table",
    "model_type": "must be a table", "model_attributes_type": "must be a table", "too_short": "must not be empty",
    "string_pattern_mismatch": "is not a name: letters, digits, '.', '_' and '-' only",
}


def _words(detail: Any) -> str:
    if "error" in detail.get("ctx", {}):
        return str(detail["ctx"]["error"])
    return _TYPE_WORDS.get(detail["type"], detail["msg"][:1].lower() + detail["msg"][1:])


def _document_path(loc: tuple[Any, ...], document: Any) -> list[Any]:
    """The keys of `loc` that stand in the document: pydantic puts union tags and "[key]" between them."""
    path, here = [], document
    for position, step in enumerate(loc):
        if _has(here, step):
            here = here[step]
        elif position == len(loc) - 1 and step != "[key]" and isinstance(here, Mapping):
            pass  # a key that is missing
        else:
            continue
        path.append(step)
    return path


def _has(holder: Any, step: Any) -> bool:
    if isinstance(holder, Mapping):
        return step in holder
    return isinstance(holder, list) and isinstance(step, int) and step < len(holder)


def _known_keys(model: Any, loc: tuple[Any, ...]) -> list[str]:
    """The keys that the table around `loc` may have."""
    parents = [step for step in loc[:-1] if isinstance(step, str)]
    if not parents:
        return list(model.model_fields)
    if parents[0] == "generators":
        tables = {"command": CommandTable, "blender": BlenderTable, "comfyui": ComfyuiTable,
                  "diffusers": DiffusersTable, "harmless": HarmlessTable}
        return [key for tag, table in tables.items() if tag == parents[-1] for key in table.model_fields]
    if parents[0] in ("models", "suggestedRemotes"):
        return list((ModelTable if parents[0] == "models" else SuggestedRemote).model_fields)
    if parents[0] == "defaults":
        return list(_Defaults.model_fields)
    return [setting.key for setting in SETTINGS.values() if setting.section == parents[0]]


def _self_successors(document: Mapping[str, Any], data: bytes) -> Iterator[Problem]:
    """A successor need not be defined here (yet); one that is the model itself would never end."""
    for alias, table in document.get("models", {}).items():
        if table.get("successor") == alias:
            line = find_line(data.decode("utf-8", "replace"), ["models", alias, "successor"])
            yield Problem(f"models.{alias}.successor", line, f"models.{alias} is its own successor", "remove the line")


_HEADER = re.compile(r"^\s*\[{1,2}\s*(.+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY_VALUE = re.compile(r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_KEY_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")


def find_line(text: str, keys: list[str]) -> int | None:
    """The line (from 1) on which `keys` is set, else that of the closest table around it; None where neither is.

    tomllib keeps no positions, so the text is searched: good for plain headers and `key = value` lines. Text in
    multi-line strings may fool it, which costs no more than a wrong line in a message.
    """
    best: tuple[int, int] | None = None
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = here = _key_parts(header.group(1))
        elif pair := _KEY_VALUE.match(line):
            here = table + _key_parts(pair.group(1))
        else:
            continue
        shared = len(here) if here == keys[: len(here)] else 0
        if shared and (best is None or shared > best[0]):
            best = shared, number
    return best[1] if best else None


def _key_parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _KEY_PART.findall(dotted)]


class _Schema(GenerateJsonSchema):
    """Absent optional keys have no null in TOML: `str | None` is written as the type alone, without a default.
    Keys speak for themselves, so they get no title."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> Any:
        written = super().default_schema(schema)
        if written.get("default", 0) is None:
            del written["default"]
        return written


def schema_files() -> dict[str, bytes]:
    """{file name: JSON text} of every schema there is."""
    wanted = {
        "regen.toml.schema.json": (ProjectDocument, "regen.toml: what a repository says could run"),
        "user-config.schema.json": (UserDocument, "config.toml: the user's settings of regen-vcs"),
        "sidecar.schema.json": (Sidecar, "<asset>.regen.json: the recipe of one asset"),
    }
    return {name: _schema_text(model, name, title) for name, (model, title) in wanted.items()}


def _schema_text(model: type[BaseModel], name: str, title: str) -> bytes:
    schema = model.model_json_schema(by_alias=True, schema_generator=_Schema)
    schema["title"] = title
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return (json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def write_schemas(folder: str) -> list[str]:
    """Writes every schema into `folder`; returns the paths."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for name, text in schema_files().items():
        paths.append(os.path.join(folder, name))
        with open(paths[-1], "wb") as file:
            file.write(text)
    return paths


if __name__ == "__main__":
    for written_path in write_schemas(sys.argv[1] if len(sys.argv) > 1 else "schemas"):
        print(written_path)
