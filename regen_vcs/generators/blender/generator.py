"""The `blender` generator: what it is given, what it starts, what it takes from it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import Job
from regen_vcs.generators.blender.discovery import linked_inputs, used_files
from regen_vcs.generators.blender.layout import lay_out
from regen_vcs.generators.blender.metadata import strip_run_notes
from regen_vcs.generators.blender.params import MOVIES, STILLS, BlenderParams, frame_numbers, kind_of
from regen_vcs.generators.blender.process import BlenderRun, find_program
from regen_vcs.generators.programs import program_identity
from regen_vcs.model.generator_table import check_env_names
from regen_vcs.model.paths import frame_path, parse_sequence
from regen_vcs.model.schema import near_miss

_KEYS = frozenset({"uses", "program", "args", "timeout", "env", "paid", "cost", "params"})
_THREADS = ("-t", "--threads")


class Blender:
    """Renders a .blend. A frame's file appears under its name only when it is complete (`per_frame`)."""

    name = "blender"
    Params = BlenderParams
    exact = False
    version = "1"
    suffixes = STILLS + MOVIES
    per_frame = True
    presets = True  # `params` of a table are other defaults and bounds
    model_roles = ()

    def __init__(self, program: str = "blender", args: Sequence[str] = ()):
        self._program, self._args = program, list(args)
        self._seen: dict[str, str] = {}

    @classmethod
    def from_table(cls, name: str, table: Mapping[str, Any]) -> Blender:
        """InvalidError, naming the field, where the table is not one for Blender."""
        where = f"generators.{name.partition(':')[2]}"
        for key in table:
            if key not in _KEYS:
                raise InvalidError(f"[{where}]: {key} means nothing to blender", near_miss(key, _KEYS), field=f"{where}.{key}")
        program, args = table.get("program") or "blender", table.get("args", [])
        if os.path.basename(program) != program and not os.path.isabs(program):
            raise InvalidError(f"[{where}]: program is a name to be found on PATH, or a full path", field=f"{where}.program")
        if not isinstance(args, list) or not all(isinstance(each, str) and "\0" not in each for each in args):
            raise InvalidError(f"[{where}]: args is a list of strings", field=f"{where}.args")
        check_env_names(table.get("env", []))
        return cls(program, args)

    def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
        return {}

    def environment(self) -> dict[str, str]:
        """Of the last run: Blender's version, what rendered and on how many threads."""
        return dict(self._seen)

    def conditions(self) -> dict[str, str]:
        """Which Blender it would start now, and on how many threads."""
        return {"program": program_identity(self._program), "threads": self._threads()}

    def discover_inputs(
        self, params: Mapping[str, Any], inputs: Mapping[str, str], root: str, roots: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """{role: repository path or "@root/…"} of every file that the scene links, directly or not.

        inputs: {role: absolute path}; roots: {name: absolute folder} of the user's named roots. JobFailed names
        what is missing or lies elsewhere. Blender opens the file as it is on disk.
        """
        with tempfile.TemporaryDirectory(prefix="regen-blender-") as home, open(os.path.join(home, "log"), "wb") as log:
            run = BlenderRun(find_program(self._program), self._args, home, log.fileno())
            return linked_inputs(run, inputs, root, roots or {})

    def used_files(self, blend: str, root: str, roots: Mapping[str, str]) -> list[str]:
        """Repository paths of every file that a .blend uses, also of those that are missing. JobFailed.

        blend: absolute. It is opened with scripts off, by the Blender that is installed.
        """
        with tempfile.TemporaryDirectory(prefix="regen-blender-") as home, open(os.path.join(home, "log"), "wb") as log:
            run = BlenderRun(find_program(self._program), self._args, home, log.fileno())
            return used_files(run, blend, root, roots)

    def run(self, job: Job) -> None:
        params: BlenderParams = job.params
        kind = kind_of(job.output, params)
        layout = lay_out(job)
        folders = {name: os.path.join(job.scratch, name) for name in ("render", "spare")}
        for folder in folders.values():
            os.mkdir(folder)
        suffix = os.path.splitext(job.output)[1].lower()
        threads = self._threads()
        request = {
            "blend": layout.blend,
            "tree": layout.tree,
            "available": layout.available,
            "spare": folders["spare"],
            "kind": kind,
            "suffix": suffix,
            "params": params.model_dump(mode="json"),
            "frames": frame_numbers(params.frames) if params.frames else None,
            # A sequence's numbers are put behind it, a movie's by Blender itself.
            "output": os.path.join(folders["render"], "" if kind == "sequence" else "made" + suffix),
        }
        args = self._args if any(each in self._args for each in _THREADS) else [*self._args, "--threads", threads]
        run = BlenderRun(
            find_program(self._program), args, os.path.join(job.scratch, "home"), sys.stderr.fileno(), job.env
        )
        follower = _Follower(job, kind)
        done = run.run(
            "render.py", request, follower, cancelled=lambda: job.cancelled,
            started=job.child_started, gone=job.child_gone,
        )  # fmt: skip
        self._seen = {"blender": done["version"], "engine": done["engine"], "device": done["device"], "threads": threads}

    def _threads(self) -> str:
        """As the table says, else one for each processor; a movie's encoder gives other bytes with another number."""
        for flag in _THREADS:
            if flag in self._args[:-1]:
                return self._args[self._args.index(flag) + 1]
        return str(os.cpu_count() or 1)


class _Follower:
    """Turns what Blender says into progress, and finished pictures into the job's output."""

    def __init__(self, job: Job, kind: str):
        self._job, self._kind = job, kind
        self._sequence = parse_sequence(os.path.basename(job.output)) if kind == "sequence" else None
        self._count, self._begun, self._label = 1, 0, ""

    def __call__(self, event: dict) -> None:
        handle = getattr(self, f"_on_{event['event']}", None)
        if handle is not None:
            handle(event)

    def _on_frames(self, event: dict) -> None:
        self._count = max(1, event["count"])

    def _on_started(self, event: dict) -> None:
        self._label = f"frame {event['frame']}"
        self._job.progress(self._begun / self._count, self._label)
        self._begun += 1

    def _on_samples(self, event: dict) -> None:
        share = event["done"] / max(1, event["of"])
        done = (max(self._begun, 1) - 1 + min(share, 1.0)) / self._count
        self._job.progress(min(done, 0.999), f"{self._label}, sample {event['done']} of {event['of']}")

    def _on_made(self, event: dict) -> None:
        if self._kind != "movie":
            strip_run_notes(event["file"])
        target = self._job.output
        if self._sequence is not None:
            target = os.path.join(os.path.dirname(target), frame_path(self._sequence, event["frame"]))
        os.replace(event["file"], target)
