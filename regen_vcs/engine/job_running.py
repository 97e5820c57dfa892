"""Running a job file where there is no repository: in a scratch folder, with this machine's models and secrets.

It runs code that somebody else has written, so the user is asked; what he allowed once is noted by hash, as trust is.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import SimpleNamespace

from blake3 import blake3

from regen_vcs.engine.config import Settings, config_dir
from regen_vcs.engine.job_archive import Archive
from regen_vcs.engine.job_file import PortableJob, order_of, unpack_job
from regen_vcs.engine.job_inputs import job_spec
from regen_vcs.engine.job_result import write_result
from regen_vcs.engine.models import models_of_job
from regen_vcs.engine.trust import TrustItem, open_store
from regen_vcs.engine.worker import Budget
from regen_vcs.errors import RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.client import Result, RunnerClient
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.generator_table import HARMLESS, is_executable_input, split_generator

_TRUST_CONTEXT = "regen-vcs job v1"


def needs_trust(job: PortableJob) -> bool:
    """Whether anything but our own code would run, or be contacted."""
    return split_generator(job.recipe.generator)[0] not in HARMLESS


def is_trusted(job: PortableJob, environ: Mapping[str, str]) -> bool:
    """Whether the user has allowed exactly this to run before."""
    item = trust_item(job)
    return _store(environ).is_trusted(item.kind, item.hash)


def trust(job: PortableJob, environ: Mapping[str, str]) -> None:
    """Note that this may run here, from now on. RegenError where it cannot be noted."""
    _store(environ).add([trust_item(job)])


def trust_item(job: PortableJob) -> TrustItem:
    """What is consented to, as one hash: the table, the code, and the inputs that are instructions, all together.

    One hash, because a table and a script that are harmless each by itself need not be so together.
    """
    consent = {
        "generator": job.recipe.generator,
        "table": job.table,
        "code": {dest: each.hash for dest, each in job.code.items()},
        "inputs": {role: each.hash for role, each in job.inputs.items() if is_executable_input(each.target)},
    }
    digest = blake3(canonical_bytes(consent), derive_key_context=_TRUST_CONTEXT).hexdigest()
    return TrustItem("code", f"job of {job.recipe.generator}", digest)


def _store(environ: Mapping[str, str]):
    return open_store(os.path.join(config_dir(environ), "trust", "jobs.json"))


def run_job(
    job: PortableJob, archive: Archive, result_path: str, environ: Mapping[str, str], progress: Callable[[float, str], None]
) -> tuple[Result, float]:
    """Run a job to its end and write its result: (how it ended, seconds). Whether it may run was asked before.

    RegenError where it cannot even start (no such generator here, over the budget); then there is no result.
    """
    settings = Settings({}, environ, {})
    order = order_of(job)
    generator = registry.load(job.recipe.generator, job.table or None)
    refusal = Budget(settings.get("budget")).refusal(order)
    if refusal:
        raise RegenError(f"{job.path}: {refusal}", "see: regen-vcs config budget")
    machine = SimpleNamespace(settings=settings, environ=environ)
    with Scratch(os.path.join(settings.get("cacheDir"), "scratch")) as scratch:
        brought = unpack_job(job, archive, scratch)
        models = models_of_job(machine, job.recipe, generator, attended=True, on_bytes=lambda count: progress(0.0, "reading its models"))
        spec = job_spec(order, scratch, brought, models, environ)
        started = time.monotonic()
        result = _run(spec, environ, progress)
        seconds = time.monotonic() - started
        result, found = _collect(scratch, job, result)
        if result.ok and result.cost is None:
            result = result._replace(cost=job.table.get("cost"))
        write_result(result_path, job, result, seconds, found)
    return result, seconds


def _run(spec: dict, environ: Mapping[str, str], progress: Callable[[float, str], None]) -> Result:
    client = RunnerClient(environ)
    try:
        return client.run(spec, progress, threading.Event())
    finally:
        client.close()


def _collect(scratch: Scratch, job: PortableJob, result: Result) -> tuple[Result, list[tuple[str, str, int]]]:
    """What is to be sent home. Of a job that failed the frames that are whole: they need not be made again."""
    try:
        return result, collect_output(scratch, job.path)
    except RegenError as error:
        return (result._replace(ok=False, reason=error.what) if result.ok else result), []


def write_refusal(path: str, job: PortableJob, reason: str) -> None:
    """A result that says why a job did not even start, for a farm that waits for one."""
    with suppress(RegenError, OSError):
        write_result(path, job, Result(False, reason, b"", {}, ""), 0.0, [])
