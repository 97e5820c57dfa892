"""One asset: find the model, load it if it is not loaded, call it, write what it gives back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from PIL import Image

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.diffusers import resident
from regen_vcs.generators.diffusers.arguments import accepted, arguments_of
from regen_vcs.generators.diffusers.fetching import fetch
from regen_vcs.generators.diffusers.params import fold_seed
from regen_vcs.generators.diffusers.writing import AUDIO, suffix_of, write_result
from regen_vcs.generators.model_hash import hash_model
from regen_vcs.model.model_reference import algorithm_of

# Of a job's time, where the steps of the model are; the rest is loading before, decoding and writing after.
_STEPS_END = 0.95


def make(job: Job, table: Mapping[str, Any]) -> dict[str, str]:
    """Write the asset; the environment of the take. JobFailed says what is wrong with model, table or parameters."""
    resident.set_up()
    path, digest = located(job)
    inputs = {name: _picture(name, each) for name, each in job.inputs.items()}
    source = resident.Source(
        path, digest, resident.class_of(path, table, inputs), job.params.dtype, resident.device_of(job.params.device),
        tuple(sorted(table.get("options", {}).items())),
    )  # fmt: skip
    pipe = resident.loaded(job, source)
    result = _call(job, pipe, inputs)
    job.check_cancelled()
    write_result(job, result, pipe)
    job.progress(1.0)
    return resident.environment(pipe, source)


def located(job: Job) -> tuple[str, str | None]:
    """(path, hash) of the model, downloaded if that is allowed. JobFailed where it is not here, or is another."""
    model = job.models["pipeline"]
    name = " ".join(each for each in (model.get("name"), model.get("version")) if each) or model.get("hash")
    path, found, wanted = model.get("path"), model.get("found_hash"), model.get("hash")
    if path is None:
        if not model.get("download"):
            raise JobFailed(
                f"the model {name} is not on this machine: put it into a folder of the setting modelPath "
                "(or, for a hub id, set modelDownload = allow); see: regen-vcs models"
            )
        path = fetch(job, model)
        found = hash_model(path, algorithm_of(wanted) if wanted else "sha256", lambda count: job.check_cancelled())
    if wanted and found != wanted:
        raise JobFailed(f"the model {name} at {path} is {found}, and the recipe wants {wanted}")
    return path, found


def _call(job: Job, pipe: Any, inputs: Mapping[str, Image.Image]) -> Any:
    names = accepted(type(pipe))
    arguments = arguments_of(job.params, inputs, type(pipe))
    if "output_type" in names:
        arguments["output_type"] = "np" if suffix_of(job.output) in AUDIO else "pil"
    if "generator" in names:
        arguments["generator"] = resident.cpu_generator(fold_seed(job.params.seed))
    _Steps(job).follow(pipe)
    if "callback_on_step_end" in names:
        arguments["callback_on_step_end"] = _after_step(job)
    with resident.no_gradients(), warnings.catch_warnings():
        warnings.simplefilter("once")
        try:
            return pipe(**arguments)
        except (ValueError, TypeError) as error:
            # What a pipeline says of its arguments is for the recipe's author, not a fault of ours.
            raise JobFailed(f"{type(pipe).__name__}: {error}".splitlines()[0]) from error


def _after_step(job: Job):
    """Cancel within a step; Interrupted goes through the pipeline, which this process leaves with it."""

    def after_step(pipe: Any, step: int, timestep: Any, values: dict) -> dict:
        job.check_cancelled()
        total = getattr(pipe, "num_timesteps", None) or job.params.steps
        job.progress(_STEPS_END * (step + 1) / max(total, step + 1), f"step {step + 1} of {total}")
        return values

    return after_step


class _Steps:
    """A pipeline's progress bar: the older ones have no callback, but all of them have this."""

    def __init__(self, job: Job):
        self._job, self._done, self._total = job, 0, 0

    def follow(self, pipe: Any) -> None:
        pipe.progress_bar = self.begin

    def begin(self, iterable: Any = None, total: int | None = None) -> Any:
        if iterable is None:
            self._done, self._total = 0, total or 0
            return self
        items = list(iterable)
        self._done, self._total = 0, len(items)
        return self._each(items)

    def _each(self, items: list) -> Any:
        for item in items:
            yield item
            self.update()

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, count: int = 1) -> None:
        self._job.check_cancelled()
        self._done += count
        if self._total:
            self._job.progress(_STEPS_END * min(1.0, self._done / self._total), f"step {self._done} of {self._total}")

    def set_postfix(self, *_: object, **__: object) -> None:
        return None

    set_description = set_postfix


def _picture(name: str, path: str) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("L" if name == "mask" else "RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise JobFailed(f"the input {name} is not a picture that can be read: {error}") from None
