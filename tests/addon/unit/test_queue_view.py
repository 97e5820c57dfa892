"""What the bars say of a batch of jobs."""

from __future__ import annotations

from addon_parts.queue_view import Batch


def jobs(**states: str) -> dict:
    """An answer of `queue --json`: `_7="running"` is job 7."""
    return {"jobs": [{"id": int(name[1:]), "path": f"{name}.png", "state": state, "estimate": 10.0} for name, state in states.items()]}


def test_a_batch_counts_what_is_made_and_what_has_failed_apart():
    batch = Batch()
    batch.take(jobs(_1="running", _2="queued", _3="queued", _4="queued"))
    assert batch.words() == "0 of 4, 40 s left"
    assert batch.take(jobs(_2="running", _3="queued", _4="queued")), "one is through"
    assert batch.words() == "1 of 4, 30 s left"
    batch.take(jobs(_2="failed", _3="blocked", _4="running"))
    assert (batch.words(), batch.unmade, len(batch.running)) == ("1 of 4, 2 failed, 10 s left", 2, 1)


def test_what_is_blocked_does_not_keep_the_bar_up():
    batch = Batch()
    batch.take(jobs(_1="running", _2="queued"))
    batch.take(jobs(_1="failed", _2="blocked"))
    assert not batch.jobs and batch.total == 0 and batch.unmade == 0


def test_what_failed_before_is_of_no_concern():
    batch = Batch()
    batch.take(jobs(_1="failed", _2="running"))
    assert batch.words() == "0 of 1, 10 s left"


def test_what_is_cancelled_leaves_the_batch():
    batch = Batch()
    batch.take(jobs(_1="running", _2="queued"))
    batch.take(jobs(_1="running", _2="cancelled"))
    assert batch.words() == "0 of 1, 10 s left"


def test_no_answer_is_an_empty_queue():
    for answer in (None, [], {}, {"jobs": 5}, {"jobs": [None, {"id": "x"}]}):
        batch = Batch()
        assert not batch.take(answer) and batch.total == 0 and batch.fraction == 1.0
