"""`command`: any program, by an argv template in regen.toml. No shell, ever.

The program runs in the scratch folder with an allow-listed environment, in a process group of its own. What it
may run is the user's consent (engine/trust.py), not a sandbox: docs/security.md.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.generators.base import Job, JobFailed, ProgramFailed
from regen_vcs.generators.programs import program_identity
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.generator_table import check_argv, check_code_glob, check_env_names
from regen_vcs.model.quantities import human_duration, parse_duration
from regen_vcs.model.schema import (
    MAX_EXACT_INTEGER,
    OpenParams,
    check_schema,
    near_miss,
    object_schema,
    validate_schema,
)
from regen_vcs.platform.processes import has_ended, kill_group, start_group

DEFAULT_TIMEOUT = 3600.0
_GRACE = 1.0
_POLL = 0.01
_DECIMAL = re.compile(r"-?[1-9][0-9]{15,39}\Z")
# EX_TEMPFAIL of sysexits.h: "try again later".
_TEMPORARY_FAILURE = 75
_KEYS = frozenset({"uses", "argv", "code", "timeout", "env", "paid", "cost", "params"})
# Set for every command, so a table cannot have the user's own.
_OWN = frozenset({"HOME", "TMPDIR", "TEMP", "TMP", "PATH"})
# Of the user's environment a command sees these, and what its table names.
_ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "WINDIR", "PATHEXT", "COMSPEC", "NUMBER_OF_PROCESSORS")


class Command:
    """One configured command: `[generators.NAME] uses = "command"`."""

    name = "command"
    Params = OpenParams
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
                "command runs a program of yours, and needs its name", 'define [generators.NAME] in regen.toml, and say "command:NAME"'
            )
        _check_table(table, f"generators.{alias}")
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

    def conditions(self) -> dict[str, str]:
        """Which program it would start now. What that program loads is its own affair."""
        return {"program": program_identity(self._table["argv"][0])}

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
            reason = f"{os.path.basename(argv[0])} ended with {_how(proc.returncode)}"
            raise ProgramFailed(reason, transient=proc.returncode == _TEMPORARY_FAILURE)

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
        # A relative entry of PATH would be looked for in the scratch folder, which the job's code can fill.
        env["PATH"] = os.pathsep.join(part for part in env.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(part))
        asked = {name: value for name, value in job.env.items() if name not in _OWN}
        return env | {"HOME": home, "TMPDIR": home, "TEMP": home, "TMP": home} | asked

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
        field = f"params.{name}"
        if isinstance(value, str) and "\0" in value:
            raise InvalidError(f"{field}: holds a NUL character", field=field)
        prop = (self._table.get("params") or {}).get(name)
        if isinstance(prop, dict) and prop.get("x-regen-argv") == "any":
            return
        option = isinstance(value, str) and value.startswith("-") and not _is_big_integer(value)
        address = next((text for text in _strings(value) if "://" in text), None)
        if option or address is not None:
            shown = value if option else address
            raise InvalidError(
                f"{field}: {shown[:60]!r} could pass for an option or an address",
                f'if {self._label} can take it: x-regen-argv = "any" in its params.{name}',
                field=field,
            )


def _check_table(table: Mapping[str, Any], where: str) -> None:
    """InvalidError, naming the field, where a table is not a command's."""
    for key in table:
        if key not in _KEYS:
            raise InvalidError(f"[{where}]: {key} means nothing to a command", near_miss(key, _KEYS), field=f"{where}.{key}")
    code = table.get("code", [])
    if not isinstance(code, list):
        raise InvalidError(f"[{where}]: code is a list of paths or globs", field=f"{where}.code")
    checks = [("argv", check_argv, table.get("argv")), ("env", check_env_names, table.get("env", []))]
    checks += [("code", check_code_glob, glob) for glob in code]
    for key, check, value in checks:
        try:
            check(value)
        except InvalidError as error:
            raise InvalidError(f"[{where}]: {error.what}", error.hint, field=f"{where}.{key}") from None
    params = table.get("params")
    if params is None:
        return
    if not isinstance(params, Mapping):
        raise InvalidError(f"[{where}]: params is a table of JSON Schema properties", field=f"{where}.params")
    check_schema(object_schema(params), f"{where}.params")
    for part in table["argv"]:
        name = part[len("{params.") : -1] if part.startswith("{params.") else None
        if name is not None and name not in params:
            known = near_miss(name, params) or f"define it in [{where}.params]"
            raise InvalidError(f"[{where}]: argv names {part}, which params does not define", known, field=f"{where}.argv")


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _strings(item)


def _is_big_integer(text: str) -> bool:
    """Whether a string is how recipes spell an integer that a double cannot hold: a number, whatever its sign."""
    return bool(_DECIMAL.match(text)) and abs(int(text)) > MAX_EXACT_INTEGER


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _timeout_of(table: Mapping[str, Any], label: str) -> float:
    """Seconds; InvalidError where it is no duration that a run can end in."""
    value = table.get("timeout")
    if value is None:
        return DEFAULT_TIMEOUT
    try:
        seconds = parse_duration(value) if isinstance(value, str) else 0.0
    except RegenError:
        seconds = 0.0
    if seconds <= 0:
        where = f"generators.{label.partition(':')[2]}.timeout"
        raise InvalidError(f'{where}: {value!r} is not a duration such as "10m"', field=where)
    return seconds
