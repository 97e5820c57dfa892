"""Many blobs at once through libgit2: no pipe, a third of the time of `git cat-file`. Loading it takes 150 ms."""

from __future__ import annotations

from collections.abc import Iterable

from regen_vcs.git.repo import Repo

try:
    import pygit2
except ImportError:  # no wheel for this platform: the caller asks git
    pygit2 = None


def read_bulk(repo: Repo, oids: Iterable[str]) -> dict[str, bytes]:
    """The blobs libgit2 can read; any it cannot are absent, and git may know better.

    That is all of them in a SHA-256 repository or one of a format it does not know, and the missing ones of a
    partial clone, which git can fetch.
    """
    if pygit2 is None:
        return {}
    try:
        database = pygit2.Repository(repo.common_dir).odb
    except (pygit2.GitError, KeyError, ValueError, OSError):
        return {}
    blobs = {}
    for oid in oids:
        try:
            kind, data = database.read(oid)
        except (pygit2.GitError, KeyError, ValueError, OSError):
            continue
        if kind == pygit2.enums.ObjectType.BLOB:
            blobs[oid] = data
    return blobs
