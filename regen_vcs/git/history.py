"""What git's history, and what is staged, says about sidecars.

git itself says *which* blobs there are: three times as fast as walking the trees through libgit2, and right in
every kind of repository. *Reading* them by the thousand is left to libgit2 where it can (see bulk.py).
"""

from __future__ import annotations

import os
import re
from collections import namedtuple
from collections.abc import Iterator, Sequence

from regen_vcs.git.index import iter_blobs
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import GitError

_SUFFIX = ".regen.json"
_MAX_SIDECAR = 1 << 20
_NULL_MODE = "000000"
_CHUNK = 16384  # blobs held in memory at once
BULK_FROM = 4000  # blobs: below, loading libgit2 costs more than it saves
_EVERYTHING = ("--all", "--reflog", "--indexed-objects")
PSEUDO_REFS = (
    "HEAD", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE",
    "BISECT_EXPECTED_REV", "MERGE_AUTOSTASH",
)  # fmt: skip
_SEQUENCER_FOLDERS = ("rebase-merge", "rebase-apply", "sequencer")


class Change(namedtuple("_Change", ("path", "before", "after"))):
    """A sidecar that differs between two trees. before, after: blob ids; None: not there."""

    __slots__ = ()


class Staged(namedtuple("_Staged", ("status", "path", "mode", "oid"))):
    """A staged change. status: A, M, D, T or U. mode ("100644") and oid are the index's; None for D and U."""

    __slots__ = ()


class HistoricSidecar(namedtuple("_HistoricSidecar", ("path", "oid", "data"))):
    """A sidecar as some commit had it. path: one of the paths it had."""

    __slots__ = ()


