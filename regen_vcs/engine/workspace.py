"""The composition root: everything one command needs of one worktree, opened once.

It is handed the environment as a mapping; nothing below it reads `os.environ`.
"""

from __future__ import annotations

import os
from _thread import allocate_lock  # what threading wraps, without its import
from collections.abc import Mapping

from regen_vcs.engine.config import Settings
from regen_vcs.engine.memory import Memo, State
from regen_vcs.engine.workset import WorkingSet
from regen_vcs.errors import UsageError
from regen_vcs.git import config as git_config
from regen_vcs.git.repo import Repo
from regen_vcs.platform.files import read_regular
from regen_vcs.platform.tree import Tree
from regen_vcs.stores.links import SparePool
from regen_vcs.stores.locks import Lease
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.results import Repos, RescueLog, Results

PROJECT_FILE = "regen.toml"


class Workspace:
    """One worktree with its stores and settings. `state` is read when first asked for."""

    def __init__(self, repo: Repo, settings: Settings, environ: Mapping[str, str]):
        self.repo, self.settings, self.environ = repo, settings, environ
        self.root = repo.root
        keep_root = os.path.join(settings.get("keepDir"), "v1")
        cache_root = os.path.join(settings.get("cacheDir"), "v1")
        self.stores = LocalStores(keep_root, cache_root)
        self.results = Results(keep_root)
        self.rescued = RescueLog(keep_root)
        self.tree = Tree(repo.root)
        self.memo = Memo(os.path.join(repo.common_dir, "regen"))
        self._state: State | None = None
        self._spare: SparePool | None = None
        self._working_set: WorkingSet | None = None
        self._uuid: str | None = None
        self._lease: Lease | None = None
        self._guard = allocate_lock()
        self._proofs = None
        self._tally = None
        # Opens the remotes that a sync plans with (engine/far_sources.py); None: nothing is fetched.
        self.far_opener = None
        self.opened_far = None

    @classmethod
    def open(cls, cwd: str, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Workspace:
        repo = Repo.discover(cwd, environ)
        settings = Settings(
            overrides or {}, environ, git_config.read_config(repo), load_project=lambda: _read(repo.root, PROJECT_FILE)
        )
        return cls(repo, settings, environ)

    @property
    def state(self) -> State:
        if self._state is None:
            self._state = State(self.repo.state_dir)
        return self._state

    def reload_state(self) -> State:
        """The state as it is on disk now: to be called whenever the worktree's lock was taken."""
        self._state = State(self.repo.state_dir)
        self._spare = None  # another process may have used the pool meanwhile
        self._working_set = None
        return self._state

    @property
    def working_set(self) -> WorkingSet:
        """Which assets this worktree holds on disk; read when first asked for. InvalidError where nobody knows."""
        if self._working_set is None:
            self._working_set = WorkingSet.load(self)
        return self._working_set

    @property
    def spare(self) -> SparePool:
        if self._spare is None:
            folder = os.path.join(self.repo.state_dir, "spare")
            self._spare = SparePool(folder, self.settings.get("spare.limit"))
        return self._spare

    @property
    def proofs(self):
        """What this machine has proven (engine/proofs.py); read when first asked for."""
        if self._proofs is None:
            from regen_vcs.engine.proofs import Proofs  # loads generators: not on the warm path

            self._proofs = Proofs(self)
        return self._proofs

    @property
    def tally(self):
        """What this command has to count (engine/tally.py); written when the workspace is closed."""
        if self._tally is None:
            from regen_vcs.engine.tally import Tally  # most commands have nothing to count

            self._tally = Tally(self.repo.shared_dir)
        return self._tally

    @property
    def uuid(self) -> str:
        """This repository's name in keep and in the trust store; made when first needed."""
        if self._uuid is None:
            self._uuid = self.settings.git_value("regen.uuid") or self._known_uuid() or self._make_uuid()
        return self._uuid

    def _known_uuid(self) -> str | None:
        """What another process has made since our settings were read."""
        known = git_config.read_config(self.repo).get("regen.uuid")
        return known.value if known else None

    def _make_uuid(self) -> str:
        # Once in a repository's life: not on the warm path.
        import uuid

        from regen_vcs.git.install import set_setting

        made = str(uuid.uuid4())
        set_setting(self.repo, "regen.uuid", made)
        return made

    @property
    def far(self):
        """The remotes that a sync plans with, opened when first asked for, or None."""
        if self.opened_far is None and self.far_opener is not None:
            opener, self.far_opener = self.far_opener, None
            self.opened_far = opener()
        return self.opened_far

    def close_far(self) -> None:
        """Nothing is fetched any more."""
        far, self.opened_far, self.far_opener = self.opened_far, None, None
        if far is not None:
            far.close()

    @property
    def link(self) -> str:
        return self.settings.get("link")

    def project_bytes(self) -> bytes | None:
        return _read(self.root, PROJECT_FILE)

    def asset_arg(self, argument: str, cwd: str) -> str:
        """A path on the command line (asset or sidecar, relative to `cwd`) as an asset path of this repository."""
        absolute = os.path.normpath(os.path.join(cwd, argument))
        parent = os.path.realpath(os.path.dirname(absolute))
        absolute = os.path.join(parent, os.path.basename(absolute))
        root = os.path.realpath(self.root)
        if absolute != root and not absolute.startswith(root.rstrip("/") + "/"):
            raise UsageError(f"{argument}: outside this repository ({root})", "assets live in the repository")
        path = os.path.relpath(absolute, root).replace(os.sep, "/")
        return path.removesuffix(".regen.json") if path.endswith(".regen.json") else path

    def register(self) -> None:
        """See to it that gc counts this repository among those that use the store; nearly free where it does. RegenError."""
        more = {} if self.repo.is_linked else {"root": self.root}
        Repos(self.stores.keep.root).register(self.uuid, self.repo.common_dir, **more)

    @property
    def lease(self) -> Lease:
        """What this process has found or made and nothing refers to yet; it ends with the workspace. Used from any thread."""
        with self._guard:
            if self._lease is None:
                self._lease = Lease(self.stores.keep.root)
            return self._lease

    def close(self) -> None:
        if self._lease is not None:
            self._lease.release()
        if self._tally is not None:
            self._tally.flush()
        self.memo.save()
        self.tree.close()


def _read(root: str, name: str) -> bytes | None:
    return read_regular(os.path.join(root, name), (1 << 20) + 1)
