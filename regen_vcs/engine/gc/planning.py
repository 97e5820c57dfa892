"""What gc will do, as a value: looked up without changing anything, shown by a dry run, spent by sweeping.py."""

from __future__ import annotations

import time
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping

from regen_vcs.engine.gc.census import Census
from regen_vcs.engine.gc.inventory import Held, list_objects
from regen_vcs.engine.gc.ledger import Ledger
from regen_vcs.engine.gc.marking import Manifests, Marks
from regen_vcs.engine.gc.recall import FETCHED, PlainInputs, Recall, Way, find_ways
from regen_vcs.engine.gc.record_index import RecordIndex
from regen_vcs.engine.pins import pinned
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.recipe import parse_recipe
from regen_vcs.stores.locks import leased
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.results import RescueLog, Results
from regen_vcs.stores.trash import Trash
from regen_vcs.stores.witness import Testimony, Witness

COMES_BACK, NEVER_ACCEPTED, LOG = "comes back", "never accepted", "log"
IRREPLACEABLE, YOUNG, UNSURE = "irreplaceable", "young", "unsure"
NEEDED, FORGOTTEN = "needed", "forgotten"
SWEPT = frozenset((COMES_BACK, NEVER_ACCEPTED, LOG))

# grace, seconds: how long what nobody needs stays, and then again in the trash. takes: those nobody accepted go at once.
# keep_takes: so many of the newest unaccepted takes of a key stay. now: seconds since 1970.
Policy = namedtuple("Policy", ("grace", "takes", "keep_takes", "now"))

# One object. why: as above. way: how it comes back, None if it does not. since: seconds since 1970, at the latest, nobody needs it.
Item = namedtuple("Item", ("hash", "size", "why", "way", "since"))


