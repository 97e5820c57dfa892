"""Spending a plan: in short turns while nobody relies on the store, and after another look wherever something has changed.

A turn takes the store's lock alone for a fraction of a second. What writers have noted since gc began, what leases name, and what
git has changed is marked first; what is needed by now stays. Any moment is a good one to die: an object is in its store or in
the trash, and whatever is in the trash and needed is moved back by the next gc.
"""

from __future__ import annotations

import time
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.engine.gc.planning import COMES_BACK, LOG, NEVER_ACCEPTED, Item, Plan, Survey
from regen_vcs.errors import RegenError
from regen_vcs.platform import files
from regen_vcs.stores.reliance import Gate
from regen_vcs.stores.trash import Discarded, Trash

_TURN = 0.05  # seconds
_PATIENCE = 60.0  # seconds to wait for writers, before each turn
_LOOKS = 20  # in a row that found a repository changed, before the rest is left for another time

# swept, emptied, restored, evicted: [Item]. spared: [Item] that somebody came to need meanwhile. freed: bytes of disk.
# spares: bytes of spare files. failed: {hash: RegenError}. notes: lines for the user.
Outcome = namedtuple("Outcome", ("swept", "emptied", "restored", "evicted", "spared", "freed", "spares", "failed", "notes"))


class Sweeper:
    """Spends plans of one survey, under its gate."""

    def __init__(self, survey: Survey, gate: Gate, progress: Callable[[int, int], None] | None = None):
        self._survey, self._gate = survey, gate
        self._trash = Trash(survey.stores)
        self._progress = progress or (lambda *_: None)
        self._done = 0
        self._total = 0
        self.outcome = Outcome([], [], [], [], [], [0], [0], {}, [])

    def spend(self, plan: Plan, *, drop_spares: Callable[[set[str]], int] | None = None, at_once: bool = False) -> None:
        """Do what the plan says. at_once: what is swept does not stay in the trash. RegenError where nothing can be done.

        drop_spares(hashes): remove spare copies of these, which would bring back what has gone; the bytes freed.
        """
        out = self.outcome
        self._total = len(plan.restore) + len(plan.sweep) * (1 + at_once) + len(plan.empty) + len(plan.evict)
        self._take(plan.restore, self._trash.take_back, out.restored, of_needed=True)
        now = self._survey.policy.now
        self._trash.announce(Discarded(item.hash, item.size, now, item.why) for item in (*plan.sweep, *plan.evict))
        self._take(plan.sweep, self._trash.put, out.swept)
        due = [*plan.empty, *(out.swept if at_once else ())]
        if drop_spares is not None and due:
            out.spares[0] += drop_spares({item.hash for item in due if item.hash not in self._survey.marks.needed})
        self._take(due, self._remove, out.emptied)
        self._take(plan.evict, self._evict, out.evicted, of_needed=True)

    def discard(self, items: Iterable[Item]) -> None:
        """Move these to the trash, whatever may bring them back, unless somebody needs them by now."""
        items = list(items)
        self._trash.announce(Discarded(item.hash, item.size, self._survey.policy.now, item.why) for item in items)
        self._take(items, self._trash.put, self.outcome.swept)

    # -- turns ---------------------------------------------------------------------------------------------------------

    def _take(self, items: Iterable[Item], act: Callable[[str], object], done: list[Item], *, of_needed: bool = False) -> None:
        """Act on each, in the order of their hashes: a shard after the other. of_needed: also on what is needed."""
        pending = sorted(items, key=lambda item: item.hash, reverse=True)
        looks = 0
        while pending:
            with self._gate.closed(_PATIENCE) as relied:
                changed = self._has_changed()
                if not changed:
                    looks = 0
                    self._survey.marks.mark((), relied)
                    self._turn(pending, act, done, relied if of_needed else self._survey.marks.needed)
            if changed:
                looks += 1
                if looks > _LOOKS:
                    self.outcome.notes.append(f"repositories change all the time: {len(pending)} objects are left for the next gc")
                    return
                pending = self._look_again(pending)

    def _turn(self, pending: list[Item], act: Callable[[str], object], done: list[Item], untouchable: set[str]) -> None:
        end = time.monotonic() + _TURN
        while pending and time.monotonic() < end:
            item = pending.pop()
            self._done += 1
            if item.hash in untouchable:
                self.outcome.spared.append(item)
                continue
            try:
                if act(item.hash):
                    done.append(item)
            except RegenError as error:
                self.outcome.failed[item.hash] = error
        self._progress(self._done, self._total)

    def _has_changed(self) -> bool:
        return any(seen.looked is not None and seen.looked.has_changed() for seen in self._survey.census.seen)

    def _look_again(self, pending: list[Item]) -> list[Item]:
        """What of these may still go after another look at the repositories."""
        census = self._survey.census
        census.look_again()
        self._survey.mark_census()
        if census.unknown:
            raise RegenError("a repository came to use this store that cannot be read: nothing more is swept", "run: regen-vcs gc")
        if not census.is_sure:
            pending = [item for item in pending if item.why not in (NEVER_ACCEPTED, LOG)]
        return pending

    # -- acts ----------------------------------------------------------------------------------------------------------

    def _remove(self, hash: str) -> bool:
        freed = self._trash.remove(hash)
        self.outcome.freed[0] += freed
        return True

    def _evict(self, hash: str) -> bool:
        """By way of the trash, so that a death in between is a trash with something in it."""
        return self._trash.put(hash) and self._remove(hash)


def remove_leftovers(survey: Survey) -> None:
    """Write down what the next gc has to know. RegenError, OSError."""
    trash = Trash(survey.stores)
    trash.tidy()
    files.sweep_atomic_temps(f"{survey.stores.keep.root}/gc")


__all__ = ["COMES_BACK", "Outcome", "Sweeper", "remove_leftovers"]
