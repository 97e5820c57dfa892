"""What this worktree's documents accepted before they were written anew: the way back to takes whose recipe no commit has.

An artist who tries ten prompts between two commits gets ten results, and each is wanted again at times. Keep has their bytes, records
and recipes, all by key; which asset they were of is noted here, a line of JSON each, in `past-outputs` of the worktree's state. It is
no more than memory: what is lost of it is lost from a list.
"""

from __future__ import annotations

import json
import os
from collections import namedtuple
from collections.abc import Iterable, Iterator

from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError
from regen_vcs.model.paths import moved_inputs, sidecar_of
from regen_vcs.model.recipe import Recipe, recipe_to_json

_FILE = "past-outputs"
_PER_ASSET = 50
_LIMIT = 4 << 20  # bytes; then the older half goes

# inputs: {name: path as the document spelled it}. meta: of the document then.
PastOutput = namedtuple("PastOutput", ("key", "inputs", "meta"))


def note_replaced(ws: Workspace, path: str, before: Recipe, after: Recipe) -> None:
    """A document is about to be written anew. To be called under the worktree's lock."""
    was = before.output
    if was is None or was.key is None:
        return
    if after.output is not None and after.output.key == was.key and _identity(before) == _identity(after):
        return  # another take of it, or a review
    _append(ws, path, [PastOutput(was.key, dict(before.inputs), recipe_to_json(before).get("meta", {}))])


def note_moved(ws: Workspace, source: str, target: str) -> None:
    """What is noted of an asset goes on under its new name. To be called under the worktree's lock."""
    moved = []
    for each in past_outputs(ws, source):
        try:
            moved.append(each._replace(inputs=moved_inputs(each.inputs, sidecar_of(source), sidecar_of(target))))
        except InvalidError:
            continue  # the note is damaged
    _append(ws, target, moved)


def _append(ws: Workspace, path: str, notes: Iterable[PastOutput]) -> None:
    lines = "".join(json.dumps({"path": path, **each._asdict()}) + "\n" for each in notes)
    if not lines:
        return
    file = f"{ws.repo.state_dir}/{_FILE}"
    try:
        os.makedirs(ws.repo.state_dir, exist_ok=True)
        with open(file, "ab") as log:
            log.write(lines.encode())
            size = log.tell()
        if size > _LIMIT:
            _shorten(file)
    except OSError:
        pass  # a full disk: the document itself will say so


def _identity(recipe: Recipe) -> tuple:
    return recipe.generator, recipe.definition, recipe.params, recipe.inputs, recipe.models


def past_outputs(ws: Workspace, path: str) -> list[PastOutput]:
    """What is noted of an asset, the oldest first, each key once, at most the newest fifty."""
    noted: dict[str, PastOutput] = {}
    for entry in _entries(f"{ws.repo.state_dir}/{_FILE}"):
        if entry["path"] == path:
            # The first note of a key is the nearest to its making: the recipe may have been changed before the next one.
            noted.setdefault(entry["key"], PastOutput(entry["key"], entry["inputs"], entry["meta"]))
    return list(noted.values())[-_PER_ASSET:]


def _entries(file: str) -> Iterator[dict]:
    try:
        with open(file, "rb") as log:
            lines = log.read(2 * _LIMIT).split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue  # of a process that was killed
        if isinstance(entry, dict) and _is_whole(entry):
            yield entry


def _is_whole(entry: dict) -> bool:
    key, inputs = entry.get("key"), entry.get("inputs")
    return (
        isinstance(key, str) and len(key) == 64 and set(key) <= set("0123456789abcdef")
        and isinstance(entry.get("path"), str) and isinstance(entry.get("meta"), dict) and isinstance(inputs, dict)
        and all(isinstance(each, str) for each in inputs.values())
    )  # fmt: skip


def _shorten(file: str) -> None:
    """Keep the newer half of the file."""
    with open(file, "rb") as log:
        log.seek(-_LIMIT // 2, os.SEEK_END)
        newer = log.read().partition(b"\n")[2]
    with open(file + ".new", "wb") as log:
        log.write(newer)
    os.replace(file + ".new", file)
