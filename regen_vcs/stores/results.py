"""What is known about objects: observations of runs, recipes by key, the rescue log, who uses this store.

All of it lies in keep, in files that are written once (`results/`, `recipes/`), appended to (`rescued/`) or replaced
whole (`repos/`). Reading tolerates anything: a file that is garbage is a miss, never an error. Hot path.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.platform import files
from regen_vcs.stores import durable

_MAX_RECORD = 1 << 20  # bytes: as a sidecar
_NAME_LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")


class Results:
    """`<keep>/v1/results/<kk>/<key>/<output>/<record hash>.json` and `<keep>/v1/recipes/<kk>/<key>.json`."""

    def __init__(self, keep_root: str):
        self.root = keep_root
        self.pending: durable.Batch | None = None

    def batch(self) -> durable.Batching:
        """A context in which records become visible together, at its end: two flushes in place of two per record."""
        return durable.Batching(self, self.root)

    def record(self, key: str, output_hash: str, record: dict) -> str:
        """Keep one observation for ever, as it is; its name (hash). The same record twice is one.

        InvalidError for what is no JSON; RegenError if it cannot be kept.
        """
        data = canonical_bytes(record)
        name = blake3(data).hexdigest()
        self._write(f"{self._takes_folder(key)}/{_hex64(output_hash)}/{name}.json", data)
        return name

    def takes(self, key: str) -> list[dict]:
        """All observations of a key, oldest first by `at`.

        Each is the record with `key`, `output_hash` and `record` (its name) added, as its path gives them.
        """
        found = [record for _, record in self._read_takes(key) if record is not None]
        return sorted(found, key=lambda record: (str(record.get("at", "")), record["record"]))

    def broken(self) -> Iterator[str]:
        """The paths of all files among the results that are no record, or not the one their name says."""
        for shard in _list_dir(f"{self.root}/results"):
            for key in _list_dir(f"{self.root}/results/{shard}"):
                if not _is_hex64(key) or key[:2] != shard:
                    yield f"{self.root}/results/{shard}/{key}"
                    continue
                for path, record in self._read_takes(key):
                    if record is None:
                        yield path

    def keys(self) -> Iterator[str]:
        """All keys that have observations."""
        for shard in _list_dir(f"{self.root}/results"):
            for key in _list_dir(f"{self.root}/results/{shard}"):
                if _is_hex64(key) and key[:2] == shard:
                    yield key

    def save_recipe(self, key: str, data: bytes) -> None:
        """Keep a recipe's text under its key, so that parameters survive the loss of every sidecar. RegenError."""
        self._write(self._recipe_path(key), data)

    def recipe(self, key: str) -> bytes | None:
        """The text kept for a key, or None."""
        return _read_file(self._recipe_path(key))

    def _takes_folder(self, key: str) -> str:
        return f"{self.root}/results/{_hex64(key)[:2]}/{key}"

    def _recipe_path(self, key: str) -> str:
        return f"{self.root}/recipes/{_hex64(key)[:2]}/{key}.json"

    def _read_takes(self, key: str) -> Iterator[tuple[str, dict | None]]:
        """(path, record or None for garbage) of everything under a key; temporaries are passed over."""
        folder = self._takes_folder(key)
        for output in _list_dir(folder):
            for name in _list_dir(f"{folder}/{output}"):
                if not name.startswith(durable.TEMP_PREFIX):
                    path = f"{folder}/{output}/{name}"
                    yield path, _read_record(path, key, output, name)

    def _write(self, final: str, data: bytes) -> None:
        """An immutable file: one that is there already, whole, is left as it is."""
        if _read_file(final) == data or (self.pending is not None and final in self.pending):
            return
        try:
            if self.pending is None:
                durable.write_durably(final, data)
                return
            fd, temp = durable.create_temp(os.path.dirname(final), self.pending)
            try:
                files.write_all(fd, data)
            except BaseException:
                files.remove_file(temp)
                raise
            finally:
                os.close(fd)
            self.pending.add(temp, final)
        except OSError as error:
            raise files.write_error(error, f"writing a record in {self.root}") from error


def _read_record(path: str, key: str, output: str, name: str) -> dict | None:
    """A record that is what its name says; None for anything else."""
    data = _read_file(path)
    if data is None or f"{blake3(data).hexdigest()}.json" != name:
        return None
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not _is_hex64(output):
        return None
    return {**record, "key": key, "output_hash": output, "record": name.removesuffix(".json")}


