"""What the cache has saved: counted in this repository, on this machine, and never sent anywhere. Hot path.

`<git common dir>/regen/tally`: a line of JSON for each command that did something worth counting, appended at its end, and
by a worker that stays every few seconds. What a killed command had counted is lost, and nothing else.

    {"at": 1764547200, "hits": {"texture": [3, 98304]}, "reused": {"texture": [1, 0.4]}, "made": {"texture": [2, 0.9]},
     "missed": {"texture": 2}, "failed": {"command:x": 1}}

hits: brought from a local store, where it would have had to be made: how many, and their bytes. reused: an earlier take of
the same recipe stood ready: how many, and the seconds that making them took. made, failed: runs of generators, seconds of
those that went well. missed: of made, those whose accepted bytes should have been in a store and were not.
"""

from __future__ import annotations

import json
import os
import time

from regen_vcs.platform.files import FileLock, write_all, write_atomic

_PAIRS, _NUMBERS = ("hits", "reused", "made"), ("missed", "failed")
_PATIENCE = 0.05  # seconds: while somebody folds the file
_FOLD_FROM = 256 << 10
_OFTEN = 5.0  # seconds between two lines of one process


class Tally:
    """Counts of one process. Adding is cheap and from one thread at a time; `flush` writes them."""

    def __init__(self, folder: str):
        self._path = f"{folder}/tally"
        self._counts: dict[str, dict] = {}
        self._flushed_at = 0.0

    def add(self, what: str, generator: str, count: int = 1, amount: float | None = None) -> None:
        """what: "hits", "reused" or "made" with an amount (bytes, or seconds), or "missed" or "failed" without."""
        counts = self._counts.setdefault(what, {})
        if amount is None:
            counts[generator] = counts.get(generator, 0) + count
        else:
            known = counts.setdefault(generator, [0, 0])
            known[0] += count
            known[1] += amount

    def flush(self, *, now: bool = True) -> None:
        """Append what was counted since the last time; without `now` only if that was a while ago. Never fails."""
        if not self._counts or not (now or time.monotonic() - self._flushed_at > _OFTEN):
            return
        counts, self._counts = self._counts, {}
        self._flushed_at = time.monotonic()
        lock = FileLock(f"{self._path}.lock")
        try:
            if not lock.acquire(_PATIENCE, shared=True):
                return
            try:
                fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    write_all(fd, f"\n{json.dumps({'at': int(time.time()), **counts})}\n".encode())
                finally:
                    os.close(fd)
            finally:
                lock.release()
        except OSError:
            return  # a read-only repository, a full disk: it is only counting


class Totals:
    """All that was ever counted. since: seconds since 1970, None where nothing was."""

    def __init__(self) -> None:
        self.since: int | None = None
        self.hits: dict[str, list] = {}
        self.reused: dict[str, list] = {}
        self.made: dict[str, list] = {}
        self.missed: dict[str, int] = {}
        self.failed: dict[str, int] = {}

    @property
    def hit_count(self) -> int:
        return sum(count for count, _ in (*self.hits.values(), *self.reused.values()))

    @property
    def missed_count(self) -> int:
        return sum(self.missed.values())

    @property
    def hit_rate(self) -> float | None:
        """Of the times when accepted bytes were wanted, how often a store had them: 0..1; None where none were."""
        wanted = self.hit_count + self.missed_count
        return self.hit_count / wanted if wanted else None

    @property
    def made_count(self) -> int:
        return sum(count for count, _ in self.made.values())

    @property
    def failed_count(self) -> int:
        return sum(self.failed.values())

    @property
    def success_rate(self) -> float | None:
        """Of all runs of generators those that went well, 0..1; None where there was none."""
        runs = self.made_count + self.failed_count
        return self.made_count / runs if runs else None

    def seconds_saved(self, typical: dict[str, float]) -> float:
        """About how long making would have taken what came from a store. typical: {generator: seconds of a run}, where
        nothing was made here to tell."""
        saved = sum(seconds for _, seconds in self.reused.values())
        for generator, (count, _) in self.hits.items():
            runs, seconds = self.made.get(generator, (0, 0.0))
            each = seconds / runs if runs else typical.get(generator, 0.0)
            saved += count * each
        return saved

    def to_json(self) -> dict:
        return {"at": self.since, **{what: counts for what in (*_PAIRS, *_NUMBERS) if (counts := getattr(self, what))}}

    def add_line(self, line: bytes) -> None:
        """A line of the file; one that is torn or not ours says nothing."""
        try:
            found = json.loads(line)
            at = int(found["at"])
            pairs = {what: {str(g): (int(p[0]), float(p[1])) for g, p in found.get(what, {}).items()} for what in _PAIRS}
            numbers = {what: {str(g): int(n) for g, n in found.get(what, {}).items()} for what in _NUMBERS}
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return
        self.since = at if self.since is None else min(self.since, at)
        for what, counts in pairs.items():
            for generator, (count, amount) in counts.items():
                known = getattr(self, what).setdefault(generator, [0, 0])
                known[0] += count
                known[1] += amount
        for what, counts in numbers.items():
            for generator, count in counts.items():
                own = getattr(self, what)
                own[generator] = own.get(generator, 0) + count


def totals(folder: str) -> Totals:
    """What the file in this folder (`Repo.shared_dir`) adds up to. A long one is folded into one line on the way."""
    path, found = f"{folder}/tally", Totals()
    size = _read_into(found, path)
    if size > _FOLD_FROM:
        _fold(path)
    return found


def _read_into(found: Totals, path: str) -> int:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return 0
    for line in data.split(b"\n"):
        if line:
            found.add_line(line)
    return len(data)


def _fold(path: str) -> None:
    """Nobody appends meanwhile."""
    lock = FileLock(f"{path}.lock")
    try:
        if lock.acquire(0):
            try:
                whole = Totals()
                _read_into(whole, path)
                write_atomic(path, json.dumps(whole.to_json()).encode() + b"\n")
            finally:
                lock.release()
    except OSError:
        return  # a long file is no harm
