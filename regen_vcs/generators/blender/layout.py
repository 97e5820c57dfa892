"""The job's inputs, laid out as they lie in the repository, so that a .blend finds what it names by relative paths."""

from __future__ import annotations

import os
import shutil

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.model.paths import check_member_name, frame_of, parse_sequence

SCENE = "scene"


class Layout:
    """tree: absolute folder; blend: absolute path of the scene in it; available: the paths of all files below it."""

    def __init__(self, tree: str, blend: str, available: list[str]):
        self.tree, self.blend, self.available = tree, blend, available


def lay_out(job: Job) -> Layout:
    """Link or copy every input to its path below `tree`; JobFailed where there is no scene."""
    if SCENE not in job.inputs:
        raise JobFailed("it has no scene to render", "--input scene=film.blend")
    tree = os.path.join(job.scratch, "tree")
    available: dict[str, None] = {}
    for role, source in job.inputs.items():
        place = job.input_paths.get(role) or os.path.basename(source)
        for below, path in _files_of(source, place):
            _put(path, os.path.join(tree, *_parts(below)))
            available[below] = None
    scene = job.input_paths.get(SCENE) or os.path.basename(job.inputs[SCENE])
    return Layout(tree, os.path.join(tree, *_parts(scene)), sorted(available))


def _files_of(source: str, place: str) -> list[tuple[str, str]]:
    """(path below the tree, absolute path) of an input's files: one, a folder's, or a sequence's."""
    folder = os.path.dirname(source)
    sequence = parse_sequence(os.path.basename(source))
    if sequence and not os.path.isfile(source):
        above = place.rpartition("/")[0]
        names = [name for name in os.listdir(folder) if frame_of(sequence, name) is not None]
        return [(f"{above}/{name}" if above else name, os.path.join(folder, name)) for name in names]
    if os.path.isdir(source):
        found = [os.path.join(inner, name) for inner, _, names in os.walk(source) for name in names]
        return [(f"{place}/{os.path.relpath(path, source).replace(os.sep, '/')}", path) for path in found]
    return [(place, source)]


def _parts(path: str) -> list[str]:
    """The components of a repository path; a named root's `@name` is one. Never a way out of the tree."""
    bare = path.removeprefix("@")
    try:
        check_member_name(bare)
    except Exception as error:
        raise JobFailed(f"its input {path} has a name that no copy may have") from error
    return path.split("/")


def _put(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.exists(target):
        return  # one file under two roles
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
