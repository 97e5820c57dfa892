"""`regen-vcs job`: one job in a file, to be run anywhere, and its result brought home."""

from __future__ import annotations

import os
import sys

import click

from regen_vcs.api.results import Result
from regen_vcs.cli.main import one_line
from regen_vcs.cli.making import line_of, say_failure
from regen_vcs.cli.terminal import (
    MakingProgress,
    asset_paths,
    end_as_interrupted,
    note,
    print_json,
    say,
    workspace,
)
from regen_vcs.cli.trust import generator_lines
from regen_vcs.engine.frames import numbers_in
from regen_vcs.engine.job_archive import Archive
from regen_vcs.engine.job_export import export_job
from regen_vcs.engine.job_file import SUFFIX, PortableJob, open_job
from regen_vcs.engine.job_import import import_result
from regen_vcs.engine.job_result import SUFFIX as RESULT_SUFFIX
from regen_vcs.engine.job_running import is_trusted, needs_trust, run_job, trust, write_refusal
from regen_vcs.errors import Interrupted, InvalidError, NotTrusted, RegenError, UsageError, worst_exit_code
from regen_vcs.model.quantities import human_duration, human_size


@click.group("job")
def job_command() -> None:
    """Run one job anywhere: pack it into a file, run that where there is no clone, bring the result home.

    \b
    Example:
      regen-vcs job export shots/020/matte.png        # matte.png.regenjob
      regen-vcs job run matte.png.regenjob            # on any machine: matte.png.regenresult
      regen-vcs job import matte.png.regenresult
    """


@job_command.command("export")
@click.argument("asset", metavar="PATH|KEY")
@click.option("--output", "-o", type=click.Path(), help="The file to write; by default NAME.regenjob here.")
@click.option("--frames", metavar="37-40", help="Only these frames, of a sequence that is made frame by frame.")
@click.option("--json", "as_json", is_flag=True, help="What was written, as JSON.")
def export_command(asset: str, output: str | None, frames: str | None, as_json: bool) -> int:
    """Write the job of an asset to one file, with its inputs and code; of secrets only the names.

    \b
    Example: regen-vcs job export shots/020/matte.png -o /farm/in/matte.regenjob
    """
    with workspace() as ws:
        is_key = len(asset) == 64 and not os.path.lexists(asset)
        wanted = asset if is_key else asset_paths(ws, [asset])[0]
        target = output or os.path.basename(wanted) + SUFFIX
        order = export_job(ws, wanted, target, only_frames=_frames(frames))
    if as_json:
        print_json({"file": target, "path": order.path, "key": order.key, "size": os.path.getsize(target)})
    else:
        say(f"wrote {target}  ({order.path}, {human_size(os.path.getsize(target))})")
    return 0


@job_command.command("run")
@click.argument("file", type=click.Path())
@click.option("--output", "-o", type=click.Path(), help="The file to write; by default NAME.regenresult here.")
@click.option("--trust", "trusted", is_flag=True, help="Run it without asking: for farms, whose jobs are your own.")
def run_command(file: str, output: str | None, trusted: bool) -> int:
    """Run a job file, in any folder, without a repository. Shows what would run, and asks.

    What you allow is noted by hash, so that the next job with the same table and code is not asked about.

    \b
    Example: regen-vcs job run matte.png.regenjob -o /farm/out/matte.regenresult
    """
    end_as_interrupted()
    target = output or os.path.basename(file).removesuffix(SUFFIX) + RESULT_SUFFIX
    with open_job(file) as (job, archive):
        try:
            if not trusted:
                _ask(job)
            return _run(job, archive, target)
        except Interrupted:
            raise
        except RegenError as error:
            write_refusal(target, job, error.what)
            raise


@job_command.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="What became of each, as JSON.")
def import_command(files: tuple[str, ...], as_json: bool) -> int:
    """Check results, file them under their keys, and show them. None is accepted by itself.

    \b
    Example: regen-vcs job import out/*.regenresult
    """
    codes, documents = [], []
    with workspace() as ws:
        for file in files:
            try:
                made = import_result(ws, file)
            except RegenError as error:
                codes.append(error.exit_code if as_json else say_failure(error))
                documents.append({"file": file, **error.to_json()})
                continue
            documents.append({"file": file, "path": made.path, "verdict": made.verdict, "reason": made.error.what if made.error else None})
            if made.verdict == "failed":
                codes.append(1 if as_json else say_failure(made.error))
            elif not as_json:
                say(_imported(made))
    if as_json:
        print_json({"imported": documents})
    return worst_exit_code(codes)


def _frames(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(numbers_in(text)) if text else ()
    except InvalidError as error:
        raise UsageError(f"--frames: {error.what}") from None


def _imported(made) -> str:
    if made.verdict == "filed":
        return f"filed    {made.path}  (kept under its key {made.take.order.key[:12]}…, which no recipe here has now)"
    return line_of(Result.of(made))


def _run(job: PortableJob, archive: Archive, target: str) -> int:
    with MakingProgress(1) as progress:
        result, seconds = run_job(job, archive, target, os.environ, lambda fraction, message: progress(job.path, fraction, message))
        progress.finished(job.path)
    if not result.ok:
        note(f"error: {one_line(job.path)}: {one_line(result.reason)}")
        note(f"  hint: its log is in {one_line(target)}")
        return 1
    say(f"made     {job.path}  (in {human_duration(seconds)}; {target})")
    return 0


def _ask(job: PortableJob) -> None:
    """NotTrusted unless what would run is ours, was allowed before, or is allowed now."""
    if not needs_trust(job) or is_trusted(job, os.environ):
        return
    for line in _what_runs(job):
        note(line)
    if not sys.stdin.isatty():
        raise NotTrusted(f"{job.path}: its job is not trusted, and nobody to ask: this is no terminal",
                         "look at what would run, then: regen-vcs job run --trust FILE")
    if not click.confirm("Let this run on this machine?", err=True):
        raise NotTrusted(f"{job.path}: nothing was run")
    trust(job, os.environ)


def _what_runs(job: PortableJob) -> list[str]:
    lines = [f"{job.path}  (key {job.key[:12]}…)", f"  {job.recipe.generator}"]
    lines += [f"    {line}" for line in generator_lines(job.table, [])]
    lines += [f"    code      {each.name}  ({human_size(each.size)}, blake3:{each.hash[:12]}…)" for each in job.code.values()]
    for role, given in job.inputs.items():
        size = human_size(sum(member.size for member in given.members))
        lines.append(f"    input     {role}: {given.target}  ({size}, blake3:{given.hash[:12]}…)")
    return lines
