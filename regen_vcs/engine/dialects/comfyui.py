"""ComfyUI: the graph that ran (`prompt`, in API form), traced from its last sampler back to texts, models and size.

The whole graph is kept beside the recipe, and its hash is a param: whatever is not understood here still counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from regen_vcs.engine.dialects.found import Found, clean, first_text, load_object, scalar

_MAX_NODES = 20_000
_MAX_SAMPLERS = 64
_MAX_TEXTS = 64
# Members that name a file of weights, and what role that plays. `clip_name` of a vision loader is told by its class.
_MODEL_MEMBERS = {
    "ckpt_name": "checkpoint", "unet_name": "unet", "vae_name": "vae", "lora_name": "lora", "clip_name": "clip",
    "clip_name1": "clip", "clip_name2": "clip", "clip_name3": "clip", "control_net_name": "controlnet",
    "style_model_name": "style_model", "gligen_name": "gligen", "model_name": "model", "upscale_model_name": "upscaler",
}  # fmt: skip
_TEXT_MEMBERS = ("text", "prompt", "text_g", "text_l", "t5xxl", "clip_l", "clip_g", "positive", "value", "string")
_FIELDS = ("steps", "cfg", "sampler_name", "scheduler", "denoise", "start_at_step", "end_at_step", "max_shift", "base_shift")
_SIZES = ("width", "height", "length", "frame_rate", "fps", "batch_size")
_SEEDS = ("seed", "noise_seed")
# Members of a custom sampler that are nodes of their own.
_PARTS = ("noise", "guider", "sampler", "sigmas")
_FILE_MEMBERS = ("image", "video", "audio", "mask", "file")


def is_graph(document: Any) -> bool:
    """Whether this is a graph in API form: {id: {"class_type", "inputs"}}."""
    if not isinstance(document, dict) or not 0 < len(document) <= _MAX_NODES:
        return False
    return all(isinstance(node, dict) and isinstance(node.get("class_type"), str) for node in document.values())


def is_workflow(document: Any) -> bool:
    """Whether this is the editor's own document."""
    return isinstance(document, dict) and isinstance(document.get("nodes"), list) and "links" in document


def read(graph: dict | None, where: str) -> Found:
    """What a graph says; None: only the editor's document is there."""
    found = Found("comfyui", "ComfyUI", where)
    if graph is None:
        found.miss("what ran: only the editor's workflow is in the file, not the graph with its values")
        return found
    nodes = _Nodes(graph)
    samplers = nodes.samplers()
    if samplers:
        _take_sampler(found, nodes, samplers[-1])
        if len(samplers) > 1:
            found.miss(f"the settings of {len(samplers) - 1} earlier samplers (they are in the graph)")
    else:
        found.miss("which of its nodes says how: there is no sampler that is known (all of it is in the graph)")
        _take_lone_seed(found, nodes)
    _take_models(found, nodes)
    _say_files(found, nodes)
    found.miss_model_hashes()
    return found


def documents_in(key: str, text: str) -> Iterator[tuple[str, dict, str]]:
    """("prompt" or "workflow", the document, its text) of what an embedded text holds.

    Under its own key; as `prompt:{…}` in an EXIF tag; or both in one JSON object in a film's comment.
    """
    name, colon, rest = text.partition(":")
    if colon and name.strip().lower() in ("prompt", "workflow"):
        key, text = name.strip().lower(), rest
    document = load_object(text)
    if document is None:
        return
    if is_graph(document):
        yield "prompt", document, text
    elif is_workflow(document):
        yield "workflow", document, text
    elif key.lower() not in ("prompt", "workflow"):
        yield from _wrapped(document)


def _wrapped(document: dict) -> Iterator[tuple[str, dict, str]]:
    for kind, knows in (("prompt", is_graph), ("workflow", is_workflow)):
        inner = document.get(kind)
        inner = load_object(inner) if isinstance(inner, str) else inner
        if knows(inner):
            yield kind, inner, json.dumps(inner)


