"""git's index: the sidecars in it, any other paths, and blobs. Always read by git itself.

git knows every form an index has (split, sparse, version 4, with any extension), and `ls-files` is also
the fastest reader there is short of our own parser of the plain form.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterable, Iterator

from regen_vcs.git.repo import Repo
from regen_vcs.git.run import GitError
from regen_vcs.platform.files import write_atomic

_LIST = ("ls-files", "-s", "-t", "-z")
_SIDECAR_ENDING = b".regen.json"
_OID_AT = len("H 100644 ")
_OID_LENGTH = {"sha1": 40, "sha256": 64}
_STAGES = {"0": 0, "1": 1, "2": 2, "3": 3}
# git compares every entry with every pathspec: beyond this many, one look at the whole index is cheaper.
_MANY_PATHS = 128
# What no index prints. The listing follows even so: the hooks look up in it what sparse-checkout skips.
_UNSETTLED = b"unsettled\0"


class Entry(namedtuple("_Entry", ("path", "oid", "mode", "stage", "tag"))):
    """One index entry.

    path: POSIX, from the root. oid: hex. mode: "100644". stage: int, 0 unless there is a conflict.
    tag: "H" cached, "S" skip-worktree, "M" unmerged.
    """

    __slots__ = ()


def list_sidecars(repo: Repo) -> tuple[list[Entry], bytes]:
    """Every sidecar in the index, and the bytes git printed: what `write_listing` keeps for the hooks."""
    listing = repo.git.out(*_LIST, "--", "*.regen.json")
    return parse_listing(listing, repo.oid_format), listing


def list_index(repo: Repo) -> tuple[list[Entry], bytes, set[str]]:
    """As `list_sidecars`, and the paths of everything else in the index: what git itself writes and removes."""
    lines = repo.git.out(*_LIST).split(b"\0")[:-1]
    path_at = _OID_AT + _OID_LENGTH[repo.oid_format] + 3
    listing = b"".join(line + b"\0" for line in lines if line.endswith(_SIDECAR_ENDING))
    others = {
        line[path_at:].decode("utf-8", "surrogateescape") for line in lines if not line.endswith(_SIDECAR_ENDING)
    }
    return parse_listing(listing, repo.oid_format), listing, others


def parse_listing(listing: bytes, oid_format: str) -> list[Entry]:
    """`ls-files -s -t -z` output → entries, at fixed offsets: 100,000 sidecars pass here on every sync."""
    oid_end = _OID_AT + _OID_LENGTH[oid_format]
    stage_at, path_at = oid_end + 1, oid_end + 3
    make, stages = tuple.__new__, _STAGES
    return [
        make(Entry, (line[path_at:], line[_OID_AT:oid_end], line[2:8], stages[line[stage_at]], line[0]))
        for line in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]
    ]


def list_paths(repo: Repo, paths: Iterable[str]) -> dict[str, Entry]:
    """The entries of exactly these paths; of an unmerged path its last stage. Untracked ones are absent."""
    wanted = set(paths)
    return {entry.path: entry for entry in _entries_at(repo, wanted) if entry.path in wanted}


def list_matching(repo: Repo, globs: Iterable[str], *, untracked: bool = False) -> list[str]:
    """Paths that these `glob` pathspecs match: in the index, and with `untracked` also files git does not ignore."""
    options = ("--cached", "--others", "--exclude-standard") if untracked else ("--cached",)
    names = repo.git.lines0("--glob-pathspecs", "ls-files", "-z", *options, "--", *globs)
    return sorted({name.decode("utf-8", "surrogateescape") for name in names})


def modified(repo: Repo) -> set[str]:
    """Files that are on disk otherwise than in the index, or not at all. For the user's verbs only: it may run filters."""
    return {name.decode("utf-8", "surrogateescape") for name in repo.git.lines0("ls-files", "-z", "--modified")}


def tracked(repo: Repo, paths: Iterable[str]) -> set[str]:
    """Which of these paths git tracks: itself, or, for a folder, anything in it."""
    wanted = set(paths)
    found: set[str] = set()
    for entry in _entries_at(repo, wanted):
        path = entry.path
        while path:
            if path in wanted:
                found.add(path)
            path = path.rpartition("/")[0]
    return found


def _entries_at(repo: Repo, wanted: set[str]) -> list[Entry]:
    if not wanted:
        return []
    argv = ("--literal-pathspecs", *_LIST, "--", *sorted(wanted)) if len(wanted) <= _MANY_PATHS else _LIST
    return parse_listing(repo.git.out(*argv), repo.oid_format)


def read_blobs(repo: Repo, oids: Iterable[str]) -> dict[str, bytes]:
    """Blobs as git stores them, never converted. One that the repository lacks is absent from the answer."""
    return dict(iter_blobs(repo, oids))


