"""A plan: what one sync will do, as a value. Dry run, JSON, tests and the executor all read the same one."""

from __future__ import annotations

from collections import Counter, namedtuple

# What a step may do (DESIGN, section 4).
KEEP, MATERIALISE, FETCH, REGENERATE, QUEUE, REMOVE, RESCUE, REFUSE = (
    "keep",
    "materialise",
    "fetch",
    "regenerate",
    "queue",
    "remove",
    "rescue",
    "refuse",
)

Step = namedtuple(
    "Step",
    (
        "action",  # one of the above
        "path",  # the asset
        "hash",  # the bytes it is about: to bring, to remove, to rescue; or None
        "size",  # bytes, 0 where unknown
        "reason",  # a word or a sentence for people
        "seconds",  # estimate, or None where unknown
        "cost",  # dollars that a paid generator would take; None where it is not paid, or nobody knows
    ),
    defaults=(None,),
)

# Why a paid generator is not run by itself.
PAID = "paid: not run by a checkout; run: regen-vcs regenerate"
# Why a FETCH step is not carried out now.
FETCH_LATER = "to fetch: it takes longer than a checkout waits"


class Plan:
    """Steps in the order in which they are to be executed, and how many assets need none."""

    def __init__(self, steps: list[Step], *, kept: int = 0, notices: list[str] | None = None):
        self.steps = steps
        self.kept = kept
        self.notices = notices or []

    def of(self, *actions: str) -> list[Step]:
        return [step for step in self.steps if step.action in actions]

    def counts(self) -> dict[str, int]:
        return dict(Counter(step.action for step in self.steps))

    def __bool__(self) -> bool:
        return bool(self.steps)

    def to_json(self) -> dict:
        return {
            "steps": [dict(zip(Step._fields, step, strict=True)) for step in self.steps],
            "kept": self.kept,
            "notices": self.notices,
        }
