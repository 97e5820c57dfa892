"""Many waits at once: every item once, errors as values, ^C and leaving early call the rest off."""

from __future__ import annotations

import threading
import time

import pytest

from regen_vcs.engine.threading_over import over
from regen_vcs.errors import RegenError


def test_every_item_once_and_errors_beside_results():
    def act(number):
        if number % 10 == 3:
            raise RegenError(f"{number}")
        return number * 2

    found = {item: (result, error and error.what) for item, result, error in over(act, range(100))}
    assert found == {n: (None, str(n)) if n % 10 == 3 else (n * 2, None) for n in range(100)}


def test_nothing_to_do():
    assert list(over(print, [])) == []


def test_it_waits_for_many_at_once():
    began = time.monotonic()
    assert len(list(over(lambda _: time.sleep(0.3), range(32)))) == 32
    assert time.monotonic() - began < 6  # 9.6 s one by one


def test_a_defect_is_raised_and_ends_the_rest():
    done = []

    def act(number):
        if number == 5:
            raise KeyError("defect")
        time.sleep(0.005)
        done.append(number)

    with pytest.raises(KeyError):
        list(over(act, range(10_000)))
    assert len(done) < 1000


def test_what_tick_raises_calls_everything_off():
    off = threading.Event()

    def act(_):
        off.wait(10)

    def tick():
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(over(act, range(100), tick=tick, called_off=off))
    assert off.is_set() and time.monotonic() - began < 5


def test_an_event_that_is_shared_is_not_set_by_an_end():
    off = threading.Event()
    for _ in range(2):
        assert len(list(over(lambda _: None, range(20), called_off=off))) == 20
    assert not off.is_set()
