"""The half of the API that needs generators, their schemas and the queue: loaded when something is composed or made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from regen_vcs.api.following import CancelToken, Following, Progress
from regen_vcs.api.results import CANCELLED, Result, Selection
from regen_vcs.engine.compose import Composer, check_new_asset, record_sidecar
from regen_vcs.engine.edit import set_params
from regen_vcs.engine.making import make_assets, refresh_recipe
from regen_vcs.engine.recipe_changes import refuse_cycle
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import UsageError, Withdrawn
from regen_vcs.generators import registry

__all__ = ["change_recipe", "compose_recipe", "make_selection", "refresh_recipe"]


def compose_recipe(
    ws: Workspace, asset: str, generator: str | None, params: Mapping[str, Any] | None, param_texts: Mapping[str, str] | None,
    inputs: Mapping[str, str], models: Mapping[str, str] | None, meta: Mapping[str, Any],
) -> None:
    """See `Project.write_recipe`. inputs: {name: path from the root}."""
    check_new_asset(ws, asset)
    name = generator or _default_generator(ws)
    recipe = Composer(ws).new(asset, name, param_texts or {}, models or {}, inputs, meta, values=params)
    refuse_cycle(ws, asset, recipe)
    record_sidecar(ws, asset, recipe)


def change_recipe(
    ws: Workspace, asset: str, params: Mapping[str, Any] | None, param_texts: Mapping[str, str] | None,
    inputs: Mapping[str, str], models: Mapping[str, str] | None, unset: list[str],
) -> list[str]:
    """See `Project.set`."""
    lines = set_params(ws, asset, param_texts or {}, unset=unset, inputs=inputs, models=models or {}, values=params)
    refresh_recipe(ws, asset)
    return lines


def make_selection(
    ws: Workspace, selection: Selection, frames: tuple[int, ...], jobs: int | None, progress: Callable[[Progress], object] | None,
    cancel: CancelToken | None,
) -> Iterator[Result]:
    """See `Project.make`."""
    following = Following(len(selection), progress, cancel)
    left = dict.fromkeys(selection)
    works = make_assets(
        ws, selection.paths, by_user=True, force=selection.forced and not frames, frames=frames, workers=jobs,
        progress=following.note, followers=selection.followers, tick=following.tick,
    )
    try:
        for made in works if left else ():
            result = Result.of(made)
            left.pop(result.path, None)
            following.finished(result)
            yield result
    except Withdrawn as error:
        following.reraise()
        for path in left:
            yield Result(path, CANCELLED, error=error)
    finally:
        works.close()


def _default_generator(ws: Workspace) -> str:
    name = ws.settings.get("defaults.generator")
    if name is None:
        installed = ", ".join(registry.names())
        raise UsageError("generate: which generator?", f"--generator G (installed: {installed}), or [defaults] in regen.toml")
    return name
