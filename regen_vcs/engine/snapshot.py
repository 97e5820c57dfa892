"""One look at the worktree: what should be, what is, and what is known of keys and stores. Every verb begins with one. Hot path."""

from __future__ import annotations

from collections.abc import Iterable

from regen_vcs.engine.desired import DesiredTree, read_desired
from regen_vcs.engine.keys import Inputs
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.observe import observe, own_part
from regen_vcs.engine.planner import ABSENT, Observed
from regen_vcs.engine.workspace import Workspace

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from regen_vcs.engine.definitions import Definitions
    from regen_vcs.engine.in_place import Asset


class Snapshot:
    """One look at the worktree: what should be, what is, what is known of keys and stores."""

    def __init__(self, ws: Workspace, tree: DesiredTree):
        self.ws = ws
        self.assets = tree.assets
        self.listing, self.settled, self.refused = tree.listing, tree.settled, tree.refused
        self.in_place: dict[str, Asset] = {}  # those of `assets` that are of the second layout: in_place_snapshot.include
        self.observed: dict[str, Observed] = {}
        self.inputs = Inputs(ws.repo, ws.state, ws.memo, tree.assets, ws.settings.roots())

        self._definitions = None
        self._definitions_on_disk = None

    def seen(self, path: str) -> Observed:
        return self.observed.get(path, ABSENT)

    def observe(self, paths: Iterable[str]) -> None:
        """Look at what lies at these assets' paths."""
        state = self.ws.state
        root, stores, rows, seen_at = self.ws.root, self.ws.stores, state.rows, state.saved_at_ns
        for path in paths:
            seen = self.observed[path] = observe(root, path, rows.get(path, EMPTY_ROW), seen_at, stores)
            if state.intended:
                state.adopt(path, seen.hash, seen.files)

    @property
    def definitions(self) -> Definitions:
        """What regen.toml defines, parsed only where a recipe needs it."""
        if self._definitions is None:
            from regen_vcs.engine.definitions import Definitions

            self._definitions = Definitions(self.ws)
        return self._definitions

    @property
    def definitions_on_disk(self) -> Definitions:
        """The same, with the code as it lies in the worktree: what tells whether a recipe is stale."""
        if self._definitions_on_disk is None:
            from regen_vcs.engine.definitions import Definitions

            self._definitions_on_disk = Definitions(self.ws, from_disk=True)
        return self._definitions_on_disk


def look(ws: Workspace, *, paths: set[str] | None = None, also: set[str] = frozenset()) -> Snapshot:
    """Read sidecars and disk. `paths` limits the look at the disk to these assets (the filter's notes)."""
    state = ws.state
    tree = read_desired(ws.repo, state, ws.memo, also=also)
    snapshot = Snapshot(ws, tree)
    known = (tree.assets.keys() | state.rows.keys() | state.intended.keys()) - tree.refused
    snapshot.observe(known if paths is None else known & paths)
    _leave_others_files(snapshot, tree.git_paths)
    return snapshot


def _leave_others_files(snapshot: Snapshot, git_paths: set[str]) -> None:
    """An asset whose sidecar is gone has no claim to files that are git's, or another asset's by now."""
    observed = snapshot.observed
    orphans = [path for path, seen in observed.items() if path not in snapshot.assets and seen.kind == "present"]
    if not orphans:
        return
    taken = git_paths.union(*(seen.files for path, seen in observed.items() if path in snapshot.assets))
    for path in orphans:
        row = snapshot.ws.state.rows.get(path, EMPTY_ROW)
        observed[path] = own_part(path, observed[path], row, taken)
