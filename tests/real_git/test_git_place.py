"""The repository as a place: found, listed, read and configured, in every kind of repository there is."""

from __future__ import annotations

import os
import subprocess

import pytest

from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.git import attributes, bulk, config, history, ignore, index, merge, tracking
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import Git, GitError

SIDECAR = b'{\n  "generator": "texture",\n  "params": {\n    "seed": "%d"\n  },\n  "regen": 1\n}\n'


class Sandbox:
    """A repository with a guarded home."""

    def __init__(self, folder, name="repo", *options):
        self.folder = folder
        home = folder / "home"
        home.mkdir(exist_ok=True)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b",
        }  # fmt: skip
        self.root = folder / name
        self.git_in(folder, "init", "-q", "-b", "main", *options, str(self.root))

    def git(self, *argv, **options):
        return self.git_in(self.root, *argv, **options)

    def git_in(self, cwd, *argv, check=True, env=None, **options):
        command = ["git", *argv]
        return subprocess.run(
            command, cwd=cwd, env=self.environ | (env or {}), check=check, capture_output=True, **options
        ).stdout.decode("utf-8", "surrogateescape").strip()  # fmt: skip

    def write(self, path, data=b""):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def sidecar(self, path, seed=1):
        self.write(path + ".regen.json", SIDECAR % seed)

    def commit(self, message="c"):
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def repo(self, cwd=None, **env):
        return Repo.discover(str(cwd or self.root), self.environ | env)


@pytest.fixture(params=["sha1", "sha256"])
def box(tmp_path, request):
    return Sandbox(tmp_path, "repo", f"--object-format={request.param}")


@pytest.fixture
def sha1_box(tmp_path):
    return Sandbox(tmp_path)


# --- discovery --------------------------------------------------------------------------------------


def test_discover_from_a_folder_below(box):
    (box.root / "a/b").mkdir(parents=True)
    repo = box.repo(box.root / "a/b")
    assert repo.root == str(box.root)
    assert repo.git_dir == repo.common_dir == f"{box.root}/.git"
    assert repo.state_dir == f"{box.root}/.git/regen"
    assert repo.hooks_dir == f"{box.root}/.git/hooks"
    assert repo.exclude_path == f"{box.root}/.git/info/exclude"
    assert repo.oid_format in ("sha1", "sha256")
    assert repo.git.cwd == repo.root
    assert not repo.is_linked


@pytest.mark.parametrize("name", ["Größe & Maß", "-dash", "it's", "sp ace "])
def test_odd_names(tmp_path, name):
    box = Sandbox(tmp_path, "./" + name)
    assert box.repo().root == str(tmp_path / name)


def test_a_linked_worktree(box, tmp_path):
    box.sidecar("a.png")
    box.commit()
    box.git("worktree", "add", "-q", str(tmp_path / "zwei te"), "-b", "b")
    repo = box.repo(tmp_path / "zwei te")
    assert repo.is_linked
    assert repo.common_dir == f"{box.root}/.git"
    assert repo.state_dir == f"{repo.git_dir}/regen" == f"{box.root}/.git/worktrees/zwei-te/regen"
    assert repo.exclude_path == f"{box.root}/.git/info/exclude"
    assert repo.shared_dir == f"{box.root}/.git/regen"
    assert len(history.worktree_git_dirs(repo)) == 2


