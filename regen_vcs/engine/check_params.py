"""Whether a recipe's params fit its generator: the installed one, else the schema that was exported for it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.generators import registry
from regen_vcs.model.canonical import parse_json
from regen_vcs.model.recipe import Recipe
from regen_vcs.model.schema import validate_schema

# (field, reason, mend, severity)
Finding = tuple[str | None, str, str | None, str]


def check_params(
    recipe: Recipe,
    asset: str,
    table: Mapping[str, Any],
    exported_schema: Callable[[str], bytes | None],
    code: Callable[[], Mapping[str, bytes]],
) -> Iterator[Finding]:
    """What is wrong with the params. table: the generator's in regen.toml, {} for a plain one; code(): its files.

    exported_schema(generator): JSON Schema text, or None. A generator that is not installed here is a warning.
    """
    if "recovered" in recipe.meta:
        return  # read out of a file: it says what was, and need not fit what is installed here
    try:
        generator = registry.load(recipe.generator, table or None, code if table else None)
    except UsageError as error:
        yield from _check_exported(recipe, error, exported_schema)
        return
    except InvalidError as error:
        yield error.field, error.what, error.hint, "error"
        return
    try:
        complete = registry.complete_params(generator, recipe.params)
    except InvalidError as error:
        yield _bad(error)
        return
    missing = [name for name in complete if name not in recipe.params]
    if missing:
        # A default that is not written out lets the key depend on the version of the generator.
        reason = "its default is not written out, so what the recipe makes depends on the version of its generator"
        values = " ".join(shlex.quote(f"{name}={_spelt(complete[name])}") for name in missing)
        yield f"params.{missing[0]}", reason, f"regen-vcs set {shlex.quote(asset)} {values}", "warning"


def _spelt(value: Any) -> str:
    """A value as `set` takes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check_exported(
    recipe: Recipe, error: UsageError, exported_schema: Callable[[str], bytes | None]
) -> Iterator[Finding]:
    data = exported_schema(recipe.generator)
    if data is None and "captured" in recipe.meta:
        return  # that code is in no repository to be installed from; what it was called with is written out
    if data is None:
        yield "generator", f"{error.what}, and no schema of it is exported: its params were not checked", error.hint, "warning"
        return
    yield "generator", f"{error.what}: its params were checked against the exported schema", error.hint, "warning"
    try:
        schema = parse_json(data)
        if not isinstance(schema, dict):
            raise InvalidError("the exported schema is no JSON object", "regen-vcs schema --export")
        validate_schema(schema, recipe.params)
    except InvalidError as problem:
        yield _bad(problem)


def _bad(error: InvalidError) -> Finding:
    field = error.field
    reason = error.what.removeprefix(f"{field}: ").removeprefix(f"{field} ") if field else error.what
    return field, reason, error.hint, "error"