class Survey:
    """One look at all that matters, from which a plan follows; `marks` may grow afterwards, and then less goes.

    ws: the worktree gc was called in, None outside of one. not_rescued: what counts as if no rescue log named it.
    """

    def __init__(
        self, stores: LocalStores, census: Census, policy: Policy, ws: Workspace | None, *, not_rescued: Iterable[str] = ()
    ):
        self.stores, self.census, self.policy, self.ws = stores, census, policy, ws
        self._not_rescued = frozenset(not_rescued)
        self.results = Results(stores.keep.root)
        self.held: dict[str, Held] = list_objects(stores)
        self.testimony: Testimony = Witness(stores.keep.root).read()
        self.record_index = RecordIndex(stores.keep.root)
        self.records = self.record_index.read()
        self.marks = Marks(stores, self.records)
        self.manifests = Manifests(stores)
        self.pins = set(pinned(stores.keep.root))
        self.rescued = {str(entry.get("hash")) for entry in RescueLog(stores.keep.root).entries()}
        self.ledger = Ledger(stores.keep.root)
        self.accepted = set(self.testimony.accepted)  # by anybody, ever
        self._wholes: dict[str, list[str]] = {}
        self._since: dict[str, float] = {}
        self.waiting: set[str] = set()  # needed for nothing but that takes stay for a while
        self._mark_roots()
        self._mark_kept_takes()

    # -- what is needed ------------------------------------------------------------------------------------------------

    def _mark_roots(self) -> None:
        self.marks.mark((), self.pins | (self.rescued - self._not_rescued) | leased(self.stores.keep.root))
        self.mark_census()

    def mark_census(self) -> None:
        """Mark what the repositories refer to by now."""
        for seen in self.census.seen:
            if seen.roots is not None:
                self.marks.mark(seen.roots.names, seen.roots.trees)
        self._note_accepted()

    def _note_accepted(self) -> None:
        """What git itself holds was accepted by somebody, whatever becomes of it."""
        for seen in self.census.seen:
            if seen.roots is not None:
                self.accepted |= seen.roots.committed
                for name in seen.roots.committed & seen.roots.trees:
                    self.accepted.update(member.hash for member in self.manifests.members(name))

    def _mark_kept_takes(self) -> None:
        """Takes that nobody accepted stay for the grace, with what was read for them; and so do the newest of each key."""
        unneeded = [output for output in self.records if output in self.held and output not in self.marks.needed]
        for output in unneeded:
            for member in self.manifests.members(output) if self._is_tree(output) else ():
                self._wholes.setdefault(member.hash, []).append(output)
        stay = [output for output in unneeded if self.is_young(output)]
        self.waiting |= self.marks.mark(stay, [output for output in stay if self._is_tree(output)])
        if self.policy.keep_takes:
            newest = self._newest_takes([output for output in unneeded if output not in self.marks.needed])
            self.waiting |= self.marks.mark(newest, [output for output in newest if self._is_tree(output)])

    def _is_tree(self, output: str) -> bool:
        return any(record.is_tree for record in self.records.get(output, ()))

    def _newest_takes(self, outputs: Iterable[str]) -> set[str]:
        by_key: dict[str, set[str]] = {}
        for output in outputs:
            for record in self.records[output]:
                by_key.setdefault(record.key, set()).add(output)
        found: set[str] = set()
        for key, mine in by_key.items():
            times = {each["output_hash"]: str(each.get("at", "")) for each in self.results.takes(key)}
            ranked = sorted(mine, key=lambda output: (times.get(output, ""), output), reverse=True)
            found.update(ranked[: self.policy.keep_takes])
        return found

    def why_needed(self, hash: str) -> str:
        """Who refers to it, in a few words."""
        if hash in self.pins:
            return "it is pinned"
        for seen in self.census.seen:
            if seen.roots is not None and hash in seen.roots.names:
                return f"{seen.place.path} refers to it"
        return "it belongs to something that somebody refers to, or is a take younger than the grace"

    # -- ages ----------------------------------------------------------------------------------------------------------

    def since(self, hash: str) -> float:
        """Since when nobody needs it, at the latest: seconds since 1970."""
        if hash not in self._since:
            self._since[hash] = self._find_since(hash)
        return self._since[hash]

    def _find_since(self, hash: str) -> float:
        times = [self.held[hash].born] if hash in self.held else []
        times += [float(found[hash]) for found in (self.testimony.made, self.testimony.logs) if hash in found]
        return self.ledger.since(hash, times, self.policy.now)

    def is_young(self, hash: str) -> bool:
        """Whether it stays for now though nobody needs it. Scratch work has no grace, nor have takes if so asked."""
        if self.policy.now - self.since(hash) >= self.policy.grace:
            return False
        if not self.is_loose_take(hash):
            return True
        return not (self.policy.takes or self._is_temporary(hash))

    def is_loose_take(self, hash: str) -> bool:
        """Whether it came out of a run on this machine, and nobody ever accepted it."""
        return hash in self.testimony.made and hash not in self.accepted

    def _is_temporary(self, hash: str) -> bool:
        """Whether every recipe that it is a take of is tagged `temp`."""
        keys = {record.key for whole in (hash, *self._wholes.get(hash, ())) for record in self.records.get(whole, ())}
        return bool(keys) and all(self._is_tagged_temp(key) for key in keys)

    def _is_tagged_temp(self, key: str) -> bool:
        data = self.results.recipe(key)
        if data is None:
            return False
        try:
            tags = parse_recipe(data, key).meta.get("tags")
        except RegenError:
            return False
        return isinstance(tags, list) and "temp" in tags

    # -- what is not ---------------------------------------------------------------------------------------------------

    def unneeded(self) -> list[str]:
        """What keep and cache hold and nobody needs."""
        return [hash for hash in self.held if hash not in self.marks.needed]

    def nobodys(self) -> list[str]:
        """What keep and cache hold and nobody refers to, though some of it stays for a while."""
        waiting = set(self.waiting)
        for seen in self.census.seen:
            if seen.roots is not None:
                waiting -= seen.roots.names
        return [hash for hash in self.held if hash in waiting or hash not in self.marks.needed]

    def recallable(self, hashes: Iterable[str], held_remotely: Callable[[list[str]], set[str]]) -> dict[str, Way]:
        """{hash: how it comes back} of those that do. held_remotely(hashes): which of these a durable remote has, asked now."""
        hashes = list(hashes)
        recall = Recall(self.ws, self.records)
        plain = PlainInputs(self.census.seen)
        going = set(hashes)

        def ways_of(hash: str) -> list[Way]:
            return [way for whole in (hash, *self._wholes.get(hash, ())) for way in recall.ways_of(whole)]

        def is_there(input: str) -> bool:
            return (input in self.held and input in self.marks.needed and input not in going) or input in plain

        found = find_ways(hashes, ways_of, is_there)
        left = [hash for hash in hashes if hash not in found]
        fetched = held_remotely(left) if left else set()
        found.update((hash, Way(FETCHED)) for hash in fetched)
        if fetched:  # what is made from something that can be fetched comes back too
            rest = [hash for hash in left if hash not in fetched]
            found.update(find_ways(rest, ways_of, lambda each: is_there(each) or each in fetched or each in found))
        return found