def test_a_submodule(sha1_box, tmp_path):
    sha1_box.sidecar("a.png")
    sha1_box.commit()
    outer = Sandbox(tmp_path, "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(sha1_box.root), "media")
    repo = outer.repo(outer.root / "media")
    assert repo.root == f"{outer.root}/media"
    assert repo.git_dir == f"{outer.root}/.git/modules/media"
    assert [e.path for e in index.list_sidecars(repo)[0]] == ["a.png.regen.json"]


@pytest.mark.parametrize("git_dir", [".git", None])
def test_inside_a_hook(box, git_dir):
    """Hooks run at the top, with GIT_DIR relative; a temporary index is not ours to read."""
    box.sidecar("a.png")
    box.commit()
    env = {"GIT_INDEX_FILE": ".git/other", "GIT_PREFIX": "x/"} | ({"GIT_DIR": git_dir} if git_dir else {})
    repo = box.repo(**env)
    assert repo.git_dir == f"{box.root}/.git"
    assert len(index.list_sidecars(repo)[0]) == 1
    kept = Repo.discover(str(box.root), box.environ | env, keep_index=True)
    assert index.list_sidecars(kept)[0] == []


def test_hooks_path_from_below(box):
    box.git("config", "core.hooksPath", ".husky/_")
    (box.root / "sub").mkdir()
    assert box.repo(box.root / "sub").hooks_dir == f"{box.root}/.husky/_"


def test_outside_and_bare(box, tmp_path):
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="not inside a git repository") as caught:
        box.repo(tmp_path / "plain")
    assert caught.value.hint
    with pytest.raises(UsageError, match="not inside a working tree"):
        box.repo(box.root / ".git")
    box.git_in(tmp_path, "init", "-q", "--bare", "b.git")
    with pytest.raises(UsageError, match="not inside a working tree"):
        box.repo(tmp_path / "b.git")


def test_operations(sha1_box):
    box = sha1_box
    box.sidecar("a.png", 1)
    box.commit()
    for branch, seed in (("one", 2), ("two", 3)):
        box.git("switch", "-qc", branch, "main")
        box.sidecar("a.png", seed)
        box.commit()
    assert (box.repo().operation(), box.repo().in_sequence()) == (None, False)
    for command, name, sequence in (
        ("merge", "merge", False),
        ("cherry-pick", "cherry-pick", False),
        ("rebase", "rebase", True),
    ):
        box.git(command, "one", check=False)
        assert (box.repo().operation(), box.repo().in_sequence()) == (name, sequence)
        box.git(command, "--abort")
    patch = box.git("format-patch", "--stdout", "main..one")
    box.git("am", check=False, input=patch.encode())
    assert (box.repo().operation(), box.repo().in_sequence()) == ("am", True)
    box.git("am", "--abort")
    box.git("bisect", "start")
    assert box.repo().operation() == "bisect"


# --- index ------------------------------------------------------------------------------------------


def test_list_sidecars(box):
    for path in ("a.png", "shöts/010/sky plate.png", "tab\there.png", "line\nbreak.png", "#.png", ".hidden/x"):
        box.sidecar(path)
    os.makedirs(box.root / "raw")
    with open(os.fsencode(box.root) + b"/raw/\xff.regen.json", "wb") as file:
        file.write(b"{}")
    box.write("other.json", b"{}")
    box.git("add", "-A")
    entries, listing = index.list_sidecars(box.repo())
    assert {e.path for e in entries} == {
        "a.png.regen.json", "shöts/010/sky plate.png.regen.json", "tab\there.png.regen.json",
        "line\nbreak.png.regen.json", "#.png.regen.json", ".hidden/x.regen.json", "raw/\udcff.regen.json",
    }  # fmt: skip
    assert {(e.mode, e.stage, e.tag) for e in entries} == {("100644", 0, "H")}
    assert all(e.oid == index.blob_oid(SIDECAR % 1, box.repo().oid_format) for e in entries if e.path[0] != "r")
    assert index.parse_listing(listing, box.repo().oid_format) == entries
    assert index.parse_listing(b"", "sha1") == []


def test_skip_worktree_and_conflicts(sha1_box):
    box = sha1_box
    box.sidecar("a.png", 1)
    box.sidecar("b.png", 1)
    box.commit()
    box.git("switch", "-qc", "other")
    box.sidecar("a.png", 2)
    box.commit()
    box.git("switch", "-q", "main")
    box.sidecar("a.png", 3)
    box.commit()
    box.git("merge", "other", check=False)
    box.git("update-index", "--skip-worktree", "b.png.regen.json")
    entries = index.list_sidecars(box.repo())[0]
    assert [(e.path[0], e.stage, e.tag) for e in entries] == [("a", 1, "M"), ("a", 2, "M"), ("a", 3, "M"), ("b", 0, "S")]


def test_pathspec_variables_of_the_user(box):
    box.sidecar("a.png")
    box.commit()
    repo = box.repo(GIT_LITERAL_PATHSPECS="1")
    assert len(index.list_sidecars(repo)[0]) == 1


