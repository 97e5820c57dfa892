"""What regen-vcs answered, taken into the session: the part of `state.Session` that asks nothing. Nothing here knows Blender."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from . import messages, trust_words
from .bridge import RegenError
from .details import Detail, Take, detail_of, takes_of
from .listing import Row, rows_of, short_names
from .messages import Message
from .questions import Questions
from .queue_view import Batch


class Answers:
    """Of a session: everything that is known, and how an answer changes it. `state.Session` has the questions."""

    root: str | None
    message: Message | None
    rows: list[Row]
    by_path: dict[str, Row]
    batch: Batch
    selected: str
    details: dict[str, Detail]
    questions: Questions
    tell: Callable[..., None]
    select: Callable[[str], None]
    refresh: Callable[[], None]
    refresh_queue: Callable[[], None]
    missing: Callable[[], list[str]]

    def _take_status(self, document: Any) -> None:
        before = self.by_path
        first = not self.looked
        self.rows = self._rows_of(document)
        self.by_path = {row.path: row for row in self.rows}
        self._dependants = _reverse(self.rows)
        self.counts = describe_short(self.rows)
        self.short_names = short_names(self.rows)
        self.outdated_count = sum(row.state in ("stale", "pending", "failed") for row in self.rows)
        self.missing_paths = self.missing()
        self.revision += 1
        self.looked = True
        if self.message is messages.LOOKING or (self.message and self.message.kind == "trouble"):
            self.message = None
        changed = {path for path, row in self.by_path.items() if not first and row.on_disk != getattr(before.get(path), "on_disk", "")}
        changed |= {path for path in before if path not in self.by_path}
        if any(row.state in ("queued", "running") for row in self.rows):
            self.refresh_queue()
        if self.selected in self.by_path and (first or before.get(self.selected) != self.by_path[self.selected]):
            self.select(self.selected)
        self.tell("rows")
        if first:
            self.tell("looked")
        if changed:
            self.tell("changed", changed)

    def _rows_of(self, document: Any) -> list[Row]:
        """The rows by path. Of thousands few have changed, and the others are as they were: reading each anew takes 50 ms."""
        entries = document.get("assets") if isinstance(document, dict) else None
        told = {entry["path"]: entry for entry in entries or () if isinstance(entry, dict) and isinstance(entry.get("path"), str)}
        fresh = rows_of({"assets": [entry for path, entry in told.items() if self._told.get(path) != entry or path not in self.by_path]})
        self._told = told
        found = {**{path: row for path, row in self.by_path.items() if path in told}, **{row.path: row for row in fresh}}
        return [found[path] for path in sorted(found)]

    def _take_queue(self, document: Any) -> None:
        ended = self.batch.take(document, self.root and os.path.realpath(self.root))
        if ended:
            self.refresh()
        self.tell("queue")

    def _take_detail(self, document: Any) -> None:
        detail = detail_of(document)
        if detail is None:
            return
        # Of assets that were looked at long ago nothing is kept.
        while len(self.details) > 50:
            del self.details[next(iter(self.details))]
        # Until `takes` has answered, takes go on as they were called and look as they did.
        known = {take.hash: take for take in self.details[detail.path].takes} if detail.path in self.details else {}
        takes = [take._replace(name=known[take.hash].name, thumbnail=known[take.hash].thumbnail) if take.hash in known else take for take in detail.takes]
        self.details[detail.path] = detail._replace(takes=tuple(takes))
        self.questions.ask(f"takes {detail.path}", "takes", "--thumbnails", "--", detail.path, on_done=lambda answer: self._take_takes(detail.path, answer))
        self.tell("detail", detail.path)

    def _take_takes(self, path: str, document: Any) -> None:
        takes: list[Take] = takes_of(document)
        if path in self.details and takes:
            self.details[path] = self.details[path]._replace(takes=tuple(takes))
            self.tell("detail", path)

    def _take_trust(self, document: Any) -> None:
        self.trust = document if isinstance(document, dict) else {}
        if self.trust.get("trusted") is False:
            self.message = messages.not_trusted(*trust_words.counts(self.trust))
        elif self.message and self.message.kind == "not_trusted":
            self.message = None
        self.tell("rows")

    def _take_generators(self, document: Any) -> None:
        found = document.get("generators") if isinstance(document, dict) else None
        self.generators = [each for each in found or () if isinstance(each, dict) and isinstance(each.get("name"), str)]
        self.tell("generators")

    def _take_branches(self, text: str) -> None:
        lines = [line for line in text.splitlines() if line]
        self.branches = [line[1:] for line in lines]
        self.branch = next((line[1:] for line in lines if line.startswith("*")), "")
        self.tell("queue")

    def _take_trouble(self, error: RegenError) -> None:
        if error.kind == "cancelled":
            return
        self.message = messages.absent(error) if error.kind in ("absent", "too_old") else messages.trouble(error)
        self.tell("trouble", error)


def _reverse(rows: Sequence[Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        for _name, source in row.inputs:
            found.setdefault(source, []).append(row.path)
    return found


def describe_short(rows: Sequence[Row]) -> str:
    """"7 of 12 ready"; "" without assets."""
    ready = sum(row.state == "ok" for row in rows)
    return f"{ready} of {len(rows)} ready" if rows else ""