# What gc would do. sweep: to the trash. empty: out of the trash for good. restore: out of the trash to where it was, as it is
# needed, or does not come back any more. evict: needed, but it comes back, and room is wanted: deleted. stays: nobody needs it,
# and it stays. spares: [(pool, bytes)] to go for want of room. notes: what the user should know, a line each. wanted: bytes asked
# for, None where nobody asked. total: bytes in keep, cache and trash as it is now.
Plan = namedtuple("Plan", ("sweep", "empty", "restore", "evict", "stays", "spares", "notes", "wanted", "total"))


def plan_sweep(survey: Survey, held_remotely: Callable[[list[str]], set[str]]) -> Plan:
    """What goes and what stays, by the rules of docs/storage.md. Looks only."""
    trash = Trash(survey.stores).contents()
    total = sum(each.size for each in survey.held.values()) + sum(each.size for each in trash.values())
    restore = [Item(each.hash, each.size, NEEDED, None, each.at) for each in trash.values() if each.hash in survey.marks.needed]
    if survey.census.unknown:
        return Plan([], [], restore, [], [], [], notes_of(survey.census), None, total)
    unneeded = survey.unneeded()
    old = [hash for hash in unneeded if not survey.is_young(hash)]
    due = [each for each in trash.values() if each.hash not in survey.marks.needed and is_due(each.at, survey.policy)]
    ways = survey.recallable([*old, *(each.hash for each in due if each.why != FORGOTTEN)], held_remotely)
    judged = [_judge(survey, hash, survey.held[hash].size, ways) for hash in unneeded]
    empty = []
    for each in due:
        item = Item(each.hash, each.size, FORGOTTEN, None, each.at)
        if each.why != FORGOTTEN:
            item = _judge(survey, each.hash, each.size, ways, is_old=True)._replace(since=each.at)
        (restore if item.why == IRREPLACEABLE else empty if item.why != UNSURE else judged).append(item)
    sweep = [item for item in judged if item.why in SWEPT]
    stays = [item for item in judged if item.why not in SWEPT]
    stays += [Item(hash, survey.held[hash].size, YOUNG, None, survey.since(hash)) for hash in sorted(survey.waiting & survey.held.keys())]
    return Plan(sweep, empty, restore, [], stays, [], notes_of(survey.census), None, total)


def is_due(at: float, policy: Policy) -> bool:
    """Whether what has been in the trash since then has been there for the grace."""
    return policy.now - min(at, policy.now) >= policy.grace


def _judge(survey: Survey, hash: str, size: int, ways: Mapping[str, Way], is_old: bool = False) -> Item:
    since = survey.since(hash)
    if not is_old and survey.is_young(hash):
        return Item(hash, size, YOUNG, None, since)
    if hash in ways:
        return Item(hash, size, COMES_BACK, ways[hash], since)
    if survey.is_loose_take(hash) or _is_log(survey, hash):
        if not survey.census.is_sure:
            return Item(hash, size, UNSURE, None, since)
        return Item(hash, size, NEVER_ACCEPTED if survey.is_loose_take(hash) else LOG, None, since)
    return Item(hash, size, IRREPLACEABLE, None, since)


def _is_log(survey: Survey, hash: str) -> bool:
    held = survey.held.get(hash)
    in_keep_alone = held is not None and held.in_keep and not survey.stores.is_one
    return hash in survey.testimony.logs and hash not in survey.accepted and not in_keep_alone


def notes_of(census: Census) -> list[str]:
    """What the user should know of the repositories, a line each."""
    notes = []
    for seen in census.unknown:
        notes.append(f"{_place(seen)} cannot be read ({seen.trouble}), and nothing is known of what it needs: nothing is swept. "
                     f"Bring it back; or, if it is gone for good: regen-vcs gc --forget-repo {seen.place.uuid}")
    for seen in census.stale:
        notes.append(f"{_place(seen)} counts as it was last seen: {seen.trouble}. Only what can come back goes. "
                     f"If it is gone for good: regen-vcs gc --forget-repo {seen.place.uuid}")
    for seen in census.cut_off:
        notes.append(f"{_place(seen)} has not all of its history (a shallow or partial clone): only what can come back goes")
    return notes


def _place(seen) -> str:
    return seen.place.path or f"repository {seen.place.uuid}"


def policy_of(settings, *, grace: float | None = None, takes: bool = False, now: float | None = None) -> Policy:
    """The user's settings, and what the command line says otherwise."""
    return Policy(
        settings.get("gc.grace") if grace is None else grace, takes, settings.get("gc.keepTakes"), time.time() if now is None else now
    )
