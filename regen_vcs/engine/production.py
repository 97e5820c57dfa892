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
from collections import namedtuple
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from regen_vcs import media
from regen_vcs.engine import frames
from regen_vcs.engine.models import models_of_job
from regen_vcs.engine.observe import member_name, member_path, read_manifest
from regen_vcs.engine.sync import Snapshot, has_all
from regen_vcs.engine.takes import output_of_record, record_of_output
from regen_vcs.engine.trust import require_trust
from regen_vcs.errors import Interrupted, RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.client import Result, RunnerClient
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.git import index
from regen_vcs.model.facts import facts_of_recipe
from regen_vcs.model.key import compute_key
from regen_vcs.model.manifest import Member, manifest_bytes
from regen_vcs.model.paths import frames_text, parse_sequence
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes
from regen_vcs.platform.files import FileLock

# Seconds that leaving waits for a thread to file what its job had made.
_LEAVE = 30.0

_ORDER_FIELDS = (
    "path",  # the asset
    "recipe",
    "key",
    "inputs",  # {name: (target, hash, blob oid or None)}
    "code",  # {name below {code}: bytes}
    "table",  # of the named generator, {} for a plain one
    "force",  # "", or the time (as records have it) since which a take must have been made to count
    "frames",  # of a sequence made frame by frame: the numbers that `force` is about; (): all
)


