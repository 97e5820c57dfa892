"""What commits, the index and whole histories accept: every asset with an output, of both layouts, each once.

git says which sidecars there are; their facts come from the memo, so that no text is parsed twice in a repository's life.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence

from regen_vcs.engine.in_place_filter import looks_like_document, read_documents
from regen_vcs.engine.in_place_paths import kept_in_place
from regen_vcs.engine.workspace import Workspace
from regen_vcs.git.blobs import index_blobs, reached_blobs, tree_blobs
from regen_vcs.git.index import read_blobs
from regen_vcs.model.facts import Facts
from regen_vcs.model.paths import SIDECAR_SUFFIX

# path: an asset's that accepts it, as an example. key: it was made for, None where it was not made.
Accepted = namedtuple("Accepted", ("path", "hash", "size", "is_tree", "key", "is_source"))

LOCAL_REFS = ("--branches", "--tags")


def accepted_now(ws: Workspace, wanted: Callable[[str], bool] = lambda path: True) -> list[Accepted]:
    """What HEAD and the index accept."""
    blobs = {*index_blobs(ws.repo), *tree_blobs(ws.repo, "HEAD")}
    return _accepted(ws, blobs, wanted)


def accepted_at(
    ws: Workspace, revisions: Sequence[str], wanted: Callable[[str], bool] = lambda path: True, *, history: bool = False
) -> list[Accepted]:
    """What these revisions accept (as `git rev-list` takes them); with `history` also every commit that they reach.

    Of several assets with one output one is named: with `wanted`, one that git happens to list first.
    """
    return _accepted(ws, set(reached_blobs(ws.repo, revisions, walk=history)), wanted)


def _accepted(ws: Workspace, blobs: set[tuple[str, str]], wanted: Callable[[str], bool]) -> list[Accepted]:
    """blobs: (blob id, path) of any files."""
    sidecars = [(oid, path.removesuffix(SIDECAR_SUFFIX)) for oid, path in blobs if path.endswith(SIDECAR_SUFFIX)]
    found: dict[str, Accepted] = {}
    for path, facts in sorted([*_facts_of_sidecars(ws, sidecars), *_facts_in_place(ws, blobs)], key=lambda each: each[0]):
        if facts.problem or facts.out_hash is None or not wanted(path):
            continue
        one = Accepted(path, facts.out_hash, facts.out_size, facts.is_tree, facts.out_key, facts.is_source)
        known = found.get(facts.out_hash)
        if known is None or (known.key is None and one.key is not None):
            found[facts.out_hash] = one
    return list(found.values())


def _facts_of_sidecars(ws: Workspace, sidecars: Iterable[tuple[str, str]]) -> Iterable[tuple[str, Facts]]:
    unread = []
    for oid, path in sidecars:
        facts = ws.memo.recall_facts(oid, path)
        if facts is None:
            unread.append((oid, path))
        else:
            yield path, facts
    data = read_blobs(ws.repo, {oid for oid, _ in unread})
    for oid, path in unread:
        if oid in data:
            yield path, ws.memo.facts(data[oid], oid, path)[1]


def _facts_in_place(ws: Workspace, blobs: set[tuple[str, str]]) -> Iterable[tuple[str, Facts]]:
    """Those of the second layout. Which paths these are is what `.gitattributes` says now, in any commit."""
    others = [(oid, path) for oid, path in blobs if not path.endswith(SIDECAR_SUFFIX)]
    kept = kept_in_place(ws.repo, {path for _, path in others})
    ours = [(oid, path) for oid, path in others if path in kept]
    documents = read_documents(ws.repo, {oid for oid, _ in ours})
    for oid, path in ours:
        data = documents.get(oid, b"")
        if data and looks_like_document(data):
            yield path, ws.memo.facts(data, oid, path)[1]
