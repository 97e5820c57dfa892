"""The trash: what gc has swept, where `LocalStores.find` still finds it until it is emptied.

    <keep>/v1/trash/objects/9f/2c…, <cache>/v1/trash/objects/…    of each store its own, so that all of it is renames
    <keep>/v1/gc/trash                                            JSON lines: when, how large, why; written before the rename
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections import namedtuple
from collections.abc import Iterable, Iterator

from regen_vcs.platform import files
from regen_vcs.stores import durable
from regen_vcs.stores.objects import LocalStores, ObjectStore
from regen_vcs.stores.seal import is_sealed

# at: seconds since 1970 when it came here, by the latest of all accounts. why: as gc gave it; "" where nobody says.
Discarded = namedtuple("Discarded", ("hash", "size", "at", "why"))


class Trash:
    """The trashes of keep and cache as one. Move and remove only while nobody relies on the store (`Gate.closed`)."""

    def __init__(self, stores: LocalStores):
        self._stores = stores
        self._log = f"{stores.keep.root}/gc/trash"
        self._folders: set[str] = set()

    def announce(self, items: Iterable[Discarded]) -> None:
        """Write down what is about to come here; on the disk before it returns. RegenError."""
        lines = "".join(f"\n{json.dumps(each._asdict(), sort_keys=True)}" for each in items)
        if not lines:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | files.O_CLOEXEC | files.O_BINARY
        try:
            durable.make_folder(os.path.dirname(self._log))
            fd = os.open(self._log, flags, 0o644)
            try:
                files.write_all(fd, f"{lines}\n".encode())
                files.flush_file(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise files.write_error(error, f"writing {self._log}") from error

    def put(self, hash: str) -> bool:
        """Move an object here from keep and cache; whether there was one. RegenError.

        What is no regular file is left alone: it is none of ours.
        """
        return any([self._put(hash, *pair) for pair in zip(self._stores.stores, self._stores.trashes, strict=True)])

    def _put(self, hash: str, store: ObjectStore, trash: ObjectStore) -> bool:
        source, target = store.path_of(hash), trash.path_of(hash)
        try:
            st = os.lstat(source)
            if not stat.S_ISREG(st.st_mode):
                return False
            if is_sealed(st, hash):
                self._make_folder(os.path.dirname(target))
                files.replace(source, target)
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise files.write_error(error, f"moving an object into {trash.root}") from error
        return self._stores.discard(hash)  # hashed first, or copied to another file system and hashed there

    def _make_folder(self, folder: str) -> None:
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def take_back(self, hash: str) -> bool:
        """Move an object back to its store; whether it is there now. RegenError."""
        return self._stores.restore(hash)

    def remove(self, hash: str) -> int:
        """Delete an object that is here, for good; the bytes freed. RegenError."""
        freed = 0
        for trash in self._stores.trashes:
            try:
                st = os.lstat(trash.path_of(hash))
            except FileNotFoundError:
                continue
            if stat.S_ISREG(st.st_mode) and trash.remove(hash):
                freed += st.st_size if st.st_nlink == 1 else 0
        return freed

    def __iter__(self) -> Iterator[str]:
        """The hashes of what is here."""
        seen = set()
        for trash in self._stores.trashes:
            for hash in trash:
                if hash not in seen:
                    seen.add(hash)
                    yield hash

    def contents(self) -> dict[str, Discarded]:
        """{hash: what is known of it} of what is here, whoever moved it."""
        told = _parsed(self._lines())
        found = {}
        for hash in self:
            st = self._stat(hash)
            if st is None or not stat.S_ISREG(st.st_mode):
                continue
            at, why = told.get(hash, (0.0, ""))
            # A rename moves ctime: a clock that was wrong when the line was written does not shorten its stay.
            found[hash] = Discarded(hash, st.st_size, max(at, st.st_ctime), why)
        return found

    def _stat(self, hash: str) -> os.stat_result | None:
        for trash in self._stores.trashes:
            try:
                return os.lstat(trash.path_of(hash))
            except FileNotFoundError:
                continue
        return None

    def _lines(self) -> list[str]:
        try:
            with open(self._log, encoding="utf-8", errors="replace") as file:
                return [line for line in file.read().split("\n") if line]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise files.write_error(error, f"reading {self._log}") from error

    def tidy(self) -> None:
        """Forget what the log says of objects that are no longer here. RegenError."""
        lines = self._lines()
        if len(told := _parsed(lines)) == len(lines) and told.keys() <= set(self):
            return  # nothing to forget
        lines = "".join(f"{json.dumps(each._asdict(), sort_keys=True)}\n" for each in self.contents().values())
        try:
            files.write_atomic(self._log, lines.encode(), durable=True)
        except OSError as error:
            raise files.write_error(error, f"writing {self._log}") from error


def _parsed(lines: Iterable[str]) -> dict[str, tuple[float, str]]:
    """{hash: (at, why)}, as the last line about it says."""
    told = {}
    for line in lines:
        try:
            each = json.loads(line)
            told[each["hash"]] = (float(each["at"]), str(each["why"]))
        except (ValueError, KeyError, TypeError):
            continue  # torn
    return told
