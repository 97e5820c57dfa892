"""What the API answers with: frozen values, paths relative to the repository's root, hashes as bare BLAKE3 hex."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regen_vcs.errors import Interrupted, RegenerationError, RegenError
from regen_vcs.model.plan import Plan, Step

if TYPE_CHECKING:  # pydantic and the generators come with it
    from regen_vcs.engine.settling import Made
    from regen_vcs.engine.status import Status

CANCELLED = "cancelled"
FAILED = "failed"


class RegenerationPriority(enum.IntEnum):
    """Whose wishes come first. The numbers are those of engine/queue.py, which brings SQLite along."""

    USER_REQUESTED = 0
    MISSING_FILE = 1
    BACKGROUND_FILL = 2


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """The state of one asset (docs/commands.md, `status`). output: hash of the accepted bytes; on_disk: of those there.

    key: None for source assets and while an input is pending. size: of the accepted bytes.
    """

    path: str
    state: str
    reason: str | None
    generator: str | None
    key: str | None
    output: str | None
    on_disk: str | None
    size: int

    @classmethod
    def of(cls, status: Status) -> AssetStatus:
        return cls(*status)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one asset.

    verdict: "made", "restored" (the accepted bytes), "equal" (the accepted content in other bytes), "drifted" (something
    else; score 0..1, where it can be measured), "proposed", "filed" (the recipe changed meanwhile), "present" (it was up to
    date), "written" (only its recipe), "accepted", "fetched", "edited" (left alone), "failed", "cancelled".
    hash, size: of what came out. seconds: the run's. reused: it came from an earlier take. cost: dollars.
    error: why it failed; warning: what went wrong beside it.
    """

    path: str
    verdict: str
    hash: str | None = None
    size: int = 0
    seconds: float = 0.0
    reused: bool = False
    score: float | None = None
    cost: float | None = None
    error: RegenError | None = None
    warning: RegenError | None = None

    @property
    def ok(self) -> bool:
        return self.verdict not in (FAILED, CANCELLED)

    @classmethod
    def of(cls, made: Made) -> Result:
        """From the engine's own."""
        if made.error is not None:
            error = failure_of(made.path, made.error)
            return cls(made.path, CANCELLED if isinstance(error, Interrupted) else FAILED, error=error)
        take = made.take
        if take is None:
            return cls(made.path, made.verdict, score=made.score)
        return cls(
            made.path, made.verdict, take.hash, take.output.size or 0, take.seconds, take.reused, made.score,
            None if take.reused else take.record.get("cost"),
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a regeneration is about. followers: of the paths, those that are only there for the sake of what they are made
    from: made if that comes out with other bytes. forced: the others are made even if nothing has changed.
    """

    paths: tuple[str, ...]
    followers: frozenset[str] = frozenset()
    forced: bool = False

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did. done: the steps of `plan` that were. made: what generators ran for. failed: {path: why}.

    missing: what is still missing and what it would cost, in words; None where nothing is. unreachable: an error for each
    remote that could not be used.
    """

    plan: Plan
    done: tuple[Step, ...] = ()
    made: tuple[Result, ...] = ()
    failed: Mapping[str, RegenError] = field(default_factory=dict)
    missing: str | None = None
    unreachable: tuple[RegenError, ...] = ()


def failure_of(path: str, error: RegenError) -> RegenError:
    """Where the error's class says no more than that it failed: a RegenerationError, which names the asset and its log."""
    if error.kind != RegenError.kind or isinstance(error, RegenerationError):
        return error
    failure = RegenerationError(
        error.what, error.hint, path=path, log=getattr(error, "log", None), transient=getattr(error, "transient", False)
    )
    failure.__cause__ = error
    return failure


def selection_of(names: list[str], dependants: list[str], *, forced: bool) -> Selection:
    """These, and what is made from them."""
    followers = frozenset(dependants) - set(names)
    return Selection(tuple(dict.fromkeys([*names, *dependants])), followers, forced)
