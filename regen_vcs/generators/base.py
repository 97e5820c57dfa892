"""The one contract between regen-vcs and whoever makes the bytes. A third party's generator needs only this module.

    class Swatch:
        name = "swatch"
        Params = SwatchParams          # a pydantic model; derive it from `Params` below
        exact = True
        version = "1"

        def models(self, recipe): return {}
        def run(self, job): ...        # write job.output

and an entry point in the group `regen_vcs.generators`. docs/generators.md says the rest.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from regen_vcs.errors import Interrupted, RegenError
from regen_vcs.model.schema import OpenParams, Params, Seed

__all__ = ["DISCOVERED", "Generator", "Job", "JobFailed", "OpenParams", "Params", "ProgramFailed", "Seed"]

# What the roles of inputs begin with that `discover_inputs` found; the others are the user's own.
DISCOVERED = "linked/"

# Progress more often than people can see it would only cost.
_PROGRESS_INTERVAL = 0.05


class JobFailed(RegenError):
    """A generator could not make its asset. `what` is the reason, one line, told to people as it stands.

    transient: set it where the reason may pass by itself (a server that is away): the queue tries again later.
    """

    def __init__(self, what: str, hint: str | None = None, *, transient: bool = False):
        super().__init__(what, hint)
        self.transient = transient


class ProgramFailed(JobFailed):
    """A program that the generator started failed: the last line it printed is told with the reason."""


@runtime_checkable
class Generator(Protocol):
    """What makes the bytes of an asset.

    name: as in a recipe, without the part after a colon.
    Params: a pydantic model of what it accepts; the JSON Schema is derived from it.
    exact: same content on every machine, same bytes under the same encoder.
    version: changes whenever the same parameters would give another content.

    Optional, found by name: `from_table(cls, name, table)`, a class method that makes a configured instance for
    `[generators.NAME]`; `params_schema()` and `complete_params(raw)`, for parameters that no pydantic model
    describes; `with_code(files)`, which makes an instance that has seen the files its table names ({name below {code}:
    bytes}), for parameters that follow from them; `suffixes`, a tuple of what it can write (".png",), so that another name is refused before anything is
    written; `environment()`, versions of whatever the bytes depend on; `conditions()`, the same as it is on this machine now,
    told without a run ({name: text}; a RegenError where it cannot run here): what was verified counts while it is the
    same; `estimate_seconds(params)`;
    `model_roles`, the roles its recipes may name models in; `local_models = True`: it loads models itself, and
    `Job.models` says where they are; `presets = True`: besides `from_table`, `params` of a table are other defaults
    and bounds of its own `Params`;
    `discover_inputs(params, inputs, root, roots)`, which tells the user's own verbs what else a recipe must have as
    inputs: from {role: absolute path} to {"linked/…": repository path or "@root/…"}; `per_frame = True` where each
    frame of a sequence follows from the recipe with that number alone in its `frames` ("1-24,30"), and appears
    under its name when it is complete.
    """

    name: str
    Params: type[BaseModel]
    exact: bool
    version: str

    def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
        """Which models this would use now, by role: {"checkpoint": {"hash", "name", "version"}}."""
        ...

    def run(self, job: Job) -> None:
        """Write the asset to `job.output`. Raise JobFailed, or any exception, where that cannot be done."""
        ...


@dataclass
class Job:
    """One asset to make, in a scratch folder of its own.

    params: the validated parameters, an instance of the generator's `Params`; raw_params: the same as plain JSON.
    inputs: role → absolute path of a copy in the scratch folder, free to be changed; input_paths: role → where it lies
    in the repository, or "@root/…".
    output: absolute path to write: a file, a folder, or a sequence's pattern ("…/sky.####.exr").
    scratch: the scratch folder; models: role → {"hash", "name", "version"}, as the recipe has them; with
    `local_models`, "path" (absolute, or None), "found_hash" (of what lies there) and "download" (whether it may) too.
    env: the variables of the user's that the generator's table asks for; never write them anywhere.
    fresh: it is to show whether the bytes come out again: nothing that is remembered of an earlier run may be used.
    cost: set it to the dollars that a run has cost, where the generator knows; else its table's `cost` counts.
    """

    params: Any
    raw_params: Mapping[str, Any]
    inputs: Mapping[str, str]
    output: str
    scratch: str
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    input_paths: Mapping[str, str] = field(default_factory=dict)
    on_progress: Callable[[float, str], None] = lambda fraction, message: None
    on_child: Callable[[int, bool], None] = lambda group, alive: None
    cancel_requested: Callable[[], bool] = lambda: False
    fresh: bool = False
    cost: float | None = None
    _reported: MutableMapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the asset any more: leave `run` soon, or be killed."""
        return self.cancel_requested()

    def check_cancelled(self) -> None:
        """Interrupted where the job was cancelled: call it now and then in long loops."""
        if self.cancelled:
            raise Interrupted("cancelled")

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how much is done, from 0.0 to 1.0. Cheap enough to call for every row."""
        now = time.monotonic()
        if fraction < 1.0 and now - self._reported.get("at", -1.0) < _PROGRESS_INTERVAL:
            return
        self._reported["at"] = now
        self.on_progress(min(max(float(fraction), 0.0), 1.0), message)

    def log(self, text: str) -> None:
        """A line for the job's log, which is kept with the take."""
        sys.stderr.write(text.rstrip("\n") + "\n")
        sys.stderr.flush()

    def frames(self, numbers: Iterable[int]) -> list[tuple[int, str]]:
        """[(frame, absolute path)] of a sequence output; JobFailed where the output is not a sequence."""
        from regen_vcs.model.paths import frame_path, parse_sequence

        folder, name = os.path.split(self.output)
        sequence = parse_sequence(name)
        if sequence is None:
            raise JobFailed(f"{name} is not a sequence", "name the asset as in sky.####.exr")
        return [(number, os.path.join(folder, frame_path(sequence, number))) for number in numbers]

    def child_started(self, group: int) -> None:
        """A process group of the job's was started: whoever cancels must kill it too."""
        self.on_child(group, True)

    def child_gone(self, group: int) -> None:
        self.on_child(group, False)
