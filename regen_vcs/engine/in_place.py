"""The second layout, as sync and status see it: assets whose document is the blob and whose bytes are the file.

git and the filter (engine/in_place_filter.py) do nearly all of it. What is left: a document that stayed on disk, since
its bytes could not be had, is swapped for them when they can; bytes that were edited are kept before git asks.
docs/in-place.md has the rules. Repositories without the layout pay one look at their `.gitattributes`.
"""

from __future__ import annotations

import json
import os
import stat
from collections import namedtuple
from collections.abc import Callable

from blake3 import blake3

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
from regen_vcs.engine.sync import Outcome, Trigger
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import config as git_config
from regen_vcs.git.index import blob_oid, parse_listing
from regen_vcs.git.managed_block import read_file
from regen_vcs.model.canonical import MAX_BYTES
from regen_vcs.model.facts import Facts
from regen_vcs.model.paths import sidecar_of
from regen_vcs.model.plan import MATERIALISE, QUEUE, REFUSE, REGENERATE, Step
from regen_vcs.platform.files import write_atomic
from regen_vcs.stores.digest import hash_fd
from regen_vcs.stores.links import choose_link

_ATTRIBUTE = b"filter=regen-inplace"
_DRIVER = "filter.regen-inplace"
_ABSENT, _FOREIGN = "absent", "foreign"
_EXECUTABLE = "100755"

# kind: BYTES, DOCUMENT, DAMAGED, "absent" or "foreign" (a symlink, a folder). hash: of bytes their BLAKE3, of a document
# its blob id. sig: stat of the file, where there is one.
_OnDisk = namedtuple("_OnDisk", ("kind", "hash", "sig"))
# entry: of the index. document: that blob, None where it is no document. facts: of it.
_AssetFields = namedtuple("_AssetFields", ("path", "entry", "document", "facts", "disk", "unmerged"))


class Asset(_AssetFields):
    """One asset of this layout: what git has for it, and what lies on disk."""

    __slots__ = ()

    @property
    def bytes_hash(self) -> str | None:
        """BLAKE3 of the bytes on disk; None where there are none, or a document is in their place."""
        return self.disk.hash if self.disk.kind == BYTES else None


_RAW = Facts(None, None, None, 0, None, None, False, {}, None, None, None)
_EMPTY = _RAW._replace(out_hash=blake3(b"").hexdigest())  # git has an empty file as it is


def is_used(ws: Workspace) -> bool:
    """Whether the worktree's `.gitattributes` speaks of this layout at all."""
    return _ATTRIBUTE in (read_file(f"{ws.root}/.gitattributes") or b"")


def has_filter(ws: Workspace) -> bool:
    """Whether git would clean these files here: without that, bytes on disk would look like an edit to it."""
    found = git_config.read_config(ws.repo, _DRIVER).get(f"{_DRIVER}.process")
    return bool(found and found.value)


# --- looking ------------------------------------------------------------------------------------------------------


def look_in_place(ws: Workspace) -> list[Asset]:
    """Every asset of this layout as it is in the index and on disk. Bytes that no store has are kept on the way."""
    listing = ws.repo.git.out("ls-files", "-s", "-t", "-z", "--", IN_PLACE)
    entries = {}
    for entry in parse_listing(listing, ws.repo.oid_format):
        if entry.mode.startswith("100") and is_possible(entry.path):
            entries[entry.path] = entry  # of an unmerged path the last stage
    documents = read_documents(ws.repo, [entry.oid for entry in entries.values()])
    seen = _Seen(ws)
    assets = []
    for path, entry in entries.items():
        document = documents.get(entry.oid)
        if document and not looks_like_document(document):
            document = None
        facts = ws.memo.facts(document, entry.oid, path)[1] if document else _EMPTY if document == b"" else _RAW
        disk = seen.look(path)
        if disk.kind == BYTES and disk.hash != facts.out_hash:
            _keep(ws, path, disk)
        assets.append(Asset(path, entry, document, facts, disk, bool(entry.stage)))
    seen.save()
    return assets


