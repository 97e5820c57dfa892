"""Packing the job of an asset into one file."""

from __future__ import annotations

import os
from dataclasses import replace

from regen_vcs.engine import frames
from regen_vcs.engine.in_place_snapshot import user_look
from regen_vcs.engine.job_file import write_job
from regen_vcs.engine.job_inputs import JobInputs
from regen_vcs.engine.production import make_order
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.take_filing import Order
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.generators import registry
from regen_vcs.generators.scratch import Scratch
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import frames_text


def export_job(ws: Workspace, wanted: str, target: str, *, only_frames: tuple[int, ...] = ()) -> Order:
    """Write the job of an asset, named by its path or its key (64 hex digits), to `target`; what was packed.

    Inputs and code count as they are on disk, as for any verb of the user's. Nothing runs, so no trust is needed.
    only_frames: of a sequence that is made frame by frame. RegenError where an input is missing.
    """
    snapshot = user_look(ws)
    path = wanted if wanted in snapshot.assets else _asset_of_key(snapshot, wanted)
    order = make_order(snapshot, path, runs_here=False)
    if only_frames:
        order = _part_of(order, only_frames)
    with Scratch(os.path.join(ws.settings.get("cacheDir"), "scratch")) as scratch:
        write_job(target, order, JobInputs(snapshot, order).place(scratch))
    return order


def _asset_of_key(snapshot: Snapshot, key: str) -> str:
    if len(key) == 64 and set(key) <= set("0123456789abcdef"):
        snapshot.inputs.preload(list(snapshot.assets.values()))
        for path in sorted(snapshot.assets):
            if _key_of(snapshot, path) == key:
                return path
        raise UsageError(f"no asset here has the key {key[:12]}…", "see: regen-vcs status --json")
    raise UsageError(f"no asset matches {key}", "see: regen-vcs status")


def _key_of(snapshot: Snapshot, path: str) -> str | None:
    desired = snapshot.assets[path]
    if desired.facts.generator is None or desired.facts.problem:
        return None
    try:
        return snapshot.inputs.key_of(desired)
    except RegenError:
        return None  # an input of it is pending


def _part_of(order: Order, numbers: tuple[int, ...]) -> Order:
    """The same for some of its frames: a recipe and a key of its own."""
    generator = registry.load(order.recipe.generator, order.table or None)
    frames.applies(generator, order._replace(frames=numbers))  # UsageError where it is made as a whole
    strange = set(numbers) - set(frames.numbers_in(order.recipe.params["frames"]))
    if strange:
        raise UsageError(f"{order.path}: has no frame {frames_text(strange)}", f"its frames are {order.recipe.params['frames']}")
    recipe = replace(order.recipe, params={**order.recipe.params, "frames": frames_text(numbers)})
    hashes = {role: found for role, (_, found, _) in order.inputs.items()}
    return order._replace(recipe=recipe, key=compute_key(recipe, order.path, hashes))
