"""Which generators are installed, without importing any: pydantic and NumPy take a `status` three times its own time.

Found through entry points of the running environment; nothing in a repository can add one.
"""

from __future__ import annotations

import functools

GROUP = "regen_vcs.generators"

_OURS = "regen_vcs.generators."
# Those of ours whose class says `exact`.
_EXACT = frozenset({"texture", "tone"})


@functools.cache
def entry_points() -> dict:
    """{name: importlib.metadata.EntryPoint}. A built-in's name is never taken by another distribution: "texture" must mean ours."""
    from importlib import metadata  # 30 ms, on the hot path

    found = {}
    for point in metadata.entry_points(group=GROUP):
        if point.name not in found or point.value.startswith(_OURS):
            found[point.name] = point
    return found


def is_installed(name: str) -> bool:
    """Whether what a recipe calls `name` could be run here: its part before the colon is an installed generator."""
    return name.partition(":")[0] in entry_points()


def is_exact_built_in(name: str) -> bool:
    """Whether a run of this generator is its own proof that the bytes can come back: ours, and exact."""
    base = name.partition(":")[0]
    point = entry_points().get(base)
    return base in _EXACT and point is not None and point.value.startswith(_OURS)
