"""The child process that runs jobs, one after another, so that a model stays loaded and a crash hurts nobody.

    python -I -m regen_vcs.generators.runner

JSON lines in: {"id", "generator", "table", "params", "inputs", "models", "output", "scratch", "env"}.
JSON lines out: {"progress": 0.5, "message": "…"}, {"child": GROUP, "alive": true}, and at the end of a job
{"done": {"environment", "generator_version"}} or {"failed": "reason"}.

A generator's own prints go to stderr, the job's log: the protocol keeps a descriptor nobody else has. When the
parent dies its end of our input closes, and everything here ends with it.
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
from regen_vcs.generators.base import Job


class Runner:
    def __init__(self, requests, answers):
        self._requests, self._answers = requests, answers
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._jobs: queue.Queue = queue.Queue()
        self._loaded: dict[str, object] = {}

    def serve(self) -> None:
        """Run jobs until the parent closes our input."""
        threading.Thread(target=self._read, daemon=True).start()
        while (request := self._jobs.get()) is not None:
            self._answer(self._run(request))

    def _read(self) -> None:
        for line in self._requests:
            self._jobs.put(json.loads(line))
        self._end_children()
        os._exit(0)  # the parent is gone, or wants us gone: whatever runs is worth nothing now

    def _end_children(self) -> None:
        for group in list(self._groups):
            try:
                os.killpg(group, signal.SIGKILL)
            except (OSError, AttributeError):
                continue

    def _answer(self, message: dict) -> None:
        with self._lock:
            self._answers.write(json.dumps(message) + "\n")
            self._answers.flush()

    def _run(self, request: dict) -> dict:
        try:
            generator = self._generator(request["generator"], request.get("table"))
            job = self._job(generator, request)
            generator.run(job)
        except RegenError as error:
            return {"failed": error.what}
        except Exception as error:  # a third party's code may raise anything
            traceback.print_exc()
            return {"failed": f"{type(error).__name__}: {error}"}
        return {"done": {
            "environment": {**_environment(), **registry.environment(generator)},
            "generator_version": str(getattr(generator, "version", "")),
        }}

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
            inputs=request["inputs"],
            output=request["output"],
            scratch=request["scratch"],
            models=request.get("models") or {},
            env=request.get("env") or {},
            on_progress=lambda fraction, message: self._answer({"progress": fraction, "message": message}),
            on_child=self._note_child,
        )

    def _note_child(self, group: int, alive: bool) -> None:
        (self._groups.add if alive else self._groups.discard)(group)
        self._answer({"child": group, "alive": alive})


def _environment() -> dict[str, str]:
    """What every take records of where it was made."""
    return {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # from here on a generator's print() is its log
    sys.stdout = sys.stderr
    Runner(sys.stdin, answers).serve()


if __name__ == "__main__":
    main()
