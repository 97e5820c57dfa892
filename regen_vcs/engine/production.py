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
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from regen_vcs import media
from regen_vcs.engine.observe import frame_number, member_name, member_path, read_manifest
from regen_vcs.engine.sync import Snapshot, has_all
from regen_vcs.engine.takes import output_of_record, record_of_output
from regen_vcs.engine.trust import require_trust
from regen_vcs.errors import Interrupted, RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.client import RunnerClient
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.git import index
from regen_vcs.model.facts import facts_of_recipe
from regen_vcs.model.key import compute_key
from regen_vcs.model.manifest import Member, manifest_bytes
from regen_vcs.model.paths import frames_text, parse_sequence
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes
from regen_vcs.platform.files import FileLock

# Orders handed out beyond those that run: workers need not wait while results are settled.
_AHEAD = 32

Order = namedtuple(
    "Order",
    (
        "path",  # the asset
        "recipe",
        "key",
        "inputs",  # {name: (target, hash, blob oid or None)}
        "code",  # {name below {code}: bytes}
        "table",  # of the named generator, {} for a plain one
        "force",  # run even though a take of this key is at hand
    ),
)


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
    """A generator failed; `log` is the hash of what it printed, or None."""

    def __init__(self, what: str, hint: str | None = None, log: str | None = None):
        super().__init__(what, hint)
        self.log = log


