"""Taking a prompt back from its server once nobody wants it: from a thread of its own, since the job's own may sit in
a transfer, and its process is killed a second after it was told to leave.
"""

from __future__ import annotations

import threading

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.comfyui.client import Server, hasty_server

_POLL = 0.1


class Withdrawal:
    """Watches one job at a time. Use as a context manager."""

    def __init__(self, job: Job):
        self._job = job
        self._lock = threading.Lock()
        self._left = threading.Event()
        self._server: Server | None = None
        self._prompt_id = ""

    def __enter__(self) -> Withdrawal:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """However the job ends: a prompt that is still watched is one that nobody waits for any more."""
        self._left.set()
        self.withdraw()

    def watch(self, server: Server, prompt_id: str) -> None:
        """From now on this prompt is ours on that server. Told before it is submitted."""
        with self._lock:
            self._server, self._prompt_id = server, prompt_id

    def forget(self) -> None:
        """It has ended by itself, or the server does not know it any more."""
        with self._lock:
            self._server = None

    def withdraw(self) -> None:
        """Once; whoever comes second waits until it is done. A server that is gone has nothing to take back."""
        with self._lock:
            server, self._server = self._server, None
            if server is None:
                return
            hasty = hasty_server(server.url, server.headers)
            try:
                hasty.withdraw(self._prompt_id)
            except JobFailed as error:
                self._job.log(f"the prompt {self._prompt_id} may go on: {error.what}")
            finally:
                hasty.close()

    def _watch(self) -> None:
        while not self._left.wait(_POLL):
            if self._job.cancelled:
                self.withdraw()
                return
