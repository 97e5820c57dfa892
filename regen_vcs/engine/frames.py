"""Sequences made frame by frame: each frame is a result of its own, so that a range can grow and a hole be filled.

A frame's key is that of the same recipe with this one number in its `frames`; its take is a sequence of one frame. The
sequence is put together from the frames at hand and those rendered now: 1-48 → 1-60 renders twelve. Only generators
that say `per_frame` are made so, where the recipe says which frames.
"""

from __future__ import annotations

import os
import time
from collections import namedtuple
from dataclasses import replace

from regen_vcs.engine.observe import read_manifest
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.generators.client import Result
from regen_vcs.generators.scratch import Scratch
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import frame_of, frames_text, parse_frames, parse_sequence
from regen_vcs.model.recipe import Recipe

# A run makes about as much as this takes: power loss costs no more. Of the first nothing is known.
_BATCH_SECONDS = 600.0
_FIRST_BATCH = 4

# A frame that is there: its manifest entry, and the record of its run (None: known from the accepted sequence alone).
_Frame = namedtuple("_Frame", ("member", "record"))
# Why a run did not make all it was asked for.
_Trouble = namedtuple("_Trouble", ("reason", "hint", "log", "transient"))


def applies(generator, order) -> bool:
    """Whether an order is made frame by frame. UsageError where only some frames are wanted of what is not."""
    found = (
        bool(getattr(generator, "per_frame", False))
        and parse_sequence(order.path) is not None
        and isinstance(order.recipe.params.get("frames"), str)
    )
    if order.frames and not found:
        raise UsageError(f"{order.path}: is not made frame by frame", "make all of it: regen-vcs regenerate PATH")
    return found


def numbers_in(text: str) -> list[int]:
    """The numbers of "1-24,30", rising; InvalidError where it is not so written."""
    return [number for first, last in parse_frames(text) for number in range(first, last + 1)]


def make(run, order, generator):
    """The take of a sequence. run: the engine's run of this order (production.py), which does the work.

    RegenError names what failed; the frames that went well are kept, and need not be made again.
    """
    return _Sequence(run, order, generator).make()


def file_result(filing, order, generator, scratch: Scratch, result: Result, seconds: float, log: str | None):
    """The take of a sequence that one run elsewhere has made, and whose files are in the scratch folder.

    filing: files takes, as a run does. RegenError where frames are missing; those that are there are kept.
    """
    return _Sequence(filing, order, generator).file(scratch, result, seconds, log)


