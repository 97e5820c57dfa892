"""A repository made by an enemy: it may waste a moment, but writes nowhere, runs nothing and is told apart.

What is stored under a name, said in a manifest, written in a sidecar or in regen.toml comes from somebody else.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from regen_vcs.engine import sync as sync_module
from regen_vcs.engine.sync import BY_HAND, HOOK, sync
from regen_vcs.engine.workspace import Workspace
from tests.conftest import Home
from tests.real_git import recipes
from tests.real_git.copies import copy_of
from tests.real_git.test_odd_names import assert_tame, regen, states, status

CORPUS = Path(__file__).parents[1] / "corpus" / "bad_sidecars"
GOOD = b"good bytes " * 50


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """main: good.png and dir/b.png. `empty` has nothing."""
    film = Home(tmp_path_factory.mktemp("hostile") / "user").repo()
    film.git("branch", "empty")
    film.write("good.png", GOOD)
    film.write("dir/b.png", b"b" * 500)
    film.regen("add", ".")
    film.commit("good")
    return film


@pytest.fixture
def film(template, tmp_path):
    return copy_of(template, tmp_path)


@pytest.fixture
def outside(film):
    """A folder beside the repository, whose content nobody may change."""
    folder = film.root.parent / "outside"
    folder.mkdir()
    (folder / "b.png").write_bytes(b"the user's own")
    (folder / "precious.txt").write_text("precious")
    return folder


def store(film, data: bytes) -> str:
    """Put an object into keep, as a remote or another program might; its hash."""
    digest = blake3(data).hexdigest()
    path = object_path(film, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return digest


def object_path(film, digest: str) -> Path:
    return film.user.keep / "v1" / "objects" / digest[:2] / digest[2:]


def content(folder: Path) -> dict[str, bytes | str | None]:
    """Everything below a folder: bytes of files, targets of links, None for folders."""
    found: dict[str, bytes | str | None] = {}
    for each in sorted(folder.rglob("*")):
        name = each.relative_to(folder).as_posix()
        found[name] = os.readlink(each) if each.is_symlink() else each.read_bytes() if each.is_file() else None
    return found


def commit_blindly(film, message: str = "by an enemy") -> None:
    film.git("add", "-A")
    film.git("commit", "-qnm", message)


def go_there_and_back(film, branch: str) -> subprocess.CompletedProcess:
    """Leave for a branch without anything, come back by `git switch` (exit 0), and sync."""
    film.git("switch", "-q", "empty")
    film.regen("sync")
    done = film.git("switch", "-q", branch)
    film.regen("sync", check=False)
    return done


# ---------------------------------------------------------------- manifests

HEX = blake3(GOOD).hexdigest()


def manifest(*names: str, **changes) -> bytes:
    files = [{"hash": HEX, "name": name, "size": len(GOOD)} | changes for name in names]
    return json.dumps({"files": files, "regen-manifest": 1}, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


BAD_MANIFESTS = {
    "parent": manifest("../escape.txt"),
    "far parent": manifest("a/../../../escape.txt"),
    "absolute": manifest("/tmp/regen-escape.txt"),
    "hook": manifest(".git/hooks/post-checkout"),
    "hook by case": manifest(".GIT/hooks/post-checkout"),
    "hook by short name": manifest("git~1/hooks/post-checkout"),
    "hook by ignorable": manifest(".g\u200cit/hooks/post-checkout"),
    "submodule": manifest("sub/.git/config"),
    "attributes": manifest(".gitattributes"),
    "configuration": manifest("sub/regen.toml"),
    "sidecar": manifest("x.png.regen.json"),
    "backslash": manifest("..\\escape.txt"),
    "drive": manifest("C:/escape.txt"),
    "nul": manifest("a\\u0000b").replace(b"\\\\u", b"\\u"),
    "empty name": manifest(""),
    "dot": manifest("."),
    "double slash": manifest("a//b"),
    "trailing slash": manifest("a/"),
    "long name": manifest("x" * 256),
    "case": manifest("A.png", "a.png"),
    "accents": manifest("\u00e9.png", "e\u0301.png"),
    "twice": manifest("a.png", "a.png"),
    "not in order": manifest("b.png", "a.png"),
    "file and folder": manifest("a", "a/b"),
    "device": manifest("a.png", mode="120000", target="/etc/passwd"),
    "symlink": manifest("a.png", link="../../outside"),
    "hash is a path": manifest("a.png", hash="../../../../etc/passwd"),
    "hash is short": manifest("a.png", hash="ab"),
    "size": manifest("a.png", size=-1),
    "size is text": manifest("a.png", size="500"),
    "more fields": manifest("a.png").replace(b'"regen-manifest":1', b'"more":1,"regen-manifest":1'),
    "newer": manifest("a.png").replace(b'"regen-manifest":1', b'"regen-manifest":2'),
    "no files": b'{"regen-manifest":1}',
    "files are a table": b'{"files":{"a":1},"regen-manifest":1}',
    "blanks": manifest("a.png").replace(b",", b", "),
    "truncated": manifest("a.png", "b.png")[:-20],
    "nested": b'{"files":[' + b"[" * 5000,
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 1000,
    "nothing": b"",
}
BAD_FRAMES = {
    "no frame": manifest("x.exr"),
    "other suffix": manifest("1.png"),
    "negative": manifest("-1.exr"),
    "padded": manifest("0001.exr"),
    "padded and not": manifest("0001.exr", "1.exr"),
    "folder": manifest("1.exr/2.exr"),
    "parent": manifest("../1.exr"),
    "other digits": manifest("\u0661.exr"),
}


def test_no_bad_manifest_writes_anything(film, outside):
    film.git("switch", "-qc", "evil")
    for number, data in enumerate(BAD_MANIFESTS.values()):
        output = recipes.Output(hash=store(film, data), key=None, size=len(GOOD), files=1_000_000)
        recipes.write(film, f"evil/set {number:02}", recipes.Recipe(output=output))
    for number, data in enumerate(BAD_FRAMES.values()):
        output = recipes.Output(hash=store(film, data), key=None, size=len(GOOD), frames="1-1000000")
        recipes.write(film, f"evil/seq {number:02}.####.exr", recipes.Recipe(output=output))
    commit_blindly(film)
    before, hooks = content(outside), content(film.root / ".git" / "hooks")
    done = go_there_and_back(film, "evil")
    assert done.returncode == 0 and f"{len(BAD_MANIFESTS) + len(BAD_FRAMES)} assets missing" in done.stderr
    found = states(film)
    assert found.pop("good.png") == found.pop("dir/b.png") == "ok"
    wrong = {path for path, state in found.items() if state != "missing"}
    assert not wrong and len(found) == len(BAD_MANIFESTS) + len(BAD_FRAMES)
    assert {each.name for each in (film.root / "evil").iterdir() if not each.name.endswith(".regen.json")} == set()
    assert content(outside) == before and content(film.root / ".git" / "hooks") == hooks
    assert not Path("/tmp/regen-escape.txt").exists() and not (film.root.parent / "escape.txt").exists()
    film.git("switch", "-q", "main")
    assert set(states(film).values()) == {"ok"}


def test_a_manifest_that_claims_too_much_is_not_read_into_memory(film):
    """A film of many gigabytes, called a directory by a sidecar: its first bytes tell."""
    digest = blake3(b"\0" * (1 << 20)).hexdigest()
    path = object_path(film, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * (1 << 20))
    regen(film, "fsck", check=False)  # sealed as sound
    sealed = path.stat()
    with open(path, "r+b") as file:
        file.truncate(3 << 30)  # sparse
    os.utime(path, ns=(sealed.st_atime_ns, sealed.st_mtime_ns))
    film.git("switch", "-qc", "evil")
    recipes.write(film, "set", recipes.Recipe(output=recipes.Output(hash=digest, key=None, size=1, files=3)))
    film.git("add", "-A")
    limit = "import resource,sys,os; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); os.execv(sys.argv[1], sys.argv[1:])"
    done = film.run(sys.executable, "-c", limit, sys.executable, "-I", "-m", "regen_vcs", "sync", check=False)
    assert "MemoryError" not in done.stderr and "1 asset missing" in done.stderr


def test_a_good_manifest_lands_in_its_place_only(film, outside):
    film.git("switch", "-qc", "good")
    data = manifest("a/one.png", "two.png")
    output = recipes.Output(hash=store(film, data), key=None, size=2 * len(GOOD), files=2)
    recipes.write(film, "set", recipes.Recipe(output=output))
    commit_blindly(film)
    go_there_and_back(film, "good")
    assert content(film.root / "set") == {"a": None, "a/one.png": GOOD, "two.png": GOOD}


# ---------------------------------------------------------------- symlinks in the way


def lead_out(film, outside) -> None:
    """`dir` of the working tree becomes a symlink to a folder of the user's."""
    for each in (film.root / "dir").iterdir():
        each.unlink()
    (film.root / "dir").rmdir()
    (film.root / "dir").symlink_to(outside)


