"""What the arguments of a captured function are: where it writes, its inputs, its params, what is left out."""

from __future__ import annotations

import inspect
import os
import re
import typing
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Annotated, Any

from regen_vcs.errors import UsageError
from regen_vcs.model.param_values import is_path
from regen_vcs.model.secrets import is_secret_name


class _InputMark:
    """What tells an annotation `Input` from any other."""

    def __repr__(self) -> str:
        return "regen_vcs.capture.Input"


Input = Annotated[str | os.PathLike, _InputMark()]
"""Annotates a parameter that is a file or asset of the repository: it becomes an input of the recipe, by its bytes."""

# A string annotation that cannot be evaluated here, but that clearly speaks of it.
_NAMES_INPUT = re.compile(r"\bInput\b")

# One call, sorted: output (as given, None where there is none), params, inputs {name: path}.
Call = namedtuple("Call", ("output", "params", "inputs"))

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class CallShape:
    """The signature of a function that makes an asset, read once.

    output: the parameter that says where to write. A function without one gets it as a keyword of the wrapper, and
    must return what it made. inputs: parameters that are inputs, besides those annotated `Input`.
    exclude: parameters that are not recorded; allow: that are, though their names look like secrets'.
    UsageError for a function that cannot be captured so.
    """

    def __init__(
        self, function: Callable, *, output: str = "output", inputs: Iterable[str] = (), exclude: Iterable[str] = (),
        allow: Iterable[str] = (),
    ):
        self.function, self.output = function, output
        self.name = f"{function.__module__}:{function.__qualname__}"
        self.exclude, self.allow = frozenset(exclude), frozenset(allow)
        _require_callable(function, self.name)
        self.signature = inspect.signature(function)
        self.takes_output = output in self.signature.parameters
        self.bound = _bound_name(self.signature)
        self.inputs = frozenset(inputs) | self._annotated_inputs()
        self._check_names(frozenset(inputs))

    @property
    def wrapper_signature(self) -> inspect.Signature:
        """The function's own, with the output's keyword where it has none."""
        if self.takes_output:
            return self.signature
        extra = inspect.Parameter(self.output, inspect.Parameter.KEYWORD_ONLY, annotation=str)
        own = list(self.signature.parameters.values())
        at = next((i for i, each in enumerate(own) if each.kind is inspect.Parameter.VAR_KEYWORD), len(own))
        return self.signature.replace(parameters=[*own[:at], extra, *own[at:]])

    def sort(self, arguments: tuple, keywords: Mapping[str, Any]) -> Call:
        """What one call means, defaults written out. TypeError as the function itself would raise it."""
        bound = self.wrapper_signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        params: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if name in (self.output, self.bound):
                continue
            parameter = self.signature.parameters[name]
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                params |= {key: each for key, each in value.items() if key not in self.exclude}
            elif name in self.exclude:
                continue
            elif name in self.inputs:
                inputs |= _inputs_of(name, value)
            elif is_path(value):
                inputs[name] = value
            else:
                params[name] = list(value) if parameter.kind is inspect.Parameter.VAR_POSITIONAL else value
        clash = next(iter(params.keys() & inputs.keys()), None)
        if clash:
            raise UsageError(f"{self.name}: {clash} is a param and an input at once")
        return Call(bound.arguments.get(self.output), params, inputs)

    def call_arguments(self, arguments: tuple, keywords: Mapping[str, Any], path: str) -> tuple[tuple, dict]:
        """The call's arguments with `path` for its output, as the same kind of path that was given."""
        bound = self.wrapper_signature.bind(*arguments, **keywords)
        given = bound.arguments.pop(self.output, None)
        if self.takes_output:
            bound.arguments[self.output] = type(given)(path) if isinstance(given, PurePath) else path
            # In the order of the signature, which `args` goes by.
            bound.arguments = {name: bound.arguments[name] for name in self.signature.parameters if name in bound.arguments}
        return bound.args, bound.kwargs

    def _annotated_inputs(self) -> frozenset[str]:
        found = set()
        for name, parameter in self.signature.parameters.items():
            if _is_input(self.annotation_of(parameter)):
                found.add(name)
        return frozenset(found)

    def annotation_of(self, parameter: inspect.Parameter) -> Any:
        """A parameter's annotation, also where `from __future__ import annotations` left it as text.

        None where there is none or its names cannot be resolved; UsageError where it seems to say `Input`.
        """
        annotation = parameter.annotation
        if annotation is inspect.Parameter.empty:
            return None
        scope = inspect.getclosurevars(self.function).nonlocals if isinstance(annotation, str) else {}
        try:
            for _ in range(2):  # a quoted one under that import is text of text
                if isinstance(annotation, str):
                    annotation = eval(annotation, getattr(self.function, "__globals__", {}), dict(scope))  # its own code
            return annotation
        except Exception:
            if _NAMES_INPUT.search(annotation):
                raise UsageError(
                    f"{self.name}: the annotation of {parameter.name} ({annotation}) cannot be read here",
                    f'say it: inputs=("{parameter.name}",)',
                ) from None
            return None

    def _check_names(self, said: frozenset[str]) -> None:
        known = self.signature.parameters
        open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
        for name in sorted(said | self.exclude):
            if name not in known and not open_ended:
                raise UsageError(f"{self.name}: has no parameter {name}", f"it has: {', '.join(known)}")
        for name in known:
            if is_secret_name(name) and name not in self.exclude | self.allow | {self.output, self.bound}:
                raise UsageError(
                    f"{self.name}: the parameter {name} looks like a secret, and recipes are committed to git",
                    f'leave it out: exclude=("{name}",), or, where it is none: allow=("{name}",)',
                )


def _require_callable(function: Callable, name: str) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"{name}: yields; only functions that return can be captured", "use capture.recording inside it")
    if not inspect.isroutine(function):
        raise UsageError(f"{name}: only functions and methods can be captured")


def _bound_name(signature: inspect.Signature) -> str | None:
    """`self` or `cls` of a method: no param."""
    first = next(iter(signature.parameters.values()), None)
    is_bound = first is not None and first.kind in _POSITIONAL and first.name in ("self", "cls")
    return first.name if is_bound else None


def _is_input(annotation: Any) -> bool:
    """Whether `Input` stands anywhere in it: itself, `Input | None`, `list[Input]`."""
    if any(isinstance(each, _InputMark) for each in getattr(annotation, "__metadata__", ())):
        return True
    return any(_is_input(each) for each in typing.get_args(annotation))


def _inputs_of(name: str, value: Any) -> dict[str, Any]:
    """One input, or `name.0`, `name.1`, … of several; none for None."""
    if value is None:
        return {}
    if isinstance(value, list | tuple):
        return {f"{name}.{number}": each for number, each in enumerate(value)}
    return {name: value}
