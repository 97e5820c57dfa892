"""`export`: all recipes of a repository as one small file, with the text that they cannot do without.

Sidecars as they are on disk, byte by byte (those that sparse-checkout leaves out, as git has them), regen.toml, and what is
text among inputs and code: workflow graphs, scripts, lookup tables. Media are not in it: they are what recipes make.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from regen_vcs.engine.desired import Desired, read_sidecar_bytes
from regen_vcs.engine.export_file import ExportFile
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.sidecars import has_sidecar
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, NewerFormat, RegenError
from regen_vcs.git import index
from regen_vcs.git.history import changed_sidecars
from regen_vcs.model.export_manifest import MAX_TEXT_BYTES, ExportManifest, build_manifest, check_file_path
from regen_vcs.model.paths import SIDECAR_SUFFIX, asset_of, check_asset_path, sidecar_of
from regen_vcs.model.recipe import parse_recipe

MAX_FILES_BYTES = 32 << 20  # of all text inputs and code together


@dataclass(slots=True)
class Exported:
    """What an export is made of. left_out: {path: why}, of inputs and code; invalid: of recipes."""

    manifest: ExportManifest
    objects: list[bytes]
    left_out: dict[str, str] = field(default_factory=dict)
    invalid: dict[str, RegenError] = field(default_factory=dict)


def collect_export(
    ws: Workspace, wanted: Callable[[str], bool] = lambda path: True, *, all_refs: bool = False, with_inputs: bool = False,
    earlier: ExportFile | None = None,
) -> Exported:
    """What an export of this worktree holds. wanted: of which assets. all_refs: also recipes of every branch and tag.
    with_inputs: also of what these are made from, whatever that is made from in its turn. earlier: what it has of recipes and
    of files that are gone here is in it, too.

    InvalidError where that is more than an export may hold.
    """
    snapshot = look_at_both(ws, paths=set(), also=_untracked(ws))
    invalid: dict[str, RegenError] = {}
    paths = {path for path in snapshot.assets if wanted(path)}
    if with_inputs:
        paths = _with_upstream(snapshot, paths)
    chosen = [each for path, each in sorted(snapshot.assets.items()) if path in paths and _is_sound(each, invalid)]
    documents = {each.path: snapshot.inputs.documents[each.path] for each in chosen if each.path in snapshot.in_place}
    sidecars = _sidecars(ws, [each for each in chosen if each.path not in snapshot.in_place])
    chosen = [_with_facts(ws, each, sidecars) for each in chosen]
    files, left_out = _files(ws, sorted(_needed_files(snapshot, chosen)))
    refs = _refs(ws, wanted) if all_refs else {}
    project = ws.project_bytes()
    if earlier is not None:
        project = _add_gone(ws, snapshot, earlier, wanted, project, files, sidecars, documents)
    manifest, objects = build_manifest(
        project=project, files=files, sidecars=sidecars, documents=documents, refs=refs
    )
    return Exported(manifest, objects, left_out, invalid)


def _add_gone(ws: Workspace, snapshot: Snapshot, earlier: ExportFile, wanted: Callable[[str], bool], project: bytes | None,
              files: dict[str, bytes], sidecars: dict[str, bytes], documents: dict[str, bytes]) -> bytes | None:  # fmt: skip
    """Add what an earlier export has and the worktree has not; regen.toml, of here if there is one. What is there is as it is there."""
    texts = list(earlier.objects())
    for ours, theirs in ((sidecars, earlier.manifest.sidecars), (documents, earlier.manifest.documents)):
        for path, number in theirs:
            known = snapshot.assets.get(path)
            if (known is None or (known.side_sig is None and path not in snapshot.in_place)) and path not in sidecars and not has_sidecar(ws, path):
                ours[path] = texts[number]
                wanted(path)  # what was asked for, and is there
    for path, number in earlier.manifest.files:
        if path not in files and not os.path.lexists(f"{ws.root}/{path}"):
            files[path] = texts[number]
    return project if project is not None or earlier.manifest.project is None else texts[earlier.manifest.project]


def _with_upstream(snapshot: Snapshot, paths: set[str]) -> set[str]:
    found, todo = set(paths), list(paths)
    while todo:
        try:
            targets = snapshot.inputs.targets(snapshot.assets[todo.pop()]).values()
        except RegenError:
            continue  # an input that leaves the repository
        new = {each for each in targets if each in snapshot.assets} - found
        found |= new
        todo += new
    return found


def _untracked(ws: Workspace) -> set[str]:
    """Assets whose sidecars git does not know yet, whoever wrote them."""
    found = set()
    for name in index.list_matching(ws.repo, ["**/*" + SIDECAR_SUFFIX], untracked=True):
        try:
            found.add(asset_of(name))
        except InvalidError:
            continue
    return found


def _is_sound(desired: Desired, invalid: dict[str, RegenError]) -> bool:
    """Whether a recipe can be exported; why not is noted. What only a newer version reads is taken as it is."""
    problem = desired.facts.problem
    if desired.unmerged:
        invalid[desired.path] = InvalidError(f"{desired.path}: its recipe has a merge conflict", "resolve it, then: git add")
    elif problem and not desired.facts.is_newer:
        invalid[desired.path] = InvalidError(problem[1], problem[2])
    elif problem:
        try:
            check_asset_path(desired.path)
        except InvalidError as error:
            invalid[desired.path] = error
    return desired.path not in invalid


def _sidecars(ws: Workspace, chosen: list[Desired]) -> dict[str, bytes]:
    """{asset: the bytes of its sidecar}: of the disk, else of the index."""
    found = {each.path: read_sidecar_bytes(ws.root, each.path) for each in chosen if each.side_sig is not None}
    missing = [each.path for each in chosen if each.side_sig is None]
    entries = index.list_paths(ws.repo, map(sidecar_of, missing))
    blobs = index.read_blobs(ws.repo, {entry.oid for entry in entries.values()})
    for path in missing:
        entry = entries.get(sidecar_of(path))
        if entry is not None and _is_recipe(blobs.get(entry.oid), path):
            found[path] = blobs[entry.oid]
    return found


def _with_facts(ws: Workspace, desired: Desired, sidecars: dict[str, bytes]) -> Desired:
    """What is not on disk was not read yet."""
    data = sidecars.get(desired.path)
    if desired.side_sig is not None or data is None:
        return desired
    return desired._replace(facts=ws.memo.facts(data, index.blob_oid(data, ws.repo.oid_format), desired.path)[1])


def _is_recipe(data: bytes | None, path: str) -> bool:
    """Whether a sidecar's text is one that can be restored: valid, or of a newer format."""
    if data is None or len(data) > MAX_TEXT_BYTES:
        return False
    try:
        check_asset_path(path)
        parse_recipe(data, sidecar_of(path))
    except NewerFormat:
        return True
    except InvalidError:
        return False
    return True


