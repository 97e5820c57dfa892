"""An asset edited by hand holds bytes no store knows. Whatever git does then, they are on disk or in `rescued`.

Some commands of git delete ignored files themselves and ask nobody. For those the bound is what DESIGN, section 5,
promises: what the last status, sync or check saw is in keep.
"""

from __future__ import annotations

import json
import time

import pytest
from blake3 import blake3

from tests.conftest import Home
from tests.real_git import test_matrix
from tests.real_git.copies import copy_of
from tests.real_git.film import TRIGGERS, hash_file, media_bytes, settle
from tests.real_git.operations import OPERATIONS, PICTURES, SEQUENCE, frame, make_reel, put_frames, put_tree

# What is edited before each operation: {file: the asset it belongs to}.
EDITED = {path: path for path in PICTURES} | {
    "set/x.dat": "set",
    "set/sub/y.dat": "set",
    frame(1): SEQUENCE,
    frame(2): SEQUENCE,
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """{trigger: a reel}, each made when first asked for."""
    made = {}

    def template(trigger: str):
        if trigger not in made:
            made[trigger] = make_reel(Home(tmp_path_factory.mktemp(trigger) / "user"), trigger)
        return made[trigger]

    return template


@pytest.fixture(params=TRIGGERS)
def reel(request, templates, tmp_path):
    film = copy_of(templates(request.param), tmp_path)
    film.trigger = request.param
    return film


def edit(film, files=EDITED) -> dict[str, bytes]:
    """Write bytes of somebody's own into these files, where they are; {file: bytes}."""
    written = {}
    for path in files:
        if film.path(path).exists():
            written[path] = f"drawn by hand into {path} ".encode() * 300
            film.write(path, written[path])
    assert written
    return written


def rescued(film, **kwargs) -> list[dict]:
    return json.loads(film.regen("rescued", "--json", **kwargs).stdout)["rescued"]


def restored(film, entry: dict):
    """What `rescued HASH --to` brings back: a file, or a folder."""
    target = film.root.parent / f"back-{entry['hash'][:16]}"
    if not target.exists():
        film.regen("rescued", entry["hash"], "--to", str(target))
    return target


def is_rescued(film, path: str, data: bytes, asset: str) -> bool:
    """Whether some rescued version of the asset has exactly these bytes for this file."""
    for entry in rescued(film):
        if entry["path"] != asset:
            continue
        target = restored(film, entry)
        inner = path.removeprefix("set/") if asset == "set" else path.rpartition("/")[2]
        found = target if target.is_file() else target / inner
        if found.is_file() and found.read_bytes() == data:
            return True
    return False


def assert_nothing_lost(film, written: dict[str, bytes]) -> None:
    for path, data in written.items():
        on_disk = film.path(path).is_file() and film.path(path).read_bytes() == data
        assert on_disk or is_rescued(film, path, data, EDITED.get(path, path)), f"the edit of {path} is lost"


def in_keep(film, data: bytes) -> bool:
    digest = blake3(data).hexdigest()
    stored = film.user.keep / "v1" / "objects" / digest[:2] / digest[2:]
    return stored.is_file() and stored.read_bytes() == data


# ---------------------------------------------------------------- every operation of the matrix


def test_no_operation_of_the_matrix_is_left_out():
    names = {name.removeprefix("test_") for name in vars(test_matrix) if name.startswith("test_")}
    assert names == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_edit_is_lost(reel, name):
    prepare, act = OPERATIONS[name]
    prepare(reel)
    settle(reel)
    written = edit(reel)
    act(reel)
    assert_nothing_lost(reel, written)
    settle(reel)
    assert_nothing_lost(reel, written)
    reel.regen("sync")
    assert_nothing_lost(reel, written)


def test_an_edit_stays_where_its_sidecar_did_not_change(reel):
    """`dir/ü c.png` and `dir/deep/d.png` are the same on both branches."""
    written = edit(reel)
    for branch in ("two", "main", "two", "main"):
        reel.git("switch", "-q", branch)
    for path in ("dir/ü c.png", "dir/deep/d.png"):
        assert reel.path(path).read_bytes() == written[path]
        assert reel.status()[path] == "modified"


def test_an_edit_gives_way_where_its_sidecar_changed(reel):
    written = edit(reel)
    reel.git("switch", "-q", "two")
    settle(reel)
    assert reel.path("a.png").read_bytes() == media_bytes("a.png", 2)
    assert not reel.path("dir/b.png").exists()
    assert {each["path"] for each in rescued(reel)} >= {"a.png", "dir/b.png", "set", SEQUENCE}
    state = reel.status()
    assert [state[each] for each in ("a.png", "set", SEQUENCE)] == ["ok"] * 3
    assert_nothing_lost(reel, written)


def test_two_edits_in_a_row_are_both_rescued(reel):
    first = edit(reel, ["a.png"])
    reel.git("switch", "-q", "two")
    second = {"a.png": b"another hand " * 200}
    reel.write("a.png", second["a.png"])
    reel.git("switch", "-q", "main")
    assert_nothing_lost(reel, first)
    assert_nothing_lost(reel, second)


def test_an_edit_of_the_same_size_within_the_same_tick(reel):
    """No stat tells it but ctime; right after a switch the rows are racy."""
    reel.git("switch", "-q", "two")
    data = media_bytes("a.png", 9)
    assert len(data) == len(media_bytes("a.png", 2))
    reel.write("a.png", data)
    reel.git("switch", "-q", "main")
    assert_nothing_lost(reel, {"a.png": data})


def test_a_deleted_asset_is_no_edit(reel):
    reel.path("a.png").unlink()
    reel.path("set/x.dat").unlink()
    reel.git("switch", "-q", "two")
    settle(reel)
    assert reel.path("a.png").read_bytes() == media_bytes("a.png", 2)
    assert "a.png" not in {each["path"] for each in rescued(reel)}


def test_a_file_put_into_a_directory_asset_is_rescued_with_it(reel):
    reel.write("set/mine.txt", b"mine")
    reel.write(frame(77), b"mine too")
    reel.git("switch", "-q", "two")
    settle(reel)
    assert not reel.path("set/mine.txt").exists() and not reel.path(frame(77)).exists()
    assert is_rescued(reel, "set/mine.txt", b"mine", "set")
    assert is_rescued(reel, frame(77), b"mine too", SEQUENCE)


def test_sync_never_replaces_an_edit(reel):
    written = edit(reel)
    for _ in range(2):
        reel.regen("sync")
        reel.regen("regenerate", "--missing")
    for path, data in written.items():
        assert reel.path(path).read_bytes() == data
        assert in_keep(reel, data)
    assert rescued(reel) == []


def test_bytes_in_the_way_without_a_state_file_are_left(reel):
    """A lost state folder, or media that were there before the tool: nobody can say whose bytes these are."""
    written = edit(reel, ["a.png"])
    for each in (reel.root / ".git" / "regen").glob("state*"):
        each.unlink()
    reel.regen("sync")
    assert_nothing_lost(reel, written)
    reel.git("switch", "-q", "two")
    assert_nothing_lost(reel, written)


# ---------------------------------------------------------------- bringing back


def test_rescued_bytes_come_back_beside_the_asset(reel):
    written = edit(reel)
    reel.git("switch", "-q", "two")
    settle(reel)
    entry = next(each for each in rescued(reel) if each["path"] == "a.png")
    where = reel.regen("rescued", entry["hash"][:10]).stdout
    found = [each for each in reel.root.glob("a.rescued-*.png")]
    assert len(found) == 1 and found[0].name in where and found[0].read_bytes() == written["a.png"]
    again = reel.regen("rescued", entry["hash"][:10], check=False)
    assert again.returncode == 1 and "exists already" in again.stderr  # never over anything


def test_a_rescued_sequence_comes_back_as_frames(reel):
    written = edit(reel)
    reel.git("switch", "-q", "two")
    settle(reel)
    entry = next(each for each in rescued(reel) if each["path"] == SEQUENCE)
    folder = restored(reel, entry)
    assert sorted(each.name for each in folder.iterdir()) == ["shot.0001.exr", "shot.0002.exr", "shot.0003.exr"]
    assert (folder / "shot.0002.exr").read_bytes() == written[frame(2)]


def test_a_rescued_file_that_reads_like_a_manifest_is_a_file(reel):
    text = b'{"files":[{"hash":"%s","name":"x","size":1}],"regen-manifest":1}' % (b"0" * 64)
    reel.write("a.png", text)
    reel.git("switch", "-q", "two")
    entry = next(each for each in rescued(reel) if each["path"] == "a.png")
    assert restored(reel, entry).read_bytes() == text


# ---------------------------------------------------------------- git's own destroyers

# What a user, a script or a hook runs often; each keeps what it sees edited.
LOOKS = {"status": ("status",), "status of paths": ("status", "a.png", "dir", "set", "frames"), "sync": ("sync",),
         "check": ("check",)}


@pytest.fixture(params=LOOKS)
def look(request):
    return LOOKS[request.param]


def _clean(film):
    film.git("clean", "-fdxq")


def _tracked_raw(film):
    film.git("switch", "-q", "raw")


def _directory_for_file(film):
    film.git("switch", "-q", "folder")


def _file_for_directory(film):
    film.git("switch", "-q", "flat")


def _cone(film):
    film.git("sparse-checkout", "set", "--cone", "nowhere")


def _stash_all(film):
    film.git("stash", "push", "-q", "-a")
    film.git("stash", "drop", "-q")


# {name: (act, branch it needs: {path: bytes})}
DESTROYERS = {
    "clean": (_clean, None),
    "tracked raw": (_tracked_raw, ("raw", {"a.png": b"raw in git", "dir/b.png": b"too"})),
    "directory against file": (_directory_for_file, ("folder", {"a.png/readme.txt": b"a folder now"})),
    "file against directory": (_file_for_directory, ("flat", {"set": b"a file now"})),
    "cone sparse-checkout": (_cone, None),
    "stash -a and drop": (_stash_all, None),
}


def branch_without_sidecars(film, name: str, files: dict[str, bytes]) -> None:
    """A branch whose tree holds only these, written without touching the working tree."""
    index = film.root.parent / f"index-{name}"
    film.env["GIT_INDEX_FILE"] = str(index)
    try:
        for path, data in files.items():
            oid = film.git("hash-object", "-w", "--stdin", input=data.decode(), stdin=None).stdout.strip()
            film.git("update-index", "--add", "--cacheinfo", f"100644,{oid},{path}")
        tree = film.git("write-tree").stdout.strip()
    finally:
        del film.env["GIT_INDEX_FILE"]
    commit = film.git("commit-tree", "-m", name, tree).stdout.strip()
    film.git("branch", name, commit)


@pytest.mark.parametrize("name", DESTROYERS)
def test_what_a_look_saw_is_in_keep(reel, name, look):
    act, branch = DESTROYERS[name]
    if branch:
        branch_without_sidecars(reel, *branch)
    written = edit(reel)
    reel.regen(*look)
    act(reel)
    for path, data in written.items():
        assert in_keep(reel, data), f"{path} as the last look saw it is lost"


def test_worktree_remove_after_a_look(reel, look):
    other = reel.root.parent / "zweiter"
    reel.git("worktree", "add", "-q", str(other), "two")
    if reel.trigger == "filter":
        reel.regen("sync", cwd=other)
    written = {path: f"in the other worktree {path}".encode() * 50 for path in ("a.png", "set/x.dat", frame(3))}
    for path, data in written.items():
        (other / path).write_bytes(data)
    reel.regen(*look, cwd=other)
    reel.git("worktree", "remove", "--force", str(other))
    for path, data in written.items():
        assert in_keep(reel, data), path


@pytest.mark.parametrize("name", ["tracked raw", "directory against file", "file against directory"])
def test_what_git_tracks_itself_is_never_touched(reel, name):
    """The branch's own files stay as git wrote them, through hooks and syncs; and back on main all is as before."""
    act, (branch, files) = DESTROYERS[name]
    branch_without_sidecars(reel, branch, files)
    act(reel)
    for verb in (("sync",), ("status",), ("sync",)):
        reel.regen(*verb)
        for path, data in files.items():
            assert reel.path(path).read_bytes() == data, f"{path} after {verb}"
        assert reel.git("status", "--porcelain").stdout == ""
    reel.git("switch", "-q", "main")
    settle(reel)
    for path in PICTURES:
        assert reel.path(path).read_bytes() == media_bytes(path, 1)
    assert set(reel.status().values()) == {"ok"}


def test_clean_is_mended_by_sync(reel):
    edit(reel)
    _clean(reel)
    reel.regen("sync")
    for path in PICTURES:
        assert reel.path(path).read_bytes() == media_bytes(path, 1)
    assert set(reel.status().values()) == {"ok"}


# ---------------------------------------------------------------- while somebody writes


def test_a_file_written_during_a_sync_is_not_overwritten(reel):
    """A render that is saved while a switch is under way: the plan saw nothing there."""
    film = reel
    slow = film.root.parent / "slow"
    for number in range(400):
        film.write(f"many/{number:03d}.png", media_bytes(f"many {number}", 1))
    film.regen("add", "many")
    film.commit("many")
    film.git("switch", "-q", "base")
    settle(film)
    slow.write_text("x")
    import subprocess

    process = subprocess.Popen(["git", "switch", "-q", "main"], cwd=film.root, env=film.env)
    mine = b"my render " * 100
    target = film.path("many/399.png")
    while process.poll() is None and not film.path("many/399.png.regen.json").exists():
        time.sleep(0.001)
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        target.write_bytes(mine)
        process.wait(timeout=60)
        settle(film)
        assert_nothing_lost(film, {"many/399.png": mine})
    process.wait(timeout=60)


def test_edits_of_frames_and_members_are_named_modified(reel):
    reel.write(frame(2), b"edited")
    reel.write("set/sub/y.dat", b"edited")
    state = reel.status()
    assert (state[SEQUENCE], state["set"]) == ("modified", "modified")
    put_frames(reel, {1: 1, 2: 1, 3: 1})
    put_tree(reel, {"x.dat": 1, "sub/y.dat": 1})
    assert set(reel.status().values()) == {"ok"}
    assert hash_file(reel.path(frame(2)))
