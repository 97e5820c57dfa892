"""`regen-vcs gc`."""

from __future__ import annotations

import gc
import os
import sys
import time

import click

from regen_vcs.cli.terminal import note, print_json, say
from regen_vcs.engine.finding import count
from regen_vcs.engine.gc.collecting import Collector, Room, settings_outside
from regen_vcs.engine.gc.describing import Group, groups_of, treasures_of
from regen_vcs.engine.gc.planning import Item, Plan, policy_of
from regen_vcs.engine.gc.sweeping import Outcome
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError, worst_exit_code
from regen_vcs.model.quantities import human_duration, human_size, parse_duration, parse_size

_TREASURES = 10


@click.command("gc")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would go, why that is safe, and what stays; do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Every object concerned, as JSON.")
@click.option("--grace", metavar="DURATION", help="How long what nobody needs stays, and then stays in the trash (gc.grace). 0: delete now.")
@click.option("--takes", is_flag=True, help="Sweep takes that nobody accepted, however young.")
@click.option("--budget", metavar="SIZE", help="Go on until the stores hold no more than this (gc.budget).")
@click.option("--free", metavar="SIZE", help="Go on until this much was got back.")
@click.option("--forget", "forgotten", metavar="HASH", multiple=True, help="Discard this object, though nothing brings it back.")
@click.option("--forget-repo", metavar="PATH", help="A repository that is gone for good needs nothing any more.")
@click.option("--undo", is_flag=True, help="Move everything that is in the trash back.")
@click.option("--auto", is_flag=True, help="Only where the disk runs low; print nothing.")
def gc_command(
    dry_run: bool, as_json: bool, grace: str | None, takes: bool, budget: str | None, free: str | None, forgotten: tuple[str, ...],
    forget_repo: str | None, undo: bool, auto: bool,
) -> int:
    """Give back the room of what nobody needs any more, in any repository that uses this store.

    Goes: what provably comes back, and takes that nobody ever accepted, after a grace of 30 days. It goes to the trash first, where
    everything still finds it. Stays: whatever any branch, tag, stash, reflog, worktree or pin names; and whatever nothing brings
    back. With --budget or --free also what is needed goes, cheapest to bring back first, if it provably comes back.

    \b
    Example: regen-vcs gc --dry-run
    """
    if sum(map(bool, (forgotten, forget_repo, undo, auto))) > 1:
        raise UsageError("--forget, --forget-repo, --undo and --auto are commands of their own", "give one of them")
    if auto:
        return _auto()
    gc.disable()  # Python's own: a hundred thousand objects, none of them in a cycle, cost it a second
    with _Opened() as (settings, environ, ws, progress):
        collector = Collector(settings, environ, ws, progress)
        if undo:
            return _undo(collector, as_json)
        if forget_repo:
            say(f"forgot {collector.forget_repository(forget_repo)}; what only it needed may go with the next gc")
            return 0
        policy = policy_of(settings, grace=None if grace is None else _duration(grace), takes=takes)
        if forgotten:
            return _forget(collector, list(forgotten), policy, as_json)
        room = Room(_size(budget) if budget is not None else settings.get("gc.budget"), _size(free) if free is not None else None)
        if dry_run:
            plan, outcome = collector.plan(policy, room), None
        else:
            plan, outcome = collector.run(policy, room)
        progress.clear()
        if as_json:
            print_json(_document(plan, outcome))
        else:
            _print(collector, plan, outcome, policy.grace)
        return _exit_code(outcome)


class _Opened:
    """Settings, environment, workspace (None outside of a repository) and progress, for `with`."""

    def __enter__(self):
        self._ws = None
        try:
            self._ws = Workspace.open(os.getcwd(), os.environ)
            settings = self._ws.settings
        except UsageError:
            settings = settings_outside(os.getcwd(), os.environ)
        self._progress = _Progress()
        return settings, dict(os.environ), self._ws, self._progress

    def __exit__(self, *_: object) -> None:
        self._progress.clear()
        if self._ws is not None:
            self._ws.close()


class _Progress:
    """What gc is at, on a terminal; nothing in a pipe."""

    def __init__(self) -> None:
        self._status = None
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("gc")
            self._status.start()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._status is not None:
            from rich.markup import escape

            self._status.update(escape(f"{stage} ({done:,} of {total:,})" if total else stage))

    def clear(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def _auto() -> int:
    from regen_vcs.engine.gc.background import collect_if_low

    ws = Workspace.open(os.getcwd(), os.environ)
    try:
        collect_if_low(ws)
    finally:
        ws.close()
    return 0


def _undo(collector: Collector, as_json: bool) -> int:
    back = collector.undo()
    if as_json:
        print_json({"restored": [_item(item, "restored") for item in back]})
    else:
        say(f"{count(len(back), 'object')} ({human_size(_bytes(back))}) moved back from the trash" if back else "the trash is empty")
    return 0


def _forget(collector: Collector, prefixes: list[str], policy, as_json: bool) -> int:
    outcome = collector.forget(prefixes, policy)
    if as_json:
        print_json({"swept": [_item(item, "swept") for item in outcome.swept]})
    else:
        say(f"{count(len(outcome.swept), 'object')} ({human_size(_bytes(outcome.swept))}) moved to the trash; "
            f"back with: regen-vcs gc --undo, within {human_days(policy.grace)}")
    return _exit_code(outcome)


# -- what is said ------------------------------------------------------------------------------------------------------


def _print(collector: Collector, plan: Plan, outcome: Outcome | None, grace: float) -> None:
    would = "would " if outcome is None else ""
    at_once = grace <= 0
    done = outcome or _as_if_done(plan, at_once)
    if not at_once:
        _print_table(f"{would}go to the trash for {human_days(grace)} (back with: regen-vcs gc --undo)", done.swept)
    _print_table(f"{would}be deleted, having been in the trash for {human_days(grace)}" if not at_once else f"{would}be deleted", done.emptied)
    _print_table(f"{would}be deleted for want of room; comes back when it is needed", done.evicted)
    _print_table(f"{would}come back from the trash, since it is needed or nothing else brings it back", done.restored)
    if plan.spares:
        size = outcome.spares[0] if outcome else sum(size for _, size in plan.spares)
        say(f"{would}be deleted: {human_size(size)} of spare copies, which only save time")
    _print_table("nobody needs, and stays", [item for item in plan.stays if item.why != "irreplaceable"])
    _print_treasures(collector, plan)
    say(_summary(plan, outcome, at_once))
    for line in [*plan.notes, *(outcome.notes if outcome else ())]:
        note(f"note: {line}")
    for error in _some_errors(outcome):
        note(f"error: {error}")


def _as_if_done(plan: Plan, at_once: bool = False) -> Outcome:
    emptied = plan.empty + plan.sweep if at_once else plan.empty
    return Outcome(plan.sweep, emptied, plan.restore, plan.evict, [], [0], [0], {}, [])


def _print_table(title: str, items: list[Item]) -> None:
    groups = groups_of(items)
    if not groups:
        return
    say(f"{title}:")
    rows = [(each.what, f"{each.objects:,}", human_size(each.size), _back(each), each.safe) for each in groups]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for what, objects, size, back, safe in rows:
        say(f"  {what:<{widths[0]}}  {objects:>{widths[1]}}  {size:>{widths[2]}}  {back:<{widths[3]}}  {safe}".rstrip())


def _back(group: Group) -> str:
    """What bringing it back would take."""
    if group.seconds is None and group.cost is None:
        return ""
    parts = [human_duration(group.seconds)] if group.seconds is not None else []
    parts += [f"${group.cost:.2f}"] if group.cost else []
    return f"back in {', '.join(parts)}"


def _print_treasures(collector: Collector, plan: Plan) -> None:
    items = [item for item in plan.stays if item.why == "irreplaceable"]
    if not items:
        return
    say(f"irreplaceable, though nobody needs it: {count(len(items), 'object')}, {human_size(_bytes(items))}; "
        "it stays until: regen-vcs gc --forget HASH")
    treasures = treasures_of(collector.stores, items, _TREASURES)
    width = max(len(human_size(each.size)) for each in treasures)
    for each in treasures:
        day = time.strftime("%Y-%m-%d", time.localtime(each.since))
        say(f"  {each.hash[:12]}  {human_size(each.size):>{width}}  {each.what}, since {day} or before")
    if len(items) > _TREASURES:
        say("  … all of them: regen-vcs gc --dry-run --json")


def _summary(plan: Plan, outcome: Outcome | None, at_once: bool) -> str:
    if outcome is None:
        now = _bytes(plan.empty) + _bytes(plan.evict) + sum(size for _, size in plan.spares) + (_bytes(plan.sweep) if at_once else 0)
        later = 0 if at_once else _bytes(plan.sweep)
        words = f"{human_size(now)} would be free at once" + (f", {human_size(later)} more when the trash is emptied" if later else "")
        return f"{words}; keep, cache and trash hold {human_size(plan.total)}"
    now = outcome.freed[0] + outcome.spares[0]
    later = 0 if at_once else _bytes(outcome.swept)
    if not (now or later or outcome.restored):
        return f"nothing to do; keep, cache and trash hold {human_size(plan.total)}"
    words = f"{human_size(now)} freed" + (f", {human_size(later)} in the trash" if later else "")
    spared = f"; {count(len(outcome.spared), 'object')} came to be needed meanwhile" if outcome.spared else ""
    return f"{words}; keep, cache and trash hold {human_size(plan.total - outcome.freed[0])}{spared}"


def human_days(seconds: float) -> str:
    """`30 days`, `12 h`."""
    return count(round(seconds / 86400), "day") if seconds >= 86400 else human_duration(seconds)


def _some_errors(outcome: Outcome | None) -> list[str]:
    errors = [error.what for error in outcome.failed.values()] if outcome else []
    return errors[:3] + ([f"and {len(errors) - 3} more"] if len(errors) > 3 else [])


def _bytes(items: list[Item]) -> int:
    return sum(item.size for item in items)


def _document(plan: Plan, outcome: Outcome | None) -> dict:
    done = outcome or _as_if_done(plan)
    lists = {"swept": done.swept, "emptied": done.emptied, "evicted": done.evicted, "restored": done.restored, "stays": plan.stays}
    items = [_item(item, action) for action, mine in lists.items() for item in mine]
    return {
        "dry_run": outcome is None,
        "objects": items,
        "summary": {action: {"objects": len(mine), "bytes": _bytes(mine)} for action, mine in lists.items()},
        "irreplaceable": [_item(item, "stays") for item in plan.stays if item.why == "irreplaceable"],
        "spares": [{"folder": folder, "bytes": size} for folder, size in plan.spares],
        "freed": None if outcome is None else outcome.freed[0] + outcome.spares[0],
        "total": plan.total,
        "wanted": plan.wanted,
        "failed": {hash: error.what for hash, error in outcome.failed.items()} if outcome else {},
        "notes": [*plan.notes, *(outcome.notes if outcome else ())],
    }


def _item(item: Item, action: str) -> dict:
    way = item.way
    back = None if way is None else {"how": way.how, "by": way.by, "seconds": way.seconds, "cost": way.cost}
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(item.since))
    return {"hash": item.hash, "size": item.size, "action": action, "why": item.why, "back": back, "since": since}


def _exit_code(outcome: Outcome | None) -> int:
    return worst_exit_code([error.exit_code for error in outcome.failed.values()]) if outcome else 0


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except (ValueError, RegenError):
        raise UsageError(f"--grace: {text!r} is not a duration", 'such as "30d", "12h" or "0"') from None


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except (ValueError, RegenError):
        raise UsageError(f"{text!r} is not a size", 'such as "50GB" or "800MB"') from None
