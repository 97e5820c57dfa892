"""What `fetch` brings from remotes into the stores: accepted bytes of this worktree and of other commits, and offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from regen_vcs.engine.accepted import LOCAL_REFS, accepted_at
from regen_vcs.engine.connections import Connections
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.offers import Offer, offers_for
from regen_vcs.engine.remotes import active_remotes, remote_named
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.status import survey
from regen_vcs.engine.transfer import Bytes, Fetching, Meter
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError


class FetchingAfar:
    """The remotes of one `fetch`, for a `with`. remote: the only one that is asked; None: all, in order."""

    def __init__(self, ws: Workspace, remote: str | None, on_change: Callable[[Meter], None] | None):
        remotes = active_remotes(ws) if remote is None else [remote_named(ws, remote)]
        self._ws = ws
        self._connections = Connections(ws, remotes)
        self._fetching = Fetching(ws, self._connections, Meter(on_change))

    @property
    def unreachable(self) -> list[RegenError]:
        return list(self._connections.failures.values())

    def bring(self, needy: Iterable[Desired]) -> dict[str, RegenError]:
        """Accepted bytes that no store here has; {asset: why not}."""
        wanted = [
            Bytes(each.path, each.facts.out_hash, each.facts.out_size, each.facts.is_tree)
            for each in needy if not has_all(self._ws.stores, each.facts.out_hash, each.facts.is_tree)
        ]
        return self._fetching.assets(wanted)

    def bring_all_refs(self, wanted: Callable[[str], bool]) -> tuple[int, dict[str, RegenError]]:
        """What every local branch and tag accepts: (how many came, {asset: why not}). What nobody has but can be made is no failure."""
        accepted = accepted_at(self._ws, LOCAL_REFS, wanted)
        lacking = [each for each in accepted if not has_all(self._ws.stores, each.hash, each.is_tree)]
        errors = self._fetching.assets(Bytes(each.path, each.hash, each.size, each.is_tree) for each in lacking)
        made = {each.path for each in lacking if not each.is_source}
        failed = {path: error for path, error in errors.items() if path not in made or error.kind != RegenError.kind}
        return len(lacking) - len(errors), failed

    def propose(self, wanted: Callable[[str], bool], states: Iterable[str]) -> list[str]:
        """Show what the remotes offer for recipes in these states, as stand-ins; the assets that show one now."""
        found = survey(self._ws)
        waiting = {each.path: each.key for each in found.statuses if each.state in states and each.key and wanted(each.path)}
        if not waiting or not self._connections.remotes:
            return []
        offers = offers_for(self._ws, self._connections, waiting.values())
        brought = {}
        with self._ws.stores.relying():  # until a row of the worktree's state names these bytes, nothing does
            for path, key in waiting.items():
                offer = self._first_that_comes(path, offers.get(key, []))
                if offer is not None:
                    brought[path] = offer
            return self._show(found.snapshot, brought) if brought else []

    def _first_that_comes(self, path: str, offers: list[Offer]) -> Offer | None:
        for offer in offers:
            is_tree = offer.output.is_tree
            if not self._fetching.assets([Bytes(path, offer.output.hash, offer.output.size, is_tree)]):
                return offer
        return None

    def _show(self, snapshot, brought: dict[str, Offer]) -> list[str]:
        # Generators come with it: only where there is something to show.
        from regen_vcs.engine.settling import settle
        from regen_vcs.engine.take_filing import Order, Take

        batch = []
        for path, offer in brought.items():
            recipe = snapshot.inputs.recipe_of(snapshot.assets[path])
            order = Order(path, recipe, offer.key, {}, {}, {}, "")
            batch.append((path, Take(order, offer.output, 0.0, True, {})))
        return [made.path for made in settle(self._ws, snapshot, batch, by_user=False) if made.verdict == "proposed"]

    def __enter__(self) -> FetchingAfar:
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()
