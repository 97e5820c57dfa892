"""Params, inputs and models of a recipe, and the places of the graph they go to: their types, and the filled-in graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from regen_vcs.errors import InvalidError
from regen_vcs.generators.comfyui.graph import Graph, is_link
from regen_vcs.generators.comfyui.table import FRAME_START, Place, Table
from regen_vcs.model.schema import (
    MAX_SEED,
    allowed_types,
    plain_integer,
    validate_schema,
)

_DECIMAL = re.compile(r"-?[0-9]{1,40}\Z")
# A graph spells 8.0 as 8, so an integer there may stand for a number: unless its name says what it counts.
_COUNTS = frozenset((
    "steps", "width", "height", "length", "batch_size", "frames", "num_frames", "frame_count", "start_at_step",
    "end_at_step", "amount", "index", "batch_index", "color",
))  # fmt: skip


def check_bindings(table: Table, graph: Graph) -> None:
    """InvalidError, naming the binding, for a place that the graph does not have."""
    for name, places in table.bind.items():
        for place in places:
            try:
                graph.value(place)
            except InvalidError as error:
                raise InvalidError(
                    f"[{table.where}]: bind.{name}: {error.what}", error.hint, field=f"{table.where}.bind.{name}"
                ) from None


def params_schema(table: Table, graph: Graph | None) -> dict[str, Any]:
    """The JSON Schema of the params. What the table says goes first; the rest follows from what stands in the graph.

    Without a graph, the bound names with any values.
    """
    properties: dict[str, Any] = {name: _inferred(places, graph) for name, places in table.bind.items()}
    required = []
    for name, own in (table.params or {}).items():
        inferred = properties.get(name, {})
        if "default" not in own and "default" in inferred and _fits(own, inferred["default"]):
            own = {**own, "default": inferred["default"]}
        properties[name] = own
        if "default" not in own:
            required.append(name)
    properties.setdefault(FRAME_START, {"type": "integer", "minimum": 0})
    return {"type": "object", "properties": properties, "required": sorted(required), "additionalProperties": False}


def _inferred(places: tuple[Place, ...], graph: Graph | None) -> dict[str, Any]:
    """The property of a bound name: type and default of what stands at its first place.

    No default where the value names a file or a model: those are inputs and models of the recipe, more often than params.
    """
    if graph is None:
        return {}
    place = places[0]
    value = graph.value(place)
    if graph.is_file(place) or any(use.place == place for use in graph.models()):
        return {"type": "string"}
    if isinstance(value, bool):
        return {"type": "boolean", "default": value}
    if isinstance(value, int) and (_is_seed(place) or place.field in _COUNTS):
        bounds = {"minimum": 0, "maximum": MAX_SEED} if _is_seed(place) and 0 <= value <= MAX_SEED else {}
        return {"type": "integer", **bounds, "default": plain_integer(value)}
    if isinstance(value, int | float):
        return {"type": "number", "default": plain_integer(value) if isinstance(value, int) else value}
    return {"type": "string", "default": value} if isinstance(value, str) else {}


def _is_seed(place: Place) -> bool:
    return place.field.endswith("seed")


def _fits(prop: Mapping[str, Any], value: Any) -> bool:
    try:
        validate_schema({"properties": {"value": prop}}, {"value": value})
    except InvalidError:
        return False
    return True


def param_values(table: Table, graph: Graph, params: Mapping[str, Any]) -> dict[Place, Any]:
    """{place: what goes there} of the params. InvalidError where one is bound to nothing, or of another type."""
    schema = params_schema(table, graph)
    values: dict[Place, Any] = {}
    for name, value in params.items():
        if name not in table.bind:
            if name == FRAME_START:
                continue
            raise InvalidError(f"params.{name} is bound to nothing in [{table.where}]", field=f"params.{name}")
        for place in table.bind[name]:
            there = graph.value(place)
            values[place] = _number_of_decimal(value, schema["properties"][name], there)
            _check_type(f"params.{name}", values[place], place, there)
    return values


def _number_of_decimal(value: Any, prop: Mapping[str, Any], there: Any) -> Any:
    """The integer itself, of one that recipes spell in decimal digits because a double could not hold it."""
    if not isinstance(value, str) or not _DECIMAL.match(value):
        return value
    types = allowed_types(prop)
    declared = "string" not in types and bool(types & {"integer", "number"})
    return int(value) if declared or (isinstance(there, int | float) and not isinstance(there, bool)) else value


def _check_type(field: str, value: Any, place: Place, there: Any) -> None:
    if there is None or is_link(there) or isinstance(there, list | dict):
        return  # whatever came through that link, the server knows better what it takes
    for kind, word in ((bool, "true or false"), (int | float, "a number"), (str, "text")):
        if isinstance(there, kind):
            is_bool = isinstance(value, bool)
            if isinstance(value, kind) and is_bool == (kind is bool):
                return
            raise InvalidError(f"{field}: {value!r} goes to {place}, which takes {word}", field=field)


def model_values(table: Table, graph: Graph, models: Mapping[str, Mapping[str, Any]]) -> dict[Place, Any]:
    """{place: file name} of the recipe's models: a role is a bound name, or one of the graph's own loaders."""
    places = model_places(table, graph)
    values: dict[Place, Any] = {}
    for role, model in models.items():
        if role not in places:
            known = ", ".join(places) or "none"
            raise InvalidError(f"models.{role}: the workflow loads no such model", f"it has {known}", field=f"models.{role}")
        if not model.get("name"):
            raise InvalidError(f"models.{role} has no name to find it by on a server", field=f"models.{role}")
        values = merged(values, dict.fromkeys(places[role], model["name"]))
    return values


def model_places(table: Table, graph: Graph) -> dict[str, tuple[Place, ...]]:
    """{role: places} that a recipe's models can have: the graph's own loaders, and the names bound to them."""
    uses = graph.models()
    loading = {use.place for use in uses}
    bound = {name: places for name, places in table.bind.items() if loading.issuperset(places)}
    return {use.role: (use.place,) for use in uses} | bound


def merged(*sources: Mapping[Place, Any]) -> dict[Place, Any]:
    """All of these; InvalidError where two of them mean the same place and differ."""
    values: dict[Place, Any] = {}
    for source in sources:
        for place, value in source.items():
            if place in values and values[place] != value:
                raise InvalidError(f"{place} is set twice: to {values[place]!r} and to {value!r}", "name it once: as param, input or model")
            values[place] = value
    return values
