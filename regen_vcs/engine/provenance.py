"""Where an asset comes from: its recipe with the state of its inputs, its takes, its log, and its last commit.

Also `Past`: what the repository held at earlier commits, for whoever compares then with now.
"""

from __future__ import annotations

import functools
import os
from collections import namedtuple
from collections.abc import Iterable

from regen_vcs.engine.desired import Desired, read_sidecar_bytes
from regen_vcs.engine.in_place_filter import looks_like_document
from regen_vcs.engine.sidecars import has_sidecar
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.status import Status, Survey, in_store, survey
from regen_vcs.engine.takes import output_of_record
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git.index import blob_oid
from regen_vcs.git.repo import Repo
from regen_vcs.model.key import hash_bytes
from regen_vcs.model.paths import sidecar_of
from regen_vcs.model.recipe import Recipe, parse_recipe, recipe_to_json

# How far back `Past` looks: each commit costs a few calls of git.
COMMIT_LIMIT = 50
# Sidecars, code and regen.toml are read again and again; a plate of a gigabyte is read once and let go.
_REMEMBERED_BYTES = 1 << 20

Found = namedtuple("Found", ("survey", "status", "desired"))


def find_asset(ws: Workspace, path: str) -> Found:
    """The asset among all of them. RegenError where there is no sidecar for it."""
    everything = survey(ws)
    status = next((each for each in everything.statuses if each.path == path), None)
    desired = everything.snapshot.assets.get(path)
    if status is None or desired is None:
        what = f"{path}: {status.reason}" if status else f"{path}: there is no recipe for it"
        unknown = desired is None and has_sidecar(ws, path)
        raise RegenError(what, f"git does not know its sidecar yet: git add {sidecar_of(path)}" if unknown else "see: regen-vcs status")
    return Found(everything, status, desired)


def readable_recipe(snapshot: Snapshot, desired: Desired, status: Status) -> Recipe:
    """The asset's recipe. InvalidError where its sidecar is damaged, in conflict, or not on disk."""
    if desired.facts.problem:
        raise InvalidError(desired.facts.problem[1], desired.facts.problem[2])
    if desired.unmerged:
        raise InvalidError(f"{desired.path}: {status.reason}", "resolve the conflict, then: git add")
    if desired.side_sig is None:
        raise InvalidError(f"{desired.path}: {status.reason}")
    return snapshot.inputs.recipe_of(desired)


def describe(ws: Workspace, path: str) -> dict:
    """Everything `show` tells of one asset, as JSON (docs/commands.md has the shape)."""
    everything, status, desired = find_asset(ws, path)
    snapshot = everything.snapshot
    recipe = readable_recipe(snapshot, desired, status)
    document = recipe_to_json(recipe)
    return {
        "path": path,
        "sidecar": document_path(snapshot, path),
        "state": status.state,
        "reason": status.reason,
        "generator": recipe.generator,
        "definition": document.get("definition"),
        "definition_current": _definition_current(snapshot, recipe),
        "models": document.get("models", {}),
        "params": document.get("params", {}),
        "inputs": describe_inputs(everything, desired),
        "key": status.key,
        "output": document.get("output"),
        "on_disk": _prefixed(status.on_disk),
        "in_store": in_store(ws, desired),
        "review": recipe.review,
        "meta": document.get("meta", {}),
        "takes": list_takes(ws, status, desired),
        "failure": _failure(ws, path),
        "commit": last_commit(ws.repo, document_path(snapshot, path)),
        "committed": _is_committed(snapshot, path),
    }


def _definition_current(snapshot: Snapshot, recipe: Recipe) -> bool | None:
    """Whether the sidecar's definition is what regen.toml and its code say here; None where it needs none."""
    if recipe.generator is None or ":" not in recipe.generator:
        return None
    return snapshot.definitions.is_current(recipe.generator, recipe.definition)


# ---------------------------------------------------------------- inputs


