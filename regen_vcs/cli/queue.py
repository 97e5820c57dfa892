"""`regen-vcs queue`: what is to be made, what is being made, and what became of it."""

from __future__ import annotations

import os
import sys

import click

from regen_vcs.cli.main import one_line
from regen_vcs.cli.terminal import chosen_by, note, print_json, require_matches, say, workspace
from regen_vcs.engine.queue import (
    BLOCKED,
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    OPEN,
    PRIORITIES,
    QUEUED,
    RUNNING,
    Job,
    Queue,
    liveness,
    newest,
)
from regen_vcs.engine.queue_file import has_queue
from regen_vcs.engine.scheduling import seconds_left
from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.quantities import human_duration

_COLOURS = {RUNNING: "34", QUEUED: "36", BLOCKED: "33", FAILED: "31;1", CANCELLED: "2", DONE: "32"}
_SCREENFUL = 200
_PRIORITY_WORDS = {number: word for word, number in PRIORITIES.items()}


@click.group("queue", invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Also what has ended well.")
@click.option("--follow", "-f", is_flag=True, help="Stay and show how it goes, until nothing is left.")
@click.option("--json", "as_json", is_flag=True, help="Every job with all that is known of it.")
@click.pass_context
def queue_command(ctx: click.Context, everything: bool, follow: bool, as_json: bool) -> int | None:
    """Show the regenerations that are queued, running, blocked or failed.

    Jobs are grouped by generator and models, so that a model loads once; dependencies come first. They survive ^C,
    a reboot and a killed worker. A checkout that misses more than it can make in `checkout.wait` leaves it here and
    starts a worker in the background; `regen-vcs worker` works in the foreground.

    \b
    Examples:
      regen-vcs queue --follow
      regen-vcs queue cancel shots/020
      regen-vcs queue retry
    """
    if ctx.invoked_subcommand:
        return None
    with workspace() as ws:
        if follow:
            from regen_vcs.cli.queue_follow import follow_queue

            return follow_queue(ws)
        jobs = _jobs(ws)
        if as_json:
            print_json({"jobs": [_document(job) for job in jobs]})
            return 0
        _print(jobs, everything)
    return 0


@queue_command.command("cancel")
@click.argument("paths", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every job.")
def cancel_command(paths: tuple[str, ...], everything: bool) -> int:
    """Take jobs out of the queue; running ones are stopped, with every process they have started."""
    with workspace() as ws, Queue(ws.repo.shared_dir) as queue:
        at_once, asked = queue.cancel(_chosen(ws, queue, OPEN, paths, everything, "queue cancel"))
    say(f"{at_once} cancelled" + (f", {asked} told to stop" if asked else ""))
    return 0


@queue_command.command("retry")
@click.argument("paths", nargs=-1)
def retry_command(paths: tuple[str, ...]) -> int:
    """Queue what failed, was cancelled or is blocked again: PATHS, or all that failed. A worker is started."""
    from regen_vcs.engine.background import start_worker

    with workspace() as ws:
        with Queue(ws.repo.shared_dir) as queue:
            states = (FAILED, BLOCKED, CANCELLED) if paths else (FAILED,)
            count = queue.retry(_chosen(ws, queue, states, paths, True, "queue retry"))
        if count and ws.settings.get("checkout.background"):
            start_worker(ws)
    say(f"{count} queued again")
    return 0


@queue_command.command("prioritize")
@click.argument("paths", nargs=-1, required=True)
@click.option("--priority", type=click.Choice(list(PRIORITIES)), default="user", show_default=True, help="Before whom they come.")
def prioritize_command(paths: tuple[str, ...], priority: str) -> int:
    """Make PATHS, and what they are made from, before (or after) the rest."""
    with workspace() as ws, Queue(ws.repo.shared_dir) as queue:
        count = queue.prioritize(_chosen(ws, queue, (QUEUED, BLOCKED), paths, False, "queue prioritize"), PRIORITIES[priority])
    say(f"{count} moved")
    return 0


@queue_command.command("clear")
def clear_command() -> int:
    """Forget the jobs that have ended. Takes, logs and recipes stay."""
    with workspace() as ws, Queue(ws.repo.shared_dir) as queue:
        say(f"{queue.clear()} forgotten")
    return 0


def _chosen(ws: Workspace, queue: Queue, states, paths: tuple[str, ...], everything: bool, command: str) -> list[int]:
    if not paths and not everything:
        raise click.UsageError(f"say which: regen-vcs {command} PATHS, or --all")
    wanted = chosen_by(ws, paths)
    jobs = newest(queue.jobs(states, worktree=ws.root if paths else None))
    found = [job.id for job in jobs if wanted(job.path)]
    require_matches(paths, found)
    return found


def _jobs(ws: Workspace) -> list[Job]:
    """The newest of each asset; those of a worker that has died wait again."""
    if not has_queue(ws.repo.shared_dir):
        return []
    with Queue(ws.repo.shared_dir) as queue:
        jobs = queue.jobs((*OPEN, *ENDED))
        is_alive = liveness(ws.repo.shared_dir)
        if any(not is_alive(owner, lease) for owner, lease in {(job.owner, job.lease) for job in jobs if job.state == RUNNING}):
            queue.reclaim(is_alive)
            jobs = queue.jobs((*OPEN, *ENDED))
    return newest(jobs)


def _document(job: Job) -> dict:
    hidden = ("grp", "downstream", "request", "waits", "owner", "lease", "cancel", "crashes", "force", "paid")
    document = {name: value for name, value in job._asdict().items() if name not in hidden}
    return document | {"group": job.grp, "priority": _PRIORITY_WORDS.get(job.priority, str(job.priority)),
                       "waits_for": job.waits, "forced": bool(job.force), "paid": bool(job.paid)}


def _print(jobs: list[Job], everything: bool) -> None:
    shown = [job for job in jobs if everything or job.state != DONE]
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    limit = _SCREENFUL if sys.stdout.isatty() else len(shown)
    lines = [line_of_job(job, colour) for job in shown[:limit]]
    if len(shown) > limit:
        lines.append(f"… and {len(shown) - limit} more")
    print("\n".join([*lines, summary(jobs)]))
    if any(job.state == QUEUED and not job.request for job in jobs) and not any(job.state == RUNNING for job in jobs):
        note("nobody works on it now; run: regen-vcs worker")


def line_of_job(job: Job, colour: bool) -> str:
    word = f"{job.state:<9}"
    if colour:
        word = f"\x1b[{_COLOURS[job.state]}m{word}\x1b[0m"
    told = [part for part in _remarks(job) if part]
    return f"{word} {one_line(job.path)}" + (f"  ({one_line(', '.join(told))})" if told else "")


def _remarks(job: Job) -> list[str]:
    if job.state == RUNNING:
        return [f"{job.progress:.0%}", job.message]
    if job.state == QUEUED:
        waits = f"waits for {job.waits}" if job.waits else ""
        about = f"about {human_duration(job.estimate)}" if job.estimate is not None else "time unknown"
        return [about, waits, job.reason and f"tried {job.attempts} times: {job.reason}"]
    if job.state == DONE:
        return [job.verdict, human_duration(job.seconds) if job.seconds else ""]
    return [job.reason]


def summary(jobs: list[Job]) -> str:
    """`12 jobs: 2 running, 9 queued, 1 failed; about 4 min left`."""
    if not jobs:
        return "the queue is empty"
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.state] = counts.get(job.state, 0) + 1
    parts = [f"{counts[state]} {state}" for state in (RUNNING, QUEUED, BLOCKED, FAILED, CANCELLED, DONE) if state in counts]
    text = f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}: {', '.join(parts)}"
    left = [job for job in jobs if job.state in (QUEUED, RUNNING)]
    spent = sum(job.cost or 0.0 for job in jobs if job.state == DONE)
    if left:
        text += f"; {time_left(left)}"
    return text + (f"; ${spent:.2f} spent" if spent else "")


def time_left(jobs: list[Job]) -> str:
    """How long these will take, as far as earlier takes tell."""
    running = sum(job.state == RUNNING for job in jobs)
    estimates = [None if job.estimate is None else job.estimate * (1.0 - job.progress) for job in jobs]
    seconds, sure = seconds_left(estimates, max(1, running))
    if not seconds:
        return "time unknown" if not sure else "done in a moment"
    return f"about {human_duration(seconds)} left" + ("" if sure else " and more")
