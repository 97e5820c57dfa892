"""What the working tree should hold: every sidecar git knows here, and those our own commands wrote."""

from __future__ import annotations

import errno
import os
import stat
from collections import namedtuple

from regen_vcs.engine.memory import EMPTY_ROW, Memo, State, is_still, sig_of
from regen_vcs.errors import InvalidError
from regen_vcs.git.index import blob_oid, list_index
from regen_vcs.git.repo import Repo
from regen_vcs.model.facts import Facts
from regen_vcs.model.paths import (
    Sequence,
    asset_of,
    check_asset_path,
    fold,
    frame_of,
    parse_sequence,
    sidecar_of,
)

Desired = namedtuple(
    "Desired",
    (
        "path",  # the asset
        "facts",
        "side_sig",  # None where the sidecar is not on disk
        "memo_name",
        "tracked",  # it has a stage-0 entry in the index
        "skip",  # skip-worktree
        "unmerged",
    ),
)

_VANISHED = Facts(None, None, None, 0, None, None, False, {}, None, None, None)
_MAX_SIDECAR = 1 << 20


def problem_facts(error: InvalidError) -> Facts:
    return _VANISHED._replace(problem=[error.kind, error.what, error.hint])


class DesiredTree:
    """`assets`: {asset path: Desired}; `listing`: the index's sidecar entries exactly as git printed them.

    settled: every sidecar on disk is the one in the index, so that git cannot change one without changing it.
    git_paths: what git tracks besides sidecars. Such a file is git's, whatever a sidecar says.
    refused: assets whose very path is none of ours (a name that nobody may have, or git's): what lies there is
    neither looked at nor touched.
    """

    def __init__(self, assets: dict[str, Desired], listing: bytes, settled: bool, git_paths: set[str], refused: set[str]):
        self.assets = assets
        self.listing = listing
        self.settled = settled
        self.git_paths = git_paths
        self.refused = refused


def read_desired(repo: Repo, state: State, memo: Memo, *, also: set[str] = frozenset()) -> DesiredTree:
    """Read the index and, of the sidecars on disk, those whose stat moved.

    `also` names asset paths whose sidecars count though git does not know them (the filter's notes).
    """
    entries, listing, git_paths = list_index(repo)
    assets: dict[str, Desired] = {}
    settled = True
    for entry in entries:
        try:
            path = asset_of(entry.path)
        except InvalidError as error:  # `.regen.json` is no asset's: it stands for itself
            assets[entry.path] = Desired(entry.path, problem_facts(error), None, "", True, False, False)
            continue
        if entry.stage or entry.tag == "M":
            assets[path] = Desired(path, _VANISHED, None, "", True, False, True)
            settled = False
        elif path not in assets:
            skip = entry.tag in "Ss"
            assets[path] = found = read_one(repo, path, state, memo, tracked=True, skip=skip)
            if found.memo_name[2 : 2 + len(entry.oid)] != entry.oid and not (skip and found.side_sig is None):
                settled = False
    for path in [*state.rows, *sorted(also)]:  # also those that git has just been told to forget
        if path not in assets and path.rpartition("/")[2]:
            found = read_one(repo, path, state, memo, tracked=False, skip=False)
            if found.side_sig is not None:
                assets[path] = found
    _refuse_collisions(assets)
    refused = _refuse_names(assets) | _refuse_tracked(assets, git_paths)
    return DesiredTree(assets, listing, settled, git_paths, refused)


def read_one(repo: Repo, path: str, state: State, memo: Memo, *, tracked: bool, skip: bool) -> Desired:
    """One sidecar as it is on disk; from memory, if its stat is the remembered one."""
    sidecar_abs = f"{repo.root}/{path}.regen.json"
    try:
        st = os.lstat(sidecar_abs)
    except (FileNotFoundError, NotADirectoryError):
        return Desired(path, _VANISHED, None, "", tracked, skip, False)
    row = state.rows.get(path, EMPTY_ROW)
    if row.side_sig and is_still(st, row.side_sig, state.saved_at_ns) and row.facts and not row.facts.problem:
        return Desired(path, row.facts, row.side_sig, row.memo_name, tracked, skip, False)
    sig = sig_of(st)
    try:
        check_asset_path(path)
        data = read_sidecar_bytes(repo.root, path)
    except InvalidError as error:
        return Desired(path, problem_facts(error), sig, "", tracked, skip, False)
    memo_name, facts = memo.facts(data, blob_oid(data, repo.oid_format), path)
    return Desired(path, facts, sig, memo_name, tracked, skip, False)


