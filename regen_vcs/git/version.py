"""One version of the repository's files, whichever it is: the index about to be committed, or a revision.

What is checked before a commit and what is checked in a range of history are the same questions, asked of either.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterable, Iterator

from regen_vcs.git import index
from regen_vcs.git.history import Staged, resolve_commit
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import GitError

_SUFFIX = ".regen.json"
_NULL_MODE = "000000"
# git compares every entry with every path it is given: beyond this many, one look at everything is cheaper.
_MANY_PATHS = 128
# Commits, beside HEAD, that what is staged may come from: a merge, cherry-pick, revert or rebase that stopped.
_OTHER_PARENTS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD")


class File(namedtuple("_File", ("mode", "oid", "unmerged", "skipped"))):
    """mode: "100644". oid: hex. unmerged: in conflict. skipped: outside the sparse checkout."""

    __slots__ = ()

    @property
    def is_plain(self) -> bool:
        """A regular file: no symlink, no submodule."""
        return self.mode.startswith("100")


class IndexVersion:
    """The index, of a `Repo` discovered with `keep_index` the one that `git commit` is about to use."""

    def __init__(self, repo: Repo):
        self._repo = repo
        self._sidecars: dict[str, File] | None = None

    def sidecars(self) -> dict[str, File]:
        """{sidecar path: File} of all there are."""
        if self._sidecars is None:
            entries, _listing = index.list_sidecars(self._repo)
            self._sidecars = {entry.path: _file_of(entry) for entry in entries}
        return self._sidecars

    def files(self, paths: Iterable[str]) -> dict[str, File]:
        """{path: File} of those of these paths that are there."""
        return {path: _file_of(entry) for path, entry in index.list_paths(self._repo, paths).items()}

    def paths_under(self, places: Iterable[str]) -> list[str]:
        """Every path that is one of `places` or lies below one; "" is the root."""
        wanted = sorted(set(places))
        if not wanted:
            return []
        everything = "" in wanted or len(wanted) > _MANY_PATHS
        argv = ("--literal-pathspecs", "ls-files", "-z", *(() if everything else ("--", *wanted)))
        names = [name.decode("utf-8", "surrogateescape") for name in self._repo.git.lines0(*argv)]
        return list(dict.fromkeys(names if not everything else _under(names, set(wanted))))

    def matching(self, globs: list[str]) -> list[str]:
        return index.list_matching(self._repo, globs)

    def read(self, oids: Iterable[str]) -> dict[str, bytes]:
        return index.read_blobs(self._repo, oids)


class RevisionVersion:
    """The files of one commit."""

    def __init__(self, repo: Repo, commit: str):
        self._repo = repo
        self._commit = commit
        self._all: dict[str, File] | None = None

    def sidecars(self) -> dict[str, File]:
        return {path: file for path, file in self._everything().items() if path.endswith(_SUFFIX)}

    def files(self, paths: Iterable[str]) -> dict[str, File]:
        wanted = list(dict.fromkeys(paths))
        if not wanted:
            return {}
        if self._all is None and len(wanted) <= _MANY_PATHS:
            return self._list(self._commit, "--", *wanted)
        return {path: self._everything()[path] for path in wanted if path in self._everything()}

    def paths_under(self, places: Iterable[str]) -> list[str]:
        return list(_under(self._everything(), set(places)))

    def matching(self, globs: list[str]) -> list[str]:
        """All paths: `ls-tree` knows no globs, and whoever asks matches them anyway."""
        return list(self._everything())

    def read(self, oids: Iterable[str]) -> dict[str, bytes]:
        return index.read_blobs(self._repo, oids)

    def _everything(self) -> dict[str, File]:
        if self._all is None:
            self._all = self._list("-r", self._commit)
        return self._all

    def _list(self, *words: str) -> dict[str, File]:
        found = {}
        for record in self._repo.git.lines0("--literal-pathspecs", "ls-tree", "-z", "--full-tree", *words):
            meta, _, name = record.partition(b"\t")
            mode, _kind, oid = meta.decode().split(" ")
            found[name.decode("utf-8", "surrogateescape")] = File(mode, oid, False, False)
        return found


def _file_of(entry: index.Entry) -> File:
    return File(entry.mode, entry.oid, entry.stage != 0, entry.tag in "Ss")


def _under(paths: Iterable[str], places: set[str]) -> Iterator[str]:
    for path in paths:
        place = path
        while place and place not in places:
            place = place.rpartition("/")[0]
        if place in places:
            yield path


def parents_of_index(repo: Repo) -> list[RevisionVersion]:
    """What is staged will be committed on top of these: HEAD (if there is one yet), and the other side of a merge."""
    names = ["HEAD", *(name for name in _OTHER_PARENTS if os.path.exists(f"{repo.git_dir}/{name}"))]
    commits = dict.fromkeys(filter(None, (_commit_or_none(repo, name) for name in names)))
    return [RevisionVersion(repo, commit) for commit in commits]


def ends_of_range(repo: Repo, rev_range: str) -> tuple[str, str]:
    """The commits that `A..B` compares (`A...B`: the merge base with B). An end left out is HEAD. GitError."""
    dots = "..." if "..." in rev_range else ".."
    first, _, last = rev_range.partition(dots)
    start, end = (resolve_commit(repo, name or "HEAD") for name in (first, last))
    if dots == "...":
        start = repo.git.text("merge-base", start, end)
    return start, end


def changes_between(repo: Repo, start: str, end: str) -> list[Staged]:
    """Everything that differs between two commits, as `staged_changes` says it of the index."""
    argv = ("diff", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff", start, end)
    records = repo.git.lines0(*argv, "--")
    changes = []
    for meta, path in zip(records[::2], records[1::2], strict=True):
        fields = meta.decode()[1:].split(" ")
        there = (None, None) if fields[1] == _NULL_MODE else (fields[1], fields[3])
        changes.append(Staged(fields[4], path.decode("utf-8", "surrogateescape"), *there))
    return changes


def tracked_media(repo: Repo, ignore_lines: list[str]) -> list[str]:
    """Paths in the index that these gitignore lines match: somebody added them by force, or before there were any."""
    if not ignore_lines:
        return []
    options = [f"--exclude={line}" for line in ignore_lines]
    names = repo.git.lines0("ls-files", "-z", "--cached", "--ignored", *options)
    return [name.decode("utf-8", "surrogateescape") for name in names]


def in_place(repo: Repo, paths: list[str]) -> set[str]:
    """Which of these assets git keeps by their own path, as recipes (the second layout)."""
    if not paths:
        return set()
    request = "\0".join(paths).encode("utf-8", "surrogateescape") + b"\0"
    fields = repo.git.lines0("check-attr", "-z", "--stdin", "filter", input=request)
    pairs = zip(fields[::3], fields[2::3], strict=True)
    return {path.decode("utf-8", "surrogateescape") for path, value in pairs if value == b"regen-inplace"}


def _commit_or_none(repo: Repo, revision: str) -> str | None:
    try:
        return resolve_commit(repo, revision)
    except GitError:
        return None
