"""`status --json`: every asset with everything that is known of it (DESIGN, section 11)."""

from __future__ import annotations

from regen_vcs.engine.known_remotely import known_hashes
from regen_vcs.engine.prospects import estimate_seconds, prospects_of
from regen_vcs.engine.status import Status, Survey, in_store
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError


def status_document(ws: Workspace, survey: Survey) -> dict:
    in_remote = known_hashes(ws, {each.output for each in survey.statuses if each.output})
    assets = [_entry(ws, survey, each, in_remote.get(each.output)) for each in survey.statuses]
    counts: dict[str, int] = {}
    for each in survey.statuses:
        counts[each.state] = counts.get(each.state, 0) + 1
    return {"assets": assets, "summary": counts, "bytes": _bytes(ws, survey, assets)}


def _entry(ws: Workspace, survey: Survey, status: Status, in_remote: bool | None) -> dict:
    desired = survey.snapshot.assets.get(status.path)
    if desired is None:  # no sidecar: an orphan, unmanaged, or of the second layout
        stored = status.output is not None and ws.stores.has(status.output)
    else:
        stored = in_store(ws, desired)
    details = _details(survey, status)
    return {
        "path": status.path,
        "state": status.state,
        "generator": status.generator,
        "key": status.key,
        "output": "blake3:" + status.output if status.output else None,
        "on_disk": "blake3:" + status.on_disk if status.on_disk else None,
        "in_store": stored,
        "in_remote": in_remote,
        "can_regenerate": _can_regenerate(survey, status),
        "size": status.size,
        "seconds": estimate_seconds(survey.snapshot, desired) if status.generator and desired else None,
        **details,
        "job": _job(survey.jobs.get(status.path)),
        "reason": status.reason,
    }


def _job(job) -> dict | None:
    """An asset's open job, as the queue has it."""
    if job is None:
        return None
    return {"state": job.state, "progress": job.progress, "message": job.message, "estimate": job.estimate, "attempts": job.attempts}


def _details(survey: Survey, status: Status) -> dict:
    """What only the whole recipe tells."""
    empty = {"models": {}, "inputs": {}, "tags": [], "review": None}
    desired = survey.snapshot.assets.get(status.path)
    if desired is None or desired.facts.problem or desired.side_sig is None:
        return empty
    try:
        recipe = survey.snapshot.inputs.recipe_of(desired)
        targets = survey.snapshot.inputs.targets(desired)
    except RegenError:
        return empty
    models = {role: {"hash": m.hash, "name": m.name, "version": m.version} for role, m in recipe.models.items()}
    tags = recipe.meta.get("tags")
    return {
        "models": models,
        "inputs": targets,
        "tags": tags if isinstance(tags, list) else [],
        "review": recipe.review,
    }


def _can_regenerate(survey: Survey, status: Status) -> bool:
    desired = survey.snapshot.assets.get(status.path)
    if status.generator is None or desired is None or status.key is None:
        return False
    if desired.facts.out_hash is None or status.key != desired.facts.out_key:
        return True  # the user's verb would run it as it is now
    return prospects_of(survey.snapshot, [desired])[status.path].source == "regenerate"


def _bytes(ws: Workspace, survey: Survey, assets: list[dict]) -> dict:
    """Bytes of the accepted outputs: in all, on disk, in a local store, and those that exist in one copy only."""
    present = [each for each in assets if each["on_disk"] and each["on_disk"] == each["output"]]
    stored = [each for each in assets if each["in_store"]]
    one_copy = [
        each for each in assets
        if each["output"] and not each["can_regenerate"] and (each["on_disk"] == each["output"]) + bool(each["in_store"]) == 1
    ]
    return {
        "accepted": sum(each["size"] for each in assets if each["output"]),
        "on_disk": sum(each["size"] for each in present),
        "in_store": sum(each["size"] for each in stored),
        "one_copy": sum(each["size"] for each in one_copy),
    }
