"""Everything that a repository can still get at which may be a sidecar: for gc, to which whatever is not here is unused.

More than `history.History`, and stricter: the paths that rev-list prints are of each blob's first place only, so a sidecar whose
text also stands under another name would be passed over; here rev-list is told the names, and looks at nothing else. The
state of every worktree counts, and so does what only an operation under way remembers.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator, Mapping

from regen_vcs.errors import RegenError
from regen_vcs.git.history import BULK_FROM, PSEUDO_REFS, extra_tips, state_files, worktree_git_dirs
from regen_vcs.git.index import iter_blobs, parse_listing
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import Git

_SIDECARS = "*.regen.json"
_ATTRIBUTES = ":(glob)**/.gitattributes"
_IN_PLACE = b"regen-inplace"
_MAX_DOCUMENT = 1 << 20
_CHUNK = 8192

# path: where it stood, None if that is not known. oid: of the blob, None for a file on disk.
Document = namedtuple("Document", ("path", "oid", "data"))
# git_dir: of this worktree. root: its top, None where that is not known; may not exist.
Worktree = namedtuple("Worktree", ("git_dir", "root"))


class Unreadable(RegenError):
    """A repository, or a part of one, that cannot be read now."""


def open_common(common_dir: str, environ: Mapping[str, str]) -> Repo:
    """A repository known by its common git folder alone, bare ones too. Unreadable where it is not there.

    It has no worktree: `root` is the git folder.
    """
    env = {name: value for name, value in environ.items() if not name.startswith("GIT_") or name.startswith("GIT_CONFIG_")}
    for name in ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"):
        env.pop(name, None)  # about the repository of the command that is under way
    git = Git(common_dir, env)
    if not os.path.isfile(f"{common_dir}/HEAD"):
        raise Unreadable(f"{common_dir}: no repository is there")
    result = git.result("--git-dir=.", "rev-parse", "--show-object-format")
    if result.status:
        message = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Unreadable(f"{common_dir}: {message[0].removeprefix('fatal: ') if message else 'git cannot read it'}")
    return Repo(
        git, root=common_dir, git_dir=common_dir, common_dir=common_dir, state_dir=f"{common_dir}/regen", hooks_dir="",
        exclude_path="", oid_format=result.stdout.decode().strip(),
    )


def worktrees(repo: Repo, main_root: str | None) -> list[Worktree]:
    """Every worktree, whether or not it is there. main_root: where the main one is, as far as somebody has said so."""
    found = []
    for git_dir in worktree_git_dirs(repo):
        if git_dir == repo.common_dir:
            found.append(Worktree(git_dir, main_root or _guessed_root(git_dir)))
        else:
            found.append(Worktree(git_dir, _linked_root(git_dir)))
    return found


def _guessed_root(common_dir: str) -> str | None:
    parent = os.path.dirname(common_dir)
    return parent if os.path.basename(common_dir) == ".git" else None


def _linked_root(git_dir: str) -> str | None:
    try:
        with open(f"{git_dir}/gitdir", encoding="utf-8", errors="surrogateescape") as file:
            place = file.read().rstrip("\n")
    except OSError:
        return None
    return os.path.dirname(os.path.join(git_dir, place)) if place else None


def fingerprint(repo: Repo) -> tuple:
    """Another value whenever a ref, a HEAD, an index or an operation's state may have changed; a few dozen stats."""
    found = [_stat(f"{repo.common_dir}/{name}") for name in ("packed-refs", "reftable", "worktrees", "refs/stash", "shallow")]
    found += _folder_stats(f"{repo.common_dir}/refs")
    for git_dir in worktree_git_dirs(repo):
        names = ("index", "logs/HEAD", "gitdir", "rebase-merge", "rebase-apply", "sequencer", *PSEUDO_REFS)
        found += [_stat(f"{git_dir}/{name}") for name in names]
        if git_dir != repo.common_dir:
            found += _folder_stats(f"{git_dir}/refs")
    return tuple(found)


