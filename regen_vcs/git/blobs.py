"""Which blobs git has where: in the index, in one commit, in the trees of many. Ids and paths only; none is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from regen_vcs.git.repo import Repo
from regen_vcs.git.run import GitError

_USAGE = 129  # what rev-list ends with where nothing was named: a repository without a commit


def index_blobs(repo: Repo) -> Iterator[tuple[str, str]]:
    """(blob id, path) of every regular file in the index that has no conflict."""
    for record in repo.git.lines0("ls-files", "-s", "-z"):
        meta, _, path = record.partition(b"\t")
        mode, oid, stage = meta.decode().split(" ")
        if mode.startswith("100") and stage == "0":
            yield oid, path.decode("utf-8", "surrogateescape")


def tree_blobs(repo: Repo, revision: str) -> Iterator[tuple[str, str]]:
    """(blob id, path) of every regular file in one commit; none where there is no such commit (yet)."""
    result = repo.git.result("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", revision)
    for record in result.stdout.split(b"\0")[:-1] if result.status == 0 else ():
        meta, _, path = record.partition(b"\t")
        mode, _, oid = meta.decode().split(" ")
        if mode.startswith("100"):
            yield oid, path.decode("utf-8", "surrogateescape")


def reached_blobs(repo: Repo, revisions: Sequence[str], *, walk: bool) -> Iterator[tuple[str, str]]:
    """(object id, a path it has) of all that the trees of these revisions hold, each object once, folders among them.

    revisions: as for `git rev-list`, `--branches` and `^A` too. walk: also what the commits before them held.
    GitError for a revision that git does not know.
    """
    options = [each for each in revisions if each.startswith("--")]
    request = "".join(f"{each}\n" for each in revisions if not each.startswith("--")).encode("utf-8", "surrogateescape")
    mode = () if walk else ("--no-walk",)
    argv = ("rev-list", "--objects", "--missing=print", *mode, *options, "--stdin")
    rest = b""
    try:
        for chunk in repo.git.chunks(*argv, input=request or b"\n"):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                oid, separator, path = line.partition(b" ")
                if separator and path and not oid.startswith(b"?"):
                    yield oid.decode(), path.decode("utf-8", "surrogateescape")
    except GitError as error:
        if error.status != _USAGE:
            raise


__all__ = ["index_blobs", "reached_blobs", "tree_blobs"]