def test_sparse_split_and_untracked_cache(sha1_box):
    box = sha1_box
    box.sidecar("in/a.png")
    box.sidecar("out/deep/b.png")
    box.commit()
    box.git("update-index", "--split-index")
    assert len(index.list_sidecars(box.repo())[0]) == 2
    box.git("update-index", "--no-split-index", "--index-version", "4")
    assert len(index.list_sidecars(box.repo())[0]) == 2
    box.git("sparse-checkout", "set", "--cone", "--sparse-index", "in")
    entries = index.list_sidecars(box.repo())[0]
    assert [(e.path, e.tag) for e in entries] == [("in/a.png.regen.json", "H"), ("out/deep/b.png.regen.json", "S")]


@pytest.mark.parametrize("many", [False, True])
def test_list_paths_and_tracked(box, many, monkeypatch):
    if many:
        monkeypatch.setattr(index, "_MANY_PATHS", 0)
    box.write("graph.json", b"{}")
    box.write("sky/one.png", b"1")
    box.write("*.txt", b"star")
    box.write("a.txt", b"a")
    box.git("add", "-A")
    repo = box.repo()
    found = index.list_paths(repo, ["graph.json", "*.txt", "sky", "none"])
    assert set(found) == {"graph.json", "*.txt"}
    assert found["graph.json"].oid == index.blob_oid(b"{}", repo.oid_format)
    assert index.tracked(repo, ["sky", "sky/one.png", "sk", "a.txt", "none"]) == {"sky", "sky/one.png", "a.txt"}
    assert index.list_paths(repo, []) == {}


def test_read_blobs(box):
    contents = [b"", b"\n", b"binary\0\xff\n", b"x" * 200_000, SIDECAR % 1]
    for n, data in enumerate(contents):
        box.write(f"f{n}", data)
    box.git("add", "-A")
    repo = box.repo()
    oids = [entry.oid for entry in index.list_paths(repo, [f"f{n}" for n in range(5)]).values()]
    missing = "0" * (len(oids[0]) - 1) + "1"
    blobs = index.read_blobs(repo, [*oids, missing])
    assert sorted(blobs.values()) == sorted(contents)
    assert missing not in blobs
    assert all(index.blob_oid(data, repo.oid_format) == oid for oid, data in blobs.items())
    assert index.read_blobs(repo, []) == {}


def test_clean_oids(box):
    box.write(".gitattributes", b"*.txt text\n")
    odd = ["a.txt", "line\nbreak.txt", '"quoted".txt', "back\\slash.txt", "ä.txt"]
    for name in odd:
        box.write(name, b"1\r\n2\r\n")
    repo = box.repo()
    clean = index.blob_oid(b"1\n2\n", repo.oid_format)
    assert index.clean_oids(repo, odd) == dict.fromkeys(odd, clean)
    assert index.read_blobs(repo, [clean]) == {}
    index.clean_oids(repo, odd, write=True)
    assert index.read_blobs(repo, [clean]) == {clean: b"1\n2\n"}
    assert index.clean_oids(repo, []) == {}
    with pytest.raises(GitError):
        index.clean_oids(repo, ["none"])


def test_the_listing(box):
    repo = box.repo()
    index.write_listing(repo, b"H x\0")
    with open(index.listing_path(repo), "rb") as file:
        assert file.read() == b"H x\0"
    for _ in range(2):
        index.forget_listing(repo)
        with open(index.listing_path(repo), "rb") as file:
            assert file.read() == b"unsettled\0H x\0"
    assert os.listdir(repo.state_dir) == ["listing"]


# --- configuration ----------------------------------------------------------------------------------


