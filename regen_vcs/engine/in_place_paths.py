"""Which paths are of the second layout, and what their documents accept: asked wherever inputs are resolved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from regen_vcs.engine.in_place_filter import is_possible, looks_like_document, read_documents
from regen_vcs.engine.memory import Memo
from regen_vcs.git import config as git_config
from regen_vcs.git.managed_block import read_file
from regen_vcs.git.repo import Repo
from regen_vcs.git.version import in_place
from regen_vcs.model.facts import Facts
from regen_vcs.model.paths import parse_sequence, sidecar_of

_ATTRIBUTE = b"filter=regen-inplace"
_DRIVER = "filter.regen-inplace"


def is_used(root: str) -> bool:
    """Whether the `.gitattributes` of the worktree at `root` speaks of this layout at all."""
    return _ATTRIBUTE in (read_file(f"{root}/.gitattributes") or b"")


def has_filter(repo: Repo) -> bool:
    """Whether git would clean these files here: without that, bytes on disk would look like an edit to it."""
    found = git_config.read_config(repo, _DRIVER).get(f"{_DRIVER}.process")
    return bool(found and found.value)


def kept_in_place(repo: Repo, paths: Iterable[str]) -> set[str]:
    """Which of these assets are of this layout, or would be: by `.gitattributes`, and without a sidecar beside them.

    Sequences and folders never are: each of their files is one for itself.
    """
    if not is_used(repo.root):
        return set()
    return in_place(repo, [path for path in paths if _is_candidate(repo.root, path)])


def _is_candidate(root: str, path: str) -> bool:
    if not is_possible(path) or parse_sequence(path) or os.path.isdir(f"{root}/{path}"):
        return False
    return not os.path.lexists(f"{root}/{sidecar_of(path)}")


def accepted_hashes(repo: Repo, memo: Memo, oids: Mapping[str, str]) -> dict[str, str | None]:
    """{path: BLAKE3 of the accepted bytes, None while pending} of those of these files that are kept in place.

    oids: {path: its blob in the index}.
    """
    kept = kept_in_place(repo, oids)
    if not kept:
        return {}
    blobs = read_documents(repo, [oids[path] for path in kept])
    found = {}
    for path in kept:
        data = blobs.get(oids[path], b"")
        if looks_like_document(data):
            facts: Facts = memo.facts(data, oids[path], path)[1]
            found[path] = None if facts.problem else facts.out_hash
    return found
