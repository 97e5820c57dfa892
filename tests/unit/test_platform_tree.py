"""A worktree through directory descriptors: nothing is read, written or removed through a symlink."""

from __future__ import annotations

import os
import threading

import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.platform.tree import TEMP_PREFIX, Tree


@pytest.fixture(params=[True, False], ids=["by descriptor", "by path"])
def tree(request, tmp_path):
    """Both forms: the second is what Windows runs."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "outside").mkdir()
    with Tree(str(tmp_path / "tree"), by_descriptor=request.param) as tree:
        yield tree


def write(tree: Tree, path: str, data: bytes = b"x") -> None:
    fd, temp = tree.temp_in(path.rpartition("/")[0])
    with open(fd, "wb") as file:
        file.write(data)
    tree.commit(temp, path)


def read(tree: Tree, path: str) -> bytes:
    with open(tree.open_read(path), "rb") as file:
        return file.read()


@pytest.mark.parametrize("path", ["sky.png", "a/sky.png", "a/b c/ü/sky.png"])
def test_files_are_written_read_and_removed(tree, path):
    write(tree, path, b"1")
    write(tree, path, b"2")
    assert read(tree, path) == b"2"
    assert tree.stat(path).st_size == 1
    tree.unlink(path)
    tree.unlink(path)
    assert tree.stat(path) is None
    with pytest.raises(FileNotFoundError):
        tree.open_read(path)


def test_a_temporary_that_is_not_needed(tree):
    fd, temp = tree.temp_in("a")
    os.close(fd)
    assert temp.startswith(TEMP_PREFIX)
    tree.discard(temp, "a")
    tree.discard(temp, "a")
    assert os.listdir(f"{tree.root}/a") == []


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../x", "a//x", "a/", "./x", "a/.", "a\0b/x", "a\\b"])
def test_names_that_leave_are_refused(tree, path):
    for act in (tree.stat, tree.open_read, tree.unlink):
        with pytest.raises(InvalidError):
            act(path)


def test_no_component_may_be_a_symlink(tree, tmp_path):
    (tmp_path / "outside" / "sky.png").write_bytes(b"theirs")
    os.symlink(tmp_path / "outside", f"{tree.root}/textures")
    os.symlink(".", f"{tree.root}/self")
    for path in ("textures/sky.png", "self/sky.png", "textures/new/sky.png"):
        for act in (tree.stat, tree.open_read, tree.unlink):
            with pytest.raises(InvalidError, match="symlink"):
                act(path)
        with pytest.raises(InvalidError, match="symlink"):
            write(tree, path)
    tree.remove_empty_dirs("textures")
    assert os.listdir(tmp_path / "outside") == ["sky.png"]
    assert sorted(os.listdir(tree.root)) == ["self", "textures"]


def test_a_symlink_in_a_files_place_is_seen_not_followed(tree, tmp_path):
    (tmp_path / "outside" / "sky.png").write_bytes(b"theirs")
    os.symlink(tmp_path / "outside" / "sky.png", f"{tree.root}/sky.png")
    assert os.path.islink(f"{tree.root}/sky.png")
    with pytest.raises(InvalidError, match="symlink"):
        tree.open_read("sky.png")
    write(tree, "sky.png", b"ours")
    assert read(tree, "sky.png") == b"ours"
    assert (tmp_path / "outside" / "sky.png").read_bytes() == b"theirs"


def test_only_regular_files_are_opened(tree):
    os.mkfifo(f"{tree.root}/fifo")
    os.mkdir(f"{tree.root}/folder")
    for path in ("fifo", "folder"):
        with pytest.raises(InvalidError):
            tree.open_read(path)


def test_a_file_where_a_directory_must_be(tree):
    write(tree, "a")
    assert tree.stat("a/b") is None
    tree.unlink("a/b")
    with pytest.raises(InvalidError, match="must be"):
        write(tree, "a/b")
    assert read(tree, "a") == b"x"


def test_empty_directories_go_up_to_the_first_that_is_not(tree):
    write(tree, "a/b/c/x")
    write(tree, "a/y")
    tree.unlink("a/b/c/x")
    tree.remove_empty_dirs("a/b/c")
    assert sorted(os.listdir(f"{tree.root}/a")) == ["y"]
    tree.unlink("a/y")
    tree.remove_empty_dirs("a/b/c")  # what is gone already does not stop it
    assert os.listdir(tree.root) == []
    tree.remove_empty_dirs("")
    assert os.path.isdir(tree.root)


def test_directories_removed_and_made_anew_are_found(tree):
    write(tree, "a/x", b"1")
    os.unlink(f"{tree.root}/a/x")
    os.rmdir(f"{tree.root}/a")
    assert tree.stat("a/x") is None
    os.mkdir(f"{tree.root}/a")
    open(f"{tree.root}/a/x", "w").close()
    assert tree.stat("a/x") is not None
    os.unlink(f"{tree.root}/a/x")
    os.rmdir(f"{tree.root}/a")
    write(tree, "a/x", b"2")
    assert read(tree, "a/x") == b"2"


def test_moving_in_and_out(tree, tmp_path):
    write(tree, "a/x", b"1")
    tree.move_out("a/x", str(tmp_path / "outside" / "x"))
    assert tree.stat("a/x") is None
    st = tree.move_in(str(tmp_path / "outside" / "x"), "b/c/x")
    assert st.st_ino == tree.stat("b/c/x").st_ino
    assert read(tree, "b/c/x") == b"1"


def test_few_descriptors_are_kept(tmp_path):
    def open_descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc to count descriptors in")
    before = open_descriptors()
    tree = Tree(str(tmp_path))
    for number in range(50):
        write(tree, f"d{number}/deep/er/x")
        with pytest.raises(InvalidError):
            write(tree, f"d{number}/deep/er/x/y")
        assert open_descriptors() <= before + 2
    tree.close()
    assert open_descriptors() == before
    assert read(tree, "d1/deep/er/x") == b"x"
    tree.close()


@pytest.mark.parametrize("closed", range(3))
def test_an_interrupt_right_after_a_close_closes_nothing_twice(tmp_path, monkeypatch, closed):
    """What would be closed twice fails with EBADF, and that took the place of the ^C; or it is another thread's by then."""
    close, calls = os.close, []

    def interrupted(fd: int) -> None:
        close(fd)
        calls.append(fd)
        if len(calls) == closed + 1:
            raise KeyboardInterrupt

    with Tree(str(tmp_path)) as tree:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(os, "close", interrupted)
            tree.dir_fd("a/b/c/d", create=True)
        write(tree, "a/b/c/d/sky.png")
        assert read(tree, "a/b/c/d/sky.png") == b"x"


def test_a_directory_exchanged_for_a_symlink_is_never_written_through(tmp_path):
    """The race itself: one thread exchanges a folder for a symlink, to and fro, while another writes into it."""
    root, outside = tmp_path / "tree", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "textures").mkdir()
    (tmp_path / "aside").mkdir()
    done = threading.Event()

    def exchange():
        number = 0
        while not done.is_set():
            number += 1
            aside = tmp_path / "aside" / str(number)
            os.rename(root / "textures", aside)
            try:
                os.symlink(outside, root / "textures")
            except FileExistsError:
                continue  # the writer found no folder and made one: go on with that
            os.unlink(root / "textures")
            try:
                os.rename(aside, root / "textures")
            except OSError:
                continue  # the same, a moment later

    thread = threading.Thread(target=exchange)
    thread.start()
    written = 0
    try:
        for number in range(1500):
            with Tree(str(root)) as tree:
                try:
                    fd, temp = tree.temp_in("textures")
                    os.close(fd)
                    tree.commit(temp, f"textures/{number}.png")
                    written += 1
                except (InvalidError, OSError):
                    pass
    finally:
        done.set()
        thread.join()
    assert os.listdir(outside) == []
    assert written
