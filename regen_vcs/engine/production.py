"""Production: running generators. One order is one recipe at one key; what comes out is a take.

Inputs are taken from the stores or from git's blobs by hash, never from the worktree, and checked against the key;
so a take is filed under the key of the bytes really used, whatever happens to the worktree meanwhile. No lock is
held while a generator runs. Two processes that want the same key: the second waits and takes what the first made.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping

from regen_vcs.engine import frames
from regen_vcs.engine.executors import executor_for
from regen_vcs.engine.job_inputs import JobInputs, job_spec
from regen_vcs.engine.models import models_of_job
from regen_vcs.engine.named_roots import RootAway
from regen_vcs.engine.showing import note_shown
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.take_filing import JobFailed, Order, Take, TakeFiling
from regen_vcs.engine.trust import require_trust
from regen_vcs.errors import Interrupted, RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.client import Result, RunnerClient
from regen_vcs.generators.scratch import Scratch
from regen_vcs.model.facts import facts_of_recipe
from regen_vcs.model.key import compute_key
from regen_vcs.platform.files import FileLock

__all__ = ["JobFailed", "Order", "Producer", "Run", "Take", "make_order"]

# Seconds that leaving waits for a thread to file what its job had made.
_LEAVE = 30.0


def make_order(snapshot: Snapshot, path: str, *, force: str = "", runs_here: bool = True) -> Order:
    """Everything one run needs, resolved now. RegenError where an input is missing, or it is not trusted.

    runs_here: False where it is only packed, for a machine whose user has his own say.
    """
    desired = snapshot.assets[path]
    inputs, definitions = snapshot.inputs, snapshot.definitions
    # Read once: what is run and the key it is filed under follow from one text, whatever git does meanwhile.
    recipe = inputs.recipe_of(desired)
    if recipe.generator is None:
        raise RegenError(f"{path}: a source asset has no recipe to run")
    if definitions.current(recipe.generator) != recipe.definition:
        raise RegenError(f"{path}: blocked: {recipe.generator} is defined differently here", "run: regen-vcs regenerate")
    desired = desired._replace(facts=facts_of_recipe(recipe, path))
    inputs.preload([desired])
    resolved = {}
    for name, target in inputs.targets(desired).items():
        found = inputs.hash_of(target)
        if found is None and target.startswith("@"):
            raise blocked_by_root(path, inputs.roots.problem(target) or RootAway(f"{target}: came back just now"))
        if found is None:
            raise RegenError(f"{path}: blocked: its input {name} ({target}) is missing or pending")
        resolved[name] = (target, found, inputs.oid_of(target))
    if runs_here:
        require_trust(snapshot, desired)
    code = {dest: definitions.code_bytes(source) for dest, (source, _) in definitions.code(recipe.generator).items()}
    key = compute_key(recipe, path, {name: found for name, (_, found, _) in resolved.items()})
    return Order(path, recipe, key, resolved, code, definitions.table(recipe.generator), force)


def blocked_by_root(path: str, problem: RegenError) -> RegenError:
    """The same, told of the asset that needs it."""
    kind = RootAway if isinstance(problem, RootAway) else RegenError
    return kind(f"{path}: blocked: its input {problem.what}", problem.hint)


class Producer:
    """Runs orders in threads, several at once. Use as a context manager: leaving it ends every child process.

    progress(order, fraction, message): called from those threads. run: what an order becomes, a `Run` where none is said.
    """

    def __init__(
        self, environ: Mapping[str, str], *, workers: int = 1, progress: Callable[[Order, float, str], None] | None = None,
        run: type[Run] | None = None,
    ):
        self._environ, self._new_run = environ, run or Run
        self._progress = progress or (lambda *_: None)
        self.workers = max(1, workers)
        self._todo: queue.Queue = queue.Queue()
        self._done: queue.Queue = queue.Queue()
        self._stops: dict[Order, threading.Event] = {}
        self._local = threading.local()
        self._clients: list[RunnerClient] = []
        self._threads: list[threading.Thread] = []
        self._git_lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join(_LEAVE)  # what it has made so far is worth filing

    def cancel(self) -> None:
        """End every job and its process group."""
        self._closed = True
        for stop in list(self._stops.values()):
            stop.set()
        for client in list(self._clients):
            client.cancel()

    def cancel_one(self, order: Order) -> None:
        """End this one: it comes back with Interrupted, its process group gone."""
        stop = self._stops.get(order)
        if stop is not None:
            stop.set()

    def submit(self, order: Order, snapshot: Snapshot) -> None:
        """Run an order as soon as a thread is free. snapshot: the look that it was made from."""
        self._stops[order] = threading.Event()
        if len(self._threads) < min(self.workers, len(self._stops)):
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()
        self._todo.put((order, snapshot))

    def collect(self, seconds: float) -> list[tuple[Order, Take | RegenError]]:
        """What has ended meanwhile; waits up to `seconds` for the first, so that settling many costs once."""
        found = []
        try:
            found.append(self._done.get(timeout=seconds))
            while True:
                found.append(self._done.get_nowait())
        except queue.Empty:
            pass
        for order, _ in found:
            del self._stops[order]
        return found

    # -- one worker thread --------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            order, snapshot = item
            run = self._new_run(self, order, snapshot, self._stops[order])
            try:
                result = run.take()
            except RegenError as error:
                result = error
            except OSError as error:
                result = RegenError(f"{order.path}: {error.strerror or error}")
            except Exception as error:
                result = RegenError(f"{order.path}: internal error: {error!r}")
            self._done.put((order, result))
        client = getattr(self._local, "client", None)
        if client:
            client.close()

    def _client(self) -> RunnerClient:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = RunnerClient(self._environ)
            self._clients.append(client)
        return client


class Run(TakeFiling):
    """One order on its way to a take, in one of the producer's threads."""

    fresh = False  # whether the generator may use what it remembers of earlier runs

    def __init__(self, producer: Producer, order: Order, snapshot: Snapshot, stop: threading.Event):
        super().__init__(snapshot.ws, order)
        self._producer, self._snapshot, self._stop = producer, snapshot, stop

    def take(self) -> Take:
        order = self._order
        self._check_wanted()
        folder = os.path.join(self._ws.repo.common_dir, "regen", "jobs")
        os.makedirs(folder, exist_ok=True)
        lock = FileLock(os.path.join(folder, order.key))
        waited = not lock.acquire(timeout=0)
        if waited:
            self.say(0.0, "another regen-vcs makes it; waiting")
            while not lock.acquire(timeout=0.5):
                self._check_wanted()
        try:
            return self.known_take(order) or self._make(order)
        finally:
            lock.release()  # the empty file stays: removing a lock that somebody waits on lets two in

    def _check_wanted(self) -> None:
        if self._stop.is_set() or self._producer._closed:
            raise Interrupted(f"{self._order.path}: cancelled")

    def say(self, fraction: float, message: str = "") -> None:
        self._producer._progress(self._order, fraction, message)

    def _make(self, order: Order) -> Take:
        generator = registry.load(order.recipe.generator, order.table or None)
        if frames.applies(generator, order):
            return frames.make(self, order, generator)
        parent = os.path.join(self._ws.settings.get("cacheDir"), "scratch")
        with Scratch(parent) as scratch:
            result, seconds, log = self.run_in(scratch, order, generator)
            if not result.ok:
                raise self.failure(result.reason, result.hint, log, result.transient)
            found = self.collect(scratch, log)
            take = self.file_take(order, generator, found, result, seconds, log)
        note_shown(self._ws, order, take)
        return take

    def run_in(
        self, scratch: Scratch, order: Order, generator, say: Callable[[float, str], None] | None = None
    ) -> tuple[Result, float, str | None]:
        """Bring the inputs and run the generator: (how it ended, seconds, hash of its log or None).

        say(fraction, message): told of progress, in place of whoever watches the order.
        """
        self._check_wanted()
        try:
            brought = JobInputs(self._snapshot, order, self._producer._git_lock).place(scratch)
        except RootAway as problem:
            raise blocked_by_root(order.path, problem) from None
        for dest, data in order.code.items():
            scratch.add_code(dest, data)
        started = time.monotonic()
        farm = executor_for(self._ws.settings, order)
        if farm is not None:
            result, seconds = farm.run(order, brought, scratch, self._ws.environ, say or self.say, self._stop.is_set)
        else:
            spec = job_spec(order, scratch, brought, self._models(order, generator), self._ws.environ) | {"fresh": self.fresh}
            result, seconds = self._producer._client().run(spec, say or self.say, self._stop), None
        seconds = time.monotonic() - started if seconds is None else seconds
        return result, seconds, self.store_log(result.log)

    def _models(self, order: Order, generator) -> dict[str, dict]:
        """What the runner is told of the recipe's models. Only the user's own verbs may download one."""
        def read(count: int) -> None:
            self._check_wanted()
            self.say(0.0, "reading its models")

        return models_of_job(self._ws, order.recipe, generator, attended=self._snapshot.inputs.from_disk, on_bytes=read)
