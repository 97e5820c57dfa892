"""`gc`: look, plan, sweep; and what goes with it: taking a sweep back, forgetting bytes and repositories."""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Mapping

from regen_vcs.engine.config import Settings
from regen_vcs.engine.gc import eviction
from regen_vcs.engine.gc.census import Census
from regen_vcs.engine.gc.planning import FORGOTTEN, Item, Plan, Policy, Survey, plan_sweep
from regen_vcs.engine.gc.sweeping import Outcome, Sweeper
from regen_vcs.engine.gc.worktree_pools import Pools
from regen_vcs.engine.remotes import holds_durably
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.git import config as git_config
from regen_vcs.git.run import Git
from regen_vcs.platform.files import sweep_atomic_temps
from regen_vcs.platform.mounts import shared_kind
from regen_vcs.stores.fsck import clear_temps
from regen_vcs.stores.locks import StoreLock
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.reliance import Gate
from regen_vcs.stores.results import Repos, RescueLog
from regen_vcs.stores.trash import Trash
from regen_vcs.stores.witness import ACCEPTED, Witness

# budget: bytes that keep, cache, trash and spare pools may hold together; free: bytes to get back; None: as much as it takes.
# allow_paid: whether what costs money to make again may go for want of room.
Room = namedtuple("Room", ("budget", "free", "allow_paid"), defaults=(None, None, True))

# What gc is told of its progress: a word for the stage, how much of it is done, of how much (0: unknown).
Progress = Callable[[str, int, int], None]


def settings_outside(cwd: str, environ: Mapping[str, str]) -> Settings:
    """The settings where there is no repository around `cwd`."""
    return Settings({}, environ, git_config.read_config(Git(cwd, environ)))


def stores_of(settings: Settings) -> LocalStores:
    """The stores that some settings name."""
    return LocalStores(os.path.join(settings.get("keepDir"), "v1"), os.path.join(settings.get("cacheDir"), "v1"))