def read_sidecar_bytes(root: str, path: str) -> bytes:
    """The bytes of an asset's sidecar; a symlink, a device or a file over 1 MiB is refused, not read.

    InvalidError also where there is none.
    """
    name = sidecar_of(path)
    try:
        fd = os.open(f"{root}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InvalidError(f"{name}: there is no such sidecar") from None
    except OSError as error:
        why = "is a symlink" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise InvalidError(f"{name}: {why}") from error
    try:
        st = os.fstat(fd)
        if not stat.S_ISREG(st.st_mode):
            raise InvalidError(f"{name}: not a regular file")
        if st.st_size > _MAX_SIDECAR:
            raise InvalidError(f"{name}: {st.st_size:,} bytes, over the limit of 1 MiB")
        return os.read(fd, _MAX_SIDECAR + 1)
    finally:
        os.close(fd)


def _refuse_names(assets: dict[str, Desired]) -> set[str]:
    """The assets whose names nobody may have. Where a sidecar was read and is valid, so is the name."""
    refused = set()
    for path, desired in assets.items():
        if desired.facts.problem or desired.side_sig is None or desired.unmerged:
            try:
                check_asset_path(path)
            except InvalidError:
                refused.add(path)
    return refused


def _refuse_tracked(assets: dict[str, Desired], git_paths: set[str]) -> set[str]:
    """Assets that git tracks themselves, or something inside of them: what lies there is git's."""
    taken = {path: path for path in git_paths & assets.keys()}
    folders = {path.rpartition("/")[0]: path for path in git_paths}
    for folder, example in folders.items():
        while folder:
            if folder in assets:
                taken.setdefault(folder, example)
            folder = folder.rpartition("/")[0]
    for path in assets:
        sequence = parse_sequence(path)
        if sequence and sequence.directory in folders:
            frames = (each for each in git_paths if _is_frame(sequence, each))
            taken.update((path, each) for each in frames)
    for path, tracked in taken.items():
        error = InvalidError(
            f"{path}: git tracks {'this file' if tracked == path else tracked} itself, so it cannot be an asset",
            f"git rm --cached {tracked}, and commit that",
        )
        assets[path] = assets[path]._replace(facts=problem_facts(error))
    return set(taken)


def _is_frame(sequence: Sequence, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == sequence.directory and frame_of(sequence, name) is not None


def _refuse_collisions(assets: dict[str, Desired]) -> None:
    """Two assets equal under casefold + NFC, or one inside another, would overwrite each other: both are invalid."""
    by_fold: dict[str, str] = {}
    for path in assets:
        other = by_fold.setdefault(fold(path), path)
        if other != path:
            error = InvalidError(f"{path}: collides with {other} on file systems that ignore case or accents' form")
            for each in (path, other):
                assets[each] = assets[each]._replace(facts=problem_facts(error))
    holders: dict[str, str | None] = {"": None}
    for path in assets:
        holder = _asset_around(path.rpartition("/")[0], assets, holders)
        if holder:
            error = InvalidError(f"{path}: lies inside the asset {holder}")
            assets[path] = assets[path]._replace(facts=problem_facts(error))


def _asset_around(folder: str, assets: dict[str, Desired], known: dict[str, str | None]) -> str | None:
    """The nearest asset that is this folder or holds it. known: what was found so far, by folder; "" has none."""
    passed = []
    while folder not in known:
        passed.append(folder)
        if folder in assets:
            known[folder] = folder
        else:
            folder = folder.rpartition("/")[0]
    known.update(dict.fromkeys(passed, known[folder]))
    return known[folder]
