"""Executors: a program of the user's that runs jobs elsewhere, in place of a child process here.

It is given a job file and the place where its result file has to be when it ends. Whatever it is (sbatch --wait, a
script that asks Deadline, ssh), what it brings back is checked as an imported result is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping

from regen_vcs.engine.config import Settings
from regen_vcs.engine.job_file import SUFFIX as JOB_SUFFIX
from regen_vcs.engine.job_file import write_job
from regen_vcs.engine.job_inputs import Brought
from regen_vcs.engine.job_result import SUFFIX as RESULT_SUFFIX
from regen_vcs.engine.job_result import open_result, unpack_result
from regen_vcs.engine.take_filing import Order
from regen_vcs.errors import Interrupted, InvalidError, RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.client import Blotter, Result, last_line, timeout_of
from regen_vcs.generators.scratch import Scratch
from regen_vcs.model.quantities import human_duration
from regen_vcs.platform.processes import Finished, run_group

_GRACE = 1.0  # seconds it has to leave by itself: a cancelled job is gone within two
_KEEP_LOG = 2 << 20
# EX_TEMPFAIL of sysexits.h: "try again later".
_TEMPORARY_FAILURE = 75


def executor_for(settings: Settings, order: Order) -> Executor | None:
    """Who runs this order elsewhere; None where it runs here. What is exact and ours is quicker made than sent."""
    argv = settings.get("executor")
    return Executor(argv) if argv and not registry.is_exact_built_in(order.recipe.generator) else None


class Executor:
    """argv: a template; `{job}`, `{result}`, `{key}` and `{name}` are whole elements, and there is no shell."""

    def __init__(self, argv: tuple[str, ...]):
        self._argv = argv

    def run(
        self, order: Order, brought: Mapping[str, Brought], scratch: Scratch, environ: Mapping[str, str],
        say: Callable[[float, str], None], cancelled: Callable[[], bool],
    ) -> tuple[Result, float | None]:
        """(how it ended, the seconds the run itself took where that is known). The files lie in the scratch folder.

        Interrupted where it was cancelled: then its process group is gone.
        """
        base = os.path.basename(order.path)
        job_path, result_path = (os.path.join(scratch.root, base + suffix) for suffix in (JOB_SUFFIX, RESULT_SUFFIX))
        write_job(job_path, order, brought)
        named = {"{job}": job_path, "{result}": result_path, "{key}": order.key, "{name}": base}
        argv = [named.get(part, part) for part in self._argv]
        program = os.path.basename(argv[0])
        say(0.0, f"given to {program}")
        limit = timeout_of(order.table)
        done = run_group(
            argv, cwd=scratch.root, env=_environ(environ), timeout=limit, grace=_GRACE, cancelled=cancelled, keep_bytes=_KEEP_LOG
        )
        if done.cancelled:
            raise Interrupted("cancelled")
        blot = Blotter(environ[name] for name in order.table.get("env", ()) if name in environ)
        log = blot.data(done.output)
        if done.timed_out:
            return _failed(f"took longer than its timeout of {human_duration(limit)}", log), None
        if not os.path.lexists(result_path):
            return _without_result(done, program, log), None
        result, seconds = _brought_back(result_path, order, scratch)
        reason = None if result.reason is None else blot.text(result.reason)
        return result._replace(reason=reason, log=blot.data(result.log) or log), seconds


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's own, for it is his program; but git's variables are about the command that is under way."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_") and name != "REGEN_ACTIVE"}
    # A relative entry of PATH would be looked for in the scratch folder, which a job's code can fill.
    path = kept.get("PATH", os.defpath).split(os.pathsep)
    return kept | {"PATH": os.pathsep.join(part for part in path if os.path.isabs(part))}


def _failed(reason: str, log: bytes, *, transient: bool = False) -> Result:
    return Result(False, reason, log, {}, "", transient)


def _without_result(done: Finished, program: str, log: bytes) -> Result:
    if done.code == 0:
        return _failed(f"{program} ended well but brought no result{last_line(log)}", log)
    how = f"exit code {done.code}" if done.code > 0 else f"signal {-done.code}"
    return _failed(f"{program} ended with {how} and brought no result{last_line(log)}", log, transient=done.code == _TEMPORARY_FAILURE)


def _brought_back(path: str, order: Order, scratch: Scratch) -> tuple[Result, float | None]:
    """Check a result, and put its files where the generator would have written them."""
    try:
        with open_result(path) as (found, archive):
            if found.job.key != order.key:
                raise InvalidError(f"it is of another job ({found.job.path}, key {found.job.key[:12]}…)")
            unpack_result(found, archive, scratch, order.path)
    except (RegenError, OSError) as error:
        folder = os.path.dirname(scratch.output_path(order.path))
        shutil.rmtree(folder, ignore_errors=True)  # of what is damaged nothing is taken
        os.mkdir(folder)
        what = error.what.removeprefix(f"{path}: ") if isinstance(error, RegenError) else error.strerror or str(error)
        return _failed(f"the result that was brought back cannot be used: {what}", b""), None
    return found.result, found.seconds
