"""Every git command that changes the working tree, under the hooks and again under the filter alone."""

from __future__ import annotations

import time

import pytest

from tests.real_git.film import TRIGGERS, assert_matches, hash_file, make_film, media, media_bytes, settle

pytestmark = pytest.mark.parametrize("trigger", TRIGGERS)


@pytest.fixture
def film(home, trigger):
    return make_film(home, trigger)


def test_switch_to_and_fro(film):
    for branch in ("two", "main", "two", "base", "main"):
        film.git("switch", "-q", branch)
        assert_matches(film)


def test_checkout_paths(film):
    film.git("checkout", "two", "--", "a.png.regen.json", "neu.png.regen.json")
    assert_matches(film, clean=False)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 2)
    film.git("checkout", "main", "--", "a.png.regen.json")
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 1)


def test_restore(film):
    film.git("restore", "--source", "two", "a.png.regen.json")
    assert_matches(film, clean=False)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 2)
    film.git("restore", "a.png.regen.json")
    assert_matches(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 1)


def test_restore_of_a_deleted_sidecar(film):
    (film.root / "a.png.regen.json").unlink()
    (film.root / "a.png").unlink()
    film.git("restore", "a.png.regen.json")
    assert_matches(film)


def test_reset_hard(film):
    film.git("reset", "-q", "--hard", "two")
    assert_matches(film)
    film.git("reset", "-q", "--hard", "base")
    assert_matches(film)


def test_reset_hard_to_a_commit_without_sidecars(film):
    film.git("switch", "-q", "--orphan", "empty")
    film.git("commit", "-q", "--allow-empty", "-m", "nothing")
    film.git("switch", "-q", "main")
    assert_matches(film)
    film.git("reset", "-q", "--hard", "empty")
    assert_matches(film, clean=False)
    assert media(film.root) == set()


def test_stash_push_and_pop(film):
    film.write("a.png", media_bytes("a.png", 3))
    film.regen("add", "a.png")
    film.git("stash", "push", "-q")
    assert_matches(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 1)
    film.git("stash", "pop", "-q")
    assert_matches(film, clean=False)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 3)


def test_stash_with_an_added_sidecar(film):
    film.write("fresh.png", media_bytes("fresh.png", 1))
    film.regen("add", "fresh.png")
    film.git("add", "-A")
    before = media(film.root)
    film.git("stash", "push", "-q")
    assert_matches(film)
    assert "fresh.png" not in media(film.root)
    film.git("stash", "pop", "-q")
    assert_matches(film, clean=False)
    assert media(film.root) == before  # no bystander was removed


def test_stash_of_untracked_files(film):
    film.write("fresh.png", media_bytes("fresh.png", 1))
    film.regen("add", "fresh.png")
    film.write("a.png", media_bytes("a.png", 4))
    film.regen("add", "a.png")
    before = media(film.root)
    film.git("stash", "push", "-q", "-u")
    settle(film)
    assert "fresh.png" not in media(film.root)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 1)
    film.git("stash", "pop", "-q")
    settle(film)
    # git brings untracked files back after its last hook: they follow within a moment.
    wait_until(lambda: media(film.root) == before)
    assert (film.root / "fresh.png").read_bytes() == media_bytes("fresh.png", 1)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 4)


def test_merge_fast_forward(film):
    film.git("switch", "-q", "base")
    film.git("merge", "-q", "--ff-only", "two")
    assert_matches(film)


def test_merge_clean(film):
    film.git("merge", "-q", "--no-edit", "two")
    assert_matches(film)
    assert (film.root / "notes.txt").exists()


def _conflict(film):
    film.write("a.png", media_bytes("a.png", 5))
    film.regen("add", "a.png")
    film.commit("five")
    done = film.git("merge", "-q", "--no-edit", "two", check=False)
    assert done.returncode != 0


def test_merge_with_conflict_then_committed(film):
    _conflict(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 5)  # an unmerged sidecar: left as it is
    film.git("checkout", "--theirs", "--", "a.png.regen.json")
    film.git("add", "a.png.regen.json")
    film.git("commit", "-q", "--no-edit")
    assert_matches(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 2)


def test_merge_aborted(film):
    _conflict(film)
    film.git("merge", "--abort")
    assert_matches(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 5)


def test_rebase_finished(film):
    film.git("switch", "-q", "two")
    film.git("rebase", "-q", "main")
    assert_matches(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 2)


def test_rebase_aborted(film):
    _write_and_commit(film, "a.png", 6)
    film.git("switch", "-q", "two")
    assert film.git("rebase", "-q", "main", check=False).returncode != 0
    film.git("rebase", "--abort")
    assert_matches(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 2)


def test_rebase_exec_sees_the_assets_of_each_step(film):
    film.git("switch", "-q", "two")
    _write_and_commit(film, "a.png", 7)
    _write_and_commit(film, "a.png", 8)
    film.git("switch", "-qc", "three", "two")
    seen = film.root.parent / "seen"
    film.git("rebase", "-q", "-x", f'cat a.png >> "{seen}"; echo >> "{seen}"', "main")
    assert_matches(film)
    if film.trigger == "hooks":  # under the filter git's process, and so our sync, ends after all steps
        steps = seen.read_bytes().split(b"\n")[:-1]
        assert steps == [media_bytes("a.png", version) for version in (2, 7, 8)]