class Collector:
    """One gc of the store of some settings. ws: the worktree it is called in, None outside of one."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], ws: Workspace | None, progress: Progress | None = None):
        self._settings, self._environ, self._ws = settings, environ, ws
        self.stores = ws.stores if ws is not None else stores_of(settings)
        self._root = self.stores.keep.root
        self._repos = Repos(self._root)
        self._progress = progress or (lambda *_: None)

    # -- the usual -----------------------------------------------------------------------------------------------------

    def plan(self, policy: Policy, room: Room) -> Plan:
        """What `run` would do now; nothing is changed."""
        survey, uses = self._survey(policy, room)
        return self._plan(survey, uses, room)

    def run(self, policy: Policy, room: Room) -> tuple[Plan, Outcome]:
        """Look, plan and sweep. RegenError where nothing may be swept here: no working lock, another gc at work."""
        self._require_lock()
        with Gate(self._root) as gate:
            self._register()
            survey, uses = self._survey(policy, room)
            plan = self._plan(survey, uses, room)
            sweeper = Sweeper(survey, gate, lambda done, total: self._progress("sweeping", done, total))
            if survey.census.unknown:
                return plan, sweeper.outcome
            survey.census.save()
            self._keep_memory(survey)
            survey.census.look_at_disks_again()
            survey.mark_census()
            pools = Pools(survey.census, self._settings.get("spare.limit"))
            sweeper.outcome.spares[0] += pools.empty(plan.spares, self.stores)
            sweeper.spend(plan, drop_spares=pools.drop, at_once=policy.grace <= 0)
            self._write_down(survey, sweeper.outcome, gate)
            return plan, sweeper.outcome

    def _plan(self, survey: Survey, uses: eviction.Uses | None, room: Room) -> Plan:
        self._progress("planning", 0, 0)
        plan = plan_sweep(survey, self._held_remotely)
        if uses is None or survey.census.unknown:
            return plan
        pools = Pools(survey.census, self._settings.get("spare.limit"))
        return eviction.make_room(survey, plan, uses, pools.sizes(), room.budget, room.free, self._open_at, room.allow_paid)

    def _survey(self, policy: Policy, room: Room) -> tuple[Survey, eviction.Uses | None]:
        wants_room = room.budget is not None or room.free is not None
        uses = eviction.Uses() if wants_room else None
        census = Census(self._repos, self._environ, uses.visit if uses is not None else None)
        self._progress("reading repositories", 0, 0)
        census.look(lambda path: self._progress(f"reading {path}", 0, 0))
        self._progress("reading the stores", 0, 0)
        return Survey(self.stores, census, policy, self._ws), uses

    def _held_remotely(self, hashes: list[str]) -> set[str]:
        if self._ws is None or not hashes:
            return set()
        return holds_durably(self._ws, hashes, progress=lambda done, total: self._progress("asking remotes", done, total))

    def _open_at(self, root: str) -> Workspace:
        """The worktree at that place, for whoever wants to know what can be made there."""
        if self._ws is not None and os.path.realpath(root) == os.path.realpath(self._ws.root):
            return self._ws
        environ = {name: value for name, value in self._environ.items() if not name.startswith("GIT_") or name == "GIT_CONFIG_GLOBAL"}
        return Workspace.open(root, environ)

    # -- what is written down ------------------------------------------------------------------------------------------

    def _register(self) -> None:
        if self._ws is not None:
            self._ws.register()

    def _keep_memory(self, survey: Survey) -> None:
        """What was accepted stays accepted, whatever becomes of the branch that did it."""
        known = survey.testimony
        self._witness.saw(ACCEPTED, sorted((survey.accepted - known.accepted) & (known.made.keys() | known.logs.keys())))

    @property
    def _witness(self) -> Witness:
        return Witness(self._root)

    def _write_down(self, survey: Survey, outcome: Outcome, gate: Gate) -> None:
        gone = {item.hash for item in (*outcome.swept, *outcome.emptied, *outcome.evicted)}
        survey.ledger.save({hash: survey.since(hash) for hash in survey.nobodys() if hash not in gone}, survey.policy.now)
        survey.record_index.save()
        trash = Trash(self.stores)
        trash.tidy()
        known = {*self.stores, *trash}
        try:
            with gate.closed() as relied:
                self._witness.forget_all_but(known | relied)
        except OSError as error:
            outcome.notes.append(f"{self._witness.path} could not be rewritten: {error.strerror}")
        clear_temps(self.stores, of_records=False)
        sweep_atomic_temps(f"{self._root}/gc")

    def _require_lock(self) -> None:
        for store in self.stores.stores:
            kind = shared_kind(store.root)
            if kind:
                raise RegenError(
                    f"{store.root} lies on a file system that other machines may write to ({kind}), where locks cannot be relied on: "
                    "nothing is swept", "keep the stores on a disk of this machine, and share them by a remote",
                )
        if not StoreLock(self._root).works():
            raise RegenError(f"locks do not work in {self._root}, or it cannot be written: nothing is swept",
                             "keep the stores on a disk of this machine (regen.keepDir, regen.cacheDir)")

    # -- taking back ---------------------------------------------------------------------------------------------------

    def undo(self) -> list[Item]:
        """Move everything that is in the trash back to its store; what came back."""
        self._require_lock()
        trash = Trash(self.stores)
        with Gate(self._root) as gate:
            waiting = list(trash.contents().values())
            back = []
            for at in range(0, len(waiting), 256):
                with gate.closed():
                    back += [Item(each.hash, each.size, each.why, None, each.at) for each in waiting[at : at + 256] if trash.take_back(each.hash)]
            with gate.closed():
                trash.tidy()
        return back

    # -- forgetting ----------------------------------------------------------------------------------------------------

    def forget(self, prefixes: list[str], policy: Policy) -> Outcome:
        """Discard bytes that nothing brings back, by the beginnings of their hashes; the files of a manifest too.

        What is only in the rescue log is struck off it. UsageError for what is not there, is not one object, or is needed: then
        nothing is discarded.
        """
        self._require_lock()
        with Gate(self._root) as gate:
            self._register()
            census = Census(self._repos, self._environ)
            census.look()
            found = Survey(self.stores, census, policy, self._ws)
            wanted = {_one_of(found, prefix) for prefix in prefixes}
            survey = Survey(self.stores, census, policy, self._ws, not_rescued=wanted)
            if census.unknown:
                raise RegenError("a repository that uses this store cannot be read: what it needs is not known", "see: regen-vcs gc --dry-run")
            for hash in sorted(wanted & survey.marks.needed):
                raise UsageError(f"object {hash[:12]}… is needed: {survey.why_needed(hash)}", "gc --forget is for what nobody needs")
            census.save()
            for hash in sorted(wanted & survey.rescued):
                RescueLog(self._root).forget(hash)
            sweeper = Sweeper(survey, gate)
            items = [Item(hash, survey.held[hash].size, FORGOTTEN, None, policy.now) for hash in sorted(_with_members(survey, wanted))]
            sweeper.discard(items)
        return sweeper.outcome

    def forget_repository(self, name: str) -> str:
        """Take a repository off the list, by its uuid or the path of its place; its path. UsageError where there is none, or
        it is there after all.
        """
        path = os.path.abspath(name).rstrip("/")
        for place in self._repos.places():
            if name == place.uuid or (place.path and place.path in (path, f"{path}/.git")):
                if os.path.isfile(f"{place.path}/HEAD"):
                    raise UsageError(f"{place.path} is there, and uses this store", "only what is gone for good is forgotten")
                self._repos.forget_place(place)
                return place.path or place.uuid
        raise UsageError(f"no repository {name} is known to this store", "regen-vcs gc --dry-run names those that cannot be read")


def _one_of(survey: Survey, prefix: str) -> str:
    digits = prefix.removeprefix("blake3:").lower()
    if len(digits) < 6:
        raise UsageError(f"{prefix!r} is too short for a hash", "give at least six digits")
    found = [hash for hash in survey.held if hash.startswith(digits)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} objects begin with {digits}", "give more digits")
    if not found:
        raise UsageError(f"no object in keep or cache begins with {digits}", "see: regen-vcs gc --dry-run")
    return found[0]


def _with_members(survey: Survey, wholes: set[str]) -> set[str]:
    """These, and the files of those that are manifests, but for files that somebody needs or another manifest names."""
    members = {member.hash for whole in wholes for member in survey.manifests.members(whole)}
    if members:
        for other in survey.unneeded():
            if other not in wholes:
                members -= {member.hash for member in survey.manifests.members(other)}
    return wholes | {each for each in members if each in survey.held and each not in survey.marks.needed}

