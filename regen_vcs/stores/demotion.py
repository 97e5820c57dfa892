"""Many objects from keep into cache at once, at the price of one flush a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from regen_vcs.platform import files
from regen_vcs.stores import durable
from regen_vcs.stores.objects import LocalStores


def demote_all(stores: LocalStores, hashes: Iterable[str]) -> int:
    """`LocalStores.demote` of each; how many are in cache now. RegenError.

    A rename is not flushed by itself: after a power cut an object is in keep or in cache, and either is found.
    """
    keep, cache = stores.keep, stores.cache
    touched: set[str] = set()
    moved = 0
    for hash in hashes:
        if not keep.has(hash):
            continue
        source, final = keep.path_of(hash), cache.path_of(hash)
        if cache.has(hash):
            keep.remove(hash)
        else:
            try:
                cache.tag()
                durable.make_folder(os.path.dirname(final))
                files.replace(source, final)
                touched |= {os.path.dirname(source), os.path.dirname(final)}
            except FileNotFoundError:
                continue  # another process moved it
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise files.write_error(error, f"moving an object into {cache.root}") from error
                stores.demote(hash)
        moved += 1
    for folder in sorted(touched):
        files.fsync_dir(folder)
    return moved