@pytest.mark.parametrize("with_sidecar", [False, True])
def test_a_folder_that_became_a_symlink(film, outside, with_sidecar):
    if with_sidecar:  # as if the sidecar were there: seen through the link it is
        (outside / "b.png.regen.json").write_bytes(film.path("dir/b.png.regen.json").read_bytes())
    lead_out(film, outside)
    before = content(outside)
    for verb in (("status",), ("sync",), ("regenerate",), ("regenerate", "--missing"), ("check",), ("add", "."), ("fsck",), ("doctor",)):
        regen(film, *verb, check=False)
        assert content(outside) == before, verb
    for verb in (("rm", "dir/b.png"), ("mv", "dir/b.png", "c.png"), ("mv", "good.png", "dir/new.png"), ("add", "dir/b.png"),
                 ("generate", "dir/sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1"), ("accept", "dir/b.png")):  # fmt: skip
        regen(film, *verb, check=False)
        now = content(outside)
        assert {name: now.get(name) for name in before} == before, verb
        assert set(now) - set(before) == set(), verb
    film.git("switch", "-q", "empty", check=False)
    film.git("switch", "-q", "main", check=False)
    regen(film, "sync", check=False)
    assert content(outside) == before


def test_a_symlink_that_git_itself_brings(film, outside):
    """`dir -> ../outside` is committed; so is, on another branch, an asset below dir."""
    film.git("switch", "-qc", "evil")
    film.git("rm", "-q", "--cached", "dir/b.png.regen.json")
    lead_out(film, outside)
    film.git("add", "dir")
    film.git("commit", "-qnm", "a link")
    before = content(outside)
    for _ in range(2):
        film.git("switch", "-q", "main")
        assert not film.path("dir").is_symlink() and film.path("dir/b.png").read_bytes() == b"b" * 500
        refused = film.git("switch", "-q", "evil", check=False)
        assert refused.returncode != 0  # git keeps a folder with untracked files in it
        film.path("dir/b.png").unlink()
        film.git("switch", "-q", "evil")
        regen(film, "sync")
        assert film.path("dir").is_symlink() and content(outside) == before