def describe_inputs(everything: Survey, desired: Desired) -> list[dict]:
    """[{"name", "value", "path", "kind", "state", "hash"}]: `value` as spelt, `path` from the root, hash of the bytes.

    kind: "asset" (state: that asset's own), "file" (ok, edited, untracked, missing) or "root" (ok, missing, unmapped).
    """
    inputs = everything.snapshot.inputs
    try:
        targets = inputs.targets(desired)
    except InvalidError:
        return []
    states = {each.path: each.state for each in everything.statuses}
    edited = set(inputs.edited(list(targets.values())))
    return [
        {
            "name": name,
            "value": desired.facts.inputs[name],
            "path": target,
            "kind": "root" if target.startswith("@") else "asset" if inputs.is_asset(target) else "file",
            "state": input_state(everything.snapshot, states, edited, target),
            "hash": _prefixed(inputs.hash_of(target)),
        }
        for name, target in targets.items()
    ]


def input_state(snapshot: Snapshot, states: dict[str, str], edited: set[str], target: str) -> str:
    inputs = snapshot.inputs
    if target.startswith("@"):
        if not inputs.roots.is_mapped(target):
            return "unmapped"
        return "ok" if inputs.hash_of(target) else "missing"
    if inputs.is_asset(target):
        return states.get(target, "missing")
    if inputs.oid_of(target) is None:
        return "untracked" if os.path.isfile(f"{snapshot.ws.root}/{target}") else "missing"
    return "edited" if target in edited else "ok"


# ---------------------------------------------------------------- takes


def list_takes(ws: Workspace, status: Status, desired: Desired) -> list[dict]:
    """Every observation of the current key and of the accepted output's key, oldest first.

    [{"hash", "key", "current", "at", "seconds", "cost", "generator_version", "environment", "size", "accepted", "on_disk",
    "in_store", "log"}]; `current`: of the recipe as it is now.
    """
    return [describe_take(ws, status, desired, record) for record in take_records(ws, status, desired)]


def take_records(ws: Workspace, status: Status, desired: Desired, earlier: Iterable[str] = ()) -> list[dict]:
    """What `list_takes` describes, as `Results.takes` has it; before them those of earlier keys."""
    keys = dict.fromkeys(key for key in (*earlier, desired.facts.out_key, status.key) if key)
    return [record for key in keys for record in ws.results.takes(key)]


def describe_take(ws: Workspace, status: Status, desired: Desired, record: dict) -> dict:
    """One of `list_takes`."""
    digest = record["output_hash"]
    output = output_of_record(record, record["key"])
    return {
        "hash": _prefixed(digest),
        "key": record["key"],
        "current": record["key"] == status.key,
        "at": record.get("at"),
        "seconds": record.get("seconds"),
        "cost": record.get("cost"),
        "generator_version": record.get("generator_version"),
        "environment": record.get("environment"),
        "size": output.size if output else None,
        "accepted": digest == desired.facts.out_hash,
        "on_disk": digest == status.on_disk,
        "in_store": has_all(ws.stores, digest, bool(output) and output.is_tree),
        "log": record.get("log"),
    }


# ---------------------------------------------------------------- logs


def _failure(ws: Workspace, path: str) -> dict | None:
    found = ws.state.failed.get(path)
    if not found:
        return None
    return {"reason": found["reason"], "at": found["at"], "log": found["log"], "lines": read_log(ws, found["log"])}


def read_log(ws: Workspace, digest: str | None) -> list[str] | None:
    """The lines a generator printed; None where there is no log, or it is in no store any more."""
    if not digest or not ws.stores.has(digest):
        return None
    return ws.stores.read_bytes(digest).decode("utf-8", "replace").splitlines()


# ---------------------------------------------------------------- history


def document_path(snapshot: Snapshot, path: str) -> str:
    """Under which path git has an asset's recipe: its sidecar's, or its own."""
    return path if path in snapshot.in_place else sidecar_of(path)


def last_commit(repo: Repo, path: str) -> dict | None:
    """{"id", "author", "at", "subject"} of the commit that last changed a file; None where none has."""
    answer = repo.git.result("--literal-pathspecs", "log", "-1", "--format=%H%x00%an%x00%aI%x00%s", "--", path)
    if answer.status or not answer.stdout:
        return None
    fields = answer.stdout.decode("utf-8", "surrogateescape").rstrip("\n").split("\0")
    return dict(zip(("id", "author", "at", "subject"), fields, strict=True))


