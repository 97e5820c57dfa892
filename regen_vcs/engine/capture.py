"""`add`: existing media become assets. Without a recipe they are source assets: bytes nothing can make again.

The recipe is what the user says, else what the program that made the file left in it (engine/recovery.py).
"""

from __future__ import annotations

import os
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime

from regen_vcs import media
from regen_vcs.engine.documents import read_document, write_document
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.in_place_paths import kept_in_place
from regen_vcs.engine.in_place_snapshot import include
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.observe import (
    frame_number,
    hash_of_files,
    list_files,
    manifest_of,
    read_manifest,
    size_of_files,
)
from regen_vcs.engine.recovered import keep_recovery, record_recovery, recovery_of, with_recovery
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import index
from regen_vcs.model.paths import SIDECAR_SUFFIX, check_asset_path, fold, frames_text, parse_sequence
from regen_vcs.model.recipe import Output, Recipe
from regen_vcs.stores.witness import ACCEPTED, Witness

# action: "added", "updated" (a source asset's new bytes, or its recipe found), "unchanged"; recovery: what was found in it
Added = namedtuple("Added", ("path", "action", "error", "recovery"), defaults=(None,))
# What is to be stored and written: `recipe` is the sidecar but for its new output.
_Capture = namedtuple("_Capture", ("path", "recipe", "action", "recovery"), defaults=(None,))


