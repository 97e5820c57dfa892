"""The one pipeline that is loaded in this process, and what it was loaded from. The only door to torch and diffusers.

A GPU holds one model: another is loaded only after the one before it was let go.
"""

from __future__ import annotations

import gc
import os
import time
from collections import namedtuple
from collections.abc import Mapping
from typing import Any

# Before the first import of their kind: nothing here ever talks to the hub, and CUDA's matrix products are repeatable
# only with a work space of fixed size.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import diffusers
import torch
import transformers

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.diffusers.arguments import fits
from regen_vcs.generators.diffusers.folder import check_folder

# What tells one loaded pipeline from another. options: sorted pairs.
Source = namedtuple("Source", ("path", "hash", "class_name", "dtype", "device", "options"))

_AUTO = {"mask": "AutoPipelineForInpainting", "image": "AutoPipelineForImage2Image"}
_TASKS = frozenset({*_AUTO.values(), "AutoPipelineForText2Image"})
# option: (part of the pipeline, or "" for itself; method that switches it on).
_METHODS = {
    "vae_slicing": ("vae", "enable_slicing"), "vae_tiling": ("vae", "enable_tiling"),
    "attention_slicing": ("", "enable_attention_slicing"),
}  # fmt: skip


class _Resident:
    """What is loaded now."""

    def __init__(self):
        self.source: Source | None = None
        self.pipe: Any = None
        self.scheduler: Any = None  # as the model came with it


_resident = _Resident()


def set_up() -> None:
    """The same numbers whenever that is possible; a thread count that does not move while we run."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(torch.get_num_threads())
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def device_of(wanted: str) -> str:
    """The device "auto" means here; JobFailed where the one that is named is not there."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in here.items() if there)
    if not here[wanted]:
        raise JobFailed(f"the recipe wants the device {wanted}, which this machine has not")
    return wanted


def class_of(path: str, table: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """The class to load: the table's; else the model's own, if it takes these inputs; else diffusers' own choice."""
    own = check_folder(path, frozenset(name for name in dir(diffusers.pipelines) if not name.startswith("_")))
    if table.get("pipeline"):
        return table["pipeline"]
    if inputs and not fits(_class(own), inputs):
        return next((auto for name, auto in _AUTO.items() if name in inputs), own)
    return own


def loaded(job: Job, source: Source) -> Any:
    """The pipeline of `source`, loaded if it is not the one that is. Its scheduler is the recipe's."""
    if _resident.source != source:
        _let_go()
        started = time.monotonic()
        job.progress(0.0, "loading the model")
        _resident.pipe = _load(source)
        _resident.scheduler = getattr(_resident.pipe, "scheduler", None)
        _resident.source = source
        job.log(f"loaded {source.class_name} from {source.path} in {time.monotonic() - started:.1f} s")
    _set_scheduler(_resident.pipe, job.params.scheduler)
    return _resident.pipe


def environment(pipe: Any, source: Source) -> dict[str, str]:
    """What the pixels depend on beside the recipe."""
    name = torch.cuda.get_device_name() if source.device == "cuda" else torch.backends.cpu.get_cpu_capability()
    found = {
        "torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__,
        "pipeline": type(pipe).__name__, "device": f"{source.device} ({name})", "dtype": source.dtype,
        "threads": str(torch.get_num_threads()), "model": source.hash,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value}


def cpu_generator(seed: int) -> torch.Generator:
    """On the CPU whatever the device, so that the noise a picture starts from is the same everywhere."""
    return torch.Generator("cpu").manual_seed(seed)


def no_gradients() -> Any:
    return torch.inference_mode()


def _let_go() -> None:
    _resident.source = _resident.pipe = _resident.scheduler = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _class(name: str) -> Any:
    found = getattr(diffusers, name, None)
    is_pipeline = isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)
    if not is_pipeline and name not in _TASKS:
        raise JobFailed(f"diffusers {diffusers.__version__} has no pipeline {name}")
    return found


def _load(source: Source) -> Any:
    options = dict(source.options)
    given: dict[str, Any] = {"variant": options["variant"]} if "variant" in options else {}
    if options.get("safety_checker") is False:
        given |= {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipe = _class(source.class_name).from_pretrained(
            source.path, torch_dtype=getattr(torch, source.dtype), use_safetensors=True, local_files_only=True,
            trust_remote_code=False, **given,
        )  # fmt: skip
    except (OSError, ValueError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        raise JobFailed(f"{source.path} cannot be loaded as {source.class_name}: {_first_line(error)}") from error
    for name, (part, method) in _METHODS.items():
        if options.get(name):
            _enable(pipe, name, part, method)
    if options.get("cpu_offload") and source.device != "cpu":
        pipe.enable_model_cpu_offload(device=source.device)
    else:
        pipe.to(source.device)
    return pipe


def _enable(pipe: Any, option: str, part: str, method: str) -> None:
    call = getattr(getattr(pipe, part, None) if part else pipe, method, None)
    if call is None:
        raise JobFailed(f"{type(pipe).__name__} has no option {option}")
    call()


def _set_scheduler(pipe: Any, name: str | None) -> None:
    """A new one for each job: a scheduler remembers the steps it has gone."""
    if _resident.scheduler is None:
        if name:
            raise JobFailed(f"{type(pipe).__name__} has no scheduler to change")
        return
    kind = type(_resident.scheduler) if name is None else getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise JobFailed(f"diffusers {diffusers.__version__} has no scheduler {name}")
    pipe.scheduler = kind.from_config(_resident.scheduler.config)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
