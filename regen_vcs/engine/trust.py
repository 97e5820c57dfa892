"""Trust: the user's word that these bytes may run on this machine.

A set of hashes for each repository, in the *user's* configuration folder and nowhere else: of regen.toml, of the
code its generators name, and of inputs that are themselves instructions. Nothing in a repository is asked. A hash
that was trusted before stays trusted, so a switch back asks nothing; a new one can show what changed.

    <config>/trust/<repository>.json              what is trusted, in the order it was said; mode 0600
    <config>/trust/<repository>.contents/<hash>   the last trusted text of each file, to show the difference
"""

from __future__ import annotations

import functools
import json
import os
import re
import stat
import time
from collections import namedtuple
from collections.abc import Iterable, Mapping

from regen_vcs.engine.config import PROJECT_FILE, config_dir
from regen_vcs.errors import InvalidError, NewerFormat, NotTrusted, RegenError
from regen_vcs.git import index
from regen_vcs.model.generator_table import HARMLESS, can_run_code, is_executable_input, split_generator
from regen_vcs.model.key import hash_bytes
from regen_vcs.platform import files

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from typing import Any

    from regen_vcs.engine.definitions import Definitions
    from regen_vcs.engine.desired import Desired
    from regen_vcs.engine.project_file import ProjectFile
    from regen_vcs.engine.snapshot import Snapshot
    from regen_vcs.engine.workspace import Workspace

FORMAT = 1
MAX_CONTENT_BYTES = 1 << 20  # longer files are named by their hash alone
_MAX_FILE_BYTES = 16 << 20

_REPOSITORY_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{7,63}\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")


TrustItem = namedtuple("TrustItem", ("kind", "path", "hash"))
TrustItem.__doc__ = "One file whose bytes may run. path: in the repository, or @root/…; hash: BLAKE3."
KINDS = ("regen.toml", "code", "input")


