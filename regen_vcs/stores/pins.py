"""Pins: `<keep>/v1/pins/<hash>.json`, one for every take that stays whatever happens. Of the store, not of a repository."""

from __future__ import annotations

import json
import os

from regen_vcs.errors import RegenError
from regen_vcs.platform import files
from regen_vcs.stores import durable

_MAX_BYTES = 64 << 20  # a pin of a film's sequence names all its frames
_HEX = frozenset("0123456789abcdef")


class Pins:
    """keep_root: `<keep>/v1`."""

    def __init__(self, keep_root: str):
        self._folder = f"{keep_root}/pins"

    def add(self, hash: str, entry: dict) -> None:
        """Pin an object, on the disk before it returns; an earlier entry gives way. RegenError."""
        path = self._path(hash)
        try:
            durable.make_folder(self._folder)
            files.write_atomic(path, json.dumps(entry, sort_keys=True).encode(), durable=True)
        except OSError as error:
            raise files.write_error(error, f"writing {path}") from error

    def remove(self, hash: str) -> bool:
        """Take a pin away; whether there was one. RegenError where it stays."""
        path = self._path(hash)
        if files.remove_file(path):
            return True
        if os.path.lexists(path):
            raise RegenError(f"{path}: cannot be removed", "check the permissions of the store")
        return False

    def entries(self) -> dict[str, dict]:
        """{hash: what its pin says}. A pin whose text is damaged still pins what its name says.

        RegenError where they are there and cannot be listed: everything would seem unpinned.
        """
        try:
            names = sorted(os.listdir(self._folder))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise files.write_error(error, f"reading {self._folder}") from error
        hashes = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return {hash: self._read(hash) for hash in hashes if len(hash) == 64 and _HEX.issuperset(hash)}

    def _read(self, hash: str) -> dict:
        try:
            with open(self._path(hash), "rb") as file:
                found = json.loads(file.read(_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _path(self, hash: str) -> str:
        return f"{self._folder}/{hash}.json"
