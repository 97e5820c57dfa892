"""`restore`: bring recipes back, from an export or from what is still known of those that are gone.

First a plan, which a dry run shows; then, under the worktree's lock, one file after another, each whole or not at all. A
file that differs stays, unless somebody insists: then its old text goes into keep first, and the rescue log names it.
Nothing that is restored is trusted by that, nothing runs, and no media are touched.
"""

from __future__ import annotations

import stat
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.engine.export_file import ExportFile
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.in_place_paths import kept_in_place
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.project_file import FIRST_PROJECT_FILE
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.sidecars import write_in_tree
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workspace import PROJECT_FILE, Workspace
from regen_vcs.errors import InvalidError, NewerFormat, RegenError, UsageError
from regen_vcs.git import index
from regen_vcs.model.export_manifest import MAX_TEXT_BYTES
from regen_vcs.model.paths import check_asset_path, fold, sidecar_of
from regen_vcs.model.recipe import parse_recipe

RESTORED, SAME, DIFFERS, REPLACED, REFUSED = "restored", "same", "differs", "replaced", "refused"

# A file that could be restored. path: where; data: its bytes; origin: where they come from, in words, or None; note: what
# is not as it was, or None; asset: whose sidecar it is, or None; document: of the layout without sidecars.
Candidate = namedtuple("Candidate", ("path", "data", "asset", "origin", "note", "document"), defaults=(None, None, None, False))
# verdict: what was, or in a dry run would be, done with it. reason: why it was refused.
Restored = namedtuple("Restored", ("path", "verdict", "reason", "origin", "note"))


def candidates_of(export: ExportFile, wanted: Callable[[str], bool], *, ref: str | None = None) -> list[Candidate]:
    """What an export offers: all of it, or of `ref` the sidecars as that branch or tag had them. UsageError for an
    unknown ref. wanted: of which assets; regen.toml, inputs and code come only with all of them.
    """
    manifest, objects = export.manifest, list(export.objects())
    if ref is not None:
        return [_of_sidecar(path, objects[number]) for path, number in _of_ref(export, ref) if wanted(path)]
    found = [_of_sidecar(path, objects[number]) for path, number in manifest.sidecars if wanted(path)]
    found += [
        Candidate(path, objects[number], path, document=True) for path, number in manifest.documents if wanted(path)
    ]
    found += [Candidate(path, objects[number]) for path, number in manifest.files if wanted(path)]
    if manifest.project is not None and wanted(PROJECT_FILE):
        found.append(Candidate(PROJECT_FILE, objects[manifest.project]))
    return found


def _of_sidecar(path: str, data: bytes) -> Candidate:
    return Candidate(sidecar_of(path), data, path)


def _of_ref(export: ExportFile, ref: str) -> Iterable[tuple[str, int]]:
    refs = export.manifest.refs
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/remotes/{ref}"):
        if name in refs:
            return [export.manifest.versions[number] for number in refs[name]]
    known = ", ".join(sorted(refs)[:8])
    raise UsageError(f"{export.where} has no recipes of {ref}", f"it has those of {known}" if known else "made with: export --all-refs")


def restore(ws: Workspace, candidates: list[Candidate], *, force: bool = False, dry_run: bool = False) -> list[Restored]:
    """Bring these back as far as nothing else is in their way; what became of each, in order of path.

    RegenError where a file cannot be written: those before it are back, and it can be said again.
    """
    if dry_run:
        return _judge_all(ws, candidates, force)
    with WorktreeLock(ws):
        ws.reload_state()
        judged = _judge_all(ws, candidates, force)
        by_path = {each.path: each for each in candidates}
        todo = [by_path[each.path] for each in judged if each.verdict in (RESTORED, REPLACED)]
        if todo:
            _write_all(ws, todo)
    return judged


def _judge_all(ws: Workspace, candidates: list[Candidate], force: bool) -> list[Restored]:
    snapshot = look_at_both(ws, paths=set())
    judge = _Judge(ws, snapshot, candidates)
    return [judge.verdict_on(each, force) for each in sorted(candidates, key=lambda each: each.path)]


