"""Documents of the second layout as our own verbs read and change them: in git's index.

Such an asset has no sidecar that could be edited beside it. A verb that changes its recipe stages the new document, as
`git mv` and `git rm` stage what they do, and the picture on disk stays. When git asks clean about that picture, the
staged document is found for it, if it names its bytes. Only where a document lies on disk in the picture's place is the
new one written there too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from regen_vcs.engine.in_place_filter import looks_like_document, read_documents
from regen_vcs.engine.in_place_paths import has_filter, kept_in_place
from regen_vcs.engine.past_outputs import note_replaced
from regen_vcs.engine.sidecars import write_in_tree
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import index
from regen_vcs.git.run import GitError
from regen_vcs.model.canonical import MAX_BYTES
from regen_vcs.model.paths import check_asset_path
from regen_vcs.model.recipe import Recipe, parse_recipe, recipe_bytes
from regen_vcs.platform.files import read_regular
from regen_vcs.stores.digest import hash_fd

_LOCK_PATIENCE = 1.0


def is_in_place(ws: Workspace, path: str) -> bool:
    return path in kept_in_place(ws.repo, [path])


def has_in_place(ws: Workspace, path: str) -> bool:
    """Whether git has something under an asset's path that is kept in place."""
    return is_in_place(ws, path) and path in index.list_paths(ws.repo, [path])


def read_in_place(ws: Workspace, path: str) -> Recipe:
    """The recipe that the index has for an asset. InvalidError where it has none, or none that can be read."""
    entry = index.list_paths(ws.repo, [path]).get(path)
    if entry is None:
        raise InvalidError(f"{path}: git has no recipe for it yet", f"git add {path}")
    if entry.stage:
        raise InvalidError(f"{path}: its document has a merge conflict", f"resolve it, then: git add {path}")
    data = read_documents(ws.repo, [entry.oid]).get(entry.oid, b"")
    if not looks_like_document(data):
        raise InvalidError(f"{path}: git has raw bytes there, not a recipe", f"git add --renormalize {path}")
    return parse_recipe(data, path)


def write_in_place(ws: Workspace, path: str, recipe: Recipe) -> None:
    """Stage a recipe as what git has under `path`. To be called under the worktree's lock.

    InvalidError for a path that no asset may have, and where what git has there cannot be read: it is never rewritten.
    RegenError without the filter, outside the sparse checkout, and where git's index is locked.
    """
    check_asset_path(path)
    if not has_filter(ws.repo):
        raise RegenError(f"{path}: is kept in place, but the filter for that is not set here", "run: regen-vcs init")
    entry = index.list_paths(ws.repo, [path]).get(path)
    if entry is not None:
        note_replaced(ws, path, read_in_place(ws, path), recipe)
        if entry.tag in "Ss":
            raise RegenError(f"{path}: is outside the sparse checkout", "git sparse-checkout add its folder")
    data = recipe_bytes(recipe)
    readable = parse_recipe(data, path)  # what we write, we can read: or it is not written
    oid = ws.repo.git.write("hash-object", "-w", "--stdin", input=data).decode().strip()
    ws.memo.know(readable, oid, path)
    _write_on_disk(ws, path, entry.oid if entry else None, data)
    mode = entry.mode if entry else "100644"
    request = f"{mode} {oid} 0\t{path}\0".encode("utf-8", "surrogateescape")
    _update_index(ws, path, request)
    if _shows(ws, path, recipe, data):
        tell_git(ws, [path])


def _update_index(ws: Workspace, path: str, request: bytes) -> None:
    """Waits a second for another git command to be done with the index."""
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            ws.repo.git.write("update-index", "-z", "--index-info", input=request)
            return
        except GitError:
            if not os.path.lexists(f"{ws.repo.git_dir}/index.lock"):
                raise
        if time.monotonic() >= deadline:
            hint = f"wait for it; if there is none: rm {ws.repo.git_dir}/index.lock"
            raise RegenError(f"{path}: git's index.lock is held: another git command is at work", hint)
        time.sleep(0.05)


def tell_git(ws: Workspace, paths: Iterable[str]) -> None:
    """Have git take the stat of files that are what its index has. Where that is locked, the next sync by hand does it."""
    request = "".join(f"{path}\0" for path in sorted(paths)).encode("utf-8", "surrogateescape")
    if request:
        ws.repo.git.write_result("update-index", "-q", "-z", "--stdin", input=request)


def _write_on_disk(ws: Workspace, path: str, before: str | None, data: bytes) -> None:
    """Where the old document lies in the picture's place, or nothing at all does, the new one comes there."""
    found = _small_file(ws, path)
    if (found is None and not os.path.lexists(f"{ws.root}/{path}") and before is None) or (found is not None and before is not None and index.blob_oid(found, ws.repo.oid_format) == before):
        write_in_tree(ws, path, data)


def _small_file(ws: Workspace, path: str) -> bytes | None:
    try:
        return read_regular(f"{ws.root}/{path}", MAX_BYTES)
    except InvalidError:
        return None  # no regular file, or too long for a document


def _shows(ws: Workspace, path: str, recipe: Recipe, data: bytes) -> bool:
    """Whether git may take the file on disk for what was staged: the document itself, or its very bytes."""
    found = _small_file(ws, path)
    if found == data:
        return True
    if recipe.output is None or not os.path.isfile(f"{ws.root}/{path}"):
        return False
    fd = ws.tree.open_read(path)
    try:
        return hash_fd(fd)[0] == recipe.output.hash
    finally:
        os.close(fd)
