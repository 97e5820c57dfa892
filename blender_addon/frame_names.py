"""Names of numbered frames. Nothing here knows Blender."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"^(.*?)([0-9]+)(\.[^.]*)?$", re.DOTALL)


def renumbered(names: Sequence[str], first: str) -> list[str]:
    """`names` as a run that begins with `first`: `b_005.png` for (`a_1.png`, `a_2.png`) gives (`b_005.png`, `b_006.png`).

    Where one of them has no number, every name is `first`.
    """
    target = _NUMBER.match(first)
    numbers = [_NUMBER.match(name) for name in names]
    if not names:
        return []
    if target is None or any(found is None for found in numbers):
        return [first] * len(names)
    start = int(numbers[0][2])  # type: ignore[index]
    width, base = len(target[2]), int(target[2])
    return [f"{target[1]}{max(0, base + int(found[2]) - start):0{width}d}{target[3] or ''}" for found in numbers]  # type: ignore[index]


def first_frame(asset: str, frames: str) -> str:
    """The first file of a sequence asset `shots/sky.####.png` with frames `1-48`; other assets as they are."""
    found = re.match(r"^(.*?)(#+)([^/#]*)$", asset, re.DOTALL)
    number = re.match(r"[0-9]+", frames)
    if not found:
        return asset
    return f"{found[1]}{int(number[0]) if number else 1:0{len(found[2])}d}{found[3]}"
