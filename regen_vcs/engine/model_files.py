"""Models on this machine: where a name is found, and the hash of what lies there, computed once.

Where to look is the user's to say (`modelPath`, and the Hugging Face cache by its own rules); a repository only
names models. docs/models.md has the order of search and the definition of the hash.
"""

from __future__ import annotations

import json
import os
import time
from collections import namedtuple
from collections.abc import Iterator, Mapping

from blake3 import blake3

from regen_vcs.engine.config import Settings
from regen_vcs.engine.memory import is_racy, sig_of
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.generators.model_hash import OnBytes, hash_file, hash_model
from regen_vcs.model.model_reference import (
    algorithm_of,
    check_model_name,
    hub_folder,
    is_revision,
)
from regen_vcs.model.recipe import Model
from regen_vcs.platform.files import FileLock, read_regular, write_atomic

# state: "here", "missing", or "differs" (something of that name is here, but other bytes).
# path: what was found; hash: of it, "sha256:…", None where nobody asked for it.
Located = namedtuple("Located", ("state", "path", "hash"))

# A folder holding one of these is a model as a whole.
_FOLDER_MARKS = frozenset({"model_index.json", "config.json"})
_MAX_ENTRIES = 500_000
_ENTRY_BYTES = 1 << 16


class HashCache:
    """Stat → hash, one small file a model file, below the cache folder; any number of processes at once."""

    def __init__(self, folder: str):
        self._folder = folder

    def digest(self, path: str, algorithm: str, on_bytes: OnBytes = lambda count: None) -> str:
        """Hex digest of a file: remembered, or computed now by exactly one of the processes that ask."""
        path = os.path.realpath(path)
        known = self._known(path, algorithm)
        if known:
            return known
        os.makedirs(self._folder, exist_ok=True)
        lock = FileLock(self._entry(path) + ".lock")
        while not lock.acquire(timeout=0.5):
            on_bytes(0)  # so that whoever waits can be cancelled
        try:
            return self._known(path, algorithm) or self._compute(path, algorithm, on_bytes)
        finally:
            lock.release()

    def paths_with(self, digest: str) -> Iterator[str]:
        """Files remembered under "sha256:…" that are still what they were: how a renamed model is found."""
        algorithm, _, digits = digest.partition(":")
        try:
            names = sorted(name for name in os.listdir(self._folder) if name.endswith(".json"))
        except OSError:
            return
        for name in names:
            entry = _read_entry(f"{self._folder}/{name}")
            path = entry.get("path")
            if isinstance(path, str) and entry["hashes"].get(algorithm) == digits and self._known(path, algorithm):
                yield path

    def _entry(self, path: str) -> str:
        return f"{self._folder}/{blake3(path.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}.json"

    def _known(self, path: str, algorithm: str) -> str | None:
        entry = _read_entry(self._entry(path))
        try:
            sig = sig_of(os.stat(path))
        except OSError:
            return None
        if entry.get("path") != path or entry.get("sig") != sig or is_racy(sig, entry["at_ns"]):
            return None
        found = entry["hashes"].get(algorithm)
        return found if isinstance(found, str) else None

    def _compute(self, path: str, algorithm: str, on_bytes: OnBytes) -> str:
        st = os.stat(path)
        sig, seen_at = sig_of(st), time.time_ns()
        digest = hash_file(path, algorithm, on_bytes)
        old = _read_entry(self._entry(path))
        hashes = old["hashes"] if old.get("sig") == sig and not is_racy(sig, old["at_ns"]) else {}
        entry = {"path": path, "sig": sig, "at_ns": seen_at, "hashes": {**hashes, algorithm: digest}}
        write_atomic(self._entry(path), json.dumps(entry).encode("utf-8", "surrogatepass"))
        return digest


