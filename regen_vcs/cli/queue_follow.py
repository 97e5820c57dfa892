"""`regen-vcs queue --follow`: live, on a terminal as bars, in a pipe as a line for each thing that happens."""

from __future__ import annotations

import sys
import time

from regen_vcs.cli.main import printable
from regen_vcs.cli.queue_list import line_of_job, summary, time_left
from regen_vcs.cli.terminal import MakingProgress, note, say
from regen_vcs.engine.queue import ENDED, FAILED, OPEN, QUEUED, RUNNING, Job, Queue, liveness, newest
from regen_vcs.engine.workspace import Workspace

_POLL = 0.25
_PATIENCE = 3.0  # seconds in which somebody should have begun


def follow_queue(ws: Workspace) -> int:
    """Show the queue until nothing is left that could run; exit code 1 if something failed meanwhile."""
    folder = ws.repo.shared_dir
    with Queue(folder) as queue:
        ended_before = {job.id for job in queue.jobs(ENDED)}
        jobs = queue.jobs(OPEN)
        told: set[int] = set()
        failed = 0
        warned_at = time.monotonic() + _PATIENCE
        with MakingProgress(len(jobs)) as progress:
            while True:
                queue.reclaim(liveness(folder))
                jobs = queue.jobs(OPEN)
                for job in queue.jobs(ENDED):
                    if job.id not in ended_before and job.id not in told:
                        told.add(job.id)
                        failed += job.state == FAILED
                        progress.finished(job.path)
                        progress.say(line_of_job(job, False))
                for job in jobs:
                    if job.state == RUNNING:
                        progress(job.path, job.progress, job.message)
                progress.expect(len(jobs) + len(told), time_left([job for job in jobs if job.state in (QUEUED, RUNNING)]))
                if not any(job.state in (QUEUED, RUNNING) for job in jobs):
                    break
                if not _somebody_works(jobs) and time.monotonic() > warned_at:
                    note("nobody works on the queue now; in another terminal: regen-vcs worker")
                    warned_at = float("inf")
                time.sleep(_POLL)
        rest = newest([job for job in queue.jobs((*OPEN, *ENDED)) if job.id in told or job.state in OPEN])
    if sys.stdout.isatty() or rest:
        say(printable(summary(rest)))
    return 1 if failed else 0


def _somebody_works(jobs: list[Job]) -> bool:
    return any(job.state == RUNNING or job.request for job in jobs)