# ---------------------------------------------------------------- text inputs and code


def _needed_files(snapshot: Snapshot, chosen: list[Desired]) -> set[str]:
    """Every plain file of the repository that these recipes are made from or by."""
    found: set[str] = set()
    for desired in chosen:
        try:
            targets = snapshot.inputs.targets(desired).values()
        except RegenError:
            continue  # an input that leaves the repository
        found.update(each for each in targets if not each.startswith("@") and not snapshot.inputs.is_asset(each))
    definitions = snapshot.definitions_on_disk
    try:
        generators = definitions.project.generator_names()  # all: without its code, none of a regen.toml can be trusted
    except RegenError:
        generators = []  # not valid: said by status
    for generator in generators:
        try:
            found.update(path for path, _ in definitions.code(generator).values())
        except RegenError:
            continue
    return found


def _files(ws: Workspace, paths: Iterable[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """({path: bytes in clean form}, {path: why it is left out}) of files that recipes need."""
    left_out: dict[str, str] = {}
    oids = _oids(ws, [path for path in paths if not _refused(path, left_out)], left_out)
    blobs = index.read_blobs(ws.repo, set(oids.values()))
    found, total = {}, 0
    for path in sorted(oids):
        data = blobs.get(oids[path])
        if data is None or not _is_text(data):
            left_out[path] = "is not in git" if data is None else "is no text"
        elif total + len(data) > MAX_FILES_BYTES:
            left_out[path] = f"would be more than {MAX_FILES_BYTES >> 20} MiB of inputs"
        else:
            found[path] = data
            total += len(data)
    return found, left_out


def _refused(path: str, left_out: dict[str, str]) -> bool:
    try:
        check_file_path(path)
    except InvalidError as error:
        left_out[path] = error.what
    return path in left_out


def _oids(ws: Workspace, paths: list[str], left_out: dict[str, str]) -> dict[str, str]:
    """{path: blob in clean form} of those that are small: of the file on disk, else of the index."""
    on_disk, elsewhere = [], []
    for path in paths:
        st = _stat(ws, path)
        if st is None:
            elsewhere.append(path)
        elif st.st_size > MAX_TEXT_BYTES:
            left_out[path] = _too_large(st.st_size)
        else:
            on_disk.append(path)
    oids = index.clean_oids(ws.repo, on_disk, write=True)
    entries = index.list_paths(ws.repo, elsewhere)
    staged = {path: entry.oid for path, entry in entries.items() if entry.mode.startswith("100") and not entry.stage}
    sizes = index.sizes_of(ws.repo, set(staged.values()))
    for path in elsewhere:
        if path not in staged or staged[path] not in sizes:
            left_out[path] = "is neither on disk nor in git"
        elif sizes[staged[path]] > MAX_TEXT_BYTES:
            left_out[path] = _too_large(sizes[staged[path]])
        else:
            oids[path] = staged[path]
    return oids


def _stat(ws: Workspace, path: str):
    try:
        st = ws.tree.stat(path)
    except InvalidError:
        return None  # behind a symlink
    return st if st is not None and stat.S_ISREG(st.st_mode) else None


def _too_large(size: int) -> str:
    return f"is {size:,} bytes, over the limit of 1 MiB"


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# ---------------------------------------------------------------- branches and tags


def _refs(ws: Workspace, wanted: Callable[[str], bool]) -> dict[str, dict[str, bytes]]:
    """{ref: {asset: sidecar}} of every branch and tag, remote ones too; recipes that are not valid are left out."""
    fields = ws.repo.git.lines0("for-each-ref", "--format=%(refname)%00%(objectname)%00", "refs/heads", "refs/remotes", "refs/tags")
    names = [each.decode("utf-8", "surrogateescape").lstrip("\n") for each in fields]
    trees: dict[str, dict[str, str]] = {}
    refs: dict[str, dict[str, str]] = {}
    for ref, commit in zip(names[::2], names[1::2], strict=False):
        if ref.isprintable():
            if commit not in trees:
                trees[commit] = _tree(ws, commit, wanted)
            refs[ref] = trees[commit]
    pairs = {pair for tree in refs.values() for pair in tree.items()}
    blobs = index.read_blobs(ws.repo, {oid for _, oid in pairs})
    sound = {(path, oid) for path, oid in pairs if _is_recipe(blobs.get(oid), path)}
    return {ref: {path: blobs[oid] for path, oid in tree.items() if (path, oid) in sound} for ref, tree in refs.items()}


def _tree(ws: Workspace, commit: str, wanted: Callable[[str], bool]) -> dict[str, str]:
    """{asset: blob of its sidecar} at a commit."""
    found = {}
    try:
        changes = changed_sidecars(ws.repo, commit)
    except RegenError:
        return {}  # a tag of something that has no files, or a commit that a partial clone lacks
    for change in changes:
        try:
            path = asset_of(change.path)
        except InvalidError:
            continue
        if wanted(path):
            found[path] = change.after
    return found
