"""Children in a process group of their own, so that a cancelled generator leaves nothing running behind.

Not for the hot path: `subprocess` costs 20 ms to import.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence

from regen_vcs.errors import RegenError

WINDOWS = sys.platform == "win32"
_POLL = 0.02  # seconds between looks at a child
_CHUNK = 1 << 16

Finished = namedtuple("Finished", ("code", "output", "timed_out", "cancelled"))
Finished.__doc__ = "A child's end: exit code (negative: signal), the kept tail of its output, and why it was stopped."


def start_group(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: object = subprocess.DEVNULL,
    stdout: object = subprocess.PIPE,
    stderr: object = subprocess.STDOUT,
) -> subprocess.Popen:
    """Start a program without a shell, in its own session (POSIX) or process group (Windows).

    `env` is the whole environment (None: ours). No descriptor but the three is inherited. RegenError if the
    program cannot be started.
    """
    options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if WINDOWS else {"start_new_session": True}
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            close_fds=True,
            **options,
        )
    except FileNotFoundError as error:
        missing = cwd if cwd and not os.path.isdir(cwd) else argv[0]
        raise RegenError(f"{missing}: not found", "install it, or name it by its full path") from error
    except OSError as error:
        raise RegenError(f"{argv[0]}: cannot be started: {error.strerror or error}") from error


def start_detached(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], log_fd: int) -> None:
    """Start a program that outlives us, in a session of its own; it writes to `log_fd`, and nobody waits for it."""
    proc = start_group(argv, cwd=cwd, env=env, stdout=log_fd, stderr=log_fd)
    proc.returncode = 0  # or Popen would complain that it still runs when we end


def has_ended(proc: subprocess.Popen) -> bool:
    """Whether the leader has exited. It is not reaped: until `kill_group` its id, and the group's, stay reserved."""
    if proc.returncode is not None:
        return True
    if WINDOWS or not hasattr(os, "waitid"):
        return proc.poll() is not None
    try:
        return os.waitid(os.P_PID, proc.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def kill_group(proc: subprocess.Popen, grace: float = 5.0) -> int:
    """End a child and all of its group: TERM, then KILL for what is left after `grace` seconds. The exit code.

    Also right for a child that has ended by itself: what it left behind in its group ends too.
    """
    if proc.returncode is not None:
        return proc.returncode  # reaped before: its id may belong to somebody else by now
    if WINDOWS:
        return _kill_tree_windows(proc, grace)
    if not has_ended(proc):
        _signal(proc.pid, signal.SIGTERM)
        _wait_until(lambda: has_ended(proc), grace)
    _signal(proc.pid, signal.SIGKILL)
    return proc.wait()


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass  # macOS says EPERM for a group of zombies


def _kill_tree_windows(proc: subprocess.Popen, grace: float) -> int:
    if proc.poll() is None:
        proc.send_signal(signal.CTRL_BREAK_EVENT)
        _wait_until(lambda: proc.poll() is not None, grace)
    subprocess.run(
        ["taskkill", "/T", "/F", "/PID", str(proc.pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return proc.wait()


def _wait_until(happened: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True


def run_group(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float | None = None,
    grace: float = 5.0,
    cancelled: Callable[[], bool] | None = None,
    on_output: Callable[[bytes], None] | None = None,
    keep_bytes: int = 1 << 16,
) -> Finished:
    """Run a program to its end, its `timeout` (seconds), or until `cancelled()` says so; then the group is gone.

    stdout and stderr come as one stream to `on_output(chunk)` (called from a thread); the last `keep_bytes` of it
    are returned. `input` goes to stdin, which is empty otherwise. RegenError if it cannot be started.
    """
    proc = start_group(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
    tail = bytearray()
    threads = [threading.Thread(target=_drain, args=(proc.stdout, tail, keep_bytes, on_output), daemon=True)]
    if input is not None:
        threads.append(threading.Thread(target=_feed, args=(proc.stdin, input), daemon=True))
    for thread in threads:
        thread.start()
    timed_out = stopped = False
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        while not has_ended(proc):
            stopped = bool(cancelled and cancelled())
            timed_out = deadline is not None and time.monotonic() >= deadline
            if stopped or timed_out:
                break
            time.sleep(_POLL)
    finally:  # also for KeyboardInterrupt
        code = kill_group(proc, grace)
        for thread in threads:
            thread.join(timeout=grace)  # a process that left the group may hold the pipe open: not waited for
    return Finished(code, bytes(tail), timed_out, stopped)


def _drain(pipe, tail: bytearray, keep_bytes: int, on_output: Callable[[bytes], None] | None) -> None:
    with pipe:
        while chunk := pipe.read1(_CHUNK):
            tail += chunk
            del tail[: max(0, len(tail) - keep_bytes)]
            if on_output:
                on_output(chunk)


def _feed(pipe, data: bytes) -> None:
    try:
        with pipe:
            pipe.write(data)
    except (BrokenPipeError, OSError):
        pass  # it did not want to read all of it
