"""Which of many objects a remote has: asked one by one in threads, or by its listing where that is less to ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from regen_vcs.engine.known_remotely import KnownRemotely
from regen_vcs.engine.threading_over import THREADS, over
from regen_vcs.errors import RegenError
from regen_vcs.remote.base import RemoteStore
from regen_vcs.remote.bucket import Unlistable

_FEW = 4 * THREADS  # asked for one by one in any case
_NAMES_A_PAGE = 1000  # of a listing: one request, and each after the other


def find_held(
    store: RemoteStore, hashes: Iterable[str], known: KnownRemotely, *, progress: Callable[[int, int], None] | None = None,
    seconds: float | None = None,
) -> set[str]:
    """Those of these objects that the remote says it has. What was learnt is noted. progress(asked, of how many).

    seconds: for so long it is asked; what is still unknown then is taken for held, by whoever can bear that it is not.
    Unreachable, Refused.
    """
    wanted = dict.fromkeys(hashes)
    until = None if seconds is None else time.monotonic() + seconds
    listed = _list(store, len(wanted), until) if len(wanted) > _FEW and not is_folder(store) else None
    answers = _ask(store, list(wanted), progress, until) if listed is None else {hash: hash in listed for hash in wanted}
    for hash, is_held in answers.items():
        (known.note_held if is_held else known.note_absent)(hash)
    return {hash for hash in wanted if answers.get(hash, True)}


def is_folder(store: RemoteStore) -> bool:
    """Whether asking is one look at a disk, so that nothing is gained by a listing."""
    return "://" not in store.remote.url or store.remote.url.startswith(("file:", "memory:"))


def _list(store: RemoteStore, count: int, until: float | None) -> set[str] | None:
    """Everything the remote has; None where it has so much, or is so little able to tell, that asking is quicker."""
    most = _NAMES_A_PAGE * max(1, count // THREADS)
    listed: set[str] = set()
    try:
        for held in store.list_objects():
            listed.add(held.hash)
            if len(listed) > most or (until is not None and time.monotonic() > until):
                return None
    except Unlistable:
        return None
    return listed


def _ask(
    store: RemoteStore, wanted: list[str], progress: Callable[[int, int], None] | None, until: float | None
) -> dict[str, bool]:
    """{hash: whether it is there} of as many as were asked about in time."""
    if len(wanted) == 1:
        return {hash: store.has(hash) for hash in wanted}
    answers: dict[str, bool] = {}
    threads = min(THREADS, len(wanted)) or 1
    for asked, (hash, answer, error) in enumerate(over(store.has, wanted, threads=threads)):
        if error is not None:
            raise error if isinstance(error, RegenError) else RegenError(str(error))
        answers[hash] = answer
        if progress and not asked % 64:
            progress(asked, len(wanted))
        if until is not None and time.monotonic() > until:
            break
    return answers
