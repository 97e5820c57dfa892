"""Work beside Blender's main thread: children whose output threads read into a queue, and callbacks from `pump` alone.

Nothing here knows Blender. In its window a timer calls `pump`; without a window (`blender -b` has no timers) `wait` does.
Threads touch the queue and nothing else, so every callback may use bpy.
"""

from __future__ import annotations

import itertools
import logging
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from .bridge import ANSWER_LIMIT, TROUBLE_LIMIT, Bridge, RegenError, failure, parse_answer, start_child
from .children import Drain, Feed, end_tree

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
# Bytes of one line that are passed on; a longer one comes in parts.
_LINE_LIMIT = 1 << 20
# Lines that wait for the main thread; a child that talks faster waits with them.
_BACKLOG = 1000

_log = logging.getLogger(__name__)
_numbers = itertools.count(1)

OnLine = Callable[[str], None]
OnDone = Callable[[Any], None]
OnError = Callable[[RegenError], None]


class Job:
    """One child at work. title: for the user; state: one of the four words above; started: time.monotonic()."""

    def __init__(self, title: str, argv: Sequence[str], on_line: OnLine | None, on_done: OnDone, on_error: OnError, as_json: bool):
        self.number = next(_numbers)
        self.title, self.argv, self.as_json = title, tuple(argv), as_json
        self.on_line, self.on_done, self.on_error = on_line, on_done, on_error
        self.state = RUNNING
        self.started = time.monotonic()
        self.error: RegenError | None = None
        self._cancelled = threading.Event()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


