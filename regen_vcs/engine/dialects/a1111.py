"""The web UI's infotext: prompt, `Negative prompt:`, and a line of settings. Forge, SD.Next and many tools write it too.

    a castle at dusk, <lora:ink:0.8>
    over several lines
    Negative prompt: blurry
    Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x768, Model hash: 31e35c80fc, Model: sd_xl_base_1.0
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from regen_vcs.engine.dialects.found import Found, load_object, number, param_name, scalar

_NEGATIVE = "Negative prompt:"
# What a line must say, at least, to be one of settings and not somebody's prose.
_TELLING = ("Steps", "Sampler", "Seed", "CFG scale", "Size", "Model", "Model hash")
_NAMES = {
    "Steps": "steps", "Sampler": "sampler", "Schedule type": "scheduler", "CFG scale": "cfg", "Seed": "seed",
    "Clip skip": "clip_skip", "Denoising strength": "denoise", "Variation seed": "variation_seed",
    "Variation seed strength": "variation_strength", "Hires upscale": "hires_scale", "Hires steps": "hires_steps",
    "Hires upscaler": "hires_upscaler",
}  # fmt: skip
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_KEY = re.compile(r"\w[\w \-/.()]{0,60}")
_MAX_TEXT = 256 << 10
_MAX_PAIRS = 100
_MAX_SETTING = 512


def is_infotext(text: str) -> bool:
    return len(text) <= _MAX_TEXT and _settings_line(text.split("\n")) is not None


def read(text: str, where: str) -> Found:
    """What an infotext says. Only for a text of which `is_infotext` is true."""
    lines = text.replace("\r\n", "\n").split("\n")
    at = _settings_line(lines)
    found = Found("a1111", "A1111 infotext", where)
    prompt, negative = _prompts(lines[:at])
    found.put_prompt("prompt", prompt)
    found.put_prompt("negative_prompt", negative)
    _settle(found, dict(pairs(lines[at])))
    rest = [line for line in lines[at + 1 :] if line.strip()]
    if rest:
        found.miss(f"{len(rest)} lines after the settings ({rest[0][:40]}…)")
    found.miss_model_hashes()
    return found


def _settings_line(lines: list[str]) -> int | None:
    """The number of the line of settings: the last that says enough. A prompt may hold `Steps: 1` as well."""
    for number_, line in reversed(list(enumerate(lines))):
        names = {name for name, _ in pairs(line)} if ":" in line else ()
        if sum(name in names for name in _TELLING) >= 2 and ("Steps" in names or "Seed" in names):
            return number_
    return None


def _prompts(lines: list[str]) -> tuple[str, str]:
    for number_, line in enumerate(lines):
        if line.startswith(_NEGATIVE):
            negative = [line[len(_NEGATIVE) :], *lines[number_ + 1 :]]
            return "\n".join(lines[:number_]).strip(), "\n".join(negative).strip()
    return "\n".join(lines).strip(), ""


def pairs(line: str) -> Iterator[tuple[str, str]]:
    """(name, value) of `A: 1, B: "x, y", C: {"k": "v, w"}`: commas inside quotes and braces divide nothing."""
    for number_, piece in enumerate(_pieces(line)):
        name, colon, value = piece.partition(":")
        if number_ >= _MAX_PAIRS:
            return
        if colon and _KEY.fullmatch(name.strip()):
            yield name.strip(), _unquoted(value.strip())


def _pieces(line: str) -> Iterator[str]:
    start, depth, quoted, escaped = 0, 0, False, False
    for at, character in enumerate(line):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth = max(0, depth - 1)
        elif character == "," and depth == 0:
            yield line[start:at]
            start = at + 1
    yield line[start:]


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        try:
            text = json.loads(value)
        except ValueError:
            return value[1:-1]
        return text if isinstance(text, str) else value
    return value


def _settle(found: Found, settings: dict[str, str]) -> None:
    """Settings with a name of ours become params of their own; the others stay under theirs."""
    _take_models(found, settings)
    size = _SIZE.fullmatch(settings.pop("Size", ""))
    if size:
        found.params |= {"width": int(size.group(1)), "height": int(size.group(2))}
    others = {}
    for name, value in settings.items():
        if name in _NAMES:
            found.put(_NAMES[name], number(value))
        elif (plain := scalar(number(value), _MAX_SETTING)) not in (None, ""):
            others[param_name(name)] = plain
    if others:
        found.params["settings"] = others
    _say_missing(found, settings)


def _take_models(found: Found, settings: dict[str, str]) -> None:
    hashes = load_object(settings.pop("Hashes", "")) or {}
    found.put_model("checkpoint", settings.pop("Model", None), settings.pop("Model hash", None) or hashes.get("model"))
    found.put_model("vae", settings.pop("VAE", None), settings.pop("VAE hash", None) or hashes.get("vae"))
    known = dict(pairs(settings.pop("Lora hashes", ""))) | dict(pairs(settings.pop("TI hashes", "")))
    for name, value in hashes.items():
        kind, colon, own = str(name).partition(":")
        if colon and kind in ("lora", "embed"):
            known.setdefault(own, value)
    for name in re.findall(r"<lora:([^:<>]{1,200}):", str(found.params.get("prompt", ""))):
        found.put_model("lora", name, known.pop(name, None))
    for name, digest in known.items():
        found.put_model("network", name, digest)


def _say_missing(found: Found, settings: dict[str, str]) -> None:
    if "Denoising strength" in settings and not any(name.startswith("Hires") for name in settings):
        found.miss("the input image (image to image)")
    if any(name.startswith("ControlNet") for name in settings):
        found.miss("the control images")
    if "seed" not in found.params:
        found.miss("the seed")
    if "checkpoint" not in found.models:
        found.miss("the model")
