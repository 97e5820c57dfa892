"""`command`: any program, by an argv template in regen.toml. No shell, ever.

The program runs in the scratch folder with an allow-listed environment, in a process group of its own. What it
may run is the user's consent (engine/trust.py), not a sandbox: docs/security.md.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.generator_table import check_argv, check_env_names
from regen_vcs.model.quantities import human_duration, parse_duration
from regen_vcs.model.schema import check_schema, object_schema, validate_schema
from regen_vcs.platform.processes import has_ended, kill_group, start_group

DEFAULT_TIMEOUT = 3600.0
_GRACE = 1.0
_POLL = 0.01
_KEYS = frozenset({"uses", "argv", "code", "timeout", "env", "paid", "params", "seconds"})
# Of the user's environment a command sees these, and what its table names.
_ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "WINDIR", "PATHEXT", "COMSPEC", "NUMBER_OF_PROCESSORS")


class CommandParams(BaseModel):
    """Whatever the table's own schema lets pass."""

    model_config = ConfigDict(extra="allow")


class Command:
    """One configured command: `[generators.NAME] uses = "command"`."""

    name = "command"
    Params = CommandParams
    exact = False
    version = "1"

    def __init__(self, table: Mapping[str, Any], label: str = "command"):
        self._table = table
        self._label = label
        self._schema = object_schema(table.get("params"))
        self._timeout = _timeout_of(table, label)

    @classmethod
    def from_table(cls, name: str, table: Mapping[str, Any]) -> Command:
        """InvalidError, naming the field, where the table is not a command's."""
        alias = name.partition(":")[2]
        if not alias:
            raise InvalidError(
                "command needs a name: which program?", 'define [generators.NAME] in regen.toml, and say "command:NAME"'
            )
        where = f"generators.{alias}"
        for key in table:
            if key not in _KEYS:
                raise InvalidError(f"[{where}]: {key} means nothing to a command", field=f"{where}.{key}")
        check_argv(table.get("argv"))
        check_env_names(table.get("env", []))
        if table.get("params") is not None:
            check_schema(object_schema(table["params"]), f"{where}.params")
        return cls(table, name)

    def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
        return {}

    def params_schema(self) -> dict[str, Any]:
        return self._schema

    def complete_params(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The table's defaults written out, its schema obeyed, and no value that could pass for an option."""
        complete = validate_schema(self._schema, raw)
        for name, value in complete.items():
            self._check_argument(name, value)
        return complete

    def run(self, job: Job) -> None:
        self.complete_params(job.raw_params)  # a recipe may have been written by anyone
        argv = [self._filled(part, job) for part in self._table["argv"]]
        proc = start_group(
            argv, cwd=job.scratch, env=self._environ(job), stdout=sys.stderr.fileno(), stderr=sys.stderr.fileno()
        )
        job.child_started(proc.pid)
        try:
            self._wait(proc, job)
        finally:
            kill_group(proc, _GRACE)  # also what it left running behind it
            job.child_gone(proc.pid)
        if proc.returncode != 0:
            how = f"signal {-proc.returncode}" if proc.returncode < 0 else f"exit code {proc.returncode}"
            raise JobFailed(f"{os.path.basename(argv[0])} ended with {how}")

    def _wait(self, proc, job: Job) -> None:
        deadline = time.monotonic() + self._timeout
        quiet = threading.Event()
        while not has_ended(proc):
            if job.cancelled:
                raise JobFailed("cancelled")
            if time.monotonic() > deadline:
                raise JobFailed(f"took longer than its timeout of {human_duration(self._timeout)}")
            quiet.wait(_POLL)

    def _environ(self, job: Job) -> dict[str, str]:
        home = os.path.join(job.scratch, "home")
        env = {name: os.environ[name] for name in _ALLOWED if name in os.environ}
        return env | {"HOME": home, "TMPDIR": home, "TEMP": home, "TMP": home} | dict(job.env)

    def _filled(self, part: str, job: Job) -> str:
        """One element of the template with its placeholder replaced; still one element, whatever is in it."""
        if part == "{output}":
            return job.output
        if part.startswith("{params.") and part.endswith("}"):
            return self._param(part[8:-1], job)
        if part.startswith("{inputs.") and part.endswith("}"):
            name = part[8:-1]
            if name not in job.inputs:
                raise JobFailed(f"its recipe has no input {name!r}, which argv names")
            return job.inputs[name]
        if part.startswith("{code}"):
            return os.path.join(job.scratch, "code") + part[len("{code}") :]
        return part

    def _param(self, name: str, job: Job) -> str:
        if name not in job.raw_params:
            raise JobFailed(f"its recipe has no parameter {name!r}, which argv names")
        value = job.raw_params[name]
        self._check_argument(name, value)
        if isinstance(value, str):
            return value
        return canonical_bytes(value).decode()

    def _check_argument(self, name: str, value: Any) -> None:
        """A string could pass for an option or an address: refused, unless the property says any will do."""
        if not isinstance(value, str):
            return
        if "\0" in value:
            raise InvalidError(f"params.{name}: holds a NUL character", field=f"params.{name}")
        prop = (self._table.get("params") or {}).get(name)
        if isinstance(prop, dict) and prop.get("x-regen-argv") == "any":
            return
        if value.startswith("-") or "://" in value:
            raise InvalidError(
                f"params.{name}: {value[:60]!r} could pass for an option or an address",
                f'if {self._label} can take it: x-regen-argv = "any" in its params.{name}',
                field=f"params.{name}",
            )


def _timeout_of(table: Mapping[str, Any], label: str) -> float:
    value = table.get("timeout")
    if value is None:
        return DEFAULT_TIMEOUT
    try:
        return float(value) if isinstance(value, int | float) else parse_duration(value)
    except (ValueError, TypeError):
        raise InvalidError(f"{label}: timeout is {value!r}, not a duration as in \"10m\"", field="timeout") from None
