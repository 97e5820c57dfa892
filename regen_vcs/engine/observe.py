"""What lies at an asset's path: a file, a directory of files, a numbered sequence, nothing, or something in the way."""

from __future__ import annotations

import os
import stat

from blake3 import blake3

from regen_vcs.engine.memory import Row, is_still, parse_sig, sig_of
from regen_vcs.engine.planner import ABSENT, Observed
from regen_vcs.errors import InvalidError
from regen_vcs.model.manifest import BEGINNING, MAX_BYTES, Member, manifest_bytes, parse_manifest
from regen_vcs.model.paths import SIDECAR_SUFFIX, Sequence, frame_of, frame_path, parse_sequence
from regen_vcs.stores.objects import LocalStores

FOREIGN = Observed("foreign", None, {}, False)
# What desktops and editors leave in folders: never part of a directory asset.
_CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_CHUNK = 1 << 20


def observe(root: str, path: str, row: Row, seen_at_ns: int, stores: LocalStores) -> Observed:
    """What is at `path`, hashing only files whose stat is not the remembered one (or racy)."""
    files = row.files
    if len(files) == 1 and path in files:  # nearly always: one file, as it was
        try:
            if is_still(os.lstat(f"{root}/{path}"), files[path][1], seen_at_ns):
                return Observed("present", row.disk_hash, files, True)
        except OSError:
            pass  # looked at more closely below
    elif files and _unmoved(root, row.files, seen_at_ns) and not _has_strangers(root, path, row.files):
        # `stored` is asked again at the moment something is replaced; here it only tells edited bytes from known.
        return Observed("present", row.disk_hash, row.files, True)
    paths = list_files(root, path)
    if paths is None:
        return FOREIGN
    if not paths:
        return ABSENT
    files = {each: _hash_known(root, each, row.files.get(each), seen_at_ns) for each in paths}
    if any(found is None for found in files.values()):
        return FOREIGN
    whole = hash_of_files(path, files)
    return Observed("present", whole, files, all(stores.has(found[0]) for found in files.values()))


def own_part(path: str, seen: Observed, row: Row, taken: set[str]) -> Observed:
    """What is there of an asset whose sidecar is gone, without the files that are git's or another asset's by now."""
    files = {each: found for each, found in seen.files.items() if each not in taken}
    if len(files) == len(seen.files):
        return seen
    if not files:
        return ABSENT
    unmodified = all(row.files.get(each, (None,))[0] == found[0] for each, found in files.items())
    whole = row.accepted if unmodified and row.accepted == row.disk_hash else hash_of_files(path, files)
    return Observed("present", whole, files, seen.stored)


def list_files(root: str, path: str) -> list[str] | None:
    """The asset's files that exist, as repo paths, sorted; [] for none; None where something else is in the way."""
    sequence = parse_sequence(path)
    if sequence:
        return _list_frames(root, sequence)
    if _behind_symlink(root, path):
        return None
    try:
        mode = os.lstat(f"{root}/{path}").st_mode
    except (FileNotFoundError, NotADirectoryError):
        return []
    if stat.S_ISREG(mode):
        return [path]
    return _list_directory(root, path) if stat.S_ISDIR(mode) else None


def _behind_symlink(root: str, path: str) -> bool:
    folder = path.rpartition("/")[0]
    while folder:
        if os.path.islink(f"{root}/{folder}"):
            return True
        folder = folder.rpartition("/")[0]
    return False


def _list_frames(root: str, sequence: Sequence) -> list[str] | None:
    folder = sequence.directory
    if folder and _behind_symlink(root, folder + "/x"):
        return None
    try:
        names = os.listdir(f"{root}/{folder}" if folder else root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [name for name in sorted(names) if frame_of(sequence, name) is not None]
    return [f"{folder}/{name}" if folder else name for name in found]


def _list_directory(root: str, path: str) -> list[str] | None:
    found: list[str] = []
    folders = [path]
    while folders:
        folder = folders.pop()
        with os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                each = f"{folder}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(each)
                elif not entry.is_file(follow_symlinks=False):
                    return None
                elif entry.name not in _CLUTTER and not entry.name.endswith(SIDECAR_SUFFIX):
                    found.append(each)
    return sorted(found)


def _unmoved(root: str, files: dict[str, list], seen_at_ns: int) -> bool:
    for path, (_, sig) in files.items():
        try:
            st = os.lstat(f"{root}/{path}")
        except OSError:
            return False
        if not is_still(st, sig, seen_at_ns):
            return False
    return True


def _has_strangers(root: str, path: str, files: dict[str, list]) -> bool:
    """Whether a directory or sequence holds files that were not there at the last look."""
    return list_files(root, path) != sorted(files)


def _hash_known(root: str, path: str, known: list | None, seen_at_ns: int) -> list | None:
    try:
        before = os.lstat(f"{root}/{path}")
        if known and is_still(before, known[1], seen_at_ns):
            return known
        return [hash_file(f"{root}/{path}"), sig_of(before)]
    except OSError:
        return None


def hash_file(path_abs: str) -> str:
    """BLAKE3 of a regular file, in constant memory; symlinks are not followed."""
    fd = os.open(path_abs, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    hasher = blake3()
    try:
        while chunk := os.read(fd, _CHUNK):
            hasher.update(chunk)
    finally:
        os.close(fd)
    return hasher.hexdigest()


def hash_of_files(path: str, files: dict[str, list]) -> str:
    """The hash of an asset: of its one file, or of the manifest of several."""
    if len(files) == 1 and path in files:
        return files[path][0]
    return blake3(manifest_of(path, files)).hexdigest()


def manifest_of(path: str, files: dict[str, list]) -> bytes:
    return manifest_bytes(Member(member_name(path, each), found[0], parse_sig(found[1]).size) for each, found in files.items())


def size_of_files(files: dict[str, list]) -> int:
    """Bytes of all of an asset's files together."""
    return sum(parse_sig(found[1]).size for found in files.values())


def read_manifest(stores: LocalStores, whole_hash: str) -> tuple[Member, ...]:
    """The files of a directory or sequence in the stores. InvalidError for an object that is no manifest, found out
    without reading all of it: a sidecar may claim anything of a film of 50 GB.
    """
    source = stores.find(whole_hash)
    if source is not None:
        with open(source, "rb") as file:
            if file.read(len(BEGINNING)) != BEGINNING or os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise InvalidError(f"object {whole_hash[:12]}… is not a manifest of a directory or sequence")
    return parse_manifest(stores.read_bytes(whole_hash))


def member_name(path: str, file_path: str) -> str:
    """A file's name inside the asset's manifest: relative to the directory; of a frame its number and suffix.

    So a sequence keeps its hash when it is renamed or padded otherwise.
    """
    sequence = parse_sequence(path)
    if sequence:
        return f"{frame_number(sequence, file_path)}{sequence.suffix}"
    return file_path[len(path) + 1 :]


def frame_number(sequence: Sequence, file_path: str) -> int:
    name = file_path.rpartition("/")[2]
    return int(name[len(sequence.prefix) : len(name) - len(sequence.suffix)])


def member_path(path: str, name: str) -> str:
    """The inverse of `member_name`."""
    sequence = parse_sequence(path)
    if not sequence:
        return f"{path}/{name}"
    digits = name.removesuffix(sequence.suffix)
    if not (digits.isascii() and digits.isdigit()) or digits != str(int(digits)):  # one name for each frame
        raise InvalidError(f"{path}: its manifest names {name!r}, which is no frame of it")
    return frame_path(sequence, int(digits))
