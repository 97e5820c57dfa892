"""Making accepted bytes again to see whether they come out: into scratch, and nothing of it is kept.

The same production path as a regeneration (inputs by hash, trust, the runner's child process), but what comes out is
compared and thrown away: no take, no record, and neither worktree nor sidecar nor accepted bytes are touched.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from regen_vcs.engine import frames
from regen_vcs.engine.comparing import Comparison, TreeComparison, compare_file
from regen_vcs.engine.conditions import conditions_of
from regen_vcs.engine.executors import executor_for
from regen_vcs.engine.observe import member_name
from regen_vcs.engine.production import Run
from regen_vcs.engine.take_filing import JobFailed, Order
from regen_vcs.generators import registry
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import frames_text, parse_sequence

# What one run of a sequence may put into scratch: fewer frames at once cost more starts, not more work.
_SCRATCH_BYTES = 4 << 30

# comparison: engine.comparing. conditions: it ran under. here: whether this machine made it, and no executor. cost: dollars
# or None.
Remade = namedtuple("Remade", ("order", "comparison", "conditions", "seconds", "cost", "here"))


class Remaking(Run):
    """One order, made again; `take` gives a `Remade`."""

    fresh = True

    def take(self) -> Remade:
        order = self._order
        self._check_wanted()
        conditions = conditions_of(
            self._ws.settings, self._ws.environ, order.recipe, order.table, on_bytes=lambda count: self._check_wanted()
        )
        generator = registry.load(order.recipe.generator, order.table or None)
        self._seconds, self._costs = 0.0, []
        comparison = self._compare(order, generator)
        here = executor_for(self._ws.settings, order) is None
        return Remade(order, comparison, conditions, self._seconds, sum(self._costs) if self._costs else None, here)

    def _compare(self, order: Order, generator) -> Comparison:
        accepted = order.recipe.output
        if accepted.files is None and accepted.frames is None:
            with self._made(order, generator) as files:
                if len(files) != 1 or files[0][0]:
                    raise self.failure("it made a folder, and the accepted take is a file", None, None, False)
                return compare_file(self._ws.stores, accepted, files[0][1])
        comparison = TreeComparison(self._ws.stores, accepted)
        for part in self._parts(order, generator):
            with self._made(part, generator) as files:
                comparison.add(files)
        return comparison.result()

    def _parts(self, order: Order, generator) -> list[Order]:
        """The whole, or of what is made frame by frame as many frames at once as scratch should hold."""
        if not frames.applies(generator, order):
            return [order]
        numbers = frames.numbers_in(order.recipe.params["frames"])
        each = order.recipe.output.size // max(1, len(numbers))
        room = max(1, _SCRATCH_BYTES // max(1, each))
        return [_with_frames(order, numbers[at : at + room]) for at in range(0, len(numbers), room)]

    @contextmanager
    def _made(self, order: Order, generator) -> Iterator[list[tuple[str, str, int]]]:
        """The files of one run, for as long as its scratch folder is there: [(name as in a manifest, absolute path, bytes)]."""
        with Scratch(os.path.join(self._ws.settings.get("cacheDir"), "scratch")) as scratch:
            result, seconds, _ = self.run_in(scratch, order, generator)
            self._note_run(seconds, order.table.get("cost") if result.cost is None else result.cost)
            if not result.ok:
                raise self.failure(result.reason, result.hint, None, result.transient)
            found = collect_output(scratch, order.path)
            if parse_sequence(order.path):
                found = [(member_name(order.path, name), path, size) for name, path, size in found]
            yield found

    def _note_run(self, seconds: float, cost: float | None) -> None:
        self._seconds += seconds
        if cost is not None:
            self._costs.append(cost)

    def store_log(self, log: bytes) -> None:
        """Nothing of it is kept; what it failed of, its last line says."""

    def failure(self, reason: str, hint: str | None, log: str | None, transient: bool) -> JobFailed:
        return JobFailed(f"{self._order.path}: {reason}", hint, log, transient)


def _with_frames(order: Order, numbers: list[int]) -> Order:
    """The order for these frames alone; its key too, for an executor checks it."""
    recipe = replace(order.recipe, params={**order.recipe.params, "frames": frames_text(numbers)})
    key = compute_key(recipe, order.path, {name: found for name, (_, found, _) in order.inputs.items()})
    return order._replace(recipe=recipe, key=key)