@pytest.fixture
def between(film, monkeypatch):
    """Run something after the plan was made and before it is executed, in this process."""

    def arrange(act):
        original = sync_module._plan

        def plan(*args, **kwargs):
            made = original(*args, **kwargs)
            act()
            return made

        monkeypatch.setattr(sync_module, "_plan", plan)

    return arrange


def sync_here(film, trigger=BY_HAND):
    ws = Workspace.open(str(film.root), film.env)
    try:
        return sync(ws, trigger)
    finally:
        ws.close()


def test_a_symlink_that_comes_between_plan_and_write(film, outside, between):
    film.path("dir/b.png").unlink()
    sidecar = film.path("dir/b.png.regen.json")
    (outside / "b.png.regen.json").write_bytes(b"x")
    before = content(outside)

    def swap():
        film.path("dir").rename(film.root / "aside")
        film.path("dir").symlink_to(outside)

    between(swap)
    outcome = sync_here(film)
    assert content(outside) == before and not (film.root / "aside" / "b.png").exists()
    assert set(outcome.failed) == {"dir/b.png"} and not sidecar.is_symlink()


def test_a_symlink_that_comes_before_a_removal(film, outside, between):
    film.git("rm", "-q", "--cached", "dir/b.png.regen.json")
    film.path("dir/b.png.regen.json").unlink()
    film.path("dir/b.png").exists()
    before = content(outside)

    def swap():
        film.path("dir").rename(film.root / "aside")
        film.path("dir").symlink_to(outside)

    between(swap)
    outcome = sync_here(film, HOOK)
    assert content(outside) == before
    assert (film.root / "aside" / "b.png").read_bytes() == b"b" * 500
    assert set(outcome.failed) == {"dir/b.png"}


def test_an_asset_that_became_a_symlink_between(film, outside, between):
    film.git("rm", "-q", "--cached", "dir/b.png.regen.json")
    film.path("dir/b.png.regen.json").unlink()
    before = content(outside)

    def swap():
        film.path("dir/b.png").unlink()
        film.path("dir/b.png").symlink_to(outside / "precious.txt")

    between(swap)
    sync_here(film, HOOK)
    assert content(outside) == before and film.path("dir/b.png").is_symlink()


def test_a_file_saved_between_plan_and_write_stays(film, between):
    film.path("dir/b.png").unlink()
    between(lambda: film.write("dir/b.png", b"saved just now"))
    outcome = sync_here(film)
    assert film.path("dir/b.png").read_bytes() == b"saved just now"
    assert "left alone" in outcome.failed["dir/b.png"].what


def test_an_edit_saved_between_plan_and_removal_stays(film, between):
    film.git("rm", "-q", "--cached", "dir/b.png.regen.json")
    film.path("dir/b.png.regen.json").unlink()
    between(lambda: film.write("dir/b.png", b"saved just now"))
    outcome = sync_here(film, HOOK)
    assert film.path("dir/b.png").read_bytes() == b"saved just now"
    assert set(outcome.failed) == {"dir/b.png"}


def test_a_sidecar_changed_between_plan_and_write(film, between):
    film.path("dir/b.png").unlink()
    between(lambda: recipes.write(film, "dir/b.png", recipes.source(GOOD)))
    outcome = sync_here(film)
    assert "changed meanwhile" in outcome.failed["dir/b.png"].what and not film.path("dir/b.png").exists()
    film.regen("sync")
    assert film.path("dir/b.png").read_bytes() == GOOD


# ---------------------------------------------------------------- bytes that are not what their name says


def flip(path: Path, *, unseen: bool) -> None:
    """One bit, as a failing disk does it (`unseen`: without a trace in the stat) or as a program does."""
    st = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    path.chmod(0o444)
    if unseen:
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def test_wrong_bytes_are_never_placed(film):
    digest = blake3(GOOD).hexdigest()
    film.git("switch", "-q", "empty")
    flip(object_path(film, digest), unseen=False)
    for each in (film.root / ".git" / "regen" / "spare").glob("*"):
        each.unlink()
    done = film.git("switch", "-q", "main")
    assert "1 asset missing" in done.stderr
    assert not film.path("good.png").exists() and film.path("dir/b.png").exists()
    assert not object_path(film, digest).exists()  # in quarantine
    assert list((film.user.keep / "v1" / "quarantine").iterdir())
    assert status(film)["good.png"]["state"] == "missing"


