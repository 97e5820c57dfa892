"""From the store into a worktree: reflink → hardlink (if asked for) → copy in the kernel; and the spare pool.

Each file is made under a temporary name in the directory it belongs to and renamed over, so that nobody ever sees
half of one. Hot path.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from regen_vcs.errors import CorruptionError, InvalidError, RegenError, UsageError
from regen_vcs.platform import files
from regen_vcs.platform.files import StatSig, sig
from regen_vcs.platform.tree import ASSET_MODE, Tree
from regen_vcs.stores import digest

COPY, HARDLINK, HARDLINK_EVEN_AS_ROOT = "copy", "hardlink", "hardlink!"
LINK_MODES = (COPY, HARDLINK, HARDLINK_EVEN_AS_ROOT)

_RESERVE = 256 << 10  # bytes that copies leave free in a worktree
# Pairs of devices found unable to share blocks: asked once a process, not once a file.
_cannot_clone: set[tuple[int, int]] = set()
# What says "no hardlink here" (other file system, too many links, not permitted): then it is a copy.
_NO_LINK = frozenset(
    getattr(errno, name)
    for name in ("EXDEV", "EMLINK", "EPERM", "EACCES", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL")
    if hasattr(errno, name)
)
_NO_RENAME = frozenset((errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EBUSY))


def choose_link(wanted: str) -> tuple[str, str | None]:
    """(mode that will be used, one warning to show or None) for the setting `regen.link`. UsageError.

    Read-only hardlinks share their bytes with the store. Root may write through them, and would change the object.
    """
    if wanted not in LINK_MODES:
        raise UsageError(f"regen.link: {wanted!r} is none of {', '.join(LINK_MODES)}")
    if wanted == HARDLINK and _is_root():
        return COPY, (
            "regen.link = hardlink is not used as root, who could write through a link into the store; "
            "copying instead (regen.link = hardlink! insists)"
        )
    return wanted, None


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def place(src_abs: str, tree: Tree, path: str, *, link: str = COPY) -> StatSig:
    """Put an object's bytes at `path`, over what is there; the new file's signature, taken after the rename.

    Mode 0644 and a fresh modification time; a hardlink keeps the object's own (0444, its seal).
    InvalidError for a symlink or file on the way; RegenError for a full or read-only disk.
    """
    try:
        src_fd = os.open(src_abs, files.READ_FLAGS)
    except OSError as error:
        raise RegenError(f"{path}: its object cannot be read: {error.strerror}", "run: regen-vcs fsck") from error
    try:
        return _place_fd(src_fd, src_abs, tree, path, link)
    except OSError as error:
        raise files.write_error(error, f"writing {path}") from error
    finally:
        os.close(src_fd)


def _place_fd(src_fd: int, src_abs: str, tree: Tree, path: str, link: str) -> StatSig:
    st = os.fstat(src_fd)
    devices = (st.st_dev, tree.device)
    if link != COPY and choose_link(link)[0] != COPY:
        placed = None if devices in _cannot_clone else _write(src_fd, st, tree, path, clone_only=True)
        placed = placed or _hardlink(src_abs, tree, path)
        if placed:
            return placed
    return _write(src_fd, st, tree, path)


def _write(src_fd: int, st: os.stat_result, tree: Tree, path: str, clone_only: bool = False) -> StatSig | None:
    """A new file with the object's bytes; with `clone_only` None where the file systems cannot share blocks."""
    directory = path.rpartition("/")[0]
    fd, temp = tree.temp_in(directory)
    try:
        try:
            fd, filled = _fill(src_fd, st, fd, temp, tree, directory, clone_only)
            if not filled:
                tree.discard(temp, directory)
                return None
            if not files.WINDOWS:
                tree.commit(temp, path)
                return _own_sig(fd)
        finally:
            os.close(fd)
        tree.commit(temp, path)  # Windows renames no file that is open
        return sig(tree.stat(path))
    except BaseException:
        tree.discard(temp, directory)
        raise


def _own_sig(fd: int) -> StatSig:
    st = os.fstat(fd)
    if stat.S_IMODE(st.st_mode) != ASSET_MODE:  # a umask other than 022 had its say when it was created
        os.fchmod(fd, ASSET_MODE)
        st = os.fstat(fd)
    return sig(st)


