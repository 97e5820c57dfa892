"""InvokeAI: `invokeai_metadata` (3 and later), `sd-metadata` (2), and the `Dream` command line (1 and 2)."""

from __future__ import annotations

import re
import shlex
from typing import Any

from regen_vcs.engine.dialects.found import Found, first_text, load_object, number, param_name, scalar

_NAMES = {
    "seed": "seed", "steps": "steps", "cfg_scale": "cfg", "cfg_rescale_multiplier": "cfg_rescale", "scheduler": "scheduler",
    "width": "width", "height": "height", "strength": "denoise", "clip_skip": "clip_skip", "rand_device": "noise_device",
    "seamless_x": "seamless_x", "seamless_y": "seamless_y", "generation_mode": "mode", "guidance": "guidance",
    "positive_style_prompt": "style_prompt", "negative_style_prompt": "negative_style_prompt", "app_version": "app_version",
}  # fmt: skip
_IMAGES = {"controlnets": "the control images", "ipAdapters": "the reference images", "t2iAdapters": "the adapter images"}
_MAX_DREAM = 64 << 10
_FLAGS = {
    "-s": "steps", "--steps": "steps", "-S": "seed", "--seed": "seed", "-W": "width", "--width": "width", "-H": "height",
    "--height": "height", "-C": "cfg", "--cfg_scale": "cfg", "-A": "scheduler", "--sampler": "scheduler", "-f": "denoise",
    "--strength": "denoise", "-V": "variations", "-v": "variation_amount",
}  # fmt: skip
_SHORT_FLAG = re.compile(r"(-[sSWHCAfvV])([0-9a-z_.:,]+)")


def read_metadata(document: dict, where: str) -> Found | None:
    """`invokeai_metadata`, of any version since 3."""
    if not {"positive_prompt", "model", "seed", "app_version", "generation_mode"} & document.keys():
        return None
    found = Found("invokeai", "InvokeAI", where)
    found.put_prompt("prompt", document.get("positive_prompt"))
    found.put_prompt("negative_prompt", document.get("negative_prompt"))
    for name, own in _NAMES.items():
        found.put(own, document.get(name))
    _put_model(found, "checkpoint", document.get("model"))
    _put_model(found, "vae", document.get("vae"))
    weights = {}
    for each in _dicts(document.get("loras")):
        lora = each.get("lora") or each.get("model")
        _put_model(found, "lora", lora)
        name, weight = first_text(lora, ("name", "model_name")), scalar(each.get("weight"))
        if name and weight is not None:
            weights[param_name(name)] = weight
    if weights:
        found.params["lora_weights"] = weights
    if document.get("init_image") or document.get("initial_image"):
        found.miss("the input image")
    for name, words in _IMAGES.items():
        if document.get(name):
            found.miss(words)
    _say_missing(found)
    return found


def read_sd_metadata(document: dict, where: str) -> Found | None:
    """`sd-metadata`, of version 2: the settings stand under `image`."""
    image = document.get("image")
    if not isinstance(image, dict) or ("app_id" not in document and "model_weights" not in document):
        return None
    found = Found("invokeai", "InvokeAI 2", where)
    prompt = image.get("prompt")
    texts = [prompt] if isinstance(prompt, str) else [each.get("prompt") for each in _dicts(prompt)]
    _put_bracketed(found, "\n".join(each for each in texts if isinstance(each, str)))
    for name, own in {**_NAMES, "sampler": "scheduler", "type": "mode", "threshold": "threshold", "perlin": "perlin"}.items():
        found.put(own, image.get(name))
    found.put("app_version", document.get("app_version"))
    found.put_model("checkpoint", document.get("model_weights"), document.get("model_hash"))
    if image.get("init_image_path") or image.get("mask_image_path") or image.get("type") == "img2img":
        found.miss("the input image")
    if image.get("postprocessing"):
        found.miss("the postprocessing")
    _say_missing(found)
    return found


def read_dream(text: str, where: str) -> Found | None:
    """The command that made it: `"a castle" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms`."""
    try:
        words = shlex.split(text[:_MAX_DREAM], comments=False)
    except ValueError:
        return None
    found = Found("invokeai", "InvokeAI 1", where)
    prompt: list[str] = []
    at = 0
    while at < len(words):
        word, short = words[at], _SHORT_FLAG.fullmatch(words[at])
        if word in _FLAGS and at + 1 < len(words):
            found.put(_FLAGS[word], number(words[at + 1]))
            at += 1
        elif short:
            found.put(_FLAGS[short.group(1)], number(short.group(2)))
        elif word in ("-I", "--init_img"):
            found.miss("the input image")
            at += 1
        elif not word.startswith("-"):
            prompt.append(word)
        at += 1
    if not {"steps", "seed"} <= found.params.keys():
        return None
    _put_bracketed(found, " ".join(prompt))
    _say_missing(found)
    return found


def _put_bracketed(found: Found, text: str) -> None:
    """Until version 3 what stood in [brackets] was the negative prompt."""
    negative = re.findall(r"\[([^\[\]]*)\]", text)
    found.put_prompt("prompt", re.sub(r"\s*\[[^\[\]]*\]", "", text).strip())
    found.put_prompt("negative_prompt", ", ".join(negative).strip())


def _put_model(found: Found, role: str, value: Any) -> None:
    if isinstance(value, str):
        found.put_model(role, value)
    elif isinstance(value, dict):
        found.put_model(role, first_text(value, ("name", "model_name", "key")), value.get("hash"))


def _say_missing(found: Found) -> None:
    if "seed" not in found.params:
        found.miss("the seed")
    if "checkpoint" not in found.models:
        found.miss("the model")
    found.miss_model_hashes()


def _dicts(value: Any) -> list[dict]:
    return [each for each in value[:64] if isinstance(each, dict)] if isinstance(value, list) else []


def read_any(key: str, text: str, where: str) -> Found | None:
    """By the name under which it stands."""
    name = key.lower()
    if name in ("dream", "dreamprompt"):
        return read_dream(text, where)
    readers = {"invokeai_metadata": read_metadata, "sd-metadata": read_sd_metadata}
    document = load_object(text) if name in readers else None
    return readers[name](document, where) if document is not None else None