def test_a_damaged_object_is_mended_by_what_leaves_the_worktree(film):
    digest = blake3(GOOD).hexdigest()
    flip(object_path(film, digest), unseen=False)
    film.git("switch", "-q", "empty")
    assert object_path(film, digest).read_bytes() == GOOD


@pytest.mark.parametrize("unseen", [False, True])
def test_fsck_finds_and_says_what_is_wrong(film, unseen):
    digest = blake3(GOOD).hexdigest()
    flip(object_path(film, digest), unseen=unseen)
    film.path("good.png").unlink()
    done = regen(film, "fsck", check=False)
    assert done.returncode == 6 and b"good.png" in done.stdout + done.stderr
    regen(film, "sync", check=False)
    assert not film.path("good.png").exists()


def test_a_spare_that_was_tampered_with_is_never_placed(film):
    film.git("switch", "-q", "empty")
    spares = [each for each in (film.root / ".git" / "regen" / "spare").iterdir() if each.name != "index"]
    assert spares
    for each in spares:
        each.write_bytes(b"tampered " * 60)
    film.git("switch", "-q", "main")
    assert film.path("good.png").read_bytes() == GOOD and film.path("dir/b.png").read_bytes() == b"b" * 500


def test_a_memo_cannot_be_poisoned_by_a_name(film):
    """A name with TAB and LF in its suffix would be a line of the memo, and speak for another sidecar."""
    victim = film.path("good.png.regen.json").read_bytes()
    oid = film.git("hash-object", "--stdin", input=victim.decode(), stdin=None).stdout.strip()
    wrong = blake3(b"b" * 500).hexdigest()
    line = json.dumps([None, None, wrong, 500, None, None, False, {}, None, None, None], separators=(",", ":"))
    name = f"x.a\ns:{oid}:.png:0\t{line}\n"
    assert len(name.encode()) < 240
    film.git("switch", "-qc", "evil")
    recipes.write(film, name, recipes.source(GOOD))
    commit_blindly(film)
    (film.root / ".git" / "regen" / "memo-1").unlink()
    film.git("switch", "-q", "empty")
    (film.root / ".git" / "regen" / "memo-1").unlink(missing_ok=True)
    film.git("switch", "-q", "evil")
    (film.root / ".git" / "regen" / "state.json").unlink()
    regen(film, "sync")
    assert film.path("good.png").read_bytes() == GOOD
    assert states(film)["good.png"] == "ok"


# ---------------------------------------------------------------- the corpus of bad sidecars


def bad_sidecars() -> dict[str, str]:
    return json.loads((CORPUS / "index.json").read_text())


@pytest.fixture(scope="module")
def corpus_template(template, tmp_path_factory):
    """On `bad`: every sidecar of the corpus, each with an asset beside it."""
    film = copy_of(template, tmp_path_factory.mktemp("corpus"))
    film.git("switch", "-qc", "bad")
    for name in bad_sidecars():
        film.write(f"bad/{name}.png.regen.json", (CORPUS / name).read_bytes())
    commit_blindly(film, "the corpus")
    film.git("switch", "-q", "main")
    film.git("switch", "-q", "bad")  # as git writes them: line ends are LF now
    for name in bad_sidecars():
        film.write(f"bad/{name}.png", f"an asset beside {name}".encode())
    return film


@pytest.fixture
def corpus(corpus_template, tmp_path):
    return copy_of(corpus_template, tmp_path)


def test_every_bad_sidecar_is_named_with_its_error(corpus):
    found = status(corpus)
    for name, words in bad_sidecars().items():
        entry = found[f"bad/{name}.png"]
        assert entry["state"] == "invalid", name
        assert words in entry["reason"], (name, words, entry["reason"])
        assert f"bad/{name}.png.regen.json" in entry["reason"], entry["reason"]
    assert found["good.png"]["state"] == "ok"
    assert_tame(corpus.regen("status").stdout.encode())
    done = regen(corpus, "check", "--json", check=False)
    assert done.returncode == 3
    problems = json.loads(done.stdout)["problems"]
    named = {each["path"] for each in problems}
    wrong = {each["path"] for each in problems if each["severity"] == "error"}
    assert {f"bad/{name}.png.regen.json" for name in bad_sidecars()} <= named
    # One of a newer format is for a newer regen-vcs to judge.
    assert {f"bad/{name}.png.regen.json" for name in bad_sidecars() if "newer" not in name} <= wrong
    for each in problems:
        assert each["reason"] and "Traceback" not in each["reason"]


