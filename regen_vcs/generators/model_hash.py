"""The hash of a model on this machine: of one file, or of the folder of a whole pipeline (docs/models.md).

Reading only. What was computed once is remembered by `engine/model_files.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from regen_vcs.errors import RegenError
from regen_vcs.model.model_reference import counts_in_directory, directory_hash, new_hasher

_CHUNK = 1 << 22
# A pipeline has some tens of files; whoever points us at a home folder is told so.
MAX_MEMBERS = 10_000

# Called with the bytes read since the last call; may raise to stop.
OnBytes = Callable[[int], None]


def members_of(folder: str) -> list[str]:
    """The files of a model's folder that count, relative and POSIX, sorted. RegenError where none does.

    Links to files are followed (the Hugging Face cache is made of them), links to folders are not.
    """
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = os.path.relpath(here, folder).replace(os.sep, "/")
        prefix = "" if inner == "." else f"{inner}/"
        found += [prefix + name for name in names if counts_in_directory(prefix + name) and os.path.isfile(f"{here}/{name}")]
        if len(found) > MAX_MEMBERS:
            raise RegenError(f"{folder}: more than {MAX_MEMBERS:,} files: not the folder of one model")
    if not found:
        raise RegenError(f"{folder}: no safetensors and no configuration in it")
    return sorted(found)


def hash_file(path: str, algorithm: str, on_bytes: OnBytes = lambda count: None) -> str:
    """Hex digest of a file's bytes. OSError; RegenError where the file changes while it is read."""
    hasher = new_hasher(algorithm)
    with open(path, "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
            on_bytes(len(chunk))
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise RegenError(f"{path}: changed while it was read", "is it still being downloaded? try again then")
    return hasher.hexdigest()


def hash_model(
    path: str, algorithm: str, on_bytes: OnBytes = lambda count: None, *, digest_of: Callable[..., str] = hash_file
) -> str:
    """"sha256:…" of a model: a file's own digest, a folder's derived one. digest_of: as `hash_file`."""
    if not os.path.isdir(path):
        return f"{algorithm}:{digest_of(path, algorithm, on_bytes)}"
    members = {name: digest_of(f"{path}/{name}", algorithm, on_bytes) for name in members_of(path)}
    return directory_hash(members, algorithm)


def model_bytes(path: str) -> int:
    """How many bytes `hash_model` reads."""
    if not os.path.isdir(path):
        return os.stat(path).st_size
    return sum(os.stat(f"{path}/{name}").st_size for name in members_of(path))
