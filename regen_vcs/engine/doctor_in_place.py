"""What `doctor` says of the second layout."""

from __future__ import annotations

from collections.abc import Iterator

from regen_vcs.engine.finding import NOTE, OK, PROBLEM, Finding, count, some
from regen_vcs.engine.in_place import BYTES, DAMAGED, has_filter, is_used, look_in_place
from regen_vcs.engine.in_place_sync import waits_for_bytes
from regen_vcs.engine.snapshot import Snapshot


def examine_in_place(snapshot: Snapshot) -> Iterator[Finding]:
    """Whether git cleans and smudges these files here, and whether what it has of them are documents."""
    ws = snapshot.ws
    if not is_used(ws):
        return
    assets = look_in_place(ws)
    if not has_filter(ws):
        what = f"{count(len(assets), 'asset')} kept in place, but their filter is not set: git add would take raw bytes"
        yield Finding("in place", PROBLEM, what, "regen-vcs init")
    raw = [each.path for each in assets if each.document is None and not each.unmerged]
    if raw:
        yield Finding("in place", PROBLEM, f"git has the raw bytes of {some(raw)}", "git add --renormalize ., and commit")
    damaged = [each.path for each in assets if each.disk.kind == DAMAGED]
    if damaged:
        yield Finding("in place", PROBLEM, f"a document that cannot be read lies on disk: {some(damaged)}", "mend it, then: git add")
    waiting = [each for each in assets if waits_for_bytes(each)]
    here = [each.path for each in waiting if ws.stores.has(each.facts.out_hash)]
    if here:
        yield Finding("in place", NOTE, f"documents on disk whose bytes are in a store: {some(here)}", "regen-vcs sync")
    if len(here) < len(waiting):
        lost = [each.path for each in waiting if each.path not in set(here)]
        yield Finding("in place", NOTE, f"documents on disk whose bytes are in no store here: {some(lost)}", "regen-vcs sync")
    shown = sum(each.disk.kind == BYTES for each in assets)
    yield Finding("in place", OK, f"{count(len(assets), 'asset')}, {shown} of them on disk as media")