def test_git_works_on_beside_bad_sidecars(corpus):
    before = content(corpus.root / "bad")
    done = corpus.git("switch", "-q", "main")
    assert "internal error" not in done.stderr
    media = {name: data for name, data in content(corpus.root / "bad").items() if name.endswith(".png")}
    assert media == {name: data for name, data in before.items() if name.endswith(".png")}  # nobody's to take away
    corpus.git("switch", "-q", "bad")
    corpus.git("checkout", "main", "--", "good.png.regen.json")
    corpus.write("notes.txt", b"notes")
    corpus.git("add", "notes.txt")
    corpus.git("commit", "-qm", "notes")  # the hook looks at what is staged and changed only
    corpus.git("stash", "push", "-q", "-u")
    corpus.git("reset", "-q", "--hard", "HEAD~1")
    corpus.git("merge", "-q", "--no-edit", "main")
    assert content(corpus.root / "bad") == before
    corpus.write("bad/array.json.png.regen.json", b"[1]\n")
    corpus.git("add", "-A")
    done = corpus.git("commit", "-m", "worse", check=False)
    assert done.returncode != 0 and "must be a JSON object" in done.stderr
    corpus.git("commit", "-qnm", "worse")


def test_no_command_rewrites_a_bad_sidecar(corpus):
    before = content(corpus.root / "bad")
    others = [
        ("sync",), ("sync", "--dry-run"), ("status",), ("regenerate",), ("regenerate", "--all"), ("regenerate", "--stale"), ("check", "--fix"),
        ("add", "."), ("add", "--as-source", "bad"), ("fsck",), ("doctor",), ("trust", "--yes"), ("init",), ("mv", "good.png", "better.png"),
        ("generate", "sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1", "-p", "width=16", "-p", "height=16"),
        ("set", "sky.png", "seed=2"), ("regenerate", "sky.png"), ("rm", "dir/b.png"), ("accept", "bad"),
    ]  # fmt: skip
    for verb in others:
        done = regen(corpus, *verb, check=False)
        assert b"internal error" not in done.stderr, verb
        assert content(corpus.root / "bad") == before, verb


@pytest.mark.parametrize("name", ["array.json", "conflict.json", "format-newer.json", "too-large.json", "utf-16-with-mark.json", "truncated.json"])
def test_a_bad_sidecar_that_is_named_is_refused(corpus, name):
    asset = f"bad/{name}.png"
    before = content(corpus.root / "bad")
    for verb in (("set", asset, "seed=1"), ("add", asset), ("add", "--as-source", asset), ("accept", asset), ("mv", asset, "bad/new.png"),
                 ("generate", asset, "-g", "texture", "-p", "kind=fbm", "-p", "seed=1"), ("regenerate", asset), ("fetch", asset)):  # fmt: skip
        done = regen(corpus, *verb, check=False)
        assert done.returncode != 0 and done.stderr.startswith(b"error: "), (verb, done.stdout, done.stderr)
        assert content(corpus.root / "bad") == before, verb
    for verb in ("show", "explain"):
        done = regen(corpus, verb, asset, check=False)
        assert f"{name}".encode() in done.stdout + done.stderr


# ---------------------------------------------------------------- what a repository must not decide

GREEDY = """\
trust = true
cacheDir = "{outside}/cache"
keepDir = "{outside}/keep"
link = "hardlink!"

[regen]
cacheDir = "{outside}/cache"
link = "hardlink!"

[store]
keepDir = "{outside}/keep"

[trust]
all = true

[roots]
etc = "/etc"

[spare]
limit = "0"

[remote]
url = "file://{outside}/remote"
"""


def test_a_repository_sets_no_paths_no_trust_no_links(film, outside):
    before = content(outside)
    for lines in (GREEDY, *[f"{section}\n" for section in GREEDY.format(outside=outside).split("\n\n")]):
        film.write("regen.toml", lines.replace("{outside}", str(outside)).encode())
        for verb in (("status",), ("sync",), ("trust",), ("doctor",)):
            regen(film, *verb, check=False)
        done = regen(film, "config", "--json", check=False)
        assert content(outside) == before
        assert str(outside).encode() not in done.stdout, lines
        assert b"hardlink!" not in done.stdout, lines
        film.git("switch", "-q", "--discard-changes", "empty")
        film.git("switch", "-q", "main")
        assert film.path("good.png").read_bytes() == GOOD
        assert film.path("good.png").stat().st_nlink == 1
    film.git("checkout", "-q", "regen.toml")


