"""Since when nobody needs an object: what the last gc wrote down, and what can be known without it.

Clocks go wrong, in both directions, and times of files follow them. So an age is only ever taken at its youngest: an object
that the last gc did not list as unneeded is no older than that gc, whatever its file says, and a time that lies in the future is now.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from regen_vcs.platform import files
from regen_vcs.stores import durable

# No object is older than these stores: a time before it comes from a clock that was not set.
_FIRST = 1_735_689_600.0  # 2025


class Ledger:
    """`<keep>/v1/gc/ledger`: {"at", "since": {hash: seconds since 1970}} of the last gc that was no dry run."""

    def __init__(self, keep_root: str):
        self._path = f"{keep_root}/gc/ledger"
        self._at: float | None = None
        self._since: dict[str, float] = {}
        try:
            with open(self._path, "rb") as file:
                document = json.load(file)
            self._since = {str(hash): float(since) for hash, since in document["since"].items()}
            self._at = float(document["at"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._at, self._since = None, {}

    def since(self, hash: str, times: Iterable[float], now: float) -> float:
        """Since when, at the latest, nobody has needed it. times: when it came to be, by all other accounts."""
        known = self._since.get(hash)
        found = [now if not _FIRST < each <= now else each for each in times]
        if known is None and self._at is not None:
            found.append(min(self._at, now) if self._at > _FIRST else now)
        elif known is not None:
            found.append(min(known, now))
        return max(found, default=now)

    def save(self, since: Mapping[str, float], now: float) -> None:
        """Replace it: all that nobody needs now. RegenError."""
        try:
            durable.make_folder(self._path.rpartition("/")[0])
            files.write_atomic(self._path, json.dumps({"at": now, "since": dict(since)}).encode(), durable=True)
        except OSError as error:
            raise files.write_error(error, f"writing {self._path}") from error
