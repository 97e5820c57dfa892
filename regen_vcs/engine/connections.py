"""The remotes of one command, open: each at most once, and none again after it failed."""

from __future__ import annotations

import threading

from regen_vcs.engine.known_remotely import KnownRemotely
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.remote.base import Refused, Remote, RemoteStore
from regen_vcs.remote.opening import open_remote

PATIENCE = 30.0  # seconds of silence, for the user's verbs
HOOK_PATIENCE = 2.0  # for what git waits for
_MOST_REFUSALS = 3  # a folder may refuse one file; a server that refuses this often refuses everything


class Connections:
    """Remotes in order, for the length of a `with`. Safe to use from many threads.

    `failures`: {name: why it is not used any more}. `known(remote)`: what is remembered of it, saved at the end.
    """

    def __init__(self, ws: Workspace, remotes: list[Remote], *, patience: float = PATIENCE):
        self._ws, self._all, self._patience = ws, list(remotes), patience
        self._stores: dict[str, RemoteStore] = {}
        self._known: dict[str, KnownRemotely] = {}
        self._refusals: dict[str, int] = {}
        self._guard = threading.Lock()
        self.failures: dict[str, RegenError] = {}

    @property
    def remotes(self) -> list[Remote]:
        """Those that have not failed so far."""
        return [remote for remote in self._all if remote.name not in self.failures]

    def open(self, remote: Remote) -> RemoteStore:
        """InvalidError for a URL that is no remote's."""
        with self._guard:
            if remote.name not in self._stores:
                self._stores[remote.name] = open_remote(remote, self._ws.environ, patience=self._patience)
            return self._stores[remote.name]

    def known(self, remote: Remote) -> KnownRemotely:
        with self._guard:
            if remote.name not in self._known:
                self._known[remote.name] = KnownRemotely.of(self._ws, remote)
            return self._known[remote.name]

    def give_up(self, remote: Remote, error: RegenError) -> None:
        """It failed: no more tries of it in this command. A refusal may be about one object: of these it takes a few."""
        with self._guard:
            if isinstance(error, Refused):
                self._refusals[remote.name] = self._refusals.get(remote.name, 0) + 1
                if self._refusals[remote.name] < _MOST_REFUSALS:
                    return
            self.failures.setdefault(remote.name, error)

    def close(self) -> None:
        for known in self._known.values():
            known.save()
        for store in self._stores.values():
            store.close()
        self._stores = {}

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