class RescueLog:
    """`<keep>/v1/rescued/<repository>.jsonl`: what was in the way of a sync, and where its bytes went.

    An object named here is a root for gc.
    """

    def __init__(self, keep_root: str):
        self.folder = f"{keep_root}/rescued"

    def add(self, repo: str, worktree: str, path: str, hash: str, size: int, why: str) -> None:
        """Note that the bytes at `path` are in keep as `hash`; on the disk before it returns. RegenError."""
        entry = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "hash": hash,
            "path": path,
            "repo": repo,
            "size": size,
            "why": why,
            "worktree": worktree,
        }
        # surrogates (names that are no UTF-8) are escaped; LF first ends a line that a crash tore
        line = f"\n{json.dumps(entry, sort_keys=True)}\n".encode()
        try:
            _append_durably(f"{self.folder}/{_file_name(repo)}.jsonl", line)
        except OSError as error:
            raise files.write_error(error, f"noting the rescue of {path}") from error

    def entries(self, repo: str | None = None) -> list[dict]:
        """What was rescued, oldest first, from one repository or from all. Torn lines are passed over."""
        names = _list_dir(self.folder) if repo is None else [f"{_file_name(repo)}.jsonl"]
        found = []
        for name in names:
            if name.endswith(".jsonl"):
                found.extend(_json_lines(f"{self.folder}/{name}"))
        return sorted(found, key=lambda entry: str(entry.get("at", "")))


class Repos:
    """`<keep>/v1/repos/<uuid>/`: who uses this store: `repo.json` {path, last_seen}, and files that gc keeps there."""

    def __init__(self, keep_root: str):
        self.folder = f"{keep_root}/repos"

    def register(self, uuid: str, path: str, **more: object) -> None:
        """Note where a repository is (its common git folder, absolute) and that it was seen now. RegenError."""
        entry = {**more, "last_seen": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "path": path}
        self.save(uuid, "repo.json", json.dumps(entry, sort_keys=True).encode())

    def entries(self) -> dict[str, dict]:
        """{uuid: {"path", "last_seen", …}} of all registered repositories."""
        found = {}
        for uuid in sorted(_list_dir(self.folder)):
            entry = _parse_object(_read_file(f"{self.folder}/{uuid}/repo.json"))
            if entry is not None:
                found[uuid] = entry
        return found

    def save(self, uuid: str, name: str, data: bytes) -> None:
        """Replace one of a repository's files (its last root set, …), durably. RegenError."""
        folder = f"{self.folder}/{_file_name(uuid)}"
        try:
            durable.make_folder(folder)
            files.write_atomic(f"{folder}/{_file_name(name)}", data, durable=True)
        except OSError as error:
            raise files.write_error(error, f"writing {folder}/{name}") from error

    def load(self, uuid: str, name: str) -> bytes | None:
        """One of a repository's files, of any size; None if there is none."""
        return _read_file(f"{self.folder}/{_file_name(uuid)}/{_file_name(name)}", limit=None)

    def forget(self, uuid: str) -> None:
        """Take a repository off the list. What only it needed may be swept afterwards."""
        folder = f"{self.folder}/{_file_name(uuid)}"
        for name in _list_dir(folder):
            files.remove_file(f"{folder}/{name}")
        try:
            os.rmdir(folder)
        except OSError:
            pass  # never there, or somebody registered it just now


def _append_durably(path: str, line: bytes) -> None:
    """One write to the end: lines of two processes never mix. OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | files.O_CLOEXEC | files.O_BINARY
    fresh = not os.path.exists(path)
    if fresh:
        durable.make_folder(os.path.dirname(path))
    fd = os.open(path, flags, 0o644)
    try:
        files.write_all(fd, line)
        files.flush_file(fd)
    finally:
        os.close(fd)
    if fresh:
        files.fsync_dir(os.path.dirname(path))


def _json_lines(path: str) -> Iterator[dict]:
    for line in (_read_file(path, limit=None) or b"").split(b"\n"):
        entry = _parse_object(line)
        if entry is not None:
            yield entry


def _parse_object(data: bytes | None) -> dict | None:
    try:
        value = json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_file(path: str, limit: int | None = _MAX_RECORD) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            if limit is None:
                return file.read()
            data = file.read(limit + 1)
            return data if len(data) <= limit else None
    except OSError:
        return None


def _list_dir(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_hex64(name: str) -> bool:
    return len(name) == 64 and name.isalnum()


def _hex64(name: str) -> str:
    if not _is_hex64(name):
        raise InvalidError(f"{name!r}: not 64 hexadecimal digits")
    return name


def _file_name(name: str) -> str:
    """A name that came from a configuration file, as one path component. InvalidError."""
    bare = name.replace(".", "")
    if not bare or not _NAME_LETTERS.issuperset(bare) or name.startswith("."):
        raise InvalidError(f"{name!r}: not a name for a file in the store")
    return name