def make_order(snapshot: Snapshot, path: str, *, force: bool = False) -> Order:
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
    """Runs orders, several at once. Use as a context manager: leaving it ends every child process.

    progress(path, fraction, message): called from worker threads.
    """

    def __init__(self, snapshot: Snapshot, *, workers: int = 1, progress: Callable[[str, float, str], None] | None = None):
        self._ws = snapshot.ws
        self._snapshot = snapshot
        self._progress = progress or (lambda *_: None)
        self._workers = max(1, workers)
        self._cancelled = threading.Event()
        self._local = threading.local()
        self._clients: list[RunnerClient] = []
        self._git_lock = threading.Lock()

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End every job and its process group."""
        self._cancelled.set()
        for client in list(self._clients):
            client.cancel()

    def run_all(
        self, waits: Mapping[str, set[str]], start: Callable[[str], Order]
    ) -> Iterator[list[tuple[str, Take | RegenError]]]:
        """Run one order for each path in `waits` (path → paths that must be done first), and yield what became of
        them: as many at once as have ended meanwhile, so that settling them costs once.

        `start` is called in this thread, as late as possible, so that an order sees what those before it changed.
        What depends on a failure is not run. On ^C everything is ended and Interrupted raised.
        """
        pending = {path: set(needs) & waits.keys() for path, needs in waits.items()}
        done: queue.Queue = queue.Queue()
        todo: queue.Queue = queue.Queue()
        threads = [threading.Thread(target=self._work, args=(todo, done), daemon=True) for _ in range(self._workers)]
        for thread in threads:
            thread.start()
        running: set[str] = set()
        broken: set[str] = set()
        try:
            while pending or running:
                refused = list(self._release(pending, running, broken, start, todo))
                if refused:
                    yield refused
                if not running:
                    if pending and not refused:
                        yield list(self._give_up(pending))
                    continue
                ended = _get_all(done)
                broken.update(path for path, result in ended if isinstance(result, RegenError))
                yield ended
                gone = {path for path, _ in ended}
                running -= gone
                for needs in pending.values():
                    needs -= gone
        except (KeyboardInterrupt, GeneratorExit):
            self.cancel()
            raise
        finally:
            for _ in threads:
                todo.put(None)

    def _release(self, pending, running, broken, start, todo) -> Iterator[tuple[str, RegenError]]:
        """Hand out what has nothing left to wait for."""
        for path in [each for each, needs in pending.items() if not needs]:
            if len(running) >= self._workers + _AHEAD:
                return
            del pending[path]
            try:
                blocked = self._blocked_by(path, broken)
                if blocked:
                    raise RegenError(f"{path}: blocked: its input {blocked} failed")
                order = start(path)
            except RegenError as error:
                broken.add(path)
                for needs in pending.values():
                    needs.discard(path)
                yield path, error
                continue
            running.add(path)
            todo.put(order)

    def _blocked_by(self, path: str, broken: set[str]) -> str | None:
        desired = self._snapshot.assets.get(path)
        targets = self._snapshot.inputs.targets(desired).values() if desired else ()
        return next((target for target in targets if target in broken), None)

    @staticmethod
    def _give_up(pending: dict[str, set[str]]) -> Iterator[tuple[str, RegenError]]:
        trail = " → ".join(sorted(pending)[:5])
        for path in list(pending):
            del pending[path]
            yield path, RegenError(f"{path}: its inputs form a cycle ({trail})")

    # -- one worker thread --------------------------------------------------------------------------------------

    def _work(self, todo: queue.Queue, done: queue.Queue) -> None:
        while (order := todo.get()) is not None:
            try:
                done.put((order.path, self._run(order)))
            except RegenError as error:
                done.put((order.path, error))
            except OSError as error:
                done.put((order.path, RegenError(f"{order.path}: {error.strerror or error}")))
            except Exception as error:
                done.put((order.path, RegenError(f"{order.path}: internal error: {error!r}")))
        client = getattr(self._local, "client", None)
        if client:
            client.close()

    def _run(self, order: Order) -> Take:
        if self._cancelled.is_set():
            raise Interrupted(f"{order.path}: cancelled")
        folder = os.path.join(self._ws.repo.common_dir, "regen", "jobs")
        os.makedirs(folder, exist_ok=True)
        lock = FileLock(os.path.join(folder, order.key))
        waited = not lock.acquire(timeout=0)
        if waited:
            self._progress(order.path, 0.0, "another regen-vcs makes it; waiting")
            while not lock.acquire(timeout=0.5):
                if self._cancelled.is_set():
                    raise Interrupted(f"{order.path}: cancelled")
        try:
            known = self._known_take(order) if waited or not order.force else None
            return known or self._make(order)
        finally:
            lock.release()  # the empty file stays: removing a lock that somebody waits on lets two in

    def _known_take(self, order: Order) -> Take | None:
        """An earlier take of the same key whose bytes are at hand: the first observed, never the newest."""
        accepted = order.recipe.output.hash if order.recipe.output and order.recipe.output.key == order.key else None
        found = None
        for record in self._ws.results.takes(order.key):
            output = output_of_record(record, order.key)
            if output is None:
                continue
            is_tree = output.files is not None or output.frames is not None
            if has_all(self._ws.stores, output.hash, is_tree):
                if output.hash == accepted:
                    return Take(order, output, record.get("seconds") or 0.0, True, record)
                found = found or Take(order, output, record.get("seconds") or 0.0, True, record)
        return found

    def _make(self, order: Order) -> Take:
        generator = registry.load(order.recipe.generator, order.table or None)
        parent = os.path.join(self._ws.settings.get("cacheDir"), "scratch")
        with Scratch(parent) as scratch:
            inputs = {name: self._bring_input(scratch, name, *found) for name, found in order.inputs.items()}
            for dest, data in order.code.items():
                scratch.add_code(dest, data)
            spec = {
                "id": order.key,
                "generator": order.recipe.generator,
                "table": order.table or None,
                "params": dict(order.recipe.params),
                "inputs": inputs,
                "models": {role: {"hash": m.hash, "name": m.name, "version": m.version}
                           for role, m in order.recipe.models.items()},
                "output": scratch.output_path(order.path),
                "scratch": scratch.root,
                "env": {name: self._ws.environ[name] for name in order.table.get("env", ()) if name in self._ws.environ},
            }
            started = time.monotonic()
            result = self._client().run(
                spec, lambda fraction, message="": self._progress(order.path, fraction, message), self._cancelled
            )
            seconds = time.monotonic() - started
            log = self._store_log(result.log)
            if not result.ok:
                raise JobFailed(f"{order.path}: {result.reason}", f"what it printed: regen-vcs show --log {order.path}", log)
            found = collect_output(scratch, order.path)
            return self._file_take(order, generator, found, result, seconds, log)

    def _client(self) -> RunnerClient:
        client = getattr(self._local, "client", None)
        if client is None or not client.alive:
            client = RunnerClient(self._ws.environ)
            self._local.client = client
            self._clients.append(client)
        return client

    def _store_log(self, log: bytes) -> str | None:
        return self._ws.stores.ingest_bytes(log, proven=True)[0] if log else None

    # -- inputs --------------------------------------------------------------------------------------------------

    def _bring_input(self, scratch: Scratch, name: str, target: str, wanted: str, oid: str | None) -> str:
        """Copy one input into the scratch folder, checked against its hash; its absolute path there."""
        if oid is not None:
            with self._git_lock:
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

    def _file_take(self, order: Order, generator, found, result, seconds: float, log: str | None) -> Take:
        """Ingest what came out, and write down the observation."""
        stores = self._ws.stores
        # An exact built-in's run is its own proof; everything else stays in keep until it is verified.
        proven = bool(generator.exact) and registry.is_exact_built_in(order.recipe.generator)
        sequence = parse_sequence(order.path)
        members = []
        for name, path, size in found:
            inner = member_name(order.path, name) if sequence else name
            members.append(Member(inner, stores.ingest_file(path, proven=proven)[0], size))
        is_tree = bool(sequence) or not (len(members) == 1 and members[0].name == "")
        whole = members[0].hash
        if is_tree:
            whole = stores.ingest_bytes(manifest_bytes(members), proven=proven)[0]
        first = found[0][1]
        output = Output(
            hash=whole,
            key=order.key,
            size=sum(size for _, _, size in found),
            content=media.content_hash(first) if not is_tree else None,
            look=media.look(first),
            media=media.probe(first),
            files=len(members) if is_tree and not sequence else None,
            frames=frames_text(frame_number(sequence, name) for name, _, _ in found) if sequence else None,
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
        self._ws.results.record(order.key, whole, record)
        bare = recipe_bytes(_without_review(order.recipe))
        self._ws.results.save_recipe(order.key, bare)
        return Take(order, output, seconds, False, record)


def _without_review(recipe: Recipe) -> Recipe:
    """What keep's copy of a recipe holds: what was asked for, not what was accepted where."""
    from dataclasses import replace

    return replace(recipe, output=None, review=None)


def _get_all(done: queue.Queue) -> list[tuple[str, Take | RegenError]]:
    """Wait for one result, so that ^C can interrupt; then take all that are there."""
    found = []
    while not found:
        try:
            found.append(done.get(timeout=0.2))
            while True:
                found.append(done.get_nowait())
        except queue.Empty:
            continue
    return found
