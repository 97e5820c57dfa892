"""What is known about objects: observations of runs, recipes by key, the rescue log, who uses this store.

All of it lies in keep, in files that are written once (`results/`, `recipes/`), appended to (`rescued/`) or replaced
whole (`repos/`). Reading tolerates anything: a file that is garbage is a miss, never an error. Hot path.
"""

from __future__ import annotations

import json
import os
import time
from collections import namedtuple
from collections.abc import Iterable, Iterator

from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.platform import files
from regen_vcs.stores import durable

_MAX_RECORD = 1 << 20  # bytes: as a sidecar
_DAY = 86400.0
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

    def recipe_keys(self) -> Iterator[str]:
        """All keys whose recipes are kept."""
        for shard in _list_dir(f"{self.root}/recipes"):
            for name in _list_dir(f"{self.root}/recipes/{shard}"):
                key = name.removesuffix(".json")
                if _is_hex64(key) and key[:2] == shard:
                    yield key

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


class Place(namedtuple("_Place", ("uuid", "tag", "path", "entry"))):
    """Where a repository was seen. path: its common git folder, absolute; "" where this file is damaged. tag: in files' names."""

    __slots__ = ()

    @property
    def last_seen(self) -> str:
        """`2026-11-22T10:00:00Z`."""
        return str(self.entry.get("last_seen", ""))

    @property
    def root(self) -> str | None:
        """The main worktree, absolute, if known."""
        root = self.entry.get("root")
        return root if isinstance(root, str) else None


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

    def forget(self, hash: str) -> bool:
        """Say of every entry with these bytes that nobody wants them any more; whether there was one. RegenError."""
        found = False
        for name in _list_readable(self.folder):
            path = f"{self.folder}/{name}"
            if name.endswith(".jsonl") and any(each.get("hash") == hash for each in _standing(_json_lines(path))):
                line = f"\n{json.dumps({'forgotten': hash}, sort_keys=True)}\n".encode()
                try:
                    _append_durably(path, line)
                except OSError as error:
                    raise files.write_error(error, f"writing {path}") from error
                found = True
        return found

    def entries(self, repo: str | None = None) -> list[dict]:
        """What was rescued, oldest first, from one repository or from all. Torn lines are passed over.

        RegenError where a log is there and cannot be read: what it names would pass for nobody's.
        """
        names = _list_readable(self.folder) if repo is None else [f"{_file_name(repo)}.jsonl"]
        found = []
        for name in names:
            if name.endswith(".jsonl"):
                found.extend(_standing(_json_lines(f"{self.folder}/{name}")))
        return sorted(found, key=lambda entry: str(entry.get("at", "")))


class Repos:
    """`<keep>/v1/repos/<uuid>/`: who uses this store. Of each repository a file for every place it was seen at (a copy has
    the same uuid), and files that gc keeps there.

        place-<tag>.json    {"path": its common git folder, "root": its main worktree, "inode", "last_seen"}
    """

    _PLACE = "place-"

    def __init__(self, keep_root: str):
        self.folder = f"{keep_root}/repos"

    def register(self, uuid: str, path: str, **more: object) -> None:
        """Note where a repository is (its common git folder, absolute) and that it was seen now. RegenError.

        more: what else its entry says, such as `root`, its main worktree; what an earlier one said stays. Costs one small
        read where all that is known and was said within a day. A repository that was moved, as its folder's inode shows,
        leaves its old place.
        """
        name = self._name_of(path)
        file = f"{self.folder}/{_file_name(uuid)}/{name}"
        known = _parse_object(_read_file(file))
        entry = {**(known or {}), **more, "inode": _inode_text(path), "path": path}
        if known and entry == known and _is_of_today(file):
            return
        entry["last_seen"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.save(uuid, name, json.dumps(entry, sort_keys=True).encode())
        if known is None:
            self._leave_old_place(uuid, path, entry["inode"])

    def _leave_old_place(self, uuid: str, path: str, inode: str | None) -> None:
        for place in self.places():
            if place.uuid == uuid and place.path != path and inode and place.entry.get("inode") == inode and not os.path.exists(place.path):
                self.forget_place(place)

    def places(self) -> list[Place]:
        """Every place of every repository; of one whose files are damaged, a place without a path.

        RegenError where the list is there and cannot be read: nobody would seem to use the store.
        """
        return [place for uuid in _list_readable(self.folder) for place in self._places_of(uuid)]

    def _places_of(self, uuid: str) -> list[Place]:
        found = []
        for name in _list_readable(f"{self.folder}/{uuid}"):
            if name.startswith(self._PLACE) and name.endswith(".json"):
                entry = _parse_object(_read_file(f"{self.folder}/{uuid}/{name}")) or {}
                path = entry.get("path") if isinstance(entry.get("path"), str) else ""
                found.append(Place(uuid, name[len(self._PLACE) : -len(".json")], path, entry))
        return found or [Place(uuid, "", "", {})]

    def entries(self) -> dict[str, dict]:
        """{uuid: {"path", "last_seen", …}} of all registered repositories, each where it was seen last."""
        found: dict[str, dict] = {}
        for place in self.places():
            if place.path and place.last_seen >= found.get(place.uuid, {}).get("last_seen", ""):
                found[place.uuid] = place.entry
        return found

    def forget_place(self, place: Place) -> None:
        """Take one place off the list, with what gc keeps of it."""
        folder = f"{self.folder}/{place.uuid}"
        for name in _list_dir(folder):
            if place.tag in name:
                files.remove_file(f"{folder}/{name}")
        _remove_if_empty(folder)

    @classmethod
    def _name_of(cls, path: str) -> str:
        return f"{cls._PLACE}{blake3(path.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.json"

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
        """Take a repository off the list, wherever it is. What only it needed may be swept afterwards."""
        folder = f"{self.folder}/{_file_name(uuid)}"
        for name in _list_dir(folder):
            files.remove_file(f"{folder}/{name}")
        _remove_if_empty(folder)


def _remove_if_empty(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        pass  # never there, or somebody registered it just now


def _inode_text(path: str) -> str | None:
    """What a folder keeps when it is renamed, and a copy of it does not share."""
    try:
        st = os.stat(path)
    except OSError:
        return None
    return f"{st.st_dev}:{st.st_ino}"


def _is_of_today(path: str) -> bool:
    try:
        return 0 <= time.time() - os.stat(path).st_mtime < _DAY
    except OSError:
        return False


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


def _standing(entries: Iterable[dict]) -> list[dict]:
    """Entries but for those that a later one says are forgotten."""
    found: list[dict] = []
    for each in entries:
        if "forgotten" in each:
            found = [other for other in found if other.get("hash") != each["forgotten"]]
        else:
            found.append(each)
    return found


def _json_lines(path: str) -> Iterator[dict]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.write_error(error, f"reading {path}") from error
    for line in data.split(b"\n"):
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


def _list_readable(folder: str) -> list[str]:
    """The names in a folder, sorted; none where it does not exist. RegenError where it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise files.write_error(error, f"reading {folder}") from error


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
