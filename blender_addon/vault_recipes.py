"""Recipes out of a vault's export, to be shown where no sidecar is left. Nothing here knows Blender.

Bringing them back is regen-vcs' work (`restore`), which checks every path; here nothing is written. docs/spec/export-format.md.
"""

from __future__ import annotations

import json
import re
from typing import Any

try:
    import lzma
except ImportError:  # a Python built without it: recipes of a vault are then not shown, and still restored
    lzma = None  # type: ignore[assignment]

MAX_TEXT = 64 << 20
_READER_MEMORY = 96 << 20
_HEAD = re.compile(rb"regen-vcs export 1\n[0-9a-f]{64} [0-9]{1,11}\n")


def recipes_in(export: bytes) -> dict[str, dict[str, Any]]:
    """{asset: its sidecar's document}; {} for what cannot be read. At most MAX_TEXT bytes of it are looked at."""
    head = _HEAD.match(export)
    if lzma is None or not head:
        return {}
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_READER_MEMORY)
        text = unpacker.decompress(export[head.end() :], MAX_TEXT)
        line, _, rest = text.partition(b"\n")
        return _documents(json.loads(line), rest)
    except (lzma.LZMAError, ValueError, RecursionError, TypeError, IndexError, KeyError, EOFError):
        return {}


def _documents(manifest: dict[str, Any], rest: bytes) -> dict[str, dict[str, Any]]:
    starts = [0]
    for size in manifest["sizes"]:
        if not isinstance(size, int) or size < 0:
            return {}
        starts.append(starts[-1] + size)
    found = {}
    for path, number in (*manifest["sidecars"], *manifest["documents"]):
        if isinstance(path, str) and isinstance(number, int) and 0 <= number < len(starts) - 1:
            document = json.loads(rest[starts[number] : starts[number + 1]])
            if isinstance(document, dict):
                found[path] = document
    return found