def _is_committed(snapshot: Snapshot, path: str) -> bool:
    """Whether the sidecar on disk, or the document in the index, is the one in HEAD."""
    repo, kept = snapshot.ws.repo, snapshot.in_place.get(path)
    here = kept.entry.oid if kept else blob_oid(read_sidecar_bytes(repo.root, path), repo.oid_format)
    named = f"HEAD:{document_path(snapshot, path)}"
    answer = repo.git.result("rev-parse", "--verify", "--quiet", "--end-of-options", named)
    return answer.stdout.decode().strip() == here


class Past:
    """The repository as it was at the last commits that touched `paths`: newest first, at most COMMIT_LIMIT."""

    def __init__(self, ws: Workspace, paths: list[str]):
        self._git, self._memo = ws.repo.git, ws.memo
        self._paths = list(dict.fromkeys(paths))
        self._oids: dict[tuple[str, str], str | None] = {}
        self._blobs: dict[str, bytes] = {}
        self._names: dict[str, list[str]] = {}

    @functools.cached_property
    def commits(self) -> list[str]:
        argv = ("--literal-pathspecs", "log", f"-{COMMIT_LIMIT}", "--format=%H", "--", *self._paths)
        answer = self._git.result(*argv)
        commits = [] if answer.status else answer.stdout.decode().split()
        self._ask_oids([(commit, path) for commit in commits for path in self._paths])
        return commits

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's blob at a commit, never converted; None where there was none."""
        oid = self._oid(commit, path)
        if oid is None:
            return None
        if oid not in self._blobs:
            data = self._git.out("cat-file", "blob", oid)
            if len(data) > _REMEMBERED_BYTES:
                return data
            self._blobs[oid] = data
        return self._blobs[oid]

    def hash(self, commit: str, path: str) -> str | None:
        """BLAKE3 of a file's blob at a commit; None where there was none."""
        oid = self._oid(commit, path)
        known = self._memo.get(f"b:{oid}") if oid else None
        if oid is None or known is not None:
            return known
        data = self.read(commit, path)
        if data is None:
            return None
        digest = hash_bytes(data)
        self._memo.put(f"b:{oid}", digest)
        return digest

    def recipe(self, commit: str, path: str) -> Recipe | None:
        """The asset's recipe at a commit; None where it had none that can be read."""
        data = self.read(commit, sidecar_of(path)) or self._read_document(commit, path)
        try:
            return parse_recipe(data, sidecar_of(path)) if data is not None else None
        except InvalidError:
            return None

    def _read_document(self, commit: str, path: str) -> bytes | None:
        """The same of an asset that was kept in place."""
        data = self.read(commit, path)
        return data if data is not None and looks_like_document(data) else None

    def names(self, commit: str) -> list[str]:
        """The path of every file at a commit."""
        if commit not in self._names:
            records = self._git.lines0("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
            self._names[commit] = [name.decode("utf-8", "surrogateescape") for name in records]
        return self._names[commit]

    def _oid(self, commit: str, path: str) -> str | None:
        if (commit, path) not in self._oids:
            self._ask_oids([(commit, path)])
        return self._oids[commit, path]

    def _ask_oids(self, wanted: list[tuple[str, str]]) -> None:
        """One git for all of them. A line break in a name would end its question: such a file counts as not there."""
        asked = [(commit, path) for commit, path in wanted if "\n" not in path]
        self._oids.update(dict.fromkeys(wanted))
        request = "".join(f"{commit}:{path}\n" for commit, path in asked).encode("utf-8", "surrogateescape")
        answer = self._git.result("cat-file", "--batch-check=%(objecttype) %(objectname)", input=request)
        for each, line in zip(asked, answer.stdout.split(b"\n"), strict=False):
            kind, _, oid = line.partition(b" ")
            if kind == b"blob":
                self._oids[each] = oid.decode()


def _prefixed(digest: str | None) -> str | None:
    return f"blake3:{digest}" if digest else None
