"""What could run in this repository and has not been trusted yet: what `trust` shows and asks.

Two versions of it count: what is on disk, which the user's own verbs run, and what is in the index, which hooks
run. Mostly they are the same bytes, and then nothing stands twice.
"""

from __future__ import annotations

import json
from collections import namedtuple

from blake3 import blake3

from regen_vcs import __version__
from regen_vcs.engine.in_place_snapshot import look_at_both, user_look
from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.trust import TrustItem, read_item, repository_items, trust_all, trust_store
from regen_vcs.engine.trust_difference import difference
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.generator_table import can_run_code

# change: "trusted", "new" (nothing was trusted under this path) or "changed"; staged: only the index has these bytes.
Candidate = namedtuple("Candidate", ("item", "change", "staged"))


class Consent:
    """What could run here, looked at once: what is shown is, by hash, what is trusted afterwards."""

    def __init__(self, ws: Workspace):
        self._ws = ws
        disk = user_look(ws)
        self._project = disk.definitions.project
        _validate(ws, self._project)
        self._definitions = disk.definitions
        self._views: dict[TrustItem, Snapshot] = dict.fromkeys(repository_items(disk), disk)
        self._disk = disk
        for item, view in _staged_items(ws).items():
            self._views.setdefault(item, view)
        self._store = trust_store(disk)

    @property
    def problem(self) -> RegenError | None:
        """Why what was trusted before cannot be relied on; None where it can."""
        return self._store.problem

    @property
    def candidates(self) -> list[Candidate]:
        return [Candidate(item, self._change(item), view is not self._disk) for item, view in self._views.items()]

    @property
    def untrusted(self) -> list[TrustItem]:
        return self._store.untrusted(self._views)

    @property
    def digest(self) -> str:
        """A name for all that could run, bytes and places: another one as soon as anything of it is another."""
        named = sorted((each.item.kind, each.item.path, each.item.hash, each.staged) for each in self.candidates)
        return "blake3:" + blake3(json.dumps(named).encode()).hexdigest()

    def generators(self) -> list[dict]:
        """[{"name", "table", "code": repository paths}] of regen.toml's generators that could run or contact something."""
        found = []
        for name in self._project.generator_names():
            table = self._definitions.table(name)
            if can_run_code(table):
                code = sorted(path for path, _ in self._definitions.code(name).values())
                found.append({"name": name, "table": table, "code": code})
        return found

    def suggested_remotes(self) -> dict[str, dict]:
        return self._project.suggested_remotes

    def text_of(self, item: TrustItem) -> str:
        """What is new in an item since it was trusted last, as a diff that is safe to print."""
        try:
            return difference([item], lambda each: read_item(self._views[each], each), self._store.last_trusted)
        except RegenError as error:
            return f"{error.what}\n"

    def give(self) -> list[TrustItem]:
        """Trust everything that was shown; what was not trusted before."""
        fresh = self.untrusted
        for view in dict.fromkeys(self._views.values()):
            trust_all(view, [item for item in fresh if self._views[item] is view])
        return fresh

    def _change(self, item: TrustItem) -> str:
        if not self._store.untrusted([item]):
            return "trusted"
        known = any((each.kind, each.path) == (item.kind, item.path) for each in self._store.items)
        return "changed" if known else "new"


def _validate(ws: Workspace, project: ProjectFile) -> None:
    """The full check of regen.toml, once for the same bytes: the schema library takes twice as long as all the rest."""
    name = f"toml:{__version__}:{project.hash}"
    if ws.memo.get(name) is None:
        project.validate()
        ws.memo.put(name, 1)
        ws.memo.save()


def _staged_items(ws: Workspace) -> dict[TrustItem, Snapshot]:
    """What hooks would run; nothing where the index alone has no valid definition (code that is not added yet)."""
    view = look_at_both(ws)
    try:
        return dict.fromkeys(repository_items(view), view)
    except RegenError:
        return {}


def revoke(ws: Workspace) -> int:
    """Trust nothing of this repository any more; how many items were trusted."""
    return trust_store(look(ws, paths=set())).revoke()
