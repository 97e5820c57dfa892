"""Other programs that speak git, and other shapes a git repository has: sidecars stay as they are, media follow."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys

import pytest

from tests.conftest import PYTHON, Home, Project
from tests.real_git.copies import copy_of
from tests.real_git.film import TRIGGERS, assert_matches, hash_file, make_film, media, media_bytes, settle


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    made = {}

    def template(trigger: str):
        if trigger not in made:
            made[trigger] = make_film(Home(tmp_path_factory.mktemp(trigger) / "user"), trigger)
        return made[trigger]

    return template


@pytest.fixture(params=TRIGGERS)
def film(request, templates, tmp_path):
    project = copy_of(templates(request.param), tmp_path)
    project.trigger = request.param
    project.git("update-index", "-q", "--refresh")
    return project


@pytest.fixture
def hooked(templates, tmp_path):
    project = copy_of(templates("hooks"), tmp_path)
    project.trigger = "hooks"
    project.git("update-index", "-q", "--refresh")
    return project


def assert_sidecars_of(film, revision: str) -> None:
    """Every sidecar on disk is, byte for byte, what git has at that revision."""
    names = film.git("ls-tree", "-r", "-z", "--name-only", revision).stdout.split("\0")
    wanted = {name for name in names if name.endswith(".regen.json")}
    for name in wanted:
        blob = film.run("git", "cat-file", "blob", f"{revision}:{name}").stdout
        assert film.path(name).read_text() == blob, name
    here = {each.relative_to(film.root).as_posix() for each in film.root.rglob("*.regen.json")}
    assert here == wanted


@pytest.fixture
def environment(film, monkeypatch):
    """Libraries read the environment of this process."""
    for name, value in film.env.items():
        monkeypatch.setenv(name, value)
    return film


# ---------------------------------------------------------------- other implementations


def test_dulwich_checks_out_and_commits(environment):
    film = environment
    porcelain = pytest.importorskip("dulwich.porcelain")
    root = str(film.root)
    porcelain.checkout(root, b"two")
    assert_sidecars_of(film, "two")
    film.regen("sync")
    assert_matches(film, clean=False)
    assert film.path("a.png").read_bytes() == media_bytes("a.png", 2)
    found = porcelain.status(root)
    assert not any(found.staged.values()) and found.unstaged == []
    assert [name for name in found.untracked if not str(name).endswith(".regen.json")] == []  # it reads our ignores
    film.write("von dulwich.png", media_bytes("dulwich", 1))
    film.regen("add", "von dulwich.png")
    porcelain.add(root, [str(film.path("von dulwich.png.regen.json"))])
    porcelain.commit(root, b"by dulwich", author=b"D <d@x.invalid>", committer=b"D <d@x.invalid>")
    film.git("fsck", "--no-dangling")
    assert_sidecars_of(film, "HEAD")
    assert_matches(film)
    porcelain.checkout(root, b"main")
    film.regen("sync")
    assert_matches(film)
    assert "von dulwich.png" not in media(film.root)


def test_pygit2_checks_out_and_commits(environment):
    film = environment
    pygit2 = pytest.importorskip("pygit2")
    repo = pygit2.Repository(str(film.root))
    repo.checkout("refs/heads/two")
    assert_sidecars_of(film, "two")
    film.regen("sync")
    assert_matches(film)
    film.write("by pygit2.png", media_bytes("pygit2", 1))
    film.regen("add", "by pygit2.png")
    repo.index.read()
    repo.index.add("by pygit2.png.regen.json")
    repo.index.write()
    author = pygit2.Signature("P", "p@x.invalid")
    repo.create_commit("refs/heads/two", author, author, "by pygit2", repo.index.write_tree(), [repo.head.target])
    film.git("fsck", "--no-dangling")
    assert_matches(film)
    repo.checkout("refs/heads/main")
    repo.stash  # noqa: B018  the object is still good
    film.regen("sync")
    assert_matches(film)


def test_media_are_ignored_by_other_implementations(environment):
    film = environment
    pygit2 = pytest.importorskip("pygit2")
    repo = pygit2.Repository(str(film.root))
    for path in media(film.root):
        assert repo.path_is_ignored(path)
        assert not repo.path_is_ignored(f"{path}.regen.json")


# ---------------------------------------------------------------- other shapes


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_sha256_repository(home, trigger):
    home.home.joinpath(".gitconfig").write_text(home.home.joinpath(".gitconfig").read_text() + "[init]\n\tdefaultObjectFormat = sha256\n")
    home.env["GIT_DEFAULT_HASH"] = "sha256"
    film = make_film(home, trigger)
    assert len(film.git("rev-parse", "HEAD").stdout.strip()) == 64
    for branch in ("two", "main", "base"):
        film.git("switch", "-q", branch)
        settle(film)
        assert_matches(film)
    film.git("reset", "-q", "--hard", "two")
    assert_matches(film)
    film.regen("generate", "sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1", "-p", "width=16", "-p", "height=16")
    film.commit("sky")
    film.regen("check")
    assert set(film.status().values()) == {"ok"}


def test_worktrees_are_independent(film):
    other = film.root.parent / "zweiter"
    film.git("worktree", "add", "-q", str(other), "two")
    assert_matches(film, other)
    film.write("a.png", b"edited in the first")
    (other / "neu.png").write_bytes(b"edited in the second")
    film.git("switch", "-q", "base", cwd=film.root)
    film.git("switch", "-q", "--detach", "base", cwd=other)
    film.regen("sync", cwd=other)
    assert film.path("a.png").read_bytes() == b"edited in the first"
    assert (other / "a.png").read_bytes() == media_bytes("a.png", 1)
    assert not (other / "neu.png").exists()
    entries = json.loads(film.regen("rescued", "--json", cwd=film.root).stdout)["rescued"]
    assert [(each["path"], each["worktree"]) for each in entries] == [("neu.png", str(other))]
    assert film.git("status", "--porcelain").stdout == "" == film.git("status", "--porcelain", cwd=other).stdout


def test_a_shallow_clone(film):
    film.regen("install", "--global")
    clone = film.root.parent / "flach"
    film.git("clone", "-q", "--depth", "1", f"file://{film.root}", str(clone))
    here = Project(film.user, clone)
    here.trigger = "filter"
    assert media(clone) == media(film.root)
    here.regen("init")
    assert_matches(here, clone, clean=False)
    here.regen("check", "--no-bytes")
    here.git("fetch", "-q", "--depth", "1", "origin", "two:two")
    here.trigger = "hooks"
    here.git("switch", "-q", "two")
    assert_matches(here, clone, clean=False)
    for verb in (("show", "a.png"), ("explain", "a.png"), ("doctor",)):
        assert "Traceback" not in here.regen(*verb, check=False).stderr


@pytest.mark.parametrize("spec", ["blob:none", "tree:0"])
def test_a_partial_clone(film, spec):
    film.git("config", "uploadpack.allowFilter", "true")
    film.git("config", "uploadpack.allowAnySHA1InWant", "true")
    film.regen("install", "--global")
    clone = film.root.parent / "teilweise"
    film.git("clone", "-q", f"--filter={spec}", f"file://{film.root}", str(clone))
    here = Project(film.user, clone)
    here.trigger = "filter"
    assert media(clone) == media(film.root)
    here.regen("init")
    here.trigger = "hooks"
    here.git("switch", "-q", "two")
    assert_matches(here, clone, clean=False)
    for verb in (("status",), ("check",), ("show", "a.png"), ("explain", "a.png"), ("fsck",)):
        here.regen(*verb)


def test_crlf_on_checkout_changes_neither_sidecars_nor_keys(film):
    """A Windows user's core.autocrlf: sidecars stay LF by attribute, text inputs count in their clean form."""
    film.write("words.txt", b"one\ntwo\n")
    film.write("regen.toml", b'[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.text}", "{output}"]\n')
    film.commit("words")
    film.regen("trust", "--yes")
    film.regen("generate", "copy.txt", "-g", "command:copy", "-i", "text=words.txt")
    film.commit("copy")
    film.regen("install", "--global")
    film.git("config", "--global", "core.autocrlf", "true")
    clone = film.root.parent / "windows"
    film.git("clone", "-q", str(film.root), str(clone))
    here = Project(film.user, clone)
    here.trigger = "hooks"
    here.regen("init")
    assert (clone / "words.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert b"\r" not in (clone / "a.png.regen.json").read_bytes()
    assert (clone / "copy.txt").read_bytes() == b"one\ntwo\n"
    assert set(here.status().values()) == {"ok"}
    here.git("switch", "-q", "two")
    here.git("switch", "-q", "main")
    assert_matches(here, clone, clean=False)
    here.regen("check")
    assert here.git("status", "--porcelain", "--untracked-files=no", "--", ":!.gitattributes").stdout == ""


SETTINGS = {
    "split index": ("core.splitIndex=true",),
    "index version 4": ("index.version=4", "feature.manyFiles=true"),
    "untracked cache": ("core.untrackedCache=true",),
    "no symlinks": ("core.symlinks=false",),
    "no stat": ("core.trustctime=false", "core.checkStat=minimal"),
    "ignore case": ("core.ignoreCase=true",),
    "colours": ("color.ui=always", "core.quotePath=true", "status.relativePaths=false"),
    "no optional things": ("core.preloadIndex=false", "gc.auto=0", "core.fileMode=false"),
    "parallel checkout": ("checkout.workers=4", "checkout.thresholdForParallelism=0"),
    "strange formats": ("diff.noprefix=true", "diff.mnemonicPrefix=true", "log.showSignature=true", "core.abbrev=4"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_user(film, name):
    for setting in SETTINGS[name]:
        film.git("config", *setting.split("="))
    film.git("update-index", "--force-write-index", check=False)
    for branch in ("two", "main", "base", "two"):
        film.git("switch", "-q", branch)
        settle(film)
        assert_matches(film)
    film.git("stash", "push", "-q")
    film.git("reset", "-q", "--hard", "main")
    assert_matches(film)
    film.regen("check")


def test_a_separate_git_folder(home):
    root = home.work / "film"
    root.mkdir()
    film = Project(home, root)
    film.trigger = "hooks"
    film.git("init", "-q", "--separate-git-dir", str(home.work / "the git folder"))
    assert (root / ".git").is_file()
    film.regen("init")
    film.write("a.png", media_bytes("a.png", 1))
    film.regen("add", "a.png")
    film.commit("one")
    film.write("a.png", media_bytes("a.png", 2))
    film.regen("add", "a.png")
    film.commit("two")
    film.git("switch", "-q", "--detach", "HEAD~1")
    assert_matches(film)
    assert film.path("a.png").read_bytes() == media_bytes("a.png", 1)


def test_a_bare_repository_with_a_worktree_elsewhere(home):
    """As people keep their dot files: GIT_DIR and GIT_WORK_TREE say where."""
    root = home.work / "media"
    root.mkdir()
    film = Project(home, root)
    film.trigger = "hooks"
    film.git("init", "-q", "--bare", str(home.work / "store.git"))
    film.git("config", "core.bare", "false", cwd=home.work / "store.git", check=False)
    film.env |= {"GIT_DIR": str(home.work / "store.git"), "GIT_WORK_TREE": str(root)}
    film.git("config", "--unset", "core.bare", check=False)
    film.regen("init")
    film.write("sub/a.png", media_bytes("a.png", 1))
    film.regen("add", "sub/a.png")
    film.commit("one")
    film.write("sub/a.png", media_bytes("a.png", 2))
    film.regen("add", "a.png", cwd=root / "sub")
    film.commit("two")
    elsewhere = home.work / "elsewhere"
    elsewhere.mkdir()
    film.git("checkout", "-q", "--detach", "HEAD~1", cwd=elsewhere)
    assert film.path("sub/a.png").read_bytes() == media_bytes("a.png", 1)
    assert film.status() == {"sub/a.png": "ok"}
    assert not (root / ".git").exists() and list(elsewhere.iterdir()) == []


def test_from_a_subdirectory(film):
    sub = film.root / "dir"
    done = film.regen("status", "../a.png", "--json", cwd=sub)
    assert [each["path"] for each in json.loads(done.stdout)["assets"]] == ["a.png"]
    done = film.regen("status", ".", "--json", cwd=sub)
    assert {each["path"] for each in json.loads(done.stdout)["assets"]} == {"dir/b.png", "dir/ü c.png", "dir/deep/d.png"}
    film.git("switch", "-q", "two", cwd=sub)
    assert_matches(film)
    (sub / "fresh.png").write_bytes(b"fresh")
    film.regen("add", "fresh.png", cwd=sub)
    assert film.path("dir/fresh.png.regen.json").exists()
    film.regen("mv", "fresh.png", "../fresher.png", cwd=sub)
    assert film.path("fresher.png").read_bytes() == b"fresh"
    film.regen("generate", "deep/sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "seed=1", "-p", "width=16", "-p", "height=16", cwd=sub)
    assert film.path("dir/deep/sky.png").exists()
    film.regen("rm", "../fresher.png", cwd=sub)
    outside = film.regen("status", "../../..", cwd=sub, check=False)
    assert outside.returncode == 2 and "outside this repository" in outside.stderr


def test_git_c_and_explicit_folders(film):
    elsewhere = film.root.parent
    film.git("-C", str(film.root), "switch", "-q", "two", cwd=elsewhere)
    assert_matches(film)
    film.git("--git-dir", str(film.root / ".git"), "--work-tree", str(film.root), "checkout", "-q", "main", cwd=elsewhere)
    assert_matches(film)
    film.env |= {"GIT_DIR": str(film.root / ".git"), "GIT_WORK_TREE": str(film.root)}
    film.regen("status", cwd=elsewhere)
    film.git("switch", "-q", "two", cwd=elsewhere)
    film.regen("sync", cwd=elsewhere)
    del film.env["GIT_DIR"], film.env["GIT_WORK_TREE"]
    assert_matches(film)


@pytest.mark.parametrize("name", ["GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"])
def test_pathspecs_of_the_environment(film, name):
    film.env[name] = "1"
    for branch in ("two", "main"):
        film.git("switch", "-q", branch)
        settle(film)
        assert_matches(film)


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.UTF-8"])
def test_under_other_locales(film, locale):
    film.env |= {"LC_ALL": locale, "LANG": locale}
    for branch in ("two", "main"):
        film.git("switch", "-q", branch)
        settle(film)
        assert_matches(film)
    assert film.regen("status", "--json").stdout.startswith("{")


def test_another_index_of_the_user(film):
    """GIT_INDEX_FILE of somebody's script: what we do is about the repository's own."""
    before = {path: hash_file(film.root / path) for path in media(film.root)}
    film.env["GIT_INDEX_FILE"] = str(film.root / ".git" / "other index")
    film.git("read-tree", "two")
    film.git("add", "notes.txt")
    film.regen("status")
    film.regen("sync")
    del film.env["GIT_INDEX_FILE"]
    assert {path: hash_file(film.root / path) for path in media(film.root)} == before
    assert_matches(film)


def test_git_regen(hooked):
    """`git regen …`, and an alias of the user's."""
    folder = os.path.dirname(PYTHON)
    assert shutil.which("git-regen", path=folder), "the console script git-regen belongs to the installation"
    assert hooked.git("regen", "status").stdout == hooked.regen("status").stdout
    assert hooked.git("regen", "status", "../a.png", cwd=hooked.root / "dir").returncode == 0
    hooked.git("config", "alias.media", "!git-regen status")
    assert "assets" in hooked.git("media").stdout


@pytest.mark.parametrize("umask", [0o077, 0o002, 0o000])
def test_umask(hooked, umask):
    hooked.path("a.png").unlink()
    subprocess.run(
        [sys.executable, "-I", "-m", "regen_vcs", "sync"], cwd=hooked.root, env=hooked.env, check=True, umask=umask, capture_output=True
    )
    assert stat.S_IMODE(hooked.path("a.png").stat().st_mode) == 0o644


def test_commit_with_paths_and_commit_a(film):
    """Both make an index of their own for the time of the commit."""
    film.write("a.png", media_bytes("a.png", 3))
    film.write("dir/b.png", media_bytes("dir/b.png", 3))
    film.regen("add", "a.png", "dir/b.png")
    film.git("commit", "-qm", "only a", "--", "a.png.regen.json")
    assert film.git("diff", "--name-only").stdout.strip() == "dir/b.png.regen.json"
    film.git("commit", "-qam", "the rest")
    assert_matches(film)


def test_two_clones_share_the_stores(film):
    film.regen("install", "--global")
    clones = [film.root.parent / name for name in ("eins", "zwei")]
    for clone in clones:
        film.git("clone", "-q", str(film.root), str(clone))
        assert media(clone) == media(film.root)
    here = Project(film.user, clones[0])
    here.write("a.png", b"edited in one of them")
    here.git("switch", "-q", "two")
    here.regen("sync")
    assert (clones[1] / "a.png").read_bytes() == media_bytes("a.png", 1)
    assert film.path("a.png").read_bytes() == media_bytes("a.png", 1)
