"""Remotes as a source of what a sync misses: which of it they have, whether fetching is the better way, and fetching it.

A sync plans from what is known (`bring`), without a word to any network while it holds the worktree's lock. Then, without
the lock, the remotes are asked in a batch (`ask`), what is to come now is fetched into the stores, and a second sync puts it
into the worktree, or regenerates what no remote has (docs/decisions/0013-transfer.md).
"""

from __future__ import annotations

from collections.abc import Callable

from regen_vcs.engine.connections import HOOK_PATIENCE, PATIENCE, Connections
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.plan_execution import Outcome
from regen_vcs.engine.planner import Bring
from regen_vcs.engine.presence import find_held
from regen_vcs.engine.remotes import active_remotes
from regen_vcs.engine.threading_over import over
from regen_vcs.engine.transfer import Bytes, Fetching, Meter, estimate_seconds
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import CorruptionError, InvalidError, RegenError, RemoteError
from regen_vcs.model.plan import FETCH, FETCH_LATER, REFUSE, Plan, Step
from regen_vcs.remote.base import Remote

_HELD, _ABSENT, _LATER = "held", "absent", "later"


class FarSources:
    """The remotes of one command, as its planner and its fetches see them.

    only: generators are not an alternative (`checkout.missing = fetch`). hurried: git waits for us.
    `failed`: {path: error} of what was tried to fetch and did not come; `fetched`: paths whose bytes are here now.
    """

    def __init__(self, ws: Workspace, remotes: list[Remote], *, only: bool = False, hurried: bool = False):
        self._ws, self._only, self._hurried = ws, only, hurried
        self._connections = Connections(ws, remotes, patience=HOOK_PATIENCE if hurried else PATIENCE)
        self._answers: dict[str, str] = {}
        self._trees: dict[str, bool] = {}  # {accepted hash: it is a manifest's}
        self.failed: dict[str, RegenError] = {}
        self.fetched: set[str] = set()

    # -- planning --------------------------------------------------------------------------------------------------

    def bring(self, desired: Desired, here: Bring) -> Bring:
        """Whether the accepted bytes of an asset come from a remote, or as `here` says without remotes."""
        facts = desired.facts
        answer = self._answers.get(facts.out_hash)
        self._trees[facts.out_hash] = facts.is_tree
        if answer == _ABSENT or not self._connections.remotes:
            return here if here.source else here._replace(reason=self._nowhere(here.reason))
        seconds = self._estimate(facts.out_hash, facts.out_size)
        quicker = here.source == "regenerate" and here.seconds is not None and here.seconds < seconds
        if quicker and not self._only:
            return here
        return Bring("remote", FETCH_LATER if answer == _LATER else None, seconds, [])

    def _nowhere(self, reason: str | None) -> str | None:
        if reason is None or "in no store here" not in reason:
            return reason
        away = ", ".join(self._connections.failures)
        return f"{reason}, and remote {away} cannot be reached" if away else f"{reason} and in no remote"

    def _estimate(self, hash: str, size: int) -> float:
        """Seconds, from the remote that would be asked first."""
        remotes = self._connections.remotes
        holder = next((each for each in remotes if self._connections.known(each).has(hash)), remotes[0])
        return estimate_seconds(holder.url, self._connections.known(holder), size)

    # -- asking and fetching ---------------------------------------------------------------------------------------

    def ask(self, steps: list[Step]) -> None:
        """Find out which of the bytes of these FETCH steps the remotes have: what is not remembered, from all at once."""
        unknown = [step.hash for step in steps if step.hash not in self._answers]
        missing = [hash for hash in unknown if not self._remembered(hash)]
        held = set(unknown) - set(missing)
        if missing:
            remotes = self._connections.remotes
            for remote, found, error in over(lambda remote: self._held_by(remote, missing), remotes, threads=len(remotes) or 1):
                if error is not None:
                    self._connections.give_up(remote, error if isinstance(error, RegenError) else RegenError(str(error)))
                    self._connections.failures.setdefault(remote.name, error)
                else:
                    held |= found
        self._answers.update((hash, _HELD if hash in held else _ABSENT) for hash in unknown)

    def _remembered(self, hash: str) -> bool:
        """Whether some remote was last seen to have it; then it is asked for by fetching it."""
        return any(self._connections.known(remote).has(hash) for remote in self._connections.remotes)

    def _held_by(self, remote: Remote, hashes: list[str]) -> set[str]:
        """Git does not wait for the answers of a slow server: what is not known in time is found out by fetching it."""
        seconds = HOOK_PATIENCE if self._hurried else None
        return find_held(self._connections.open(remote), hashes, self._connections.known(remote), seconds=seconds)

    def put_off(self, steps: list[Step]) -> None:
        """Leave all that could be fetched for later: it would take longer than git is made to wait."""
        self._answers.update((step.hash, _LATER) for step in steps if self._answers.get(step.hash) == _HELD)

    def coming(self, steps: list[Step]) -> list[Step]:
        """Those of these FETCH steps that a remote has."""
        return [step for step in steps if self._answers.get(step.hash) == _HELD]

    def fetch(self, steps: list[Step], on_change: Callable[[Meter], None] | None = None) -> None:
        """Bring the bytes of these FETCH steps into the stores. RegenError where they cannot be stored."""
        wanted = [Bytes(step.path, step.hash, step.size, self._trees.get(step.hash, False)) for step in steps]
        failed = Fetching(self._ws, self._connections, Meter(on_change)).assets(wanted)
        self.failed.update(failed)
        self._answers.update((step.hash, _ABSENT) for step in steps if step.path in failed)
        self.fetched.update(step.path for step in steps if step.path not in failed)

    # -- afterwards ------------------------------------------------------------------------------------------------

    @property
    def unreachable(self) -> list[RegenError]:
        """An error for each remote that was given up."""
        return list(self._connections.failures.values())

    def merge(self, first: Outcome, second: Outcome) -> Outcome:
        """The outcome of both syncs. What came as it should not have (wrong bytes, no manifest), or was refused by a remote that
        is there, has failed, and is not just missing."""
        kinds = (CorruptionError, InvalidError) if self._connections.failures else (CorruptionError, InvalidError, RemoteError)
        wrong = {path: error for path, error in self.failed.items() if isinstance(error, kinds)}
        steps = [step for step in second.plan.steps if step.action != REFUSE or step.path not in wrong]
        refused = {step.path for step in second.plan.of(REFUSE)}
        failed = second.failed | {path: error for path, error in wrong.items() if path in refused}
        done = [step._replace(action=FETCH) if step.path in self.fetched else step for step in second.done]
        notices = list(dict.fromkeys([*first.plan.notices, *second.plan.notices]))
        plan = Plan(first.done + steps, kept=second.plan.kept, notices=notices)
        return Outcome(plan, first.done + done, failed)

    def close(self) -> None:
        self._connections.close()


def far_sources(ws: Workspace, *, by_hand: bool, hurried: bool) -> FarSources | None:
    """What a sync may fetch from; None where `checkout.missing` leaves things missing, or no remote is active. InvalidError.

    by_hand: the user asked for this sync, which fetches whatever `checkout.missing` says.
    """
    policy = ws.settings.get("checkout.missing")
    remotes = active_remotes(ws)
    if not remotes or (policy == "leave" and not by_hand):
        return None
    return FarSources(ws, remotes, only=policy == "fetch" and not by_hand, hurried=hurried)