def changed_sidecars(repo: Repo, rev_range: str) -> list[Change]:
    """Sidecars that differ between the ends of `A..B` (`A...B`: since their merge base); of one revision, all it has.

    GitError for a revision that git does not know.
    """
    if ".." not in rev_range:
        return [Change(path, None, oid) for path, oid in _sidecars_of(repo, rev_range)]
    argv = ("diff", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff", "--end-of-options", rev_range)
    return [
        Change(path, None if change[0] == _NULL_MODE else change[2], None if change[1] == _NULL_MODE else change[3])
        for change, path in _raw_records(repo.git.lines0(*argv, "--", "*.regen.json"))
    ]


def _sidecars_of(repo: Repo, revision: str) -> Iterator[tuple[str, str]]:
    """(path, blob id) of every sidecar in one revision. `ls-tree` takes no wildcard, so the names are looked at here."""
    for record in repo.git.lines0("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", revision):
        meta, _, raw_path = record.partition(b"\t")
        if raw_path.endswith(_SUFFIX.encode()):
            yield raw_path.decode("utf-8", "surrogateescape"), meta.split(b" ")[2].decode()


def past_blobs(repo: Repo, pathspecs: Sequence[str] = ()) -> Iterator[tuple[str, str, str]]:
    """(path, blob it had, commit that changed it or took it away) of what commits of any branch, tag or reflog did to files.

    Newest commits first, in one walk; pathspecs as git has them. GitError where there is no commit.
    """
    argv = ("log", "--all", "--reflog", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff", "--root", "-m",
            "--diff-filter=DM", "--format=%x01%H")
    commit, change = "", None
    for record in repo.git.lines0(*argv, "--", *pathspecs):
        text = record.decode("utf-8", "surrogateescape").lstrip("\n")
        if text.startswith("\x01"):
            commit, change = text[1:].strip(), None
        elif change is None and text.startswith(":"):
            change = text[1:].split(" ")
        elif change is not None:
            if change[0].startswith("100"):
                yield text, change[2], commit
            change = None


def staged_changes(repo: Repo) -> list[Staged]:
    """Everything staged, against HEAD, or against nothing before the first commit. A rename is a D and an A.

    With a `Repo` discovered with `keep_index`, of the index that `git commit` is about to use.
    """
    records = repo.git.lines0("diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff")
    return [
        Staged(change[4], path, *((None, None) if change[1] == _NULL_MODE else (change[1], change[3])))
        for change, path in _raw_records(records)
    ]


def changes_since(repo: Repo, revision: str) -> dict[str, str | None]:
    """{path: its blob at a revision, or None} of every file that is on disk otherwise than there, or not at all.

    What git neither tracks nor ignores counts as new. For the user's verbs only: a file whose stat moved is compared
    by content, which may run filters. GitError for a revision that git does not know.
    """
    argv = ("diff", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff", "--ignore-submodules", "--end-of-options")
    found = {
        path: None if change[0] == _NULL_MODE else change[2]
        for change, path in _raw_records(repo.git.lines0(*argv, resolve_commit(repo, revision), "--"))
    }
    names = repo.git.lines0("ls-files", "-z", "--others", "--exclude-standard")
    return dict.fromkeys((name.decode("utf-8", "surrogateescape") for name in names), None) | found


def _raw_records(records: list[bytes]) -> Iterator[tuple[list[str], str]]:
    """`--raw -z` → ([mode before, mode after, oid before, oid after, status], path)."""
    for meta, path in zip(records[::2], records[1::2], strict=True):
        yield meta.decode()[1:].split(" "), path.decode("utf-8", "surrogateescape")


# --- a whole history --------------------------------------------------------------------------------


class History:
    """Every sidecar that revisions reach, each blob once: iterate for `HistoricSidecar`s.

    revisions: as for `git rev-list` ("main", "A..B"); None: all that can still be got at: refs, reflogs, stashes,
    indexes, pseudo-refs and sequencer state of every worktree. After iterating, `missing` is how many objects
    the repository does not have (a partial clone), so that what they named is unknown.
    """

    def __init__(self, repo: Repo, revisions: Sequence[str] | None = None, *, bulk_from: int = BULK_FROM):
        """bulk_from: with how many blobs libgit2 reads them, where it can."""
        self._repo = repo
        self._revisions = revisions
        self._bulk_from = bulk_from
        self.missing = 0

    def __iter__(self) -> Iterator[HistoricSidecar]:
        paths = self.blobs()
        for oid, data in self._read(list(paths)):
            if len(data) <= _MAX_SIDECAR:
                yield HistoricSidecar(paths[oid], oid, data)

    def blobs(self) -> dict[str, str]:
        """{blob id: a path it had} of all of them, without reading any."""
        self.missing = 0
        paths: dict[str, str] = {}
        for line in _lines(self._rev_list()):
            if line.startswith(b"?"):
                self.missing += 1
            elif line.endswith(_SUFFIX.encode()):
                oid, _, path = line.partition(b" ")
                paths[oid.decode()] = path.decode("utf-8", "surrogateescape")
        return paths

    def _rev_list(self) -> Iterator[bytes]:
        if self._revisions is None:
            options, revisions = _EVERYTHING, extra_tips(self._repo)
        else:
            options, revisions = (), self._revisions
        request = "".join(f"{revision}\n" for revision in revisions).encode("utf-8", "surrogateescape")
        return self._repo.git.chunks("rev-list", "--objects", "--missing=print", *options, "--stdin", input=request)

    def _read(self, oids: list[str]) -> Iterator[tuple[str, bytes]]:
        if len(oids) >= self._bulk_from:
            from regen_vcs.git.bulk import read_bulk  # loads libgit2: as long as reading thousands of blobs

            for at in range(0, len(oids), _CHUNK):
                chunk = oids[at : at + _CHUNK]
                blobs = read_bulk(self._repo, chunk)
                yield from blobs.items()
                yield from iter_blobs(self._repo, [oid for oid in chunk if oid not in blobs])
        else:
            yield from iter_blobs(self._repo, oids)


def worktree_git_dirs(repo: Repo) -> list[str]:
    """The git directory of every worktree of this repository, the main one first. None is asked whether it still exists."""
    linked = f"{repo.common_dir}/worktrees"
    names = sorted(os.listdir(linked)) if os.path.isdir(linked) else []
    return [repo.common_dir, *(f"{linked}/{name}" for name in names)]


def extra_tips(repo: Repo) -> list[str]:
    """Commits that only pseudo-refs and the state of a rebase, am or cherry-pick name, in any worktree.

    Ids that the repository does not have (any more) are left out.
    """
    length = 64 if repo.oid_format == "sha256" else 40
    oid = re.compile(rb"\b[0-9a-f]{%d}\b" % length)
    found: dict[str, None] = {}
    for git_dir in worktree_git_dirs(repo):
        for path in state_files(git_dir):
            found.update(dict.fromkeys(match.decode() for match in oid.findall(_read(path))))
    return _existing(repo, list(found))


def state_files(git_dir: str) -> Iterator[str]:
    """Where pseudo-refs and the state of an operation under way would be, in one worktree's git directory."""
    for name in PSEUDO_REFS:
        yield f"{git_dir}/{name}"
    for folder in _SEQUENCER_FOLDERS:
        if os.path.isdir(f"{git_dir}/{folder}"):
            for name in os.listdir(f"{git_dir}/{folder}"):
                yield f"{git_dir}/{folder}/{name}"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 24)
    except OSError:
        return b""


def _existing(repo: Repo, oids: list[str]) -> list[str]:
    if not oids:
        return []
    request = "".join(f"{oid}\n" for oid in oids).encode()
    answer = repo.git.out("cat-file", "--batch-check=%(objectname) %(objecttype)", input=request).decode()
    return [line.split(" ")[0] for line in answer.splitlines() if line.endswith((" commit", " tree", " tag"))]


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def resolve_commit(repo: Repo, revision: str) -> str:
    """The commit a revision names; GitError where it names none."""
    result = repo.git.result("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if result.status:
        raise GitError(("rev-parse", revision), result.status, f"{revision} is not a commit here".encode())
    return result.stdout.decode().strip()
