"""What changed since it was trusted, in a form that is safe to look at: for the `trust` command."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from regen_vcs.engine.trust import TrustItem

_MAX_DIFF_LINES = 20_000  # comparing costs the product of both lengths at worst


def difference(
    items: Iterable[TrustItem],
    read: Callable[[TrustItem], bytes],
    last_trusted: Callable[[str, str], bytes | None],
) -> str:
    """A unified diff of each item against what was trusted last under its path, safe to print on a terminal."""
    return "".join(_one_difference(item, read(item), last_trusted(item.kind, item.path)) for item in items)


def _one_difference(item: TrustItem, new: bytes, old: bytes | None) -> str:
    path = _visible(item.path)
    new_lines, old_lines = _lines(new), _lines(old or b"")
    if new_lines is None or old_lines is None:
        return f"{path}: binary, {len(new)} bytes, blake3:{item.hash}\n"
    before = f"trusted/{path}" if old is not None else "nothing trusted"
    if max(len(new_lines), len(old_lines)) > _MAX_DIFF_LINES:
        old_lines, before = [], "too long to compare: all of it"
    diff = difflib.unified_diff(old_lines, new_lines, before, f"now/{path}", lineterm="")
    return "".join(f"{_visible(line)}\n" for line in diff)


def _lines(data: bytes) -> list[str] | None:
    """Lines of text without their LF; None for what is not text."""
    if b"\0" in data:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text.removesuffix("\n").split("\n") if text else []


def _visible(text: str) -> str:
    """Control, invisible and direction-changing characters spelt out: what is shown is what would run."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)