class _Sequence:
    def __init__(self, run, order, generator):
        self._run, self._order, self._generator = run, order, generator
        self._stores, self._results = run.ws.stores, run.ws.results
        self._shape = parse_sequence(order.path)
        self._hashes = {name: found for name, (_, found, _) in order.inputs.items()}
        self._numbers = numbers_in(order.recipe.params["frames"])
        self._frames: dict[int, _Frame] = {}
        self._last: Result | None = None  # of what was made now
        self._log: str | None = None

    def make(self):
        started = time.monotonic()
        missing = self._find_frames()
        trouble = self._render(missing) if missing else None
        if trouble is not None:
            raise self._run.failure(self._told(trouble), trouble.hint, trouble.log, trouble.transient)
        return self._put_together(time.monotonic() - started, reused=not missing)

    def file(self, scratch: Scratch, result: Result, seconds: float, log: str | None):
        made = self._keep(scratch, self._numbers, result, seconds, log)
        left = set(self._numbers) - made
        if left:
            reason = result.reason or f"it ended well but without frame {frames_text(left)}"
            raise self._run.failure(self._told(_Trouble(reason, result.hint, log, result.transient)), result.hint, log, result.transient)
        self._last, self._log = result, log
        return self._put_together(seconds, reused=False)

    def _find_frames(self) -> list[int]:
        """Note the frames at hand; the numbers of those to make.

        Chosen frames are made again. So is all of a sequence in which nothing is missing and nothing has changed;
        a range that grew keeps what it has, and a hole is filled.
        """
        accepted = self._accepted()
        chosen = self._chosen()
        found = {n: self._at_hand(n, self._order.force if n in chosen else "", accepted.get(n)) for n in self._numbers}
        if self._order.force and not chosen and self._is_current() and all(found.values()):
            found = {n: self._at_hand(n, self._order.force, None) for n in self._numbers}
        self._frames = {number: frame for number, frame in found.items() if frame is not None}
        return [number for number in self._numbers if number not in self._frames]

    def _is_current(self) -> bool:
        output = self._order.recipe.output
        return output is not None and output.key == self._order.key

    def _chosen(self) -> set[int]:
        chosen = set(self._order.frames)
        strange = chosen - set(self._numbers)
        if strange:
            raise UsageError(
                f"{self._order.path}: has no frame {frames_text(strange)}: its frames are {frames_text(self._numbers)}",
                f"regen-vcs set {self._order.path} frames=…",
            )
        return chosen

    def _at_hand(self, number: int, since: str, accepted) -> _Frame | None:
        """A frame whose bytes are here: the accepted one, else the first observed, never the newest.

        since: only what was made after this time counts.
        """
        found = None
        for record in self._results.takes(self._recipe_key([number])):
            member = self._only_member(record, number)
            if member is None or (since and record.get("at", "") < since):
                continue
            if accepted is not None and member.hash == accepted.hash:
                return _Frame(member, record)
            found = found or _Frame(member, record)
        if accepted is not None and not since and self._stores.has(accepted.hash):
            return _Frame(accepted, None)
        return found

    def _only_member(self, record: dict, number: int):
        """The frame that a record of its key tells of, if its bytes are at hand."""
        try:
            members = read_manifest(self._stores, record["output_hash"])
        except RegenError:
            return None
        fits = len(members) == 1 and members[0].name == f"{number}{self._shape.suffix}"
        return members[0] if fits and self._stores.has(members[0].hash) else None

    def _accepted(self) -> dict:
        """{number: manifest entry} of the accepted sequence, where it is one of this very recipe, whatever its range.

        So a clone, which has no records, does not render what it has.
        """
        output = self._order.recipe.output
        if output is None or output.frames is None:
            return {}
        if self._recipe_key(numbers_in(output.frames)) != output.key:
            return {}
        try:
            members = read_manifest(self._stores, output.hash)
        except RegenError:
            return {}
        return {int(each.name.removesuffix(self._shape.suffix)): each for each in members}

    # -- making what is missing ------------------------------------------------------------------------------------

    def _render(self, missing: list[int]) -> _Trouble | None:
        """Make these. After a frame that fails the rest is still made, unless it looks as if nothing goes at all."""
        first_trouble, todo, hope = None, missing, 0
        while todo:
            batch = self._next_batch(todo)
            made, trouble = self._run_once(batch, (len(missing) - len(todo)) / len(missing), len(batch) / len(missing))
            left = [number for number in batch if number not in made]
            first_trouble = first_trouble or (trouble if left else None)
            hope = 1 if made else hope - 1  # one run that brings nothing is forgiven, if one before did
            if hope < 0:
                break
            # The first that is left is the one that failed.
            todo = [number for number in todo if number not in made and number not in left[:1]]
        return first_trouble

    def _next_batch(self, todo: list[int]) -> list[int]:
        """As many as one run makes in a while: each run opens the scene anew, but what it made is filed at its end."""
        known = [each.record["seconds"] for each in self._frames.values() if each.record and each.record.get("seconds")]
        if not known:
            return todo[:_FIRST_BATCH]
        return todo[: max(1, int(_BATCH_SECONDS * len(known) / sum(known)))]

    def _run_once(self, numbers: list[int], start: float, share: float) -> tuple[set[int], _Trouble | None]:
        """(the frames that one run made, why not all). start, share: of the progress of everything that is missing."""
        order = self._order._replace(
            recipe=self._recipe(numbers), key=self._recipe_key(numbers), force="", frames=()
        )
        parent = os.path.join(self._run.ws.settings.get("cacheDir"), "scratch")

        def say(fraction: float, message: str = "") -> None:
            self._run.say(start + share * fraction, message)

        with Scratch(parent) as scratch:
            started = time.monotonic()
            try:
                result, seconds, log = self._run.run_in(scratch, order, self._generator, say)
            except BaseException:  # cancelled: what is complete stays
                nothing = Result(False, None, b"", {}, str(self._generator.version))
                self._keep(scratch, numbers, nothing, time.monotonic() - started, None)
                raise
            made = self._keep(scratch, numbers, result, seconds, log)
        if result.ok and len(made) == len(numbers):
            self._last, self._log = result, log
            return made, None
        reason = result.reason or f"it ended well but without frame {frames_text(set(numbers) - made)}"
        return made, _Trouble(reason, None, log, result.transient)

    def _keep(self, scratch: Scratch, numbers: list[int], result: Result, seconds: float, log: str | None) -> set[int]:
        """File each frame that was made, as a result of its own; their numbers."""
        try:
            found = self._run.collect(scratch, log)
        except RegenError:
            if result.ok:
                raise
            return set()
        made = set()
        for name, path, size in found:
            number = frame_of(self._shape, name)
            if number not in numbers:
                continue  # nobody asked for it
            order = self._order._replace(recipe=self._recipe([number]), key=self._recipe_key([number]))
            take = self._run.file_take(order, self._generator, [(name, path, size)], result, seconds / len(found), log)
            self._frames[number] = _Frame(read_manifest(self._stores, take.hash)[0], take.record)
            made.add(number)
        return made

    def _told(self, trouble: _Trouble) -> str:
        kept = len(self._frames)
        return trouble.reason + (f" ({kept} of {len(self._numbers)} frames are kept)" if kept else "")

    # -- the whole -------------------------------------------------------------------------------------------------

    def _put_together(self, seconds: float, *, reused: bool):
        """The take of all frames. Its seconds are those of all its frames, however long ago they were rendered."""
        if len(self._numbers) == 1:
            known = self._run.known_take(self._order)  # the frame is the whole, and filed
            if known is not None:
                return known
        frames = [self._frames[number] for number in self._numbers]
        records = [each.record for each in frames if each.record is not None]
        total = sum(record.get("seconds") or 0.0 for record in records)
        result = self._last or _result_of(records[0] if records else {})
        take = self._run.file_members(
            self._order, self._generator, [each.member for each in frames], self._stores.find(frames[0].member.hash),
            result, total, self._log,
        )
        take.seconds, take.reused = seconds, reused
        return take

    def _recipe(self, numbers: list[int]) -> Recipe:
        params = {**self._order.recipe.params, "frames": frames_text(numbers)}
        return replace(self._order.recipe, params=params)

    def _recipe_key(self, numbers: list[int]) -> str:
        return compute_key(self._recipe(numbers), self._order.path, self._hashes)


def _result_of(record: dict) -> Result:
    """As much of a run as its record tells."""
    return Result(True, None, b"", record.get("environment") or {}, record.get("generator_version") or "")
