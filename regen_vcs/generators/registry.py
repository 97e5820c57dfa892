"""Generators by their names, loaded, configured by `regen.toml`'s tables, and asked. Which there are: generators/installed.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.generators.base import Generator
from regen_vcs.generators.installed import entry_points, is_exact_built_in, is_installed
from regen_vcs.model.generator_table import split_generator
from regen_vcs.model.schema import (
    check_schema,
    model_schema,
    near_miss,
    object_schema,
    parse_param,
    plain_params,
    validate_model,
    validate_schema,
)

__all__ = [
    "complete_params",
    "conditions",
    "environment",
    "estimate_seconds",
    "is_exact_built_in",
    "is_installed",
    "load",
    "names",
    "params_schema",
    "parse_param",
    "provider",
    "typed_params",
    "validate_table",
]

# What any generator's table may hold; more is for its own `from_table` to understand.
_COMMON_KEYS = frozenset({"uses", "timeout", "paid", "cost", "params"})


def names() -> list[str]:
    """The installed generators, sorted."""
    return sorted(entry_points())


def load(
    name: str, table: Mapping[str, Any] | None = None, code: Callable[[], Mapping[str, bytes]] | None = None
) -> Generator:
    """The generator that a recipe calls `name`: "texture", or "command:upscale" with `table` from regen.toml.

    code: {name below {code}: bytes} of the files that the table names, asked for only where what they hold says what
    the parameters are. UsageError where none is installed by that name; InvalidError where the table is missing or
    does not suit.
    """
    base, alias = split_generator(name)
    factory = _factory(base)
    if alias is not None and not table:
        raise InvalidError(
            f"regen.toml has no [generators.{alias}], which {name} stands for",
            "define it there, with " + f'uses = "{base}"',
            field=f"generators.{alias}",
        )
    if table and table.get("uses", base) != base:
        raise InvalidError(
            f'[generators.{alias}] uses "{table["uses"]}", so it is not {name}', field=f"generators.{alias}.uses"
        )
    generator = _made(factory, name, table or {})
    with_code = getattr(generator, "with_code", None) if code is not None else None
    return with_code(code()) if with_code is not None else generator


def validate_table(name: str, table: Mapping[str, Any]) -> None:
    """InvalidError, with its field, where `[generators.X]` does not suit the generator that it `uses`."""
    load(name, table)


def params_schema(generator: Generator) -> dict[str, Any]:
    """The JSON Schema of a generator's parameters."""
    own = getattr(generator, "params_schema", None)
    return own() if own is not None else model_schema(generator.Params)


def typed_params(generator: Generator, raw: Mapping[str, Any]) -> Any:
    """The parameters as `Job.params` holds them; InvalidError names the bad field."""
    return validate_model(generator.Params, raw)


def complete_params(generator: Generator, raw: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters as plain JSON values, every default written out; InvalidError names the bad field."""
    own = getattr(generator, "complete_params", None)
    return own(raw) if own is not None else plain_params(typed_params(generator, raw))


def environment(generator: Generator) -> dict[str, str]:
    """The generator's own share of a take's environment: versions of whatever its bytes depend on."""
    own = getattr(generator, "environment", None)
    return dict(own()) if own is not None else {}


def conditions(generator: Generator) -> dict[str, str]:
    """What its bytes depend on beside the recipe, as it is on this machine now, without a run. RegenError if it cannot tell.

    Of a generator that does not say, and is not exact, nothing.
    """
    own = getattr(generator, "conditions", None)
    if own is not None:
        return dict(own())
    return environment(generator) if generator.exact else {}


def provider(name: str) -> str | None:
    """The distribution that brings a generator, "name 1.2", where it is not ours: its own `version` may not tell all."""
    point = entry_points().get(name.partition(":")[0])
    if point is None or point.value.startswith("regen_vcs.generators.") or point.dist is None:
        return None
    return f"{point.dist.name} {point.dist.version}"


def estimate_seconds(generator: Generator, params: Mapping[str, Any]) -> float | None:
    """How long a run would take, from the parameters alone; None where the generator cannot say."""
    own = getattr(generator, "estimate_seconds", None)
    if own is None:
        return None
    try:
        return own(params)
    except (RegenError, TypeError, ValueError, KeyError):
        return None  # an estimate must never be why a plan fails


def _factory(base: str) -> Any:
    point = entry_points().get(base)
    if point is None:
        raise UsageError(
            f"no generator {base!r} is installed",
            near_miss(base, names()) or "installed: " + ", ".join(names()),
        )
    try:
        return point.load()
    except Exception as error:  # whatever a third party's module does at import
        raise UsageError(
            f"generator {base!r} cannot be loaded: {type(error).__name__}: {error}", f"it is {point.value}"
        ) from error


def _made(factory: Any, name: str, table: Mapping[str, Any]) -> Generator:
    from_table = getattr(factory, "from_table", None)
    if from_table is not None:
        return _preset(from_table(name, table), name, table) if getattr(factory, "presets", False) else from_table(name, table)
    for key in table:
        if key not in _COMMON_KEYS:
            alias = name.partition(":")[2]
            raise InvalidError(
                f"[generators.{alias}]: {key} means nothing to {name.partition(':')[0]}",
                field=f"generators.{alias}.{key}",
            )
    generator = factory() if isinstance(factory, type) else factory
    return _preset(generator, name, table)


def _preset(generator: Generator, name: str, table: Mapping[str, Any]) -> Generator:
    return _Preset(generator, name, table["params"]) if table.get("params") else generator


class _Preset:
    """A named use of a generator, as `texture:clouds`: some of its properties have other defaults or bounds.

    Everything else is the generator's own.
    """

    def __init__(self, generator: Generator, name: str, properties: Mapping[str, Any]):
        self._generator = generator
        where = f"generators.{name.partition(':')[2]}.params"
        schema = params_schema(generator)
        known = schema.get("properties", {})
        for each, prop in properties.items():
            if each not in known:
                raise InvalidError(
                    f"{where}.{each} is not a parameter of {generator.name}", near_miss(each, known), field=f"{where}.{each}"
                )
            if not isinstance(prop, Mapping):
                raise InvalidError(f"{where}.{each}: a property is a table", f'as in {each} = {{ default = … }}', field=f"{where}.{each}")
        check_schema(object_schema(properties), where)
        self._defaults = {each: prop["default"] for each, prop in properties.items() if "default" in prop}
        self._own = {**object_schema(properties), "required": [], "additionalProperties": True}
        self._schema = {**schema, "properties": {**known, **{each: {**known[each], **prop} for each, prop in properties.items()}}}
        try:
            complete_params(generator, self._defaults)
        except InvalidError as error:
            raise InvalidError(f"[{where.removesuffix('.params')}]: {error.what}", error.hint, field=where) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def params_schema(self) -> dict[str, Any]:
        return self._schema

    def complete_params(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        complete = complete_params(self._generator, {**self._defaults, **raw})
        validate_schema(self._own, complete)
        return complete
