"""The parent's side of the runner: one child process, one job at a time, its log kept, its whole group killable."""

from __future__ import annotations

import json
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque, namedtuple
from collections.abc import Callable, Iterable, Mapping

from regen_vcs.errors import Interrupted
from regen_vcs.model.quantities import human_duration, parse_duration
from regen_vcs.platform.processes import kill_group, start_group

# reason: None where it went well. log: what the job printed, secrets blotted out. environment: of the take.
# transient: what failed may go well another time. cost: dollars, where the generator said what it took. hint: what mends it.
Result = namedtuple(
    "Result", ("ok", "reason", "log", "environment", "generator_version", "transient", "cost", "hint"), defaults=(False, None, None)
)

# What a generator may see of the user's environment; more only by name (`env` in regen.toml).
ALLOWED_ENV = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
    "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS", "APPDATA", "LOCALAPPDATA", "USERPROFILE",
    "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY",
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "OMP_NUM_THREADS", "HF_HOME",
    "HF_HUB_CACHE", "HF_HUB_OFFLINE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
)  # fmt: skip

_KEEP_HEAD = 1 << 20
_KEEP_TAIL = 1 << 20
_POLL = 0.05  # seconds between looks at cancel and timeout; an answer is seen at once
_GRACE = 1.0  # seconds a child has to leave by itself: a cancelled job is gone within two
_BLOT = b"***"
# The runner finds this very installation, also one that `-I` leaves off the module path (as in __main__.py).
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_RUNNER = """
import sys
home = sys.argv.pop()
if home not in sys.path:
    first = next((at for at, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))), len(sys.path))
    sys.path.insert(first, home)
from regen_vcs.generators.runner import main
main()
"""
# A generator with a timeout of its own (`command`) gets to tell of it first.
_MARGIN = 3.0


