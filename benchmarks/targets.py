"""The figures to reach: what each is measured against, and how much of that it may take. Plain values and text."""

from __future__ import annotations

from collections import namedtuple
from statistics import median

# base: the contender whose time is the floor. ratio, plus: at most ratio × floor + plus seconds.
Target = namedtuple("Target", ("base", "ratio", "plus"))
Line = namedtuple("Line", ("work", "floor", "ours", "ratio", "target", "reached", "peers"))

_SMALL = {
    "add + commit": Target("cp", 3.0, 0),
    "switch, first time": Target("floor", 1.4, 0),
    "switch, back again": Target("floor", 1.0, 0),
    "git status after it": Target("floor", 1.2, 0.002),
    "switch, 5 % changed": Target("floor", 1.5, None),  # and one start of Python
    "second worktree": Target("floor", 1.4, 0),
}
_LARGE = _SMALL | {"switch, first time": Target("floor", 1.1, 0), "switch, back again": Target("floor", 0.15, 0)}
_HARDLINK = {"switch, first time": 1.0, "switch, back again": 1.0, "second worktree": 1.0}
_HARDLINK_LARGE = {"switch, first time": 0.15, "switch, back again": 0.15, "second worktree": 1.0}
MEMORY_BYTES = 100 << 20


def target_of(workload: str, work: str, tool: str, files: int, python_start: float) -> Target | None:
    """What `tool` (ours, copying or linking) is to reach; None where nothing is asked."""
    if work == "switch, no sidecar":
        return Target("floor", 1.0, 0.010 + 0.015 * files / 5000)
    if work == "clone with media":
        return Target("cp", 6.0, 0) if workload == "W3" else None
    if work == "own status":
        return Target(None, 0, status_limit(files))
    large = workload == "W2"
    target = (_LARGE if large else _SMALL).get(work)
    if target is None or workload == "W3":
        return None
    if "hardlink" in tool and work in _HARDLINK:
        target = target._replace(ratio=(_HARDLINK_LARGE if large else _HARDLINK)[work])
    return target._replace(plus=python_start) if target.plus is None else target


def status_limit(files: int) -> float:
    """Seconds: 100 ms at 5,000 assets, 150 ms at 10,000, 1.5 s at 100,000, on straight lines between these."""
    return 0.05 + files * 1e-5 if files <= 10_000 else 0.15 + (files - 10_000) * 1.5e-5


def line_of(work: str, tool: str, times: dict[str, list[float]], target: Target | None, peers: list[str]) -> Line:
    """One line of the table. times: {contender: seconds of each repetition} of this work."""
    ours = median(times[tool])
    base = target.base if target else "floor"
    floor = median(times[base]) if base in times else None
    ratio = ours / floor if floor else None
    reached = text = ""
    if target:
        limit = target.ratio * (floor or 0) + target.plus
        reached = "yes" if ours <= limit else "no"
        text = " + ".join(filter(None, (target.ratio and f"≤ {target.ratio:g} × {base}", target.plus and _seconds(target.plus))))
        text = text if target.ratio else "≤ " + text
    others = {name: median(times[name]) / (floor or ours) for name in peers if name in times}
    return Line(work, floor, ours, ratio, text, reached, others)


def render(title: str, tool: str, lines: list[Line], peers: list[str]) -> str:
    """A Markdown table."""
    head = ["work", "floor", tool, "ratio", "target", "reached", *peers]
    rows = [
        [
            line.work, _seconds(line.floor), _seconds(line.ours), f"{line.ratio:.2f}" if line.ratio else "", line.target,
            line.reached, *(f"{line.peers[name]:.2f}" if name in line.peers else "" for name in peers),
        ]
        for line in lines
    ]
    table = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"## {title}", "", *table, ""])


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
