"""The parent's side of the runner: one child process, one job at a time, its log kept, its whole group killable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque, namedtuple
from collections.abc import Callable, Mapping

from regen_vcs.errors import Interrupted
from regen_vcs.platform.processes import kill_group, start_group

# reason: None where it went well. log: what the job printed, secrets blotted out. environment: of the take.
Result = namedtuple("Result", ("ok", "reason", "log", "environment", "generator_version"))

# What a generator may see of the user's environment; more only by name (`env` in regen.toml).
ALLOWED_ENV = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
    "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS", "APPDATA", "LOCALAPPDATA", "USERPROFILE",
    "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY",
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "OMP_NUM_THREADS", "HF_HOME",
    "HF_HUB_CACHE", "HF_HUB_OFFLINE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
)
_KEEP_HEAD = 1 << 20
_KEEP_TAIL = 1 << 20


class RunnerClient:
    """Starts its child with the first job, and again after a crash or a cancel."""

    def __init__(self, environ: Mapping[str, str]):
        self._env = {name: environ[name] for name in ALLOWED_ENV if name in environ}
        self._proc: subprocess.Popen | None = None
        self._groups: set[int] = set()
        self._log = _Log()

    @property
    def alive(self) -> bool:
        return self._proc is not None and self._proc.poll() is None

    def run(
        self, spec: Mapping, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> Result:
        """Run one job to its end. Interrupted if it was cancelled; a crash of the child is a failed job."""
        if not self.alive:
            self._start()
        self._log.clear()
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(cancelled, ended), daemon=True)
        watcher.start()
        try:
            answer = self._talk(spec, progress)
        finally:
            ended.set()
            watcher.join()
        if cancelled.is_set():
            self.cancel()
            raise Interrupted("cancelled")
        log = self._log.text(spec.get("env", {}).values())
        if answer is None:
            code = self._proc.wait() if self._proc else None
            self.cancel()
            return Result(False, f"the generator's process died ({_how(code)}){_last_line(log)}", log, {}, "")
        if "failed" in answer:
            return Result(False, answer["failed"], log, {}, "")
        done = answer["done"]
        return Result(True, None, log, done["environment"], done["generator_version"])

    def _talk(self, spec: Mapping, progress: Callable[[float, str], None]) -> dict | None:
        """Send a job and follow its answers; the last one, or None where the child died."""
        try:
            self._proc.stdin.write((json.dumps(spec) + "\n").encode())
            self._proc.stdin.flush()
        except OSError:
            return None
        for line in self._proc.stdout:
            answer = json.loads(line)
            if "progress" in answer:
                progress(answer["progress"], answer.get("message", ""))
            elif "child" in answer:
                (self._groups.add if answer["alive"] else self._groups.discard)(answer["child"])
            else:
                self._log.wait_quiet()
                return answer
        return None

    def _watch(self, cancelled: threading.Event, ended: threading.Event) -> None:
        while not ended.is_set():
            if cancelled.wait(0.05):
                self.cancel()
                return

    def _start(self) -> None:
        self._groups.clear()
        self._proc = start_group(
            [sys.executable, "-I", "-m", "regen_vcs.generators.runner"],
            env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        threading.Thread(target=self._log.drain, args=(self._proc.stderr,), daemon=True).start()

    def cancel(self) -> None:
        """End the child, its group, and every group it has started."""
        proc, self._proc = self._proc, None
        for group in list(self._groups):
            try:
                os.killpg(group, signal.SIGKILL)
            except (OSError, AttributeError):
                continue
        self._groups.clear()
        if proc is not None:
            kill_group(proc, 1.0)

    def close(self) -> None:
        """Let an idle child end by itself."""
        proc, self._proc = self._proc, None
        if proc is not None:
            try:
                proc.stdin.close()
                proc.wait(timeout=2)
            except (OSError, subprocess.TimeoutExpired):
                kill_group(proc, 1.0)


class _Log:
    """The head and the tail of what a job prints; the middle of a flood is dropped, the child never waits."""

    def __init__(self):
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._head = bytearray()
            self._tail: deque[bytes] = deque()
            self._tail_size = 0
            self._dropped = 0

    def drain(self, pipe) -> None:
        while chunk := pipe.read1(1 << 16):
            with self._lock:
                self._add(chunk)

    def _add(self, chunk: bytes) -> None:
        room = _KEEP_HEAD - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self._tail.append(chunk)
            self._tail_size += len(chunk)
        while self._tail_size > _KEEP_TAIL and len(self._tail) > 1:
            gone = self._tail.popleft()
            self._tail_size -= len(gone)
            self._dropped += len(gone)

    def wait_quiet(self) -> None:
        """Give the drain a moment for what was printed just before the last answer."""
        threading.Event().wait(0.002)

    def text(self, secrets) -> bytes:
        with self._lock:
            gap = f"\n… {self._dropped} bytes left out …\n".encode() if self._dropped else b""
            data = bytes(self._head) + gap + b"".join(self._tail)
        for secret in secrets:
            if secret:
                data = data.replace(secret.encode("utf-8", "surrogateescape"), b"***")
        return data


def _how(code: int | None) -> str:
    if code is None:
        return "unknown"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_line(log: bytes) -> str:
    lines = log.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""