def _fill(
    src_fd: int, st: os.stat_result, fd: int, temp: str, tree: Tree, directory: str, clone_only: bool
) -> tuple[int, bool]:
    """(descriptor, whether it holds the bytes now). On macOS a clone is a new file, so the descriptor may change."""
    devices = (st.st_dev, tree.device)
    if devices not in _cannot_clone:
        if files.MACOS:
            fd, cloned = _clone_anew(src_fd, fd, temp, tree, directory)
        else:
            cloned = files.clone_file(src_fd, fd)
        if cloned:
            return fd, True
        _cannot_clone.add(devices)
    if clone_only:
        return fd, False
    _leave_room(fd, st.st_size)
    if files.copy_range(src_fd, fd, st.st_size) != st.st_size:
        raise CorruptionError("an object ended early while it was copied", "run: regen-vcs fsck")
    return fd, True


def _leave_room(fd: int, size: int) -> None:
    """ENOSPC where a copy would take the last of a disk: git, whose hook this may be, has its HEAD still to write."""
    if hasattr(os, "fstatvfs"):
        disk = os.fstatvfs(fd)
        if disk.f_bavail * disk.f_frsize < size + _RESERVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _clone_anew(src_fd: int, fd: int, temp: str, tree: Tree, directory: str) -> tuple[int, bool]:
    dir_fd = tree.dir_fd(directory)
    os.unlink(temp, dir_fd=dir_fd)
    cloned = files.clone_new(src_fd, dir_fd, temp)
    flags = files.READ_FLAGS if cloned else files.CREATE_FLAGS
    fresh = os.open(temp, flags, ASSET_MODE, dir_fd=dir_fd)
    try:
        if cloned:  # a clone keeps the object's mode and time; an asset has its own
            os.fchmod(fresh, ASSET_MODE)
            os.utime(fresh)
    except BaseException:
        os.close(fresh)
        raise
    os.close(fd)
    return fresh, cloned


def _hardlink(src_abs: str, tree: Tree, path: str) -> StatSig | None:
    directory = path.rpartition("/")[0]
    try:
        temp = tree.link_in(src_abs, directory)
    except OSError as error:
        if error.errno in _NO_LINK:
            return None
        raise
    try:
        tree.commit(temp, path)
    finally:
        # POSIX: a rename between two links to one file does nothing, and leaves both.
        tree.discard(temp, directory)
    return sig(tree.stat(path))


# -- the spare pool --------------------------------------------------------------------------------------------------


