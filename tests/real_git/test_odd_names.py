"""Names as people, systems and attackers choose them, through every command that takes or prints one."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import unicodedata

import pytest

from tests.conftest import Home
from tests.real_git import recipes
from tests.real_git.copies import copy_of
from tests.real_git.film import TRIGGERS, settle

NFC = unicodedata.normalize("NFC", "Größe é.png")
NFD = unicodedata.normalize("NFD", "Straße ö.png")
GOOD = (
    "with space.png", "two  spaces.png", " lead.png", "trailing ", "trailing.png ", NFC, NFD, 'quote".png', "it's.png",
    "-dash.png", "--to.png", "-", "new\nline.png", "tab\there.png", "ends\r", "x" * 200 + ".png", "100%.png", "%s %d.png", "a:b.png",
    ":(top)x.png", ":!x.png", "!bang.png", "#hash.png", "take #1.png", "star*.png", "q?.png", "[a].png", "~tilde.png", "$HOME.png",
    "`id`.png", "a;b.png", "a&b.png", "a|b.png", "a>b.png", ".hidden.png", "no suffix", "ends.", "@at.png", "con.png", "a=b.png",
    "emoji 🎬.png", "gnp.\u202epng", "esc\x1b[31m.png", "bell\a.png", "c1\x9b31m.png", "\u200bzero.png", "Ordner ü/ß ẞ.png", "-d/-e/-f.png",
    "a\\".replace("\\", "'") + ".json", "x.regen.json.png",
)  # fmt: skip
REFUSED = (
    "back\\slash.png", "regen.toml", "REGEN.TOML", "regen.toml ", "sub/regen.toml", ".gitignore", ".gitattributes", ".GitModules",
    "sub/.gitignore", "git~1", "sub/GIT~1/x.png", ".git./x.png", ".g\u200cit/x.png", "x.regen.json::$DATA", "y" * 250 + ".png", "nul\udcff.png",
)  # fmt: skip


def data_of(name: str) -> bytes:
    return b"" if name == "with space.png" else name.encode("utf-8", "surrogateescape") * 3  # one of them is empty


def write(project, name: str, data: bytes) -> None:
    path = os.path.join(os.fsencode(project.root), name.encode("utf-8", "surrogateescape"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def read(project, name: str) -> bytes | None:
    try:
        with open(os.path.join(os.fsencode(project.root), name.encode("utf-8", "surrogateescape")), "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        assert error.errno == errno.ENAMETOOLONG
        return None


def regen(project, *argv: str, check: bool = True, timeout: int = 60) -> subprocess.CompletedProcess:
    """As Project.regen, but in bytes: names need not be UTF-8."""
    done = project.regen_bytes(*argv, timeout=timeout)
    if check:
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr, done.stderr
    assert_tame(done.stdout + done.stderr)
    return done


def assert_tame(printed: bytes) -> None:
    """Nothing that drives a terminal: no control characters but line breaks, in C0 or C1."""
    text = printed.decode("utf-8", "surrogateescape")
    assert not [c for c in text if c != "\n" and unicodedata.category(c) == "Cc"], text
    assert "\u202e" not in text


def status(project) -> dict[str, dict]:
    """{asset: entry} of `status --json`, which is UTF-8 whatever the names are."""
    return {each["path"]: each for each in json.loads(regen(project, "status", "--json").stdout.decode())["assets"]}


def states(project) -> dict[str, str]:
    return {path: entry["state"] for path, entry in status(project).items()}


def fresh(home, trigger: str):
    project = home.repo(init=False)
    if trigger == "hooks":
        project.regen("init")
    else:
        project.regen("install", "--global")
        project.write(".gitattributes", b"*.regen.json filter=regen merge=regen diff=regen text eol=lf\n")
    project.trigger = trigger
    project.commit("nothing yet")
    project.git("branch", "empty")
    return project


# ---------------------------------------------------------------- names that work


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_life_with_odd_names(home, trigger):
    """add, commit, switch, show, explain, mv, rm: for every good name."""
    film = fresh(home, trigger)
    for name in GOOD:
        write(film, name, data_of(name))
    half = len(GOOD) // 2
    regen(film, "add", "--", *GOOD[:half])
    regen(film, "add", ".")
    assert states(film) == dict.fromkeys(GOOD, "ok")
    film.commit("all")
    tracked = film.git("ls-files", "-z").stdout.split("\0")
    assert not [name for name in tracked if name in GOOD]  # no media in git
    assert film.git("status", "--porcelain").stdout == ""

    def assert_here():
        for name in GOOD:
            assert read(film, name) == data_of(name), name

    film.git("switch", "-q", "empty")
    film.regen("sync")  # so many at once are taken away by hand only
    assert [name for name in GOOD if read(film, name) is not None] == []
    film.git("switch", "-q", "main")
    assert_here()
    regen(film, "status")
    regen(film, "check")
    for name in ("-dash.png", "new\nline.png", "esc\x1b[31m.png", "c1\x9b31m.png", "gnp.\u202epng", NFC, "star*.png"):
        assert json.loads(regen(film, "show", "--json", "--", name).stdout)["path"] == name
        regen(film, "show", "--", name)
        regen(film, "explain", "--", f"{name}.regen.json")
    for name in GOOD:
        regen(film, "mv", "--", name, f"moved/{name}")
        assert read(film, name) is None and read(film, f"moved/{name}") == data_of(name)
    film.commit("moved")
    assert states(film) == {f"moved/{name}": "ok" for name in GOOD}
    assert film.git("status", "--porcelain").stdout == ""
    film.git("switch", "-q", "--detach", "HEAD~1")
    settle(film)
    assert_here()
    film.git("switch", "-q", "main")
    settle(film)
    regen(film, "rm", "--", *(f"moved/{name}" for name in GOOD))
    assert states(film) == {}
    film.commit("removed")
    assert not film.path("moved").exists()


@pytest.mark.parametrize("name", ["-dash.png", "new\nline.png", "esc\x1b[31m.png", NFD, "a:b.png", "q?.png", "x" * 200 + ".png", "100%.png"])
def test_generate_and_edit_odd_names(film, name):
    texture = ("-g", "texture", "-p", "kind=fbm", "-p", "width=16", "-p", "height=16", "-p", "seed=1")
    regen(film, "generate", *texture, "--", name)
    before = read(film, name)
    film.commit("made")
    regen(film, "set", "--", name, "seed=2")
    assert states(film) == {name: "stale"}
    regen(film, "regenerate", "--", name)
    film.commit("again")
    write(film, name, b"edited")
    assert states(film)[name] == "modified"
    switched = film.git("switch", "-q", "--detach", "HEAD~1")
    assert read(film, name) == before, switched.stderr
    (entry,) = json.loads(regen(film, "rescued", "--json").stdout)["rescued"]
    assert entry["path"] == name
    regen(film, "rescued")
    regen(film, "rescued", entry["hash"], "--to", "back.bin")
    assert read(film, "back.bin") == b"edited"


def test_an_empty_file_is_an_asset_like_any(film):
    write(film, "empty.dat", b"")
    write(film, "dir/empty.dat", b"")
    write(film, "dir/full.dat", b"x")
    regen(film, "add", "empty.dat")
    regen(film, "add", "--as-one", "dir")
    film.commit("empty")
    film.git("switch", "-q", "empty")
    assert read(film, "empty.dat") is None
    film.git("switch", "-q", "main")
    assert read(film, "empty.dat") == b"" and read(film, "dir/empty.dat") == b""
    write(film, "empty.dat", b"no more")
    assert states(film) == {"empty.dat": "modified", "dir": "ok"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return fresh(Home(tmp_path_factory.mktemp("names") / "user"), "hooks")


@pytest.fixture
def film(template, tmp_path):
    project = copy_of(template, tmp_path)
    project.trigger = "hooks"
    return project


# ---------------------------------------------------------------- names that are refused


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_every_verb(film, name):
    if "git" not in name.lower() and len(name) < 240 and name != "regen.toml":
        write(film, name, b"media")
    head = read(film, "regen.toml")
    done = regen(film, "add", "--", name, check=False)
    assert done.returncode in (1, 2, 3) and done.stderr.startswith(b"error: ")
    done = regen(film, "generate", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1", "--", name, check=False)
    assert done.returncode in (2, 3) and done.stderr.startswith(b"error: ")
    write(film, "good.png", b"good")
    regen(film, "add", "good.png")
    assert regen(film, "mv", "--", "good.png", name, check=False).returncode in (1, 2, 3)
    assert read(film, "good.png") == b"good"
    assert read(film, "regen.toml") == head
    assert read(film, f"{name}.regen.json") is None
    assert states(film) == {"good.png": "ok"}


def test_case_and_normalisation_collide(film):
    for first, second in (("a.png", "A.png"), (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png"))):
        write(film, first, b"one")
        write(film, second, b"two")
        regen(film, "add", first)
        done = regen(film, "add", second, check=False)
        assert done.returncode == 3 and b"case" in done.stderr
        assert read(film, f"{second}.regen.json") is None


def test_colliding_sidecars_from_git_leave_both_assets_alone(film):
    write(film, "a.png", b"one")
    regen(film, "add", "a.png")
    film.commit("one")
    film.git("switch", "-qc", "both")
    recipes.write(film, "A.png", recipes.source(b"one"))
    film.git("add", "-A")
    film.git("commit", "-qnm", "both")
    assert states(film) == {"a.png": "invalid", "A.png": "invalid"}
    regen(film, "sync")
    assert read(film, "a.png") == b"one" and read(film, "A.png") is None
    assert regen(film, "check", check=False).returncode == 3
    film.git("switch", "-q", "main")
    assert states(film) == {"a.png": "ok"}


def test_a_name_that_is_not_utf8(film):
    name = "caf\udce9.png"
    write(film, name, b"latin")
    done = regen(film, "add", "--", name, check=False)
    assert done.returncode == 3 and b"not Unicode" in done.stderr
    write(film, "good.png", b"good")
    done = regen(film, "add", ".", check=False)  # found in a folder: the others are taken
    assert read(film, "good.png.regen.json")
    write(film, f"{name}.regen.json", recipes.recipe_bytes(recipes.source(b"latin")))
    film.git("add", "-A", "--", "*.regen.json")
    film.git("commit", "-qnm", "latin")
    found = status(film)
    (odd,) = [entry for path, entry in found.items() if path != "good.png"]
    assert odd["state"] == "invalid" and "not Unicode" in odd["reason"]
    film.git("switch", "-q", "empty")
    film.git("switch", "-q", "main")
    assert read(film, "good.png") == b"good"
    assert regen(film, "check", check=False).returncode == 3


# ---------------------------------------------------------------- sidecars of refused names that arrive by git

TEXT = b"bytes that a store here knows"
TAKEN = ("Makefile", "sub/data.bin")  # tracked by git itself
HOSTILE = (
    ".git", "sub/.git", ".git/hooks/post-checkout", "Makefile", "sub/data.bin", "regen.toml", "x.regen.json", ".gitignore", ".gitattributes",
    "sub\\x.png", "GIT~1", ".GIT", "sub",
)  # fmt: skip


@pytest.fixture
def besieged(film):
    """main: Makefile, sub/data.bin and one asset. odd: a sidecar for every hostile name, each naming bytes we have."""
    for name in TAKEN:
        write(film, name, b"git's own " + name.encode())
    write(film, "good.png", TEXT)
    regen(film, "add", "good.png")
    film.commit("good")
    film.git("switch", "-qc", "odd")
    text = recipes.recipe_bytes(recipes.source(TEXT)).decode()
    oid = film.git("hash-object", "-w", "--stdin", input=text, stdin=None).stdout.strip()
    for name in [*HOSTILE, "", "sub/"]:
        path = f"{name}.regen.json"
        if ".git/" in path.lower():
            continue  # git takes no such path, and says so below
        film.git("update-index", "--add", "--cacheinfo", f"100644,{oid},{path}")
    film.git("commit", "-qnm", "odd")
    film.git("reset", "-q", "--hard", "main")
    film.git("update-ref", "refs/heads/main", "main")
    return film


def test_git_itself_takes_no_path_in_its_folder(film):
    oid = film.git("hash-object", "-w", "--stdin", input="{}", stdin=None).stdout.strip()
    assert film.git("update-index", "--add", "--cacheinfo", f"100644,{oid},.git/hooks/x.regen.json", check=False).returncode != 0


def inventory(film) -> dict[str, bytes]:
    """What no sidecar may change: git's folder (but for what git and we keep there) and the files git tracks."""
    found = {}
    for top in (".git/hooks", ".git/info/attributes"):
        for folder, _, names in os.walk(film.root / top):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found[path] = file.read()
    for name in ("regen.toml", ".gitattributes", ".git/config", *TAKEN):
        found[name] = read(film, name)
    return found


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_hostile_sidecars_change_nothing(besieged, trigger):
    film = besieged
    if trigger == "filter":
        film.regen("install", "--global")
        for hook in (film.root / ".git" / "hooks").iterdir():
            hook.unlink()
        film.git("config", "--unset-all", "filter.regen.process")
    before = inventory(film)
    film.git("update-ref", "HEAD", "main")
    odd = film.git("rev-parse", "odd@{1}" if film.git("rev-parse", "odd").stdout == film.git("rev-parse", "main").stdout else "odd").stdout.strip()
    for _ in range(2):
        film.git("checkout", "-q", "--detach", odd)
        for verb in (("status",), ("sync",), ("status", "--json"), ("regenerate",), ("doctor",), ("fsck",), ("trust", "--yes")):
            regen(film, *verb, check=False)
        assert regen(film, "check", check=False).returncode == 3
        found = states(film)
        assert found.pop("good.png") == "ok"
        assert set(found.values()) == {"invalid"} and len(found) == len(HOSTILE) + 1
        film.git("commit", "-q", "--allow-empty", "-nm", "life goes on")
        film.git("checkout", "-q", "main")
        regen(film, "sync")
        assert states(film) == {"good.png": "ok"}
        assert inventory(film) == before
        film.git("fsck", "--no-dangling")
    assert film.git("status", "--porcelain").stdout == ""
    assert read(film, "good.png") == TEXT
    state = (film.root / ".git" / "regen" / "state.json").read_text()
    assert "post-checkout" not in state and "Makefile" not in state


