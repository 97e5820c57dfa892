"""A recipe's parameters as a pipeline's own arguments, by the signature of its `__call__`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from regen_vcs.generators.base import JobFailed
from regen_vcs.generators.diffusers.params import DiffusersParams

# parameter: the pipeline's argument. Said only where they are not None, or not the default.
_NAMES = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "width": "width",
    "height": "height",
    "strength": "strength",
    "num_frames": "num_frames",
}
# input: the arguments it may be, the first that the pipeline has.
_INPUTS = {"image": ("image",), "mask": ("mask_image", "mask"), "control": ("control_image", "image")}
# One asset is one batch of one: another composition changes pixels.
_ONES = ("num_images_per_prompt", "num_videos_per_prompt", "num_waveforms_per_prompt", "batch_size")
# What we say ourselves, or what has no value in JSON.
_OURS = frozenset({
    *_NAMES.values(), *_ONES, *(name for names in _INPUTS.values() for name in names), "self", "generator", "latents",
    "output_type", "return_dict", "callback", "callback_steps", "callback_on_step_end",
    "callback_on_step_end_tensor_inputs", "args", "kwargs",
})  # fmt: skip


def accepted(pipeline_class: type) -> set[str]:
    """The names a pipeline's `__call__` has."""
    return set(inspect.signature(pipeline_class.__call__).parameters)


def fits(pipeline_class: type, inputs: Mapping[str, Any]) -> bool:
    """Whether a pipeline has an argument for every input."""
    names = accepted(pipeline_class)
    return all(any(each in names for each in _INPUTS.get(name, ())) for name in inputs)


def arguments_of(params: DiffusersParams, inputs: Mapping[str, Any], pipeline_class: type) -> dict[str, Any]:
    """The arguments of one call, without generator, callback and output type.

    inputs: {"image" | "mask" | "control": picture}. JobFailed for what the pipeline does not take.
    """
    names = accepted(pipeline_class)
    label = pipeline_class.__name__
    defaults = DiffusersParams()
    found: dict[str, Any] = {}
    for ours, theirs in _NAMES.items():
        value = getattr(params, ours)
        if theirs in names:
            if value is not None and not (ours == "negative_prompt" and not value):
                found[theirs] = value
        elif value != getattr(defaults, ours):
            raise JobFailed(f"{label} takes no {ours}")
    found |= _input_arguments(inputs, names, label)
    found |= dict.fromkeys((each for each in _ONES if each in names), 1)
    found |= _extra(params.extra, names, label)
    return found


def _input_arguments(inputs: Mapping[str, Any], names: set[str], label: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, picture in inputs.items():
        if name not in _INPUTS:
            raise JobFailed(f"diffusers takes the inputs {', '.join(_INPUTS)}, not {name}")
        place = next((each for each in _INPUTS[name] if each in names and each not in found), None)
        if place is None:
            raise JobFailed(f"{label} takes no input {name}")
        found[place] = picture
    return found


def _extra(extra: Mapping[str, Any], names: set[str], label: str) -> dict[str, Any]:
    for name in extra:
        if name in _OURS:
            raise JobFailed(f"extra.{name} is not for a recipe to say: it is a parameter of its own, or ours")
        if name not in names:
            near = difflib.get_close_matches(name, names - _OURS, n=1)
            raise JobFailed(f"{label} has no argument {name}" + (f"; did you mean {near[0]}?" if near else ""))
    return dict(extra)
