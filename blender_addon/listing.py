"""The rows of the asset list: read out of `status --json`, found, sorted, and said in words. Nothing here knows Blender."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

# Not by the locale: the rest of the panel is English.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Row(NamedTuple):
    """One asset. size: bytes; seconds: to make it again; either None where nobody knows. search: what a filter looks in, case folded."""

    path: str
    state: str
    generator: str
    models: str
    tags: tuple[str, ...]
    size: int | None
    seconds: float | None
    can_regenerate: bool
    output: str
    on_disk: str
    in_store: bool
    inputs: tuple[tuple[str, str], ...]
    review: str
    reason: str
    search: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class State(NamedTuple):
    """How a state is shown. rank: what asks for attention comes first."""

    icon: str
    word: str
    meaning: str
    rank: int


STATES = {
    "running": State("PLAY", "Making", "a generator is at work on it", 0),
    "failed": State("CANCEL", "Failed", "its generator failed; the log says why", 1),
    "invalid": State("ERROR", "Invalid", "its sidecar cannot be read", 2),
    "missing": State("IMPORT", "Missing", "its accepted version is not on disk", 3),
    "proposed": State("QUESTION", "Proposed", "a result waits for your word", 4),
    "drifted": State("MOD_WAVE", "Differs", "made again, it came out different", 5),
    "modified": State("GREASEPENCIL", "Edited", "the file on disk was edited by hand", 6),
    "stale": State("FILE_REFRESH", "Outdated", "its recipe or inputs changed since it was made", 7),
    "pending": State("TIME", "Not made yet", "there is a recipe, and no result so far", 8),
    "queued": State("SORTTIME", "Waiting", "in the queue", 9),
    "orphan": State("UNLINKED", "Without recipe", "its sidecar is gone", 10),
    "unmanaged": State("FILE_BLANK", "Unmanaged", "media without a recipe", 11),
    "skipped": State("HIDE_ON", "Not wanted here", "outside the working set", 12),
    "ok": State("CHECKMARK", "Ready", "on disk, as accepted", 13),
}
_UNKNOWN = State("QUESTION", "Unknown", "this version of the addon does not know the state", 14)

SORTS = ("path", "state", "size", "time", "generator")


def state_of(name: str) -> State:
    return STATES.get(name, _UNKNOWN)


def rows_of(document: Any) -> list[Row]:
    """The rows in the answer of `status --json`. Entries that are none, and fields of another shape, are passed over."""
    assets = document.get("assets") if isinstance(document, Mapping) else None
    return [row for row in map(_row_of, assets if isinstance(assets, list) else ()) if row is not None]


def _row_of(entry: Any) -> Row | None:
    if not isinstance(entry, Mapping) or not (path := _text(entry.get("path"))):
        return None
    generator, models, state = _text(entry.get("generator")), _models(entry.get("models")), _text(entry.get("state"))
    tags = tuple(_text(tag) for tag in _sequence(entry.get("tags")) if _text(tag))
    return Row(
        path, state, generator, models, tags,
        size=_whole(entry.get("size")), seconds=_seconds(entry.get("seconds")), can_regenerate=entry.get("can_regenerate") is True,
        output=_text(entry.get("output")), on_disk=_text(entry.get("on_disk")), in_store=entry.get("in_store") is True,
        inputs=_inputs(entry.get("inputs")), review=_review(entry.get("review")), reason=_text(entry.get("reason")),
        search="\n".join((path, generator, models, *tags)).casefold(),
    )  # fmt: skip


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _models(value: Any) -> str:
    """`{"checkpoint": {"name": "sd_xl", "version": "1.0"}}` → `sd_xl 1.0`."""
    if not isinstance(value, Mapping):
        return ""
    said = []
    for role, model in value.items():
        if isinstance(model, Mapping):
            words = [_text(model.get("name")), _text(model.get("version"))]
            said.append(" ".join(word for word in words if word) or _text(model.get("hash"))[:16] or str(role))
        elif isinstance(model, str):
            said.append(model)
    return ", ".join(said)


def _inputs(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        return ()
    return tuple((str(role), target) for role, target in value.items() if isinstance(target, str))


def _review(value: Any) -> str:
    return _text(value.get("state")) if isinstance(value, Mapping) else _text(value)


# ----------------------------------------------------------------------------------------------------- finding, sorting


def filter_rows(rows: Sequence[Row], text: str = "", states: Collection[str] = ()) -> list[int]:
    """The indices of the rows that hold every word of `text`, and are in one of `states` (empty: in any). A word with `-` before it must be absent."""
    words = text.casefold().split()
    wanted = [word for word in words if not (word.startswith("-") and len(word) > 1)]
    unwanted = [word[1:] for word in words if word.startswith("-") and len(word) > 1]
    return [
        index
        for index, row in enumerate(rows)
        if (not states or row.state in states)
        and all(word in row.search for word in wanted)
        and not any(word in row.search for word in unwanted)
    ]


def sort_rows(rows: Sequence[Row], by: str = "path", *, descending: bool = False) -> list[int]:
    """The indices of all rows in the order of one of SORTS; equal ones by path, and what nobody knows at the end. ValueError for another word."""
    if by not in SORTS:
        raise ValueError(f"no such order: {by}")
    indices = sorted(range(len(rows)), key=lambda index: rows[index].path)
    if by == "path":
        return indices[::-1] if descending else indices
    value = _VALUES[by]
    known = [index for index in indices if value(rows[index]) is not None]
    # Sorting is stable, also in reverse: equal rows stay by path.
    known.sort(key=lambda index: value(rows[index]), reverse=descending)
    return known + [index for index in indices if value(rows[index]) is None]


_VALUES: dict[str, Any] = {
    "state": lambda row: state_of(row.state).rank,
    "size": lambda row: row.size,
    "time": lambda row: row.seconds,
    "generator": lambda row: row.generator or None,
}


def arrange(
    rows: Sequence[Row], text: str = "", states: Collection[str] = (), by: str = "path", *, descending: bool = False
) -> tuple[list[bool], list[int]]:
    """What `UIList.filter_items` gives: (whether each row is shown, the place of each row)."""
    shown = [False] * len(rows)
    for index in filter_rows(rows, text, states):
        shown[index] = True
    places = [0] * len(rows)
    for place, index in enumerate(sort_rows(rows, by, descending=descending)):
        places[index] = place
    return shown, places


# ------------------------------------------------------------------------------------------------------------ in words


def human_size(size: int | None) -> str:
    """117228 → "117 kB"; None → "". The words that the command line uses."""
    if size is None:
        return ""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if value < 999.5 or unit == "PB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 9.95 or unit == "B" else f"{value:.1f} {unit}"


def human_duration(seconds: float | None) -> str:
    """0.407 → "0.4 s", 95 → "1 min 35 s", 7300 → "2 h 1 min"; None → ""."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 and whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole % 3600 >= 60 else f"{whole // 3600} h"


def human_time(text: str, now: datetime | None = None) -> str:
    """A moment as the tool writes it, "2026-11-23T11:46:00Z", in this machine's time: "11:46" of today, "23 Nov", "Nov 2025"; "" for what is none.

    now: aware of its zone, in which the moment is told.
    """
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    except ValueError:
        return ""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)  # noqa: UP017 - Python 3.10 has no other
    now = now or datetime.now().astimezone()
    try:
        moment = moment.astimezone(now.tzinfo)
    except OverflowError:
        return ""
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    return f"{moment.day} {_MONTHS[moment.month - 1]}" if now - moment < timedelta(days=300) else f"{_MONTHS[moment.month - 1]} {moment.year}"


def short_names(rows: Sequence[Row]) -> dict[str, str]:
    """{path: what a narrow list calls it}: the file's name, with its folder's before it where another asset has the same."""
    names: dict[str, int] = {}
    for row in rows:
        names[row.name] = names.get(row.name, 0) + 1
    return {row.path: row.name if names[row.name] == 1 else "/".join(row.path.split("/")[-2:]) for row in rows}


def describe_counts(rows: Sequence[Row]) -> str:
    """"12 missing, 3 outdated, 40 ready", what asks for attention first."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    ordered = sorted(counts, key=lambda name: (state_of(name).rank, name))
    return ", ".join(f"{counts[name]} {state_of(name).word.lower()}" for name in ordered)
