"""The second layout as it is looked at: assets whose document is the blob and whose bytes are the file.

git and the filter (engine/in_place_filter.py) do nearly all of the work; bytes that were edited are kept here, before
git asks. docs/in-place.md has the rules. Repositories without the layout pay one look at their `.gitattributes`.
"""

from __future__ import annotations

import json
import os
import stat
from collections import namedtuple
from collections.abc import Iterable

from blake3 import blake3

from regen_vcs.engine import in_place_paths
from regen_vcs.engine.in_place_filter import (
    BYTES,
    DAMAGED,
    DOCUMENT,
    IN_PLACE,
    classify,
    is_possible,
    looks_like_document,
    read_documents,
    same_content,
    take_of,
)
from regen_vcs.engine.memory import is_still, sig_of
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git.index import Entry, blob_oid, list_paths, parse_listing
from regen_vcs.model.canonical import MAX_BYTES
from regen_vcs.model.facts import Facts
from regen_vcs.model.paths import sidecar_of
from regen_vcs.platform.files import write_atomic
from regen_vcs.stores.digest import hash_fd

ABSENT, FOREIGN = "absent", "foreign"

# kind: BYTES, DOCUMENT, DAMAGED, "absent" or "foreign" (a symlink, a folder). hash: of bytes their BLAKE3, of a document
# its blob id. sig: stat of the file, where there is one.
OnDisk = namedtuple("OnDisk", ("kind", "hash", "sig"))
# entry: of the index. document: that blob, None where it is no document. facts: of it.
_AssetFields = namedtuple("_AssetFields", ("path", "entry", "document", "facts", "disk", "unmerged"))


class Asset(_AssetFields):
    """One asset of this layout: what git has for it, and what lies on disk."""

    __slots__ = ()

    @property
    def bytes_hash(self) -> str | None:
        """BLAKE3 of the bytes on disk; None where there are none, or a document is in their place."""
        return self.disk.hash if self.disk.kind == BYTES else None

    @property
    def is_document_edited(self) -> bool:
        """Whether another document than git's, or a damaged one, lies in the place of the bytes."""
        return self.disk.kind == DAMAGED or (self.disk.kind == DOCUMENT and self.disk.hash != self.entry.oid)


_RAW = Facts(None, None, None, 0, None, None, False, {}, None, None, None)
_EMPTY = _RAW._replace(out_hash=blake3(b"").hexdigest())  # git has an empty file as it is


def is_used(ws: Workspace) -> bool:
    """Whether the worktree's `.gitattributes` speaks of this layout at all."""
    return in_place_paths.is_used(ws.root)


def has_filter(ws: Workspace) -> bool:
    """Whether git would clean these files here: without that, bytes on disk would look like an edit to it."""
    return in_place_paths.has_filter(ws.repo)


# --- looking ------------------------------------------------------------------------------------------------------


def look_in_place(ws: Workspace, only: Iterable[str] | None = None) -> list[Asset]:
    """Every asset of this layout as it is in the index and on disk. Bytes that no store has are kept on the way.

    only: these paths, of which it is known that they are kept in place.
    """
    entries = _entries(ws) if only is None else list_paths(ws.repo, only)
    entries = {path: entry for path, entry in entries.items() if entry.mode.startswith("100") and is_possible(path)}
    documents = read_documents(ws.repo, [entry.oid for entry in entries.values()])
    seen = _Seen(ws, whole=only is None)
    assets = []
    for path, entry in entries.items():
        document = documents.get(entry.oid)
        if document and not looks_like_document(document):
            document = None
        facts = _facts_of(ws, document, entry)
        disk = seen.look(path)
        if disk.kind == BYTES and disk.hash != facts.out_hash:
            _keep(ws, path, disk)
        assets.append(Asset(path, entry, document, facts, disk, bool(entry.stage)))
    seen.save()
    return assets


def _facts_of(ws: Workspace, document: bytes | None, entry: Entry) -> Facts:
    if not document:
        return _RAW if document is None else _EMPTY
    facts = ws.memo.facts(document, entry.oid, entry.path)[1]
    if facts.problem:
        kind, what, hint = facts.problem
        facts = facts._replace(problem=[kind, what.replace(sidecar_of(entry.path), entry.path), hint])
    return facts


def _entries(ws: Workspace) -> dict[str, Entry]:
    """{path: its entry, of an unmerged path the last stage}."""
    listing = ws.repo.git.out("ls-files", "-s", "-t", "-z", "--", IN_PLACE)
    return {entry.path: entry for entry in parse_listing(listing, ws.repo.oid_format)}


def _keep(ws: Workspace, path: str, disk: OnDisk) -> None:
    try:
        if not ws.stores.has(disk.hash):
            ws.stores.ingest_file(f"{ws.root}/{path}", expect=disk.hash)
    except (RegenError, OSError):
        return  # a full disk, or it is being written: git's own clean says it again


