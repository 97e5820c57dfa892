"""Marking: from names that somebody refers to, to every object that is needed for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from regen_vcs.engine.gc.record_index import Record
from regen_vcs.engine.observe import read_manifest
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.manifest import BEGINNING, Member
from regen_vcs.stores.objects import LocalStores


class Marks:
    """`needed`: every object that a name leads to: itself, a manifest's files, what its runs read and printed.

    records: {output: what is on record of it}. Names of what no store has are followed too, as far as records go.
    """

    def __init__(self, stores: LocalStores, records: Mapping[str, list[Record]]):
        self._manifests = Manifests(stores)
        self._records = records
        self.needed: set[str] = set()
        self._opened: set[str] = set()  # manifests whose files are marked

    def mark(self, names: Iterable[str], trees: Iterable[str] = ()) -> set[str]:
        """Mark these and what follows from them; what is new. trees: those of them that may be meant as a manifest."""
        before = len(self.needed)
        fresh: set[str] = set()
        todo = [(name, False) for name in names] + [(name, True) for name in trees]
        while todo:
            name, may_be_tree = todo.pop()
            if may_be_tree and name not in self._opened:
                self._opened.add(name)
                todo += [(member.hash, False) for member in self._manifests.members(name)]
            if name in self.needed:
                continue
            self.needed.add(name)
            fresh.add(name)
            for record in self._records.get(name, ()):
                todo += [(each, True) for each in record.names]
                if record.is_tree and name not in self._opened:
                    todo.append((name, True))
        return fresh if len(self.needed) > before else set()


class Manifests:
    """The files of directories and sequences, read once each."""

    def __init__(self, stores: LocalStores):
        self._stores = stores
        self._known: dict[str, tuple[Member, ...]] = {}

    def members(self, hash: str) -> tuple[Member, ...]:
        """The files that an object names if it is a manifest, else none; none also where it is not here, or damaged."""
        if hash not in self._known:
            self._known[hash] = self._read(hash)
        return self._known[hash]

    def _read(self, hash: str) -> tuple[Member, ...]:
        for store in (*self._stores.stores, *self._stores.trashes):
            try:
                fd = os.open(store.path_of(hash), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                continue
            except InvalidError:
                return ()
            try:
                if os.read(fd, len(BEGINNING)) != BEGINNING:
                    return ()
            except OSError:
                return ()
            finally:
                os.close(fd)
            try:
                return read_manifest(self._stores, hash)
            except (RegenError, OSError):
                return ()
        return ()