def add_assets(
    ws: Workspace, paths: list[str], *, as_one: bool = False, as_source: bool = False, recipe: Recipe | None = None,
    recover: bool | None = None, in_place: bool = False, progress=None,
) -> list[Added]:
    """Capture files; a directory file by file, or with `as_one` as one asset.

    recipe: what made them, where the user says so (then one path only). recover: read recipes out of the files; None:
    of new assets, where there is one; True: of source assets too, and it must be there. What was named is an error
    where it cannot be added; what is found in a directory is passed over where it is no candidate. in_place: also what
    is named and kept in place, whose documents are staged: `git add` does that for all but recipes.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        snapshot = include(look(ws, paths=set()))
        named, found, kept = _candidates(ws, snapshot, paths, as_one, in_place)
        snapshot.observe(path for path in [*named, *found] if path in snapshot.assets and path not in kept)
        results: list[Added] = []
        captures: list[_Capture] = []
        for path in [*named, *found]:
            try:
                capture = _capture_of(ws, snapshot, path, recipe, as_source, recover)
            except RegenError as error:
                results.append(Added(path, "failed", error))
                continue
            if capture is None:
                results.append(Added(path, "unchanged", None))
            else:
                captures.append(capture)
        results += _capture_all(ws, snapshot, captures, kept, progress)
        good = {each.path for each in results if each.action != "failed"} - kept
        after = look(ws, paths=good, also=good)
        refresh_ignores(ws, after)
        remember(after)
    return results


def _candidates(
    ws: Workspace, snapshot: Snapshot, paths: list[str], as_one: bool, in_place: bool
) -> tuple[list[str], list[str], set[str]]:
    """(named by the user, found in the directories they named, those of the named that are kept in place), without what
    git tracks."""
    named, found = [], []
    for path in paths:
        absolute = f"{ws.root}/{path}" if path != "." else ws.root
        if os.path.isdir(absolute) and not as_one and path not in snapshot.assets:
            found += _walk(ws.root, "" if path == "." else path)
        elif list_files(ws.root, path):
            named.append(path)
        else:
            raise RegenError(f"{path}: there is no such file", "check its spelling; paths are relative to the folder you are in")
    elsewhere = kept_in_place(ws.repo, [*named, *found])
    for path in named:
        if path in elsewhere and not in_place:
            raise InvalidError(
                f"{path}: is kept in place, without a sidecar", f"git add {path}; a recipe that is in the file: regen-vcs add --recover"
            )
    found = [path for path in found if path not in elsewhere]
    tracked = index.tracked(ws.repo, {*named, *found})
    for path in named:
        if path in tracked and path not in elsewhere:
            raise InvalidError(f"{path}: git tracks this file itself", f"git rm --cached {path}, then add it again")
    inside = tuple(path + "/" for path, d in snapshot.assets.items() if d.facts.is_tree)
    frames = _frames_of(ws, snapshot)
    found = [p for p in found if p not in tracked and p not in frames and not (inside and p.startswith(inside))]
    return named, found, elsewhere.intersection(named)


def _frames_of(ws: Workspace, snapshot: Snapshot) -> set[str]:
    """The frames on disk of sequences that are assets already."""
    return {each for path in snapshot.assets if parse_sequence(path) for each in list_files(ws.root, path) or ()}


def _walk(root: str, folder: str) -> list[str]:
    """Regular files below a folder that could be media: no sidecars, no `.git`, nothing behind a symlink."""
    found = []
    todo = [folder]
    while todo:
        each = todo.pop()
        with os.scandir(f"{root}/{each}" if each else root) as entries:
            for entry in entries:
                path = f"{each}/{entry.name}" if each else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != ".git" and not os.path.lexists(f"{root}/{path}/.git"):
                        todo.append(path)
                elif entry.is_file(follow_symlinks=False) and not _is_ours(entry.name):
                    found.append(path)
    return sorted(found)


def _is_ours(name: str) -> bool:
    return name.endswith(SIDECAR_SUFFIX) or name in (".gitattributes", ".gitignore", ".gitmodules", "regen.toml")


def _capture_of(
    ws: Workspace, snapshot: Snapshot, path: str, recipe: Recipe | None, as_source: bool, recover: bool | None
) -> _Capture | None:
    """What is to be written for `path`; None where its sidecar says so already.

    An asset that exists: a source asset follows its file; a generated one does not.
    """
    desired = snapshot.assets.get(path)
    if desired is None:
        wanted = recipe is None and not as_source and recover is not False
        recovery = recovery_of(ws, path, required=bool(recover)) if wanted else None
        return _Capture(path, recovery.recipe if recovery else recipe or Recipe(), "added", recovery)
    if desired.facts.problem:
        raise InvalidError(desired.facts.problem[1], desired.facts.problem[2])
    if recover and desired.facts.is_source:
        recovery = recovery_of(ws, path, required=True)
        return _Capture(path, with_recovery(read_document(ws, path), recovery), "updated", recovery)
    if snapshot.seen(path).hash == desired.facts.out_hash:
        return None
    if not desired.facts.is_source and not as_source:
        raise RegenError(
            f"{path}: is generated, and these are not its accepted bytes",
            f"regen-vcs accept {path}, or regen-vcs add --as-source {path}",
        )
    known = read_document(ws, path)
    if as_source and known.generator is not None:
        # What it was made from is kept as a note: it no longer says how to make these bytes.
        origin = {"generator": known.generator, "params": dict(known.params)}
        known = Recipe(meta={**known.meta, "made_from": origin}, review=known.review, extra=known.extra)
    return _Capture(path, known, "updated")


def _capture_all(ws: Workspace, snapshot: Snapshot, captures: list[_Capture], kept: set[str], progress) -> list[Added]:
    """Ingest all, with one flush of the disk, and only then write the documents that name the bytes.

    kept: those that are kept in place, which git neither ignores nor finds a sidecar for.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    results: list[Added] = []
    outputs: list[tuple[_Capture, Output]] = []
    taken = {fold(path): path for path in snapshot.assets}
    with ws.stores.batch():
        for number, capture in enumerate(captures):
            try:
                if capture.action == "added":
                    _check_path(ws, taken, capture.path)
                output = _ingest(ws, capture.path)
                if capture.recovery:
                    output = keep_recovery(ws, capture.path, capture.recovery, output)
                outputs.append((capture, output))
            except (RegenError, OSError) as error:
                failure = error if isinstance(error, RegenError) else RegenError(f"{capture.path}: {error.strerror}")
                results.append(Added(capture.path, "failed", failure))
            if progress:
                progress(capture.path, number + 1, len(captures))
    _note_given(ws, [output for _, output in outputs])
    _announce(ws, snapshot, [each.path for each, _ in outputs if each.action == "added" and each.path not in kept])
    results += _write_all(ws, _with_looks(ws, outputs), created)
    return results