class TrustStore:
    """What the user trusts of one repository. Another process's changes are seen at the next question.

    `problem` is an InvalidError where the file cannot be relied on: then nothing is trusted, and nobody crashes.
    """

    def __init__(self, path: str):
        self.path = path
        self._problem: InvalidError | None = None
        self._items: list[TrustItem] = []
        self._times: dict[TrustItem, str] = {}
        self._trusted: frozenset[tuple[str, str]] = frozenset()
        self._seen: tuple[int, ...] | None = None
        self._loaded = False

    @property
    def problem(self) -> InvalidError | None:
        self._refresh()
        return self._problem

    def is_trusted(self, kind: str, digest: str) -> bool:
        self._refresh()
        return (kind, digest) in self._trusted

    def untrusted(self, items: Iterable[TrustItem]) -> list[TrustItem]:
        self._refresh()
        return [item for item in items if (item.kind, item.hash) not in self._trusted]

    @property
    def items(self) -> list[TrustItem]:
        """Everything trusted, oldest first."""
        self._refresh()
        return list(self._items)

    def add(self, items: Iterable[TrustItem], contents: Mapping[str, bytes] | None = None) -> None:
        """Trust these. `contents` ({hash: bytes}) is kept where it is short, to show the next difference.

        NewerFormat where a newer version wrote the file: it is left alone.
        """
        items = list(items)
        with self._locked():
            self._refresh()
            if isinstance(self._problem, NewerFormat):
                raise self._problem
            if self._problem is not None:
                os.replace(self.path, self.path + ".broken")  # may still tell somebody what happened
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            for item in items:
                if item in self._times:
                    self._items.remove(item)  # said again: now the last of its path
                self._items.append(item)
                self._times[item] = now
            self._save_contents(items, contents or {})
            self._save()

    def revoke(self) -> int:
        """Trust nothing of this repository any more; how many items were trusted."""
        with self._locked():
            count = len(self.items)
            for path in (self.path, self.path + ".broken"):
                files.remove_file(path)
            self._drop_contents(set())
            try:
                os.rmdir(self._contents_folder)
            except OSError:
                pass
            self._loaded = False
        return count

    def last_trusted(self, kind: str, path: str) -> bytes | None:
        """The bytes trusted last under this path, as far as they were kept; None where there are none."""
        self._refresh()
        for item in reversed(self._items):
            if (item.kind, item.path) == (kind, path):
                return self._content(item.hash)
        return None

    def _refresh(self) -> None:
        """Read the file unless its stat is what it was."""
        try:
            st = os.stat(self.path)
            seen = (st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
        except OSError:
            seen = None
        if self._loaded and seen == self._seen:
            return
        self._seen, self._loaded, self._problem = seen, True, None
        self._items, self._times = [], {}
        try:
            self._load()
        except InvalidError as error:
            self._problem = error
            self._items, self._times = [], {}
        self._trusted = frozenset((item.kind, item.hash) for item in self._items)

    def _load(self) -> None:
        data = _read_own(self.path)
        if data is None:
            return
        for entry in self._entries(data):
            item = TrustItem(entry["kind"], entry["path"], entry["hash"])
            if item not in self._times:
                self._items.append(item)
            self._times[item] = str(entry.get("at", ""))

    def _entries(self, data: bytes) -> list[dict[str, Any]]:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise self._broken("it is not JSON") from None
        if not isinstance(document, dict) or not isinstance(document.get("regen-trust"), int):
            raise self._broken("it is not a trust file")
        if document["regen-trust"] > FORMAT:
            raise NewerFormat(f"{self.path}: written by a newer regen-vcs, so nothing is trusted", "use the newer version")
        entries = document.get("items")
        if not isinstance(entries, list) or not all(map(_is_entry, entries)):
            raise self._broken("its items are not what this program writes")
        return entries

    def _broken(self, why: str) -> InvalidError:
        return InvalidError(f"{self.path}: {why}, so nothing is trusted", "run: regen-vcs trust")

    def _save(self) -> None:
        entries = [{"kind": i.kind, "path": i.path, "hash": i.hash, "at": self._times[i]} for i in self._items]
        text = json.dumps({"regen-trust": FORMAT, "items": entries}, indent=1) + "\n"
        _write_private(self.path, text.encode())
        self._loaded = False  # the next question reads what is really there

    @property
    def _contents_folder(self) -> str:
        return self.path.removesuffix(".json") + ".contents"

    def _save_contents(self, items: list[TrustItem], contents: Mapping[str, bytes]) -> None:
        """Keep the text of the last trusted version of each path, and of no older one."""
        wanted = {(item.kind, item.path): item.hash for item in self._items}
        os.makedirs(self._contents_folder, mode=0o700, exist_ok=True)
        for item in items:
            data = contents.get(item.hash)
            if data is not None and len(data) <= MAX_CONTENT_BYTES:
                _write_private(os.path.join(self._contents_folder, item.hash), data)
        self._drop_contents(set(wanted.values()))

    def _drop_contents(self, wanted: set[str]) -> None:
        try:
            names = set(os.listdir(self._contents_folder))
        except FileNotFoundError:
            return
        for name in names - wanted:
            files.remove_file(os.path.join(self._contents_folder, name))

    def _content(self, digest: str) -> bytes | None:
        try:
            data = _read_own(os.path.join(self._contents_folder, digest))
        except InvalidError:
            return None
        return data if data is not None and hash_bytes(data) == digest else None

    def _locked(self) -> files.FileLock:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        return files.FileLock(os.path.join(os.path.dirname(self.path), ".lock"))


def store_path(environ: Mapping[str, str], repository_id: str) -> str:
    """Where the trust of a repository is kept. InvalidError for an id that `init` would not have made."""
    if not _REPOSITORY_ID.match(repository_id):
        raise InvalidError(f"regen.uuid in git config is {repository_id!r}, not a UUID", "unset it and run: regen-vcs init")
    return os.path.join(config_dir(environ), "trust", f"{repository_id}.json")


@functools.lru_cache(maxsize=8)
def open_store(path: str) -> TrustStore:
    """One store for each path in a process: asked once for every job, read once."""
    return TrustStore(path)


def items_of(
    project: ProjectFile, code: Mapping[str, str], inputs: Mapping[str, str] | None = None
) -> list[TrustItem]:
    """What must be trusted: regen.toml and `code` ({path: hash}), if any generator there could run something,
    and the executable ones of `inputs` ({path: hash}).
    """
    items = []
    if project.exists and project.needs_trust:
        items.append(TrustItem("regen.toml", PROJECT_FILE, project.hash))
        items.extend(TrustItem("code", path, digest) for path, digest in sorted(code.items()))
    items.extend(
        TrustItem("input", path, digest) for path, digest in sorted((inputs or {}).items()) if is_executable_input(path)
    )
    return items


# ---------------------------------------------------------------- one repository's questions


def trust_store(snapshot: Snapshot) -> TrustStore:
    return open_store(store_path(snapshot.ws.environ, snapshot.ws.uuid))


def untrusted_items(ws: Workspace, definitions: Definitions, generator: str) -> list[TrustItem]:
    """What of a generator's table and code is not trusted, whatever it is to make. RegenError where it is not defined."""
    if ":" not in generator or split_generator(generator)[0] in HARMLESS or not can_run_code(definitions.table(generator)):
        return []
    items = items_of(definitions.project, dict(definitions.code(generator).values()))
    return open_store(store_path(ws.environ, ws.uuid)).untrusted(items)


def items_for(snapshot: Snapshot, desired: Desired) -> list[TrustItem]:
    """What must be trusted before this asset's recipe may run. RegenError where its definition is not valid."""
    generator = desired.facts.generator
    if generator is None or split_generator(generator)[0] in HARMLESS:
        return []
    definitions = snapshot.definitions
    code = {}
    if ":" in generator:
        if not can_run_code(definitions.table(generator)):
            return []
        code = dict(definitions.code(generator).values())
    items = items_of(definitions.project, code, _input_hashes(snapshot, desired))
    # A generator without a table is the user's own installation: only what the repository feeds it counts.
    return items if ":" in generator else [item for item in items if item.kind == "input"]


def repository_items(snapshot: Snapshot) -> list[TrustItem]:
    """Everything in this worktree that could run: for `trust`, which shows it and asks. No item twice."""
    found: dict[TrustItem, None] = {}
    project = snapshot.definitions.project
    if project.exists and project.needs_trust:
        code: dict[str, str] = {}
        for name in project.generator_names():
            code.update(snapshot.definitions.code(name).values())
        found.update(dict.fromkeys(items_of(project, code)))
    runnable = [desired for desired in snapshot.assets.values() if desired.facts.generator is not None]
    snapshot.inputs.preload(runnable)
    for desired in runnable:
        try:
            found.update(dict.fromkeys(items_for(snapshot, desired)))
        except RegenError:
            continue  # it cannot run as it is; `status` says why
    return list(found)


def untrusted_reason(snapshot: Snapshot, desired: Desired) -> str | None:
    """Why this asset's recipe may not run here, in one line; None where it may."""
    items = items_for(snapshot, desired)
    missing = trust_store(snapshot).untrusted(items) if items else []
    return f"not trusted: {_named(missing)}" if missing else None


def require_trust(snapshot: Snapshot, desired: Desired) -> None:
    """NotTrusted unless everything this asset's recipe would run is trusted. Asked when a job starts."""
    items = items_for(snapshot, desired)
    if not items:
        return
    store = trust_store(snapshot)
    missing = store.untrusted(items)
    if missing:
        because = f" ({store.problem.what})" if store.problem else ""
        raise NotTrusted(f"{desired.path}: not trusted: {_named(missing)}{because}", "look at it, then: regen-vcs trust")


def trust_all(snapshot: Snapshot, items: Iterable[TrustItem]) -> None:
    """Trust these, and keep their text for the next difference."""
    items = list(items)
    contents = {}
    for item in items:
        try:
            contents[item.hash] = read_item(snapshot, item)
        except RegenError:
            continue  # trusted by its hash all the same; only the next difference is lost
    trust_store(snapshot).add(items, contents)


def read_item(snapshot: Snapshot, item: TrustItem) -> bytes:
    """The bytes an item's hash names: from regen.toml, from the code's blobs, from git or the stores for an input."""
    if item.kind == "regen.toml":
        data = snapshot.definitions.project.data
    elif item.kind == "code":
        data = snapshot.definitions.code_bytes(item.path)
    else:
        data = _read_input(snapshot, item)
    if hash_bytes(data) != item.hash:
        raise InvalidError(f"{item.path}: changed while it was looked at", "run: regen-vcs trust")
    return data


def _read_input(snapshot: Snapshot, item: TrustItem) -> bytes:
    inputs = snapshot.inputs
    if item.path.startswith("@"):
        try:
            with open(inputs.roots.place(item.path), "rb") as file:
                return file.read()
        except OSError as error:
            raise RegenError(f"{item.path}: cannot be read: {error.strerror}", "see: regen-vcs root") from None
    oid = None if inputs.is_asset(item.path) else inputs.oid_of(item.path)
    if oid is not None:
        return index.read_blobs(snapshot.ws.repo, [oid])[oid]
    return snapshot.ws.stores.read_bytes(item.hash)


def _input_hashes(snapshot: Snapshot, desired: Desired) -> dict[str, str]:
    """{path: hash} of the executable inputs; one that is missing or pending has none, and blocks the job anyway."""
    wanted = [target for target in snapshot.inputs.targets(desired).values() if is_executable_input(target)]
    hashes = ((target, snapshot.inputs.hash_of(target)) for target in wanted)
    return {target: digest for target, digest in hashes if digest is not None}


def _named(items: list[TrustItem]) -> str:
    paths = list(dict.fromkeys(item.path for item in items))
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


# ---------------------------------------------------------------- files only the user may write


def _read_own(path: str) -> bytes | None:
    """A file of ours; None where there is none. InvalidError if somebody else could have written it."""
    try:
        fd = os.open(path, os.O_RDONLY | files.O_BINARY | files.O_NONBLOCK | files.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidError(f"{path}: cannot be read ({error.strerror}), so nothing is trusted") from None
    with open(fd, "rb") as file:
        st = os.fstat(fd)
        if not stat.S_ISREG(st.st_mode) or st.st_size > _MAX_FILE_BYTES:
            raise InvalidError(f"{path}: not a trust file, so nothing is trusted", "run: regen-vcs trust")
        if hasattr(os, "geteuid") and (st.st_uid != os.geteuid() or st.st_mode & 0o022):
            raise InvalidError(f"{path}: others can write it, so nothing is trusted", f"chmod 600 {path}")
        return file.read()


def _write_private(path: str, data: bytes) -> None:
    try:
        files.write_atomic(path, data, mode=0o600, durable=True)
    except OSError as error:
        raise files.write_error(error, f"writing {path}") from None


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("kind") in KINDS
        and isinstance(entry.get("path"), str)
        and isinstance(entry.get("hash"), str)
        and _HASH.match(entry["hash"]) is not None
    )
