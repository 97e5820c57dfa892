"""A workflow graph in API format: {node id: {"class_type", "inputs", "_meta": {"title"}}}. Read strictly, never changed in place.

Integers stay exact whatever their size: a seed goes up to 2^64-1.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.generators.comfyui.table import PREFIX_FIELD, Place
from regen_vcs.model.schema import near_miss

MAX_BYTES = 16 << 20

# What loaders call the models they load, and what a recipe calls such a model.
_MODEL_FIELDS = {
    "ckpt_name": "checkpoint", "unet_name": "unet", "vae_name": "vae", "lora_name": "lora", "clip_name": "clip",
    "clip_name1": "clip1", "clip_name2": "clip2", "clip_name3": "clip3", "clip_name4": "clip4",
    "control_net_name": "controlnet", "style_model_name": "style", "gligen_name": "gligen",
    "hypernetwork_name": "hypernetwork", "photomaker_model_name": "photomaker", "audio_encoder_name": "audio_encoder",
}  # fmt: skip
# Loaders of other people's nodes are known by what they load.
_MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
_NO_MODEL = frozenset(("", "none", "None"))
_FILE_FIELDS = frozenset(("image", "mask", "audio", "video", "file", "upload"))
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


class ModelUse(NamedTuple):
    """A model that a graph loads. role: "checkpoint", or "lora-12" where several nodes load one; loader: the node's class."""

    role: str
    name: str
    place: Place
    loader: str


class Graph:
    """nodes: as parsed, one or more."""

    def __init__(self, nodes: Mapping[str, Mapping[str, Any]]):
        self.nodes = nodes

    def label(self, node: str) -> str:
        """A node as people find it again: its title, its class, its id."""
        found = self.nodes.get(node)
        if found is None:
            return f"node {node}"
        title = title_of(found)
        kind = class_of(found)
        return f"“{title}” ({kind}, node {node})" if title and title != kind else f"{kind} (node {node})"

    def value(self, place: Place) -> Any:
        """What stands at a place. InvalidError, with what is there instead, where the graph has no such place."""
        if place.node not in self.nodes:
            known = ", ".join(f"{node} is {class_of(found)}" for node, found in list(self.nodes.items())[:12])
            raise InvalidError(f"{place}: the graph has no node {place.node}", known)
        inputs = self.nodes[place.node]["inputs"]
        if place.field not in inputs:
            hint = near_miss(place.field, inputs) or "it has " + (", ".join(sorted(inputs)) or "none")
            raise InvalidError(f"{place}: {self.label(place.node)} has no input {place.field}", hint)
        return inputs[place.field]

    def is_file(self, place: Place) -> bool:
        """Whether a place names a file that somebody has uploaded."""
        kind = class_of(self.nodes[place.node])
        return place.field in _FILE_FIELDS and "Load" in kind and isinstance(self.value(place), str)

    def with_values(self, values: Mapping[Place, Any]) -> Graph:
        """Another graph, in which these places hold these values."""
        nodes = copy.deepcopy(dict(self.nodes))
        for place, value in values.items():
            nodes[place.node]["inputs"][place.field] = value
        return Graph(nodes)

    def with_prefix(self, stem: str) -> Graph:
        """Another graph, in which every node that saves files names them `stem-NODE`."""
        return self.with_values({
            Place(node, PREFIX_FIELD): f"{stem}-{_UNSAFE.sub('-', node)}"
            for node, found in self.nodes.items() if PREFIX_FIELD in found["inputs"]
        })  # fmt: skip

    def digest(self) -> str:
        """Names what this graph makes: BLAKE3 hex of everything in it but the names of its files."""
        bare = self.with_values({
            Place(node, PREFIX_FIELD): "" for node, found in self.nodes.items() if PREFIX_FIELD in found["inputs"]
        })  # fmt: skip
        return blake3(json.dumps(bare.nodes, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def models(self) -> list[ModelUse]:
        """The models that it loads, by name, in the order of the nodes."""
        found = list(_model_inputs(self.nodes))
        roles = [_role_of(place.field) for place, _ in found]
        return [
            ModelUse(self._role(role, place, roles), name, place, class_of(self.nodes[place.node]))
            for role, (place, name) in zip(roles, found, strict=True)
        ]

    @staticmethod
    def _role(role: str, place: Place, roles: list[str]) -> str:
        return role if roles.count(role) == 1 else f"{role}-{_UNSAFE.sub('-', place.node)}"


def parse_graph(data: bytes, where: str) -> Graph:
    """The graph in a workflow file. InvalidError, naming `where`, for what is none in API format."""
    if len(data) > MAX_BYTES:
        raise InvalidError(f"{where}: {len(data)} bytes are no workflow")
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InvalidError(f"{where}: not JSON: {reason}", 'in ComfyUI: Workflow, then "Export (API)"') from None
    if isinstance(document, dict) and isinstance(document.get("nodes"), list):
        raise InvalidError(
            f"{where}: this is the format of ComfyUI's editor, which its server does not take",
            'in ComfyUI: Workflow, then "Export (API)" (older versions: enable the developer options, "Save (API Format)")',
        )
    if not isinstance(document, dict) or not document:
        raise InvalidError(f"{where}: a graph in API format is an object of nodes, by id")
    for node, found in document.items():
        if not isinstance(found, dict) or not isinstance(found.get("class_type"), str) or not isinstance(found.get("inputs"), dict):
            raise InvalidError(f"{where}: node {node} is no node: it needs class_type and inputs")
    return Graph(document)


def model_names(nodes: Any) -> frozenset[str]:
    """The models that somebody's graph loads, as a server tells of it: nothing is certain of its form."""
    if not isinstance(nodes, Mapping):
        return frozenset()
    sound = {
        node: found for node, found in nodes.items()
        if isinstance(found, Mapping) and isinstance(found.get("inputs"), Mapping)
    }  # fmt: skip
    return frozenset(name for _, name in _model_inputs(sound))


def title_of(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return title if isinstance(title, str) else ""


def class_of(node: Mapping[str, Any]) -> str:
    return str(node.get("class_type", ""))


def node_order(node: str) -> tuple:
    """Sorts ids of nodes as people count: 3, 12, "12:4"."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in node.split(":"))


def is_link(value: Any) -> bool:
    """Whether an input is another node's output: ["4", 0]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _model_inputs(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Place, str]]:
    for node in sorted(nodes, key=node_order):
        for field, value in nodes[node]["inputs"].items():
            if not isinstance(value, str) or value in _NO_MODEL:
                continue
            if field in _MODEL_FIELDS or value.lower().endswith(_MODEL_SUFFIXES):
                yield Place(node, field), value


def _role_of(field: str) -> str:
    return _MODEL_FIELDS.get(field) or field.removesuffix("_name") or field


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")