def _keep(ws: Workspace, path: str, disk: _OnDisk) -> None:
    try:
        if not ws.stores.has(disk.hash):
            ws.stores.ingest_file(f"{ws.root}/{path}", expect=disk.hash)
    except (RegenError, OSError):
        return  # a full disk, or it is being written: git's own clean says it again


class _Seen:
    """What lies at each path, hashed only where the stat moved: `<state dir>/in-place.json`."""

    def __init__(self, ws: Workspace):
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

    def look(self, path: str) -> _OnDisk:
        try:
            st = self._ws.tree.stat(path)
        except InvalidError:
            return _OnDisk(_FOREIGN, None, None)
        if st is None:
            return _OnDisk(_ABSENT, None, None)
        if not stat.S_ISREG(st.st_mode):
            return _OnDisk(_FOREIGN, None, None)
        known = self._old.get(path)
        if known and is_still(st, known[2], self._saved_at_ns):
            self._new[path] = known
            return _OnDisk(*known)
        return self._hash(path)

    def _hash(self, path: str) -> _OnDisk:
        try:
            found = read_on_disk(self._ws, path)
        except (OSError, InvalidError):
            return _OnDisk(_ABSENT if not os.path.lexists(f"{self._ws.root}/{path}") else _FOREIGN, None, None)
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


def read_on_disk(ws: Workspace, path: str) -> _OnDisk:
    """What a regular file of the worktree is. OSError, InvalidError."""
    fd = ws.tree.open_read(path)
    try:
        st = os.fstat(fd)
        if st.st_size <= MAX_BYTES:
            data = os.read(fd, MAX_BYTES + 1)
            kind = classify(data, path)[0]
            if kind != BYTES:
                return _OnDisk(kind, blob_oid(data, ws.repo.oid_format), sig_of(st))
        return _OnDisk(BYTES, hash_fd(fd)[0], sig_of(st))
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
        return "invalid", facts.problem[1].replace(sidecar_of(asset.path), asset.path)
    if facts.is_tree:
        return "invalid", "a directory or sequence cannot be kept in place"
    if disk.kind == _ABSENT:
        if asset.entry.tag in "Ss":
            return "skipped", "outside the sparse checkout"
        return "missing", "deleted on disk: git restore brings it back"
    if disk.kind == _FOREIGN:
        return "modified", "something that is not a regular file is in its place"
    return _byte_state(ws, asset) if disk.kind == BYTES else _document_state(ws, asset)


def _byte_state(ws: Workspace, asset: Asset) -> tuple[str, str | None]:
    if asset.disk.hash == asset.facts.out_hash:
        return "ok", None
    if _is_equal_take(ws, asset):
        return "ok", "same content, other bytes than the accepted ones"
    return "modified", "its bytes are not the accepted ones: git add, or git restore"


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


# --- sync ---------------------------------------------------------------------------------------------------------


def follow(
    ws: Workspace, outcome: Outcome, trigger: Trigger, *, dry_run: bool = False,
    making: Callable[[str, float, str], None] | None = None,
) -> list:
    """Swap documents that stayed on disk for their bytes, and add what was done to `outcome`; what was made anew.

    Generators run only for syncs by hand.
    """
    if not is_used(ws):
        return []
    assets = look_in_place(ws)
    waiting = [each for each in assets if _waits_for_bytes(each)]
    if not waiting and not trigger.by_hand:
        return []
    if not has_filter(ws):
        if waiting:
            outcome.plan.notices.append("in-place assets stay documents without their filter; run: regen-vcs init")
        return []
    here = [each for each in waiting if ws.stores.has(each.facts.out_hash)]
    steps = [_step(MATERIALISE, each) for each in here]
    outcome.plan.steps.extend(steps)
    if not dry_run:
        for asset, step in zip(here, steps, strict=True):
            _swap_noting(ws, asset, step, outcome)
    nowhere = [each for each in waiting if each not in here]
    made = _make(ws, nowhere, outcome, trigger.by_hand, dry_run, making) if nowhere else []
    if not dry_run:
        swapped = {step.path for step in steps if step.path not in outcome.failed}
        swapped |= {each.path for each in made if each.verdict in ("restored", "equal")}
        settled = [each.path for each in assets if state_of(ws, each)[0] == "ok"] if trigger.by_hand else []
        _tell_git(ws, swapped, settled)
    return made