def _folder_stats(folder: str) -> list:
    found, todo = [], [folder]
    while todo:
        each = todo.pop()
        found.append(_stat(each))  # a ref is written by a rename, which moves its folder's time
        try:
            with os.scandir(each) as entries:
                todo += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return found


def _stat(path: str) -> tuple | None:
    try:
        st = os.stat(path)
    except OSError:
        return None
    return st.st_mtime_ns, st.st_ctime_ns, st.st_size, st.st_ino


class Reachable:
    """Every document that a repository's objects and git folders hold; iterate for `Document`s, each blob once.

    known: ids of blobs that were looked at before, and grows by those that are given. After iterating, `is_whole` is False
    where history is cut off (shallow, partial): then what lies beyond is unknown. GitError, Unreadable.
    """

    def __init__(self, repo: Repo, known: set[str]):
        self._repo, self._known = repo, known
        self.is_whole = True
        self._attributes: set[str] = set()

    def __iter__(self) -> Iterator[Document]:
        self.is_whole = not _size(f"{self._repo.common_dir}/shallow")
        paths = self._named()
        in_place = self._mentions_in_place()
        yield from self._read({oid: path for oid, path in paths.items() if oid not in self._attributes})
        if in_place:
            # Documents of that layout stand under any name: whatever is small enough is looked at.
            yield from self._read(self._small(self._all_blobs()))
        for git_dir in worktree_git_dirs(self._repo):
            for path in state_files(git_dir):
                data = _read_file(path)
                if data:
                    yield Document(None, None, data)

    def _named(self) -> dict[str, str | None]:
        """{blob id: path} of everything that is, or was, a sidecar by its name; of attributes too."""
        found: dict[str, str | None] = {oid: None for kind, oid in self._named_tips() if kind == "blob"}
        for oid, path in self._rev_list(_SIDECARS, _ATTRIBUTES):
            if path.endswith(".regen.json"):
                found[oid] = path
            elif path == ".gitattributes" or path.endswith("/.gitattributes"):
                found.setdefault(oid, path)
                self._attributes.add(oid)
        for git_dir in worktree_git_dirs(self._repo):
            found.update(self._indexed(git_dir))
        self._attributes -= {oid for oid, path in found.items() if path is None or path.endswith(".regen.json")}
        return found

    def _rev_list(self, *pathspecs: str) -> Iterator[tuple[str, str]]:
        """(id, path) of each object below these, in any commit that anything names. --sparse and --full-history: no commit
        is passed over because another one has the same files.
        """
        options = ("--all", "--reflog", "--objects", "--missing=print", "--full-history", "--sparse", "--stdin")
        tips = dict.fromkeys([*extra_tips(self._repo), *(oid for _, oid in self._named_tips())])
        request = "".join(f"{each}\n" for each in (*tips, *(("--", *pathspecs) if pathspecs else ())))
        for line in _lines(self._repo.git.chunks("--git-dir=.", "rev-list", *options, input=request.encode() or b"\n")):
            if line.startswith(b"?"):
                self.is_whole = False
                continue
            oid, space, path = line.partition(b" ")
            if space and path:
                yield oid.decode(), path.decode("utf-8", "surrogateescape")

    def _named_tips(self) -> Iterator[tuple[str, str]]:
        """(type, id) of what refs and pseudo-refs of each worktree name: rev-list's --all passes over those of the others."""
        names = "".join(f"{name}\n" for name in PSEUDO_REFS).encode()
        for git_dir in worktree_git_dirs(self._repo):
            git = self._repo.git.at(git_dir)
            answers = git.out("--git-dir=.", "cat-file", "--batch-check=%(objecttype) %(objectname)", input=names)
            answers += git.out("--git-dir=.", "for-each-ref", "--format=%(objecttype) %(objectname)")
            for line in answers.decode().splitlines():
                kind, _, oid = line.partition(" ")
                if kind in ("commit", "tag", "tree", "blob"):
                    yield kind, oid

    def _indexed(self, git_dir: str) -> Iterator[tuple[str, str]]:
        """(blob id, path) of the sidecars and attributes in a worktree's index, all stages."""
        listing = self._repo.git.at(git_dir).out("--git-dir=.", "ls-files", "-s", "-t", "-z", "--", _SIDECARS, _ATTRIBUTES)
        for entry in parse_listing(listing, self._repo.oid_format):
            if entry.path.endswith(".regen.json"):
                yield entry.oid, entry.path
            else:
                self._attributes.add(entry.oid)

    def _mentions_in_place(self) -> bool:
        """Whether any attributes, now or ever, in git or beside it, speak of documents under other names."""
        for _, data in iter_blobs(self._repo, sorted(self._attributes)):
            if _IN_PLACE in data:
                return True
        return self._is_set_up_in_place()

    def _is_set_up_in_place(self) -> bool:
        if _IN_PLACE in (_read_file(f"{self._repo.common_dir}/info/attributes") or b""):
            return True
        result = self._repo.git.result("--git-dir=.", "config", "--type=path", "core.attributesFile")
        home = result.stdout.decode("utf-8", "surrogateescape").strip()
        return bool(home) and _IN_PLACE in (_read_file(home) or b"")

    def _all_blobs(self) -> dict[str, str]:
        """{id: a path} of everything in any commit or index, folders too."""
        found = dict(self._rev_list())
        for git_dir in worktree_git_dirs(self._repo):
            listing = self._repo.git.at(git_dir).out("--git-dir=.", "ls-files", "-s", "-t", "-z")
            found.update((entry.oid, entry.path) for entry in parse_listing(listing, self._repo.oid_format))
        return found

    def _small(self, paths: Mapping[str, str]) -> dict[str, str]:
        wanted = [oid for oid in paths if oid not in self._known]
        request = "".join(f"{oid}\n" for oid in wanted).encode()
        found: dict[str, str] = {}
        for line in _lines(self._repo.git.chunks("cat-file", "--batch-check", input=request)) if request else ():
            fields = line.split(b" ")
            if len(fields) == 3 and fields[1] == b"blob" and int(fields[2]) <= _MAX_DOCUMENT:
                oid = fields[0].decode()
                found[oid] = paths[oid]
        return found

    def _read(self, paths: Mapping[str, str | None]) -> Iterator[Document]:
        todo = [oid for oid in paths if oid not in self._known]
        for at in range(0, len(todo), _CHUNK):
            chunk = todo[at : at + _CHUNK]
            seen = 0
            for oid, data in self._blobs(chunk, len(todo)):
                seen += 1
                self._known.add(oid)
                yield Document(paths[oid], oid, data)
            if seen < len(chunk):
                self.is_whole = False  # a partial clone's, or a submodule's

    def _blobs(self, oids: list[str], total: int) -> Iterator[tuple[str, bytes]]:
        if total < BULK_FROM:
            yield from iter_blobs(self._repo, oids)
            return
        from regen_vcs.git.bulk import read_bulk  # loads libgit2: as long as reading thousands of blobs

        found = read_bulk(self._repo, oids)
        yield from found.items()
        yield from iter_blobs(self._repo, [oid for oid in oids if oid not in found])


def sidecars_on_disk(root: str) -> Iterator[Document]:
    """Every sidecar below a folder, tracked or not, of submodules and nested repositories too; no symlink is followed.

    Unreadable where a folder or a file cannot be read.
    """
    todo = [root]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(folder) as entries:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            if folder == root:
                raise Unreadable(f"{root}: is not there") from None
            continue  # gone this moment
        except OSError as error:
            raise Unreadable(f"{folder}: cannot be read: {error.strerror}") from error
        for name, is_folder in found:
            path = f"{folder}/{name}"
            if is_folder:
                if name != ".git":
                    todo.append(path)
            elif name.endswith(".regen.json"):
                data = _read_file(path)
                if data is not None:
                    yield Document(path[len(root) + 1 :], None, data)


def _read_file(path: str) -> bytes | None:
    """A regular file's bytes, the first 16 MiB; None where it is gone or none. Unreadable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if os.path.islink(path):
            return None
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from error
    try:
        parts = []
        while (part := os.read(fd, 1 << 20)) and len(parts) < 16:
            parts.append(part)
        return b"".join(parts)
    except IsADirectoryError:
        return None
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest
