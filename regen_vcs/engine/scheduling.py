"""In what order jobs are best made: dependencies first, one model at a time, the longest way first. Pure.

A *group* is what shares loaded models: (generator, models). Changing it costs seconds to minutes, so a worker stays
with one as long as any of its jobs is ready.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping

# What a job counts where nobody knows how long it takes, in seconds.
UNKNOWN_SECONDS = 10.0


def find_cycle(needs: Mapping[str, Iterable[str]]) -> list[str] | None:
    """One cycle, its first node repeated at the end; None where there is none. needs: {node: nodes it waits for}."""
    done: set[str] = set()
    for root in needs:
        trail: dict[str, None] = {}
        stack = [(root, iter(needs.get(root, ())))]
        if root in done:
            continue
        trail[root] = None
        while stack:
            node, rest = stack[-1]
            following = next((each for each in rest if each in needs and each not in done), None)
            if following is None:
                stack.pop()
                trail.pop(node)
                done.add(node)
            elif following in trail:
                path = list(trail)
                return [*path[path.index(following):], following]
            else:
                trail[following] = None
                stack.append((following, iter(needs[following])))
    return None


def downstream_seconds(needs: Mapping[str, Iterable[str]], seconds: Mapping[str, float | None]) -> dict[str, float]:
    """{node: how long what waits for it takes, along its longest way}; its own time is not counted.

    needs: {node: nodes it waits for}, without cycles; others than its keys are left out.
    """
    dependants: dict[str, list[str]] = {node: [] for node in needs}
    waits = {node: 0 for node in needs}
    for node, wanted in needs.items():
        for each in set(wanted):
            if each in dependants:
                dependants[each].append(node)
                waits[node] += 1
    order = [node for node, count in waits.items() if not count]
    for node in order:  # grows while it is walked: Kahn's order
        for each in dependants[node]:
            waits[each] -= 1
            if not waits[each]:
                order.append(each)
    longest: dict[str, float] = dict.fromkeys(needs, 0.0)
    for node in reversed(order):
        for each in dependants[node]:
            own = seconds.get(each)
            longest[node] = max(longest[node], longest[each] + (UNKNOWN_SECONDS if own is None else own))
    return longest


def choose_group(ready: Mapping[str, float], current: str | None, busy: Iterable[str]) -> str | None:
    """Which group to work on next. ready: {group: the longest way below one of its ready jobs, in seconds}.

    The one that is loaded; else one that no other worker has loaded, with the longest way below it first.
    """
    if current in ready:
        return current
    taken = set(busy)
    free = [group for group in ready if group not in taken] or list(ready)
    return max(free, key=lambda group: (ready[group], group)) if free else None


def preview_order(jobs: Iterable, needs: Mapping[int, Collection[int]]) -> list:
    """Waiting jobs of the queue's in the order in which one worker would make them. needs: {id: ids it waits for};
    what is not among these jobs has been made already, or is being made.
    """
    waiting = {job.id: job for job in jobs}
    waits = {each: sum(needed in waiting for needed in needs.get(each, ())) for each in waiting}
    dependants: dict[int, list[int]] = {}
    for each in waiting:
        for needed in needs.get(each, ()):
            dependants.setdefault(needed, []).append(each)
    ready: dict[int, dict[str, list]] = {}  # {priority: {group: heap}}

    def add(job) -> None:
        seconds = (job.estimate is None, job.estimate or 0.0)
        heapq.heappush(ready.setdefault(job.priority, {}).setdefault(job.grp, []), (-job.downstream, *seconds, job.id))

    for each, count in waits.items():
        if not count:
            add(waiting[each])
    order, group = [], None
    while ready:
        groups = ready[best := min(ready)]
        group = choose_group({name: -heap[0][0] for name, heap in groups.items()}, group, ())
        done = heapq.heappop(groups[group])[-1]
        if not groups[group]:
            del groups[group]
        if not groups:
            del ready[best]
        order.append(waiting[done])
        for each in dependants.get(done, ()):
            waits[each] -= 1
            if not waits[each]:
                add(waiting[each])
    return order


def seconds_left(estimates: Iterable[float | None], slots: int) -> tuple[float, bool]:
    """(how long `slots` at once take for these jobs, whether every one of them is known)."""
    known, unknown = 0.0, False
    for each in estimates:
        known += each or 0.0
        unknown = unknown or each is None
    return known / max(1, slots), not unknown