def _tell_git(ws: Workspace, swapped: set[str], settled: list[str]) -> None:
    """Have git take the new stat of files that are what it has.

    To git another size is an edit, whatever clean would say: it does not even ask. settled: assets that are as they
    should be, which an index written from an older copy may have forgotten.
    """
    paths = set(swapped)
    if settled:
        names = ws.repo.git.lines0("diff-files", "--name-only", "-z", "--", IN_PLACE)
        paths |= {name.decode("utf-8", "surrogateescape") for name in names} & set(settled)
    if paths:
        request = "".join(f"{path}\0" for path in sorted(paths)).encode("utf-8", "surrogateescape")
        # Where the index is locked, the next sync by hand does it.
        ws.repo.git.write_result("update-index", "-q", "-z", "--stdin", input=request)


def _waits_for_bytes(asset: Asset) -> bool:
    facts = asset.facts
    return (
        asset.disk.kind == DOCUMENT
        and not asset.unmerged
        and asset.disk.hash == asset.entry.oid  # an edited document is somebody's work
        and facts.out_hash is not None
        and not facts.problem
        and not facts.is_tree
    )


def _step(action: str, asset: Asset, reason: str = "", seconds: float | None = None) -> Step:
    return Step(action, asset.path, asset.facts.out_hash, asset.facts.out_size, reason, seconds)


def _swap_noting(ws: Workspace, asset: Asset, step: Step, outcome: Outcome) -> None:
    try:
        swap(ws, asset, asset.facts.out_hash)
        outcome.done.append(step)
    except RegenError as error:
        outcome.failed[asset.path] = error
    except OSError as error:
        outcome.failed[asset.path] = RegenError(f"{asset.path}: {error.strerror or error}")


def swap(ws: Workspace, asset: Asset, file_hash: str) -> None:
    """Put bytes in place of the document on disk, if that is still there. Verified, as whatever smudge returns."""
    if not ws.stores.verify(file_hash):
        raise RegenError(f"{asset.path}: its bytes in the store were damaged", "run: regen-vcs fsck")
    if read_on_disk(ws, asset.path)[:2] != asset.disk[:2]:
        raise RegenError(f"{asset.path}: changed while regen-vcs was at work; it was left alone", "run: regen-vcs sync")
    executable = asset.entry.mode == _EXECUTABLE
    # An executable file is never a link: its mode would become the object's.
    ws.stores.place(file_hash, ws.tree, asset.path, link="copy" if executable else choose_link(ws.link)[0])
    if executable:
        fd = ws.tree.open_read(asset.path)
        try:
            os.fchmod(fd, 0o755)
        finally:
            os.close(fd)


def _make(
    ws: Workspace, nowhere: list[Asset], outcome: Outcome, by_hand: bool, dry_run: bool,
    making: Callable[[str, float, str], None] | None,
) -> list:
    """Regenerate what is nowhere, where the user asks for it; else say what it would take."""
    from regen_vcs.engine.in_place_making import make_in_place, prospects  # generators: not on the warm path

    snapshot, found = prospects(ws, nowhere)
    wanted = []
    for asset in nowhere:
        source = found[asset.path]
        if source.source != "regenerate":
            outcome.plan.steps.append(_step(REFUSE, asset, source.reason or "nowhere to be had"))
        elif by_hand and not dry_run:
            wanted.append(asset)
        else:
            outcome.plan.steps.append(_step(REGENERATE if by_hand else QUEUE, asset, "not in any store", source.seconds))
    return make_in_place(snapshot, wanted, outcome, making) if wanted else []
