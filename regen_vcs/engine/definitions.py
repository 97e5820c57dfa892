"""What regen.toml defines here: each named generator's table, the code it names, and the hash of both."""

from __future__ import annotations

import os
import stat

from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git import index
from regen_vcs.model.generator_table import glob_matches


class Definitions:
    """The generators of one version of regen.toml and of the code beside it.

    from_disk: the user's own verbs take files as they are on disk (in clean form); hooks and workers the index's.
    """

    def __init__(self, ws: Workspace, *, from_disk: bool = False):
        self._ws = ws
        self._from_disk = from_disk
        self.project = ProjectFile.load(ws.project_bytes())
        self._known: dict[str, tuple[str | None, dict[str, tuple[str, str]]]] = {}
        self._code_bytes: dict[str, bytes] = {}

    def current(self, generator: str) -> str | None:
        """The definition hash a recipe of this generator would have now; None where it needs none."""
        return self._define(generator)[0]

    def is_current(self, generator: str, definition: str | None) -> bool:
        try:
            return self.current(generator) == definition
        except RegenError:
            return False

    def table(self, generator: str) -> dict:
        return self.project.generator_table(generator)

    def code(self, generator: str) -> dict[str, tuple[str, str]]:
        """{name below {code}: (repository path, hash)} of the scripts this generator runs."""
        return self._define(generator)[1]

    def code_files(self, generator: str) -> dict[str, bytes]:
        """{name below {code}: bytes} of the scripts this generator runs."""
        return {dest: self._read_code(path) for dest, (path, _) in self.code(generator).items()}

    def code_bytes(self, path: str) -> bytes:
        return self._read_code(path)

    def _define(self, generator: str) -> tuple[str | None, dict[str, tuple[str, str]]]:
        if ":" not in generator:
            return None, {}
        if generator not in self._known:
            self._known[generator] = self.project.definition(generator, self._read_code, self._list_paths)
        return self._known[generator]

    def _list_paths(self, globs: list[str]) -> list[str]:
        paths = index.list_matching(self._ws.repo, globs, untracked=self._from_disk)
        found = [path for path in paths if any(glob_matches(glob, path) for glob in globs)]
        if self._from_disk:
            found = [path for path in found if os.path.lexists(f"{self._ws.root}/{path}")]
        self._load_code([path for path in found if path not in self._code_bytes])
        return found

    def _read_code(self, path: str) -> bytes:
        if path not in self._code_bytes:
            self._load_code([path])
        if path not in self._code_bytes:
            raise InvalidError(f"{path}: named as code in regen.toml, but is no regular file, or git does not track it")
        return self._code_bytes[path]

    def _load_code(self, paths: list[str]) -> None:
        """The bytes of these, as far as they are regular files: a symlink could name anything on this machine."""
        repo = self._ws.repo
        if self._from_disk:
            oids = index.clean_oids(repo, [path for path in paths if self._is_regular(path)], write=True)
        else:
            entries = index.list_paths(repo, paths)
            oids = {path: entry.oid for path, entry in entries.items() if entry.mode.startswith("100")}
        blobs = index.read_blobs(repo, set(oids.values()))
        self._code_bytes.update((path, blobs[oid]) for path, oid in oids.items() if oid in blobs)

    def _is_regular(self, path: str) -> bool:
        try:
            st = self._ws.tree.stat(path)
        except InvalidError:
            return False  # behind a symlink
        return st is not None and stat.S_ISREG(st.st_mode)