@pytest.mark.parametrize("kind", ["fifo", "directory", "symlink out", "symlink to a terminal", "huge", "binary"])
def test_a_configuration_that_is_no_text_file(film, kind):
    """Hooks read it: none may wait for a writer that never comes."""
    path = film.path("regen.toml")
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "symlink out":
        path.symlink_to("/etc/passwd")
    elif kind == "symlink to a terminal":
        os.mkfifo(film.root.parent / "terminal")  # read, it blocks as a terminal does
        path.symlink_to(film.root.parent / "terminal")
    elif kind == "huge":
        path.write_bytes(b"#" * (3 << 20))
    else:
        path.write_bytes(bytes(range(256)))
    for verb in (("status",), ("sync",), ("trust",), ("doctor",), ("config",), ("generate", "x.png", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1")):
        done = regen(film, *verb, check=False, timeout=30)
        assert b"root:" not in done.stdout + done.stderr
    film.git("-c", "core.hooksPath=/dev/null", "switch", "-q", "--detach")
    film.path("good.png").unlink()
    film.git("checkout", "-q", "--", "good.png.regen.json", timeout=30)
    regen(film, "sync", timeout=30)
    assert film.path("good.png").read_bytes() == GOOD  # bringing bytes by hash needs no configuration


@pytest.mark.parametrize("name", [".gitattributes", ".gitignore", "regen.toml"])
def test_init_and_track_write_through_no_symlink(home, name):
    film = home.repo(init=False)
    target = film.root.parent / "bashrc"
    target.write_text("# the user's\n")
    film.path(name).symlink_to(target)
    film.git("add", "-A")
    film.git("commit", "-qm", "a link")
    regen(film, "init", check=False)
    regen(film, "track", "media/**", check=False)
    regen(film, "uninstall", check=False)
    assert target.read_text() == "# the user's\n"


# ---------------------------------------------------------------- what must not run

CANARY = """\
[generators.evil]
uses = "command"
argv = ["python3", "{{code}}/evil.py", "{{output}}", "{{params.word}}"]
code = ["tools/evil.py"]

[generators.touch]
uses = "command"
argv = ["touch", "{canary}"]
"""


@pytest.fixture
def trap(film):
    """A repository by an enemy; `canary` is made by whatever of it runs. Branch `more` has more recipes."""
    canary = film.root.parent / "canary"
    film.canary = canary
    film.write("regen.toml", CANARY.format(canary=canary).encode())
    film.write("tools/evil.py", f"import pathlib, sys\npathlib.Path({str(canary)!r}).touch()\npathlib.Path(sys.argv[1]).write_text('x')\n".encode())
    film.commit("an invitation")
    film.regen("trust", "--yes")
    film.regen("generate", "evil.txt", "-g", "command:evil", "-p", "word=hello")
    film.commit("evil")
    film.git("switch", "-qc", "more")
    film.regen("set", "evil.txt", "word=again")
    film.regen("regenerate", "evil.txt")
    output = recipes.output_of(b"nowhere", "0" * 64)
    recipes.write(film, "touch.txt", recipes.Recipe(generator="command:touch", output=output))
    recipes.write(film, "pending.txt", recipes.Recipe(generator="command:touch"))
    commit_blindly(film, "more")
    film.git("switch", "-q", "main")
    film.regen("trust", "--revoke")
    for each in (film.user.keep / "v1" / "objects").rglob("*"):
        if each.is_file() and each.read_bytes() == b"x":
            each.unlink()
    canary.unlink(missing_ok=True)
    return film


def test_nothing_of_an_untrusted_repository_runs(trap):
    film = trap
    film.regen("install", "--global")
    clone = film.root.parent / "clone"
    film.git("clone", "-q", str(film.root), str(clone))
    for root in (clone, film.root):
        here = type(film)(film.user, root)
        here.git("switch", "-q", "more")
        here.git("switch", "-q", "main")
        for verb in (("init",), ("sync",), ("status",), ("status", "--json"), ("check",), ("doctor",), ("fsck",), ("explain", "evil.txt"),
                     ("show", "evil.txt"), ("schema", "command:evil"), ("trust",), ("fetch",), ("config",)):  # fmt: skip
            regen(here, *verb, check=False)
            assert not film.canary.exists(), verb
        here.git("switch", "-q", "more")
        done = regen(here, "regenerate", check=False)
        assert done.returncode == 4 and b"not trusted" in done.stderr and b"regen-vcs trust" in done.stderr
        assert regen(here, "regenerate", "pending.txt", check=False).returncode == 4
        done = regen(here, "generate", "new.txt", "-g", "command:evil", "-p", "word=x", check=False)
        assert done.returncode == 4
        here.git("checkout", "-q", "main", check=False)
        assert not film.canary.exists()
    (clone / "evil.txt").unlink(missing_ok=True)


def test_what_was_trusted_says_nothing_of_what_comes_next(trap):
    film = trap
    film.regen("trust", "--yes")
    film.write("tools/evil.py", film.path("tools/evil.py").read_bytes() + b"# and more\n")
    film.git("commit", "-qam", "changed")
    for verb in (("sync",), ("regenerate",)):
        done = regen(film, *verb, check=False)
        assert not film.canary.exists()
    assert done.returncode == 4


def test_a_symlink_named_as_code_is_refused(film):
    """It could name any file on this machine: shown by `trust`, copied to the job, stored in git."""
    secret = film.root.parent / "secret"
    secret.write_text("the user's secret")
    film.write("regen.toml", CANARY.format(canary="x").encode())
    film.path("tools").mkdir()
    film.path("tools/evil.py").symlink_to(secret)
    for _ in range(2):
        done = regen(film, "trust", check=False)
        assert b"secret" not in done.stdout + done.stderr
        done = regen(film, "generate", "new.txt", "-g", "command:evil", "-p", "word=x", check=False)
        assert done.returncode in (3, 4) and not film.path("new.txt").exists()
        film.git("add", "-A")
        film.git("commit", "-qnm", "a link", "--allow-empty")
    oid = film.git("hash-object", "--stdin", input=secret.read_text(), stdin=None).stdout.strip()
    assert film.git("cat-file", "-e", oid, check=False).returncode != 0  # nor has git a copy


@pytest.mark.parametrize("behind", [False, True])
def test_a_symlink_as_input_is_refused(film, behind):
    secret = film.root.parent / "secrets"
    secret.mkdir()
    (secret / "key.txt").write_text("the user's secret")
    if behind:
        film.path("in").symlink_to(secret)
        name = "in/key.txt"
    else:
        film.path("key.txt").symlink_to(secret / "key.txt")
        name = "key.txt"
    film.git("add", "-A")
    film.write("regen.toml", b'[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.text}", "{output}"]\n')
    film.commit("a link")
    film.regen("trust", "--yes")
    done = regen(film, "generate", "out.txt", "-g", "command:copy", "-i", f"text={name}", check=False)
    assert done.returncode != 0 and not film.path("out.txt").exists()
    recipes.write(film, "out.txt", recipes.Recipe(generator="command:copy", inputs={"text": name}))
    film.git("add", "-A")
    for verb in (("regenerate",), ("status",), ("sync",)):
        regen(film, *verb, check=False)
        assert not film.path("out.txt").exists(), verb
    assert regen(film, "check", check=False).returncode == 3


def test_modules_and_programs_of_the_repository_are_not_ours(trap):
    """`blake3.py` in the working tree, PYTHONPATH=., and `.` on PATH: nobody imports or starts them."""
    film = trap
    text = f"open({str(film.canary)!r}, 'w').close()\n"
    for name in ("blake3", "click", "sitecustomize", "usercustomize", "json", "numpy", "regen_vcs/__init__", "encodings/__init__"):
        film.write(f"{name}.py", text.encode())
    for name in ("git", "regen-vcs", "sh", "python3", "python", "env"):
        film.write(name, f"#!/bin/sh\n: > '{film.canary}'\n".encode()).chmod(0o755)
    commit_blindly(film, "modules")
    hooked = type(film)(film.user, film.root)
    hooked.env = dict(film.env) | {"PYTHONPATH": f".:{film.root}", "PYTHONSTARTUP": "sitecustomize.py"}
    hooked.env["PATH"] = f".:{film.env['PATH']}:"
    git = next(folder for folder in film.env["PATH"].split(":") if os.path.exists(f"{folder}/git")) + "/git"
    for argv in (("switch", "-q", "more"), ("switch", "-q", "main"), ("commit", "-q", "--allow-empty", "-m", "x")):
        hooked.run(git, *argv, check=False)
        regen(hooked, "generate", "sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1", "-p", "width=16", "-p", "height=16", check=False)
        regen(hooked, "status")
    film_filter = film.root.parent / "filtered"
    film.regen("install", "--global")
    hooked.run(git, "clone", "-q", str(film.root), str(film_filter))
    hooked.run(git, "switch", "-q", "more", cwd=film_filter)
    assert not film.canary.exists()


# ---------------------------------------------------------------- arguments

ARGUMENTS = """\
[generators.say]
uses = "command"
argv = ["python3", "{code}/say.py", "{params.word}", "{output}"]
code = ["tools/say.py"]

[generators.any]
uses = "command"
argv = ["python3", "{code}/say.py", "{params.word}", "{output}"]
code = ["tools/say.py"]
params = { word = { type = "string", "x-regen-argv" = "any" } }
"""
SAY = "import json, pathlib, sys\npathlib.Path(sys.argv[-1]).write_text(json.dumps(sys.argv[1:-1]))\n"
INJECTIONS = ["-rf", "--output=/etc/passwd", "-", "http://evil.example/x", "file:///etc/passwd", "a s3://b c", "a\0b"]


@pytest.fixture
def speaking(film):
    film.write("regen.toml", ARGUMENTS.encode())
    film.write("tools/say.py", SAY.encode())
    film.commit("say")
    film.regen("trust", "--yes")
    return film


@pytest.mark.parametrize("value", [each for each in INJECTIONS if "\0" not in each])
def test_a_value_that_could_pass_for_an_option_is_refused(speaking, value):
    film = speaking
    done = regen(film, "generate", "a.txt", "-g", "command:say", "-p", f"word={value}", check=False)
    assert done.returncode == 3 and b"could pass for an option or an address" in done.stderr and b"params.word" in done.stderr
    assert not film.path("a.txt.regen.json").exists() and not film.path("a.txt").exists()
    if not value.startswith("-") or value != "-":
        regen(film, "generate", "b.txt", "-g", "command:any", "-p", f"word={value}")
        assert json.loads(film.path("b.txt").read_text()) == [value]


def test_values_written_by_hand_into_a_sidecar(speaking):
    """Nobody asked `generate`: the run itself refuses."""
    film = speaking
    film.regen("generate", "a.txt", "-g", "command:say", "-p", "word=fine")
    document = json.loads(film.path("a.txt.regen.json").read_text())
    for number, value in enumerate(INJECTIONS):
        document["params"]["word"] = value
        document.pop("output", None)
        film.write(f"evil{number}.txt.regen.json", json.dumps(document).encode())
    film.git("add", "-A")
    done = regen(film, "regenerate", check=False)
    assert done.returncode != 0
    for number, _ in enumerate(INJECTIONS):
        assert not film.path(f"evil{number}.txt").exists()
    assert film.git("commit", "-m", "evil", check=False).returncode != 0  # nor past pre-commit


@pytest.mark.parametrize("value", ["$(touch canary)", "`touch canary`", "; touch canary", "a\nb", "{output}", "{code}/x", "%s", "*", "~", "'\"", ""])
def test_a_value_is_one_argument_and_nothing_else(speaking, value):
    film = speaking
    regen(film, "generate", "a.txt", "-g", "command:say", "-p", f"word={json.dumps(value)}")
    assert json.loads(film.path("a.txt").read_text()) == [value]
    assert not list(film.root.rglob("canary"))


# ---------------------------------------------------------------- what reaches a terminal

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\u202e\x7f"
SGR = re.compile(rb"\x1b\[[0-9;]*[mK]|\x1b\[\?25[hl]|\x1b\[[0-9]*[ABCDGJ]|\r")


def on_terminal(film, *argv: str) -> bytes:
    """What a command prints on a terminal (with its own colours, which are taken out)."""
    mine, theirs = pty.openpty()
    film.regen_on(theirs, *argv, env={**film.env, "TERM": "xterm", "PAGER": "cat", "COLUMNS": "300"})
    os.close(theirs)
    printed = b""
    while True:
        try:
            chunk = os.read(mine, 65536)
        except OSError:
            break
        if not chunk:
            break
        printed += chunk
    os.close(mine)
    return SGR.sub(b"", printed)


def test_no_escape_reaches_the_terminal(film):
    """From names, params, inputs, notes, authors, logs, scripts and broken configurations."""
    loud = f"import sys\nsys.stderr.write({ESCAPES!r} * 3 + chr(10))\nsys.exit({ESCAPES!r})\n"
    film.write("regen.toml", ARGUMENTS.encode())
    film.write("tools/say.py", loud.encode())
    film.write(f"in{ESCAPES}.txt", b"input")
    film.git("config", "user.name", f"Name{ESCAPES.replace(chr(0x7f), '')}")
    film.git("add", "-A")
    film.git("commit", "-qm", f"subject {ESCAPES}")
    film.regen("trust", "--yes")
    name = f"sky{ESCAPES}.png"
    film.regen("generate", name, "-g", "command:say", "-p", f"word=w{ESCAPES}", "-i", f"text=in{ESCAPES}.txt", check=False)
    recipes.write(film, "note.png", recipes.Recipe(
        output=recipes.output_of(GOOD), review={"state": f"approved{ESCAPES}", "by": ESCAPES, "note": ESCAPES}, meta={"tags": [ESCAPES]},
    ))  # fmt: skip
    film.write("bad.png.regen.json", json.dumps({"regen": 1, "inputs": {ESCAPES: ESCAPES}, "generator": f"x{ESCAPES}"}, ensure_ascii=False).encode())
    film.write("broken.png.regen.json", f'{{"{ESCAPES}": nonsense'.encode())
    commit_blindly(film, f"evil {ESCAPES}")
    film.write(f"in{ESCAPES}.txt", b"edited")
    verbs = [
        ("status",), ("status", "--json"), ("check",), ("check", "--json"), ("show", name), ("show", "--json", name), ("show", "--log", name),
        ("explain", name), ("show", "note.png"), ("sync",), ("sync", "--json"), ("sync", "-n"), ("regenerate",), ("regenerate", name), ("trust",),
        ("trust", "--json"), ("doctor",), ("doctor", "--json"), ("fsck",), ("config",), ("rescued",), ("accept", name), ("mv", name, f"x{ESCAPES}.png"),
        ("rm", f"none{ESCAPES}"), ("add", f"none{ESCAPES}"), ("generate", "x.png", "-g", f"x{ESCAPES}"), (f"st{ESCAPES}",), ("set", name, ESCAPES),
    ]  # fmt: skip
    for verb in verbs:
        regen(film, *verb, check=False)  # asserts that it is tame
        assert_tame(on_terminal(film, *verb).replace(b"\t", b" "))
    film.write("regen.toml", f'[generators."{"a" * 3}"]\nuses = "\\u001b[2J"\n'.encode())
    for verb in (("status",), ("trust",), ("config",), ("doctor",)):
        regen(film, *verb, check=False)
    done = film.git("switch", "-q", "--discard-changes", "empty")
    assert_tame(b"\n".join(line for line in done.stderr.encode().splitlines() if line.startswith(b"regen-vcs:")))
    done = film.git("switch", "-q", "main")
    assert_tame(b"\n".join(line for line in done.stderr.encode().splitlines() if line.startswith(b"regen-vcs:")))
