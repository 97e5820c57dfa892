"""What `regen-vcs queue` lists. Quick: no click on its way, and of ten thousand jobs only what a line tells."""

from __future__ import annotations

import os
import sys

from regen_vcs.cli.main import one_line
from regen_vcs.engine.queue import (
    BLOCKED,
    CANCELLED,
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    Listed,
    Queue,
    liveness,
    newest,
)
from regen_vcs.engine.queue_file import has_queue
from regen_vcs.engine.scheduling import seconds_left
from regen_vcs.git.repo import Repo
from regen_vcs.model.quantities import human_duration

_COLOURS = {RUNNING: "34", QUEUED: "36", BLOCKED: "33", FAILED: "31;1", CANCELLED: "2", DONE: "32"}
_SCREENFUL = 200


def main(words: list[str]) -> int:
    """`regen-vcs queue [--all]`."""
    folder = Repo.discover(os.getcwd(), os.environ).shared_dir
    jobs = _listed(folder) if has_queue(folder) else []
    _print(jobs, "--all" in words)
    return 0


def _listed(folder: str) -> list[Listed]:
    """The newest of each asset; those of a worker that has died wait again."""
    with Queue(folder) as queue:
        jobs = queue.listing()
        is_alive = liveness(folder)
        if any(not is_alive(owner, lease) for owner, lease in {(job.owner, job.lease) for job in jobs if job.state == RUNNING}):
            queue.reclaim(is_alive)
            jobs = queue.listing()
    return newest(jobs)


def _print(jobs: list[Listed], everything: bool) -> None:
    shown = [job for job in jobs if everything or job.state != DONE]
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    limit = _SCREENFUL if sys.stdout.isatty() else len(shown)
    lines = [line_of_job(job, colour) for job in shown[:limit]]
    if len(shown) > limit:
        lines.append(f"… and {len(shown) - limit} more")
    print("\n".join([*lines, summary(jobs)]))
    if any(job.state == QUEUED and not job.request for job in jobs) and not any(job.state == RUNNING for job in jobs):
        print("nobody works on it now; run: regen-vcs worker", file=sys.stderr)


def line_of_job(job: Listed, colour: bool) -> str:
    word = f"{job.state:<9}"
    if colour:
        word = f"\x1b[{_COLOURS[job.state]}m{word}\x1b[0m"
    told = [part for part in _remarks(job) if part]
    return f"{word} {one_line(job.path)}" + (f"  ({one_line(', '.join(told))})" if told else "")


def _remarks(job: Listed) -> list[str]:
    if job.state == RUNNING:
        return [f"{job.progress:.0%}", job.message]
    if job.state == QUEUED:
        waits = f"waits for {job.waits}" if job.waits else ""
        about = f"about {human_duration(job.estimate)}" if job.estimate is not None else "time unknown"
        return [about, waits, job.reason and f"tried {job.attempts} times: {job.reason}"]
    if job.state == DONE:
        return [job.verdict, human_duration(job.seconds) if job.seconds else ""]
    return [job.reason]


def summary(jobs: list[Listed]) -> str:
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


def time_left(jobs: list[Listed]) -> str:
    """How long these will take, as far as earlier takes tell."""
    running = sum(job.state == RUNNING for job in jobs)
    estimates = [None if job.estimate is None else job.estimate * (1.0 - job.progress) for job in jobs]
    seconds, sure = seconds_left(estimates, max(1, running))
    if not seconds:
        return "time unknown" if not sure else "done in a moment"
    return f"about {human_duration(seconds)} left" + ("" if sure else " and more")
