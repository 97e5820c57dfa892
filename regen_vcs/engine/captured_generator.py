"""A captured function as a generator: what a plug-in's entry point names, so that its recipes can be run again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError

from regen_vcs.engine.call_shape import CallShape
from regen_vcs.engine.made_things import place_result
from regen_vcs.errors import UsageError
from regen_vcs.generators.base import Job, OpenParams, Params

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _CapturedParams(Params):
    # A name such as `copy` or `schema` is the function's own affair.
    model_config = ConfigDict(protected_namespaces=(), strict=False)


def generator_class(
    name: str, version: str, shape: CallShape, models: Any, *, exact: bool, suffixes: tuple[str, ...]
) -> type:
    """A class that fits the Generator protocol and calls the function in a job. UsageError where it cannot."""
    _require_callable_by_name(shape)
    own_models = models

    class CapturedGenerator:
        """Runs a captured function; made by `regen_vcs.capture.as_generator`."""

        Params = _params_model(name, shape)

        def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
            found = own_models(dict(recipe.params)) if callable(own_models) else own_models or {}
            return {role: model for role, model in found.items() if isinstance(model, Mapping)}

        def run(self, job: Job) -> None:
            _run(shape, job)

    CapturedGenerator.name, CapturedGenerator.version, CapturedGenerator.exact = name, version, exact
    CapturedGenerator.__module__, CapturedGenerator.__doc__ = shape.function.__module__, shape.function.__doc__
    CapturedGenerator.__qualname__ = CapturedGenerator.__name__ = f"{shape.function.__name__}_generator"
    if suffixes:
        CapturedGenerator.suffixes = tuple(suffixes)
    return CapturedGenerator


def _require_callable_by_name(shape: CallShape) -> None:
    if shape.bound:
        raise UsageError(f"{shape.name}: a method needs its object", "capture a function")
    if inspect.iscoroutinefunction(shape.function):
        raise UsageError(f"{shape.name}: a coroutine function cannot be a generator", "capture a plain function")
    for name, parameter in shape.signature.parameters.items():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise UsageError(f"{shape.name}: {name} has no name to be called by", "make it a keyword")
        if name in shape.exclude and parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIABLE:
            raise UsageError(f"{shape.name}: is not recorded what {name} was, and it has no default", "give it a default")


def _params_model(name: str, shape: CallShape) -> type:
    """A pydantic model of the params alone: no output, no inputs, nothing excluded."""
    fields: dict[str, Any] = {}
    is_open = False
    for each, parameter in shape.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            is_open = True
        elif each != shape.output and each not in shape.inputs and each not in shape.exclude:
            kind = shape.annotation_of(parameter) or Any
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            # By alias, so that a name pydantic keeps for itself (`copy`, `_x`) stays the param's.
            fields[f"p_{each}"] = (kind, Field(default, alias=each))
    base = OpenParams if is_open else _CapturedParams
    try:
        model = create_model(f"{shape.function.__name__}_params", __base__=base, **fields)
        model.model_rebuild()  # names that mean nothing here are found out now, not in the first job
        return model
    except (PydanticUserError, TypeError, NameError) as error:
        what = f"{shape.name}: its annotations make no schema: {error}".splitlines()[0]
        raise UsageError(what, f"annotate the params of {name} with plain types") from None


def _run(shape: CallShape, job: Job) -> None:
    typed = {field.removeprefix("p_"): getattr(job.params, field) for field in type(job.params).model_fields}
    typed |= getattr(job.params, "model_extra", None) or {}
    if shape.takes_output:
        typed[shape.output] = job.output
    returned = shape.function(**(typed | _inputs(shape, job)))
    place_result(returned, job.output, shape.name)


def _inputs(shape: CallShape, job: Job) -> dict[str, Any]:
    """Input parameters by name; `plates.0`, `plates.1`, … are the list `plates` again."""
    found: dict[str, Any] = {}
    lists: dict[str, dict[int, str]] = {}
    for role, path in job.inputs.items():
        base, dot, number = role.rpartition(".")
        if dot and number.isdigit() and base in shape.signature.parameters:
            lists.setdefault(base, {})[int(number)] = path
        else:
            found[role] = path
    found |= {name: [paths[number] for number in sorted(paths)] for name, paths in lists.items()}
    return found
