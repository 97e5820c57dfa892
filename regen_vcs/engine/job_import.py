"""Bringing the result of a job home: its take is filed under its key, and stands in until a person accepts it."""

from __future__ import annotations

import os

from regen_vcs.engine import frames
from regen_vcs.engine.in_place_snapshot import user_look
from regen_vcs.engine.job_archive import Archive
from regen_vcs.engine.job_file import PortableJob, order_of
from regen_vcs.engine.job_result import PortableResult, open_result, unpack_result
from regen_vcs.engine.settling import Made, settle
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.take_filing import Order, Take, TakeFiling
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import CorruptionError, InvalidError, RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.scratch import Scratch


def import_result(ws: Workspace, path: str) -> Made:
    """File the take of a result under its key, and give it its place as a worker's: it is never accepted by itself.

    InvalidError or CorruptionError where the file is not what it says; what the job failed of is in `Made.error`.
    """
    with open_result(path) as (found, archive):
        snapshot = user_look(ws)
        asset, fits = _asset_of(snapshot, found.job)
        order = order_of(found.job)._replace(path=asset)
        try:
            take = _file(ws, order, found, archive)
        except (InvalidError, CorruptionError):
            raise  # about the file, not about the job
        except RegenError as error:
            if not fits:
                return Made(asset, "failed", None, error, None)
            return settle(ws, snapshot, [(asset, error)], by_user=False, named=(asset,))[0]
    return settle(ws, snapshot, [(asset, take)], by_user=False, named=(asset,))[0]


def _asset_of(snapshot: Snapshot, job: PortableJob) -> tuple[str, bool]:
    """(the asset whose key the job has, True): it may have been moved since; (where it was, False) if there is none."""
    snapshot.inputs.preload([each for each in snapshot.assets.values() if each.facts.generator == job.recipe.generator])
    keys = {}
    for path, desired in snapshot.assets.items():
        if desired.facts.generator == job.recipe.generator and not desired.facts.problem:
            try:
                keys[path] = snapshot.inputs.key_of(desired)
            except RegenError:
                continue  # an input of it is pending
    fitting = sorted(path for path, key in keys.items() if key == job.key)
    if job.path in fitting or not fitting:
        return job.path, bool(fitting)
    return fitting[0], True


def _file(ws: Workspace, order: Order, found: PortableResult, archive: Archive) -> Take:
    filing = TakeFiling(ws, order, made_at=found.at)
    with Scratch(os.path.join(ws.settings.get("cacheDir"), "scratch")) as scratch:
        unpack_result(found, archive, scratch, order.path)
        log = filing.store_log(found.result.log)
        generator = _Elsewhere(order)
        if frames.applies(generator, order):
            return frames.file_result(filing, order, generator, scratch, found.result, found.seconds, log)
        if not found.result.ok:
            raise filing.failure(found.result.reason, found.result.hint, log, found.result.transient)
        return filing.file_take(order, generator, filing.collect(scratch, log), found.result, found.seconds, log)


class _Elsewhere:
    """A generator that ran on another machine: this one need not have it."""

    exact = False
    version = ""

    def __init__(self, order: Order):
        try:
            known = registry.load(order.recipe.generator, order.table or None)
        except RegenError:
            known = None
        self.per_frame = bool(getattr(known, "per_frame", False))
