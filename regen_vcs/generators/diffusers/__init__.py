"""`diffusers`: any pipeline of that library, from a folder or the Hugging Face cache. safetensors only, no code of
the model's own.

Nothing heavy is imported until a job runs: this package needs the extra `diffusers` then, and only then.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Mapping
from typing import Any

from regen_vcs.errors import RegenError
from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.diffusers.params import DiffusersParams, check_table

ROLE = "pipeline"
# The job sees these of the user's environment, and torch chooses by them.
_DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "OMP_NUM_THREADS")
_NEEDS = ("torch", "diffusers", "transformers", "safetensors")


class Diffusers:
    """One asset a call, a batch of one, a generator seeded for each on the CPU.

    The model stays loaded in the process, for all generators of this kind together: there is room for one.
    """

    name = "diffusers"
    Params = DiffusersParams
    exact = False
    version = "1"
    suffixes = (".png", ".webp", ".jpg", ".jpeg", ".mp4", ".wav", ".flac")
    model_roles = (ROLE,)
    # The engine finds the model and compares its hash; `Job.models` then has "path", "found_hash" and "download".
    local_models = True
    presets = True  # `params` of a table are other defaults and bounds, as of `texture:clouds`

    def __init__(self, table: Mapping[str, Any] | None = None):
        self._table = table or {}
        self._environment: dict[str, str] = {}

    @classmethod
    def from_table(cls, name: str, table: Mapping[str, Any]) -> Diffusers:
        """InvalidError, naming the field, where `[generators.NAME]` is not one for diffusers."""
        check_table(table, f"generators.{name.partition(':')[2]}")
        return cls(table)

    def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
        return {}

    def environment(self) -> dict[str, str]:
        """Of the last run: versions, device, dtype, threads, and the hash of a model that the recipe does not pin."""
        return dict(self._environment)

    def conditions(self) -> dict[str, str]:
        """Versions of the libraries, and what says which device they take: told without loading them."""
        found = {}
        for name in (*_NEEDS, "accelerate", "pillow"):
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                if name in _NEEDS:
                    raise JobFailed(f"{name} is not installed") from None
        return found | {name: os.environ[name] for name in _DEVICE_VARIABLES if name in os.environ}

    def run(self, job: Job) -> None:
        missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
        if missing:
            raise JobFailed(f"{', '.join(missing)} not installed: pip install 'regen-vcs[diffusers]' beside regen-vcs")
        unknown = sorted(job.models.keys() - {ROLE})
        if unknown or ROLE not in job.models:
            said = f"not {', '.join(unknown)}" if unknown else "and the recipe names none"
            raise JobFailed(f"diffusers takes one model, in the role {ROLE}, {said}: --model {ROLE}=ALIAS")
        # Here, not above: torch takes seconds to import, and whoever only validates parameters need not pay.
        from regen_vcs.generators.diffusers.making import make

        try:
            self._environment = make(job, self._table)
        except RegenError as error:
            if error.hint:  # a runner passes on one line, and the hint belongs to it
                error.what = f"{error.what} ({error.hint})"
            raise
