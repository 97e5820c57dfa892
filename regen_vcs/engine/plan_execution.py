"""A sync's plan, carried out under the worktree's lock: removals, rescues, and what the stores can give. Hot path.

Any process may die at any instant: what it is about to put on disk is noted before, the state file is written last.
"""

from __future__ import annotations

import os
import stat
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.engine.keeping import rescue, store_files
from regen_vcs.engine.memory import EMPTY_ROW, parse_sig, sig_of, sig_text
from regen_vcs.engine.observe import member_path, read_manifest
from regen_vcs.engine.planner import ABSENT, Observed, is_edited
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.plan import FETCH, MATERIALISE, QUEUE, REFUSE, REGENERATE, REMOVE, RESCUE, Plan, Step
from regen_vcs.platform.files import write_error
from regen_vcs.stores import links

Outcome = namedtuple("Outcome", ("plan", "done", "failed"))  # failed: {path: RegenError}


class Executor:
    """Spends a plan. What fails for one asset is noted and does not stop the others.

    keeps_spares: what leaves the worktree unmodified may lie in the spare pool; False: it is to free its room.
    """

    def __init__(self, snapshot: Snapshot, progress: Callable[[Step, int, int], None] | None = None, *, keeps_spares: bool = True):
        self._snapshot = snapshot
        self._keeps_spares = keeps_spares
        self._ws = snapshot.ws
        self._progress = progress
        self._done: list[Step] = []
        self._failed: dict[str, RegenError] = {}
        self._link, self._link_warning = links.choose_link(self._ws.link)

    def execute(self, plan: Plan) -> Outcome:
        acts = {
            REMOVE: self._remove,
            RESCUE: self._rescue,
            MATERIALISE: self._materialise,
        }
        try:
            self._keep_edited()
            self._note_intents(plan)
            for number, step in enumerate(plan.steps):
                act = acts.get(step.action)
                if act is None:
                    continue
                if self._progress:
                    self._progress(step, number, len(plan.steps))
                if step.path in self._failed:
                    continue  # above all a removal whose rescue has failed
                try:
                    act(step)
                    self._done.append(step)
                except (RegenError, OSError) as error:
                    self._failed[step.path] = as_regen_error(step.path, error)
        finally:
            self._count_hits()
            tidy_spare(self._ws)
            self._remember(plan)
        if self._link_warning and any(step.action == MATERIALISE for step in self._done):
            plan.notices.append(self._link_warning)
        return Outcome(plan, self._done, self._failed)

    def _count_hits(self) -> None:
        """What came from a store and would have had to be made."""
        for step in self._done:
            if step.action == MATERIALISE:
                facts = self._snapshot.assets[step.path].facts
                if facts.generator is not None:
                    self._ws.tally.add("hits", facts.generator, 1, facts.out_size)

    # -- looking after edited bytes ------------------------------------------------------------------------------

    def _keep_edited(self) -> None:
        """Every sync that runs anyway stores edited assets, so that git's destructive commands cost little."""
        for path, seen in self._snapshot.observed.items():
            row = self._ws.state.rows.get(path, EMPTY_ROW)
            if seen.kind == "present" and not seen.stored and is_edited(row, seen):
                try:
                    store_files(self._ws, path, seen)
                except (RegenError, OSError):
                    continue  # said again, and refused, by whatever step would replace them

    def _note_intents(self, plan: Plan) -> None:
        """Should we die, what we have put on disk by then is known to be ours. Where that cannot be noted, none is put."""
        steps = plan.of(MATERIALISE)
        if not steps:
            return
        try:
            self._ws.state.intend({step.path: [step.hash, step.hash, ""] for step in steps})
        except OSError as error:
            failure = write_error(error, "noting what this sync does")
            self._failed.update((step.path, failure) for step in steps)

    def _rescue(self, step: Step) -> None:
        rescue(self._ws, step.path, self._snapshot.seen(step.path), step.reason)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _remove(self, step: Step) -> None:
        seen = self._snapshot.seen(step.path)
        self._check_sidecar(step.path)
        for path, found in list(seen.files.items()):
            self._displace(path, found)
        self._drop_folders(seen.files)
        self._set_observed(step.path, ABSENT)

    def _materialise(self, step: Step) -> None:
        desired = self._snapshot.assets[step.path]
        self._check_sidecar(step.path)
        self.bring_in(step.path, step.hash, desired.facts.is_tree)

    def bring_in(
        self, path: str, whole_hash: str, is_tree: bool, *, accepted: str | None = None, stand_in: str = ""
    ) -> None:
        """Put the bytes of `whole_hash` at the asset's path, in place of what was observed there.

        stand_in, accepted: as its row will say, where these bytes are not the accepted ones.
        """
        if path not in self._ws.state.intended:
            self._ws.state.intend({path: [whole_hash, accepted if stand_in else whole_hash, stand_in]})
        wanted = self._wanted_files(path, whole_hash, is_tree)
        files = self._make_way(path, wanted)
        for each, file_hash in wanted.items():
            if each not in files:
                files[each] = [file_hash, self._place(each, file_hash)]
        self._set_observed(path, Observed("present", whole_hash, files, True))

    def _make_way(self, path: str, wanted: dict[str, str]) -> dict[str, list]:
        """Displace what was observed of an asset, but for the files that are wanted as they are: these are returned."""
        seen = self._snapshot.seen(path)
        files: dict[str, list] = {}
        for each, found in seen.files.items():
            if wanted.get(each) == found[0]:
                files[each] = found
            else:
                self._displace(each, found)
        # A folder that lost its last member may be where a file comes now, or nothing.
        self._drop_folders(each for each in seen.files if each != path and each not in wanted)
        for each in wanted:
            if each not in files:
                self._require_free(each)
        return files

    def _wanted_files(self, path: str, whole_hash: str, is_tree: bool) -> dict[str, str]:
        if not is_tree:
            return {path: whole_hash}
        members = read_manifest(self._ws.stores, whole_hash)
        return {member_path(path, member.name): member.hash for member in members}

    def _place(self, path: str, file_hash: str) -> str:
        from_spare = self._ws.spare.take(file_hash, self._ws.tree, path)
        if from_spare is not None:
            return sig_text(from_spare)
        source = self._ws.stores.find(file_hash)
        if source is None:
            raise RegenError(f"{path}: its bytes left the store while they were being brought")
        return sig_text(links.place(source, self._ws.tree, path, link=self._link))

    def _displace(self, path: str, found: list) -> None:
        """Take a file out of the way: into the spare pool, else away. Its bytes are in a store *now*, or go there."""
        file_hash, sig = found
        if not self._ws.stores.has(file_hash):
            self._ws.stores.ingest_file(f"{self._ws.root}/{path}", expect=file_hash)
        if self._keeps_spares and self._ws.spare.put(self._ws.tree, path, file_hash, parse_sig(sig)):
            return
        st = self._ws.tree.stat(path)
        if st is None:
            return
        if sig_of(st) != sig:
            raise RegenError(f"{path}: changed while regen-vcs was at work; it was left alone", "run: regen-vcs sync")
        self._ws.tree.unlink(path)

    def _drop_folders(self, gone: Iterable[str]) -> None:
        """Remove the folders of these files as far as they are empty now."""
        folders = {path.rpartition("/")[0] for path in gone} - {""}
        for folder in sorted(folders, key=len, reverse=True):
            self._ws.tree.remove_empty_dirs(folder)

    def _require_free(self, path: str) -> None:
        """Nothing is where the plan saw nothing: a file saved there meanwhile is somebody's only copy."""
        st = self._ws.tree.stat(path)
        if st is not None and stat.S_ISDIR(st.st_mode):
            self._ws.tree.remove_empty_dirs(path)  # as git does
            st = self._ws.tree.stat(path)
        if st is not None:
            raise RegenError(f"{path}: came to be there while regen-vcs was at work; it was left alone", "run: regen-vcs sync")

    def _check_sidecar(self, path: str) -> None:
        """The sidecar is still the one (or as absent) as when this step was planned."""
        desired = self._snapshot.assets.get(path)
        try:
            current = sig_of(os.lstat(f"{self._ws.root}/{path}.regen.json"))
        except OSError:
            current = None
        if current != (desired.side_sig if desired else None):
            raise RegenError(f"{path}: its sidecar changed meanwhile", "run: regen-vcs sync")

    def _set_observed(self, path: str, seen: Observed) -> None:
        self._snapshot.observed[path] = seen
        self._ws.state.intended.pop(path, None)

    # -- remembering ---------------------------------------------------------------------------------------------

    def _remember(self, plan: Plan) -> None:
        undecided = {step.path for step in plan.of(REFUSE, QUEUE, REGENERATE, FETCH)} | self._failed.keys()
        remember(self._snapshot, undecided)


def as_regen_error(path: str, error: Exception) -> RegenError:
    """What went wrong with an asset, as the outcome has it."""
    return error if isinstance(error, RegenError) else RegenError(f"{path}: {getattr(error, 'strerror', None) or error}")


def tidy_spare(ws: Workspace) -> None:
    """Write down what was put into the spare pool, and shrink it; nothing if it was not touched."""
    ws.spare.evict(ws.spare.limit_bytes, ws.stores.has, ws.stores.ingest_file)