def _note_given(ws: Workspace, outputs: list[Output]) -> None:
    """Somebody has given us these bytes: to gc they are nobody's leftover, whatever else they may be."""
    objects = [output.hash for output in outputs]
    for output in outputs:
        if output.is_tree:
            objects += [member.hash for member in read_manifest(ws.stores, output.hash)]
    Witness(ws.stores.keep.root).saw(ACCEPTED, objects)


def _write_all(ws: Workspace, outputs: list[tuple[_Capture, Output]], created: str) -> list[Added]:
    """The documents, and of what was recovered the records, which become visible together."""
    results: list[Added] = []
    with ws.results.batch() if any(capture.recovery for capture, _ in outputs) else nullcontext():
        for capture, output in outputs:
            results.append(_write_one(ws, capture, output, created))
    return results


def _write_one(ws: Workspace, capture: _Capture, output: Output, created: str) -> Added:
    path, base, action, recovery = capture
    try:
        meta = {"created": created, **base.meta} if action == "added" else base.meta
        write_document(ws, path, base.replace(output=output, meta=meta))
        if recovery:
            record_recovery(ws, path, base, output, created)
        return Added(path, action, None, recovery)
    except RegenError as error:
        return Added(path, "failed", error)


def _announce(ws: Workspace, snapshot: Snapshot, paths: list[str]) -> None:
    """Before their sidecars are written: should we die between two of them, those written count, and git sees no media."""
    refresh_ignores(ws, snapshot, paths)
    for path in paths:
        ws.state.rows.setdefault(path, EMPTY_ROW._replace(untracked=True))
    ws.state.save()


def _check_path(ws: Workspace, taken: dict[str, str], path: str) -> None:
    """taken: {folded path: path} of all assets; the new one is noted in it."""
    check_asset_path(path)
    folded = fold(path)
    if folded in taken:
        raise InvalidError(f"{path}: differs from the asset {taken[folded]} only in case or in the form of its accents")
    parent = folded.rpartition("/")[0]
    while parent:
        if parent in taken:
            raise InvalidError(f"{path}: lies inside the asset {taken[parent]}")
        parent = parent.rpartition("/")[0]
    if os.path.isdir(f"{ws.root}/{path}"):
        inner = next((other for each, other in taken.items() if each.startswith(folded + "/")), None)
        if inner:
            raise InvalidError(f"{path}: the asset {inner} lies inside it", f"regen-vcs rm {inner}, or add the files one by one")
    taken[folded] = path


def _ingest(ws: Workspace, path: str) -> Output:
    """Store an asset's bytes; its output without a look. Files that change meanwhile are named by what was stored."""
    paths = list_files(ws.root, path)
    if not paths:
        raise RegenError(f"{path}: not a file, a directory of files or a sequence")
    files = {}
    for each in paths:
        file_hash, size = ws.stores.ingest_file(f"{ws.root}/{each}")
        files[each] = [file_hash, f"{size} 0 0 0"]
    whole = hash_of_files(path, files)
    is_plain = len(files) == 1 and path in files
    if not is_plain:
        ws.stores.ingest_bytes(manifest_of(path, files))
    sequence = parse_sequence(path)
    return Output(
        hash=whole, key=None, size=size_of_files(files),
        media=media.probe(f"{ws.root}/{paths[0]}"), files=None if is_plain or sequence else len(files),
        frames=frames_text(frame_number(sequence, each) for each in files) if sequence else None,
    )


def _with_looks(ws: Workspace, outputs: list[tuple[_Capture, Output]]) -> list[tuple[_Capture, Output]]:
    """Add a preview to what is a picture; decoding releases the interpreter, so several at a time."""

    def look_of(item: tuple[_Capture, Output]) -> tuple[_Capture, Output]:
        capture, output = item
        if not _is_picture(output):
            return item
        first = (list_files(ws.root, capture.path) or [capture.path])[0]
        return capture, output.replace(look=media.look(f"{ws.root}/{first}"))

    if not any(_is_picture(output) for _, output in outputs):
        return outputs
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(look_of, outputs))


def _is_picture(output: Output) -> bool:
    return str(output.media.get("type", "")).startswith("image/")
