"""What is remembered between commands: the memo (of one repository) and the state (of one worktree).

The *memo* maps content to what was computed from it, so nothing is parsed or hashed twice. It is a cache: it
can be deleted at any time. The *state* is what the last sync saw and put into this worktree. Losing it is safe
too (everything is hashed again), but it is what tells our bytes from edited ones.
"""

from __future__ import annotations

import json
import os
import time
from collections import namedtuple

from regen_vcs.model.facts import Facts, facts_of, facts_of_recipe
from regen_vcs.platform.files import StatSig, write_all, write_atomic

# A file changed this recently could change again without its time stamp moving (kernel ticks are 1-10 ms).
RACY_NS = 20_000_000
_MEMO_LIMIT = 64 << 20


def sig_of(st: os.stat_result) -> str:
    """`size mtime_ns ctime_ns inode`: as it stands in the state file, where numbers would take longer to read."""
    return f"{st.st_size} {st.st_mtime_ns} {st.st_ctime_ns} {st.st_ino}"


def sig_text(sig: StatSig) -> str:
    """The same of a StatSig."""
    return " ".join(map(str, sig))


def parse_sig(text: str) -> StatSig:
    """The inverse of `sig_text`."""
    return StatSig(*map(int, text.split(" ")))


def is_racy(sig: str, seen_at_ns: int) -> bool:
    """Whether a file with this stat, recorded at `seen_at_ns`, may have changed since without showing it."""
    _, mtime_ns, ctime_ns, _ = sig.split(" ")
    return max(int(mtime_ns), int(ctime_ns)) + RACY_NS >= seen_at_ns


def is_still(st: os.stat_result, sig: str, seen_at_ns: int) -> bool:
    """Whether a file is surely the one of `sig`: same stat, and not racy."""
    limit = seen_at_ns - RACY_NS
    return st.st_mtime_ns < limit and st.st_ctime_ns < limit and sig_of(st) == sig


class Memo:
    """Append-only `name\\tJSON` lines in the git common dir; the last line for a name wins.

    Names: `s:<blob oid of a sidecar>:<suffix of the asset>:<number of #>` → facts; `b:<blob oid>` → BLAKE3 of the blob;
    `k:<sidecar name>:<hash of its input hashes>` → key; `d:<…>` → a generator's definition; `m:<sidecar name>` → tags, shot
    and scene; `r:<path>:<stat>` → BLAKE3 of a file below a named root.
    """

    def __init__(self, folder: str):
        self._path = os.path.join(folder, "memo-1")
        self._lines: dict[bytes, bytes] | None = None
        self._fresh: dict[str, object] = {}

    def get(self, name: str) -> object:
        if name in self._fresh:
            return self._fresh[name]
        raw = self._loaded().get(_encoded(name))
        if raw is None:
            return None
        try:
            return json.loads(raw.decode())
        except ValueError:
            return None  # a line torn by a crash

    def put(self, name: str, value: object) -> None:
        self._fresh[name] = value

    def facts(self, data: bytes, oid: str, asset_path: str) -> tuple[str, Facts]:
        """The memo's name for this sidecar text and its facts, parsed at most once in the repository's life.

        oid: the text's blob id. The asset's name counts too: its suffix is part of the key.
        """
        name = _facts_name(oid, asset_path)
        known = self.get(name)
        if isinstance(known, list) and len(known) == len(Facts._fields):
            return name, Facts(*known)
        facts = facts_of(data, asset_path)
        if not facts.problem:  # a problem names its file: it is not a property of the bytes alone
            self.put(name, facts)
        return name, facts

    def recall_facts(self, oid: str, asset_path: str) -> Facts | None:
        """The facts of a sidecar's text that was parsed before; None: it has to be read."""
        known = self.get(_facts_name(oid, asset_path))
        return Facts(*known) if isinstance(known, list) and len(known) == len(Facts._fields) else None

    def know(self, recipe, oid: str, asset_path: str) -> None:
        """Note the facts of a text that was just made of `recipe`, so that nobody has to parse it."""
        name = _facts_name(oid, asset_path)
        if self.get(name) is None:
            self.put(name, facts_of_recipe(recipe, asset_path))

    def save(self) -> None:
        """Append what is new. A torn or interleaved line is skipped by the next reader.

        A disk that is full or read-only is no error: what is not remembered is computed again.
        """
        if not self._fresh:
            return
        lines = "".join(f"{name}\t{json.dumps(value, separators=(',', ':'))}\n" for name, value in self._fresh.items())
        try:
            self._append(_encoded(lines))
        except OSError:
            return
        if self._lines is not None:
            self._lines.update(
                (_encoded(name), json.dumps(value).encode()) for name, value in self._fresh.items()
            )
        self._fresh = {}

    def _append(self, lines: bytes) -> None:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        if len(self._loaded()) and os.path.getsize(self._path) > _MEMO_LIMIT:
            flags |= os.O_TRUNC
        fd = os.open(self._path, flags, 0o644)
        try:
            os.write(fd, b"\n" + lines)
        finally:
            os.close(fd)

    def _loaded(self) -> dict[bytes, bytes]:
        if self._lines is None:
            try:
                with open(self._path, "rb") as file:
                    pairs = (line.split(b"\t", 1) for line in file.read().split(b"\n"))
                    self._lines = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
            except OSError:
                self._lines = {}
        return self._lines


