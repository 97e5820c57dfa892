"""Somebody's first hour: what the README says works as it stands there, and typical mistakes are answered kindly."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PYTHON, Home, Project
from tests.real_git.film import hash_file, sidecars

README = Path(__file__).resolve().parents[2] / "README.md"
DURATION = re.compile(r"in (?:[0-9.]+ (?:ms|s|min)|[0-9]+:[0-9]+)")
TINY = ("--param", "width=32", "--param", "height=32", "--param", "depth=8")


def first_minutes() -> list[tuple[str, list[str]]]:
    """[(command, lines it is said to print)] of the README's console blocks."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line:
                found[-1][1].append(line)
    return found


def test_the_first_five_minutes_are_as_the_readme_says(home):
    project = home.repo("Mein Fïlm zwei", init=False)
    skies = []
    for command, said in first_minutes():
        done = project.run("sh", "-c", command)
        printed = {DURATION.sub("in …", line.strip()) for line in (done.stdout + done.stderr).splitlines()}
        missing = [line for line in said if DURATION.sub("in …", line.strip()) not in printed]
        assert not missing, f"{command}: the README says {missing}, but it printed {sorted(printed)}"
        if command.startswith(("regen-vcs generate", "regen-vcs regenerate", "git switch main")):
            skies.append(hash_file(project.path("shots/010/sky.png")))
    assert len(skies) == 3 and skies[0] != skies[1] and skies[0] == skies[2]
    assert project.git("ls-files", "*.png").stdout == ""
    assert project.git("status", "--porcelain").stdout == ""
    project.path("shots/010/sky.png").unlink()
    project.regen("sync")
    assert hash_file(project.path("shots/010/sky.png")) == skies[0]


def test_a_clone_elsewhere_has_everything_after_init(home, tmp_path):
    film = home.repo()
    film.regen("generate", "shots/010/sky.png", "--generator", "texture", *TINY)
    film.commit("sky")
    elsewhere = Home(tmp_path / "another mächine")
    elsewhere.env["GIT_CONFIG_GLOBAL"] = str(elsewhere.home / ".gitconfig")
    clone = Project(elsewhere, elsewhere.work / "Mein Fïlm")
    film.run("git", "clone", "-q", str(film.root), str(clone.root))
    assert not clone.path("shots/010/sky.png").exists()
    clone.regen("init")
    assert hash_file(clone.path("shots/010/sky.png")) == hash_file(film.path("shots/010/sky.png"))
    assert clone.status() == {"shots/010/sky.png": "ok"}


