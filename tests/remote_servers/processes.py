"""Server processes that end with the tests, however these end."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_START_SECONDS = 30
_TRIES = 4  # a port that was free is somebody else's now and then
_PR_SET_PDEATHSIG = 1


class NotStarted(Exception):
    """A server that ended, or did not answer, before it could be used; its words are the log."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def serving(argv_for, log: Path, env: dict[str, str] | None = None) -> Iterator[int]:
    """The port of a server that answers there. argv_for: port → argv."""
    for attempt in range(_TRIES):
        port = free_port()
        with open(log, "wb") as output:
            process = subprocess.Popen(
                argv_for(port), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, preexec_fn=_die_with_parent,
            )
        try:
            if _answers(process, port):
                yield port
                return
        finally:
            _stop(process)
        if attempt == _TRIES - 1:
            raise NotStarted(f"{argv_for(port)[0]}: {log.read_text(errors='replace')[-2000:]}")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answers(process: subprocess.Popen, port: int) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.02)
    return False


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