class Order(namedtuple("_Order", _ORDER_FIELDS, defaults=((),))):
    """What one run needs. Each is itself only: two for one recipe are two orders."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Take:
    """One observed output of a key, in the stores. `output` is what a sidecar that accepts it would say."""

    def __init__(self, order: Order, output: Output, seconds: float, reused: bool, record: dict):
        self.order, self.output, self.seconds, self.reused, self.record = order, output, seconds, reused, record

    @property
    def hash(self) -> str:
        return self.output.hash

    @property
    def is_tree(self) -> bool:
        return self.output.files is not None or self.output.frames is not None


class JobFailed(RegenError):
    """A generator failed; `log` is the hash of what it printed, or None. transient: another time it may go well."""

    def __init__(self, what: str, hint: str | None = None, log: str | None = None, transient: bool = False):
        super().__init__(what, hint)
        self.log, self.transient = log, transient


def make_order(snapshot: Snapshot, path: str, *, force: str = "") -> Order:
    """Everything one run needs, resolved now. RegenError where an input is missing, or it is not trusted."""
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
        if found is None:
            raise RegenError(f"{path}: blocked: its input {name} ({target}) is missing or pending")
        resolved[name] = (target, found, inputs.oid_of(target))
    require_trust(snapshot, desired)
    code = {dest: definitions.code_bytes(source) for dest, (source, _) in definitions.code(recipe.generator).items()}
    key = compute_key(recipe, path, {name: found for name, (_, found, _) in resolved.items()})
    return Order(path, recipe, key, resolved, code, definitions.table(recipe.generator), force)


class Producer:
    """Runs orders in threads, several at once. Use as a context manager: leaving it ends every child process.

    progress(order, fraction, message): called from those threads.
    """

    def __init__(
        self, environ: Mapping[str, str], *, workers: int = 1, progress: Callable[[Order, float, str], None] | None = None
    ):
        self._environ = environ
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
            run = _Run(self, order, snapshot, self._stops[order])
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


class _Run:
    """One order on its way to a take, in one of the producer's threads."""

    def __init__(self, producer: Producer, order: Order, snapshot: Snapshot, stop: threading.Event):
        self._producer, self._order, self._snapshot, self._stop = producer, order, snapshot, stop
        self.ws = self._ws = snapshot.ws

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

    def known_take(self, order: Order) -> Take | None:
        """An earlier take of the same key whose bytes are at hand: the first observed, never the newest.

        Where the order wants another one made: none but what was made since it was given (by whoever had it before).
        """
        accepted = order.recipe.output.hash if order.recipe.output and order.recipe.output.key == order.key else None
        found = None
        for record in self._ws.results.takes(order.key):
            output = output_of_record(record, order.key)
            if output is None or (order.force and record.get("at", "") < order.force):
                continue
            is_tree = output.files is not None or output.frames is not None
            if has_all(self._ws.stores, output.hash, is_tree):
                if output.hash == accepted:
                    return Take(order, output, record.get("seconds") or 0.0, True, record)
                found = found or Take(order, output, record.get("seconds") or 0.0, True, record)
        return found

    def _make(self, order: Order) -> Take:
        generator = registry.load(order.recipe.generator, order.table or None)
        if frames.applies(generator, order):
            return frames.make(self, order, generator)
        parent = os.path.join(self._ws.settings.get("cacheDir"), "scratch")
        with Scratch(parent) as scratch:
            result, seconds, log = self.run_in(scratch, order, generator)
            if not result.ok:
                raise self.failure(result.reason, None, log, result.transient)
            found = collect_output(scratch, order.path)
            return self.file_take(order, generator, found, result, seconds, log)

    def run_in(
        self, scratch: Scratch, order: Order, generator, say: Callable[[float, str], None] | None = None
    ) -> tuple[Result, float, str | None]:
        """Bring the inputs and run the generator: (how it ended, seconds, hash of its log or None).

        say(fraction, message): told of progress, in place of whoever watches the order.
        """
        self._check_wanted()
        inputs = {name: self._bring_input(scratch, name, *found) for name, found in order.inputs.items()}
        for dest, data in order.code.items():
            scratch.add_code(dest, data)
        spec = {
            "id": order.key,
            "generator": order.recipe.generator,
            "table": order.table or None,
            "params": dict(order.recipe.params),
            "inputs": inputs,
            "input_paths": {name: target for name, (target, _, _) in order.inputs.items()},
            "models": self._models(order, generator),
            "output": scratch.output_path(order.path),
            "scratch": scratch.root,
            "env": {name: self._ws.environ[name] for name in order.table.get("env", ()) if name in self._ws.environ},
        }
        started = time.monotonic()
        result = self._producer._client().run(spec, say or self.say, self._stop)
        seconds = time.monotonic() - started
        return result, seconds, self._store_log(result.log)

    def failure(self, reason: str, hint: str | None, log: str | None, transient: bool) -> JobFailed:
        path = self._order.path
        return JobFailed(f"{path}: {reason}", hint or f"what it printed: regen-vcs show --log {path}", log, transient)

    def _models(self, order: Order, generator) -> dict[str, dict]:
        """What the runner is told of the recipe's models. Only the user's own verbs may download one."""
        def read(count: int) -> None:
            self._check_wanted()
            self.say(0.0, "reading its models")

        return models_of_job(self._ws, order.recipe, generator, attended=self._snapshot.inputs.from_disk, on_bytes=read)

    def _store_log(self, log: bytes) -> str | None:
        return self._ws.stores.ingest_bytes(log, proven=True)[0] if log else None

    # -- inputs --------------------------------------------------------------------------------------------------

    def _bring_input(self, scratch: Scratch, name: str, target: str, wanted: str, oid: str | None) -> str:
        """Copy one input into the scratch folder, checked against its hash; its absolute path there."""
        if oid is not None:
            with self._producer._git_lock:
                data = index.read_blobs(self._ws.repo, [oid])[oid]
            return scratch.add_input(name, os.path.basename(target), data, wanted)
        if target.startswith("@"):
            source = self._snapshot.inputs.root_path(target)
            return scratch.copy_input(name, os.path.basename(target), source, wanted)
        return self._bring_asset(scratch, name, target, wanted)

    def _bring_asset(self, scratch: Scratch, name: str, target: str, wanted: str) -> str:
        is_tree = self._snapshot.assets[target].facts.is_tree if target in self._snapshot.assets else False
        if not is_tree:
            return scratch.copy_input(name, os.path.basename(target), self._object_path(target, wanted), wanted)
        base = os.path.basename(target)
        for member in read_manifest(self._ws.stores, wanted):
            inner = member_path(base, member.name)
            scratch.copy_input(name, inner, self._object_path(target, member.hash), member.hash)
        return scratch.input_path(name, base)

    def _object_path(self, target: str, wanted: str) -> str:
        """Where an input's accepted bytes are: a store, else the worktree's own copy, kept first."""
        found = self._ws.stores.find(wanted)
        if found is None:
            seen = self._snapshot.seen(target)
            for path, (file_hash, _sig) in seen.files.items():
                if file_hash == wanted:
                    self._ws.stores.ingest_file(f"{self._ws.root}/{path}", expect=wanted)
                    found = self._ws.stores.find(wanted)
        if found is None:
            raise RegenError(f"blocked: the accepted bytes of its input {target} cannot be had here")
        return found

    # -- outputs -------------------------------------------------------------------------------------------------

    def file_take(self, order: Order, generator, found, result, seconds: float, log: str | None) -> Take:
        """Ingest what came out, and write down the observation."""
        proven = _is_proven(order, generator)
        members = []
        for name, path, size in found:
            inner = member_name(order.path, name) if parse_sequence(order.path) else name
            members.append(Member(inner, self._ws.stores.ingest_file(path, proven=proven)[0], size))
        return self.file_members(order, generator, members, found[0][1], result, seconds, log)

    def file_members(
        self, order: Order, generator, members: list[Member], first: str, result, seconds: float, log: str | None
    ) -> Take:
        """Write down what came out; its files are in the stores already. first: where the first of them can be read."""
        stores, proven = self._ws.stores, _is_proven(order, generator)
        sequence = parse_sequence(order.path)
        is_tree = bool(sequence) or not (len(members) == 1 and members[0].name == "")
        whole = members[0].hash
        if is_tree:
            whole = stores.ingest_bytes(manifest_bytes(members), proven=proven)[0]
        output = Output(
            hash=whole,
            key=order.key,
            size=sum(member.size for member in members),
            content=media.content_hash(first) if not is_tree else None,
            look=media.look(first),
            media=media.probe(first),
            files=len(members) if is_tree and not sequence else None,
            frames=frames_text(int(each.name.removesuffix(sequence.suffix)) for each in members) if sequence else None,
        )
        record = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "seconds": round(seconds, 4),
            "generator": order.recipe.generator,
            "generator_version": result.generator_version,
            "environment": result.environment,
            "inputs": {name: "blake3:" + found[1] for name, found in order.inputs.items()},
            "log": log,
            "output": record_of_output(output),
        }
        cost = order.table.get("cost") if result.cost is None else result.cost
        if cost is not None:
            record["cost"] = cost
        self._ws.results.record(order.key, whole, record)
        bare = recipe_bytes(_without_review(order.recipe))
        self._ws.results.save_recipe(order.key, bare)
        return Take(order, output, seconds, False, record)


def _is_proven(order: Order, generator) -> bool:
    """An exact built-in's run is its own proof; everything else stays in keep until it is verified."""
    return bool(generator.exact) and registry.is_exact_built_in(order.recipe.generator)


def _without_review(recipe: Recipe) -> Recipe:
    """What keep's copy of a recipe holds: what was asked for, not what was accepted where."""
    from dataclasses import replace

    return replace(recipe, output=None, review=None)
