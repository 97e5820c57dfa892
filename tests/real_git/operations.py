"""What git does to a working tree, as a table: one entry for every test of test_matrix.py.

`prepare` makes the commits an operation needs; `act` is the operation itself, so that a test can put something (an
edited asset, an empty cache) between the two. Both take the project that `make_reel` made.
"""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

from tests.real_git.film import media_bytes, settle

PICTURES = ("a.png", "dir/b.png", "dir/ü c.png", "dir/deep/d.png")
SEQUENCE = "frames/shot.####.exr"

Operation = namedtuple("Operation", ("prepare", "act"))
OPERATIONS: dict[str, Operation] = {}


def make_reel(home, trigger: str):
    """The film of film.py, and with it a directory asset and a numbered sequence. Branches base, main and two.

    main: a.png, dir/b.png, dir/ü c.png, dir/deep/d.png, set/ (x.dat, sub/y.dat), frames 1-3; then notes.txt
    two:  a.png changed, dir/b.png gone, neu.png; set/ (x.dat changed, z.dat, no sub/), frames 2-5 (2 changed)
    """
    project = home.repo("film", init=False)
    if trigger == "hooks":
        project.regen("init")
    else:
        project.regen("install", "--global")
        project.write(".gitattributes", b"*.regen.json filter=regen merge=regen diff=regen text eol=lf\n")
    project.trigger = trigger
    for each in PICTURES:
        project.write(each, media_bytes(each, 1))
    project.regen("add", ".")
    put_tree(project, {"x.dat": 1, "sub/y.dat": 1})
    put_frames(project, {1: 1, 2: 1, 3: 1})
    project.commit("one")
    project.git("branch", "base")
    project.git("switch", "-qc", "two")
    put_tree(project, {"x.dat": 2, "z.dat": 1})
    put_frames(project, {2: 2, 3: 1, 4: 1, 5: 1})
    write_and_add(project, "a.png", 2)
    project.regen("rm", "dir/b.png")
    write_and_add(project, "neu.png", 1)
    project.commit("two")
    project.git("switch", "-q", "main")
    settle(project)
    project.write("notes.txt", b"notes\n")
    project.commit("notes")
    return project


def put_tree(project, versions: dict[str, int], asset: str = "set") -> None:
    """Make the directory asset hold exactly these members, and add it."""
    _empty(project.root / asset)
    for name, version in versions.items():
        project.write(f"{asset}/{name}", media_bytes(name, version))
    project.regen("add", "--as-one", asset)


def put_frames(project, versions: dict[int, int], asset: str = SEQUENCE) -> None:
    """Make the sequence hold exactly these frames, and add it."""
    folder = (project.root / asset).parent
    for each in folder.glob("shot.*.exr"):
        each.unlink()
    for number, version in versions.items():
        project.write(frame(number, asset), media_bytes(f"frame {number}", version))
    project.regen("add", asset)


def frame(number: int, asset: str = SEQUENCE) -> str:
    return asset.replace("####", f"{number:04d}")


def write_and_add(project, path: str, version: int) -> None:
    project.write(path, media_bytes(path, version))
    project.regen("add", path)


def write_and_commit(project, path: str, version: int) -> None:
    write_and_add(project, path, version)
    project.commit(f"{path} {version}")


def _empty(folder: Path) -> None:
    for each in sorted(folder.rglob("*"), reverse=True):
        each.rmdir() if each.is_dir() else each.unlink()


def _nothing(project) -> None:
    pass


def _operation(name: str, prepare=_nothing):
    def note(act):
        OPERATIONS[name] = Operation(prepare, act)
        return act

    return note


# ---------------------------------------------------------------- the table


@_operation("switch_to_and_fro")
def _(film):
    for branch in ("two", "main", "two", "base", "main"):
        film.git("switch", "-q", branch)


@_operation("checkout_paths")
def _(film):
    film.git("checkout", "two", "--", "a.png.regen.json", "neu.png.regen.json", "set.regen.json")
    film.git("checkout", "main", "--", "a.png.regen.json")


@_operation("restore")
def _(film):
    film.git("restore", "--source", "two", "a.png.regen.json", "set.regen.json")
    film.git("restore", "a.png.regen.json")


@_operation("restore_of_a_deleted_sidecar")
def _(film):
    (film.root / "a.png.regen.json").unlink()
    film.git("restore", "a.png.regen.json")


@_operation("reset_hard")
def _(film):
    film.git("reset", "-q", "--hard", "two")
    film.git("reset", "-q", "--hard", "base")


def _empty_commit(film):
    film.git("branch", "empty", film.git("commit-tree", "-m", "nothing", _empty_tree(film)).stdout.strip())


def _empty_tree(film) -> str:
    return film.git("hash-object", "-w", "-t", "tree", "--stdin", input="", stdin=None).stdout.strip()


@_operation("reset_hard_to_a_commit_without_sidecars", _empty_commit)
def _(film):
    film.git("reset", "-q", "--hard", "empty")
    settle(film)


@_operation("stash_push_and_pop", lambda film: write_and_add(film, "a.png", 3))
def _(film):
    film.git("stash", "push", "-q")
    film.git("stash", "pop", "-q")


