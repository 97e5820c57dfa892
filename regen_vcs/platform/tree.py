"""A worktree seen through directory descriptors: no symlink on the way is ever followed.

Git lets anybody commit `textures -> /home/you`; a tool that then writes `textures/sky.png` by its path writes
outside the repository. So every component is opened by itself, relative to the one before, with O_NOFOLLOW.

Hot path. Paths are POSIX, relative to the root. Windows has no directory descriptors: there each component is
looked at (symlinks and junctions are refused) and the operation then goes by the whole path.
"""

from __future__ import annotations

import errno
import os
import stat

from regen_vcs.errors import InvalidError
from regen_vcs.platform import files
from regen_vcs.platform.files import CREATE_FLAGS, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, READ_FLAGS

# Names our own half-written files in a worktree bear until they are renamed; `.gitignore` names them too.
TEMP_PREFIX = ".regen-tmp-"
ASSET_MODE = 0o644

_BY_DESCRIPTOR = os.open in os.supports_dir_fd and O_DIRECTORY != 0
_DIR_FLAGS = os.O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
_NAME_SURROGATE = 0x20000000  # winnt.h: a reparse tag that stands for another name (symlink, junction)


def _looking_again(operation):
    """Have an operation done once more if the directory it used is gone: it may have been made anew under that name.

    A directory that was removed while it was open answers ENOENT to everything. Asking it beforehand, every time,
    would cost a checkout as much as one more stat a step.
    """

    def done(tree, path, *arguments):
        try:
            return operation(tree, path, *arguments)
        except FileNotFoundError:
            if not tree.was_removed():
                raise
        return operation(tree, path, *arguments)

    done.__name__, done.__doc__ = operation.__name__, operation.__doc__
    return done


