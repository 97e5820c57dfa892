"""What this machine has seen come out again: `<keep>/v1/proofs/<name>.log`, a line an observation, only ever appended to.

    p <key> <output> <outcome> <conditions> <seconds> <cost or -> <UTC time> <mac>
    c <conditions> <JSON> <mac>

Each line carries a keyed hash of itself. The key is a file in the *user's* configuration folder and never leaves it, so
what a store brings along from elsewhere (a remote, another machine, a backup of somebody else's) says nothing here. A line
that is torn, altered or foreign is passed over. A lost line costs one more verification, so nothing is flushed.
"""

from __future__ import annotations

import functools
import hmac
import json
import os
import secrets
import stat
import time
from collections import namedtuple

from blake3 import blake3

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.platform import files
from regen_vcs.platform.files import FileLock

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | files.O_CLOEXEC | files.O_BINARY
_SECRET_BYTES = 32
_MAC_DIGITS = 32
_RESULT_AT = len("p ") + 64 + 1 + 64 + 1
_NAME_CONTEXT = "regen-vcs proof log v1"
_PATIENCE = 5.0  # seconds for somebody else's few lines
# Observations of one object that are kept when the file is rewritten; below this size it is not worth it.
_COMPACT_FROM = 8 << 20

# outcome: a word of engine/proofs.py. conditions: the id of the document that says what it was seen under. cost: dollars or
# None. at: "2026-11-22T10:00:00Z".
Observation = namedtuple("Observation", ("outcome", "conditions", "seconds", "cost", "at"))


class ProofLog:
    """One machine's and one user's observations in one store.

    keep_root: `<keep>/v1`. secret_path: where the key is; it is made when something is first written. machine: its name.
    """

    def __init__(self, keep_root: str, secret_path: str, machine: str):
        self._folder, self._secret_path, self._machine = f"{keep_root}/proofs", secret_path, machine
        self._secret: bytes | None = None
        self._inode, self._read = 0, 0  # of the file as far as it was read, in bytes
        self._lines: dict[bytes, list[bytes]] = {}
        self._conditions: dict[str, bytes] = {}

    # -- reading -----------------------------------------------------------------------------------------------------

    def observations(self, key: str, output_hash: str) -> list[Observation]:
        """All that was seen of an output of a key, oldest first."""
        self._refresh()
        found = [self._parse(line) for line in self._lines.get(f"{key} {output_hash}".encode(), ())]
        return [each for each in found if each is not None]

    def conditions(self, name: str) -> dict | None:
        """The document of that id; None where there is none that is ours."""
        self._refresh()
        line = self._conditions.get(name)
        if line is None or not self._is_ours(line):
            return None
        try:
            found = json.loads(line[len(f"c {name} ") : -_MAC_DIGITS - 1])
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _parse(self, line: bytes) -> Observation | None:
        if not self._is_ours(line):
            return None
        outcome, conditions, seconds, cost, at, _ = line[_RESULT_AT:].decode("ascii").split(" ")
        return Observation(outcome, conditions, float(seconds), None if cost == "-" else float(cost), at)

    def _is_ours(self, line: bytes) -> bool:
        body, _, mac = line.rpartition(b" ")
        return self._secret is not None and hmac.compare_digest(_mac(self._secret, body), mac)

    def _refresh(self) -> None:
        """Read what was appended since the last time; all of it where the file was written anew."""
        if self._secret is None:
            self._secret = _read_secret(self._secret_path)
            if self._secret is None:
                return  # nobody has written anything that could be checked
        try:
            st = os.stat(self._path)
        except OSError:
            self._forget()
            return
        if st.st_ino != self._inode or st.st_size < self._read:
            self._forget()
        if st.st_size > self._read:
            self._inode = st.st_ino
            self._load()

    def _forget(self) -> None:
        self._lines, self._conditions, self._inode, self._read = {}, {}, 0, 0

    def _load(self) -> None:
        with open(self._path, "rb") as file:
            file.seek(self._read)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]  # a line that is being written is read when it is whole
        self._read += len(data)
        for line in data.split(b"\n"):
            if line.startswith(b"p ") and line.count(b" ") == 8:
                self._lines.setdefault(line[2 : _RESULT_AT - 1], []).append(line)
            elif line.startswith(b"c "):
                name = line[2:].partition(b" ")[0].decode("ascii", "replace")
                if name not in self._conditions or not self._is_ours(self._conditions[name]):
                    self._conditions[name] = line

    # -- writing -----------------------------------------------------------------------------------------------------

    def add(self, key: str, output_hash: str, outcome: str, conditions: dict, seconds: float, cost: float | None = None) -> None:
        """Note one observation. RegenError where it cannot be written, InvalidError where the secret is not one."""
        if self._secret is None:
            self._secret = _read_secret(self._secret_path) or _make_secret(self._secret_path)
        document = json.dumps(conditions, sort_keys=True, separators=(",", ":"))
        name = blake3(document.encode()).hexdigest()[:32]
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        price = "-" if cost is None else f"{cost:.6f}"
        lines = [f"p {key} {output_hash} {outcome} {name} {seconds:.3f} {price} {at}"]
        if self.conditions(name) is None:
            lines.insert(0, f"c {name} {document}")
        try:
            self._append(b"".join(b"\n" + self._signed(line) for line in lines) + b"\n")
        except OSError as error:
            raise files.write_error(error, f"writing {self._path}") from error

    def _signed(self, line: str) -> bytes:
        body = line.encode()
        return body + b" " + _mac(self._secret, body)

    def _append(self, data: bytes) -> None:
        os.makedirs(self._folder, exist_ok=True)
        with _Held(self._path):
            fd = os.open(self._path, _APPEND, 0o600)
            try:
                files.write_all(fd, data)
                size = os.fstat(fd).st_size
            finally:
                os.close(fd)
            if size > _COMPACT_FROM:
                self._compact(size)

    def _compact(self, size: int) -> None:
        """Keep what tells something: per object and outcome the last line of each set of conditions. Under the lock."""
        self._forget()
        self._load()
        kept: dict[tuple, bytes] = {}
        for name, lines in self._lines.items():
            for line in lines:
                words = line.split(b" ")
                kept.pop((name, words[3], words[4]), None)  # last, so that the order stays that of time
                kept[name, words[3], words[4]] = line
        whole = b"\n".join([*self._conditions.values(), *kept.values(), b""])
        if len(whole) * 2 < size:
            files.write_atomic(self._path, whole, mode=0o600)

    @functools.cached_property
    def _path(self) -> str:
        """Another machine with the same home, or another user of this store, writes another file."""
        name = blake3(self._secret + self._machine.encode("utf-8", "surrogateescape"), derive_key_context=_NAME_CONTEXT).hexdigest()
        return f"{self._folder}/{name[:24]}.log"