class _Seen:
    """What lies at each path, hashed only where the stat moved: `<state dir>/in-place.json`.

    whole: every asset is looked at, so that what is not is forgotten.
    """

    def __init__(self, ws: Workspace, *, whole: bool):
        self._ws = ws
        self._path = os.path.join(ws.repo.state_dir, "in-place.json")
        self._old: dict[str, list] = {}
        self._new: dict[str, list] = {}
        self._saved_at_ns = 0
        try:
            with open(self._path, "rb") as file:
                self._saved_at_ns = os.fstat(file.fileno()).st_mtime_ns
                document = json.load(file)
            self._old = {path: [kind, name, signature] for path, (kind, name, signature) in document["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._old = {}
        if not whole:
            self._new.update(self._old)

    def look(self, path: str) -> OnDisk:
        try:
            st = self._ws.tree.stat(path)
        except InvalidError:
            return OnDisk(FOREIGN, None, None)
        if st is None:
            return OnDisk(ABSENT, None, None)
        if not stat.S_ISREG(st.st_mode):
            return OnDisk(FOREIGN, None, None)
        known = self._old.get(path)
        if known and is_still(st, known[2], self._saved_at_ns):
            self._new[path] = known
            return OnDisk(*known)
        return self._hash(path)

    def _hash(self, path: str) -> OnDisk:
        found = look_on_disk(self._ws, path)
        if found.sig is not None:
            self._new[path] = list(found)
        return found

    def save(self) -> None:
        if self._new == self._old:
            return
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            text = json.dumps({"version": 1, "files": self._new}, separators=(",", ":"))
            write_atomic(self._path, text.encode())
        except OSError:
            return  # what is not remembered is hashed again


def look_on_disk(ws: Workspace, path: str) -> OnDisk:
    """What lies at a path now."""
    try:
        return _read_on_disk(ws, path)
    except (OSError, InvalidError):
        return OnDisk(FOREIGN if os.path.lexists(f"{ws.root}/{path}") else ABSENT, None, None)


def _read_on_disk(ws: Workspace, path: str) -> OnDisk:
    """What a regular file of the worktree is. OSError, InvalidError."""
    fd = ws.tree.open_read(path)
    try:
        st = os.fstat(fd)
        if st.st_size <= MAX_BYTES:
            data = os.read(fd, MAX_BYTES + 1)
            kind = classify(data, path)[0]
            if kind != BYTES:
                return OnDisk(kind, blob_oid(data, ws.repo.oid_format), sig_of(st))
        return OnDisk(BYTES, hash_fd(fd)[0], sig_of(st))
    finally:
        os.close(fd)


# --- states -------------------------------------------------------------------------------------------------------


def state_of(ws: Workspace, asset: Asset) -> tuple[str, str | None]:
    """(state, reason) of one asset: ok, missing, modified, pending, invalid, skipped or unmanaged (raw in git)."""
    facts, disk = asset.facts, asset.disk
    if asset.unmerged:
        return "invalid", "its document has a merge conflict"
    if asset.document is None:
        return "unmanaged", "git has its raw bytes: git add --renormalize, and commit"
    if facts.problem:
        return "invalid", facts.problem[1]
    if facts.is_tree:
        return "invalid", "a directory or sequence cannot be kept in place"
    if disk.kind == ABSENT:
        if asset.entry.tag in "Ss":
            return "skipped", "outside the sparse checkout"
        return "missing", "deleted on disk: git restore brings it back"
    if disk.kind == FOREIGN:
        return "modified", "something that is not a regular file is in its place"
    return _byte_state(ws, asset) if disk.kind == BYTES else _document_state(ws, asset)


def _byte_state(ws: Workspace, asset: Asset) -> tuple[str, str | None]:
    if asset.disk.hash == asset.facts.out_hash:
        return "ok", None
    if _is_equal_take(ws, asset):
        return "ok", "same content, other bytes than the accepted ones"
    return "modified", "its bytes are not the accepted ones: git add, or git restore"


def differs(ws: Workspace, asset: Asset) -> bool:
    """Whether bytes on disk are neither the accepted ones nor a take of the same content."""
    return asset.bytes_hash != asset.facts.out_hash and not _is_equal_take(ws, asset)


def _is_equal_take(ws: Workspace, asset: Asset) -> bool:
    if not asset.facts.out_content:
        return False
    recipe = classify(asset.document, asset.path)[1]
    take = recipe and take_of(ws.results, recipe, asset.path, asset.disk.hash)
    return bool(take) and same_content(recipe, take)


def _document_state(ws: Workspace, asset: Asset) -> tuple[str, str | None]:
    if asset.disk.kind == DAMAGED:
        return "invalid", "the document on disk cannot be read"
    if asset.disk.hash != asset.entry.oid:
        return "modified", "the document on disk is not git's: git add, or git restore"
    if asset.facts.out_hash is None:
        return "pending", "never made"
    here = ws.stores.has(asset.facts.out_hash)
    return "missing", "its document is on disk; " + ("run: regen-vcs sync" if here else "its bytes are in no store here")
