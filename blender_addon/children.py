"""The one module that starts processes: a child in a group of its own, so that a cancel leaves nothing running behind.

Nothing here knows Blender.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import BinaryIO

WINDOWS = sys.platform == "win32"
# Seconds that a child has after being asked to stop as by ^C, and after being told to end.
STOP_GRACE = 4.0
END_GRACE = 2.0


def start(argv: Sequence[str], *, cwd: str | None, environ: Mapping[str, str], with_input: bool) -> subprocess.Popen[bytes]:
    """Start a program, without a shell and without a window. `environ` is all of its environment. OSError if it cannot start.

    stdout and stderr are pipes that the caller drains; stdin is a pipe if `with_input`, else empty.
    """
    if WINDOWS:
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
    else:
        options = {"start_new_session": True}
    return subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        close_fds=True,
        **options,
    )


def end_tree(proc: subprocess.Popen[bytes], *, stop_grace: float = STOP_GRACE, end_grace: float = END_GRACE) -> None:
    """End a child and all of its group: first as ^C would, so that it can tidy up, at last by force. Waits for it.

    Not for the main thread unless both graces are short. One that was waited for before is let be: its id may be another's.
    """
    if proc.returncode is not None:
        return
    if WINDOWS:
        _end_windows(proc)
        return
    for number, grace in ((signal.SIGINT, stop_grace), (signal.SIGTERM, end_grace)):
        if proc.poll() is not None:
            break
        _signal_group(proc.pid, number)
        try:
            proc.wait(grace)
        except subprocess.TimeoutExpired:
            continue
    # Also where the leader went quietly: what it left behind in its group ends too.
    _signal_group(proc.pid, signal.SIGKILL)
    proc.wait()


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass  # macOS says EPERM for a group of zombies


def _end_windows(proc: subprocess.Popen[bytes]) -> None:
    if proc.poll() is None:
        killer = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            subprocess.run([killer, "/T", "/F", "/PID", str(proc.pid)], check=False, timeout=10, **quiet)  # type: ignore[call-overload]
        except (OSError, subprocess.TimeoutExpired):
            proc.kill()
    proc.wait()


class Drain(threading.Thread):
    """Reads a pipe to its end, keeping at most `limit` bytes of its beginning and remembering whether more came.

    A pipe that nobody reads blocks the child; one that is kept without a bound fills the memory.
    """

    def __init__(self, pipe: BinaryIO, limit: int, *, keep_end: bool = False):
        super().__init__(daemon=True, name="regen-vcs pipe")
        self._pipe, self._limit, self._keep_end = pipe, limit, keep_end
        self._kept = bytearray()
        self.overflowed = False
        self.start()

    def run(self) -> None:
        try:
            with self._pipe:
                while chunk := self._pipe.read1(1 << 16):  # type: ignore[attr-defined]
                    self._keep(chunk)
        except (OSError, ValueError):
            pass  # the pipe was closed under us: what came so far is what there is

    def _keep(self, chunk: bytes) -> None:
        self._kept += chunk
        if len(self._kept) > self._limit:
            self.overflowed = True
            if self._keep_end:
                del self._kept[: -self._limit]
            else:
                del self._kept[self._limit :]

    @property
    def data(self) -> bytes:
        return bytes(self._kept)


class Feed(threading.Thread):
    """Writes `data` into a child's stdin and closes it; a child that does not read it is no error of ours."""

    def __init__(self, pipe: BinaryIO, data: bytes):
        super().__init__(daemon=True, name="regen-vcs input")
        self._pipe, self._data = pipe, data
        self.start()

    def run(self) -> None:
        try:
            with self._pipe:
                self._pipe.write(self._data)
        except (OSError, ValueError):
            pass
