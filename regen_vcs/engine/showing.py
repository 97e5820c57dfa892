"""What an ordinary run shows: that of an exact built-in proves its own take; any other withdraws what was proven where it gave
something else than the accepted bytes.

Where it gives the same bytes again it proves nothing: a server may have had them in its memory. Only `verify` makes sure that
nobody remembers. What an executor brought back says nothing of this machine.
"""

from __future__ import annotations

from contextlib import suppress

from regen_vcs.engine.conditions import conditions_of
from regen_vcs.engine.executors import executor_for
from regen_vcs.engine.placing import place
from regen_vcs.engine.proofs import DIFFERENT, MADE
from regen_vcs.engine.take_filing import Order, Take
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.generators import registry


def note_shown(ws: Workspace, order: Order, take: Take) -> None:
    """Note what a run that has just made this take here has shown. Never why a run fails."""
    with suppress(RegenError, OSError):
        if executor_for(ws.settings, order) is None:
            _note(ws, order, take)


def _note(ws: Workspace, order: Order, take: Take) -> None:
    accepted = order.recipe.output
    differs = accepted is not None and accepted.key == order.key and not _is_same(take, accepted)
    exact = registry.is_exact_built_in(order.recipe.generator)
    if not (exact or differs):
        return
    conditions = conditions_of(ws.settings, ws.environ, order.recipe, order.table)
    cost = take.record.get("cost")
    if exact:
        ws.proofs.record(order.key, take.hash, MADE, conditions, take.seconds, cost)
    if differs:
        ws.proofs.record(order.key, accepted.hash, DIFFERENT, conditions, take.seconds, cost)
        place(ws, accepted.hash, None)


def _is_same(take: Take, accepted) -> bool:
    """In bytes or, as the recipe says, in content: enough to leave a proof alone, not to make one."""
    return take.hash == accepted.hash or (take.output.content is not None and take.output.content == accepted.content)