def test_config(box):
    box.git("config", "--global", "regen.cacheDir", "/c")
    box.git("config", "--global", "regen.link", "copy")
    box.git("config", "regen.link", "hardlink")
    box.git("config", "regen.Studio.url", "s3://x\ny")
    box.git("config", "--add", "regen.many", "1")
    box.git("config", "--add", "regen.many", "2")
    with open(box.root / ".git/config", "a") as file:
        file.write("[regen]\n\tbare\n")
    repo = box.repo(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="regen.budget", GIT_CONFIG_VALUE_0="3")
    values = config.read_config(repo)
    assert {name: value.value for name, value in values.items()} == {
        "regen.cachedir": "/c", "regen.link": "hardlink", "regen.Studio.url": "s3://x\ny", "regen.many": "2",
        "regen.bare": "true", "regen.budget": "3",
    }  # fmt: skip
    assert (values["regen.cachedir"].scope, values["regen.link"].scope) == ("global", "local")
    assert values["regen.budget"].scope == "command"
    assert values["regen.cachedir"].origin.endswith("gitconfig")
    assert [v.value for n, v in config.read_config_list(repo) if n == "regen.many"] == ["1", "2"]
    assert config.read_config(repo, "nothing.here") == {}


def test_config_writing(box):
    repo = box.repo()
    before = (box.root / ".git/config").read_bytes()
    config.set_local(repo, "regen.uuid", "one")
    config.set_local(repo, "regen.uuid", "two  # x")
    assert config.read_config(repo)["regen.uuid"].value == "two  # x"
    assert config.unset_local(repo, "regen.uuid") is True
    assert config.unset_local(repo, "regen.uuid") is False
    assert (box.root / ".git/config").read_bytes() == before
    assert config.normalize_name("Regen.Studio.pushUrl") == "regen.Studio.pushurl"
    assert config.normalize_name("regen.cacheDir") == "regen.cachedir"


# --- attributes and ignores -------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, b"", b"*.png binary", b"*.png binary\r\n"])
def test_attributes_take_effect_and_go_again(box, text):
    path = box.root / ".gitattributes"
    if text is not None:
        path.write_bytes(text)
    repo = box.repo()
    assert attributes.write_attributes(repo) is True
    assert attributes.write_attributes(repo) is False
    assert attributes.attribute_problems(repo, "shots/ä b.png.regen.json") == {}
    assert attributes.drop_attributes(repo) is True
    assert (path.read_bytes() if path.exists() else None) == text


def test_attributes_that_say_otherwise(box):
    repo = box.repo()
    attributes.write_attributes(repo)
    with open(box.root / ".gitattributes", "ab") as file:
        file.write(b"*.json -text filter=lfs\n*.png filter=lfs\n")
    assert attributes.attribute_problems(repo, "x.regen.json")["filter"] == ("regen", "lfs")
    rules = attributes.foreign_rules((box.root / ".gitattributes").read_bytes())
    assert [tuple(rule) for rule in rules] == [("*.json", "text", False), ("*.json", "filter", "lfs")]


def test_the_in_place_layout(box):
    repo = box.repo()
    patterns = ["*.png", "my media/*.exr", 'q"uote.png']
    attributes.write_attributes(repo, patterns)
    assert attributes.in_place_patterns(repo) == patterns
    for path in ("a.png", "my media/x.exr", 'q"uote.png'):
        found = attributes.effective_attributes(repo, path)
        assert (found["filter"], found["merge"], found["text"]) == ("regen-inplace", "regen", "unset")
    assert attributes.attribute_problems(repo, "a.png.regen.json") == {}


def test_a_symlink_is_refused(box):
    (box.root / ".gitattributes").symlink_to("elsewhere")
    with pytest.raises(InvalidError):
        attributes.write_attributes(box.repo())


def ignored(box, *paths):
    names = "\0".join(paths).encode("utf-8", "surrogateescape")
    out = box.git("check-ignore", "--no-index", "-z", "--stdin", check=False, input=names)
    return set(out.split("\0")) - {""}


@pytest.mark.parametrize(
    ("pattern", "media"),
    [
        ("media/**", ["media/a.png", "media/deep/er/b.exr"]),
        ("*.png", ["a.png", "x/y.png"]),
        ("shots/*/render.[0-9]*.exr", ["shots/1/render.7.exr"]),
        ("/plates/sky*", ["plates/sky1"]),
        ("**/out/**", ["a/b/out/c.png"]),
    ],
)
def test_track(box, pattern, media):
    repo = box.repo()
    (box.root / ".gitignore").write_bytes(b"*.tmp\r\n*.o")
    assert tracking.track_pattern(repo, pattern) is True
    assert tracking.track_pattern(repo, pattern) is False
    sidecars = [f"{path}.regen.json" for path in media]
    assert ignored(box, *media, *sidecars, "x.tmp", "x.o", "a.txt") == {*media, "x.tmp", "x.o"}
    for path in media:
        box.write(path, b"m")
        box.sidecar(path)
    assert sorted(tracking.media_files(repo)) == sorted(media)
    assert tracking.untrack_pattern(repo, pattern) is True
    assert tracking.untrack_pattern(repo, pattern) is False
    assert (box.root / ".gitignore").read_bytes() == b"*.tmp\r\n*.o"


