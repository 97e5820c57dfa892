"""Children beside the main thread: callbacks from `pump` alone, cancels that leave nothing, and an end that waits for nobody."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from addon_parts.bridge import Bridge, Command, child_environ
from addon_parts.jobs import CANCELLED, DONE, FAILED, Jobs

from tests.addon.unit.test_bridge import is_gone
from tests.patience import BUSY

ENVIRON = child_environ(os.environ)


class Heard:
    """What callbacks were given, and in which thread."""

    def __init__(self):
        self.lines, self.answers, self.errors, self.threads = [], [], [], set()

    def note(self, where):
        def call(value):
            self.threads.add(threading.current_thread())
            where.append(value)

        return call

    @property
    def callbacks(self):
        return {"on_line": self.note(self.lines), "on_done": self.note(self.answers), "on_error": self.note(self.errors)}


@pytest.fixture
def jobs():
    made = Jobs()
    yield made
    made.shut_down()


def start(jobs: Jobs, code: str, heard: Heard, **kwargs):
    return jobs.start("making sky", [sys.executable, "-I", "-c", f"import sys, time, os, signal, subprocess, json\n{code}"], cwd=None, environ=ENVIRON, **heard.callbacks, **kwargs)


def test_lines_then_the_whole(jobs):
    heard = Heard()
    job = start(jobs, "print('ä'); print('b')", heard)
    assert heard.lines == [] and jobs.pump() is True
    assert jobs.wait(20)
    assert (heard.lines, heard.answers, heard.errors, job.state) == (["ä", "b"], ["ä\nb\n"], [], DONE)
    assert jobs.pump() is False and jobs.running == []


def test_callbacks_come_from_pump_alone(jobs):
    heard = Heard()
    start(jobs, "print(1)", heard)
    deadline = time.monotonic() + 20
    while not heard.answers and time.monotonic() < deadline:
        before = list(heard.lines), list(heard.answers)
        time.sleep(0.05)
        assert (heard.lines, heard.answers) == before
        jobs.pump()
    assert heard.threads == {threading.main_thread()}


def test_json_and_its_errors(jobs):
    heard = Heard()
    start(jobs, "print(json.dumps({'assets': []}))", heard, as_json=True)
    start(jobs, "print(json.dumps({'error': {'kind': 'invalid', 'what': 'no', 'hint': 'yes'}})); sys.exit(3)", heard, as_json=True)
    start(jobs, "print('rubbish')", heard, as_json=True)
    assert jobs.wait(20)
    assert heard.answers == [{"assets": []}]
    assert sorted(error.kind for error in heard.errors) == ["garbled", "invalid"]


def test_ask_is_a_command_with_json(jobs):
    heard = Heard()
    argv = (sys.executable, "-I", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))")
    jobs.ask(Bridge(Command(argv, ENVIRON), None), "asking", "status", "--", "-x", **heard.callbacks)
    assert jobs.wait(20) and heard.answers == [["status", "--json", "--", "-x"]]


def test_input(jobs):
    heard = Heard()
    start(jobs, "print(len(sys.stdin.buffer.read()))", heard, stdin=b"x" * 200_000)
    assert jobs.wait(20) and heard.answers == ["200000\n"]


def test_failure_is_told_in_its_own_words(jobs):
    heard = Heard()
    job = start(jobs, "sys.stderr.write('error: disk full\\n  hint: free some\\n'); sys.exit(1)", heard)
    assert jobs.wait(20)
    (error,) = heard.errors
    assert (error.what, error.hint, job.state, job.error) == ("disk full", "free some", FAILED, error)


def test_what_cannot_be_started_is_told_through_the_callback(jobs):
    heard = Heard()
    jobs.start("making", ["/nowhere/regen-vcs"], cwd=None, environ=ENVIRON, **heard.callbacks)
    assert heard.errors == [], "not before pump"
    assert jobs.wait(10) and [error.kind for error in heard.errors] == ["absent"]


def test_cancel_returns_at_once_and_ends_the_children_too(jobs, tmp_path):
    heard, note = Heard(), tmp_path / "pid"
    job = start(jobs, f"child = subprocess.Popen(['sleep', '60'])\nopen({str(note)!r}, 'w').write(str(child.pid))\nprint('on', flush=True)\ntime.sleep(60)", heard)
    wait_for(jobs, lambda: heard.lines)
    before = time.monotonic()
    jobs.cancel(job)
    jobs.cancel(job)
    assert time.monotonic() - before < 1
    assert jobs.wait(10) and job.state == CANCELLED
    assert [error.kind for error in heard.errors] == ["cancelled"] and heard.answers == []
    assert is_gone(int(note.read_text()))


def test_cancel_asks_as_ctrl_c_does_so_that_the_child_can_tidy_up(jobs, tmp_path):
    heard, note = Heard(), tmp_path / "tidy"
    code = f"signal.signal(signal.SIGINT, signal.default_int_handler)\nprint('on', flush=True)\ntry:\n  time.sleep(60)\nexcept KeyboardInterrupt:\n  open({str(note)!r}, 'w')"
    job = start(jobs, code, heard)
    wait_for(jobs, lambda: heard.lines)
    jobs.cancel(job)
    assert jobs.wait(10) and note.exists() and job.state == CANCELLED


def test_cancel_after_the_end_changes_nothing(jobs):
    heard = Heard()
    job = start(jobs, "print(1)", heard)
    assert jobs.wait(20)
    jobs.cancel(job)
    assert job.state == DONE and heard.errors == []


def test_shut_down_calls_nobody_and_leaves_nothing(tmp_path):
    jobs, heard, note = Jobs(), Heard(), tmp_path / "pid"
    start(jobs, f"signal.signal(signal.SIGINT, signal.SIG_IGN)\nopen({str(note)!r}, 'w').write(str(os.getpid()))\nprint('on', flush=True)\ntime.sleep(60)", heard)
    wait_for(jobs, lambda: heard.lines)
    before = time.monotonic()
    jobs.shut_down(2)
    assert time.monotonic() - before < 2 + BUSY
    assert is_gone(int(note.read_text()))
    assert jobs.pump() is False and heard.errors == [] and heard.answers == []
    late = start(jobs, "print(1)", heard)
    assert late.state != DONE and heard.answers == [], "nothing starts any more"


def test_a_faulty_callback_keeps_nobody_from_theirs(jobs, caplog):
    heard = Heard()

    def faulty(_):
        raise ZeroDivisionError("a slip")

    jobs.start("faulty", [sys.executable, "-I", "-c", "print(1)"], cwd=None, environ=ENVIRON, on_line=faulty, on_done=faulty, on_error=faulty)
    start(jobs, "time.sleep(0.3); print(2)", heard)
    assert jobs.wait(20) and heard.answers == ["2\n"]
    assert "a slip" in caplog.text


def test_a_callback_may_start_the_next_job(jobs):
    heard = Heard()
    jobs.start("first", [sys.executable, "-I", "-c", "print(1)"], cwd=None, environ=ENVIRON, on_error=heard.errors.append, on_done=lambda _: start(jobs, "print(2)", heard))
    assert jobs.wait(20) and heard.answers == ["2\n"]


def test_a_talkative_child_waits_and_pump_keeps_to_its_budget(jobs):
    heard = Heard()
    job = start(jobs, "for n in range(20000): print(n)", heard)
    longest = 0.0
    deadline = time.monotonic() + 30
    while job in jobs.running and time.monotonic() < deadline:
        before = time.monotonic()
        jobs.pump(0.01)
        longest = max(longest, time.monotonic() - before)
        time.sleep(0.005)
    assert heard.lines == [str(n) for n in range(20000)]
    assert longest < 0.5, "one pump blocks the interface"


def test_bytes_that_are_no_text(jobs):
    heard = Heard()
    start(jobs, "sys.stdout.buffer.write(b'\\xff\\n' + b'x' * 3_000_000)", heard)
    assert jobs.wait(20) and heard.lines[0] == "�" and sum(map(len, heard.lines)) == 3_000_001
    assert not heard.errors


def test_wait_gives_up(jobs):
    heard = Heard()
    job = start(jobs, "time.sleep(60)", heard)
    assert jobs.wait(0.3) is False
    jobs.cancel(job)
    assert jobs.wait(10)


def test_many_at_once(jobs):
    heard = Heard()
    for n in range(12):
        start(jobs, f"print({n})", heard)
    assert jobs.wait(60) and sorted(map(int, heard.answers)) == list(range(12))


def wait_for(jobs: Jobs, happened) -> None:
    deadline = time.monotonic() + 20
    while not happened() and time.monotonic() < deadline:
        jobs.pump()
        time.sleep(0.01)
    assert happened()

