"""What git's history, and what is staged, says about sidecars.

Differences come from git itself. Reading *every* sidecar of a whole history is done by libgit2, which visits each
tree once and hands blobs over without a pipe; where it is missing, or cannot read the repository (SHA-256,
partial clones, a newer format), git does the same work. `git/` never reads a blob over 1 MiB as a sidecar.
"""

from __future__ import annotations

import os
import re
from collections import namedtuple
from collections.abc import Iterator, Sequence

from regen_vcs.git.index import iter_blobs
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import GitError

try:
    import pygit2
except ImportError:  # no wheel for this platform: git reads everything
    pygit2 = None

_SUFFIX = ".regen.json"
_MAX_SIDECAR = 1 << 20
_NULL_MODE = "000000"
_EVERYTHING = ("--all", "--reflog", "--indexed-objects")
_PSEUDO_REFS = (
    "HEAD", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE",
    "BISECT_EXPECTED_REV",
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


def staged_changes(repo: Repo) -> list[Staged]:
    """Everything staged, against HEAD, or against nothing before the first commit. A rename is a D and an A.

    With a `Repo` discovered with `keep_index`, of the index that `git commit` is about to use.
    """
    records = repo.git.lines0("diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff")
    return [
        Staged(change[4], path, *((None, None) if change[1] == _NULL_MODE else (change[1], change[3])))
        for change, path in _raw_records(records)
    ]


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

    def __init__(self, repo: Repo, revisions: Sequence[str] | None = None, *, reader: str | None = None):
        """reader: "git" or "libgit2" to insist on one (tests); else the fastest that can."""
        self._repo = repo
        self._revisions = revisions
        self._reader = reader
        self.missing = 0

    def __iter__(self) -> Iterator[HistoricSidecar]:
        if self._reader != "git" and self._revisions is None and pygit2 and _libgit2_can_read(self._repo):
            yield from self._by_libgit2()
        else:
            yield from self._by_git()

    def _by_git(self) -> Iterator[HistoricSidecar]:
        paths: dict[str, str] = {}
        for line in _lines(self._rev_list()):
            if line.startswith(b"?"):
                self.missing += 1
            elif line.endswith(_SUFFIX.encode()):
                oid, _, path = line.partition(b" ")
                paths[oid.decode()] = path.decode("utf-8", "surrogateescape")
        for oid, data in iter_blobs(self._repo, paths):
            if len(data) <= _MAX_SIDECAR:
                yield HistoricSidecar(paths[oid], oid, data)

    def _rev_list(self) -> Iterator[bytes]:
        revisions = [*_EVERYTHING, *extra_tips(self._repo)] if self._revisions is None else self._revisions
        request = "".join(f"{revision}\n" for revision in revisions if not revision.startswith("--"))
        options = [revision for revision in revisions if revision.startswith("--")]
        argv = ("rev-list", "--objects", "--missing=print", *options, "--stdin")
        return self._repo.git.chunks(*argv, input=request.encode("utf-8", "surrogateescape"))

    def _by_libgit2(self) -> Iterator[HistoricSidecar]:
        store = pygit2.Repository(self._repo.common_dir)
        seen: set[pygit2.Oid] = set()
        for tree in self._trees(store):
            yield from _walk_tree(store, tree, "", seen)
        for path, oid in _indexed_sidecars(self._repo):
            if pygit2.Oid(hex=oid) not in seen:
                seen.add(pygit2.Oid(hex=oid))
                yield HistoricSidecar(path, oid, store[oid].data)

    def _trees(self, store: pygit2.Repository) -> Iterator[pygit2.Oid]:
        """The tree of every commit, or tree, that is reachable at all."""
        walker = store.walk(None, pygit2.enums.SortMode.NONE)
        for oid in _tips(self._repo):
            target = store.get(oid)
            while isinstance(target, pygit2.Tag):
                target = store.get(target.target)
            if isinstance(target, pygit2.Commit):
                walker.push(target.id)
            elif isinstance(target, pygit2.Tree):
                yield target.id
        for commit in walker:
            yield commit.tree_id


def _walk_tree(
    store: pygit2.Repository, tree_oid: pygit2.Oid, folder: str, seen: set[pygit2.Oid]
) -> Iterator[HistoricSidecar]:
    """Sidecars in a tree. Trees and blobs met before are passed over: most of a history is the same again."""
    if tree_oid in seen:
        return
    seen.add(tree_oid)
    for entry in store[tree_oid]:
        if entry.type == pygit2.enums.ObjectType.TREE:
            yield from _walk_tree(store, entry.id, f"{folder}{_name(entry)}/", seen)
        elif entry.type == pygit2.enums.ObjectType.BLOB and entry.id not in seen and entry.raw_name.endswith(b".regen.json"):
            seen.add(entry.id)
            if entry.size <= _MAX_SIDECAR:
                yield HistoricSidecar(folder + _name(entry), str(entry.id), entry.data)


def _name(entry: pygit2.Object) -> str:
    return entry.raw_name.decode("utf-8", "surrogateescape")


def _libgit2_can_read(repo: Repo) -> bool:
    """Not SHA-256, not a clone that lacks objects (libgit2 would take that for corruption), nothing too new."""
    if repo.oid_format != "sha1" or os.path.exists(f"{repo.common_dir}/shallow"):
        return False
    if repo.git.result("config", "--get-regexp", r"^(remote\..*\.promisor|extensions\.partialclone)$").stdout:
        return False
    try:
        pygit2.Repository(repo.common_dir)
    except (pygit2.GitError, KeyError, ValueError):
        return False
    return True


def _tips(repo: Repo) -> list[str]:
    """Object ids of every ref, reflog entry and pseudo-ref."""
    refs = repo.git.out("for-each-ref", "--format=%(objectname)").decode().split()
    logged = repo.git.out("rev-list", "--no-walk=unsorted", "--all", "--reflog").decode().split()
    return list(dict.fromkeys([*refs, *logged, *extra_tips(repo)]))


def _indexed_sidecars(repo: Repo) -> Iterator[tuple[str, str]]:
    """(path, blob id) of the sidecars in the index of every worktree, conflict stages too."""
    for git_dir in worktree_git_dirs(repo):
        if os.path.exists(f"{git_dir}/index"):
            argv = (f"--git-dir={git_dir}", "ls-files", "-s", "-z", "--", f":(top)*{_SUFFIX}")
            for record in repo.git.lines0(*argv):
                meta, _, path = record.partition(b"\t")
                yield path.decode("utf-8", "surrogateescape"), meta.split(b" ")[1].decode()


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
        for path in _state_files(git_dir):
            found.update(dict.fromkeys(match.decode() for match in oid.findall(_read(path))))
    return _existing(repo, list(found))


def _state_files(git_dir: str) -> Iterator[str]:
    for name in _PSEUDO_REFS:
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