class ModelFiles:
    """The models of this machine.

    folders: absolute, in the order of search. hub_cache: the Hugging Face cache. hashes: what is remembered.
    """

    def __init__(self, folders: list[str], hub_cache: str, hashes: HashCache):
        self.folders, self.hub_cache, self._hashes = folders, hub_cache, hashes
        self._by_name: dict[str, list[str]] | None = None

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str]) -> ModelFiles:
        hashes = HashCache(os.path.join(settings.get("cacheDir"), "v1", "models"))
        return cls(settings.get("modelPath") or [], hub_cache_dir(environ), hashes)

    def locate(self, model: Model, *, hash_it: bool = False, on_bytes: OnBytes = lambda count: None) -> Located:
        """Where a recipe's model is. One with a hash is only `here` when its bytes were checked against it.

        hash_it: compute the hash of one without, too. InvalidError for a name that is none.
        """
        candidates = self.candidates(model)
        if model.hash is None:
            if not candidates:
                return Located("missing", None, None)
            found = self.hash_of(candidates[0], on_bytes=on_bytes) if hash_it else None
            return Located("here", candidates[0], found)
        algorithm = algorithm_of(model.hash)
        other = None
        for path in candidates:
            found = self.hash_of(path, algorithm, on_bytes)
            if found == model.hash:
                return Located("here", path, found)
            other = other or Located("differs", path, found)
        renamed = next(self._hashes.paths_with(model.hash), None)
        if renamed:
            return Located("here", renamed, model.hash)
        return other or Located("missing", None, None)

    def hash_of(self, path: str, algorithm: str = "sha256", on_bytes: OnBytes = lambda count: None) -> str:
        """"sha256:…" of a model that lies here. RegenError where it cannot be read."""
        try:
            return hash_model(path, algorithm, on_bytes, digest_of=self._hashes.digest)
        except OSError as error:
            raise RegenError(f"{error.filename or path}: cannot be read: {error.strerror}") from None

    def candidates(self, model: Model) -> list[str]:
        """Everything of that name, the likeliest first: exactly there, then deeper in a folder, then the hub's cache."""
        if model.name is None:
            return []
        check_model_name(model.name)
        found = [path for folder in self.folders if _is_model(path := os.path.join(folder, model.name))]
        base = model.name.rpartition("/")[2]
        if self.folders:
            ending = f"/{model.name}"
            found += [path for path in self._named(base) if path.replace(os.sep, "/").endswith(ending)]
        found += self._hub_snapshots(model)
        return list({os.path.realpath(path): path for path in reversed(found)}.values())[::-1]

    def _named(self, base: str) -> list[str]:
        if self._by_name is None:
            self._by_name = {}
            for path in _walk_models(self.folders):
                self._by_name.setdefault(os.path.basename(path), []).append(path)
        return self._by_name.get(base, [])

    def _hub_snapshots(self, model: Model) -> list[str]:
        """Of a hub id: the snapshot of its version, and, where a hash can tell, all others."""
        name = hub_folder(model.name)
        folder = name and os.path.join(self.hub_cache, name)
        if not folder or not os.path.isdir(folder):
            return []
        revision = model.version or "main"
        found = []
        if is_revision(revision):
            named = _read_text(os.path.join(folder, "refs", *revision.split("/")))
            found = [os.path.join(folder, "snapshots", each) for each in (named, revision) if each and "/" not in each]
        if model.hash:
            found += [entry.path for entry in _scan(os.path.join(folder, "snapshots"))]
        return [path for path in dict.fromkeys(found) if os.path.isdir(path)]


def hub_cache_dir(environ: Mapping[str, str]) -> str:
    """The Hugging Face cache, by that library's own rules."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environ.get(name):
            return _expanded(environ[name], environ)
    home = environ.get("HF_HOME")
    if not home:
        home = os.path.join(environ.get("XDG_CACHE_HOME") or os.path.join(_home(environ), ".cache"), "huggingface")
    return os.path.join(_expanded(home, environ), "hub")


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _expanded(path: str, environ: Mapping[str, str]) -> str:
    return os.path.join(_home(environ), path[2:]) if path.startswith("~/") else path


def _is_model(path: str) -> bool:
    return os.path.isfile(path) or (os.path.isdir(path) and any(os.path.isfile(f"{path}/{mark}") for mark in _FOLDER_MARKS))


def _walk_models(folders: list[str]) -> Iterator[str]:
    """Every file, and every folder that is a model, sorted within a folder. Links are followed, each place once."""
    seen: set[str] = set()
    count = 0
    for folder in folders:
        for here, inner, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(here)
            if real in seen:
                inner[:] = []
                continue
            seen.add(real)
            inner.sort()
            count += len(names)
            if count > _MAX_ENTRIES:
                raise RegenError(f"{folder}: more than {_MAX_ENTRIES:,} files", "let modelPath name folders of models only")
            if here != folder and not _FOLDER_MARKS.isdisjoint(names):
                yield here
            yield from (os.path.join(here, name) for name in sorted(names))


def _scan(folder: str) -> list[os.DirEntry]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []


def _read_text(path: str) -> str | None:
    try:
        data = read_regular(path, 200)
    except InvalidError:
        return None
    return data.decode("ascii", "replace").strip() if data else None


def _read_entry(path: str) -> dict:
    """A remembered hash; {} with the same keys where there is none, or it is damaged: then it is computed again."""
    empty = {"hashes": {}, "at_ns": 0}
    try:
        data = read_regular(path, _ENTRY_BYTES)
        entry = json.loads(data) if data else empty
    except (ValueError, InvalidError, RecursionError):
        return empty
    sound = isinstance(entry, dict) and isinstance(entry.get("hashes"), dict) and isinstance(entry.get("at_ns"), int)
    return entry if sound else empty
