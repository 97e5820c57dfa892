"""Look at every byte: hash all objects, quarantine what is wrong, clear away what the dead left behind.

Safe on a store in use: what vanishes while it is looked at is no finding.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from regen_vcs.errors import RegenError
from regen_vcs.platform import files
from regen_vcs.stores import durable
from regen_vcs.stores.objects import LocalStores, ObjectStore
from regen_vcs.stores.results import Results

_THREADS = 2
_AHEAD = 64  # objects handed to the threads before the first answer is waited for

Report = namedtuple(
    "Report",
    (
        "checked",  # objects hashed
        "bytes",  # of them
        "bad",  # [BadObject]: bytes that are not what their name says, quarantined
        "unreadable",  # [(hash, store, reason)]: the disk would not give them; left where they are
        "stray",  # [path]: temporaries of living processes, left alone
        "removed",  # [path]: temporaries of dead ones, removed
        "broken_records",  # [path]: files among the results that are no record; never used, left alone
    ),
)
BadObject = namedtuple("BadObject", ("hash", "store", "size"))  # store: its root; size: bytes found


def fsck(
    stores: LocalStores, results: Results | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Check keep, cache and trash, and the results in keep. progress(objects, bytes) is called as it goes on."""
    checked = size = 0
    bad, unreadable = [], []
    for hash, store, outcome in _check_all(stores.stores + stores.trashes):
        checked += 1
        if isinstance(outcome, str):
            unreadable.append((hash, store.root, outcome))
        elif outcome is not None:
            size += outcome[0]
            if not outcome[1]:
                bad.append(BadObject(hash, store.root, outcome[0]))
        else:
            checked -= 1  # gone meanwhile
        if progress:
            progress(checked, size)
    stray, removed = clear_temps(stores)
    broken = list((results or Results(stores.keep.root)).broken())
    return Report(checked, size, bad, unreadable, stray, removed, broken)


def clear_temps(stores: LocalStores, *, of_records: bool = True) -> tuple[list[str], list[str]]:
    """Remove temporaries whose makers are gone: (those left alone, those removed). of_records: small ones too."""
    stray, removed = [], []
    for path in _all_temps(stores, of_records):
        try:
            st = os.lstat(path)
        except FileNotFoundError:
            continue
        dead = durable.is_dead_temp(os.path.basename(path), st)
        (removed if dead and files.remove_file(path) else stray).append(path)
    return stray, removed


def _all_temps(stores: LocalStores, of_records: bool) -> Iterator[str]:
    for store in stores.stores + stores.trashes:
        yield from store.temps()
    for folder in ("results", "recipes") if of_records else ():
        for where, _, names in os.walk(f"{stores.keep.root}/{folder}"):
            yield from (f"{where}/{name}" for name in names if name.startswith(durable.TEMP_PREFIX))


def _check_all(stores: Iterable[ObjectStore]) -> Iterator[tuple[str, ObjectStore, tuple[int, bool] | str | None]]:
    """(hash, store, outcome) of each object, as `_check` gives it, hashed by a few threads in bounded memory."""
    names = ((hash, store) for store in stores for hash in store)
    with ThreadPoolExecutor(_THREADS) as pool:
        running: dict[Future, tuple[str, ObjectStore]] = {}
        for hash, store in names:
            running[pool.submit(_check, store, hash)] = (hash, store)
            if len(running) >= _AHEAD:
                yield from _collect(running)
        while running:
            yield from _collect(running)


def _collect(running: dict) -> Iterator[tuple]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield (*running.pop(future), future.result())


def _check(store: ObjectStore, hash: str) -> tuple[int, bool] | str | None:
    """(bytes, sound?); a sentence if it cannot be read; None if it is gone."""
    try:
        size = os.lstat(store.path_of(hash)).st_size
        sound = store.examine(hash)
    except FileNotFoundError:
        return None
    except (RegenError, OSError) as error:
        return str(error)
    return None if sound is None else (size, sound)
