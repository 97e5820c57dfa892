"""The queue's file under what should not happen: late workers, changed recipes, damage, a full disk, a clock set back."""

from __future__ import annotations

import os
import sqlite3
import time

import pytest

from regen_vcs.engine import queue as queue_module
from regen_vcs.engine.queue import (
    BLOCKED,
    CANCELLED,
    DONE,
    FAILED,
    MISSING,
    QUEUED,
    RUNNING,
    USER,
    Queue,
    Request,
    open_queue,
)
from regen_vcs.errors import RegenError


def wanted(path: str, *needs: str, key: str = "k") -> Request:
    return Request(path, key, "g", "g", None, list(needs))


@pytest.fixture
def queue(tmp_path):
    with Queue(str(tmp_path)) as queue:
        yield queue


def state_of(queue: Queue, job: int) -> str:
    return queue.get([job])[job].state


def test_a_chain_of_any_length_is_blocked_and_freed(queue):
    """Frames made from the one before, thousands of them."""
    queue.add("/w", [wanted(f"f{number}", *([f"f{number - 1}"] if number else [])) for number in range(3000)], USER)
    first = queue.claim("me", 1)[0]
    queue.finish([{"id": first.id, "state": FAILED, "reason": "no ink"}])
    assert queue.counts() == {BLOCKED: 2999, FAILED: 1}
    assert queue.retry([first.id]) == 3000
    assert queue.counts() == {QUEUED: 3000}


def test_an_end_that_is_told_twice_frees_nobody_twice(queue):
    """A laptop that slept longer than its lease: another machine has made the job meanwhile."""
    ids = queue.add("/w", [wanted("a"), wanted("b"), wanted("c", "a", "b")], USER)
    queue.claim("asleep", 2, free=2)
    queue.finish([{"id": ids["a"], "state": DONE}])
    queue.finish([{"id": ids["a"], "state": DONE}])
    assert queue.get([ids["c"]])[ids["c"]].waits == 1
    queue.finish([{"id": ids["a"], "state": FAILED, "reason": "late"}])
    assert state_of(queue, ids["a"]) == DONE and state_of(queue, ids["c"]) == QUEUED
    queue.finish([{"id": ids["b"], "state": DONE}])
    assert [job.path for job in queue.claim("me", 1)] == ["c"]


def test_an_end_of_what_was_cleared_is_nothing(queue):
    ids = queue.add("/w", [wanted("a")], USER)
    queue.claim("asleep", 1)
    queue.finish([{"id": ids["a"], "state": DONE}])
    queue.clear()
    queue.finish([{"id": ids["a"], "state": FAILED, "reason": "late"}])
    assert queue.jobs() == []


@pytest.mark.parametrize("end", [DONE, FAILED, CANCELLED])
def test_what_changed_while_it_ran_is_made_again(queue, end):
    """`git switch` in the middle of a run: what it makes is filed, and the branch's own is still missing."""
    ids = queue.add("/w", [wanted("a", key="old"), wanted("b", "a")], MISSING)
    queue.claim("me", 1)
    assert queue.add("/w", [wanted("a", key="new")], USER) == {"a": ids["a"]}
    assert state_of(queue, ids["a"]) == RUNNING
    assert queue.heartbeat("me", {}) == set(), "its work is worth keeping"
    assert queue.next_start(), "a worker that is started now must not leave before it"
    queue.finish([{"id": ids["a"], "state": end, "verdict": "filed"}])
    job = queue.get([ids["a"]])[ids["a"]]
    assert (job.state, job.key, job.priority, job.owner, job.attempts) == (QUEUED, "new", USER, None, 0)
    assert state_of(queue, ids["b"]) == QUEUED
    assert [each.path for each in queue.claim("other", 9, free=9)] == ["a"]
    queue.finish([{"id": ids["a"], "state": DONE}])
    assert state_of(queue, ids["a"]) == DONE, "once is enough"


def test_asked_for_again_as_it_is_joins_what_runs(queue):
    ids = queue.add("/w", [wanted("a")], MISSING)
    queue.claim("me", 1)
    queue.add("/w", [wanted("a")], USER)
    queue.finish([{"id": ids["a"], "state": DONE}])
    assert queue.counts() == {DONE: 1}


@pytest.mark.parametrize("leave", [
    lambda queue, job: queue.finish([{"id": job, "state": CANCELLED}]), lambda queue, job: queue.leave("me"),
    lambda queue, job: queue.give_back(job), lambda queue, job: queue.reclaim(lambda owner, lease: False),
])  # fmt: skip
def test_cancelled_and_wanted_again_before_it_had_ended(queue, leave):
    ids = queue.add("/w", [wanted("a")], USER)
    queue.claim("me", 1)
    queue.cancel([ids["a"]])
    queue.add("/w", [wanted("a")], USER)
    assert queue.heartbeat("me", {}) == {ids["a"]}
    leave(queue, ids["a"])
    assert state_of(queue, ids["a"]) == QUEUED
    assert [job.path for job in queue.claim("me", 1)] == ["a"]


def test_cancelled_and_given_back_is_cancelled_with_all_that_needs_it(queue):
    ids = queue.add("/w", [wanted("a"), wanted("b", "a")], USER)
    queue.claim("me", 1)
    queue.cancel([ids["a"]])
    queue.give_back(ids["a"])
    job = queue.get([ids["a"]])[ids["a"]]
    assert (job.state, job.reason) == (CANCELLED, "cancelled") and job.ended
    assert state_of(queue, ids["b"]) == BLOCKED