class Jobs:
    """The children of one session."""

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[Job, str, Any]] = queue.Queue(maxsize=_BACKLOG)
        self._children: dict[Job, subprocess.Popen[bytes]] = {}
        self._closed = threading.Event()

    # ------------------------------------------------------------------------------------------------------- starting

    def start(
        self, title: str, argv: Sequence[str], *, cwd: str | None, environ: Mapping[str, str], on_done: OnDone, on_error: OnError,
        on_line: OnLine | None = None, stdin: bytes | None = None, as_json: bool = False,
    ) -> Job:  # fmt: skip
        """Start a child. Its callbacks come from `pump`: `on_line` with each line of stdout, at last one of the other two.

        on_done: is given the whole stdout as text, or with `as_json` the document in it; on_error: a RegenError, of the kind
        "cancelled" after `cancel`. A child that cannot be started is told through `on_error` too.
        """
        job = Job(title, argv, on_line, on_done, on_error, as_json)
        try:
            if self._closed.is_set():
                raise RegenError("cancelled", f"{title}: the addon is being switched off")
            child = start_child(argv, cwd=cwd, environ=environ, with_input=stdin is not None)
        except RegenError as error:
            self._children[job] = None  # type: ignore[assignment]
            threading.Thread(target=self._put, args=(job, "error", error), daemon=True).start()
            return job
        self._children[job] = child
        if stdin is not None:
            Feed(child.stdin, stdin)  # type: ignore[arg-type]
        threading.Thread(target=self._follow, args=(job, child), daemon=True, name=f"regen-vcs job {job.number}").start()
        return job

    def ask(
        self, bridge: Bridge, title: str, *args: str, on_done: OnDone, on_error: OnError, on_line: OnLine | None = None,
        stdin: bytes | None = None,
    ) -> Job:  # fmt: skip
        """`regen-vcs ARGS --json` as a job; `on_done` is given the document."""
        return self.start(
            title, bridge.json_argv(*args), cwd=bridge.root, environ=bridge.environ, on_done=on_done, on_error=on_error,
            on_line=on_line, stdin=stdin, as_json=True,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------- on the main thread

    @property
    def running(self) -> list[Job]:
        """Jobs whose last callback has not been called yet, oldest first."""
        return list(self._children)

    def pump(self, budget: float = 0.01) -> bool:
        """Call the callbacks of what has come in, for about `budget` seconds. Whether any job is left."""
        deadline = time.monotonic() + budget
        while time.monotonic() < deadline:
            try:
                job, what, value = self._events.get_nowait()
            except queue.Empty:
                break
            self._deliver(job, what, value)
        return bool(self._children)

    def wait(self, timeout: float = 600, job: Job | None = None) -> bool:
        """Pump until all jobs (or `job`) are through; False if that takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self._children if job is None else job in self._children:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                event = self._events.get(timeout=min(left, 0.2))
            except queue.Empty:
                continue
            self._deliver(*event)
        return True

    def cancel(self, job: Job) -> None:
        """Ask a job to end; returns at once. Its `on_error` is called with the kind "cancelled" once it and its children are gone."""
        child = self._children.get(job)
        if child is not None and not job._cancelled.is_set():
            job._cancelled.set()
            threading.Thread(target=end_tree, args=(child,), daemon=True, name="regen-vcs cancel").start()

    def shut_down(self, timeout: float = 5.0) -> None:
        """End every child, calling no callback any more. Waits at most about `timeout` seconds."""
        self._closed.set()
        children = [(job, child) for job, child in self._children.items() if child is not None]
        self._children.clear()
        graces = {"stop_grace": timeout * 0.6, "end_grace": timeout * 0.2}
        enders = []
        for job, child in children:
            job._cancelled.set()
            job.state = CANCELLED
            enders.append(threading.Thread(target=end_tree, args=(child,), kwargs=graces, daemon=True))
            enders[-1].start()
        for ender in enders:
            ender.join(timeout)
        self._empty()

    def _empty(self) -> None:
        while True:
            try:
                self._events.get_nowait()
            except queue.Empty:
                return

    def _deliver(self, job: Job, what: str, value: Any) -> None:
        if job not in self._children:
            return  # it came after `shut_down`, or after the job's own end
        if what == "line":
            if job.on_line is not None and not job._cancelled.is_set():
                _call(job, job.on_line, value)
            return
        del self._children[job]
        if what == "done":
            job.state = DONE
            _call(job, job.on_done, value)
        else:
            job.state = CANCELLED if value.kind == "cancelled" else FAILED
            job.error = value
            _call(job, job.on_error, value)

    # ------------------------------------------------------------------------------------------------- in the threads

    def _put(self, job: Job, what: str, value: Any) -> None:
        """Hand an event over; waits while the main thread is behind, but not for one that has gone."""
        while not self._closed.is_set():
            try:
                self._events.put((job, what, value), timeout=0.5)
                return
            except queue.Full:
                continue

    def _follow(self, job: Job, child: subprocess.Popen[bytes]) -> None:
        """Read a child to its end, then tell how it ended."""
        trouble = Drain(child.stderr, TROUBLE_LIMIT, keep_end=True)  # type: ignore[arg-type]
        try:
            out, overflowed = self._read(job, child.stdout)  # type: ignore[arg-type]
            code = child.wait()
            trouble.join(2)
            self._tell_end(job, code, out, trouble.data, overflowed)
        except Exception as error:  # a thread's exception would be seen by nobody, and the job would never end
            end_tree(child, stop_grace=0.5, end_grace=0.5)
            self._put(job, "error", RegenError("failed", f"{job.title}: {error}"))

    def _read(self, job: Job, pipe: BinaryIO) -> tuple[bytes, bool]:
        """(the beginning of stdout, whether there was more); each line is handed over as it comes."""
        kept = bytearray()
        overflowed = False
        with pipe:
            while line := pipe.readline(_LINE_LIMIT):
                if len(kept) + len(line) <= ANSWER_LIMIT:
                    kept += line
                else:
                    overflowed = True
                if job.on_line is not None:
                    self._put(job, "line", line.decode("utf-8", "replace").rstrip("\r\n"))
        return bytes(kept), overflowed

    def _tell_end(self, job: Job, code: int, out: bytes, err: bytes, overflowed: bool) -> None:
        try:
            if job._cancelled.is_set():
                raise RegenError("cancelled", f"{job.title}: cancelled", exit_code=code)
            if overflowed:
                raise RegenError("garbled", f"{job.title}: the answer has more than {ANSWER_LIMIT >> 20} MiB", exit_code=code)
            if job.as_json:
                value = parse_answer(code, out, err)
            elif code != 0:
                raise failure(code, out, err, program=job.title)
            else:
                value = out.decode("utf-8", "surrogateescape")
        except RegenError as error:
            self._put(job, "error", error)
        else:
            self._put(job, "done", value)


def _call(job: Job, callback: Callable[[Any], None], value: Any) -> None:
    """One job's faulty callback must not keep the others from theirs, nor end the timer that pumps."""
    try:
        callback(value)
    except Exception:
        _log.exception("%s: its callback failed", job.title)