def _facts_name(oid: str, asset_path: str) -> str:
    return f"s:{oid}:{os.path.splitext(asset_path)[1].lower()}:{asset_path.count('#')}"


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")  # names of files need not be UTF-8


_ROW_FIELDS = (
    "side_sig",  # stat of the sidecar when its facts were taken, or None
    "memo_name",  # of those facts
    "facts",
    "disk_hash",  # bytes we put at, or last saw at, the asset's path; None: nothing
    "files",  # {path: [hash, stat as `sig_of` has it]} of those bytes
    "accepted",  # output.hash as of the last sync that dealt with this asset
    "stand_in",  # "" | "proposed" | "drifted": disk_hash is a take nobody has accepted
    "untracked",  # the sidecar is not in the index, but one of our own commands wrote it
)


class Row(namedtuple("_Row", _ROW_FIELDS)):
    """One asset's memory in a worktree."""

    __slots__ = ()


EMPTY_ROW = Row(None, None, None, None, {}, None, "", False)


# In a packed row: the same hash as that of the bytes on disk.
_SAME = 0


def _pack(path: str, row: Row) -> list:
    """A row as it stands in the state file: each hash once, the usual single file as its stat alone."""
    on_disk, facts, files = row.disk_hash, row.facts, row.files
    if facts is not None and on_disk is not None and facts.out_hash == on_disk:
        facts = [*facts]
        facts[_OUT_HASH_AT] = _SAME
    if len(files) == 1 and path in files and files[path][0] == on_disk:
        files = files[path][1]
    accepted = _SAME if row.accepted == on_disk else row.accepted
    return [row.side_sig, row.memo_name, on_disk, files, accepted, row.stand_in, row.untracked, facts]


def _unpack(path: str, packed: list) -> Row:
    side_sig, memo_name, on_disk, files, accepted, stand_in, untracked, facts = packed
    if facts is not None:
        if facts[_OUT_HASH_AT] == _SAME:
            facts[_OUT_HASH_AT] = on_disk
        facts = Facts(*facts)
    if type(files) is str:
        files = {path: [on_disk, files]}
    return Row(side_sig, memo_name, facts, on_disk, files, on_disk if accepted == _SAME else accepted, stand_in, untracked)


_OUT_HASH_AT = Facts._fields.index("out_hash")