def test_jobs_wait_for_what_was_queued_before_them(queue):
    ids = queue.add("/w", [wanted("a")], MISSING)
    ids |= queue.add("/w", [wanted("b", "a")], MISSING)
    assert [job.path for job in queue.claim("me", 9, free=9)] == ["a"]
    assert queue.next_start(), "b becomes ready when whoever makes a has done so"
    queue.finish([{"id": ids["a"], "state": DONE}])
    assert [job.path for job in queue.claim("me", 9, free=9)] == ["b"]


def test_what_is_blocked_is_not_waited_for(queue):
    """Nobody would ever end the wait, and its accepted bytes may be at hand."""
    ids = queue.add("/w", [wanted("a"), wanted("b", "a")], USER)
    queue.claim("me", 1)
    queue.finish([{"id": ids["a"], "state": FAILED, "reason": "no ink"}])
    queue.add("/w", [wanted("c", "b")], USER)
    assert [job.path for job in queue.claim("me", 1)] == ["c"]


def test_a_recipe_that_needs_something_else_now(queue):
    """What it waited for once does not hold it, nor close a circle with what is made from it now."""
    queue.add("/w", [wanted("a", "b"), wanted("b")], USER)
    ids = queue.add("/w", [wanted("b", "a")], USER)
    ids |= queue.add("/w", [wanted("a")], USER)
    made = []
    while jobs := queue.claim("me", 9, free=9):
        made += [job.path for job in jobs]
        queue.finish([{"id": job.id, "state": DONE} for job in jobs])
    assert sorted(made) == ["a", "b"]


def test_a_clock_that_is_set_back_holds_nobody_up(queue, monkeypatch):
    ids = queue.add("/w", [wanted("a")], USER)
    queue.claim("me", 1)
    real = time.time
    monkeypatch.setattr(queue_module.time, "time", lambda: real() + 86400)
    queue.try_later(ids["a"], 5.0, "the server is away")
    monkeypatch.undo()
    assert queue.next_start() == 0.0
    assert [job.path for job in queue.claim("me", 1)] == ["a"]
    queue.try_later(ids["a"], 45.0, "the server is away")
    assert 40 < queue.next_start() <= 45 and queue.claim("me", 1) == []


def test_cancelling_ten_thousand_takes_no_time(queue):
    """While it is done nobody else can write, and others wait for thirty seconds only."""
    ids = queue.add("/w", [wanted(f"a{number}") for number in range(10_000)], USER)
    began = time.monotonic()
    queue.cancel(ids.values())
    assert queue.counts() == {CANCELLED: 10_000}
    assert time.monotonic() - began < 12, "it took 35 s when each looked through all that was queued"


def test_damage_in_the_middle_is_told_whatever_is_asked(tmp_path):
    with Queue(str(tmp_path)) as queue:
        queue.add("/w", [wanted(f"a{number}") for number in range(2000)], USER)
    path = tmp_path / "queue.sqlite"
    data = bytearray(path.read_bytes())
    for place in range(8192, len(data) - 4096, 4096):
        data[place : place + 200] = os.urandom(200)
    path.write_bytes(data)
    with Queue(str(tmp_path)) as queue:
        for ask in (
            queue.counts, queue.listing, queue.jobs, queue.next_start, lambda: queue.claim("me", 1),
            lambda: queue.add("/w", [wanted("z")], USER), lambda: queue.reclaim(lambda owner, lease: True),
        ):  # fmt: skip
            with pytest.raises(RegenError, match="malformed") as raised:
                ask()
            assert f"rm '{path}'*" in raised.value.hint


def test_a_full_disk_says_so_and_leaves_no_transaction_open(queue):
    pages = queue._db.execute("PRAGMA page_count").fetchone()[0]
    queue._db.execute(f"PRAGMA max_page_count={pages + 3}")
    with pytest.raises(RegenError, match="full"):
        queue.add("/w", [wanted(f"a{number}" * 20) for number in range(3000)], USER)
    queue._db.execute("PRAGMA max_page_count=1000000")
    assert queue.jobs() == []
    queue.add("/w", [wanted("a")], USER)
    assert queue.counts() == {QUEUED: 1}


def test_a_queue_that_somebody_holds(queue):
    other = sqlite3.connect(queue.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    queue._db.execute("PRAGMA busy_timeout=100")
    with pytest.raises(RegenError, match="locked"):
        queue.add("/w", [wanted("a")], USER)
    assert queue.jobs() == [], "looking goes on"
    other.execute("ROLLBACK")
    queue.add("/w", [wanted("a")], USER)


def foreign_tables(db):
    db.execute("CREATE TABLE job(x)")


def no_tables(db):
    db.execute("PRAGMA user_version=1")


def other_columns(db):
    db.execute("CREATE TABLE job(x)")
    db.execute("CREATE TABLE need(x)")
    db.execute("PRAGMA user_version=1")


def newer(db):
    db.execute("PRAGMA user_version=9")


@pytest.mark.parametrize("make", [foreign_tables, no_tables, other_columns, newer])
def test_a_file_that_is_no_queue_of_ours(tmp_path, make):
    db = sqlite3.connect(tmp_path / "queue.sqlite")
    make(db)
    db.commit()
    db.close()
    with pytest.raises(RegenError) as raised:
        Queue(str(tmp_path))
    assert raised.value.what.startswith(str(tmp_path / "queue.sqlite"))
    assert ("update regen-vcs" if make is newer else "rm ") in raised.value.hint
    with open_queue(str(tmp_path)) as alone:
        alone.add("/w", [wanted("a")], USER)
        assert [job.path for job in alone.claim("me", 1)] == ["a"]
