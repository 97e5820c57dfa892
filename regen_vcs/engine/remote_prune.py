"""`remote prune`: what no declared repository refers to leaves a remote, in two steps that lie the grace apart.

The first run notes what is unreferenced and since when; nothing is removed that was not noted so at least the grace
ago and is so still. So no server's clock is asked, and what somebody pushes before their commits is safe as long.
"""

from __future__ import annotations

import json
import os
import time
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.engine.connections import Connections
from regen_vcs.engine.gc.names import names_in
from regen_vcs.engine.gc.roots import RepositoryRoots
from regen_vcs.engine.observe import read_manifest
from regen_vcs.engine.pins import pinned
from regen_vcs.engine.threading_over import over
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import Git
from regen_vcs.model.facts import facts_of
from regen_vcs.model.manifest import MAX_BYTES, parse_manifest
from regen_vcs.model.paths import SIDECAR_SUFFIX
from regen_vcs.platform.files import write_atomic
from regen_vcs.remote.base import Held, Remote, RemoteStore

# remove: what may go now; young: unreferenced, but not for as long as the grace; kept: how many are referred to.
PrunePlan = namedtuple("PrunePlan", ("remote", "remove", "young", "kept"))


class Declared:
    """What the declared repositories refer to: names of objects, of manifests among them, and keys."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.trees: set[str] = set()
        self.keys: set[str] = set()

    def add(self, path: str, ws: Workspace) -> None:
        """All that one repository refers to. UsageError where there is none; RegenError where it cannot be read whole."""
        common_dir, root = _locate(path, ws)
        looked = RepositoryRoots(common_dir, root, ws.environ, self._note_key)
        looked.look()
        if not looked.roots.is_whole:
            raise RegenError(f"{path}: a shallow or partial clone does not know all that is in use", "declare a full clone")
        if looked.missing:
            raise RegenError(f"{path}: a worktree of it is not there: {looked.missing[0].git_dir}", "git worktree prune, or mount it")
        self.names |= looked.roots.names
        self.trees |= looked.roots.trees

    def _note_key(self, document) -> None:
        path = getattr(document, "path", None) or f"asset{SIDECAR_SUFFIX}"
        facts = facts_of(document.data, path.removesuffix(SIDECAR_SUFFIX))
        self.keys |= {key for key in (facts.out_key, facts.own_key) if key}


def plan_prune(
    ws: Workspace, remote: Remote, repositories: Iterable[str], *, grace: float, progress: Callable[[str], None] | None = None
) -> PrunePlan:
    """What may leave a remote. repositories: paths in all that use it; this one counts too. grace: seconds.

    What is unreferenced is noted with the time, for the next run. RegenError where a repository cannot be read whole.
    """
    declared = Declared()
    for path in dict.fromkeys([ws.root, *repositories]):
        if progress:
            progress(path)
        declared.add(path, ws)
    with Connections(ws, [remote]) as connections:
        store = connections.open(remote)
        held = {each.hash: each for each in store.list_objects()}
        used = declared.names | pinned(ws.stores.keep.root).keys()
        used |= _inputs(store, declared.keys)
        used |= _members(ws, store, [hash for hash in declared.trees if hash in held])
    unused = [each for hash, each in held.items() if hash not in used]
    ages = _note_unused(ws, remote, unused)
    ripe = [each for each in unused if ages[each.hash] >= grace]
    young = [each for each in unused if ages[each.hash] < grace]
    return PrunePlan(remote, ripe, young, len(held) - len(unused))


def prune(ws: Workspace, plan: PrunePlan) -> None:
    """Remove what the plan says. Refused where the remote is read-only."""
    with Connections(ws, [plan.remote]) as connections:
        connections.open(plan.remote).remove_objects([each.hash for each in plan.remove])
        for each in plan.remove:
            connections.known(plan.remote).note_absent(each.hash)
    notes = _read_notes(ws, plan.remote)
    for each in plan.remove:
        notes.pop(each.hash, None)
    _write_notes(ws, plan.remote, notes)


def _locate(path: str, ws: Workspace) -> tuple[str, str | None]:
    """(common git folder, worktree or None for a bare repository) of a declared repository."""
    if not os.path.isdir(path):
        raise UsageError(f"{path}: there is no such folder")
    try:
        repo = Repo.discover(path, ws.environ)
        return repo.common_dir, None if repo.is_linked else repo.root
    except UsageError as error:
        git = Git(os.path.abspath(path), {name: value for name, value in ws.environ.items() if not name.startswith("GIT_DIR")})
        answer = git.result("rev-parse", "--is-bare-repository", "--path-format=absolute", "--git-common-dir")
        words = answer.stdout.decode("utf-8", "surrogateescape").split("\n")
        if answer.status or words[0] != "true":
            raise UsageError(f"{path}: is no git repository", "name every repository that uses the remote") from error
        return words[1], None


def _inputs(store: RemoteStore, keys: Iterable[str]) -> set[str]:
    """What the recorded takes of these keys were made from, and what they name besides."""
    found: set[str] = set()
    for _, records, error in over(lambda key: list(store.records(key)), keys):
        if error is not None:
            raise error
        for _, data in records:
            found |= names_in(data)
    return found


def _members(ws: Workspace, store: RemoteStore, trees: list[str]) -> set[str]:
    """The files of what may be manifests. RegenError where one cannot be read: then nothing is known of its files."""
    found: set[str] = set()

    def members(hash: str) -> list[str]:
        try:
            if ws.stores.has(hash):
                return [member.hash for member in read_manifest(ws.stores, hash)]
            return [member.hash for member in parse_manifest(_read(store, hash))]
        except InvalidError:
            return []  # an object that some text takes for a manifest, and is none

    for _, hashes, error in over(members, trees):
        if error is not None:
            raise error
        found.update(hashes)
    return found


def _read(store: RemoteStore, hash: str) -> bytes:
    data = b""
    for chunk in store.open_object(hash) or ():
        data += chunk
        if len(data) > MAX_BYTES:
            raise InvalidError("no manifest is as large")
    return data


def _note_unused(ws: Workspace, remote: Remote, unused: list[Held]) -> dict[str, float]:
    """{hash: seconds since it was first seen unreferenced}; what is referred to again is forgotten."""
    now = time.time()
    before = _read_notes(ws, remote)
    notes = {each.hash: min(before.get(each.hash, now), now) for each in unused}
    _write_notes(ws, remote, notes)
    return {hash: now - since for hash, since in notes.items()}


def _notes_path(ws: Workspace, remote: Remote) -> str:
    return f"{ws.repo.shared_dir}/prune/{remote.name}.json"


def _read_notes(ws: Workspace, remote: Remote) -> dict[str, float]:
    try:
        with open(_notes_path(ws, remote), encoding="ascii") as file:
            document = json.load(file)
        if document["url"] != remote.url:
            return {}
        return {str(hash): float(since) for hash, since in document["unused"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_notes(ws: Workspace, remote: Remote, notes: dict[str, float]) -> None:
    path = _notes_path(ws, remote)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomic(path, json.dumps({"unused": notes, "url": remote.url}).encode())
