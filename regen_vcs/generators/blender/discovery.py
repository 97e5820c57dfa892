"""Which files a .blend needs, as inputs of a recipe: found by Blender itself, named by their place in the repository."""

from __future__ import annotations

import os
from collections.abc import Mapping

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import DISCOVERED, JobFailed
from regen_vcs.generators.blender.layout import SCENE
from regen_vcs.generators.blender.process import BlenderRun
from regen_vcs.model.paths import check_input

_SHOWN = 5


def linked_inputs(run: BlenderRun, inputs: Mapping[str, str], root: str, roots: Mapping[str, str]) -> dict[str, str]:
    """{"linked/<path>": path} of what the scene links; a path in the repository, or below a named root "@name/…".

    JobFailed where there is no scene, where files are missing, or lie where no recipe can name them.
    """
    if SCENE not in inputs:
        raise JobFailed("it has no scene to render", "--input scene=film.blend")
    events: list[dict] = []
    run.run("list_files.py", {"blend": inputs[SCENE]}, events.append)
    linked = [each for each in events if each["event"] == "linked"]
    _refuse_missing(linked)
    places = _Places(root, roots)
    found, outside = {}, []
    given = {os.path.realpath(path) for path in inputs.values()}
    for each in linked:
        for path in each["files"]:
            if os.path.realpath(path) in given:
                continue
            place = places.of(path)
            if place is None:
                outside.append(f"{each['kind']} {each['owner']}: {path}")
            else:
                found[DISCOVERED + place] = place
    _refuse_outside(outside)
    return dict(sorted(found.items()))


def used_files(run: BlenderRun, blend: str, root: str, roots: Mapping[str, str]) -> list[str]:
    """Paths in the repository, or "@name/…", of what a .blend uses, directly or not, whether or not it is there.

    What lies elsewhere has no such path and is left out. JobFailed where Blender cannot open it.
    """
    events: list[dict] = []
    run.run("list_files.py", {"blend": blend}, events.append)
    places = _Places(root, roots)
    found = {places.of(path) for each in events if each["event"] == "linked" for path in (*each["files"], *each["missing"])}
    return sorted(found - {None})


class _Places:
    """Absolute paths as recipes name them."""

    def __init__(self, root: str, roots: Mapping[str, str]):
        self._bases = [("", os.path.realpath(root))]
        self._bases += [(f"@{name}/", os.path.realpath(folder)) for name, folder in sorted(roots.items())]

    def of(self, path: str) -> str | None:
        """None for what lies neither in the repository nor below a root, or has a name that no input may have."""
        real = os.path.realpath(path)
        for prefix, base in self._bases:
            if real.startswith(base.rstrip(os.sep) + os.sep):
                place = prefix + os.path.relpath(real, base).replace(os.sep, "/")
                try:
                    check_input(place)
                except InvalidError:
                    return None
                return place
        return None


def _refuse_missing(linked: list[dict]) -> None:
    missing = [f"{each['kind']} {each['owner']}: {path}" for each in linked for path in each["missing"]]
    if missing:
        raise JobFailed(f"the .blend links what is not there: {_some(missing)}",
                        "bring it (regen-vcs sync), or mend the path in Blender: File > External Data > Find Missing Files")


def _refuse_outside(outside: list[str]) -> None:
    if outside:
        raise JobFailed(
            f"the .blend links what lies outside of the repository: {_some(outside)}",
            "copy it into the repository, pack it (File > External Data > Pack Resources), or give its folder a name: "
            "[roots] in your config.toml",
        )


def _some(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return "; ".join(unique[:_SHOWN]) + more
