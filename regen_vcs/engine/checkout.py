"""After a checkout: sync from the stores, then regenerate what is nowhere, then say what is missing and its price."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine import in_place
from regen_vcs.engine.sync import Outcome, Trigger, sync
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.plan import FETCH, PAID, QUEUE, REFUSE, REGENERATE, Step
from regen_vcs.model.quantities import human_duration

# queued: how many of the missing are left to a worker.
Report = namedtuple("Report", ("outcome", "made", "queued"), defaults=(0,))


def check_out(
    ws: Workspace,
    trigger: Trigger,
    *,
    dry_run: bool = False,
    paths: set[str] | None = None,
    progress: Callable[[Step, int, int], None] | None = None,
    making: Callable[[str, float, str], None] | None = None,
    waiting: Callable[[], None] | None = None,
    tick: Callable[[], None] | None = None,
) -> Report:
    """One sync and the regenerations it planned. `making(path, fraction, message)` follows the generators, from any
    thread; `tick` is called from this one while they run, and what it raises ends them."""
    outcome = sync(ws, trigger, paths=paths, dry_run=dry_run, progress=progress, waiting=waiting)
    steps = outcome.plan.of(REGENERATE)
    made = []
    if paths is None:  # the filter's notes are about sidecars
        made = in_place.follow(ws, outcome, trigger, dry_run=dry_run, making=making)
    queued = 0 if dry_run else _leave_to_worker(ws, trigger, outcome)
    if dry_run or not steps:
        return Report(outcome, made, queued)
    # NumPy, pydantic and the registry: only where something is really made.
    from regen_vcs.engine.making import regenerate_steps

    return Report(outcome, made + list(regenerate_steps(ws, steps, progress=making, tick=tick)), queued)


def _leave_to_worker(ws: Workspace, trigger: Trigger, outcome: Outcome) -> int:
    """Queue what takes longer than anybody waits for in the foreground; how many."""
    later = outcome.plan.of(QUEUE)
    if not later or not trigger.queues or ws.settings.get("checkout.missing") != "regenerate":
        return 0
    if not ws.settings.get("checkout.background") or (trigger.name == "filter" and ws.repo.in_sequence()):
        return 0
    from regen_vcs.engine.background import (
        leave_to_worker,  # SQLite and subprocess: only where they are needed
    )

    try:
        return leave_to_worker(ws, [step.path for step in later])
    except (RegenError, OSError) as error:
        outcome.plan.notices.append(f"the missing could not be queued: {getattr(error, 'what', error)}")
        return 0


def missing_line(outcome: Outcome, made: list | None = None, queued: int = 0) -> str | None:
    """`3 assets missing: 2 to regenerate (4 min), 1 paid ($0.80, not run); run …`; None where nothing is missing."""
    steps = outcome.plan.of(FETCH, QUEUE, REFUSE)
    failed = [each for each in made or () if each.verdict == "failed"]
    if made is None:
        steps += outcome.plan.of(REGENERATE)
    total = len(steps) + len(failed) + len(outcome.failed)
    if not total:
        return None
    parts, hint = [], None
    later = [step for step in steps if step.action in (QUEUE, REGENERATE)]
    if later:
        parts.append(f"{len(later)} to regenerate ({price(later)})")
        hint = "run: regen-vcs sync"
        if queued:
            hint = "a worker makes them; follow it: regen-vcs queue --follow"
    paid = [step for step in steps if step.action == REFUSE and step.reason == PAID]
    if paid:
        parts.append(f"{len(paid)} paid ({_cost(paid)}, not run)")
        hint = hint or "run: regen-vcs regenerate --missing"
    refused = [step for step in steps if step.action == REFUSE and step.reason != PAID]
    for reason, count in _reasons(refused):
        parts.append(f"{count} not to be had ({reason})")
        hint = hint or _hint_for(reason)
    if failed:
        parts.append(f"{len(failed)} failed")
        hint = hint or "see: regen-vcs status"
    errors = [error.what for error in outcome.failed.values()]
    parts += errors[:2] if len(errors) <= 2 else [errors[0], f"and {len(errors) - 1} like that"]
    noun = "asset" if total == 1 else "assets"
    return f"{total} {noun} missing: {', '.join(parts)}; {hint or 'see: regen-vcs status'}"


def price(steps: list[Step]) -> str:
    """How long these will take together, as far as anyone knows."""
    known = [step.seconds for step in steps if step.seconds is not None]
    if not known:
        return "time unknown"
    text = human_duration(sum(known))
    return text if len(known) == len(steps) else f"{text} and more"


def _cost(steps: list[Step]) -> str:
    """What these will cost together, as far as anyone knows."""
    known = [step.cost for step in steps if step.cost is not None]
    if not known:
        return "price unknown"
    return f"${sum(known):.2f}" + ("" if len(known) == len(steps) else " and more")


def _reasons(steps: list[Step]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for step in steps:
        reason = step.reason if len(step.reason) <= 100 else step.reason[:97] + "…"
        counts[reason] = counts.get(reason, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    if len(ordered) > 3:
        return [*ordered[:2], ("other reasons", sum(count for _, count in ordered[2:]))]
    return ordered


def _hint_for(reason: str) -> str | None:
    if "trust" in reason:
        return "run: regen-vcs trust"
    return None