class _Held:
    """The lock of one log, for `with`; RegenError after a while."""

    def __init__(self, path: str):
        self._lock = FileLock(f"{path}.lock")

    def __enter__(self) -> None:
        if not self._lock.acquire(_PATIENCE):
            raise RegenError(f"{self._lock.path}: held by another regen-vcs", "try again")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _mac(secret: bytes, body: bytes) -> bytes:
    return blake3(body, key=secret).hexdigest()[:_MAC_DIGITS].encode()


def _read_secret(path: str) -> bytes | None:
    """The key; None where there is none. InvalidError where somebody else could read or write it: then it proves nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | files.O_BINARY | files.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidError(f"{path}: cannot be read ({error.strerror}), so no proof counts") from None
    with open(fd, "rb") as file:
        st = os.fstat(fd)
        data = file.read(_SECRET_BYTES + 1) if stat.S_ISREG(st.st_mode) else b""
    if len(data) != _SECRET_BYTES:
        raise InvalidError(f"{path}: is not the key of proofs, so none counts", f"rm {path}, and verify again")
    if hasattr(os, "geteuid") and (st.st_uid != os.geteuid() or st.st_mode & 0o077):
        raise InvalidError(f"{path}: others can read it, so no proof counts", f"rm {path}, and verify again")
    return data


def _make_secret(path: str) -> bytes:
    """A new key, the same for all processes that come to need one at once."""
    temp = f"{path}.{files.temp_tag()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(temp, files.CREATE_FLAGS, 0o600)
        try:
            files.write_all(fd, secrets.token_bytes(_SECRET_BYTES))
            files.flush_file(fd)
        finally:
            os.close(fd)
        try:
            os.link(temp, path)  # unlike a rename, not over somebody else's
        except FileExistsError:
            pass
        finally:
            files.remove_file(temp)
    except OSError as error:
        raise files.write_error(error, f"writing {path}") from error
    return _read_secret(path)


__all__ = ["Observation", "ProofLog"]
