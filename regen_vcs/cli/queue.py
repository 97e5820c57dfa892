"""`regen-vcs queue`: what is to be made, what is being made, and what became of it."""

from __future__ import annotations

import click

from regen_vcs.cli import queue_list
from regen_vcs.cli.terminal import chosen_by, print_json, say, workspace
from regen_vcs.engine.queue import (
    BLOCKED,
    CANCELLED,
    FAILED,
    OPEN,
    PRIORITIES,
    QUEUED,
    Job,
    Queue,
    liveness,
    newest,
)
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import UsageError

_PRIORITY_WORDS = {number: word for word, number in PRIORITIES.items()}
_DONE_TO = {"queue cancel": "cancelled", "queue retry": "retried", "queue prioritize": "moved"}


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
        with Queue(ws.repo.shared_dir) as queue:
            queue.reclaim(liveness(ws.repo.shared_dir))
            jobs = newest(queue.jobs()) if as_json else []
    if as_json:
        print_json({"jobs": [_document(job) for job in jobs]})
        return 0
    return queue_list.main(["--all"] if everything else [])


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
    if paths and not found:
        raise UsageError(f"no job that could be {_DONE_TO[command]} matches {' '.join(paths)}", "see: regen-vcs queue --all")
    return found


def _document(job: Job) -> dict:
    hidden = ("grp", "downstream", "request", "waits", "owner", "lease", "cancel", "crashes", "force", "paid", "by_user")
    document = {name: value for name, value in job._asdict().items() if name not in hidden}
    return document | {"group": job.grp, "priority": _PRIORITY_WORDS.get(job.priority, str(job.priority)),
                       "waits_for": job.waits, "forced": bool(job.force), "paid": bool(job.paid), "by_user": bool(job.by_user)}
