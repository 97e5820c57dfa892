"""Two people, one repository on a server, and one store of media: who shares what."""

from __future__ import annotations

import json
import os
from pathlib import Path

from blake3 import blake3

from tests.conftest import Home, Project


class Studio:
    """`a` and `b`: clones with homes, stores and configurations of their own. `store`: the folder both use as a remote."""

    def __init__(self, base: Path, *, durable: bool = True):
        self.base = base
        self.store = base / "störe"
        self.hub = base / "hub.git"
        self._durable = durable
        self.a = Home(base / "a").repo("film")
        self.a.git("init", "-q", "--bare", str(self.hub))
        self.a.git("remote", "add", "origin", str(self.hub))
        self.add_remote(self.a)
        self.a.git("push", "-q", "-u", "origin", "main")

    def add_remote(self, project: Project, *more: str) -> None:
        project.regen("remote", "add", "studio", str(self.store), *(("--durable",) if self._durable else ()), *more)

    def clone(self, name: str = "b", *, remote: bool = True) -> Project:
        home = Home(self.base / name)
        root = home.work / "film"
        home_project = Project(home, home.work)
        home_project.git("clone", "-q", str(self.hub), str(root))
        project = Project(home, root)
        if remote:
            self.add_remote(project)
        project.regen("init")
        return project

    def object_path(self, data: bytes) -> Path:
        return object_path(self.store, blake3(data).hexdigest())

    def objects(self) -> set[str]:
        """The hashes of all objects in the store."""
        folder = self.store / "v1" / "objects"
        return {each.name + name for each in (folder.iterdir() if folder.exists() else ()) for name in os.listdir(each)}

    def publish(self, project: Project, message: str) -> str:
        """Commit and `git push`; what the push printed."""
        project.commit(message)
        done = project.git("push", "-q")
        return done.stdout + done.stderr


def object_path(store: Path, hash: str) -> Path:
    return store / "v1" / "objects" / hash[:2] / hash[2:]


def overwrite(path: Path, data: bytes) -> None:
    """Other bytes under an object's name, as somebody with write access could put there."""
    path.chmod(0o644)
    path.write_bytes(data)


def statuses(project: Project) -> dict[str, dict]:
    """{asset: its entry in `status --json`}."""
    return {each["path"]: each for each in json.loads(project.regen("status", "--json").stdout)["assets"]}