def test_track_several(box):
    repo = box.repo()
    tracking.track_pattern(repo, "media/**")
    tracking.track_pattern(repo, "*.wav")
    assert tracking.tracked_patterns(repo) == ["media/**", "*.wav"]
    assert (box.root / ".gitignore").read_text() == (
        "# >>> regen-vcs (managed block; edit outside it)\nmedia/**\n!media/**/\n*.wav\n!*.regen.json\n# <<< regen-vcs\n"
    )
    tracking.drop_ignores(repo)
    assert not (box.root / ".gitignore").exists()


@pytest.mark.parametrize("pattern", ["renders/", "renders", "", "!x", "# x", " x", "a\nb"])
def test_track_refuses_what_would_hide_sidecars(box, pattern):
    (box.root / ".gitignore").write_bytes(b"*.tmp")
    with pytest.raises(UsageError):
        tracking.track_pattern(box.repo(), pattern)
    assert (box.root / ".gitignore").read_bytes() == b"*.tmp"


def test_track_refuses_what_hides_sidecars_that_are_here(box):
    box.sidecar("shots.d/a.png")
    with pytest.raises(UsageError, match="sidecars too"):
        tracking.track_pattern(box.repo(), "shots.*")


def test_every_ignore_line_does_what_it_says(box):
    """Odd names through git itself: each asset ignored, no sidecar, no neighbour."""
    odd = [
        "a[1].png", "star*.png", "q?.png", "!bang.png", "#hash.png", " lead.png", "trail ", "trail2  ", "back\\slash",
        "ä ö.png", "tab\t.png", "new\nline.png", "new\ndir/x.png", "ends\r", "dir !/x.png", "dir [a]/x.png", "\udcff.png", "-dash", "two/one.exr", "two/two.exr", "two/~x.EXR",
    ]  # fmt: skip
    names = lambda folder: os.listdir(box.root / folder)  # noqa: E731
    for path in [*odd, "starred.png", "q1.png", "a1.png", "trail", "two/sub/one.exr"]:
        with _create(box.root, path):
            pass
    found = ignore.ignore_patterns([*odd, "seq/sky.####.exr", "folder/"], exists=names)
    ignore.write_exclude(box.repo(), found)
    frames = ["seq/sky.0001.exr", "seq/sky.12345.exr", "seq/sky.####.exr", "seq/sky.01.exr", "seq/sky.01234.exr", "folder/deep/x"]
    sidecars = [f"{path}.regen.json" for path in odd]
    strangers = ["starred.png", "q1.png", "a1.png", "trail", "two/sub/one.exr"]
    assert ignored(box, *odd, *frames, *sidecars, *strangers) == {
        *odd, "seq/sky.0001.exr", "seq/sky.12345.exr", "folder/deep/x",
    }


def _create(root, path):
    target = os.fsencode(root) + b"/" + path.encode("utf-8", "surrogateescape")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    return open(target, "wb")


def test_exclude_blocks_of_worktrees(box, tmp_path):
    box.sidecar("a.png")
    box.commit()
    exclude = box.root / ".git/info/exclude"
    before = exclude.read_bytes()
    box.git("worktree", "add", "-q", str(tmp_path / "second"))
    second = box.repo(tmp_path / "second")
    assert ignore.write_exclude(box.repo(), ["/a.png"]) is True
    assert ignore.write_exclude(box.repo(), ["/a.png"]) is False
    assert ignore.write_exclude(second, ["/b.png"]) is True
    assert ignored(box, "a.png", "b.png") == {"a.png", "b.png"}
    box.git("worktree", "remove", "--force", str(tmp_path / "second"))
    ignore.write_exclude(box.repo(), ["/c.png"])
    assert ignored(box, "a.png", "b.png", "c.png") == {"c.png"}
    assert ignore.drop_exclude(box.repo()) is True
    assert exclude.read_bytes() == before


