"""A project: one worktree of a repository, and everything the command line does with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from regen_vcs.api.following import CancelToken, Following, Progress
from regen_vcs.api.results import (
    CANCELLED,
    AssetStatus,
    RegenerationPriority,
    Result,
    Selection,
    SyncReport,
    failure_of,
    selection_of,
)
from regen_vcs.engine.accept import accept
from regen_vcs.engine.affected import affected_by, affected_since
from regen_vcs.engine.checkout import check_out, missing_line
from regen_vcs.engine.choosing import choose_to_make, chosen_by, with_recipes
from regen_vcs.engine.fetching import fetch
from regen_vcs.engine.graph import build_graph, dependants_of
from regen_vcs.engine.memory import State
from regen_vcs.engine.provenance import describe
from regen_vcs.engine.status import survey, survey_all
from regen_vcs.engine.sync import BY_HAND
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError, Withdrawn
from regen_vcs.model.dependency_graph import Affected, Graph
from regen_vcs.model.plan import Plan

if TYPE_CHECKING:
    from regen_vcs.api.queue import RegenerationQueue, RegenerationTask

AnyPath = str | os.PathLike[str]
OnProgress = Callable[[Progress], object]

_ACCEPTABLE = frozenset({"drifted", "proposed", "modified"})


class Project:
    """One worktree. Use it as a context manager, or `close` it.

    Paths given to its methods are assets or sidecars, absolute or relative to the repository's root; where several are
    taken, folders and globs too. Paths it gives back are relative to the root. Settings are read when it is opened,
    everything else anew in each call. One Project is for one thread at a time: open another for another thread (they may
    be of one repository, as may be any number of commands).
    """

    def __init__(self, path: AnyPath = ".", *, environ: Mapping[str, str] | None = None, base: AnyPath | None = None):
        """path: anywhere in the worktree. base: what relative paths start from, instead of the root. UsageError outside
        of a repository."""
        folder = os.path.abspath(path)
        folder = os.path.dirname(folder) if os.path.isfile(folder) else folder
        self._ws: Workspace | None = Workspace.open(folder, os.environ if environ is None else environ)
        self._base = self._ws.root if base is None else os.path.abspath(base)
        self._in_use = threading.RLock()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is held open. It cannot be used afterwards."""
        if self._ws is not None:
            self._ws.close()
            self._ws = None

    @property
    def workspace(self) -> Workspace:
        """What the engine works on: for this package's own commands. UsageError once it is closed."""
        if self._ws is None:
            raise UsageError("this project is closed", "open it again: regen_vcs.open(path)")
        return self._ws

    @property
    def root(self) -> str:
        """Absolute path of the worktree's top."""
        return self.workspace.root

    # -- looking ---------------------------------------------------------------------------------------------------

    def status(self, paths: Iterable[AnyPath] = ()) -> list[AssetStatus]:
        """The state of every asset, in order of path. UsageError where none of `paths` is anything here."""
        with self._working() as ws:
            wanted = self._test(ws, paths)
            found = [AssetStatus.of(each) for each in survey_all(ws).statuses if wanted(each.path)]
        if not found and not all(os.path.lexists(os.path.join(self._base, each)) for each in _texts(paths)):
            raise UsageError(f"no asset matches {' '.join(_texts(paths))}", "see: regen-vcs status")
        return found

    def show(self, path: AnyPath) -> dict[str, Any]:
        """Recipe, inputs, takes and provenance of one asset: what `regen-vcs show --json` says. RegenError without one."""
        with self._working() as ws:
            return describe(ws, self._path(ws, path))

    def explain(self, path: AnyPath) -> dict[str, Any]:
        """Why it is stale or missing, and what would be done: what `regen-vcs explain --json` says."""
        from regen_vcs.engine.explain import (
            explain,  # generators and their schemas: 0.4 s that most callers need not pay
        )

        with self._working() as ws:
            return explain(ws, self._path(ws, path))

    def graph(self, paths: Iterable[AnyPath] = (), *, up: bool = False, down: bool = False) -> Graph:
        """What is made from what, with states. paths: only these, what they are made from (`up`) and what is made from
        them (`down`); neither said: both. UsageError where none of `paths` is in it."""
        with self._working() as ws:
            graph = build_graph(ws)
            texts = _texts(paths)
            if not texts:
                return graph
            wanted = self._test(ws, texts)
            named = [path for path in graph.nodes if wanted(path) or path in texts]
        if not named:
            raise UsageError(f"no asset or input matches {' '.join(texts)}", "see: regen-vcs graph")
        both = up == down
        return graph.around(named, up=up or both, down=down or both)

    def affected(self, paths: Iterable[AnyPath] = (), *, since: str | None = None) -> list[Affected]:
        """What becomes stale if these change: assets, sidecars, plain inputs, code, folders, globs, generators, regen.toml.
        since: instead of `paths` what differs between a revision and the worktree. UsageError for what is nothing here.
        """
        return self.affected_by(paths, since=since)[1]

    def affected_by(self, paths: Iterable[AnyPath] = (), *, since: str | None = None) -> tuple[list[str], list[Affected]]:
        """As `affected`, with what was taken to change before it."""
        texts = _texts(paths)
        if bool(texts) == (since is not None):
            raise UsageError("affected: by what?", "name what changes, or a revision: regen-vcs affected --since main")
        with self._working() as ws:
            return affected_since(ws, since) if since is not None else affected_by(ws, texts, self._base)

    # -- syncing ---------------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """What `sync` would do. Changes nothing."""
        with self._working() as ws:
            return check_out(ws, BY_HAND, dry_run=True).outcome.plan

    def sync(
        self, *, progress: OnProgress | None = None, cancel: CancelToken | None = None, waiting: Callable[[], None] | None = None,
        fetching: Callable[[Any], object] | None = None,
    ) -> SyncReport:
        """Make the media match the sidecars: accepted takes from the stores and remotes, what is nowhere by its generator.

        waiting: called once if another regen-vcs is at work here. fetching(meter): several times a second while bytes
        come from a remote (engine/transfer.py's Meter). Interrupted where it was cancelled; what was done stays.
        """
        following = Following(0, progress, cancel)
        with self._working() as ws:
            try:
                report = check_out(
                    ws, BY_HAND, progress=following.step, making=following.note, tick=following.tick, waiting=waiting,
                    fetching=fetching,
                )
            except Withdrawn:
                following.reraise()
                raise
        outcome = report.outcome
        made = tuple(Result.of(each) for each in report.made)
        failed = dict(outcome.failed) | {each.path: each.error for each in made if each.error}
        missing = missing_line(outcome, report.made)
        return SyncReport(outcome.plan, tuple(outcome.done), made, failed, missing, tuple(report.unreachable))

    def fetch(self, paths: Iterable[AnyPath] = (), *, force: bool = False) -> list[Result]:
        """Bring accepted takes back from the stores and remotes, without a generator. paths: none are all of the working
        set; what is named comes even from outside of it. force: also over edited files, which are rescued."""
        with self._working() as ws:
            texts = _texts(paths)
            found = fetch(ws, self._test(ws, texts), force=force, named=bool(texts))
        return [
            Result(each.path, "failed" if each.error else each.verdict, error=failure_of(each.path, each.error) if each.error else None)
            for each in found
        ]

    def accept(self, paths: Iterable[AnyPath], *, min_score: float | None = None) -> list[Result]:
        """Make what is on disk (drifted, proposed, modified) the accepted output. min_score: only what is so like it, 0..1."""
        with self._working() as ws:
            wanted = self._test(ws, paths)
            chosen = [each for each in survey(ws).statuses if wanted(each.path) and each.state in _ACCEPTABLE]
            return [self._accept(ws, each.path, each.on_disk, min_score) for each in chosen]

    def _accept(self, ws: Workspace, path: str, on_disk: str | None, min_score: float | None) -> Result:
        try:
            accept(ws, path, min_score=min_score)
        except RegenError as error:
            return Result(path, "failed", error=failure_of(path, error))
        return Result(path, "accepted", on_disk)

    # -- recipes ---------------------------------------------------------------------------------------------------

    def generate(
        self, path: AnyPath, generator: str | None = None, *, run: bool = True, progress: OnProgress | None = None,
        cancel: CancelToken | None = None, **recipe: Any,
    ) -> Result:
        """Write a recipe beside `path` (see `write_recipe`, which takes the rest) and make the asset.

        run: False writes the recipe only. What goes wrong when it is made is raised (RegenerationError, NotTrusted, …), and
        the recipe stays; cancelled: a Result that says so.
        """
        with self._working() as ws:
            asset = self.write_recipe(path, generator, **recipe)
            if not run:
                return Result(asset, "written", warning=_making().refresh_recipe(ws, asset))
            result = list(self.make(Selection((asset,)), progress=progress, cancel=cancel))[-1]
        if result.error is not None and result.verdict != CANCELLED:
            raise result.error
        return result

    def write_recipe(
        self, path: AnyPath, generator: str | None = None, *, params: Mapping[str, Any] | None = None,
        param_texts: Mapping[str, str] | None = None, inputs: Mapping[str, AnyPath] | None = None,
        models: Mapping[str, str] | None = None, tags: Iterable[str] = (), meta: Mapping[str, Any] | None = None,
    ) -> str:
        """Write a recipe beside `path`; the asset's path from the root. What the sidecar held beside the recipe stays.

        generator: a built-in or "command:NAME" of regen.toml; None: as the settings say. params: {name: value};
        param_texts: the same as somebody typed them, which the generator's schema gives a type. inputs: {name: path or
        "@root/…"}. models: {role: alias in regen.toml}. tags, meta: noted in the sidecar.
        InvalidError, UsageError: nothing was written.
        """
        with self._working() as ws:
            asset = self._path(ws, path)
            notes = dict(meta or {}) | ({"tags": sorted(tags)} if tags else {})
            targets = self._input_targets(ws, inputs)
            _making().compose_recipe(ws, asset, generator, params, param_texts, targets, models, notes)
            return asset

    def set(
        self, path: AnyPath, params: Mapping[str, Any] | None = None, *, param_texts: Mapping[str, str] | None = None,
        inputs: Mapping[str, AnyPath] | None = None, models: Mapping[str, str] | None = None, unset: Iterable[str] = (),
    ) -> list[str]:
        """Change a recipe; a line for each change. The accepted output stays: it is stale now."""
        with self._working() as ws:
            asset = self._path(ws, path)
            targets = self._input_targets(ws, inputs)
            return _making().change_recipe(ws, asset, params, param_texts, targets, models, list(unset))

    def _input_targets(self, ws: Workspace, inputs: Mapping[str, AnyPath] | None) -> dict[str, str]:
        texts = {name: os.fspath(value) for name, value in (inputs or {}).items()}
        return {name: text if text.startswith("@") else ws.asset_arg(text, self._base) for name, text in texts.items()}

    # -- making ----------------------------------------------------------------------------------------------------

    def select(
        self, paths: Iterable[AnyPath] = (), *, missing: bool = False, stale: bool = False, everything: bool = False,
        with_dependents: bool = False, force: bool | None = None,
    ) -> Selection:
        """What `regenerate` would make: of `paths` (or of all) what is missing, or stale, pending or failed; nothing said:
        both, and all that is named in `paths`.

        with_dependents: and what is made from these. force: make them even if nothing has changed; None: what was
        named, or everything, is. UsageError where no asset with a recipe matches.
        """
        texts = _texts(paths)
        with self._working() as ws:
            found = survey(ws)
            possible = with_recipes(found.statuses, self._test(ws, texts))
            if texts and not possible:
                raise UsageError(f"no asset matches {' '.join(texts)}", "see: regen-vcs status")
            chosen = choose_to_make(possible, missing=missing, stale=stale, everything=everything, named=bool(texts))
            names = [each.path for each in chosen]
            more = dependants_of(found.snapshot, names) if with_dependents else []
        named_only = bool(texts) and not (missing or stale)
        return selection_of(names, more, forced=everything or named_only if force is None else force)

    def regenerate(
        self, paths: Iterable[AnyPath] = (), *, missing: bool = False, stale: bool = False, everything: bool = False,
        with_dependents: bool = False, force: bool | None = None, frames: Iterable[int] = (), jobs: int | None = None,
        progress: OnProgress | None = None, cancel: CancelToken | None = None,
    ) -> list[Result]:
        """Run generators, dependencies first: `make` what `select` chooses. A failure stops nothing else."""
        chosen = self.select(
            paths, missing=missing, stale=stale, everything=everything, with_dependents=with_dependents, force=force
        )
        return list(self.make(chosen, frames=frames, jobs=jobs, progress=progress, cancel=cancel))

    def make(
        self, chosen: Selection | Iterable[AnyPath], *, frames: Iterable[int] = (), jobs: int | None = None,
        progress: OnProgress | None = None, cancel: CancelToken | None = None,
    ) -> Iterator[Result]:
        """Run the generators of these assets; yields what became of each as it happens.

        frames: of sequences that are made frame by frame, only these again. jobs: how many at once; None: as the
        settings say. progress(Progress): called in this thread. What it raises ends everything.
        cancel: once it is set, everything that runs is ended within 2 s, the rest is taken back out of the queue, and
        each of them has a result "cancelled". On ^C the rest stays in the queue instead.
        """
        with self._working() as ws:
            yield from _making().make_selection(ws, self._selection(ws, chosen), tuple(frames), jobs, progress, cancel)

    @property
    def queue(self) -> RegenerationQueue:
        """The repository's queue of regenerations."""
        from regen_vcs.api.queue import (
            RegenerationQueue,  # SQLite and the generators: see _making
        )

        return RegenerationQueue(self)

    def enqueue(
        self, chosen: Selection | Iterable[AnyPath], *, priority: RegenerationPriority = RegenerationPriority.USER_REQUESTED,
        force: bool = False, start: bool | None = None,
    ) -> list[RegenerationTask]:
        """Leave these to a worker. start: whether to start one in the background; None: as `checkout.background` says."""
        with self._working() as ws:
            selection = self._selection(ws, chosen)
            return self.queue.add_tasks(
                selection.paths, priority, force=force or selection.forced, followers=selection.followers, start=start
            )

    # -- inside ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _working(self) -> Iterator[Workspace]:
        """The workspace, knowing what others have done since; remembered is what was computed meanwhile."""
        if not self._in_use.acquire(blocking=False):
            raise UsageError("this Project is in use in another thread", "open one for each thread: regen_vcs.open(path)")
        try:
            ws = self.workspace
            ws.tree.close()  # what was a folder may be another one by now
            if State(ws.repo.state_dir, load=False).saved_at_ns != ws.state.saved_at_ns:
                ws.reload_state()
            try:
                yield ws
            finally:
                ws.memo.save()
        finally:
            self._in_use.release()

    def _path(self, ws: Workspace, path: AnyPath) -> str:
        return ws.asset_arg(os.fspath(path), self._base)

    def _selection(self, ws: Workspace, chosen: Selection | Iterable[AnyPath]) -> Selection:
        if isinstance(chosen, Selection):
            return chosen
        return Selection(tuple(dict.fromkeys(self._path(ws, each) for each in _texts(chosen))))

    def _test(self, ws: Workspace, paths: Iterable[AnyPath]) -> Callable[[str], bool]:
        return chosen_by(ws, _texts(paths), self._base)


def _making() -> ModuleType:
    """Generators and their schemas take 0.4 s to load: only where something is composed or made."""
    from regen_vcs.api import making

    return making


def _texts(paths: Iterable[AnyPath]) -> list[str]:
    if isinstance(paths, str | os.PathLike):  # the slip that takes a path for its letters
        paths = [paths]
    return [os.fspath(each) for each in paths]
