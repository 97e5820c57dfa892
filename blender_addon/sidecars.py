"""Recipes as they lie on disk, for the getters of properties. Nothing here knows Blender; what is written goes through regen-vcs."""

from __future__ import annotations

import json
import os
from typing import Any

MAX_BYTES = 1 << 20
_KEPT = 2000

_cache: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}


def sidecar_path(absolute: str) -> str:
    return absolute + ".regen.json"


def read_sidecar(absolute: str) -> dict[str, Any]:
    """The document beside an asset at an absolute path; {} if there is none, or it is none. Read again only if it has changed."""
    path = sidecar_path(absolute)
    try:
        stat = os.stat(path)
        if stat.st_size > MAX_BYTES:
            return {}
        sign = (stat.st_mtime_ns, stat.st_size)
        found = _cache.get(path)
        if found and found[0] == sign:
            return found[1]
        with open(path, "rb") as file:
            document = json.loads(file.read(MAX_BYTES + 1))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    if len(_cache) >= _KEPT:
        _cache.clear()
    _cache[path] = (sign, document)
    return document


def params_of(document: dict[str, Any]) -> dict[str, Any]:
    params = document.get("params")
    return params if isinstance(params, dict) else {}


def created_of(document: dict[str, Any]) -> str:
    meta = document.get("meta")
    created = meta.get("created") if isinstance(meta, dict) else None
    return created if isinstance(created, str) else ""
