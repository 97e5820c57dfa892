"""Filing takes: what a run has made goes into the stores, under the key it was made for, with a record of how it went.

The same for what was made here (production.py) and for what somebody brings back from elsewhere (job_result.py).
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime

from regen_vcs import media
from regen_vcs.engine.observe import member_name, read_manifest
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.takes import output_of_record, record_of_output
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.generators import registry
from regen_vcs.generators.scratch import JobFailed as NothingUsable
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.model.manifest import Member, manifest_bytes
from regen_vcs.model.paths import frames_text, parse_sequence
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes
from regen_vcs.stores.witness import LOG, MADE, Witness

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


class TakeFiling:
    """Finds and files the takes of one order.

    made_at: when, as records have it, it was made somewhere else: then it proves nothing about what can be made here.
    """

    def __init__(self, ws: Workspace, order: Order, *, made_at: str | None = None):
        self.ws = self._ws = ws
        self._order, self._made_at = order, made_at

    def known_take(self, order: Order) -> Take | None:
        """An earlier take of the same key whose bytes are at hand: the first observed, never the newest.

        Where the order wants another one made: none but what was made since it was given (by whoever had it before).
        """
        with self._ws.stores.relying():
            found = self._find_take(order)
            if found is not None:
                self._ws.lease.add([found.hash, *self._members_of(found)])
        return found

    def _find_take(self, order: Order) -> Take | None:
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

    def failure(self, reason: str, hint: str | None, log: str | None, transient: bool) -> JobFailed:
        path = self._order.path
        told = f"what it printed: regen-vcs show --log {path}" if log else None
        return JobFailed(f"{path}: {reason}", hint or told, log, transient)

    def collect(self, scratch: Scratch, log: str | None) -> list[tuple[str, str, int]]:
        """(name, absolute path, size) of what a run that ended well has made. JobFailed, with its log, where that is nothing
        an asset could be."""
        try:
            return collect_output(scratch, self._order.path)
        except NothingUsable as error:
            raise self.failure(error.what, error.hint, log, False) from None

    def _members_of(self, take: Take) -> list[str]:
        return [member.hash for member in read_manifest(self._ws.stores, take.hash)] if take.is_tree else []

    def store_log(self, log: bytes) -> str | None:
        if not log:
            return None
        with self._ws.stores.relying():
            found = self._ws.stores.ingest_bytes(log, proven=True)[0]
            self._ws.lease.add([found])
            self._witness.saw(LOG, [found])
        return found

    @property
    def _witness(self) -> Witness:
        return Witness(self._ws.stores.keep.root)

    def file_take(self, order: Order, generator, found, result, seconds: float, log: str | None) -> Take:
        """Ingest what came out, and write down the observation."""
        proven = self._is_proven(order, generator)
        members = []
        with self._ws.stores.relying():
            for name, path, size in found:
                inner = member_name(order.path, name) if parse_sequence(order.path) else name
                members.append(Member(inner, self._ws.stores.ingest_file(path, proven=proven)[0], size))
            self._witness.saw(MADE, [member.hash for member in members])
            return self.file_members(order, generator, members, found[0][1], result, seconds, log)

    def file_members(
        self, order: Order, generator, members: list[Member], first: str, result, seconds: float, log: str | None
    ) -> Take:
        """Write down what came out; its files are in the stores already. first: where the first of them can be read.

        gc leaves it alone, accepted or not, until the workspace is closed.
        """
        with self._ws.stores.relying():
            for member in members:
                if not self._ws.stores.has(member.hash):
                    raise RegenError(f"{order.path}: {member.name or 'what was made'} left the store while it was being filed", "make it again")
            take = self._file_members(order, generator, members, first, result, seconds, log)
            self._ws.lease.add([take.hash, *(member.hash for member in members)])
        return take

    def _file_members(
        self, order: Order, generator, members: list[Member], first: str, result, seconds: float, log: str | None
    ) -> Take:
        stores, proven = self._ws.stores, self._is_proven(order, generator)
        sequence = parse_sequence(order.path)
        is_tree = bool(sequence) or not (len(members) == 1 and members[0].name == "")
        whole = members[0].hash
        if is_tree:
            whole = stores.ingest_bytes(manifest_bytes(members), proven=proven)[0]
            self._witness.saw(MADE, [whole])
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
            "at": self._made_at or now_text(),
            "asset": order.path,  # with `repo`: where a recipe belongs whose sidecar is lost
            "repo": self._ws.uuid,
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
        bare = recipe_bytes(without_review(order.recipe))
        self._ws.results.save_recipe(order.key, bare)
        return Take(order, output, seconds, False, record)

    def _is_proven(self, order: Order, generator) -> bool:
        """An exact built-in's run is its own proof; everything else stays in keep until it is verified."""
        return self._made_at is None and bool(generator.exact) and registry.is_exact_built_in(order.recipe.generator)


def now_text() -> str:
    """This moment as records have it: "2026-11-22T10:00:00.000Z"."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def without_review(recipe: Recipe) -> Recipe:
    """What keep's copy of a recipe holds: what was asked for, not what was accepted where."""
    return replace(recipe, output=None, review=None)
