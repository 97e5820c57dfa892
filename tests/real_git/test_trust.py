"""Trust in a real repository: what a recipe would run is asked for by hash, and nothing in the repository can answer."""

from __future__ import annotations

import json
import os
import subprocess
from types import SimpleNamespace

import pytest

from regen_vcs.engine.snapshot import look
from regen_vcs.engine.trust import (
    items_for,
    open_store,
    read_item,
    repository_items,
    require_trust,
    trust_all,
    trust_store,
    untrusted_reason,
)
from regen_vcs.engine.trust_difference import difference
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, NotTrusted
from regen_vcs.model.key import hash_bytes

PROJECT = """\
[generators.upscale]
uses = "command"
argv = ["python3", "{code}/upscale.py", "{inputs.image}", "{output}"]
code = ["tools/*.py"]

[generators.noise]
uses = "texture"
"""


@pytest.fixture
def place(tmp_path):
    """A repository with one recipe that runs a script, one that does not, and a user's configuration beside it."""
    root, home = tmp_path / "film", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "REGEN_CONFIG_DIR": str(home / "config"), "REGEN_CACHE_DIR": str(home / "cache"), "REGEN_KEEP_DIR": str(home / "keep"),
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }

    def git(*argv: str) -> str:
        return subprocess.run(["git", *argv], cwd=root, env=environ, check=True, capture_output=True, text=True).stdout

    def write(path: str, text: str) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        git("add", path)

    git("init", "-q", "-b", "main")
    write("regen.toml", PROJECT)
    write("tools/upscale.py", "print(1)\n")
    write("scene.py", "import bpy\n")
    write("plate.txt", "plate\n")
    inputs = {"image": "../plate.txt", "scene": "../scene.py"}
    write("shots/big.png.regen.json", json.dumps({"regen": 1, "generator": "command:upscale", "inputs": inputs}))
    write("shots/noise.png.regen.json", json.dumps({"regen": 1, "generator": "texture:noise", "inputs": {"graph": "../scene.py"}}))
    write("shots/plain.png.regen.json", json.dumps({"regen": 1, "generator": "texture"}))
    write("shots/scan.png.regen.json", json.dumps({"regen": 1}))
    git("commit", "-qm", "all")
    open_store.cache_clear()

    def snapshot():
        found = look(Workspace.open(str(root), environ))
        found.inputs.preload(list(found.assets.values()))
        return found

    return SimpleNamespace(root=root, git=git, write=write, snapshot=snapshot, environ=environ)


def reason(place, path: str) -> str | None:
    snapshot = place.snapshot()
    return untrusted_reason(snapshot, snapshot.assets[path])


def test_what_one_recipe_would_run(place):
    snapshot = place.snapshot()
    assert [(item.kind, item.path) for item in items_for(snapshot, snapshot.assets["shots/big.png"])] == [
        ("regen.toml", "regen.toml"), ("code", "tools/upscale.py"), ("input", "scene.py"),
    ]
    for path in ("shots/noise.png", "shots/plain.png", "shots/scan.png"):
        assert items_for(snapshot, snapshot.assets[path]) == []


def test_nothing_runs_before_the_user_said_so(place):
    assert reason(place, "shots/big.png") == "not trusted: regen.toml, tools/upscale.py, scene.py"
    assert reason(place, "shots/plain.png") is None
    snapshot = place.snapshot()
    with pytest.raises(NotTrusted, match=r"shots/big\.png: not trusted: regen\.toml") as caught:
        require_trust(snapshot, snapshot.assets["shots/big.png"])
    assert "regen-vcs trust" in caught.value.hint


def test_trust_holds_until_a_byte_changes_and_again_when_it_changes_back(place):
    snapshot = place.snapshot()
    trust_all(snapshot, repository_items(snapshot))
    assert reason(place, "shots/big.png") is None
    place.write("tools/upscale.py", "print(2)\n")
    assert reason(place, "shots/big.png") == "not trusted: tools/upscale.py"
    place.write("tools/more.py", "x\n")
    place.write("tools/upscale.py", "print(1)\n")
    assert reason(place, "shots/big.png") == "not trusted: tools/more.py"
    place.git("rm", "-qf", "tools/more.py")
    assert reason(place, "shots/big.png") is None
    trust_store(place.snapshot()).revoke()
    assert reason(place, "shots/big.png") is not None


def test_the_difference_is_shown(place):
    snapshot = place.snapshot()
    trust_all(snapshot, repository_items(snapshot))
    place.write("tools/upscale.py", "print(2)\n")
    snapshot = place.snapshot()
    store = trust_store(snapshot)
    new = store.untrusted(repository_items(snapshot))
    shown = difference(new, lambda item: read_item(snapshot, item), store.last_trusted)
    assert shown == "--- trusted/tools/upscale.py\n+++ now/tools/upscale.py\n@@ -1 +1 @@\n-print(1)\n+print(2)\n"


def test_nothing_in_the_repository_can_grant_trust(place):
    for folder in (".regen", ".git/regen", "trust", ".config/regen-vcs/trust"):
        path = place.root / folder / f"{place.snapshot().ws.uuid}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        items = [{"kind": "regen.toml", "path": "regen.toml", "hash": hash_bytes(PROJECT.encode())}]
        path.write_text(json.dumps({"regen-trust": 1, "items": items}))
    assert reason(place, "shots/big.png").startswith("not trusted: regen.toml")
    place.write("regen.toml", PROJECT + "[trust]\nall = true\n")
    with pytest.raises(InvalidError, match="trust is for the user"):
        reason(place, "shots/big.png")


def test_trust_of_one_repository_is_not_trust_of_another(place):
    snapshot = place.snapshot()
    trust_all(snapshot, repository_items(snapshot))
    place.git("config", "regen.uuid", "0b0e7a0e-6c0f-4b6e-9b43-1de2f2f1c3aa")
    assert reason(place, "shots/big.png") is not None


def test_worktrees_share_their_repositorys_trust(place, tmp_path):
    snapshot = place.snapshot()
    trust_all(snapshot, repository_items(snapshot))
    place.git("worktree", "add", "-q", str(tmp_path / "second"))
    second = look(Workspace.open(str(tmp_path / "second"), place.environ))
    second.inputs.preload(list(second.assets.values()))
    assert untrusted_reason(second, second.assets["shots/big.png"]) is None


def test_only_what_was_shown_is_trusted(project):
    """For a window that shows it and asks: between the showing and the yes, anything may have changed."""
    table = '[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n'
    project.write("regen.toml", table.encode())
    shown = json.loads(project.regen("trust", "--json", check=False).stdout)["digest"]
    project.write("regen.toml", table.replace('"cp"', '"evil"').encode())
    refused = project.regen("trust", "--yes", "--as-shown", shown, check=False)
    assert refused.returncode == 4 and "not what was shown" in refused.stderr
    assert project.regen("trust", "--json", check=False).returncode == 4, "nothing was trusted"
    project.write("regen.toml", table.encode())
    assert project.regen("trust", "--yes", "--as-shown", shown).returncode == 0
    assert json.loads(project.regen("trust", "--json").stdout)["digest"] == shown, "trusted or not: the same name"
    assert project.regen("trust", "--as-shown", shown, check=False).returncode == 2