class _Nodes:
    """A graph whose links are followed at most once a node: it may be a circle."""

    def __init__(self, graph: dict):
        self.graph = graph

    def inputs(self, node_id: str) -> dict:
        inputs = self.graph.get(node_id, {}).get("inputs")
        return inputs if isinstance(inputs, dict) else {}

    def kind(self, node_id: str) -> str:
        return self.graph[node_id]["class_type"]

    def target(self, value: Any) -> tuple[str, int] | None:
        """(node, its output's number) that a link leads to; None for a value."""
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int:
            return (str(value[0]), value[1]) if str(value[0]) in self.graph else None
        return None

    def samplers(self) -> list[str]:
        """Nodes that sample, those whose latents feed others first."""
        found = [each for each in self.graph if self._is_sampler(each)][:_MAX_SAMPLERS]
        depth = {each: len(self.upstream(each) & set(found)) for each in found}
        return sorted(found, key=lambda each: depth[each])

    def _is_sampler(self, node_id: str) -> bool:
        inputs = self.inputs(node_id)
        if all(self.target(inputs.get(name)) for name in ("model", "positive")) and "steps" in inputs:
            return True
        return bool(self.target(inputs.get("sigmas")) and (self.target(inputs.get("guider")) or self.target(inputs.get("positive"))))

    def upstream(self, node_id: str) -> set[str]:
        """Everything a node depends on, itself included."""
        seen, todo = {node_id}, [node_id]
        while todo:
            for value in self.inputs(todo.pop()).values():
                link = self.target(value)
                if link and link[0] not in seen:
                    seen.add(link[0])
                    todo.append(link[0])
        return seen

    def value(self, value: Any, names: tuple[str, ...]) -> Any:
        """A literal, also one that stands in a primitive node at the end of a link."""
        seen: set[str] = set()
        while link := self.target(value):
            if link[0] in seen:
                return None
            seen.add(link[0])
            inputs = self.inputs(link[0])
            value = next((inputs[name] for name in (*names, "value", "int", "float", "number") if name in inputs), None)
        return None if isinstance(value, list | dict) else value

    def texts(self, value: Any) -> list[str]:
        """The texts that end in a conditioning, in the order of the graph."""
        found: dict[str, None] = {}
        seen: set[tuple[str, int]] = set()
        todo = [value]
        while todo and len(found) < _MAX_TEXTS:
            link = self.target(todo.pop(0))
            if link is None or link in seen:
                continue
            seen.add(link)
            inputs = self.inputs(link[0])
            if {"positive", "negative"} <= inputs.keys():  # a node that passes both on: the link says which
                todo.append(inputs["positive" if link[1] == 0 else "negative"])
                continue
            found |= dict.fromkeys(
                inputs[name] for name in _TEXT_MEMBERS if isinstance(inputs.get(name), str) and inputs[name].strip()
            )
            todo += [each for name, each in inputs.items() if self.target(each) and name not in ("clip", "model", "vae", "image")]
        return list(found)


def _take_sampler(found: Found, nodes: _Nodes, sampler: str) -> None:
    inputs: dict[str, Any] = {}
    for part in _PARTS:
        link = nodes.target(nodes.inputs(sampler).get(part))
        inputs |= nodes.inputs(link[0]) if link else {}
    inputs |= nodes.inputs(sampler)
    seed = next((nodes.value(inputs[name], _SEEDS) for name in _SEEDS if name in inputs), None)
    found.put("seed", seed)
    if seed is None:
        found.miss("the seed")
    for name in _FIELDS:
        if name in inputs:
            found.put({"sampler_name": "sampler"}.get(name, name), nodes.value(inputs[name], (name,)))
    _take_texts(found, nodes, "prompt", inputs.get("positive", inputs.get("conditioning")))
    _take_texts(found, nodes, "negative_prompt", inputs.get("negative"))
    guidance = next((value for each in sorted(nodes.upstream(sampler)) if (value := nodes.inputs(each).get("guidance"))), None)
    found.put("guidance", nodes.value(guidance, ("guidance",)))
    _take_size(found, nodes, sampler)


def _take_texts(found: Found, nodes: _Nodes, name: str, value: Any) -> None:
    texts = nodes.texts(value)
    found.put_prompt(name, "\n".join(texts))
    if len(texts) > 1:
        found.miss(f"how the {name.replace('_', ' ')} is put together of {len(texts)} texts (that is in the graph)")


def _take_size(found: Found, nodes: _Nodes, sampler: str) -> None:
    """From the node nearest to the sampler that says a width and a height."""
    todo, seen = [sampler], {sampler}
    while todo:
        inputs = nodes.inputs(todo.pop(0))
        if {"width", "height"} <= inputs.keys():
            for name in _SIZES:
                if name in inputs:
                    found.put(name, nodes.value(inputs[name], (name,)))
            return
        for value in inputs.values():
            link = nodes.target(value)
            if link and link[0] not in seen:
                seen.add(link[0])
                todo.append(link[0])


def _take_lone_seed(found: Found, nodes: _Nodes) -> None:
    """Where one node alone has a seed, that is the seed."""
    seeds = [inputs[name] for each in nodes.graph for inputs in [nodes.inputs(each)] for name in _SEEDS if name in inputs]
    if len(seeds) == 1:
        found.put("seed", nodes.value(seeds[0], _SEEDS))


def _take_models(found: Found, nodes: _Nodes) -> None:
    strengths = {}
    for node_id in nodes.graph:
        inputs = nodes.inputs(node_id)
        for member, role in _MODEL_MEMBERS.items():
            name = inputs.get(member)
            if not isinstance(name, str) or name.lower() in ("", "none"):
                continue
            found.put_model(_role(role, nodes.kind(node_id)), name)
            if member == "lora_name":
                strength = nodes.value(inputs.get("strength_model"), ("strength_model",))
                strengths[name] = strength if isinstance(strength, int | float) else 1
    if strengths:
        found.params["loras"] = {clean(name, 200): scalar(value) for name, value in list(strengths.items())[:64]}


def _role(role: str, kind: str) -> str:
    if role == "clip" and "vision" in kind.lower():
        return "clip_vision"
    return "upscaler" if role == "model" and "upscale" in kind.lower() else role


def _say_files(found: Found, nodes: _Nodes) -> None:
    """Files on the server that it was made from: their names are all there is."""
    for node_id in nodes.graph:
        if nodes.kind(node_id).lower().startswith(("load", "vhs_load")):
            name = first_text(nodes.inputs(node_id), _FILE_MEMBERS)
            if name:
                found.miss(f"the input file {name!r} (it is on the server that ran it)")