class Tree:
    """The files below `root_abs`. It keeps one directory open, the last one used; `close()` lets it go.

    Errors: InvalidError for names that could leave the tree and for symlinks or files where a directory must be;
    FileNotFoundError where a directory is missing and `create` was not asked for.
    """

    def __init__(self, root_abs: str, *, by_descriptor: bool = _BY_DESCRIPTOR):
        self.root = root_abs
        self.by_descriptor = by_descriptor
        self._root_fd: int | None = None
        self._device: int | None = None
        self._last: tuple[str, int] | None = None

    @property
    def device(self) -> int:
        """st_dev of the root."""
        if self._device is None:
            self._device = os.stat(self.root).st_dev
        return self._device

    # -- directories ---------------------------------------------------------------------------------------------

    def dir_fd(self, directory: str, *, create: bool = False) -> int:
        """A descriptor of a directory ("" is the root). It belongs to the tree: valid until the next call."""
        self.was_removed()
        return self._dir_fd(directory, create)

    def was_removed(self) -> bool:
        """Whether the directory used last has been removed since; then it is looked for again."""
        if self._last is None or os.fstat(self._last[1]).st_nlink:
            return False
        self._forget()
        return True

    def _dir_fd(self, directory: str, create: bool) -> int:
        if self._last is not None:
            if self._last[0] == directory:
                return self._last[1]
            self._forget()
        if self._root_fd is None:
            self._root_fd = os.open(self.root, os.O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if not directory:
            return self._root_fd
        fd = self._walk(directory, create)
        self._last = (directory, fd)
        return fd

    def _walk(self, directory: str, create: bool) -> int:
        names = directory.split("/")
        for name in names:  # all of them before the first is opened or made
            _check_name(name, directory)
        fd = self._root_fd
        try:
            for name in names:
                above, fd = fd, self._step(fd, name, directory, create)
                if above != self._root_fd:
                    os.close(above)  # no longer `fd`: a ^C that comes in between must find nothing to close twice
        except BaseException:
            if fd != self._root_fd:
                os.close(fd)
            raise
        return fd

    def _step(self, fd: int, name: str, directory: str, create: bool) -> int:
        try:
            return os.open(name, _DIR_FLAGS, dir_fd=fd)
        except FileNotFoundError:
            if not create:
                raise
        except OSError as error:
            raise _explain(error, name, fd, directory) from error
        try:
            os.mkdir(name, dir_fd=fd)
        except FileExistsError:
            pass  # another process was quicker
        try:
            return os.open(name, _DIR_FLAGS, dir_fd=fd)
        except OSError as error:
            raise _explain(error, name, fd, directory) from error

    def _locate(self, path: str, *, create: bool = False) -> tuple[str, int | None]:
        """(name, dir_fd) for the calls of `os`; (absolute path, None) where there are no descriptors."""
        directory, _, name = path.rpartition("/")
        _check_name(name, path)
        if self.by_descriptor:
            return name, self._dir_fd(directory, create)
        return f"{self._check_by_path(directory, create)}/{name}", None

    def _check_by_path(self, directory: str, create: bool) -> str:
        names = directory.split("/") if directory else []
        for name in names:
            _check_name(name, directory)
        at = self.root
        for name in names:
            at = f"{at}/{name}"
            try:
                st = os.lstat(at)
            except FileNotFoundError:
                if not create:
                    raise
                os.makedirs(at, exist_ok=True)
                st = os.lstat(at)
            if stat.S_ISLNK(st.st_mode) or getattr(st, "st_reparse_tag", 0) & _NAME_SURROGATE:
                raise _symlink(directory, name)
            if not stat.S_ISDIR(st.st_mode):
                raise _not_a_directory(directory, name)
        return at

    def remove_empty_dirs(self, directory: str) -> None:
        """Remove a directory if it is empty, then its parents as far as they are; never the root."""
        self.was_removed()
        while directory:
            try:
                name, fd = self._locate(directory)
                os.rmdir(name, dir_fd=fd)
            except FileNotFoundError:
                pass  # gone already: its parents may be empty all the same
            except (OSError, InvalidError):
                return  # not empty, not a directory, or not ours to touch
            directory = directory.rpartition("/")[0]

    # -- files ---------------------------------------------------------------------------------------------------

    def stat(self, path: str) -> os.stat_result | None:
        """lstat; None where nothing is, or where a parent is missing or no directory."""
        try:
            return self._stat(path)
        except (FileNotFoundError, NotADirectoryError, _FileInTheWay):
            return None

    @_looking_again
    def _stat(self, path: str) -> os.stat_result:
        name, fd = self._locate(path)
        return os.stat(name, dir_fd=fd, follow_symlinks=False)

    @_looking_again
    def open_read(self, path: str) -> int:
        """A descriptor to read a regular file; the caller closes it. InvalidError for anything else."""
        name, dir_fd = self._locate(path)
        try:
            fd = os.open(name, READ_FLAGS, dir_fd=dir_fd)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK: FreeBSD's word for it
                raise InvalidError(f"{path}: is a symlink") from error
            raise
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise InvalidError(f"{path}: not a regular file")
        return fd

    def unlink(self, path: str) -> None:
        """Remove a file (a symlink itself, never its target); nothing happens if there is none."""
        try:
            self._unlink(path)
        except (FileNotFoundError, _FileInTheWay):
            return

    @_looking_again
    def _unlink(self, path: str) -> None:
        name, fd = self._locate(path)
        os.unlink(name, dir_fd=fd)

    @_looking_again
    def temp_in(self, directory: str) -> tuple[int, str]:
        """A new empty file, mode 0644, in a directory that is made if missing: (descriptor, name)."""
        temp = TEMP_PREFIX + files.temp_tag()
        name, dir_fd = self._locate(f"{directory}/{temp}" if directory else temp, create=True)
        fd = os.open(name, CREATE_FLAGS, ASSET_MODE, dir_fd=dir_fd)
        return fd, temp

    def commit(self, temp_name: str, path: str) -> None:
        """Rename a temporary file of the same directory over `path`."""
        name, fd = self._locate(path)
        source = temp_name if self.by_descriptor else f"{os.path.dirname(name)}/{temp_name}"
        try:
            files.replace(source, name, src_dir_fd=fd, dst_dir_fd=fd)
        except IsADirectoryError as error:
            raise _directory_in_the_way(path) from error

    def discard(self, temp_name: str, directory: str) -> None:
        """Remove a temporary file that will not be needed; never fails."""
        try:
            self.unlink(f"{directory}/{temp_name}" if directory else temp_name)
        except (OSError, InvalidError):
            pass

    def sweep_temps(self, directory: str) -> None:
        """Remove the temporary files that dead processes left in a directory; never fails."""
        try:
            names = self._list(directory)
        except (OSError, InvalidError):
            return
        for name in names:
            if name.startswith(TEMP_PREFIX):
                st = self.stat(f"{directory}/{name}" if directory else name)
                if st is not None and files.is_dead_tag(name[len(TEMP_PREFIX) :], st.st_mtime):
                    self.discard(name, directory)

    def _list(self, directory: str) -> list[str]:
        if self.by_descriptor:
            return os.listdir(self.dir_fd(directory))
        return os.listdir(self._check_by_path(directory, create=False))

    def link_in(self, src_abs: str, directory: str) -> str:
        """Hardlink a file under a new temporary name in a directory; the name. OSError where links cannot be."""
        return self._link_in(directory, src_abs)

    @_looking_again
    def _link_in(self, directory: str, src_abs: str) -> str:
        temp = TEMP_PREFIX + files.temp_tag()
        name, dir_fd = self._locate(f"{directory}/{temp}" if directory else temp, create=True)
        os.link(src_abs, name, dst_dir_fd=dir_fd, follow_symlinks=False)
        return temp

    @_looking_again
    def move_out(self, path: str, dst_abs: str) -> None:
        """Rename a file of the tree to an absolute path of the same file system. OSError (EXDEV: another one)."""
        name, fd = self._locate(path)
        files.replace(name, dst_abs, src_dir_fd=fd)

    def move_in(self, src_abs: str, path: str) -> os.stat_result:
        """Rename a file from outside over `path`, making its directory; its stat afterwards."""
        return self._move_in(path, src_abs)

    @_looking_again
    def _move_in(self, path: str, src_abs: str) -> os.stat_result:
        name, fd = self._locate(path, create=True)
        try:
            files.replace(src_abs, name, dst_dir_fd=fd)
        except IsADirectoryError as error:
            raise _directory_in_the_way(path) from error
        return os.stat(name, dir_fd=fd, follow_symlinks=False)

    # -- the end -------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        if self._last is not None:
            last, self._last = self._last, None
            os.close(last[1])

    def close(self) -> None:
        """Close what is open. The tree can be used again afterwards."""
        self._forget()
        if self._root_fd is not None:
            root_fd, self._root_fd = self._root_fd, None
            os.close(root_fd)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _FileInTheWay(InvalidError):
    """A file where a directory must be: for a reader that means "not there", for a writer it is an error."""


def _check_name(name: str, path: str) -> None:
    if name in ("", ".", "..") or "\0" in name or "\\" in name or "/" in name:
        raise InvalidError(f"{path!r}: not a path inside the worktree")


def _explain(error: OSError, name: str, fd: int, directory: str) -> Exception:
    """Why a component could not be opened as a directory: systems say ENOTDIR or ELOOP for a symlink."""
    if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.EMLINK):
        return error
    try:
        mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except OSError:
        return error
    return _symlink(directory, name) if stat.S_ISLNK(mode) else _not_a_directory(directory, name)


def _symlink(directory: str, name: str) -> InvalidError:
    return InvalidError(f"{directory}: {name} is a symlink; assets are not written through symlinks")


def _not_a_directory(directory: str, name: str) -> InvalidError:
    return _FileInTheWay(f"{directory}: {name} is a file where a directory must be", "move that file away")


def _directory_in_the_way(path: str) -> InvalidError:
    return InvalidError(f"{path}: a directory is in the way", "move that directory away")
