"""The state of the worktree after a look, written down: what lies there, and whose it is. Hot path."""

from __future__ import annotations

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.memory import EMPTY_ROW, Row
from regen_vcs.engine.planner import Observed
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.platform.files import write_error


def remember(snapshot: Snapshot, undecided: set[str] = frozenset()) -> None:
    """Write down what is on disk now. `undecided`: assets whose accepted bytes could not be brought."""
    ws = snapshot.ws
    rows, remembers = dict(ws.state.rows), ws.state.exists
    for path, desired in snapshot.assets.items():
        if path in snapshot.observed and not desired.unmerged and path not in snapshot.in_place:
            old = rows.get(path, EMPTY_ROW)
            rows[path] = row_for(desired, old, snapshot.seen(path), path in undecided, remembers)
    for path in list(rows):
        if path not in snapshot.assets and path in snapshot.observed:
            rows[path] = orphan_row(rows[path], snapshot.seen(path))
            if rows[path] is None:
                del rows[path]
    ws.state.rows = rows
    ws.state.failed = {p: f for p, f in ws.state.failed.items() if p in snapshot.assets or f.get("in_place")}
    try:
        ws.state.save()
    except OSError as error:
        raise write_error(error, "writing down what was done in this worktree") from error
    finally:
        ws.memo.save()


def row_for(desired: Desired, old: Row, seen: Observed, undecided: bool, remembers: bool) -> Row:
    wanted = desired.facts.out_hash
    settled = seen.hash == wanted and wanted is not None
    if settled:
        accepted = wanted
    elif not remembers and old.accepted is None and seen.kind == "present" and not seen.stored:
        accepted = wanted  # somebody's own bytes, found when there was no memory: they stay, as modified
    elif undecided or desired.facts.problem or desired.side_sig is None:
        accepted = old.accepted  # so that the next sync still knows what the bytes on disk were
    elif seen.kind == "absent":
        accepted = wanted
    else:
        accepted = old.accepted
    stand_in = old.stand_in if seen.hash == old.disk_hash and not settled else ""
    return Row(
        desired.side_sig,
        desired.memo_name,
        desired.facts,
        seen.hash,
        seen.files,
        accepted,
        stand_in,
        not desired.tracked,
    )


def orphan_row(row: Row, seen: Observed) -> Row | None:
    """An asset without a sidecar: forgotten once it is gone, except one whose untracked sidecar may come back."""
    if seen.kind == "present":
        return row._replace(disk_hash=seen.hash, files=seen.files) if row.disk_hash else None
    if row.untracked:
        return row._replace(side_sig=None, disk_hash=None, files={}, accepted=None, stand_in="")
    return None