def _stage_a_fresh_asset(film):
    write_and_add(film, "fresh.png", 1)
    film.git("add", "-A")


@_operation("stash_with_an_added_sidecar", _stage_a_fresh_asset)
def _(film):
    film.git("stash", "push", "-q")
    film.git("stash", "pop", "-q")


def _fresh_and_changed(film):
    write_and_add(film, "fresh.png", 1)
    write_and_add(film, "a.png", 4)


@_operation("stash_of_untracked_files", _fresh_and_changed)
def _(film):
    film.git("stash", "push", "-q", "-u")
    settle(film)
    film.git("stash", "pop", "-q")
    settle(film)


@_operation("merge_fast_forward", lambda film: film.git("switch", "-q", "base"))
def _(film):
    film.git("merge", "-q", "--ff-only", "two")


@_operation("merge_clean")
def _(film):
    film.git("merge", "-q", "--no-edit", "two")


def _diverge(film):
    write_and_commit(film, "a.png", 5)


def _run_into_conflict(film):
    assert film.git("merge", "-q", "--no-edit", "two", check=False).returncode != 0


@_operation("merge_with_conflict_then_committed", _diverge)
def _(film):
    _run_into_conflict(film)
    film.git("checkout", "--theirs", "--", "a.png.regen.json")
    film.git("add", "a.png.regen.json")
    film.git("commit", "-q", "--no-edit")


@_operation("merge_aborted", _diverge)
def _(film):
    _run_into_conflict(film)
    film.git("merge", "--abort")


@_operation("rebase_finished", lambda film: film.git("switch", "-q", "two"))
def _(film):
    film.git("rebase", "-q", "main")


def _diverge_then_two(film):
    write_and_commit(film, "a.png", 6)
    film.git("switch", "-q", "two")


@_operation("rebase_aborted", _diverge_then_two)
def _(film):
    assert film.git("rebase", "-q", "main", check=False).returncode != 0
    film.git("rebase", "--abort")


def _two_more_on_three(film):
    film.git("switch", "-q", "two")
    write_and_commit(film, "a.png", 7)
    write_and_commit(film, "a.png", 8)
    film.git("switch", "-qc", "three", "two")


@_operation("rebase_exec_sees_the_assets_of_each_step", _two_more_on_three)
def _(film):
    film.git("rebase", "-q", "-x", "test -f notes.txt", "main")


def _two_more_on_two(film):
    film.git("switch", "-q", "two")
    write_and_commit(film, "b2.png", 1)
    write_and_commit(film, "b3.png", 1)
    film.git("switch", "-q", "main")


@_operation("cherry_pick_several", _two_more_on_two)
def _(film):
    film.git("cherry-pick", "two~2..two")


@_operation("revert", lambda film: film.git("switch", "-q", "two"))
def _(film):
    film.git("revert", "--no-edit", "HEAD")


@_operation("am", lambda film: film.git("switch", "-q", "base"))
def _(film):
    patch = film.git("format-patch", "--stdout", "base..two").stdout
    film.run("git", "am", "-q", input=patch, stdin=None)


@_operation("worktree_add_and_remove")
def _(film):
    other = film.root.parent / "zweiter baum"
    film.git("worktree", "add", "-q", str(other), "two")
    film.git("worktree", "remove", str(other))


@_operation("clone_with_global_drivers")
def _(film):
    film.regen("install", "--global")
    clone = film.root.parent / "klon"
    film.git("clone", "-q", str(film.root), str(clone))
    film.regen("init", cwd=clone)


@_operation("sparse_checkout_in_and_out")
def _(film):
    film.git("sparse-checkout", "set", "--no-cone", "/dir/*")
    settle(film)
    film.git("sparse-checkout", "set", "--no-cone", "/nowhere/*")
    settle(film)
    film.git("sparse-checkout", "disable")


@_operation("bisect")
def _(film):
    film.git("bisect", "start")
    film.git("bisect", "bad", "main")
    film.git("bisect", "good", "base")
    film.git("checkout", "-q", "two")
    film.git("bisect", "reset")
    film.git("switch", "-q", "main")


@_operation("submodule_update")
def _(film):
    """The film itself is the submodule: what happens to its working tree is a checkout of a commit by the outer one."""
    for branch in ("two", "main"):
        film.git("checkout", "-q", "--detach", branch)


@_operation("git_mv")
def _(film):
    film.git("mv", "a.png.regen.json", "moved.png.regen.json")
    film.regen("sync")


@_operation("read_tree")
def _(film):
    film.git("update-index", "-q", "--refresh")  # plumbing asks for that
    film.git("read-tree", "-u", "-m", "HEAD", "two")


@_operation("archive_and_cat_file_change_nothing")
def _(film):
    film.run("git", "archive", "-o", str(film.root.parent / "a.tar"), "two")
    film.git("cat-file", "--filters", "two:a.png.regen.json")


@_operation("media_never_pass_through_git")
def _(film):
    film.git("add", "-A")
    film.git("gc", "-q")
