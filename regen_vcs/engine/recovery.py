"""Recovery: from the texts that a program left in a file to a recipe, and to what could not be recovered."""

from __future__ import annotations

from collections import namedtuple

from regen_vcs.engine.dialects import a1111, comfyui, invokeai
from regen_vcs.engine.dialects.found import Found
from regen_vcs.media.embedded import Text, read_texts
from regen_vcs.model.canonical import normalise
from regen_vcs.model.key import hash_bytes
from regen_vcs.model.recipe import Recipe
from regen_vcs.model.secrets import find_secret

# recipe: without an output. label: the program, for people. missing: a line for each thing that is not in the file.
# texts: documents to keep in the store, whose hashes the recipe names.
Recovery = namedtuple("Recovery", ("recipe", "label", "where", "missing", "texts"))

_INFOTEXT_KEYS = frozenset({"parameters", "usercomment", "comment", "imagedescription", "description"})


def recover(path_abs: str) -> Recovery | None:
    """The recipe that a file holds in itself; None where it holds none. OSError where it cannot be read."""
    found = _account(read_texts(path_abs))
    return _recovery(found) if found is not None else None


def _account(texts: list[Text]) -> Found | None:
    """The best account of several: a graph tells more than its summary in words."""
    return _from_comfyui(texts) or _from_invokeai(texts) or _from_a1111(texts)


def _from_comfyui(texts: list[Text]) -> Found | None:
    documents: dict[str, tuple[dict, str, str]] = {}
    for each in texts:
        for kind, document, text in comfyui.documents_in(each.key, each.text):
            documents.setdefault(kind, (document, text, each.where))
    if not documents:
        return None
    graph = documents.get("prompt")
    found = comfyui.read(graph[0] if graph else None, (graph or documents["workflow"])[2])
    found.texts = {"graph" if kind == "prompt" else kind: text for kind, (_, text, _) in documents.items()}
    return found


def _from_invokeai(texts: list[Text]) -> Found | None:
    found = next((found for each in texts if (found := invokeai.read_any(each.key, each.text, each.where))), None)
    if found is not None:
        graph = next((each.text for each in texts if each.key.lower() in ("invokeai_graph", "invokeai_workflow")), None)
        found.texts = {"graph": graph} if graph else {}
    return found


def _from_a1111(texts: list[Text]) -> Found | None:
    for each in texts:
        if each.key.lower() in _INFOTEXT_KEYS and a1111.is_infotext(each.text):
            return a1111.read(each.text, each.where)
    return None


def _recovery(found: Found) -> Recovery:
    _drop_secrets(found)
    documents = {name: text.encode("utf-8", "replace") for name, text in found.texts.items()}
    hashes = {name: f"blake3:{hash_bytes(data)}" for name, data in documents.items()}
    if "graph" in hashes:
        # What is in the graph and not among the params counts all the same: it is part of what was asked for.
        found.params["graph"] = hashes["graph"]
    meta = {"from": f"{found.label}, {found.where}", "missing": found.missing, **hashes}
    recipe = Recipe(generator=found.generator, params=normalise(found.params), models=found.models, meta={"recovered": meta})
    return Recovery(recipe, found.label, found.where, tuple(found.missing), documents)


def _drop_secrets(found: Found) -> None:
    """Keys that somebody typed into a node are in the file; into git they do not go."""
    for name, value in list(found.params.items()):
        if isinstance(value, dict):
            found.params[name] = {each: inner for each, inner in value.items() if not _is_secret(found, each, inner)}
        elif _is_secret(found, name, value):
            del found.params[name]


def _is_secret(found: Found, name: str, value: object) -> bool:
    hit = find_secret(value, name)
    if hit:
        found.miss(f"{name}: {hit[1]}, so it stays out of git")
    return hit is not None
