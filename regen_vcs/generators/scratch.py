"""The scratch folder a job runs in, and what is taken out of it.

    <parent>/job-XXXX.lock   held while the job's process lives
    <parent>/job-XXXX/       0700
      inputs/<role>/<name>     copies, checked against the recipe's hashes
      code/…                   the trusted scripts
      output/<name>            where the generator writes
      home/                    HOME and TMPDIR of whatever it starts
"""

from __future__ import annotations

import os
import shutil
import stat

from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError
from regen_vcs.generators.base import JobFailed
from regen_vcs.model.paths import check_member_name, frame_of, parse_sequence
from regen_vcs.platform.files import FileLock, clone_file, copy_range, remove_file, temp_tag

_CHUNK = 1 << 20
_LOCK = ".lock"


class Scratch:
    """A private folder, removed at the end whatever a generator left in it."""

    def __init__(self, parent: str):
        self._parent = parent
        self._lock: FileLock | None = None
        self.root = ""

    def __enter__(self) -> Scratch:
        os.makedirs(self._parent, mode=0o700, exist_ok=True)
        _sweep(self._parent)
        self._lock = _new_lock(self._parent)
        self.root = self._lock.path.removesuffix(_LOCK)
        os.mkdir(self.root, 0o700)
        for name in ("inputs", "code", "output", "home"):
            os.mkdir(os.path.join(self.root, name))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root, onerror=_make_removable)
        remove_file(self._lock.path)
        self._lock.release()

    # -- putting in ----------------------------------------------------------------------------------------------

    def input_path(self, role: str, name: str) -> str:
        """Absolute path of an input's copy; its folder is made."""
        try:
            path = self._below("inputs", f"{role}/{name}")
        except InvalidError:
            # A file git tracks may have a name no asset may have (regen.toml, .gitignore): its suffix is what counts.
            path = self._below("inputs", f"{role}/input{os.path.splitext(name)[1]}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def add_input(self, role: str, name: str, data: bytes, expect: str) -> str:
        """Write an input; CorruptionError unless its hash is `expect`."""
        if blake3(data).hexdigest() != expect:
            raise CorruptionError(f"input {role}: its bytes are not those the recipe was keyed with")
        path = self.input_path(role, name)
        _write_new(path, data)
        return path

    def copy_input(self, role: str, name: str, source: str, expect: str) -> str:
        """Copy an input from an object or file; what was copied is hashed. CorruptionError unless it is `expect`."""
        path = self.input_path(role, name)
        with open(source, "rb", buffering=0) as reading, open(path, "xb+", buffering=0) as writing:
            if not clone_file(reading.fileno(), writing.fileno()):
                copy_range(reading.fileno(), writing.fileno(), os.fstat(reading.fileno()).st_size)
            writing.seek(0)
            hasher = blake3()
            while chunk := writing.read(_CHUNK):
                hasher.update(chunk)
        if hasher.hexdigest() != expect:
            raise CorruptionError(f"input {role}: its bytes are not those the recipe was keyed with")
        return path

    def add_code(self, name: str, data: bytes) -> str:
        path = self._below("code", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write_new(path, data)
        return path

    def output_path(self, asset_path: str) -> str:
        """Where the generator writes: the asset's own name, in a folder of its own."""
        return os.path.join(self.root, "output", asset_path.rpartition("/")[2])

    def _below(self, folder: str, name: str) -> str:
        check_member_name(name)
        return os.path.join(self.root, folder, *name.split("/"))


def _new_lock(parent: str) -> FileLock:
    """The lock that says its job's process lives; beside the folder, where no generator takes it away."""
    while True:
        lock = FileLock(os.path.join(parent, f"job-{temp_tag()}{_LOCK}"))
        if lock.acquire(timeout=0) and os.path.exists(lock.path):  # else a sweep was quicker
            return lock
        lock.release()


def _sweep(parent: str) -> None:
    """Remove the folders of jobs whose processes died before they could."""
    for name in os.listdir(parent):
        lock = FileLock(os.path.join(parent, name))
        if name.endswith(_LOCK) and lock.acquire(timeout=0):
            shutil.rmtree(lock.path.removesuffix(_LOCK), onerror=_make_removable)
            remove_file(lock.path)
            lock.release()


def _write_new(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


def _make_removable(function, path, _error) -> None:
    """A generator may leave read-only folders behind. Never through a link: its target is not ours to change."""
    try:
        os.chmod(os.path.dirname(path), 0o700)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.chmod(path, 0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    except OSError:
        pass  # what cannot be removed stays in the cache folder, which cleaners empty


# -- taking out ------------------------------------------------------------------------------------------------------


def collect_output(scratch: Scratch, asset_path: str) -> list[tuple[str, str, int]]:
    """(name, absolute path, size) of each file a generator made; the name of a single file is "".

    Regular files only. JobFailed for nothing, an empty file, links, devices, and names no asset may have.
    """
    target = scratch.output_path(asset_path)
    # A generator may have put a link in the folder's place, to have something else of ours picked up.
    if not _is_folder(scratch.root) or not _is_folder(os.path.dirname(target)):
        raise JobFailed("it replaced its output folder")
    if parse_sequence(asset_path):
        return _collect_frames(os.path.dirname(target), asset_path)
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        raise JobFailed("it ended well but wrote no output") from None
    if stat.S_ISDIR(mode):
        return _collect_directory(target)
    return [("", target, _checked_size(target, ""))]


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _collect_frames(folder: str, asset_path: str) -> list[tuple[str, str, int]]:
    sequence = parse_sequence(asset_path)
    found = []
    for name in sorted(os.listdir(folder)):
        if frame_of(sequence, name) is None:
            raise JobFailed(f"it wrote {name!r}, which is no frame of {os.path.basename(asset_path)}")
        path = os.path.join(folder, name)
        found.append((name, path, _checked_size(path, name)))
    if not found:
        raise JobFailed("it ended well but wrote no frames")
    return found


def _collect_directory(target: str) -> list[tuple[str, str, int]]:
    found = []
    for folder, folders, names in os.walk(target):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, target).replace(os.sep, "/")
            try:
                check_member_name(relative)
            except InvalidError as error:
                raise JobFailed(f"it wrote a name that no asset may have: {error.what}") from None
            if name in names or os.path.islink(path):
                found.append((relative, path, _checked_size(path, relative, empty_ok=True)))
    if not found:
        raise JobFailed("it ended well but left an empty folder")
    return sorted(found)


def _checked_size(path: str, name: str, *, empty_ok: bool = False) -> int:
    st = os.lstat(path)
    label = repr(name) if name else "its output"
    if not stat.S_ISREG(st.st_mode):
        raise JobFailed(f"{label} is a link or a device, not a file")
    if st.st_nlink > 1:
        raise JobFailed(f"{label} is a hardlink to something else")
    if st.st_size == 0 and not empty_ok:
        raise JobFailed(f"{label} is empty")
    return st.st_size
