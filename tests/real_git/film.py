"""A small film in a repository, and the one question every test of git asks: do the media match the sidecars?"""

from __future__ import annotations

import json
import os
from pathlib import Path

from blake3 import blake3

TRIGGERS = ("hooks", "filter")


def media_bytes(name: str, version: int) -> bytes:
    return f"{name} v{version} ".encode() * 500


def make_film(home, trigger: str, name: str = "film"):
    """Two branches. `two` changes a, removes dir/b, adds neu; also a commit on main after the fork.

    main: a.png, dir/b.png, dir/ü c.png, dir/deep/d.png (all version 1), then notes.txt
    two:  a.png (version 2), dir/ü c.png, dir/deep/d.png, neu.png
    """
    project = home.repo(name, init=False)
    if trigger == "hooks":
        project.regen("init")
    else:
        project.regen("install", "--global")
        project.write(".gitattributes", b"*.regen.json filter=regen merge=regen diff=regen text eol=lf\n")
    project.trigger = trigger
    for each in ("a.png", "dir/b.png", "dir/ü c.png", "dir/deep/d.png"):
        project.write(each, media_bytes(each, 1))
    project.regen("add", ".")
    project.commit("one")
    project.git("branch", "base")
    project.git("switch", "-qc", "two")
    project.write("a.png", media_bytes("a.png", 2))
    project.regen("add", "a.png")
    project.regen("rm", "dir/b.png")
    project.write("neu.png", media_bytes("neu.png", 1))
    project.regen("add", "neu.png")
    project.commit("two")
    project.git("switch", "-q", "main")
    settle(project)
    project.write("notes.txt", b"notes\n")
    project.commit("notes")
    assert_matches(project)
    return project


def settle(project) -> None:
    """Under the filter alone removals wait for the next sync."""
    if project.trigger == "filter":
        project.regen("sync")


def hash_file(path: Path) -> str:
    return blake3(path.read_bytes()).hexdigest()


def sidecars(root: Path) -> dict[str, dict]:
    """{asset: sidecar document} of every sidecar on disk."""
    found = {}
    for folder, folders, names in os.walk(root):
        if ".git" in folders:
            folders.remove(".git")
        for name in names:
            if name.endswith(".regen.json"):
                path = Path(folder) / name
                try:
                    document = json.loads(path.read_text())
                except ValueError:
                    continue
                found[str(path.relative_to(root)).removesuffix(".regen.json")] = document
    return found


def media(root: Path) -> set[str]:
    return {
        str(path.relative_to(root)) for path in root.rglob("*.png") if ".git" not in path.relative_to(root).parts
    }


def assert_matches(project, root: Path | None = None, *, clean: bool = True, settled: bool = True) -> None:
    """Every asset on disk hashes to what its sidecar says, assets without sidecar are gone, git status is clean."""
    root = root or project.root
    if settled and getattr(project, "trigger", "hooks") == "filter":
        project.regen("sync", cwd=root)
    documents = sidecars(root)
    for path, document in documents.items():
        if "output" in document:
            assert (root / path).exists(), f"{path} is missing"
            assert "blake3:" + hash_file(root / path) == document["output"]["hash"], f"{path} is not what its sidecar says"
    assert media(root) == {path for path in documents if path.endswith(".png")}
    assert not [path for path in root.rglob("tmp-*")]
    if clean:
        status = project.git("status", "--porcelain", cwd=root).stdout
        assert status == "", status
