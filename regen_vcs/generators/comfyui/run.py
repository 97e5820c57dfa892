"""One job on one server after another, until its files are here.

Submitted under an id of our own, so that a lost answer loses nothing. The WebSocket says when to look; what counts is
/history. A prompt that neither history nor queue knows any more was lost with its server's memory (a restart) and is
submitted again, a bounded number of times.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.comfyui import failures
from regen_vcs.generators.comfyui.client import FileGone, Refused, Server, Unreachable, choices_among
from regen_vcs.generators.comfyui.events import Event, Events
from regen_vcs.generators.comfyui.graph import Graph, ModelUse
from regen_vcs.generators.comfyui.outputs import made_files, target_paths
from regen_vcs.generators.comfyui.progress import Progress
from regen_vcs.generators.comfyui.servers import Pool, environment_of
from regen_vcs.generators.comfyui.table import Table
from regen_vcs.generators.comfyui.withdrawal import Withdrawal
from regen_vcs.model.quantities import human_duration

_ENDS = frozenset(("execution_success", "execution_error", "execution_interrupted"))
# Seconds between looks at /history: after an event that says it is over, while no socket helps, and otherwise.
_POLL_AT_END, _POLL_ALONE, _POLL = 0.02, 0.25, 1.0
_POLL_QUEUE = 1.0
_LISTEN = 0.1  # seconds; how late a cancel may be noticed
_SOCKET_WAIT = 2.0
_FORGETTING = 0.5  # seconds a server has to empty its memory; it does so between two prompts


# {absolute path: name on the server} → the graph with these names in it.
BindUploads = Callable[[Mapping[str, str]], Graph]


class Patience(NamedTuple):
    """How long a job bears with its servers. away: seconds that the only server may not answer, after it has taken the
    job; away_of_several: the same where another can take over; submissions: how often a lost prompt is submitted."""

    away: float = 120.0
    away_of_several: float = 15.0
    submissions: int = 4


class Lost(Exception):
    """A prompt that will not come to an end where it was: its server has forgotten it, or is gone."""

    def __init__(self, failure: JobFailed, *, gone: bool = False):
        super().__init__(failure.what)
        self.failure, self.gone = failure, gone


class Run:
    """graph: with everything bound, its inputs by the names they are uploaded as. `environment`: of the server, afterwards."""

    def __init__(self, job: Job, table: Table, graph: Graph, pool: Pool, patience: Patience, headers: Mapping[str, str]):
        self._job, self._table, self._pool, self._patience, self._headers = job, table, pool, patience, headers
        self._graph = graph
        self._progress = Progress(job, graph)
        self._deadline = time.monotonic() + table.timeout
        self._client_id = uuid.uuid4().hex
        self._gone: set[str] = set()
        self.environment: dict[str, str] = {}

    def make(self, uploads: Mapping[str, str], bind_uploads: BindUploads) -> None:
        """Write job.output. uploads: {path of an input: name to upload it as}."""
        for attempt in range(1, self._patience.submissions + 1):
            url = self._pool.choose(self._graph, self._headers, frozenset(self._gone))
            server = Server(url, self._headers)
            try:
                self._make_on(server, uploads, bind_uploads)
                return
            except Lost as lost:
                last = attempt == self._patience.submissions
                if last or (lost.gone and len(self._table.servers) == 1):
                    raise lost.failure from None
                if lost.gone:
                    self._gone.add(url)
                self._job.log(f"{lost.failure.what}; submitting it again")
                self._progress.restart()
            finally:
                server.close()

    def _make_on(self, server: Server, uploads: Mapping[str, str], bind_uploads: BindUploads) -> None:
        with Events(server.url, self._client_id, self._headers) as events, Withdrawal(self._job) as withdrawal:
            graph = bind_uploads(self._uploaded(server, uploads))
            try:
                self._make_files(server, events, withdrawal, graph, "")
            except FileGone as error:
                # Its cache told of files from before, which somebody has removed since. Another name has them saved again.
                self._job.log(f"{error.what}; running it again under another name")
                self._progress.restart()
                self._make_files(server, events, withdrawal, graph, "-again")

    def _make_files(self, server: Server, events: Events, withdrawal: Withdrawal, graph: Graph, ending: str) -> None:
        # The same on every run of the same graph: the files' bytes hold it.
        named = graph.with_prefix(f"regen/{self._graph.digest()[:20]}{ending}")
        events.wait_until_up(_SOCKET_WAIT)
        drops, prompt_id = events.drops, str(uuid.uuid4())
        if self._job.fresh:
            server.forget_results()
            time.sleep(_FORGETTING)
        withdrawal.watch(server, prompt_id)
        self._submit(server, named, prompt_id)
        entry = self._follow(server, events, prompt_id, drops)
        withdrawal.forget()
        failure = failures.failed_run(server.url, named, entry, self._job.log)
        if failure is not None:
            raise failure
        if self._job.fresh and failures.cached_nodes(entry):
            raise JobFailed(f"{server.url} took parts of it from its memory, which shows nothing", transient=True)
        self._pool.used(server.url, named)
        self._fetch(server, named, entry, is_rerun=bool(ending))
        try:
            self.environment = environment_of(server)
        except JobFailed:
            self.environment = {}  # it does not tell

    # -- submitting ----------------------------------------------------------------------------------------------

    def _uploaded(self, server: Server, uploads: Mapping[str, str]) -> dict[str, str]:
        """{path: what the server calls it}."""
        found = {}
        for path, name in uploads.items():
            self._check()
            self._progress.say("uploading its inputs")
            try:
                found[path] = server.upload(path, name)
            except Refused as error:
                if error.status != 413:
                    raise
                raise self._too_big(server, path) from None
            except Unreachable as error:
                raise Lost(error, gone=True) from None
        return found

    def _too_big(self, server: Server, path: str) -> JobFailed:
        try:
            limit = server.max_upload_size()
        except JobFailed:
            limit = None
        most = f", which takes {limit} at most" if limit else ""
        return JobFailed(
            f"{os.path.basename(path)} has {os.path.getsize(path)} bytes: too many for the server {server.url}{most}",
            "start it with a larger --max-upload-size",
        )

    def _submit(self, server: Server, graph: Graph, prompt_id: str) -> None:
        """JobFailed where the server does not take it. Where the answer is lost, following finds out what became of it."""
        self._check()
        self._progress.say(f"submitting to {server.url}")
        self._job.log(f"{server.url}: prompt {prompt_id}")

        def choices(use: ModelUse) -> list[str]:
            try:
                return choices_among(server.node_inputs(use.loader), use.place.field) or []
            except JobFailed:
                return []

        try:
            answer = server.submit(graph.nodes, prompt_id, self._client_id)
        except Unreachable as error:
            self._job.log(f"{error.what}; whether it took the prompt is not known yet")
            return
        except Refused as error:
            raise failures.refused_submission(server.url, graph, error, choices) from None
        # 200, and yet a part of the graph was dropped: what is left would make something else than was asked for.
        failure = failures.node_errors(server.url, graph, answer.get("node_errors"), choices)
        if failure is not None:
            raise failure

    # -- following -----------------------------------------------------------------------------------------------

    def _follow(self, server: Server, events: Events, prompt_id: str, drops: int) -> dict[str, Any]:
        """The history entry of a prompt that has ended, well or not. Lost where it never will."""
        started = time.monotonic()
        watch = _Watch(started)
        while True:
            self._check()
            event = events.next(min(_LISTEN, max(watch.next_poll - time.monotonic(), 0.0)))
            now = time.monotonic()
            if event is not None and event.data.get("prompt_id") == prompt_id:
                self._note(event, watch, now)
            if now < watch.next_poll:
                continue
            try:
                entry = server.history(prompt_id)
                if entry is None and now >= watch.next_queue:
                    entry = self._look_in_queue(server, events, prompt_id, drops, watch.ended)
                    watch.next_queue = now + _POLL_QUEUE
                watch.answered = now
            except Unreachable as error:
                self._bear(server, error, now - watch.answered)
                entry = None
            if entry is not None:
                return entry
            watch.poll_again(time.monotonic(), events.is_up)

    def _note(self, event: Event, watch: _Watch, now: float) -> None:
        self._progress.note(event)
        if event.kind in _ENDS:
            watch.ended = True
            watch.next_poll = now

    def _look_in_queue(
        self, server: Server, events: Events, prompt_id: str, drops: int, ended: bool
    ) -> dict[str, Any] | None:
        """The history entry, where it has come meanwhile; None while the prompt waits or runs."""
        running, pending = server.queue()
        if any(each == prompt_id for each, _ in running):
            return None
        waiting = [each for each, _ in pending]
        if prompt_id in waiting:
            self._progress.waiting(server.url, len(running) + waiting.index(prompt_id))
            return None
        entry = server.history(prompt_id)
        if entry is not None:
            return entry
        # A socket that has been up all the time means that the same process has simply no such prompt any more.
        if ended or events.drops > drops or not events.is_alive(_SOCKET_WAIT):
            what = f"the server {server.url} was restarted and does not know the prompt any more"
            raise Lost(JobFailed(what, transient=True))
        raise JobFailed(f"somebody removed it from the queue of the server {server.url}")

    def _bear(self, server: Server, error: Unreachable, seconds: float) -> None:
        several = len(self._table.servers) - len(self._gone) > 1
        limit = self._patience.away_of_several if several else self._patience.away
        if seconds > limit:
            what = f"the server {server.url} went away and did not come back within {human_duration(limit)} ({error.what})"
            raise Lost(JobFailed(what, transient=True), gone=True)
        self._progress.say(f"{server.url} does not answer; waiting for it")

    def _check(self) -> None:
        self._job.check_cancelled()
        if time.monotonic() > self._deadline:
            raise JobFailed(f"took longer than its timeout of {human_duration(self._table.timeout)}")

    # -- what came out -------------------------------------------------------------------------------------------

    def _fetch(self, server: Server, graph: Graph, entry: Mapping[str, Any], *, is_rerun: bool) -> None:
        files = made_files(entry)
        if not files and not is_rerun and not entry.get("outputs"):
            raise FileGone(f"{server.url} tells of no outputs")  # some versions leave out what was cached
        targets = target_paths(self._job, graph, files)
        for number, (file, path) in enumerate(targets):
            self._progress.fetching(number / len(targets))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._download(server, file.query, path)
        self._progress.fetching(1.0)

    def _download(self, server: Server, query: Mapping[str, str], path: str) -> None:
        """Files outlive a restart of their server, so that is waited for here too."""
        since = time.monotonic()
        while True:
            try:
                server.download(query, path, self._check)
                return
            except Unreachable as error:
                self._bear(server, error, time.monotonic() - since)
            time.sleep(_POLL_ALONE)
            self._check()


class _Watch:
    """When to look next, and since when nobody answers."""

    def __init__(self, now: float):
        self.answered = now
        self.ended = False
        self.next_poll = now + _POLL_AT_END
        self.next_queue = now + _POLL_ALONE

    def poll_again(self, now: float, socket_is_up: bool) -> None:
        self.next_poll = now + (_POLL_AT_END if self.ended else _POLL if socket_is_up else _POLL_ALONE)
