"""Making room: what is needed but comes back goes, cheapest to bring back per byte first. Never what does not come back.

An object goes only if *everybody* who accepts it gets it back: each sidecar, in any branch, tag, stash or worktree, must be one
whose recipe makes those bytes as it stands (a stale one would not be run), under the generators of its own repository; or a
durable remote of that repository has it. Whatever else refers to an object (a pin, the rescue log, a job, a stand-in on disk, a
sidecar that cannot be read, a repository as last seen) holds it here.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine.gc.contexts import Contexts
from regen_vcs.engine.gc.marking import Marks
from regen_vcs.engine.gc.names import names_in
from regen_vcs.engine.gc.planning import COMES_BACK, NEEDED, Item, Plan, Survey
from regen_vcs.engine.gc.recall import FETCHED, MADE_AGAIN, PlainInputs, Recall, Way, find_ways
from regen_vcs.engine.remotes import holds_durably
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.git.roots import Document
from regen_vcs.model.facts import facts_of
from regen_vcs.model.paths import SIDECAR_SUFFIX
from regen_vcs.stores.results import Place
from regen_vcs.stores.trash import Trash

# What a second of making is worth beside a dollar, and how fast a remote is taken to be.
_SECONDS_A_DOLLAR = 3600.0
_BYTES_A_SECOND = 10e6
_UNKNOWN_SECONDS = 600.0

# One sidecar that accepts an object. place: of its repository. path: the asset. facts: what it says. oid: None on disk.
Use = namedtuple("Use", ("place", "path", "facts", "oid"))


class Uses:
    """Who accepts what, noted while repositories are read."""

    def __init__(self) -> None:
        self.of: dict[str, list[Use]] = {}
        self.otherwise: set[str] = set()  # names that stand anywhere but as an accepted output
        self._known: set[tuple] = set()

    def visit(self, place: Place, document: Document) -> None:
        names = names_in(document.data)
        if document.path is None:
            self.otherwise |= names
            return
        path = document.path.removesuffix(SIDECAR_SUFFIX)
        facts = facts_of(document.data, path)
        if facts.problem or facts.out_hash is None:
            self.otherwise |= names
            return
        self.otherwise |= names - {facts.out_hash, facts.out_key}
        once = (place.uuid, place.tag, path, facts.out_hash, facts.out_key, facts.own_key, facts.generator, tuple(sorted(facts.inputs.items())))
        if once not in self._known:
            self._known.add(once)
            self.of.setdefault(facts.out_hash, []).append(Use(place, path, facts, document.oid))


def make_room(
    survey: Survey, plan: Plan, uses: Uses, pools: list[tuple[str, int]], budget: int | None, free: int | None,
    open_at: Callable[[str], Workspace], allow_paid: bool,
) -> Plan:
    """The plan with as much more as it takes: until no more than `budget` bytes are held, and `free` bytes are got back.

    pools: (folder, bytes) of the spare pools, which go first. open_at(root): the worktree there.
    """
    held = plan.total + sum(size for _, size in pools)
    wanted = max(held - budget if budget is not None else 0, free or 0)
    need = wanted - sum(item.size for item in plan.empty)
    at_once = survey.policy.grace <= 0
    if at_once:
        need -= sum(item.size for item in plan.sweep)
    spares = []
    for folder, size in sorted(pools, key=lambda pool: -pool[1]):
        if need > 0:
            spares.append((folder, min(size, need)))
            need -= spares[-1][1]
    sweep, evict, empty = list(plan.sweep), [], list(plan.empty)
    if need > 0 and not at_once:  # what nobody needs and comes back anyway need not wait in the trash
        for item in sorted((each for each in sweep if each.why == COMES_BACK), key=lambda item: -item.size):
            if need > 0:
                sweep.remove(item)
                evict.append(item)
                need -= item.size
        for item in _early(survey, plan) if need > 0 else ():
            if need > 0:
                empty.append(item)
                need -= item.size
    if need > 0:
        chosen = _Chooser(survey, uses, open_at, allow_paid).choose(need)
        evict += chosen
        need -= sum(item.size for item in chosen)
    notes = list(plan.notes)
    if need > 0:
        notes.append(f"{_mb(need)} of the {_mb(wanted)} asked for cannot be had: the rest would not come back, or is a copy shared with a worktree")
    return plan._replace(sweep=sweep, evict=evict, empty=empty, spares=spares, notes=notes, wanted=wanted)


def _early(survey: Survey, plan: Plan) -> list[Item]:
    """What is in the trash and not due yet, and comes back."""
    planned = {item.hash for item in (*plan.empty, *plan.restore)}
    waiting = [each for each in Trash(survey.stores).contents().values() if each.hash not in planned and each.hash not in survey.marks.needed]
    ways = survey.recallable([each.hash for each in waiting], lambda _: set())
    return [Item(each.hash, each.size, COMES_BACK, ways[each.hash], each.at) for each in waiting if each.hash in ways]


class _Chooser:
    """Picks needed objects that come back, the cheapest first."""

    def __init__(self, survey: Survey, uses: Uses, open_at: Callable[[str], Workspace], allow_paid: bool):
        self._survey, self._uses, self._allow_paid = survey, uses, allow_paid
        self._open_at = open_at
        self._workspaces: dict[str, Workspace | None] = {}
        self._recalls: dict[str, Recall] = {}
        self._contexts: dict[str, Contexts] = {}
        self._files = {whole: [m.hash for m in survey.manifests.members(whole)] for whole, users in uses.of.items()
                       if any(use.facts.is_tree for use in users)}
        self._wholes: dict[str, list[str]] = {}
        for whole, members in self._files.items():
            for member in members:
                self._wholes.setdefault(member, []).append(whole)
        self._fixed = self._held_otherwise()
        self._remote = self._held_remotely()

    def choose(self, need: int) -> list[Item]:
        """As many of these objects as it takes to free that many bytes, or all that can go."""
        ways: dict[str, list[Way]] = {}
        order = []
        for whole in self._uses.of:
            if whole not in self._fixed and self._freed(whole):
                way = self._cheapest(whole)
                if way is not None:
                    ways[whole] = [way]
                    order.append((self._price(whole, way), whole))
        plain = PlainInputs(self._survey.census.seen)
        chosen: list[str] = []
        going: dict[str, Way] = {}
        total = 0
        for number, (_, whole) in enumerate(sorted(order), 1):
            chosen.append(whole)
            total += sum(size for _, size in self._freed(whole))
            if total >= need or number == len(order):
                going = self._consistent(chosen, ways, plain)
                total = sum(size for _, size in self._objects_of(going))
            if total >= need:
                break
        return [
            Item(hash, size, NEEDED, going[self._way_of(hash, going)], self._survey.policy.now)
            for hash, size in self._objects_of(going)
        ]

    def _consistent(self, chosen: list[str], ways: dict[str, list[Way]], plain: PlainInputs) -> dict[str, Way]:
        """Of these those that come back when all of these are gone."""
        gone = {hash for whole in chosen for hash, _ in self._freed(whole)}
        beside = set().union(*(contexts.plain for contexts in self._contexts.values()))  # in the very commits that want them

        def is_there(input: str) -> bool:
            stays = input in self._survey.held and input not in gone and input in self._survey.marks.needed
            return stays or input in beside or input in plain

        return find_ways(chosen, lambda whole: ways[whole], is_there)

    def _objects_of(self, going: dict[str, Way]) -> list[tuple[str, int]]:
        """(hash, bytes) of what goes with these: files that only they name, each once."""
        found = {}
        for whole in going:
            for hash, size in self._freed(whole):
                if all(other in going for other in self._users(hash)):
                    found[hash] = size
        return sorted(found.items())

    def _users(self, hash: str) -> list[str]:
        """The accepted outputs that this object is, or is a file of."""
        return [*([hash] if hash in self._uses.of else []), *self._wholes.get(hash, ())]

    def _way_of(self, hash: str, going: dict[str, Way]) -> str:
        return next(whole for whole in self._users(hash) if whole in going)

    def _freed(self, whole: str) -> list[tuple[str, int]]:
        """(hash, bytes) of its objects that may go at all, and whose going would free anything."""
        found = []
        for hash in dict.fromkeys((whole, *self._files.get(whole, ()))):
            if hash in self._survey.held and hash not in self._fixed and not self._is_linked(hash):
                found.append((hash, self._survey.held[hash].size))
        return found

    def _is_linked(self, hash: str) -> bool:
        """Whether a worktree shares these very bytes: then they are on the disk anyway."""
        for store in self._survey.stores.stores:
            try:
                if os.lstat(store.path_of(hash)).st_nlink > 1:
                    return True
            except OSError:
                continue
        return False

    # -- what holds, what brings back ----------------------------------------------------------------------------------

    def _held_otherwise(self) -> set[str]:
        """Everything that is needed for another reason than that a sidecar accepts it."""
        survey, soft = self._survey, self._uses.of.keys() | self._wholes.keys()
        names = survey.pins | survey.rescued | self._uses.otherwise
        for seen in survey.census.seen:
            if seen.roots is not None:
                is_of_now = seen.looked is not None and seen.trouble is None
                names = names | ((seen.roots.names - soft) if is_of_now else seen.roots.names)
        marks = Marks(survey.stores, {})  # records are passed over: what a take was made from may go if it comes back
        marks.mark((), names & survey.held.keys())
        return marks.needed

    def _held_remotely(self) -> dict[str, set[str]]:
        """{place's path: what of its accepted outputs its durable remotes hold now}."""
        wanted: dict[str, set[str]] = {}
        for whole, users in self._uses.of.items():
            if whole in self._survey.held and whole not in self._fixed:
                for use in users:
                    wanted.setdefault(use.place.path, set()).update((whole, *self._files.get(whole, ())))
        found = {}
        for path, hashes in wanted.items():
            ws = self._workspace(path)
            try:
                found[path] = holds_durably(ws, sorted(hashes)) if ws is not None else set()
            except RegenError:
                found[path] = set()
        return found

    def _cheapest(self, whole: str) -> Way | None:
        """How it comes back for everybody who accepts it; None where it does not for one of them."""
        users = self._uses.of[whole]
        objects = (whole, *self._files.get(whole, ()))
        if all(each in self._remote.get(use.place.path, ()) for use in users for each in objects):
            size = sum(self._survey.held[each].size for each in objects if each in self._survey.held)
            return Way(FETCHED, seconds=size / _BYTES_A_SECOND)
        found = [self._way_for(use, whole) for use in users]
        if any(way is None for way in found):
            return None
        inputs = frozenset().union(*(way.inputs for way in found))
        seconds = max((way.seconds for way in found if way.seconds is not None), default=None)
        cost = max((way.cost for way in found if way.cost is not None), default=None)
        if cost and not self._allow_paid:
            return None
        return Way(MADE_AGAIN, found[0].by, seconds, cost, inputs)

    def _way_for(self, use: Use, whole: str) -> Way | None:
        """How one sidecar gets its bytes back: its recipe makes them, as it stands wherever it stands."""
        facts = use.facts
        if facts.generator is None or facts.out_key is None:
            return None
        ws = self._workspace(use.place.path)
        if ws is None or (not self._allow_paid and _is_paid(ws, facts.generator)):
            return None
        if facts.inputs:
            if not self._contexts_of(use.place.path).is_current_everywhere(use.path, facts.out_hash):
                return None
        elif facts.own_key != facts.out_key:
            return None  # stale: nobody runs it to get the old bytes
        if use.place.path not in self._recalls:
            self._recalls[use.place.path] = Recall(ws, self._survey.records)
        return self._recalls[use.place.path].way(facts.out_key, whole)

    def _contexts_of(self, place_path: str) -> Contexts:
        if place_path not in self._contexts:
            looked = next(each.looked for each in self._survey.census.seen if each.place.path == place_path)
            mine = [use for users in self._uses.of.values() for use in users if use.place.path == place_path and use.facts.inputs]
            self._contexts[place_path] = Contexts(looked, mine)
        return self._contexts[place_path]

    def _workspace(self, place_path: str) -> Workspace | None:
        """The main worktree of the repository there, whose generators count; None where there is none."""
        if place_path not in self._workspaces:
            root = next((_root_of(each.place) for each in self._survey.census.seen if each.place.path == place_path), None)
            try:
                self._workspaces[place_path] = self._open_at(root) if root else None
            except RegenError:
                self._workspaces[place_path] = None
        return self._workspaces[place_path]

    def _price(self, whole: str, way: Way) -> float:
        """Seconds, and dollars as seconds, for each byte."""
        seconds = way.seconds if way.seconds is not None else _UNKNOWN_SECONDS
        size = sum(size for _, size in self._freed(whole))
        return (seconds + _SECONDS_A_DOLLAR * (way.cost or 0.0)) / max(1, size)


def _root_of(place: Place) -> str | None:
    if place.root and os.path.isdir(place.root):
        return place.root
    parent = os.path.dirname(place.path)
    return parent if os.path.basename(place.path) == ".git" and os.path.isdir(parent) else None


def _is_paid(ws: Workspace, generator: str) -> bool:
    from regen_vcs.engine.definitions import Definitions

    try:
        return ":" in generator and bool(Definitions(ws).table(generator).get("paid"))
    except RegenError:
        return True


def _mb(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
