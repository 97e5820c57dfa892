"""Capture: any Python function or agent tool that makes media gets a memory.

    from regen_vcs import capture

    @capture.generator("my-sky", version="1")
    def paint(output: str, *, seed: int, octaves: int = 4, plate: capture.Input | None = None): ...

    paint("shots/010/sky.png", seed=7)

    with capture.recording("shots/010/sky.png", generator="my-tool", params={"seed": 7}) as rec:
        image.save(rec.path)

Either writes the file, its sidecar (params with their defaults, inputs, models, agent and task), the bytes into the
store, and a record of the take with its duration: all of it, or after an exception nothing. docs/capture.md says more.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any

from regen_vcs.engine.call_shape import CallShape, Input
from regen_vcs.engine.captured_generator import generator_class
from regen_vcs.engine.made_things import place_result
from regen_vcs.engine.recording import Recording, workspace_around
from regen_vcs.engine.sidecars import has_sidecar, read_sidecar
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.paths import resolve_input, sidecar_of
from regen_vcs.model.recipe import Recipe

__all__ = ["Input", "Recall", "Recording", "RecordingContext", "acting", "as_generator", "current", "generator", "recall", "recording"]

_ACTING: ContextVar[Mapping[str, str]] = ContextVar("regen_vcs_acting", default=MappingProxyType({}))
_CURRENT: ContextVar[Recording | None] = ContextVar("regen_vcs_recording", default=None)

# How an asset was made, as `recall` tells it. inputs: {name: path from the repository's root}; is_source: nothing
# can make it again; hash: of the accepted bytes, None while there are none.
Recall = namedtuple("Recall", ("path", "generator", "params", "inputs", "models", "meta", "hash", "is_source"))


class RecordingContext:
    """What `recording` gives: `with` and `async with` begin a `Recording` and file it."""

    def __init__(self, make: Callable[[], Recording]):
        self._make = make
        self._recording: Recording | None = None
        self._token: Token | None = None

    def __enter__(self) -> Recording:
        self._recording = self._make()
        self._recording.begin()
        return self._entered()

    def __exit__(self, kind: object, *_: object) -> None:
        _CURRENT.reset(self._token)
        self._recording.__exit__(kind)

    async def __aenter__(self) -> Recording:
        self._recording = self._make()
        # git, hashing and the wait for another regen-vcs must not hold up the event loop.
        await asyncio.to_thread(self._recording.begin)
        return self._entered()

    async def __aexit__(self, kind: object, *_: object) -> None:
        _CURRENT.reset(self._token)
        if kind is None:
            await asyncio.to_thread(self._recording.finish)
        else:
            self._recording.abandon()

    def _entered(self) -> Recording:
        self._token = _CURRENT.set(self._recording)
        return self._recording


def recording(
    path: str | os.PathLike, *, generator: str, params: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None, models: Mapping[str, Any] | None = None, agent: str | None = None,
    task: str | None = None, tool: str | None = None, meta: Mapping[str, Any] | None = None, version: str = "",
    exclude: Iterable[str] = (), allow: Iterable[str] = (),
) -> RecordingContext:
    """A context manager, plain or `async with`, in which an asset is made and recorded; it gives a `Recording`.

    path: of the asset, relative to the current directory or absolute. generator: what made it, letters, digits, . _ -.
    params, inputs, models, agent, task, tool, meta: see `Recording`. exclude: names of params that are not recorded,
    only named; allow: names that look like secrets' and are none. version: of your code, kept with the take.

    Write to `rec.path`. What is written appears under `path` at the end, and only if no exception is raised.
    """
    return RecordingContext(functools.partial(
        _new_recording, path, generator=generator, params=params, inputs=inputs, models=models, agent=agent, task=task,
        tool=tool, meta=meta, version=version, exclude=exclude, allow=allow,
    ))


def generator(
    name: str, *, version: str = "", output: str = "output", inputs: Iterable[str] = (), models: Any = None,
    exclude: Iterable[str] = (), allow: Iterable[str] = (), agent: str | None = None, task: str | None = None,
    tool: str | None = None, meta: Mapping[str, Any] | None = None,
) -> Callable[[Callable], Callable]:
    """A decorator for a function, method or coroutine function that makes one asset each time it is called.

    name: of the generator, in the recipe. version: of the function; change it when the same params give other pixels.
    output: the parameter that says where to write; a function without it is called with it all the same, and returns
    what it made: bytes, a path, or an object with `save(path)`. inputs: parameters that are inputs, besides those
    annotated `Input`. models: {role: alias or table}, or a function of the params that gives that.
    exclude, allow, agent, task, tool, meta: as for `recording`.

    The call returns what the function returns, where that is the path it was given or nothing: the asset's path.
    """

    def decorate(function: Callable) -> Callable:
        shape = CallShape(function, output=output, inputs=inputs, exclude=exclude, allow=allow)

        def begin_with(arguments: tuple, keywords: dict) -> tuple[RecordingContext, Any]:
            call = shape.sort(arguments, keywords)
            if call.output is None:
                raise UsageError(f"{shape.name}: where to? {output}= is missing")
            used = models(dict(call.params)) if callable(models) else models
            return RecordingContext(functools.partial(
                _new_recording, call.output, generator=name, params=call.params, inputs=call.inputs, models=used, agent=agent,
                task=task, tool=tool, meta=meta, version=version, function=shape.name, exclude=shape.exclude, allow=shape.allow,
            )), call.output

        @functools.wraps(function)
        def captured(*arguments: Any, **keywords: Any) -> Any:
            context, asked = begin_with(arguments, keywords)
            with context as rec:
                args, kwargs = shape.call_arguments(arguments, keywords, rec.path)
                returned = function(*args, **kwargs)
                place_result(returned, rec.path, shape.name)
            return _returned(returned, rec.path, asked)

        @functools.wraps(function)
        async def captured_async(*arguments: Any, **keywords: Any) -> Any:
            context, asked = begin_with(arguments, keywords)
            async with context as rec:
                args, kwargs = shape.call_arguments(arguments, keywords, rec.path)
                returned = await function(*args, **kwargs)
                place_result(returned, rec.path, shape.name)
            return _returned(returned, rec.path, asked)

        wrapper = captured_async if inspect.iscoroutinefunction(function) else captured
        wrapper.__signature__ = shape.wrapper_signature
        wrapper.__regen_capture__ = (name, version, shape, models)
        return wrapper

    return decorate


@contextmanager
def acting(*, agent: str | None = None, task: str | None = None, tool: str | None = None) -> Iterator[None]:
    """Everything recorded inside, in this thread or asyncio task, was made by this agent for this task."""
    said = {"agent": agent, "task": task, "tool": tool}
    token = _ACTING.set({**_ACTING.get(), **_without_none(said)})
    try:
        yield
    finally:
        _ACTING.reset(token)


def current() -> Recording:
    """The recording that is under way here: to add what only the function knows, as in `current().params["seed"] = 7`.

    UsageError outside of one.
    """
    found = _CURRENT.get()
    if found is None:
        raise UsageError("nothing is being recorded here", "call it inside capture.recording or a captured function")
    return found


def recall(path: str | os.PathLike) -> Recall:
    """How an asset was made, from its sidecar; RegenError where there is none, InvalidError where it is damaged."""
    cwd, text = os.getcwd(), os.fspath(path)
    with workspace_around(text, os.environ, cwd) as ws:
        asset = ws.asset_arg(text, cwd)
        if not has_sidecar(ws, asset):
            raise RegenError(f"{asset}: there is no recipe for it", "see: regen-vcs status")
        return _recall_of(asset, read_sidecar(ws, asset))


def as_generator(function: Callable, *, exact: bool = False, suffixes: tuple[str, ...] = ()) -> type:
    """A captured function as a class for the entry-point group `regen_vcs.generators`: recipes of its name can be run.

    Its params' schema comes from the annotations. exact: the same content on every machine; suffixes: what it can
    write (".png",). UsageError for a function that was not captured, or that cannot be called without its excluded
    parameters.
    """
    known = getattr(function, "__regen_capture__", None)
    if known is None:
        raise UsageError(f"{getattr(function, '__qualname__', function)}: is not captured", "decorate it with capture.generator")
    return generator_class(*known, exact=exact, suffixes=suffixes)


def _new_recording(path: str | os.PathLike, *, agent: str | None, task: str | None, tool: str | None, **more: Any) -> Recording:
    who = {**_ACTING.get(), **_without_none({"agent": agent, "task": task, "tool": tool})}
    return Recording(path, environ=os.environ, cwd=os.getcwd(), **who, **more)


def _without_none(said: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in said.items() if value is not None}


def _returned(returned: Any, path: str, asked: Any) -> Any:
    """What the caller gets: the temporary path means nothing to them."""
    if returned is None:
        return asked
    is_temporary = isinstance(returned, str | os.PathLike) and os.fspath(returned) == path
    return asked if is_temporary else returned


def _recall_of(asset: str, recipe: Recipe) -> Recall:
    return Recall(
        path=asset,
        generator=recipe.generator,
        params=dict(recipe.params),
        inputs={name: resolve_input(sidecar_of(asset), value) for name, value in recipe.inputs.items()},
        models={role: {"hash": m.hash, "name": m.name, "version": m.version} for role, m in recipe.models.items()},
        meta=dict(recipe.meta),
        hash=recipe.output.hash if recipe.output else None,
        is_source=recipe.is_source,
    )