# --- history ----------------------------------------------------------------------------------------


def test_changed_sidecars(box):
    box.sidecar("a.png", 1)
    box.sidecar("b.png", 1)
    first = box.commit()
    box.sidecar("a.png", 2)
    box.git("rm", "-q", "b.png.regen.json")
    box.sidecar("c ö.png", 3)
    box.write("other.txt", b"1")
    second = box.commit()
    repo = box.repo()
    oid = {n: index.blob_oid(SIDECAR % n, repo.oid_format) for n in (1, 2, 3)}
    changes = [
        ("a.png.regen.json", oid[1], oid[2]), ("b.png.regen.json", oid[1], None), ("c ö.png.regen.json", None, oid[3]),
    ]  # fmt: skip
    assert [tuple(change) for change in history.changed_sidecars(repo, f"{first}..{second}")] == changes
    assert [c.path for c in history.changed_sidecars(repo, "HEAD")] == ["a.png.regen.json", "c ö.png.regen.json"]
    assert history.resolve_commit(repo, "HEAD~1") == first
    for bad in ("nowhere", "a..nowhere", "--all"):
        with pytest.raises(GitError):
            history.changed_sidecars(repo, bad)
    with pytest.raises(GitError):
        history.resolve_commit(repo, "nowhere")


def test_staged_changes(box):
    box.sidecar("a.png", 1)
    box.git("add", "-A")
    repo = box.repo()
    oid = index.blob_oid(SIDECAR % 1, repo.oid_format)
    assert history.staged_changes(repo) == [("A", "a.png.regen.json", "100644", oid)]
    box.commit()
    assert history.staged_changes(repo) == []
    box.git("mv", "a.png.regen.json", "b.png.regen.json")
    assert history.staged_changes(repo) == [
        ("D", "a.png.regen.json", None, None), ("A", "b.png.regen.json", "100644", oid),
    ]  # fmt: skip


def test_history_reaches_everything_that_can_still_be_got_at(box):
    def commit(seed):
        box.sidecar("a.png", seed)
        return box.commit()

    first = commit(1)
    box.git("switch", "-qc", "topic")
    commit(2)
    box.git("tag", "-am", "annotated", "v1")
    commit(3)
    box.git("switch", "-q", "main")
    box.git("branch", "-qD", "topic")  # 3: only in HEAD's reflog
    box.sidecar("a.png", 4)
    box.git("stash", "-q")
    box.sidecar("sub/b.png", 5)
    box.git("add", "-A")  # 5: only in the index
    box.git("worktree", "add", "-q", "--detach", str(box.folder / "wt"), first)
    (box.folder / "wt/a.png.regen.json").write_bytes(SIDECAR % 6)
    box.git_in(box.folder / "wt", "add", "-A")  # 6: only in another worktree's index
    lost = box.git("commit-tree", "-m", "x", _tree_with(box, 7))
    (box.root / ".git/ORIG_HEAD").write_text(lost + "\n")  # 7: only by a pseudo-ref
    stray = box.git("commit-tree", "-m", "x", _tree_with(box, 8))
    (box.root / ".git/rebase-merge").mkdir()
    (box.root / ".git/rebase-merge/done").write_text(f"pick {stray} x\n")  # 8: only by a rebase that stopped
    (box.root / ".git/rebase-merge/onto").write_text("f" * len(stray) + "\n")  # nothing has this id
    repo = box.repo()
    for bulk_from in (10**6, 1):
        found = history.History(repo, bulk_from=bulk_from)
        assert {sidecar.data for sidecar in found} == {SIDECAR % n for n in range(1, 9)}
        assert found.missing == 0
    assert {s.data for s in history.History(repo, ["v1", f"^{first}"])} == {SIDECAR % 2}
    assert {s.path for s in history.History(repo)} == {"a.png.regen.json", "sub/b.png.regen.json"}