def test_every_command_of_the_readmes_table_runs(film):
    rows = re.findall(r"^\| [^|]+ \| (`regen-vcs [^|]+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    commands = [each for row in rows for each in re.findall(r"`regen-vcs ([^`]+)`", row)]
    assert len(commands) >= 9
    for command in commands:
        words = [word for word in command.split() if word != "…"]
        if words[0] in ("show", "accept", "fetch") and len(words) == 1:
            words.append("shots/010/sky.png")
        done = film.regen(*words, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert film.path("shots/010/sky.png").exists()
    assert not [path for path in film.path(".git/hooks").iterdir() if not path.name.endswith(".sample")]
    film.regen("init")


# --- mistakes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Project:
    """A generated sky, a painted plate, both committed; a text file; a folder beside it that is no repository."""
    home = Home(tmp_path_factory.mktemp("newcomer"))
    film = home.repo("Mein Fïlm")
    film.regen("generate", "shots/010/sky.png", "--generator", "texture", *TINY)
    film.write("plate.png", b"painted")
    film.regen("add", "plate.png")
    film.write("notes.txt", b"notes\n")
    film.commit("one")
    return film


# (words, exit code, what the error must name)
MISTAKES = [
    (["statsu"], 2, "did you mean status?"),
    (["clean"], 2, "there is no command 'clean'"),
    (["--verison"], 2, "--verison"),
    (["generate"], 2, "ASSET"),
    (["generate", "x.png"], 2, "--generator"),
    (["generate", "x.png", "--genrator", "texture"], 2, "--generator"),
    (["generate", "x.png", "--generator", "textrue"], 2, "did you mean texture?"),
    (["generate", "x.png", "--generator", "texture", "--param", "sead=1"], 3, "did you mean seed?"),
    (["generate", "x.png", "--generator", "texture", "--param", "kind=fbn"], 3, "params.kind"),
    (["generate", "x.png", "--generator", "texture", "--param", "width=wide"], 3, "params.width"),
    (["generate", "x.png", "--generator", "texture", "--param", "width=0"], 3, "params.width"),
    (["generate", "x.png", "--generator", "texture", "--param", "width"], 2, "K=V"),
    (["generate", "x.png", "--generator", "texture", "--param", "seed=1", "--param", "seed=2"], 2, "twice"),
    (["generate", "x.png", "--generator", "texture", "--param", "ramp=@nope.json"], 2, "nope.json"),
    (["generate", "x.png", "--generator", "texture", "--model", "checkpoint=sdxl"], 2, "sdxl"),
    (["generate", "x.png", "--generator", "texture", "--input", "image=nope.png"], 2, "nope.png"),
    (["generate", "x.png", "--generator", "texture", "--input", "image=x.png"], 2, "x.png"),
    (["generate", "x.jpg", "--generator", "texture"], 2, ".png and .exr"),
    (["generate", "sky", "--generator", "texture"], 2, ".png and .exr"),
    (["generate", "wind.mp3", "--generator", "tone"], 2, ".wav and .flac"),
    (["generate", "x.png", "--generator", "command"], 3, "[generators.NAME]"),
    (["generate", "x.png", "--generator", "command:upscale"], 3, "[generators.upscale]"),
    (["generate", "../x.png", "--generator", "texture"], 2, "outside this repository"),
    (["generate", ".git/x.png", "--generator", "texture"], 3, "git's own folder"),
    (["generate", "notes.txt/x.png", "--generator", "texture"], None, "notes.txt"),
    (["generate", "shots/010/SKY.png", "--generator", "texture"], 3, "only in case"),
    (["generate", "shots/010/sky.png/x.png", "--generator", "texture"], 3, "inside the other"),
    (["set", "shots/010/sky.png"], 2, "nothing to set"),
    (["set", "shots/010/sky.png", "sead=1"], 3, "did you mean seed?"),
    (["set", "shots/010/sky.png", "seed"], 2, "seed: wants K=V"),
    (["set", "shots/010/sky.png", "--unset", "sead"], 2, "sead"),
    (["set", "nope.png", "seed=1"], 1, "there is no recipe"),
    (["set", "plate.png", "seed=1"], 2, "source asset"),
    (["add"], 2, "PATHS"),
    (["add", "nope.png"], 1, "nope.png"),
    (["add", "notes.txt"], 3, "git rm --cached notes.txt"),
    (["add", "../beside"], 2, "outside this repository"),
    (["mv", "nope.png", "x.png"], 1, "nope.png"),
    (["mv", "plate.png", "notes.txt"], 1, "notes.txt"),
    (["mv", "plate.png", "plate.exr"], 2, "format"),
    (["rm", "nope.png"], 1, "nope.png"),
    (["show", "nope.png"], 1, "nope.png"),
    (["explain", "shots"], 1, "shots"),
    (["accept", "nope.png"], 2, "nope.png"),
    (["accept", "--min-score", "98", "plate.png"], 2, "--min-score"),
    (["fetch", "nope.png"], 2, "nope.png"),
    (["status", "nope.png"], 2, "nope.png"),
    (["status", "--josn"], 2, "--json"),
    (["regenerate", "nope.png"], 2, "nope.png"),
    (["regenerate", "--jobs", "many"], 2, "--jobs"),
    (["rescued", "beef"], 2, "beef"),
    (["config", "checkout.wiat"], 2, "did you mean checkout.wait?"),
    (["schema", "textrue"], 2, "did you mean texture?"),
    (["check", "nope..HEAD"], 2, "nope"),
    (["completion", "tcsh"], 2, "tcsh"),
    (["install"], 2, "regen-vcs init"),
    (["untrack", "nope/**"], 2, "nope/**"),
    (["trust", "--yes", "--revoke"], 2, "--revoke"),
    (["sync", "shots"], 2, "shots"),
]


def assert_kind(done: subprocess.CompletedProcess, code: int | None, named: str) -> None:
    """`error:` and `  hint:`, the right exit code, no traceback and nothing on stdout."""
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert lines and lines[0].startswith("error: "), done.stdout + done.stderr
    assert lines[1].startswith("  hint: ") and lines[1] != "  hint: ", done.stderr
    assert named in done.stderr
    assert done.returncode == code if code is not None else done.returncode in (1, 2, 3)
    assert max(map(len, lines)) < 300, "a screenful for one mistake"


@pytest.mark.parametrize(("words", "code", "named"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_mistake_is_answered_with_what_to_do(film, words, code, named):
    before = sidecars(film.root)
    assert_kind(film.regen(*words, check=False), code, named)
    assert sidecars(film.root) == before, "a mistake has left something behind"


@pytest.mark.parametrize("words", [["init"], ["status"], ["status", "."], ["generate", "x.png"], ["sync"], ["doctor"], ["trust"]])
def test_outside_a_repository(film, words):
    beside = film.user.work / "beside"
    beside.mkdir(exist_ok=True)
    done = film.regen(*words, cwd=beside, check=False)
    if words == ["doctor"]:  # it says so as a finding
        assert "git" in done.stdout and "Traceback" not in done.stderr
    else:
        assert_kind(done, 2, "git init")


@pytest.mark.parametrize("words", [["init"], ["status"], ["sync"]])
def test_in_a_bare_repository_and_in_gits_own_folder(film, words):
    bare = film.user.work / "bare.git"
    if not bare.exists():
        film.git("init", "-q", "--bare", str(bare))
    for folder in (bare, film.path(".git")):
        assert_kind(film.regen(*words, cwd=folder, check=False), 2, "")


def test_a_folder_that_is_gone(film):
    gone = film.user.work / "gone"
    gone.mkdir()
    done = film.run("sh", "-c", f'rmdir "{gone}" && exec "{PYTHON}" -I -m regen_vcs status', cwd=gone, check=False)
    assert "Traceback" not in done.stderr and done.stderr.startswith("error: ")


@pytest.mark.parametrize(("name", "value"), [("REGEN_CHECKOUT_WAIT", "soon"), ("REGEN_LINK", "symlink"), ("REGEN_JOBS", "-1")])
def test_a_setting_that_does_not_fit(film, name, value):
    done = film.run("env", f"{name}={value}", PYTHON, "-I", "-m", "regen_vcs", "config", check=False)
    assert_kind(done, 3, name)


def test_a_store_that_cannot_be_written(film, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    film.write("new.png", b"new")
    command = ("env", f"REGEN_KEEP_DIR={blocked}/keep", PYTHON, "-I", "-m", "regen_vcs", "add", "new.png")
    try:
        done = film.run(*command, check=False)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert done.stderr.startswith("error: ") and "a file" in done.stderr
        assert not film.path("new.png.regen.json").exists()
    finally:
        film.path("new.png").unlink()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_one_may_not_write_in(film):
    locked = film.path("locked")
    locked.mkdir()
    locked.chmod(0o555)
    try:
        done = film.regen("generate", "locked/x.png", "--generator", "texture", *TINY, check=False)
        assert done.returncode == 1 and done.stderr.startswith("error: ") and "locked" in done.stderr
    finally:
        locked.chmod(0o755)
        locked.rmdir()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"regen": "one"}', "<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n"])
def test_a_sidecar_that_is_damaged(film, text):
    sound = film.path("plate.png.regen.json").read_bytes()
    film.write("plate.png.regen.json", text.encode())
    try:
        for words in (["show", "plate.png"], ["set", "plate.png", "seed=1"]):
            done = film.regen(*words, check=False)
            assert done.returncode == 3 and done.stderr.startswith("error: plate.png.regen.json"), done.stderr
            assert "Traceback" not in done.stderr
        assert "invalid   plate.png" in film.regen("status").stdout
        assert film.path("plate.png").read_bytes() == b"painted"
    finally:
        film.write("plate.png.regen.json", sound)


def test_a_sidecar_that_git_does_not_know_yet(film):
    film.write("new.png.regen.json", film.path("plate.png.regen.json").read_bytes())
    try:
        assert_kind(film.regen("show", "new.png", check=False), 1, "git add new.png.regen.json")
    finally:
        film.path("new.png.regen.json").unlink()


def test_a_regen_toml_that_is_damaged(film):
    sound = film.path("regen.toml").read_bytes()
    film.write("regen.toml", sound + b"\n[generators.x]\nuse = \n")
    try:
        done = film.regen("generate", "x.png", "--generator", "command:x", check=False)
        assert_kind(done, 3, "regen.toml")
    finally:
        film.write("regen.toml", sound)
