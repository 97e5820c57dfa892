"""What the stores hold: names, sizes and ages, no bytes."""

from __future__ import annotations

import os
import stat
from collections import namedtuple
from collections.abc import Iterator

from regen_vcs.platform.files import write_error
from regen_vcs.stores.objects import LocalStores, ObjectStore

_HEX = frozenset("0123456789abcdef")

# size: bytes on this disk. born: seconds since 1970 when its file came to be where it is. in_keep: in keep, else in cache.
Held = namedtuple("Held", ("size", "born", "in_keep"))


def list_objects(stores: LocalStores) -> dict[str, Held]:
    """{hash: Held} of all that keep and cache hold. What has no hash for a name, or is no regular file, is none of ours.

    RegenError where a folder cannot be read.
    """
    found: dict[str, Held] = {}
    for store in stores.stores:
        for hash, st in _regular_files(store):
            other = found.get(hash)
            size = st.st_size + (other.size if other else 0)
            born = max(st.st_ctime, other.born if other else 0.0)
            found[hash] = Held(size, born, store is stores.keep or bool(other and other.in_keep))
    return found


def _regular_files(store: ObjectStore) -> Iterator[tuple[str, os.stat_result]]:
    for shard in _scan(f"{store.root}/objects"):
        if len(shard.name) != 2 or not _HEX.issuperset(shard.name):
            continue
        for entry in _scan(shard.path):
            if len(entry.name) == 62 and _HEX.issuperset(entry.name):
                try:
                    st = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # moved this moment
                if stat.S_ISREG(st.st_mode):
                    yield shard.name + entry.name, st


def _scan(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise write_error(error, f"reading {folder}") from error