def test_cherry_pick_several(film):
    film.git("switch", "-q", "two")
    _write_and_commit(film, "b2.png", 1)
    _write_and_commit(film, "b3.png", 1)
    film.git("switch", "-q", "main")
    film.git("cherry-pick", "two~2..two")
    assert_matches(film)
    assert {"b2.png", "b3.png"} <= media(film.root)


def test_revert(film):
    film.git("switch", "-q", "two")
    film.git("revert", "--no-edit", "HEAD")
    assert_matches(film)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 1)


def test_am(film):
    patch = film.git("format-patch", "--stdout", "base..two").stdout
    film.git("switch", "-q", "base")
    film.run("git", "am", "-q", input=patch, stdin=None)
    assert_matches(film)
    assert "dir/b.png" not in media(film.root)


def test_worktree_add_and_remove(film):
    other = film.root.parent / "zweiter baum"
    film.git("worktree", "add", "-q", str(other), "two")
    if film.trigger == "hooks":
        assert_matches(film, other)
    else:
        assert_matches(film, other)
    assert (other / "a.png").read_bytes() == media_bytes("a.png", 2)
    film.git("worktree", "remove", str(other))
    assert not other.exists()
    assert_matches(film)


def test_clone_with_global_drivers(film):
    film.regen("install", "--global")
    clone = film.root.parent / "klon"
    film.git("clone", "-q", str(film.root), str(clone))
    for path in ("a.png", "dir/b.png", "dir/ü c.png"):
        assert (clone / path).read_bytes() == media_bytes(path, 1)
    film.regen("init", cwd=clone)
    assert_matches(film, clone, clean=False)


@pytest.mark.parametrize("cone", [True, False])
def test_sparse_checkout_in_and_out(film, cone):
    film.git("sparse-checkout", "set", "--cone" if cone else "--no-cone", "dir" if cone else "/dir/*")
    settle(film)
    assert "a.png" not in media(film.root) or cone  # cone mode keeps the root's files
    assert "dir/b.png" in media(film.root)
    film.git("sparse-checkout", "set", "--cone" if cone else "--no-cone", "nowhere" if cone else "/nowhere/*")
    settle(film)
    assert "dir/b.png" not in media(film.root)
    film.git("sparse-checkout", "disable")
    assert_matches(film)


def test_bisect(film):
    film.git("bisect", "start")
    film.git("bisect", "bad", "main")
    film.git("bisect", "good", "base")
    assert_matches(film, clean=False)
    film.git("checkout", "-q", "two")
    assert_matches(film, clean=False)
    film.git("bisect", "reset")
    film.git("switch", "-q", "main")
    assert_matches(film)


def test_submodule_update(film, home):
    outer = home.repo("outer")
    outer.trigger = "filter"  # a submodule is a clone of its own: the global filter brings its media
    if film.trigger == "hooks":
        outer.regen("install", "--global")
    outer.git("submodule", "add", "-q", str(film.root), "sub")
    outer.commit("sub at main")
    sub = outer.root / "sub"
    assert_matches(outer, sub, clean=False)
    outer.git("checkout", "-q", "origin/two", cwd=sub)
    outer.commit("sub at two")
    outer.git("checkout", "-q", "HEAD~1")
    outer.git("submodule", "update", "-q")
    assert_matches(outer, sub, clean=False)
    outer.git("checkout", "-q", "main")
    outer.git("submodule", "update", "-q")
    outer.regen("sync", cwd=sub)
    assert_matches(outer, sub, clean=False)
    assert (sub / "a.png").read_bytes() == media_bytes("a.png", 2)


def test_git_mv(film):
    film.git("mv", "a.png.regen.json", "moved.png.regen.json")
    film.regen("sync")
    assert_matches(film, clean=False)
    assert "a.png" not in media(film.root)
    assert (film.root / "moved.png").read_bytes() == media_bytes("a.png", 1)


def test_read_tree(film):
    film.git("read-tree", "-u", "-m", "HEAD", "two")
    assert_matches(film, clean=False)
    assert (film.root / "a.png").read_bytes() == media_bytes("a.png", 2)


def test_media_never_pass_through_git(film):
    objects = film.git("cat-file", "--batch-check", "--batch-all-objects").stdout.splitlines()
    sizes = [int(line.split()[2]) for line in objects if line.split()[1] == "blob"]
    assert max(sizes) < len(media_bytes("a.png", 1))


def test_archive_and_cat_file_change_nothing(film):
    before = {path: hash_file(film.root / path) for path in media(film.root)}
    film.run("git", "archive", "-o", str(film.root.parent / "a.tar"), "two")
    film.git("cat-file", "--filters", "two:a.png.regen.json")
    assert {path: hash_file(film.root / path) for path in media(film.root)} == before
    assert_matches(film)


def wait_until(holds, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def _write_and_commit(film, path: str, version: int) -> None:
    film.write(path, media_bytes(path, version))
    film.regen("add", path)
    film.commit(f"{path} {version}")
