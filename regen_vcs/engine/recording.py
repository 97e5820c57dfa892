"""Recording: somebody else's code makes an asset, and recipe, bytes and take are filed in one step.

The code writes into a scratch folder, so that a failure leaves the earlier file and its sidecar as they were. Nothing
is locked while it runs. What it was made from counts as it was when it began: an input edited meanwhile makes the
asset stale at once, which is the truth.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from regen_vcs.engine import in_place
from regen_vcs.engine.compose import Composer, check_new_asset
from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.filing import file_output
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.keeping import rescue
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.plan_execution import Executor, tidy_spare
from regen_vcs.engine.planner import is_edited
from regen_vcs.engine.recipe_changes import refuse_cycle
from regen_vcs.engine.recorded_inputs import InputHashes
from regen_vcs.engine.remembering import remember
from regen_vcs.engine.sidecars import has_sidecar, read_sidecar, write_sidecar
from regen_vcs.engine.snapshot import Snapshot, look
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.takes import record_of_output
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.generators import registry
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.git import version
from regen_vcs.model.key import compute_key
from regen_vcs.model.param_values import is_path, plain_params, plain_value
from regen_vcs.model.paths import frame_path, parse_sequence
from regen_vcs.model.recipe import Model, Output, Recipe, recipe_bytes
from regen_vcs.model.secrets import find_secret

_MODEL_FIELDS = frozenset({"hash", "name", "version"})


class Recording:
    """One asset being made. A context manager, with `async with` too; the fields below may be changed inside it.

    path: absolute; where to write, a file or folder of that name, or a sequence's pattern. asset: the path it gets.
    params, meta: values as `model/param_values.py` takes them. inputs: {name: path or "@root/…"}.
    models: {role: alias in regen.toml, or {"hash", "name", "version"}}. agent, task, tool: who made it, and for what.
    output, key: what was filed; None until then.
    """

    def __init__(
        self, path: str | os.PathLike, *, generator: str, params: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None, models: Mapping[str, Any] | None = None, agent: str | None = None,
        task: str | None = None, tool: str | None = None, meta: Mapping[str, Any] | None = None, version: str = "",
        function: str | None = None, exclude: Iterable[str] = (), allow: Iterable[str] = (),
        environ: Mapping[str, str], cwd: str,
    ):
        self.params, self.inputs, self.models = dict(params or {}), dict(inputs or {}), dict(models or {})
        self.meta = dict(meta or {})
        self.agent, self.task, self.tool = agent, task, tool
        self.path, self.asset = "", ""
        self.output: Output | None = None
        self.key: str | None = None
        self._asked = _path_text(path)
        self._generator, self._version, self._function = str(generator), str(version), function
        self._excluded, self._allowed = frozenset(exclude), frozenset(allow)
        self._environ, self._cwd = dict(environ), cwd
        self._scratch: Scratch | None = None
        self._hashes = InputHashes()
        self._started = 0.0

    # -- the three ways to use it --------------------------------------------------------------------------------

    def __enter__(self) -> Recording:
        self.begin()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def frame(self, number: int) -> str:
        """Where one frame of a sequence is written; UsageError where the asset is none."""
        sequence = parse_sequence(os.path.basename(self.path))
        if sequence is None:
            raise UsageError(f"{self._asked}: is not a sequence", "name the asset as in sky.####.exr")
        return os.path.join(os.path.dirname(self.path), frame_path(sequence, number))

    # -- beginning -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Check everything that can be known now, before the work; then `path` is where to write.

        UsageError outside a repository; InvalidError for a path that no asset may have, a sidecar there that cannot
        be rewritten, and params that cannot be recorded.
        """
        if self._scratch is not None or self.output is not None:
            raise UsageError(f"{self._asked}: this recording was used already", "make a new one for each asset")
        with workspace_around(self._asked, self._environ, self._cwd) as ws:
            self.asset = ws.asset_arg(self._asked, self._cwd)
            check_new_asset(ws, self.asset)
            if in_place.is_used(ws) and version.in_place(ws.repo, [self.asset]):
                raise InvalidError(f"{self.asset}: is kept in place, without a sidecar", f"write it, then: git add {self.asset}")
            self._recipe(ws)
            self._note_inputs(ws)
            parent = os.path.join(ws.settings.get("cacheDir"), "scratch")
        self._scratch = Scratch(parent).__enter__()
        self.path = self._scratch.output_path(self.asset)
        self._started = time.monotonic()

    def abandon(self) -> None:
        """Nothing is filed; the asset and its sidecar stay as they were."""
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.__exit__(None, None, None)

    # -- ending --------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """File what was written: bytes and take into the stores, the sidecar, the asset itself.

        RegenError where nothing was written, or it cannot be filed; bytes that were written are in keep then, and in
        the rescue log.
        """
        if self._scratch is None:
            raise UsageError(f"{self._asked}: this recording has not begun")
        seconds = time.monotonic() - self._started
        try:
            found = collect_output(self._scratch, self.asset)
            with workspace_around(self._asked, self._environ, self._cwd) as ws:
                try:
                    self._file(ws, found, seconds)
                except (RegenError, OSError) as error:
                    raise _rescued(ws, self.asset, self._scratch, found, error) from error
        finally:
            self.abandon()

    def _file(self, ws: Workspace, found: list[tuple[str, str, int]], seconds: float) -> None:
        recipe = self._recipe(ws)
        refuse_cycle(ws, self.asset, recipe)
        hashes = self._note_inputs(ws)
        key = compute_key(recipe, self.asset, hashes)
        output = file_output(ws, self.asset, found, key)
        ws.results.record(key, output.hash, self._record(ws, recipe, output, hashes, seconds))
        ws.results.save_recipe(key, recipe_bytes(replace(recipe, output=None, review=None)))
        publish(ws, self.asset, replace(recipe, output=output))
        self.output, self.key = output, key

    def _note_inputs(self, ws: Workspace) -> dict[str, str]:
        """{input name: BLAKE3} of all inputs: as they were when each was first named."""
        return self._hashes.note(ws, self.asset, self._input_targets(ws))

    def _record(self, ws: Workspace, recipe: Recipe, output: Output, hashes: Mapping[str, str], seconds: float) -> dict:
        """The observation of this run, as a worker would have written it."""
        who = {"agent": self.agent, "task": self.task, "tool": self.tool}
        return {
            "at": _now("milliseconds"),
            "asset": self.asset,
            "repo": ws.uuid,
            "seconds": round(seconds, 4),
            "generator": recipe.generator,
            "generator_version": self._version,
            "environment": {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()},
            "inputs": {name: "blake3:" + digest for name, digest in hashes.items()},
            "log": None,
            "output": record_of_output(output),
            "captured": {name: value for name, value in who.items() if value is not None},
        }

    # -- the recipe ----------------------------------------------------------------------------------------------

    def _recipe(self, ws: Workspace) -> Recipe:
        """The complete recipe as it stands now; what the sidecar held beside the recipe stays."""
        old = read_sidecar(ws, self.asset) if has_sidecar(ws, self.asset) else Recipe(meta={"created": _now("seconds")})
        composer = Composer(ws)
        recipe = replace(
            old,
            generator=self._generator,
            definition=Definitions(ws, from_disk=True).current(self._generator),
            params=self._plain_params(),
            models={role: _model(composer, role, value) for role, value in self.models.items()},
            inputs={name: composer.input_value(self.asset, target) for name, target in self._input_targets(ws).items()},
            output=None,
            meta=self._new_meta(old.meta),
        )
        recipe_bytes(recipe)  # refuses what no sidecar may say, above all a generator's name
        # Before the work not all params are known yet.
        return recipe if self._scratch is None else _completed(composer, recipe)

    def _plain_params(self) -> dict:
        wanted = {name: value for name, value in self.params.items() if name not in self._excluded and not is_path(value)}
        params = plain_params(wanted)
        found = next((hit for name, value in params.items() if (hit := find_secret(value, f"params.{name}", self._allowed))), None)
        if found:
            where, why = found
            name = where.split(".")[1]
            raise InvalidError(
                f"{where}: {why}, and a recipe is committed to git",
                f'leave it out with exclude=("{name}",), or, where it is none, allow=("{where.rpartition(".")[2]}",)', field=where,
            )
        return params

    def _input_targets(self, ws: Workspace) -> dict[str, str]:
        """{name: path from the repository's root, or "@root/…"}; path objects among the params are inputs too."""
        given = {name: value for name, value in self.params.items() if is_path(value) and name not in self._excluded}
        targets = {}
        for name, value in (given | self.inputs).items():
            if value is None:
                continue
            text = _path_text(value, f"inputs.{name}")
            try:
                targets[name] = text if text.startswith("@") else ws.asset_arg(text, self._cwd)
            except UsageError as error:
                raise UsageError(f"inputs.{name}: {error.what}", 'copy it into the repository, or map a root: "@plates/…"') from None
        return targets

    def _new_meta(self, old: Mapping[str, Any]) -> dict:
        kept = {name: value for name, value in old.items() if name not in ("agent", "captured", "recovered", "task", "tool")}
        captured = {"by": self._function or "capture.recording", "excluded": sorted(self._excluded), "version": self._version}
        who = {"agent": self.agent, "task": self.task, "tool": self.tool}
        more = {name: plain_value(value, name, "meta") for name, value in (self.meta | who).items() if value is not None}
        return kept | more | {"captured": {name: value for name, value in captured.items() if value}}


def publish(ws: Workspace, asset: str, recipe: Recipe) -> None:
    """Make `recipe`, with an output whose bytes are in a store, the asset's sidecar, and put the bytes in place.

    Edited bytes that give way are rescued first. Should we die between two steps, the next sync does the rest.
    """
    with WorktreeLock(ws):
        ws.reload_state()
        here = look(ws, paths={asset}, also={asset})
        here.observe([asset])
        _require_place(ws, here, asset)
        refresh_ignores(ws, here, [asset])
        ws.state.rows.setdefault(asset, EMPTY_ROW._replace(untracked=True))
        ws.state.failed.pop(asset, None)
        ws.state.save()
        write_sidecar(ws, asset, recipe)
        Executor(here).bring_in(asset, recipe.output.hash, recipe.output.is_tree)
        tidy_spare(ws)
        after = look(ws, paths=set(), also={asset})
        after.observed[asset] = here.seen(asset)
        refresh_ignores(ws, after)
        remember(after)


def _require_place(ws: Workspace, here: Snapshot, asset: str) -> None:
    """Before anything is written: the sidecar may be rewritten, and what lies here is kept."""
    desired, seen = here.assets.get(asset), here.seen(asset)
    if desired is not None and desired.unmerged:
        raise InvalidError(f"{asset}: its sidecar has a merge conflict", "resolve it, then: git add its sidecar")
    if seen.kind == "foreign":
        raise InvalidError(f"{asset}: something that is not a regular file is in its place", "move it away")
    if seen.kind == "present" and is_edited(ws.state.rows.get(asset, EMPTY_ROW), seen):
        rescue(ws, asset, seen, "edited; made anew by a capture")


def _completed(composer: Composer, recipe: Recipe) -> Recipe:
    """The recipe with every default written out, where a generator of that name is installed here.

    InvalidError where it takes other params: the two would be taken for each other.
    """
    if not registry.is_installed(recipe.generator):
        return recipe
    try:
        return replace(recipe, params=composer.complete(recipe.generator, recipe.params))
    except InvalidError as error:
        raise InvalidError(
            f"{error.what}; {recipe.generator} is a generator installed here", "capture under a name of your own", field=error.field
        ) from None


def _model(composer: Composer, role: str, value: object) -> Model:
    if isinstance(value, str):
        return composer.model(value)
    if not isinstance(value, Mapping) or not value.keys() <= _MODEL_FIELDS:
        raise InvalidError(f"models.{role}: wants an alias of regen.toml, or hash, name and version", field=f"models.{role}")
    return Model(**{name: each for name, each in value.items() if each is not None})


def _rescued(
    ws: Workspace, asset: str, scratch: Scratch, found: list[tuple[str, str, int]], error: RegenError | OSError
) -> RegenError:
    """The error to tell, after the work that could not be filed was put somewhere safe: it may have cost money."""
    failure = error if isinstance(error, RegenError) else RegenError(f"{asset}: {error.strerror or error}")
    try:
        output = file_output(ws, asset, found, None)
        ws.rescued.add(ws.uuid, ws.root, asset, output.hash, output.size, f"captured, not filed: {failure.what}")
        kept = "what was made is in keep: regen-vcs rescued"
    except (RegenError, OSError):
        kept = f"what was made is in {_set_aside(scratch)}"  # keep itself cannot be written: a full disk, above all
    failure.hint = f"{failure.hint}; {kept}" if failure.hint else kept
    return failure


def _set_aside(scratch: Scratch) -> str:
    """Rename the output out of the scratch folder, which needs no room; where it is now."""
    parent = os.path.join(os.path.dirname(os.path.dirname(scratch.root)), "unfiled")
    os.makedirs(parent, exist_ok=True)
    place = os.path.join(parent, os.path.basename(scratch.root))
    os.rename(os.path.join(scratch.root, "output"), place)
    return place


@contextmanager
def workspace_around(path: str, environ: Mapping[str, str], cwd: str) -> Iterator[Workspace]:
    """The workspace that `path` is in, wherever `cwd` is: its folder need not exist yet."""
    folder = os.path.dirname(os.path.normpath(os.path.join(cwd, path)))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    ws = Workspace.open(folder, environ)
    try:
        yield ws
    finally:
        ws.close()


def _path_text(value: object, field: str = "path") -> str:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"{field}: wants a path, not {type(value).__name__}")
    return text


def _now(precision: str) -> str:
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
