"""Bringing a job's inputs: copies from the stores, from git's blobs or from a named root, each checked against its hash.

The worktree is never read, except for an asset whose accepted bytes lie there alone; they are kept first.
"""

from __future__ import annotations

import errno
import os
from collections import namedtuple
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from regen_vcs.engine.named_roots import RootAway
from regen_vcs.engine.observe import member_path, read_manifest
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.take_filing import Order
from regen_vcs.errors import CorruptionError, RegenError
from regen_vcs.generators.scratch import Scratch
from regen_vcs.git import index
from regen_vcs.model.manifest import Member

# An input that is in place. path: absolute, as a generator is told; files: [(manifest entry, absolute path)] of it, the
# name of a single file being "".
Brought = namedtuple("Brought", ("target", "hash", "path", "files"))


class JobInputs:
    """The inputs of one order. git_lock: held while git is asked, where several threads share one look."""

    def __init__(self, snapshot: Snapshot, order: Order, git_lock: AbstractContextManager | None = None):
        self._snapshot, self._order = snapshot, order
        self._ws = snapshot.ws
        self._git_lock = git_lock or nullcontext()

    def place(self, scratch: Scratch) -> dict[str, Brought]:
        """Copy all of them into the scratch folder: {role: input}. RegenError where one cannot be had."""
        with self._ws.stores.relying():
            return {name: self._bring(scratch, name, *found) for name, found in self._order.inputs.items()}

    def _bring(self, scratch: Scratch, name: str, target: str, wanted: str, oid: str | None) -> Brought:
        if oid is not None:
            with self._git_lock:
                data = index.read_blobs(self._ws.repo, [oid])[oid]
            return _single(target, wanted, scratch.add_input(name, os.path.basename(target), data, wanted))
        if target.startswith("@"):
            return _single(target, wanted, self._bring_from_root(scratch, name, target, wanted))
        return self._bring_asset(scratch, name, target, wanted)

    def _bring_from_root(self, scratch: Scratch, name: str, target: str, wanted: str) -> str:
        source = self._snapshot.inputs.roots.place(target)
        try:
            return scratch.copy_input(name, os.path.basename(target), source, wanted)
        except CorruptionError:  # nobody vouches for a file out there
            raise RootAway(f"{target}: changed since it was looked at", "try again when it is written") from None
        except OSError as error:
            if os.path.exists(source) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RootAway(f"{target}: cannot be read: {error.strerror}", "is it mounted? see: regen-vcs root") from None

    def _bring_asset(self, scratch: Scratch, name: str, target: str, wanted: str) -> Brought:
        is_tree = self._snapshot.assets[target].facts.is_tree if target in self._snapshot.assets else False
        base = os.path.basename(target)
        if not is_tree:
            return _single(target, wanted, scratch.copy_input(name, base, self._object_path(target, wanted), wanted))
        files = []
        for member in read_manifest(self._ws.stores, wanted):
            source = self._object_path(target, member.hash)
            files.append((member, scratch.copy_input(name, member_path(base, member.name), source, member.hash)))
        return Brought(target, wanted, scratch.input_path(name, base), files)

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
            raise RegenError(f"{self._order.path}: blocked: the accepted bytes of its input {target} cannot be had here")
        return found


def _single(target: str, wanted: str, path: str) -> Brought:
    return Brought(target, wanted, path, [(Member("", wanted, os.path.getsize(path)), path)])


def job_spec(
    order: Order, scratch: Scratch, brought: Mapping[str, Brought], models: Mapping[str, dict], environ: Mapping[str, str]
) -> dict:
    """What the runner is told of an order whose inputs and code are in the scratch folder.

    Of the environment it gets what the generator's table asks for, by name.
    """
    return {
        "id": order.key,
        "generator": order.recipe.generator,
        "table": order.table or None,
        "params": dict(order.recipe.params),
        "inputs": {name: each.path for name, each in brought.items()},
        "input_paths": {name: each.target for name, each in brought.items()},
        "models": models,
        "output": scratch.output_path(order.path),
        "scratch": scratch.root,
        "env": {name: environ[name] for name in order.table.get("env", ()) if name in environ},
    }
