"""What was recovered from a file, and what strangers' values are cut down to before they become a recipe's."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from regen_vcs.model.canonical import MAX_SAFE_INTEGER, Json
from regen_vcs.model.recipe import Model

MAX_PROMPT = 32 << 10  # characters of one text: a sidecar has 1 MiB for everything
_MAX_VALUE = 2 << 10
_MAX_NAME = 64
_MAX_MODELS = 64
_MAX_MODEL_NAME = 256
_MAX_MISSING = 32
# C0 and C1 controls but for tab and line feed; what turns the direction of a line; what no UTF-8 can hold.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_HEX = re.compile(r"[0-9a-fA-F]+")
_HASH_NAMES = {8: "autov1", 10: "autov2", 12: "autov3", 64: "sha256"}


class Found:
    """One program's account of how a file was made.

    generator: the program; where: the place in the file. params, models: as a recipe has them. missing: what could
    not be recovered, for people, a line each. texts: {"graph": …}: long documents to keep beside the recipe.
    """

    def __init__(self, generator: str, label: str, where: str):
        self.generator, self.label, self.where = generator, label, where
        self.params: dict[str, Json] = {}
        self.models: dict[str, Model] = {}
        self.missing: list[str] = []
        self.texts: dict[str, str] = {}

    def put(self, name: str, value: Any, limit: int = _MAX_VALUE) -> None:
        """Take a param over, if it is one that a recipe can hold and says something."""
        plain = scalar(value, limit)
        if plain is not None and plain != "":
            self.params[name] = plain

    def put_prompt(self, name: str, value: Any) -> None:
        self.put(name, value, MAX_PROMPT)
        if isinstance(value, str) and len(value) > MAX_PROMPT:
            self.miss(f"the end of the {name}: {len(value):,} characters")

    def put_model(self, role: str, name: Any = None, digest: Any = None) -> None:
        """A model by what is known of it. Several of a role are numbered: lora, lora.2, …"""
        name = clean(name, _MAX_MODEL_NAME) if isinstance(name, str) else None
        digest = model_hash(digest)
        model = Model(hash=digest, name=name or None)
        if (not name and not digest) or len(self.models) >= _MAX_MODELS or model in self.models.values():
            return
        count = sum(1 for each in self.models if each.partition(".")[0] == role)
        self.models[role if not count else f"{role}.{count + 1}"] = model

    def miss(self, what: str) -> None:
        if what not in self.missing and len(self.missing) < _MAX_MISSING:
            self.missing.append(clean(what, 300).replace("\n", " "))

    def miss_model_hashes(self) -> None:
        """A name alone says little: the same file name may hold other weights tomorrow. A short hash is not the file's."""
        bare = [model.name for model in self.models.values() if model.hash is None]
        short = [model.name or role for role, model in self.models.items() if model.hash and model.hash.startswith("autov")]
        for words, names in (("the hash of", bare), ("more than a short hash of", short)):
            if names:
                self.miss(f"{words} " + ", ".join(names[:4]) + ("" if len(names) <= 4 else f" and {len(names) - 4} more models"))


def clean(text: str, limit: int = _MAX_VALUE) -> str:
    """A stranger's text without what a terminal or an editor would obey or hide, cut at `limit` characters."""
    return _UNSEEN.sub("", text[: 2 * limit].replace("\r\n", "\n").replace("\r", "\n"))[:limit]


def scalar(value: Any, limit: int = _MAX_VALUE) -> str | int | float | bool | None:
    """A value as a recipe can hold it; None for what it cannot, and for containers."""
    if isinstance(value, str):
        return clean(value, limit)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 256 else None
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= MAX_SAFE_INTEGER:
        return value
    return None


def param_name(text: str) -> str:
    return clean(text, _MAX_NAME).strip()


def number(text: str) -> int | float | str:
    """`20` and `7.5` as numbers, anything else as it stands. Seeds keep all their digits."""
    if re.fullmatch(r"-?(?:0|[1-9][0-9]{0,30})", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,12}\.[0-9]{1,12}", text):
        return float(text)
    return text


def model_hash(value: Any) -> str | None:
    """A hash as recipes spell it: a bare one is told by its length (AutoV1, V2, V3 or SHA-256); None for no hash."""
    if not isinstance(value, str) or len(value) > 200:
        return None
    kind, colon, digits = value.strip().rpartition(":")
    if not _HEX.fullmatch(digits):
        return None
    if colon:
        return f"{kind.lower()}:{digits.lower()}" if re.fullmatch(r"(?:sha|blake|autov)[a-z0-9_]*", kind.lower()) else None
    name = _HASH_NAMES.get(len(digits))
    return f"{name}:{digits.lower()}" if name else None


def load_object(text: str) -> dict | None:
    """A JSON object of a stranger's, read without trust: None for anything else, however it is broken."""
    if text.lstrip()[:1] != "{":
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def first_text(value: Any, names: Iterable[str]) -> str | None:
    """The first of these members that is a text with something in it."""
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in names if isinstance(value.get(name), str) and value[name].strip()), None)
