"""The queue of regenerations: one SQLite file in the repository's git common dir, shared by any number of processes.

A job is one asset of one worktree. It is `queued` until a worker claims it with a lease, `running` while that worker
lives, and ends once: `done`, `failed` or `cancelled`. A queued job waits for the jobs it needs; where one of these
fails it is `blocked`, and waits again when that one is retried. A worker that died (its lock is free, or its lease ran
out) gives its jobs back; its takes, if it came so far, are found by their keys, so nothing is made twice.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import namedtuple
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from regen_vcs.engine.queue_database import COLUMNS, PATIENCE, connect, told, writing
from regen_vcs.engine.queue_file import queue_path
from regen_vcs.engine.scheduling import choose_group
from regen_vcs.errors import RegenError
from regen_vcs.platform.files import FileLock, remove_file, temp_tag

USER, MISSING, BACKGROUND = 0, 1, 2
PRIORITIES = {"user": USER, "missing": MISSING, "background": BACKGROUND}

QUEUED, RUNNING, BLOCKED = "queued", "running", "blocked"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
OPEN = (QUEUED, RUNNING, BLOCKED)
# Of a running job, in `cancel`: somebody wants it ended; somebody wants it made anew when it has ended.
STOP, AGAIN = 1, 2
ENDED = (DONE, FAILED, CANCELLED)

LEASE_SECONDS = 60.0  # of a worker on another machine, whose lock says nothing here
MAX_CRASHES = 5  # of its worker, after which a job counts as their cause
MAX_ATTEMPTS = 4  # of what failed for reasons that pass (a server that is away)
_BACKOFF = 5.0  # seconds before the second attempt; three times as long before each further one
_LONGEST_BACKOFF = 60.0
_BEHIND = 1.0  # seconds between looks at a job that others have to let go first
_SHORT = 1.0  # seconds
_KEEP_ENDED = 14 * 86400.0

# As `socket` has it, whose import takes longer than a listing.
_HOST = os.uname().nodename if hasattr(os, "uname") else "here"


class Job(namedtuple("_Job", COLUMNS)):
    """One row. Times are seconds since 1970, `estimate`, `seconds` and `downstream` durations in seconds, `cost` dollars.

    by_user: somebody asked for it, whatever its priority is by now. key: 64 hex digits, or None where it was not known yet; take: hash of what came out; log: hash of what was printed.
    """

    __slots__ = ()


# What a line of a list tells of a job: ten thousand of them are read in no time.
LISTED = (
    "id", "worktree", "path", "state", "priority", "waits", "estimate", "progress", "message", "reason", "attempts", "verdict",
    "seconds", "cost", "owner", "lease", "request",
)  # fmt: skip
Listed = namedtuple("Listed", LISTED)

# needs: paths of assets whose jobs come first. estimate: seconds or None. force: 1 makes a take even if one is at hand.
Request = namedtuple(
    "Request", ("path", "key", "generator", "group", "estimate", "needs", "downstream", "force", "paid"), defaults=(0.0, False, False)
)


class Queue:
    """Open queue of one repository; use from one thread. `close` it, or use it as a context manager."""

    def __init__(self, folder: str, *, patience: float = PATIENCE):
        """folder: `Repo.shared_dir`. patience: seconds to wait for somebody else who writes. RegenError where the file
        cannot be used; see `open_queue`."""
        _make_folder(folder)
        self._folder = folder
        self.path = queue_path(folder)
        self._db = connect(self.path, patience)

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    @told
    def version(self) -> int:
        """Another number whenever another process has changed something."""
        return self._db.execute("PRAGMA data_version").fetchone()[0]

    # -- adding ----------------------------------------------------------------------------------------------------

    @told
    def add(self, worktree: str, requests: Iterable[Request], priority: int, *, request: str | None = None, at: float | None = None) -> dict[str, int]:
        """Queue these; {path: id of its job}. What is open already keeps its job, with the higher of both priorities.
        One that runs for another key, or is being cancelled, is queued again when it has ended.

        request: the mark of a process that makes these itself; nobody else claims them while it lives. at: since when
        they are wanted, in seconds since 1970; None: now.
        """
        now = time.time() if at is None else at
        by_user = int(priority == USER)
        ids: dict[str, int] = {}
        requests = list(requests)
        with self._writing():
            known = dict(self._db.execute(
                "SELECT path, id FROM job WHERE worktree = ? AND state IN ('queued', 'running', 'blocked')", (worktree,)
            ).fetchall())
            for each in requests:
                values = (each.key, each.generator, each.group, each.downstream, each.estimate, int(each.force), int(each.paid))
                if each.path in known:
                    ids[each.path] = known[each.path]
                    self._db.execute(
                        f"UPDATE job SET cancel=cancel|{AGAIN}, key=?, force=max(force, ?), by_user=max(by_user, ?), "
                        f"priority=min(priority, ?) WHERE id=? AND state='running' AND (cancel&{STOP} OR key IS NOT ?)",
                        (each.key, int(each.force), by_user, priority, known[each.path], each.key),
                    )
                    self._db.execute(
                        "UPDATE job SET key=?, generator=?, grp=?, downstream=max(downstream, ?), estimate=?, force=max(force, ?), "
                        "paid=?, by_user=max(by_user, ?), priority=min(priority, ?), request=coalesce(?, request), state='queued', not_before=0, reason=NULL "
                        "WHERE id=? AND state != 'running'", (*values, by_user, priority, request, known[each.path]),
                    )
                    continue
                ids[each.path] = self._db.execute(
                    "INSERT INTO job (worktree, path, key, generator, grp, downstream, estimate, force, paid, by_user, priority, "
                    "request, state, added) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,'queued',?)",
                    (worktree, each.path, *values, by_user, priority, request, now),
                ).lastrowid
            # What is blocked is not waited for: only `retry` has it made, and accepted bytes of it may be at hand.
            waited = dict(self._db.execute(
                "SELECT path, id FROM job WHERE worktree = ? AND state IN ('queued', 'running')", (worktree,)
            ).fetchall())
            # A recipe that has changed since needs something else now: what it was made from once may even be made from it.
            self._db.executemany("DELETE FROM need WHERE job=?", [(each,) for each in ids.values()])
            needs = [(ids[each.path], waited[path]) for each in requests for path in each.needs if path in waited]
            needs = [(each, needed) for each, needed in needs if not self._leads_to(needed, each)]
            self._db.executemany("INSERT OR IGNORE INTO need VALUES (?, ?)", needs)
            self._raise_needs([needed for _, needed in needs], priority)
            self._recount(ids.values())
            self._db.execute("DELETE FROM job WHERE state IN ('done','failed','cancelled') AND ended < ?", (now - _KEEP_ENDED,))
            self._db.execute("DELETE FROM need WHERE job NOT IN (SELECT id FROM job)")
        return ids

    def _leads_to(self, needed: int, job: int) -> bool:
        """Whether one waits for the other by what recipes said earlier: then both would wait for ever."""
        return self._db.execute(
            "WITH RECURSIVE up(id) AS (SELECT ? UNION SELECT needs FROM need JOIN up ON need.job=up.id) SELECT 1 FROM up WHERE id=?",
            (needed, job),
        ).fetchone() is not None

    def _raise_needs(self, ids: Iterable[int], priority: int) -> None:
        """What is waited for is as urgent as what waits."""
        todo, seen = list(ids), set()
        for each in todo:  # grows while it is walked
            if each not in seen:
                seen.add(each)
                self._db.execute("UPDATE job SET priority=min(priority, ?) WHERE id=?", (priority, each))
                todo += [row[0] for row in self._db.execute("SELECT needs FROM need WHERE job=?", (each,))]

    def _recount(self, ids: Iterable[int]) -> None:
        """How many jobs each of these still waits for."""
        for chunk in _chunks(ids):
            marks = ",".join("?" * len(chunk))
            self._db.execute(
                f"UPDATE job SET waits = (SELECT count(*) FROM need JOIN job d ON d.id = need.needs "
                f"WHERE need.job = job.id AND d.state IN ('queued','running','blocked')) WHERE id IN ({marks})", chunk,
            )

    # -- working ---------------------------------------------------------------------------------------------------

    @told
    def claim(
        self, owner: str, limit: int, *, group: str | None = None, request: str | None = None, free: int = 1, ahead: float = 0.0,
        typical: Mapping[str, float] | None = None, stay: bool = False, background: bool = True,
    ) -> list[Job]:
        """Take ready jobs, of one group, up to `limit`: as many as the worker has `free` hands, and further ones only
        while all taken so far are known to take less than `ahead` seconds together, so that others get their share.

        typical: {group: what its jobs have taken lately, in seconds}. group: what this worker has loaded; stay: take none
        of another. request: claim only what carries this mark; None: only what carries none. background: False where
        nothing of that priority is to be begun now.
        """
        now = time.time()
        # Further ahead than any backoff: the clock was set back since.
        ready = f"state='queued' AND waits=0 AND (not_before<=?1 OR not_before>?1+{_LONGEST_BACKOFF}) AND cancel=0 AND request IS ?2"
        with self._writing():
            best = self._db.execute(f"SELECT min(priority) FROM job WHERE {ready}", (now, request)).fetchone()[0]
            if best is None or (best == BACKGROUND and not background):
                return []
            chosen = self._next_group(ready, (now, request, best), group, owner)
            if stay and chosen != group:
                return []
            rows = self._db.execute(
                f"SELECT * FROM job WHERE {ready} AND priority=?3 AND grp=?4 "
                "ORDER BY crashes, downstream DESC, coalesce(estimate, 1e9), id LIMIT ?5", (now, request, best, chosen, limit),
            ).fetchall()
            taken, total = [], 0.0
            for row in map(Job._make, rows):
                if row.crashes:  # alone: should its worker die again, it is known in which job
                    if taken:
                        continue
                    taken.append(row)
                    break
                seconds = expected_seconds(row.estimate, (typical or {}).get(row.grp), ahead)
                if len(taken) >= free and total + seconds > ahead:
                    break
                total += seconds
                taken.append(row)
            self._db.executemany(
                "UPDATE job SET state='running', owner=?, lease=?, started=?, progress=0, message='', reason=NULL, "
                "attempts=attempts+1 WHERE id=?", [(owner, now + LEASE_SECONDS, now, each.id) for each in taken],
            )
        return taken

    def _next_group(self, ready: str, values: tuple, current: str | None, owner: str) -> str:
        stays = self._db.execute(f"SELECT 1 FROM job WHERE {ready} AND priority=?3 AND grp IS ?4 LIMIT 1", (*values, current)).fetchone()
        if stays:
            return current
        groups = dict(self._db.execute(f"SELECT grp, max(downstream) FROM job WHERE {ready} AND priority=?3 GROUP BY grp", values).fetchall())
        busy = [row[0] for row in self._db.execute("SELECT DISTINCT grp FROM job WHERE state='running' AND owner!=?", (owner,))]
        return choose_group(groups, current, busy)

    @told
    def adopt(self, request: str) -> int:
        """Put under this mark what its jobs wait for, directly or not, and no request claims; how many."""
        unclaimed = [row[0] for row in self._db.execute(
            "WITH RECURSIVE up(id) AS (SELECT id FROM job WHERE request=? AND state='queued' AND waits>0 "
            "UNION SELECT needs FROM need JOIN up ON need.job=up.id) "
            "SELECT job.id FROM up JOIN job ON job.id=up.id WHERE job.state='queued' AND job.request IS NULL", (request,),
        )]
        if not unclaimed:
            return 0
        with self._writing():
            self._db.executemany(
                "UPDATE job SET request=? WHERE id=? AND state='queued' AND request IS NULL", [(request, each) for each in unclaimed]
            )
        return len(unclaimed)

    @told
    def heartbeat(self, owner: str, progress: Mapping[int, tuple[float, str]]) -> set[int]:
        """Renew a worker's leases and note how far its jobs are; the ids of those somebody wants cancelled."""
        with self._writing():
            self._db.execute("UPDATE job SET lease=? WHERE owner=? AND state='running'", (time.time() + LEASE_SECONDS, owner))
            self._db.executemany(
                "UPDATE job SET progress=?, message=? WHERE id=? AND state='running'",
                [(fraction, message, each) for each, (fraction, message) in progress.items()],
            )
        rows = self._db.execute(f"SELECT id FROM job WHERE owner=? AND state='running' AND cancel&{STOP}", (owner,))
        return {row[0] for row in rows}

    @told
    def finish(self, ends: Iterable[Mapping]) -> None:
        """End jobs: {"id", "state", "reason", "verdict", "take", "log", "seconds", "cost"} each, all but the first two
        optional. What waited for them is ready, or blocked where they did not end well."""
        now = time.time()
        with self._writing():
            for end in ends:
                if self._is_wanted_again(end["id"]):
                    continue
                values = [end.get(name) for name in ("state", "reason", "verdict", "take", "log", "seconds", "cost")]
                ended = self._db.execute(
                    "UPDATE job SET state=?, reason=?, verdict=?, take=?, log=?, seconds=?, cost=?, ended=?, owner=NULL, lease=NULL, "
                    "progress=CASE WHEN ?1='done' THEN 1 ELSE progress END WHERE id=? AND state IN ('queued','running','blocked')",
                    (*values, now, end["id"]),
                ).rowcount
                if not ended:
                    continue  # a worker whose lease had run out: another has made it meanwhile
                if end["state"] == DONE:
                    self._db.execute("UPDATE job SET waits=waits-1 WHERE waits>0 AND id IN (SELECT job FROM need WHERE needs=?)", (end["id"],))
                else:
                    self._block_dependants(end["id"])

    def _is_wanted_again(self, job: int) -> bool:
        """Whether it was asked for anew while it ran: then it is queued again, for whoever comes."""
        return self._db.execute(
            "UPDATE job SET state='queued', cancel=0, attempts=0, not_before=0, owner=NULL, lease=NULL, progress=0, message='', "
            f"reason=NULL, request=NULL WHERE id=? AND state='running' AND cancel&{AGAIN}", (job,),
        ).rowcount > 0

    def _block_dependants(self, failed: int) -> None:
        """What needs a job that did not end well cannot be made; nor what needs that."""
        todo = [failed]
        for each in todo:  # grows while it is walked
            path, state = self._db.execute("SELECT path, state FROM job WHERE id=?", (each,)).fetchone()
            word = {CANCELLED: "was cancelled", FAILED: "failed"}.get(state, "is blocked")
            reason = f"blocked: its input {path} {word}"
            # +state: by what it needs, not through everything that is queued.
            todo += [row[0] for row in self._db.execute(
                "UPDATE job SET state='blocked', reason=? WHERE +state='queued' AND id IN (SELECT job FROM need WHERE needs=?) RETURNING id",
                (reason, each),
            ).fetchall()]

    @told
    def try_later(self, job: int, delay: float, reason: str) -> None:
        """Give back a claimed job that failed for a reason that may pass: to be tried again after `delay` seconds."""
        with self._writing():
            self._db.execute(
                "UPDATE job SET state='queued', owner=NULL, lease=NULL, progress=0, message='', reason=?, not_before=? "
                "WHERE id=? AND state='running'", (reason, time.time() + delay, job),
            )

    @told
    def is_urgent(self) -> bool:
        """Whether somebody waits for something: a job above the background's priority runs, or could."""
        return self._db.execute(
            "SELECT 1 FROM job WHERE priority<? AND (state='running' OR (state='queued' AND waits=0 AND not_before<=? AND cancel=0)) LIMIT 1",
            (BACKGROUND, time.time()),
        ).fetchone() is not None

    @told
    def background_of(self, owner: str) -> set[int]:
        """The background jobs that a worker runs now."""
        return {row[0] for row in self._db.execute("SELECT id FROM job WHERE owner=? AND state='running' AND priority>=?", (owner, BACKGROUND))}

    @told
    def block(self, job: int, reason: str) -> None:
        """A claimed job cannot be run before something outside comes back; nor can what needs it."""
        with self._writing():
            self._db.execute(
                "UPDATE job SET state=CASE WHEN cancel=1 THEN 'cancelled' ELSE 'blocked' END, owner=NULL, lease=NULL, progress=0, "
                "message='', reason=?, attempts=attempts-1, request=NULL WHERE id=? AND state='running'", (reason, job),
            )
            self._block_dependants(job)

    def give_back(self, job: int) -> None:
        """Give back a claimed job that made room for others, as if never claimed; what somebody wanted cancelled is."""
        with self._writing():
            self._unclaim("id=?", job)

    @told
    def leave(self, owner: str) -> None:
        """Give back all that a worker holds, as if never claimed; what somebody wanted cancelled is."""
        with self._writing():
            self._unclaim("owner=?", owner)

    def _unclaim(self, which: str, value: object) -> None:
        left = self._db.execute(
            f"UPDATE job SET state=CASE WHEN cancel={STOP} THEN 'cancelled' ELSE 'queued' END, owner=NULL, lease=NULL, progress=0, "
            f"message='', attempts=attempts-1, cancel=CASE WHEN cancel={STOP} THEN cancel ELSE 0 END, "
            f"reason=CASE WHEN cancel={STOP} THEN 'cancelled' ELSE reason END, ended=CASE WHEN cancel={STOP} THEN ? END "
            f"WHERE {which} AND state='running' RETURNING id, state", (time.time(), value),
        ).fetchall()
        for each, state in left:
            if state != QUEUED:
                self._block_dependants(each)

    @told
    def reclaim(self, is_alive) -> int:
        """Give back what dead workers hold; how many. is_alive(owner, lease) → bool."""
        with self._writing():
            owners = self._db.execute("SELECT owner, max(lease) FROM job WHERE state='running' GROUP BY owner").fetchall()
            count = 0
            for owner, lease in owners:
                if is_alive(owner, lease):
                    continue
                reason = f"the worker died in it {MAX_CRASHES} times"
                crashed = self._db.execute(
                    "UPDATE job SET crashes=crashes+1, owner=NULL, lease=NULL, progress=0, message='', "
                    f"state=CASE WHEN crashes+1>=? THEN 'failed' WHEN cancel={STOP} THEN 'cancelled' ELSE 'queued' END, "
                    f"cancel=CASE WHEN cancel={STOP} THEN cancel ELSE 0 END, "
                    "reason=CASE WHEN crashes+1>=? THEN ? ELSE reason END, ended=? WHERE owner=? AND state='running' "
                    "RETURNING id, state", (MAX_CRASHES, MAX_CRASHES, reason, time.time(), owner),
                ).fetchall()
                for each, state in crashed:
                    if state != QUEUED:
                        self._block_dependants(each)
                count += len(crashed)
            marks = [row[0] for row in self._db.execute("SELECT DISTINCT request FROM job WHERE state='queued' AND request IS NOT NULL")]
            self._db.executemany("UPDATE job SET request=NULL WHERE request=?", [(mark,) for mark in marks if not is_alive(mark, 0)])
        return count

    # -- what people do with it ------------------------------------------------------------------------------------

    @told
    def cancel(self, ids: Iterable[int]) -> tuple[int, int]:
        """(cancelled at once, running ones that were asked to stop)."""
        at_once = asked = 0
        with self._writing():
            for each in ids:
                done = self._db.execute(
                    "UPDATE job SET state='cancelled', reason='cancelled', ended=? WHERE id=? AND state IN ('queued','blocked')",
                    (time.time(), each),
                ).rowcount
                if done:
                    at_once += 1
                    self._block_dependants(each)
                else:
                    asked += self._db.execute(f"UPDATE job SET cancel={STOP} WHERE id=? AND state='running'", (each,)).rowcount
        return at_once, asked

    @told
    def retry(self, ids: Iterable[int]) -> int:
        """Queue failed, blocked and cancelled jobs again, and what was blocked by them; how many."""
        count = 0
        with self._writing():
            todo = list(ids)
            for each in todo:  # grows while it is walked
                try:
                    changed = self._db.execute(
                        "UPDATE job SET state='queued', cancel=0, attempts=0, crashes=0, not_before=0, reason=NULL, request=NULL, "
                        "ended=NULL WHERE id=? AND state IN ('failed','blocked','cancelled')", (each,),
                    ).rowcount
                except sqlite3.IntegrityError:
                    continue  # the same asset is queued again already
                if changed:
                    count += 1
                    todo += [row[0] for row in self._db.execute(
                        "SELECT job FROM need JOIN job j ON j.id=need.job WHERE needs=? AND j.state='blocked'", (each,)
                    )]
            self._recount(todo)
            for each in todo:
                failed = self._db.execute(
                    "SELECT d.id FROM need JOIN job d ON d.id=need.needs WHERE need.job=? AND d.state IN ('failed','cancelled','blocked')",
                    (each,),
                ).fetchone()
                if failed:
                    self._block_dependants(failed[0])
        return count

    @told
    def prioritize(self, ids: Iterable[int], priority: int) -> int:
        """Change the priority of these and of whatever they wait for; how many changed."""
        count = 0
        with self._writing():
            todo, seen = list(ids), set()
            for each in todo:
                if each in seen:
                    continue
                seen.add(each)
                count += self._db.execute(
                    "UPDATE job SET priority=? WHERE id=? AND state IN ('queued','blocked') AND priority!=?", (priority, each, priority)
                ).rowcount
                todo += [row[0] for row in self._db.execute("SELECT needs FROM need WHERE job=?", (each,))]
        return count

    @told
    def clear(self) -> int:
        """Forget jobs that have ended; how many."""
        with self._writing():
            count = self._db.execute(
                "DELETE FROM job WHERE state IN ('done','failed','cancelled') AND id NOT IN "
                "(SELECT needs FROM need JOIN job j ON j.id=need.job WHERE j.state IN ('queued','running','blocked'))"
            ).rowcount
            self._db.execute("DELETE FROM need WHERE job NOT IN (SELECT id FROM job)")
        return count

    # -- asking ----------------------------------------------------------------------------------------------------

    @told
    def listing(self) -> list[Listed]:
        """All jobs, in the order of `jobs`, with what a line tells of them."""
        rows = self._db.execute(f"SELECT {', '.join(LISTED)} FROM job ORDER BY state!='running', priority, waits, downstream DESC, id")
        return list(map(Listed._make, rows))

    @told
    def jobs(self, states: Iterable[str] = (*OPEN, *ENDED), *, worktree: str | None = None) -> list[Job]:
        """Jobs in these states: those that run, then in the order in which they are likely to be made."""
        states = list(states)
        where = f"state IN ({','.join('?' * len(states))})" + (" AND worktree=?" if worktree is not None else "")
        rows = self._db.execute(
            f"SELECT * FROM job WHERE {where} ORDER BY state!='running', priority, waits, downstream DESC, id",
            [*states, *([worktree] if worktree is not None else [])],
        )
        return [Job._make(row) for row in rows]

    @told
    def needs(self) -> dict[int, set[int]]:
        """{job: the jobs that come before it, since it is made from what they make}."""
        found: dict[int, set[int]] = {}
        for job, needed in self._db.execute("SELECT job, needs FROM need"):
            found.setdefault(job, set()).add(needed)
        return found

    @told
    def get(self, ids: Iterable[int]) -> dict[int, Job]:
        """{id: job} of those that exist."""
        found = {}
        for chunk in _chunks(ids):
            rows = self._db.execute(f"SELECT * FROM job WHERE id IN ({','.join('?' * len(chunk))})", chunk)
            found.update((row[0], Job._make(row)) for row in rows)
        return found

    @told
    def counts(self, request: str | None = None) -> dict[str, int]:
        """{state: jobs}; of one request, or of all."""
        where, values = ("WHERE request=?", (request,)) if request is not None else ("", ())
        return dict(self._db.execute(f"SELECT state, count(*) FROM job {where} GROUP BY state", values).fetchall())

    @told
    def next_start(self) -> float | None:
        """Seconds until a job may start that is anybody's; 0 for one that may now; None for none.

        What waits for others' work, or is made anew when it has ended, is looked at again after a moment: whoever is at
        work on that may take none of ours up.
        """
        row = self._db.execute("SELECT min(not_before) FROM job WHERE state='queued' AND waits=0 AND request IS NULL").fetchone()
        if row[0] is not None:
            ahead = row[0] - time.time()
            return max(0.0, ahead) if ahead <= _LONGEST_BACKOFF else 0.0
        waits = self._db.execute(
            f"SELECT 1 FROM job WHERE (state='queued' AND waits>0 AND request IS NULL) OR (state='running' AND cancel&{AGAIN}) LIMIT 1"
        ).fetchone()
        return _BEHIND if waits else None

    @told
    def learned_seconds(self) -> dict[str, float]:
        """{generator: the median time of its last jobs, in seconds}."""
        times: dict[str, list[float]] = {}
        rows = self._db.execute(
            "SELECT generator, seconds FROM job WHERE state='done' AND seconds>0 AND generator IS NOT NULL ORDER BY ended DESC LIMIT 500"
        )
        for generator, seconds in rows:
            times.setdefault(generator, []).append(seconds)
        return {generator: sorted(each[:25])[len(each[:25]) // 2] for generator, each in times.items()}

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self._db)


def newest(jobs: list[Job]) -> list[Job]:
    """Of each asset's jobs the last one: what a later one has mended is past."""
    last: dict[tuple[str, str], int] = {}
    for job in jobs:
        last[job.worktree, job.path] = max(job.id, last.get((job.worktree, job.path), 0))
    return [job for job in jobs if last[job.worktree, job.path] == job.id]


def open_queue(folder: str) -> Queue:
    """The repository's queue; one in memory, for this process alone, where the file cannot be used at all."""
    try:
        return Queue(folder)
    except (RegenError, OSError):
        return empty_queue()


def expected_seconds(estimate: float | None, typical: float | None, unknown: float) -> float:
    """How long a job will take: what its like have just taken tells more of short ones than any rule of thumb."""
    if estimate is not None and estimate > _SHORT:
        return estimate
    if typical is not None:
        return typical
    return unknown if estimate is None else estimate


def backoff(attempts: int) -> float:
    """Seconds to wait before another attempt, after so many."""
    return _BACKOFF * 3 ** (attempts - 1)


def empty_queue() -> Queue:
    """A queue in memory, for this process alone."""
    queue = Queue.__new__(Queue)
    queue.path = ":memory:"
    queue._db = connect(queue.path)
    return queue


def _make_folder(folder: str) -> None:
    """Only in a repository that is there: what was moved away under a worker does not come back as an empty shell."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise RegenError(f"{os.path.dirname(folder)}: the repository is gone") from None


def _chunks(ids: Iterable[int], size: int = 500) -> Iterable[list[int]]:
    ids = list(ids)
    return (ids[at : at + size] for at in range(0, len(ids), size))


# -- who works ---------------------------------------------------------------------------------------------------------


class Owner:
    """This process as one that claims jobs: a name, and a lock that is free as soon as it dies."""

    def __init__(self, folder: str):
        self._folder = os.path.join(folder, "workers")
        tag = temp_tag()
        self.name = f"{_HOST}/{tag}"
        self._lock = FileLock(os.path.join(self._folder, tag))

    def __enter__(self) -> Owner:
        try:
            os.makedirs(self._folder, exist_ok=True)
            self._lock.acquire(timeout=0)
        except OSError:
            pass  # a read-only repository: its queue lives in this process
        return self

    def __exit__(self, *_: object) -> None:
        remove_file(self._lock.path)
        self._lock.release()


def liveness(folder: str):
    """is_alive(owner, lease) for `Queue.reclaim`: by its lock if it is of this machine, else by its lease."""
    workers = os.path.join(folder, "workers")

    def is_alive(owner: str, lease: float) -> bool:
        host, _, tag = owner.partition("/")
        if host != _HOST:
            return lease > time.time()
        path = os.path.join(workers, tag)
        if not os.path.exists(path):
            return False
        lock = FileLock(path)
        if not lock.acquire(timeout=0):
            return True
        remove_file(path)
        lock.release()
        return False

    return is_alive
