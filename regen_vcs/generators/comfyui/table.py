"""`[generators.NAME] uses = "comfyui"`, checked: the workflow, where params go in it, and the servers that may run it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.generator_table import check_code_glob, check_env_names, check_workflow
from regen_vcs.model.quantities import parse_duration
from regen_vcs.model.schema import check_schema, near_miss, object_schema

DEFAULT_SERVER = "http://127.0.0.1:8188"
DEFAULT_TIMEOUT = 3600.0
# The param that numbers the first frame of a sequence. It need not be bound: it is about our names, not the graph.
FRAME_START = "frame_start"
# The recipe's input that may take the place of the table's workflow.
WORKFLOW_ROLE = "workflow"
# Set on every node that has it, so that a rerun names its files as before.
PREFIX_FIELD = "filename_prefix"

_KEYS = frozenset(("uses", "workflow", "servers", "bind", "auth_env", "code", "timeout", "env", "paid", "cost", "params"))
_ADDRESS = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?\Z")


class Place(NamedTuple):
    """One input of one node."""

    node: str
    field: str

    def __str__(self) -> str:
        return f"{self.node}.inputs.{self.field}"


class Table(NamedTuple):
    """label: "comfyui:NAME"; workflow: repository path or None; bind: {param, input or model role: places};
    params: JSON Schema properties or None; auth_env: the variable that holds the servers' key; timeout: seconds."""

    label: str
    workflow: str | None
    servers: tuple[str, ...]
    bind: Mapping[str, tuple[Place, ...]]
    params: Mapping[str, Any] | None
    auth_env: str | None
    timeout: float

    @property
    def where(self) -> str:
        """The table's name in regen.toml."""
        return f"generators.{self.label.partition(':')[2]}"


def parse_table(label: str, raw: Mapping[str, Any]) -> Table:
    """InvalidError, naming the field, where a table is not one of ComfyUI's."""
    where = f"generators.{label.partition(':')[2]}"
    for key in raw:
        if key not in _KEYS:
            raise InvalidError(f"[{where}]: {key} means nothing to comfyui", near_miss(key, _KEYS), field=f"{where}.{key}")
    fields = (
        ("workflow", _parse_workflow), ("servers", _parse_servers), ("bind", _parse_bind), ("params", _parse_params),
        ("timeout", _parse_timeout), ("env", _parse_env), ("code", _parse_code),
    )  # fmt: skip
    values = {key: _checked(where, key, parse, raw.get(key)) for key, parse in fields}
    auth_env = _checked(where, "auth_env", lambda name: _parse_auth(name, values["env"]), raw.get("auth_env"))
    _check_params_are_bound(values["params"], values["bind"], where)
    return Table(
        label, values["workflow"], values["servers"], values["bind"], values["params"], auth_env, values["timeout"]
    )


def parse_place(text: Any) -> Place:
    """The place that "3.inputs.seed" names; ids of nodes within subgraphs, as "12:3", are ids like any other."""
    node, middle, field = text.partition(".inputs.") if isinstance(text, str) else ("", "", "")
    if not middle or not node or not field or "." in field:
        raise InvalidError(f"{text!r} is no place in a graph", 'as in "3.inputs.seed": the node\'s id, then the name of its input')
    if field == PREFIX_FIELD:
        raise InvalidError(f"{text}: {PREFIX_FIELD} is set by regen-vcs, so that a rerun gives the same bytes", "leave it out")
    return Place(node, field)


def _checked(where: str, key: str, parse: Any, value: Any) -> Any:
    try:
        return parse(value)
    except InvalidError as error:
        said = error.what if error.what.startswith(f"[{where}]") else f"[{where}]: {key}: {error.what.removeprefix(f'{key}: ')}"
        raise InvalidError(said, error.hint, field=f"{where}.{key}") from None


def _parse_workflow(value: Any) -> str | None:
    if value is not None:
        check_workflow(value)
    return value


def _parse_servers(value: Any) -> tuple[str, ...]:
    if value is not None and not isinstance(value, list):
        raise InvalidError("is a list of addresses")
    for url in value or ():
        if not isinstance(url, str) or not _ADDRESS.match(url):
            raise InvalidError(f"{url!r} is not an http:// or https:// address", f'as in "{DEFAULT_SERVER}"')
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise InvalidError("an address holds a user name or password", "say the variable of a key: env and auth_env")
    return tuple(dict.fromkeys(url.rstrip("/") for url in value or ())) or (DEFAULT_SERVER,)


def _parse_bind(value: Any) -> dict[str, tuple[Place, ...]]:
    if value is not None and not isinstance(value, Mapping):
        raise InvalidError('is a table, as in { seed = "3.inputs.seed" }')
    found = {}
    for name, places in (value or {}).items():
        if name == WORKFLOW_ROLE:
            raise InvalidError(f"{name} is the graph itself", "choose another name")
        listed = places if isinstance(places, list) else [places]
        if not listed:
            raise InvalidError(f"{name} goes nowhere", "name a place, or remove it")
        found[name] = tuple(parse_place(each) for each in listed)
    return found


def _parse_params(value: Any) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidError("is a table of JSON Schema properties")
    check_schema(object_schema(value), "params")
    return value


def _parse_timeout(value: Any) -> float:
    if value is None:
        return DEFAULT_TIMEOUT
    try:
        seconds = parse_duration(value) if isinstance(value, str) else 0.0
    except RegenError:
        seconds = 0.0
    if seconds <= 0:
        raise InvalidError(f'{value!r} is not a duration such as "10m"')
    return seconds


def _parse_env(value: Any) -> list[str]:
    check_env_names(value or [])
    return value or []


def _parse_code(value: Any) -> None:
    if value is not None and not isinstance(value, list):
        raise InvalidError("is a list of paths or globs")
    for glob in value or ():
        check_code_glob(glob)


def _parse_auth(name: Any, env: list[str]) -> str | None:
    if name is not None and name not in env:
        raise InvalidError(f"{name!r} is not among the names in env", f'as in env = ["{name}"]')
    return name


def _check_params_are_bound(params: Mapping[str, Any] | None, bind: Mapping[str, Any], where: str) -> None:
    for name in params or ():
        if name not in bind and name != FRAME_START:
            hint = near_miss(name, bind) or f'bind it, as in bind = {{ {name} = "3.inputs.{name}" }}'
            raise InvalidError(f"[{where}]: params.{name} is bound to nothing", hint, field=f"{where}.params.{name}")
