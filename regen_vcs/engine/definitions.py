"""What regen.toml defines here: each named generator's table, the code it names, and the hash of both."""

from __future__ import annotations

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
        return [path for path in paths if any(glob_matches(glob, path) for glob in globs)]

    def _read_code(self, path: str) -> bytes:
        if path not in self._code_bytes:
            if self._from_disk:
                oids = index.clean_oids(self._ws.repo, [path], write=True)
            else:
                oids = {p: entry.oid for p, entry in index.list_paths(self._ws.repo, [path]).items()}
            if path not in oids:
                raise InvalidError(f"{path}: named as code in regen.toml, but git does not track it")
            self._code_bytes[path] = index.read_blobs(self._ws.repo, [oids[path]])[oids[path]]
        return self._code_bytes[path]
