"""One run of Blender: started in a group of its own, its answers read as they come, ended whatever happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from regen_vcs.generators.base import JobFailed
from regen_vcs.platform.processes import has_ended, kill_group, start_group

INSIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside")

_GRACE = 1.0  # seconds to leave by itself: a cancelled job is gone within two
_POLL = 0.05
_SAMPLES = re.compile(rb"\bSample (\d+)/(\d+)")
# Of the user's environment Blender sees these, and what its table names.
_ALLOWED = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "WINDIR", "PATHEXT", "COMSPEC", "NUMBER_OF_PROCESSORS",
    "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
)  # fmt: skip


class BlenderRun:
    """Runs one of the scripts in `inside/`.

    program, args: of the generator's table. home: a folder for everything Blender writes by itself: settings,
    temporary files. output: a descriptor for what it prints.
    """

    def __init__(self, program: str, args: Sequence[str], home: str, output: int, env: Mapping[str, str] | None = None):
        self._program, self._args, self._home, self._output = program, list(args), home, output
        self._env = dict(env or {})

    def run(
        self,
        script: str,
        request: Mapping[str, Any],
        on_event: Callable[[dict], None],
        *,
        cancelled: Callable[[], bool] = lambda: False,
        started: Callable[[int], None] = lambda group: None,
        gone: Callable[[int], None] = lambda group: None,
    ) -> dict:
        """Its last answer, {"version", …}. JobFailed with the reason where it failed, crashed or was cancelled."""
        events = os.path.join(self._home, "events.jsonl")
        asked = os.path.join(self._home, "request.json")
        with open(asked, "w", encoding="utf-8") as file:
            json.dump({**request, "events": events}, file)
        open(events, "wb").close()
        proc = start_group(self._argv(script), cwd=self._home, env=self._environ(asked))
        started(proc.pid)
        printed = _Printed(proc.stdout, self._output)
        try:
            with open(events, "rb") as file:
                answer = _follow(proc, _Lines(file), printed, on_event, cancelled)
        finally:
            kill_group(proc, _GRACE)
            gone(proc.pid)
            printed.join(_GRACE)
        if answer is None:
            hint = _crash_hint(proc.returncode, printed.last_line)
            raise JobFailed(f"{self._program} {_how(proc.returncode)} before it was done", hint)
        if answer["event"] == "failed":
            raise JobFailed(answer["what"], answer.get("hint"))
        return answer

    def _argv(self, script: str) -> list[str]:
        """Settings as they come from the factory, no script of a file; then whatever the table says."""
        fixed = ["--background", "--factory-startup", "--disable-autoexec"]
        return [self._program, *fixed, *self._args, "--python-exit-code", "3", "--python", os.path.join(INSIDE, script)]

    def _environ(self, asked: str) -> dict[str, str]:
        env = {name: os.environ[name] for name in _ALLOWED if name in os.environ}
        env["PATH"] = _without_venvs(_absolute_only(env.get("PATH", os.defpath)))
        own = dict.fromkeys(
            ("HOME", "TMPDIR", "TEMP", "TMP", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "BLENDER_USER_RESOURCES",
             "BLENDER_USER_CONFIG", "BLENDER_USER_SCRIPTS", "BLENDER_USER_DATAFILES", "BLENDER_USER_EXTENSIONS"),
            self._home,
        )
        return {**self._env, **env, **own, "REGEN_BLENDER_REQUEST": asked}


def find_program(program: str) -> str:
    """The absolute path of a Blender; JobFailed where there is none."""
    found = shutil.which(program, path=_absolute_only(os.environ.get("PATH", os.defpath)))
    if found is None:
        raise JobFailed(f"{program}: no such program", "install Blender, or name it: [generators.NAME] program = …")
    return found


def _follow(
    proc, lines: _Lines, printed: _Printed, on_event: Callable[[dict], None], cancelled: Callable[[], bool]
) -> dict | None:
    """Hand on what it says until it has said its last, or is gone without a word: None."""
    quiet = threading.Event()
    while True:
        over = has_ended(proc)  # asked first: what it said before its end is read afterwards
        for event in lines.take():
            if event["event"] in ("done", "failed"):
                return event
            on_event(event)
        samples = printed.take_samples()
        if samples is not None:
            on_event({"event": "samples", "done": samples[0], "of": samples[1]})
        if over:
            return None
        if cancelled():
            raise JobFailed("cancelled")
        quiet.wait(_POLL)


class _Lines:
    """JSON lines of a file that somebody else appends to; one that is not whole yet waits."""

    def __init__(self, file):
        self._file = file
        self._rest = b""

    def take(self) -> Iterator[dict]:
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        yield from (json.loads(line) for line in whole)


class _Printed(threading.Thread):
    """Copies what Blender prints to the log, and remembers the last sample it told of.

    Only this word of progress is taken from it: in 3.4 no script inside can ask for it.
    """

    def __init__(self, pipe, output: int):
        super().__init__(daemon=True)
        self._pipe, self._output = pipe, output
        self._samples: tuple[int, int] | None = None
        self.last_line = ""
        self.start()

    def run(self) -> None:
        with self._pipe:
            for line in self._pipe:
                os.write(self._output, line)
                self.last_line = line.decode("utf-8", "replace").strip() or self.last_line
                found = _SAMPLES.search(line)
                if found:
                    self._samples = (int(found[1]), int(found[2]))

    def take_samples(self) -> tuple[int, int] | None:
        """(done, of) if it is news."""
        found, self._samples = self._samples, None
        return found


def _absolute_only(path: str) -> str:
    # A relative entry would be looked for in a folder that the job's files can fill.
    return os.pathsep.join(part for part in path.split(os.pathsep) if os.path.isabs(part))


def _without_venvs(path: str) -> str:
    """A Blender that is linked with the system's Python takes the packages of whatever `python3` stands first on PATH: an
    activated virtual environment, the one we run from above all, may hold other NumPy, or files that it cannot read."""
    parts = path.split(os.pathsep)
    return os.pathsep.join(part for part in parts if not os.path.isfile(os.path.join(os.path.dirname(part), "pyvenv.cfg")))


def _how(code: int) -> str:
    return f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"


def _crash_hint(code: int, last_line: str) -> str | None:
    # 3.4 does not refuse a file of 4.x: it crashes.
    if code < 0:
        return "a file of a newer Blender may do that; what it printed is in the log"
    return f"the last thing it printed: {last_line[:200]}" if last_line else None