class SparePool:
    """Unmodified files that left a worktree, to come back by rename: to and fro between branches costs renames.

    One process at a time (the caller holds the worktree's lock). A file is named `<hash>-<random>`; `index` has a line
    `<name> <size> <mtime_ns> <ctime_ns> <inode>` for each. The index only saves hashing: a file that it does not name,
    or whose stat is not the written one, is hashed before it is used. So a lost or torn index loses nothing.
    A file with other bytes than its name says (somebody still had it open) is set aside as `odd-…`: perhaps the only
    copy of somebody's edit, it goes into a store when the pool is next evicted.
    """

    _INDEX = "index"
    _ODD = "odd-"

    def __init__(self, folder: str, limit_bytes: int):
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._sigs: dict[str, str | None] | None = None  # name → signature as in the index, oldest first
        self._by_hash: dict[str, list[str]] = {}
        self._unsaved: list[str] = []
        self._lines = 0  # in the index on disk

    def load(self) -> None:
        """Read the pool as it is on disk. Called by itself when needed."""
        self._sigs, self._by_hash, self._unsaved = {}, {}, []
        there = {name for name in self._names() if _is_spare_name(name)}
        written = self._read_index(there)
        for name in sorted(there - written.keys()):
            self._remember(name, None)
        for name, known in written.items():
            self._remember(name, known)

    def put(self, tree: Tree, path: str, hash: str, expected: StatSig) -> bool:
        """Move a worktree file, whose signature must be `expected`, into the pool. False: it is still there.

        False also across file systems. The bytes' presence in a store is the caller's business.
        """
        if self.limit_bytes <= 0:
            return False
        self._ensure_loaded()
        before = tree.stat(path)
        if before is None or sig(before) != tuple(expected) or not stat.S_ISREG(before.st_mode):
            return False
        name = f"{hash}-{files.temp_tag()}"
        spare = f"{self.folder}/{name}"
        if not self._move_out(tree, path, spare):
            return False
        after = os.lstat(spare)
        if not _same_content_sig(before, after):  # edited or exchanged in the moment before the rename
            return self._give_back(tree, path, spare)
        known = _sig_text(after)
        self._remember(name, known)
        self._unsaved.append(f"{name} {known}\n")
        return True

    def take(self, hash: str, tree: Tree, path: str) -> StatSig | None:
        """Move a file with these bytes from the pool to `path`, over what is there; its signature, or None."""
        self._ensure_loaded()
        names = self._by_hash.get(hash)
        while names:
            name = names.pop()
            known = self._sigs.pop(name)
            if self._is_sound(name, hash, known):
                try:
                    st = tree.move_in(f"{self.folder}/{name}", path)
                except OSError as error:
                    self._remember(name, known)
                    if error.errno in _NO_RENAME:
                        return None
                    raise
                if st.st_nlink > 1:
                    files.remove_file(f"{self.folder}/{name}")  # a rename between two links to one file leaves both
                return sig(tree.stat(path)) if st.st_nlink > 1 else sig(st)
        return None

    def save(self) -> None:
        """Write down what was put in since; the pool works without, only slower."""
        if self._sigs is None or not self._unsaved:
            return
        try:
            if self._lines + len(self._unsaved) > 2 * len(self._sigs) + 1000:
                self._rewrite_index()
            else:
                self._append_index()
        except OSError:
            pass  # the folder is gone, or the disk full: what is not written down will be hashed again
        self._unsaved = []

    def evict(self, limit_bytes: int, has: Callable[[str], bool], ingest: Callable[[str], object]) -> int:
        """Shrink the pool to a limit, oldest first, and save it; the bytes freed.

        Costs nothing for the pool's own limit if this object has not touched it: who did last has kept to it.
        has(hash): whether a store has it *now*. ingest(path_abs): store a file, raise RegenError if that fails.
        Bytes that no store has go into one first; where that fails the file stays in the pool.
        """
        if self._sigs is None and limit_bytes >= self.limit_bytes:
            return 0
        self._ensure_loaded()
        freed = self._ingest_odd(ingest)
        sizes = {name: self._size(name, known) for name, known in self._sigs.items()}
        excess = sum(sizes.values()) - limit_bytes
        for name in list(self._sigs) if excess > 0 else ():
            if excess <= 0:
                break
            if self._drop(name, has, ingest):
                excess -= sizes[name]
                freed += sizes[name]
        self.save()
        return freed

    def drop(self, hashes: set[str]) -> int:
        """Delete the files with these bytes, which no store need have; save the pool; the bytes freed.

        A file that was edited meanwhile stays: its bytes are others.
        """
        self._ensure_loaded()
        freed = 0
        for name in [each for hash in hashes for each in self._by_hash.get(hash, ())]:
            spare, known = f"{self.folder}/{name}", self._sigs[name]
            try:
                st = os.lstat(spare)
                if known != _sig_text(st) and digest.hash_file(spare)[0] != name[:64]:
                    continue
            except (OSError, InvalidError):
                continue
            if files.remove_file(spare):
                freed += st.st_size
                del self._sigs[name]
                self._by_hash[name[:64]].remove(name)
        if freed:
            try:
                self._rewrite_index()
            except OSError:
                pass  # what it names is not there: passed over
        return freed

    @property
    def total_bytes(self) -> int:
        """The bytes in the pool."""
        self._ensure_loaded()
        return sum(self._size(name, known) for name, known in self._sigs.items())

    def __len__(self) -> int:
        self._ensure_loaded()
        return len(self._sigs)

    # -- moving ----------------------------------------------------------------------------------------------------

    def _move_out(self, tree: Tree, path: str, spare: str) -> bool:
        for attempt in (1, 2):
            try:
                tree.move_out(path, spare)
                return True
            except FileNotFoundError:
                if attempt == 2 or os.path.isdir(self.folder):
                    return False
                os.makedirs(self.folder, exist_ok=True)
            except OSError as error:
                if error.errno in _NO_RENAME:
                    return False
                raise
        return False

    def _give_back(self, tree: Tree, path: str, spare: str) -> bool:
        """Return a file that was edited while it was moved; set it aside if something else is in its place by now."""
        if tree.stat(path) is None:
            tree.move_in(spare, path)
        else:
            self._set_aside(spare)
        return False

    def _set_aside(self, spare: str) -> None:
        files.replace(spare, f"{self.folder}/{self._ODD}{files.temp_tag()}")

    def _is_sound(self, name: str, hash: str, known: str | None) -> bool:
        """Whether a pooled file still has the bytes of its name. One that has not is set aside or forgotten."""
        spare = f"{self.folder}/{name}"
        try:
            st = os.lstat(spare)
            if known == _sig_text(st):
                return True
            if digest.hash_file(spare)[0] == hash and stat.S_IMODE(st.st_mode) in (ASSET_MODE, 0o444):
                return True
            self._set_aside(spare)
        except (OSError, InvalidError):
            pass  # gone, unreadable, or no file: it is of no use
        return False

    # -- eviction --------------------------------------------------------------------------------------------------

    def _drop(self, name: str, has: Callable[[str], bool], ingest: Callable[[str], object]) -> bool:
        spare, known, hash = f"{self.folder}/{name}", self._sigs[name], name[:64]
        try:
            if known != _sig_text(os.lstat(spare)) or not has(hash):
                ingest(spare)  # hashes it itself: whatever its bytes are now, they are in a store then
        except FileNotFoundError:
            pass
        except (RegenError, OSError):
            return False
        else:
            if not files.remove_file(spare) and os.path.lexists(spare):
                return False
        del self._sigs[name]
        self._by_hash[hash].remove(name)
        return True

    def _ingest_odd(self, ingest: Callable[[str], object]) -> int:
        freed = 0
        for name in self._names():
            if name.startswith(self._ODD):
                spare = f"{self.folder}/{name}"
                try:
                    size = os.lstat(spare).st_size
                    ingest(spare)
                    freed += size if files.remove_file(spare) else 0
                except (RegenError, OSError):
                    continue  # it stays until it can be stored
        return freed

    def _size(self, name: str, known: str | None) -> int:
        try:
            return int(known.split(" ", 1)[0]) if known else os.lstat(f"{self.folder}/{name}").st_size
        except (OSError, ValueError):
            return 0

    # -- the index -------------------------------------------------------------------------------------------------

    def _ensure_loaded(self) -> None:
        if self._sigs is None:
            self.load()

    def _remember(self, name: str, known: str | None) -> None:
        self._sigs[name] = known
        self._by_hash.setdefault(name[:64], []).append(name)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _read_index(self, there: set[str]) -> dict[str, str]:
        """{name: signature} of the files that are there. A torn line's signature is nobody's."""
        try:
            with open(f"{self.folder}/{self._INDEX}", encoding="utf-8", errors="replace") as file:
                lines = file.read().split("\n")
        except OSError:
            return {}
        self._lines = len(lines)
        written = {}
        for line in lines:
            name, _, known = line.partition(" ")
            if name in there:
                written[name] = known
        return written

    def _append_index(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | files.O_CLOEXEC
        fd = os.open(f"{self.folder}/{self._INDEX}", flags, 0o644)
        try:
            files.write_all(fd, ("\n" + "".join(self._unsaved)).encode())  # LF first: a torn line ends there
        finally:
            os.close(fd)
        self._lines += len(self._unsaved)

    def _rewrite_index(self) -> None:
        lines = [f"{name} {known}\n" for name, known in self._sigs.items() if known is not None]
        files.write_atomic(f"{self.folder}/{self._INDEX}", "".join(lines).encode())
        self._lines = len(lines)


def _sig_text(st: os.stat_result) -> str:
    return f"{st.st_size} {st.st_mtime_ns} {st.st_ctime_ns} {st.st_ino}"


def _is_spare_name(name: str) -> bool:
    return len(name) > 65 and name[64] == "-" and name[:64].isalnum()


def _same_content_sig(before: os.stat_result, after: os.stat_result) -> bool:
    """Equal but for ctime, which the rename itself moves."""
    return (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)
