"""Proofs: that an output of a key came out again, on this machine, under what the machine is made of now.

What gc may evict rests on them. Only a run of this machine makes one: `verify`, or the run of a built-in generator that is
exact (engine/showing.py). Records, sidecars and remotes may claim what they like.

A run, of whatever kind, that gave something else withdraws every proof under the same conditions, for good: what came out differently once
may do so again. Under other conditions (another version, model, machine) nothing is known, and nothing is proven.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from collections import namedtuple

from regen_vcs.engine.conditions import conditions_again
from regen_vcs.engine.config import config_dir
from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.trust import untrusted_items
from regen_vcs.errors import RegenError
from regen_vcs.platform.machine import machine_name
from regen_vcs.stores.proof_log import Observation, ProofLog

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from regen_vcs.engine.workspace import Workspace

# What a run has shown of an accepted output. MADE: it is the run of an exact built-in itself; TRIED: it could not be run to
# its end, which shows nothing but when it was tried.
BYTES, CONTENT, DIFFERENT, MADE, TRIED = "bytes", "content", "different", "made", "tried"

# Seconds for which machine, generators and models are taken for what they were when they were last looked at.
_FRESH = 60.0

# kind: BYTES, or CONTENT (what is decoded is the same, its bytes are not). seconds, cost: of the run that showed it; cost is
# dollars or None. at: when. own_run: nothing but the run that made it, of an exact built-in.
Proof = namedtuple("Proof", ("kind", "seconds", "cost", "at", "own_run"))


class Proofs:
    """What this machine has proven, asked for any number of outputs. Used from any thread.

    A definition counts as the workspace's regen.toml and index have it now: sync would not run any other.
    """

    def __init__(self, ws: Workspace):
        self._ws = ws
        self._settings, self._environ = ws.settings, ws.environ
        secret_path = os.path.join(config_dir(ws.environ), "proofs.key")
        self._log = ProofLog(ws.stores.keep.root, secret_path, machine_name())
        self._guard = allocate_lock()
        self._definitions: Definitions | None = None
        self._looked_at = -_FRESH
        self._holding: dict[str, str | None] = {}  # {id of conditions: BYTES, CONTENT or None: what they let a proof say now}

    def of(self, key: str, output_hash: str) -> Proof | None:
        """The proof that counts now; None where there is none. InvalidError where the user's key of proofs cannot be relied on."""
        with self._guard:
            holding = [(each, self._hold(each.conditions)) for each in self._log.observations(key, output_hash)]
        found = None
        for each, holds in holding:
            if holds is None or each.outcome == TRIED:
                continue
            if each.outcome == DIFFERENT:
                return None
            kind = CONTENT if CONTENT in (each.outcome, holds) else BYTES
            if found is None or kind == BYTES or found.kind == CONTENT:
                found = Proof(kind, each.seconds, each.cost, each.at, each.outcome == MADE)
        return found

    def last_looked(self, key: str, output_hash: str) -> Observation | None:
        """The last time this output was verified or made here, whatever came of it and under whatever conditions."""
        with self._guard:
            found = self._log.observations(key, output_hash)
        return found[-1] if found else None

    def differed(self, key: str, output_hash: str) -> str | None:
        """When it came out differently under what holds now; None where it never did."""
        with self._guard:
            found = self._log.observations(key, output_hash)
            return next((each.at for each in found if each.outcome == DIFFERENT and self._hold(each.conditions)), None)

    def record(self, key: str, output_hash: str, outcome: str, conditions: dict, seconds: float, cost: float | None = None) -> None:
        """Note what a run that has just ended here has shown of an output. RegenError where it cannot be written."""
        with self._guard:
            self._log.add(key, output_hash, outcome, conditions, seconds, cost)

    def check_key(self) -> None:
        """InvalidError where the user's key of proofs cannot be relied on, so that nothing could be asked or noted."""
        with self._guard:
            self._log.observations("", "")

    def _hold(self, name: str) -> str | None:
        now = time.monotonic()
        if now - self._looked_at > _FRESH:
            self._holding.clear()
            self._definitions, self._looked_at = None, now
        if name not in self._holding:
            self._holding[name] = self._compare(self._log.conditions(name))
        return self._holding[name]

    def _compare(self, then: dict | None) -> str | None:
        """What a proof under these conditions says now: BYTES, of an exact built-in with another encoder CONTENT, or None."""
        if then is None:
            return None
        try:
            if self._definitions is None:
                self._definitions = Definitions(self._ws)
            name = then["generator"]
            # First: asking a server what it is already sends it the user's key.
            if untrusted_items(self._ws, self._definitions, name):
                return None
            definition, table = self._definitions.current(name), self._definitions.table(name) if ":" in name else {}
            now = conditions_again(self._settings, self._environ, then, definition, table)
        except (RegenError, OSError, KeyError, TypeError, AttributeError):
            return None  # it cannot be run here now
        if now == then:
            return BYTES
        same_content = now["exact"] and {**now, "settings": None} == {**then, "settings": None}
        return CONTENT if same_content else None


def proof_of(ws: Workspace, key: str, output_hash: str) -> Proof | None:
    """The proof, counting now and on this machine, that running `key` gives `output_hash` again; None where there is none.

    Its inputs are not looked at: neither whether they can be had, nor, where they are instructions, whether they are
    trusted. InvalidError as `Proofs.of`.
    """
    return ws.proofs.of(key, output_hash)


def record_proof(
    ws: Workspace, key: str, output_hash: str, outcome: str, conditions: dict, seconds: float, cost: float | None = None
) -> None:
    """Note what a run that has just ended here has shown: BYTES, CONTENT, DIFFERENT, MADE or TRIED. RegenError.

    conditions: of that run, as `conditions.conditions_of` gave them before it began.
    """
    ws.proofs.record(key, output_hash, outcome, conditions, seconds, cost)