class RunnerClient:
    """Starts its child with the first job, and again after a crash or a cancel. Used from one thread at a time;
    `cancel` may come from any."""

    def __init__(self, environ: Mapping[str, str]):
        self._env = {name: environ[name] for name in ALLOWED_ENV if name in environ}
        self._child: _Child | None = None

    @property
    def alive(self) -> bool:
        child = self._child
        return child is not None and child.alive

    def run(
        self, spec: Mapping, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> Result:
        """Run one job to its end. Interrupted if it was cancelled; a crash of the child is a failed job.

        spec: {"generator", "params", "output", "scratch"} and, where there are any, "table", "inputs", "models"
        and "env" (values of the variables that the table names).
        """
        child = self._child
        if child is None or not child.alive:
            self.cancel()  # what a child that died has left behind
            child = self._child = _Child(self._env)
        blot = Blotter(spec.get("env", {}).values())
        try:
            answer = self._follow(child, spec, blot, progress, cancelled)
        except BaseException:  # ^C too: the next job must not read this one's answers
            self.cancel()
            raise
        if answer is None:
            self.cancel()
            log = child.log.finish(_GRACE)
            return Result(False, f"the generator's process died ({_how(child.proc.returncode)}){last_line(log)}", log, {}, "")
        log = child.log.finish(_GRACE)
        if "timeout" in answer:
            self.cancel()
            return Result(False, answer["timeout"], log, {}, "")
        if "failed" in answer:
            told = last_line(log) if answer.get("show_log") else ""
            return Result(False, blot.text(answer["failed"]) + told, log, {}, "", bool(answer.get("transient")), hint=answer.get("hint") and blot.text(answer["hint"]))
        done = answer["done"]
        return Result(True, None, log, done["environment"], done["generator_version"], cost=done.get("cost"))

    def _follow(self, child: _Child, spec: Mapping, blot: Blotter, progress, cancelled) -> dict | None:
        """Send a job and follow its answers; the last one, or None where the child died."""
        limit = timeout_of(spec.get("table"))
        deadline = None if limit is None else time.monotonic() + limit + _MARGIN
        if not child.send(spec, blot):
            return None
        while True:
            if cancelled.is_set():
                raise Interrupted("cancelled")
            if deadline is not None and time.monotonic() > deadline:
                return {"timeout": f"took longer than its timeout of {human_duration(limit)}"}
            try:
                answer = child.answers.get(timeout=_POLL)
            except queue.Empty:
                continue
            if answer is None or "progress" not in answer:
                return answer
            progress(answer["progress"], blot.text(answer.get("message", "")))

    def cancel(self) -> None:
        """End the child, its group, and every group it has started; at most 2 seconds."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def close(self) -> None:
        """Let an idle child end by itself."""
        child, self._child = self._child, None
        if child is not None:
            child.close()


class _Child:
    """One runner process: what it answers, what it prints, and which groups it has started."""

    def __init__(self, env: Mapping[str, str]):
        self.answers: queue.Queue[dict | None] = queue.Queue()
        self.log = _Log()
        self._groups: set[int] = set()
        self.proc = start_group(
            [sys.executable, "-I", "-c", _RUNNER, _HOME],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(self.proc.stdout,), daemon=True).start()
        threading.Thread(target=self.log.drain, args=(self.proc.stderr,), daemon=True).start()

    @property
    def alive(self) -> bool:
        return self.proc.poll() is None

    def send(self, spec: Mapping, blot: Blotter) -> bool:
        """Start a job and its log; False where nobody is there to take it."""
        mark = secrets.token_hex(16)
        self.log.begin(mark.encode(), blot)
        try:
            self.proc.stdin.write(json.dumps({**spec, "mark": mark}).encode() + b"\n")
            self.proc.stdin.flush()
        except OSError:
            return False
        return True

    def _listen(self, pipe) -> None:
        for line in pipe:
            try:
                answer = json.loads(line)
            except ValueError:
                continue  # no generator can reach this pipe by accident, but one bad line is not worth the job
            if "child" in answer:
                (self._groups.add if answer["alive"] else self._groups.discard)(answer["child"])
            else:
                self.answers.put(answer)
        self.answers.put(None)

    def kill(self) -> None:
        """First what it started, by force; then the child itself, asked before it is made to."""
        for group in list(self._groups):
            try:
                os.killpg(group, signal.SIGKILL)
            except (OSError, AttributeError):
                continue
        kill_group(self.proc, _GRACE)
        try:
            self.proc.stdin.close()
        except OSError:
            pass

    def close(self) -> None:
        try:
            self.proc.stdin.close()
            self.proc.wait(timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()


class Blotter:
    """Makes secrets unreadable in what a job says."""

    def __init__(self, values: Iterable[str]):
        # The longest first: one may be part of another.
        known = sorted({value.encode("utf-8", "surrogateescape") for value in values if value}, key=len, reverse=True)
        self.longest = max(map(len, known), default=0)
        self._pattern = re.compile(b"|".join(map(re.escape, known)) or b"(?!)")

    def data(self, data: bytes) -> bytes:
        return self._pattern.sub(_BLOT, data)

    def text(self, text: str) -> str:
        return self.data(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    def settled(self, data: bytes, width: int) -> tuple[bytes, bytes]:
        """(what can be kept, blotted; the raw rest, in which something of up to `width` bytes may have begun)."""
        sure = max(0, len(data) - width + 1)
        kept, at = [], 0
        for found in self._pattern.finditer(data):
            if found.start() >= sure:
                break
            kept += [data[at : found.start()], _BLOT]
            at = found.end()
        sure = max(at, sure)
        return b"".join((*kept, data[at:sure])), data[sure:]


class _Log:
    """The head and the tail of what a job prints; the middle of a flood is dropped, the child never waits.

    A job's part ends with its mark, which the runner prints when the job is over: nothing is missed, and nothing
    of the next job gets in.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ended.set()
        self.begin(b"", Blotter(()))

    def begin(self, mark: bytes, blot: Blotter) -> None:
        with self._lock:
            self._mark, self._blot = mark, blot
            self._held = b""  # what may be the beginning of a secret or of the mark
            self._head = bytearray()
            self._tail: deque[bytes] = deque()
            self._tail_size = 0
            self._dropped = 0
            if mark:
                self._ended.clear()

    def drain(self, pipe) -> None:
        while chunk := pipe.read1(1 << 16):
            with self._lock:
                if not self._ended.is_set():
                    self._take(chunk)
        self._ended.set()

    def finish(self, seconds: float) -> bytes:
        """The job's log, once its end was seen or `seconds` have gone by."""
        self._ended.wait(seconds)
        with self._lock:
            self._ended.set()
            self._keep(self._blot.data(self._held))
            self._held = b""
            gap = f"\n… {self._dropped} bytes left out …\n".encode() if self._dropped else b""
            return bytes(self._head) + gap + b"".join(self._tail)

    def _take(self, chunk: bytes) -> None:
        data = self._held + chunk
        end = data.find(self._mark)
        if end >= 0:
            self._held = data[:end]
            self._ended.set()
            return
        kept, self._held = self._blot.settled(data, max(len(self._mark), self._blot.longest))
        self._keep(kept)

    def _keep(self, chunk: bytes) -> None:
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


def timeout_of(table: Mapping | None) -> float | None:
    """Seconds, where the generator's table has a timeout that means something."""
    value = (table or {}).get("timeout")
    return parse_duration(value) if isinstance(value, str) else None


def _how(code: int | None) -> str:
    if code is None:
        return "unknown"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def last_line(log: bytes) -> str:
    lines = log[-4096:].decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1].strip()[:200]}" if lines else ""
