"""The child process that runs jobs, one after another, so that a model stays loaded and a crash hurts nobody.

    python -I -m regen_vcs.generators.runner

JSON lines in: {"generator", "table", "params", "inputs", "models", "output", "scratch", "env", "input_paths",
"fresh", "mark"}.
JSON lines out: {"progress": 0.5, "message": "…"}, {"child": GROUP, "alive": true}, and at the end of a job
{"done": {"environment", "generator_version"}} or {"failed": "reason"}.

A generator's own prints go to stderr, the job's log, which ends with the job's mark; the protocol keeps a descriptor
nobody else has. SIGTERM, or the end of our input (the parent died), cancels the job and ends this process and every
process group it has started.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import signal
import sys
import threading
import traceback

from regen_vcs.errors import RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.base import Job, ProgramFailed

# How long a job may take to notice that it was cancelled.
_GRACE = 0.8


class Runner:
    """requests: lines of JSON; answers: where to write ours."""

    def __init__(self, requests, answers):
        self._requests, self._answers = requests, answers
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._jobs: queue.Queue = queue.Queue()
        self._loaded: dict[str, object] = {}
        self._ending = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    def serve(self) -> None:
        """Run jobs until the parent closes our input. Does not return."""
        signal.signal(signal.SIGTERM, self._on_term)
        threading.Thread(target=self._read, daemon=True).start()
        while not self._ending.is_set():
            request = self._jobs.get()
            self._idle.clear()
            answer = self._run(request)
            _end_log(request.get("mark", ""))
            self._answer(answer)
            self._idle.set()
        self._leave()

    def _read(self) -> None:
        for line in self._requests:
            self._jobs.put(json.loads(line))
        self._ending.set()  # the parent is gone, or wants us gone: whatever runs is worth nothing now
        self._idle.wait(_GRACE)
        self._leave()

    def _on_term(self, *_: object) -> None:
        """A job is told, and leaves through its own `finally`; whoever sent this kills what does not listen."""
        self._ending.set()
        if self._idle.is_set():
            self._leave()

    def _leave(self) -> None:
        """End at once: a daemon thread sits in a read, which an orderly shutdown would stumble over."""
        for group in list(self._groups):
            try:
                os.killpg(group, signal.SIGKILL)
            except (OSError, AttributeError):
                continue
        os._exit(0)

    def _answer(self, message: dict) -> None:
        with self._lock:
            try:
                self._answers.write(json.dumps(message) + "\n")
                self._answers.flush()
            except OSError:
                self._ending.set()  # nobody listens any more

    def _run(self, request: dict) -> dict:
        os.chdir(request["scratch"])  # what a generator writes without a path must not land in somebody's worktree
        try:
            generator = self._generator(request["generator"], request.get("table"))
            job = self._job(generator, request)
            generator.run(job)
            environment = {**_environment(), **registry.environment(generator)}
        except ProgramFailed as error:
            return {"failed": error.what, "show_log": True, "transient": error.transient}
        except RegenError as error:
            return {"failed": error.what, "hint": error.hint, "transient": getattr(error, "transient", False)}
        except MemoryError:
            return {"failed": "it ran out of memory"}
        except (Exception, SystemExit) as error:  # a third party's code may raise anything
            traceback.print_exc()
            return {"failed": f"{type(error).__name__}: {error}".rstrip(": ")}
        finally:
            os.chdir(os.sep)
        version = str(getattr(generator, "version", ""))
        return {"done": {"environment": environment, "generator_version": version, "cost": job.cost}}

    def _generator(self, name: str, table: dict | None):
        """The same instance for every job of one generator, so that what it has loaded stays."""
        key = json.dumps([name, table], sort_keys=True)
        if key not in self._loaded:
            self._loaded[key] = registry.load(name, table)
        return self._loaded[key]

    def _job(self, generator, request: dict) -> Job:
        return Job(
            params=registry.typed_params(generator, request["params"]),
            raw_params=request["params"],
            inputs=request.get("inputs") or {},
            output=request["output"],
            scratch=request["scratch"],
            models=request.get("models") or {},
            env=request.get("env") or {},
            input_paths=request.get("input_paths") or {},
            fresh=bool(request.get("fresh")),
            on_progress=lambda fraction, message: self._answer({"progress": fraction, "message": message}),
            on_child=self._note_child,
            cancel_requested=self._ending.is_set,
        )

    def _note_child(self, group: int, alive: bool) -> None:
        (self._groups.add if alive else self._groups.discard)(group)
        self._answer({"child": group, "alive": alive})


def _end_log(mark: str) -> None:
    """Print the mark after everything the job has printed."""
    sys.stderr.flush()
    os.write(2, mark.encode())


def _environment() -> dict[str, str]:
    """What every take records of where it was made."""
    return {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # from here on a generator's print() is its log
    sys.stdout = sys.stderr
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a generator that asks its user gets no answer, rather than the next job
    os.close(nothing)
    Runner(requests, answers).serve()


if __name__ == "__main__":
    main()