def iter_blobs(repo: Repo, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """As `read_blobs`, one at a time, from one `cat-file --batch`."""
    request = "".join(f"{oid}\n" for oid in oids).encode()
    if not request:
        return
    reader = _ChunkReader(repo.git.chunks("cat-file", "--batch", input=request))
    while header := reader.line():
        fields = header.split(b" ")
        if len(fields) != 3:  # `<oid> missing`
            continue
        data = reader.exactly(int(fields[2]) + 1)
        yield fields[0].decode(), data[:-1]


def blobs_of(repo: Repo, revision: str) -> dict[str, str]:
    """{path: blob} of every regular file in a revision. GitError for one that git does not know."""
    found = {}
    for record in repo.git.lines0("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", revision):
        meta, _, path = record.partition(b"\t")
        mode, _kind, oid = meta.decode().split(" ")
        if mode.startswith("100"):
            found[path.decode("utf-8", "surrogateescape")] = oid
    return found


def sizes_of(repo: Repo, oids: Iterable[str]) -> dict[str, int]:
    """{blob: bytes} of those that the repository has."""
    request = "".join(f"{oid}\n" for oid in sorted(oids)).encode()
    if not request:
        return {}
    answer = repo.git.out("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", input=request)
    fields = (line.split(" ") for line in answer.decode().splitlines())
    return {each[0]: int(each[2]) for each in fields if len(each) == 3 and each[1] == "blob"}


class _ChunkReader:
    """Lines and byte counts out of a stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self._buffer = bytearray()
        self._at = 0

    def line(self) -> bytes:
        """The next line without its break; b"" at the end."""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if not self._more():
                return b""
        line = bytes(self._buffer[self._at : end])
        self._at = end + 1
        return line

    def exactly(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count:
            if not self._more():
                raise GitError(("cat-file", "--batch"), 0, b"it stopped in the middle of an object")
        data = bytes(self._buffer[self._at : self._at + count])
        self._at += count
        return data

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += chunk
        return bool(chunk)


def clean_oids(repo: Repo, paths: Iterable[str], *, write: bool = False) -> dict[str, str]:
    """The blob ids these worktree files would have if added now: line endings and filters applied.

    For the user's verbs only, as it may run filters. write: also store the blobs. GitError for a path that is
    not a readable file.
    """
    names = list(paths)
    if not names:
        return {}
    request = "".join(f"{_quote(name)}\n" for name in names).encode("utf-8", "surrogateescape")
    options = ("-w",) if write else ()
    answer = repo.git.write("hash-object", *options, "--stdin-paths", input=request)
    return dict(zip(names, answer.decode().split(), strict=True))


def _quote(path: str) -> str:
    """One line for `--stdin-paths`, which takes C-quoted names."""
    if "\n" not in path and not path.startswith('"'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def blob_oid(data: bytes, oid_format: str) -> str:
    """The id git gives these bytes as a blob."""
    import hashlib  # here, since most hooks need no more than git says

    digest = hashlib.new(oid_format, b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def listing_path(repo: Repo) -> str:
    """Where the hooks find what the index held at the last sync."""
    return f"{repo.state_dir}/listing"


def write_listing(repo: Repo, listing: bytes, *, settled: bool = True) -> None:
    """Tell the hooks what was synced: they start nothing while the index still prints these bytes.

    listing: from `list_sidecars`, read *before* the worktree was looked at. settled: whether every sidecar on
    disk is the one in the index. If not, git can put one back without changing the index (`git restore`), so
    the hooks must not rely on it.
    """
    os.makedirs(repo.state_dir, exist_ok=True)
    write_atomic(listing_path(repo), listing if settled else _UNSETTLED + listing.removeprefix(_UNSETTLED))
    if not settled:
        _forget_seen(repo)


def forget_listing(repo: Repo) -> None:
    """Make the next hook start a sync. For whatever writes a sidecar, or syncs only a part of the worktree."""
    try:
        with open(listing_path(repo), "rb") as file:
            listing = file.read(len(_UNSETTLED))
            if listing == _UNSETTLED:  # said already: thousands of sidecars may be written in a row
                _forget_seen(repo)
                return
            listing += file.read()
    except FileNotFoundError:
        listing = b""
    write_listing(repo, listing, settled=False)


def note_seen(repo: Repo, at_ns: int) -> None:
    """Tell this git command's further hooks that its index, written before `at_ns`, is looked after."""
    path = f"{repo.state_dir}/listing-seen"
    with open(path, "wb"):
        pass
    os.utime(path, ns=(at_ns, at_ns))


def _forget_seen(repo: Repo) -> None:
    """The hooks' own note that they have just looked (see git_hooks/post-index-change)."""
    try:
        os.unlink(f"{repo.state_dir}/listing-seen")
    except FileNotFoundError:
        pass
