"""Takes as they stand in result records, and how alike two of them are."""

from __future__ import annotations

from regen_vcs import media
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError
from regen_vcs.model.recipe import Output, Recipe, parse_recipe


def record_of_output(output: Output) -> dict:
    fields = {"hash": "blake3:" + output.hash, "size": output.size, "content": output.content, "look": output.look,
              "media": dict(output.media), "files": output.files, "frames": output.frames}
    return {name: value for name, value in fields.items() if value is not None}


def output_of_record(record: dict, key: str) -> Output | None:
    """The Output a result record describes; None where it does not describe one."""
    found = record.get("output")
    try:
        return Output(
            hash=found["hash"].removeprefix("blake3:"), key=key, size=found["size"], content=found.get("content"),
            look=found.get("look"), media=found.get("media", {}), files=found.get("files"), frames=found.get("frames"),
        )
    except (TypeError, KeyError, AttributeError, InvalidError):
        return None


def recipe_of_key(ws: Workspace, key: str) -> Recipe | None:
    """The recipe that keep has for a key; its inputs may be spelled for another asset's place. None where it has none."""
    data = ws.results.recipe(key) if len(key) == 64 and key.isalnum() else None
    try:
        return parse_recipe(data, f"recipe {key[:12]}…") if data is not None else None
    except InvalidError:
        return None


def measure(ws: Workspace, accepted_hash: str, take_hash: str) -> float | None:
    """How alike two objects are, 0..1; None where one is not here or cannot be decoded."""
    left, right = ws.stores.find(accepted_hash), ws.stores.find(take_hash)
    return media.score(left, right) if left and right else None