class _Judge:
    """What may become of a candidate, in a worktree as it is."""

    def __init__(self, ws: Workspace, snapshot: Snapshot, candidates: list[Candidate]):
        self._ws, self._assets = ws, snapshot.assets
        self._folded = {fold(path): path for path in snapshot.assets}
        assets = {each.asset for each in candidates if each.asset}
        self._around = assets | snapshot.assets.keys()
        self._folders = _folders_of(self._around)
        self._skipped = _skipped_texts(ws, [path for path in assets if path in snapshot.assets and snapshot.assets[path].skip])
        self._tracked = index.tracked(ws.repo, assets) - snapshot.in_place.keys()
        self._in_place = kept_in_place(ws.repo, sorted(each.asset for each in candidates if each.document))

    def verdict_on(self, each: Candidate, force: bool) -> Restored:
        try:
            return self._judge(each, force)
        except RegenError as error:
            return Restored(each.path, REFUSED, error.what, each.origin, each.note)

    def _judge(self, each: Candidate, force: bool) -> Restored:
        path = each.path
        if len(each.data) > MAX_TEXT_BYTES:
            raise InvalidError(f"{path}: over the limit of 1 MiB")
        if each.asset is not None:
            self._check_asset(each)
        else:
            self._check_file(path)
        st = self._stat(path)
        if st is None and each.asset in self._skipped:
            if self._skipped[each.asset] != each.data:
                raise InvalidError(f"{path}: is outside the sparse checkout, and git has another text for it")
            verdict = SAME
        elif st is None:
            verdict = RESTORED
        elif not stat.S_ISREG(st.st_mode):
            raise InvalidError(f"{path}: something that is not a regular file is in its place")
        elif (there := _read(self._ws, path)) == each.data:
            verdict = SAME
        elif _is_nobodys(path, there):
            verdict = RESTORED
        else:
            verdict = REPLACED if force else DIFFERS
        return Restored(each.path, verdict, None, each.origin, each.note)

    def _check_file(self, path: str) -> None:
        """regen.toml, inputs and code: their names were checked when the export was read."""
        taken = self._folded.get(fold(path)) or next((each for each in _folders_of([path]) if each in self._assets), None)
        if taken:
            raise InvalidError(f"{path}: the asset {taken} is there")

    def _stat(self, path: str):
        st = self._ws.tree.stat(path)  # InvalidError behind a symlink
        folder = path.rpartition("/")[0]
        while st is None and folder:
            above = self._ws.tree.stat(folder)
            if above is not None and not stat.S_ISDIR(above.st_mode):
                raise InvalidError(f"{path}: {folder} is a file where a directory must be")
            folder = folder.rpartition("/")[0]
        return st

    def _check_asset(self, each: Candidate) -> None:
        path = each.asset
        check_asset_path(path)
        try:
            parse_recipe(each.data, each.path)
        except NewerFormat:
            pass  # not for us to read, and for a newer version to have
        here = self._assets.get(path)
        if here is not None and here.unmerged:
            raise InvalidError(f"{each.path}: has a merge conflict here: resolve it first")
        other = self._folded.get(fold(path), path)
        if other != path:
            raise InvalidError(f"{path}: collides with {other} on file systems that ignore case or accents' form")
        if path in self._folders or any(folder in self._around for folder in _folders_of([path])):
            raise InvalidError(f"{path}: lies inside another asset, or another inside it")
        if path in self._tracked and not each.document:
            raise InvalidError(f"{path}: git tracks this file itself, so it cannot be an asset")
        if each.document and path not in self._in_place:
            raise InvalidError(f"{path}: was kept in place, which .gitattributes here does not say of it: regen-vcs track --in-place")
        if each.document and here is not None:
            raise InvalidError(f"{path}: git has its recipe")


def _skipped_texts(ws: Workspace, paths: list[str]) -> dict[str, bytes | None]:
    """{asset: its sidecar as the index has it} of those that sparse-checkout leaves out."""
    entries = index.list_paths(ws.repo, map(sidecar_of, paths))
    blobs = index.read_blobs(ws.repo, {entry.oid for entry in entries.values()})
    return {path: blobs.get(entries[sidecar_of(path)].oid) for path in paths if sidecar_of(path) in entries}


def _folders_of(paths: Iterable[str]) -> set[str]:
    """Every folder above one of these paths."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _read(ws: Workspace, path: str) -> bytes:
    """A small file of the worktree; b"" for one that is too long to be what is restored."""
    fd = ws.tree.open_read(path)
    with open(fd, "rb", buffering=0) as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    return data if len(data) <= MAX_TEXT_BYTES else b""


# ---------------------------------------------------------------- writing


def _write_all(ws: Workspace, todo: list[Candidate]) -> None:
    index.forget_listing(ws.repo)  # as for every sidecar that git does not write
    assets = {each.asset for each in todo if each.asset and not each.document}
    here = look(ws, paths=set())
    refresh_ignores(ws, here, sorted(assets))
    for each in todo:
        if each.asset in assets and each.asset not in ws.state.rows:
            # Whatever media lie there already are somebody's: they stay, as modified, unless they are the accepted ones.
            ws.state.rows[each.asset] = EMPTY_ROW._replace(untracked=True, accepted=_accepted_hash(each))
    ws.state.save()  # should we die half way, those that are back count all the same
    for each in todo:
        _put_by(ws, each.path)
        write_in_tree(ws, each.path, each.data)
    after = look(ws, paths=assets, also=assets)
    refresh_ignores(ws, after)
    remember(after, assets)


def _is_nobodys(path: str, data: bytes) -> bool:
    """Whether this is what `init` wrote: a project that comes back into a new repository meets it."""
    return path == PROJECT_FILE and data == FIRST_PROJECT_FILE.encode()


def _put_by(ws: Workspace, path: str) -> None:
    """Bring what lies at a path into keep, if it is not in git: it may be the only copy of somebody's work."""
    if ws.tree.stat(path) is None:
        return
    if _is_nobodys(path, _read(ws, path)):
        return
    with open(ws.tree.open_read(path), "rb", buffering=0) as file:
        digest, size = ws.stores.ingest_file(file.fileno())
    ws.rescued.add(ws.uuid, ws.root, path, digest, size, "replaced by regen-vcs restore --force")


def _accepted_hash(each: Candidate) -> str | None:
    try:
        output = parse_recipe(each.data, each.path).output
    except InvalidError:
        return None
    return output.hash if output else None
