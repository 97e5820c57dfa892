"""What a recording was made from: each input's bytes, as they were when it was named."""

from __future__ import annotations

from collections.abc import Mapping

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.facts import facts_of_recipe
from regen_vcs.model.paths import relative_input, sidecar_of
from regen_vcs.model.recipe import Recipe


class InputHashes:
    """{(name, target): BLAKE3} of the inputs seen so far."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def note(self, ws: Workspace, asset: str, targets: Mapping[str, str]) -> dict[str, str]:
        """{name: BLAKE3} of these inputs; what was noted before stays as it was then.

        RegenError where one is missing or pending, or shows other bytes than the accepted ones: an asset counts by
        its accepted hash, so what was really read would not be what the key says.
        """
        new = {name: target for name, target in targets.items() if (name, target) not in self._known}
        if new:
            snapshot = look(ws, paths=set(new.values()))
            snapshot.inputs.from_disk = True
            _preload(snapshot, asset, new)
            for name, target in new.items():
                self._known[name, target] = _hash_of(snapshot, name, target)
        return {name: self._known[name, target] for name, target in targets.items()}


def _preload(snapshot: Snapshot, asset: str, targets: Mapping[str, str]) -> None:
    """One call of git for all of them."""
    inputs = {name: relative_input(sidecar_of(asset), target) for name, target in targets.items()}
    facts = facts_of_recipe(Recipe(generator="x", inputs=inputs), asset)
    snapshot.inputs.preload([Desired(asset, facts, None, "", False, False, False)])


def _hash_of(snapshot: Snapshot, name: str, target: str) -> str:
    digest = snapshot.inputs.hash_of(target)
    if digest is None:
        raise RegenError(f"inputs.{name}: {target} is missing, or was never made", "make it first, and name it then")
    if snapshot.inputs.is_asset(target):
        seen, row = snapshot.seen(target), snapshot.ws.state.rows.get(target, EMPTY_ROW)
        is_same_content = row.stand_in == "equal" and seen.hash == row.disk_hash
        if seen.hash != digest and not is_same_content:
            raise RegenError(
                f"inputs.{name}: what is on disk is not the accepted take of {target}",
                f"take it: regen-vcs accept {target} (a source asset: add), or bring the accepted one: regen-vcs fetch {target}",
            )
    return digest