class State:
    """`<git-path regen>/state.json`: rows by asset path; read whole, written whole by rename.

    Beside it, `journal`: what the executor was about to put on disk when it died. Without it our own bytes would
    pass for edited ones, since the rows are written only when all is done.
    """

    VERSION = 2

    def __init__(self, folder: str, *, load: bool = True):
        self.folder = folder
        self._path = os.path.join(folder, "state.json")
        self.rows: dict[str, Row] = {}
        self.failed: dict[str, dict] = {}  # {asset: {"key", "reason", "log", "at"}} of the last run that failed
        self.plain: dict[str, list] = {}  # {path of a plain input: [stat, blob oid of its clean form]}
        self.ignored = ""  # digest of the asset paths that the ignore block was written for
        self.exists = False
        self.saved_at_ns = 0
        self.intended: dict[str, list] = {}  # {asset: [hash to be there, `accepted` and `stand_in` of its row then]}
        self.was_interrupted = False  # the last executor did not come to its end
        self._loaded_text = b""
        self._journal = os.path.join(folder, "journal")
        self._journal_size = 0  # as far as this object knows it; longer: another process wrote in it since
        if load:
            self._load()
            self._load_journal()
        elif os.path.exists(self._path):
            self.saved_at_ns = os.stat(self._path).st_mtime_ns

    def _load(self) -> None:
        try:
            with open(self._path, "rb") as file:
                self._loaded_text = file.read()
                self.saved_at_ns = os.fstat(file.fileno()).st_mtime_ns
            document = json.loads(self._loaded_text)
            if document["version"] != self.VERSION:
                return
            rows = {path: _unpack(path, packed) for path, packed in document["rows"].items()}
            self.rows, self.failed, self.plain = rows, document["failed"], document["plain"]
            self.ignored = document["ignored"]
            self.exists = True
        except (FileNotFoundError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            self.rows, self.failed, self.plain = {}, {}, {}

    def save(self) -> None:
        rows = {path: _pack(path, row) for path, row in self.rows.items()}
        document = {"version": self.VERSION, "rows": rows, "failed": self.failed, "plain": self.plain,
                    "ignored": self.ignored}
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()
        os.makedirs(self.folder, exist_ok=True)
        if text != self._loaded_text or not self.exists:
            write_atomic(self._path, text)
            self._loaded_text, self.exists = text, True
        self._settle_journal()

    # -- what was about to be done -------------------------------------------------------------------------------

    def intend(self, intents: dict[str, list]) -> None:
        """Note what is about to be put at these assets' paths, as in `intended`, before the first is. OSError."""
        line = b"\n" + json.dumps(intents, separators=(",", ":")).encode()  # LF first: it ends a torn line
        fd = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, line)
            self._journal_size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        self.intended.update(intents)

    def adopt(self, path: str, disk_hash: str | None, files: dict) -> None:
        """Settle an intent by what lies at its path: those very bytes were put there by us."""
        intent = self.intended.pop(path, None)
        if intent and disk_hash == intent[0]:
            row = self.rows.get(path, EMPTY_ROW)
            self.rows[path] = row._replace(disk_hash=disk_hash, files=files, accepted=intent[1], stand_in=intent[2])

    def _load_journal(self) -> None:
        try:
            with open(self._journal, "rb") as file:
                data = file.read()
        except OSError:
            return
        self._journal_size = len(data)
        self.was_interrupted = True
        for line in data.split(b"\n"):
            try:
                intents = json.loads(line) if line else {}
            except ValueError:
                continue  # torn: what it names was never begun
            if isinstance(intents, dict):
                self.intended.update((p, i) for p, i in intents.items() if isinstance(i, list) and len(i) == 3)

    def _settle_journal(self) -> None:
        """Keep only the intents that nobody has looked after yet; mostly none, and no journal."""
        if not self._journal_size:
            return
        if os.path.getsize(self._journal) != self._journal_size:
            return  # somebody died in it since we read it: the next look settles that
        if self.intended:
            line = json.dumps(self.intended, separators=(",", ":")).encode()
            write_atomic(self._journal, line)
            self._journal_size = len(line)
        else:
            os.unlink(self._journal)
            self._journal_size = 0

    @property
    def is_settled(self) -> bool:
        """Whether no row could be racy against this file's own time stamp."""
        return self.saved_at_ns + RACY_NS < time.time_ns()
