"""After a checkout: sync from the stores, then regenerate what is nowhere, then say what is missing and its price."""

from __future__ import annotations

import time
from collections import namedtuple
from collections.abc import Callable

from regen_vcs.engine import in_place_sync
from regen_vcs.engine.plan_execution import Outcome
from regen_vcs.engine.sync import FILTER, Trigger, sync
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.plan import FETCH, PAID, QUEUE, REFUSE, REGENERATE, Plan, Step
from regen_vcs.model.quantities import human_duration

# queued: how many of the missing are left to a worker. unreachable: an error for each remote that was given up.
Report = namedtuple("Report", ("outcome", "made", "queued", "unreachable"), defaults=(0, ()))

_OVERRUN = 2.0  # times `checkout.wait`, after which a fetch that was estimated to be quicker is broken off


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
    fetching: Callable[[object], None] | None = None,
) -> Report:
    """One sync, and the fetches and regenerations it planned.

    `making(path, fraction, message)` follows the generators, from any thread; `fetching(meter)` what comes from remotes;
    `tick` is called from this one while they run, and what it raises ends them.
    """

    def sync_once() -> tuple[Outcome, list[Step]]:
        outcome = sync(ws, trigger, paths=paths, dry_run=dry_run, progress=progress, waiting=waiting)
        later = outcome.plan.of(QUEUE)  # of sidecars: a worker that puts what is kept in place would get in the way of git's index
        if paths is None:  # the filter's notes are about sidecars
            in_place_sync.follow(ws, outcome, trigger, dry_run=dry_run)
        return outcome, later

    unreachable: list[RegenError] = []
    _open_far_sources_later(ws, trigger, unreachable)
    try:
        outcome, later = sync_once()
        asked: set[str] = set()
        # Mostly once: what cannot be fetched, and so is made, may be made of what has to be fetched for it.
        while steps := [step for step in outcome.plan.of(FETCH) if step.hash not in asked]:
            asked.update(step.hash for step in steps)
            _fetch(ws, trigger, steps, dry_run, tick, fetching)
            second, later = sync_once()
            outcome = ws.far.merge(outcome, second)
        if ws.opened_far is not None:
            unreachable += ws.opened_far.unreachable
    finally:
        ws.close_far()
    queued = 0 if dry_run else _leave_to_worker(ws, trigger, outcome, later)
    if trigger.queues and not dry_run and not ws.working_set.is_everything:
        from regen_vcs.engine.filling import wake_filler  # SQLite: only where there is a set

        wake_filler(ws)
    steps = outcome.plan.of(REGENERATE)
    if dry_run or not steps:
        return Report(outcome, [], queued, unreachable)
    # NumPy, pydantic and the registry: only where something is really made.
    from regen_vcs.engine.making import regenerate_steps

    return Report(outcome, list(regenerate_steps(ws, steps, progress=making, tick=tick)), queued, unreachable)


def bring_in_place(ws: Workspace) -> Report:
    """At the end of the filter of the second layout: fetch what its documents wait for, and swap these for their bytes."""
    unreachable: list[RegenError] = []
    _open_far_sources_later(ws, FILTER, unreachable)
    try:
        outcome = Outcome(Plan([]), [], {})
        in_place_sync.follow(ws, outcome, FILTER)
        steps = outcome.plan.of(FETCH)
        if steps:
            _fetch(ws, FILTER, steps, False, None, None)
            second = Outcome(Plan([]), [], {})
            in_place_sync.follow(ws, second, FILTER)
            outcome = ws.far.merge(outcome, second)
        if ws.opened_far is not None:
            unreachable += ws.opened_far.unreachable
    finally:
        ws.close_far()
    return Report(outcome, [], 0, unreachable)


def _open_far_sources_later(ws: Workspace, trigger: Trigger, unreachable: list[RegenError]) -> None:
    """Have this sync plan with the remotes, where there are any: they are opened when something is in no store here.

    While git replays commits, each step gets what the stores have.
    """
    if not (trigger.by_hand or trigger.queues) or not ws.settings.remotes():
        return

    def open_now():
        from regen_vcs.engine.far_sources import far_sources  # threads and the clients of stores

        try:
            if trigger.name == "filter" and ws.repo.in_sequence():
                return None
            return far_sources(ws, by_hand=trigger.by_hand, hurried=not trigger.by_hand)
        except RegenError as error:
            unreachable.append(error)  # a remote that is badly configured keeps nothing else from coming
            return None

    ws.far_opener = open_now


def _fetch(
    ws: Workspace, trigger: Trigger, steps: list[Step], dry_run: bool, tick: Callable[[], None] | None,
    fetching: Callable[[object], None] | None,
) -> None:
    """Ask the remotes for what a sync wants of them, and bring it into the stores, without the worktree's lock."""
    far = ws.far
    far.ask(steps)
    coming = far.coming(steps)
    wait = None if trigger.by_hand else ws.settings.get("checkout.wait")
    if wait is not None and sum(step.seconds or 0 for step in coming) > wait:
        far.put_off(steps)
    elif not dry_run:
        deadline = None if wait is None else time.monotonic() + _OVERRUN * wait

        def follow(meter: object) -> None:
            if tick:
                tick()
            if fetching:
                fetching(meter)
            if deadline is not None and time.monotonic() > deadline:
                raise _TooSlow

        try:
            far.fetch(coming, follow)
        except _TooSlow:
            far.put_off(steps)  # what has arrived is here


class _TooSlow(Exception):
    """A fetch that git waits for takes much longer than was estimated. Never reaches a user."""


def _leave_to_worker(ws: Workspace, trigger: Trigger, outcome: Outcome, later: list[Step]) -> int:
    """Queue what takes longer than anybody waits for in the foreground; how many."""
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
    far = [step for step in steps if step.action == FETCH]
    if far:
        parts.append(f"{len(far)} to fetch ({price(far)})")
        hint = "run: regen-vcs fetch"
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


def warning_line(error: RegenError) -> str:
    """A remote that could not be used, in a line, where git goes on all the same."""
    return error.what + (f"; {error.hint}" if error.hint else "")


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
    if "is not mapped" in reason:
        return "run: regen-vcs root add NAME FOLDER"
    if "trust" in reason:
        return "run: regen-vcs trust"
    return None