def test_an_untracked_makefile_is_an_asset_like_any(film):
    write(film, "Makefile", b"all: media")
    regen(film, "add", "Makefile")
    film.commit("makefile as media")
    assert "Makefile" not in film.git("ls-files").stdout.split()
    film.git("switch", "-q", "empty")
    assert read(film, "Makefile") is None
    film.git("switch", "-q", "main")
    assert read(film, "Makefile") == b"all: media"


def test_a_tracked_makefile_is_refused(film):
    write(film, "Makefile", b"all: code")
    film.commit("makefile")
    done = regen(film, "add", "Makefile", check=False)
    assert done.returncode == 3 and b"git tracks" in done.stderr and b"git rm --cached" in done.stderr
    done = regen(film, "generate", "Makefile", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1", check=False)
    assert done.returncode == 3 and read(film, "Makefile") == b"all: code"


# ---------------------------------------------------------------- sidecars that are no files


def replace_by(film, kind: str) -> None:
    path = film.path("a.png.regen.json")
    path.unlink()
    if kind == "symlink":
        path.symlink_to("b.png.regen.json")
    elif kind == "symlink out":
        path.symlink_to("/etc/passwd")
    elif kind == "dangling symlink":
        path.symlink_to("nowhere")
    elif kind == "directory":
        path.mkdir()
        (path / "inner.txt").write_text("inner")
    elif kind == "fifo":
        os.mkfifo(path)


KINDS = ("symlink", "symlink out", "dangling symlink", "directory", "fifo")


@pytest.fixture
def two_assets(film):
    for name in ("a.png", "b.png"):
        write(film, name, name.encode() * 50)
    regen(film, "add", ".")
    film.commit("two assets")
    return film


@pytest.mark.parametrize("kind", KINDS)
def test_a_sidecar_that_is_no_file_stops_nobody(two_assets, kind):
    film = two_assets
    replace_by(film, kind)
    found = status(film)
    assert (found["a.png"]["state"], found["b.png"]["state"]) == ("invalid", "ok")
    assert "regular file" in found["a.png"]["reason"] or "symlink" in found["a.png"]["reason"]
    for verb in (("status",), ("sync",), ("check", "--no-bytes"), ("add", "."), ("regenerate",), ("doctor",)):
        regen(film, *verb, check=False, timeout=20)
    named = [("add", "a.png"), ("set", "a.png", "x=1"), ("show", "a.png"), ("explain", "a.png"), ("accept", "a.png"),
             ("mv", "a.png", "c.png"), ("generate", "a.png", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1"),
             ("regenerate", "a.png")]  # fmt: skip
    for verb in named:
        done = regen(film, *verb, check=False, timeout=20)
        assert done.returncode != 0 or verb[0] in ("accept", "show", "explain"), (verb, done.stdout, done.stderr)
    assert os.path.islink(film.path("a.png.regen.json")) == ("symlink" in kind)
    assert read(film, "a.png") == b"a.png" * 50 and read(film, "b.png") == b"b.png" * 50
    film.git("stash", "-q", "--include-untracked", check=False)
    film.git("reset", "-q", "--hard")
    if kind == "directory":
        film.git("clean", "-fdq")
        film.git("reset", "-q", "--hard")
    regen(film, "sync")
    assert states(film) == {"a.png": "ok", "b.png": "ok"}


def test_a_sidecar_that_git_tracks_as_a_symlink(two_assets):
    film = two_assets
    film.git("switch", "-qc", "links")
    replace_by(film, "symlink")
    film.git("add", "-A")
    film.git("commit", "-qnm", "links")
    for _ in range(2):
        assert states(film) == {"a.png": "invalid", "b.png": "ok"}
        regen(film, "sync")
        assert read(film, "a.png") == b"a.png" * 50
        assert regen(film, "check", check=False).returncode == 3
        film.git("switch", "-q", "main")
        assert states(film) == {"a.png": "ok", "b.png": "ok"}
        film.git("switch", "-q", "links")


@pytest.mark.parametrize("kind", KINDS)
def test_an_asset_path_that_is_no_file(two_assets, kind):
    """What lies there is somebody's: neither followed, nor read for ever, nor removed without a rescue."""
    film = two_assets
    path = film.path("a.png")
    path.unlink()
    outside = film.root.parent / "outside.txt"
    outside.write_text("outside")
    if kind == "symlink":
        path.symlink_to("b.png")
    elif kind == "symlink out":
        path.symlink_to(outside)
    elif kind == "dangling symlink":
        path.symlink_to("nowhere")
    elif kind == "directory":
        path.mkdir()
        (path / "inner.txt").write_text("inner")
    else:
        os.mkfifo(path)
    looking = (("status",), ("sync",), ("check",))
    for verb in looking if kind == "directory" else (*looking, ("add", "a.png"), ("accept", "a.png")):
        regen(film, *verb, check=False, timeout=20)
    film.git("switch", "-q", "empty")
    film.git("switch", "-q", "main")
    assert outside.read_text() == "outside" and read(film, "b.png") == b"b.png" * 50
    if kind != "directory":
        assert (os.path.lexists(path) and not path.is_file()) or path.is_symlink()
        assert status(film)["a.png"]["state"] == "modified"