def _tree_with(box, seed):
    blob = box.git("hash-object", "-w", "--stdin", input=SIDECAR % seed)
    return box.git("mktree", input=f"100644 blob {blob}\ta.png.regen.json\n".encode())


def test_bulk_reading_falls_back(box):
    repo = box.repo()
    box.sidecar("a.png")
    box.git("add", "-A")
    oid = index.list_sidecars(repo)[0][0].oid
    assert bulk.read_bulk(repo, [oid, "0" * len(oid)]) in ({oid: SIDECAR % 1}, {})


def test_a_partial_and_a_shallow_clone(sha1_box, tmp_path):
    box = sha1_box
    for seed in (1, 2, 3):
        box.sidecar("a.png", seed)
        box.commit()
    box.git("config", "uploadpack.allowFilter", "true")
    box.git_in(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{box.root}", "partial")
    partial = history.History(box.repo(tmp_path / "partial"))
    assert {sidecar.data for sidecar in partial} == {SIDECAR % 3}
    assert partial.missing == 2
    box.git_in(tmp_path, "clone", "-q", "--depth=1", f"file://{box.root}", "shallow")
    shallow = history.History(box.repo(tmp_path / "shallow"))
    assert {sidecar.data for sidecar in shallow} == {SIDECAR % 3}


# --- the merge driver in git --------------------------------------------------------------------------


def write_sides(folder, base, ours, theirs):
    paths = []
    for name, data in (("base", base), ("ours", ours), ("theirs", theirs)):
        (folder / name).write_bytes(data)
        paths.append(str(folder / name))
    return paths


def test_merge_files(box, tmp_path):
    git = Git(str(box.root), box.environ)
    with_meta = (SIDECAR % 1).replace(b'  "params"', b'  "meta": {\n    "shot": "1"\n  },\n  "params"')
    paths = write_sides(tmp_path, SIDECAR % 1, SIDECAR % 2, with_meta)
    assert merge.merge_files(git, *paths) == []
    assert b'"shot": "1"' in (tmp_path / "ours").read_bytes()
    paths = write_sides(tmp_path, b"", SIDECAR % 2, SIDECAR % 3)
    assert merge.merge_files(git, *paths, marker_size=9) == ["params.seed"]
    assert b"\n<<<<<<<<< ours\n" in (tmp_path / "ours").read_bytes()


def test_merge_of_what_is_no_sidecar_is_git_s(box, tmp_path):
    git = Git(str(box.root), box.environ)
    newer = (SIDECAR % 1).replace(b'"regen": 1', b'"regen": 2')
    paths = write_sides(tmp_path, SIDECAR % 1, newer, (SIDECAR % 1).replace(b"{\n  ", b'{\n  "a": 1,\n  ', 1))
    assert merge.merge_files(git, *paths) == []
    assert (tmp_path / "ours").read_bytes().startswith(b'{\n  "a": 1,\n')
    paths = write_sides(tmp_path, b"1\n", b"not json\n", b"neither\n")
    assert merge.merge_files(git, *paths) == [""]
    assert (tmp_path / "ours").read_bytes() == b"<<<<<<< ours\nnot json\n=======\nneither\n>>>>>>> theirs\n"


# --- dulwich as a second reader -----------------------------------------------------------------------


def test_dulwich_sees_the_same_index(sha1_box):
    from dulwich.repo import Repo as DulwichRepo

    for n in range(20):
        sha1_box.sidecar(f"shots/{n}.png", n)
    sha1_box.git("add", "-A")
    with DulwichRepo(str(sha1_box.root)) as other:
        expected = {path.decode(): entry.sha.decode() for path, entry in other.open_index().items()}
    assert {e.path: e.oid for e in index.list_sidecars(sha1_box.repo())[0]} == expected


def test_an_interrupt_just_after_git_has_ended(tmp_path, monkeypatch):
    """^C between git's end and our note of it is still ^C, and no error about a child that is gone."""
    wait = os.waitpid

    def wait_and_be_interrupted(pid, options):
        wait(pid, options)
        monkeypatch.setattr(os, "waitpid", wait)
        raise KeyboardInterrupt

    git = Git(str(tmp_path), os.environ)
    monkeypatch.setattr(os, "waitpid", wait_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        git.out("version")
