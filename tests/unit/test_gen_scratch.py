"""The scratch folder: private, gone afterwards, and nothing but plain files of good names is taken out of it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from blake3 import blake3

from regen_vcs.errors import CorruptionError, InvalidError
from regen_vcs.generators.base import JobFailed
from regen_vcs.generators.scratch import Scratch, collect_output


@pytest.fixture
def scratch(tmp_path):
    with Scratch(str(tmp_path / "scratch")) as made:
        yield made


def write(path, data=b"x"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def digest(data):
    return blake3(data).hexdigest()


def test_it_is_private_and_leaves_nothing(tmp_path):
    with Scratch(str(tmp_path / "deep" / "scratch")) as made:
        assert stat.S_IMODE(os.stat(made.root).st_mode) == 0o700
        write(os.path.join(made.root, "output", "a", "b.png"))
        os.chmod(os.path.join(made.root, "output", "a"), 0o500)
        os.chmod(os.path.join(made.root, "output"), 0o000)
    assert os.listdir(tmp_path / "deep" / "scratch") == []


def test_tidying_up_follows_no_link(tmp_path):
    precious = tmp_path / "precious"
    (precious / "deep").mkdir(parents=True)
    (precious / "deep" / "photo.jpg").write_bytes(b"one and only")
    os.chmod(precious / "deep" / "photo.jpg", 0o440)
    with Scratch(str(tmp_path / "scratch")) as made:
        folder = os.path.join(made.root, "home", "stuck")
        os.mkdir(folder)
        os.symlink(precious / "deep" / "photo.jpg", os.path.join(folder, "link"))
        os.symlink(precious, os.path.join(folder, "folder"))
        os.chmod(folder, 0o500)  # unlinking in it fails, unless one is root
    assert (precious / "deep" / "photo.jpg").read_bytes() == b"one and only"
    assert stat.S_IMODE(os.stat(precious / "deep" / "photo.jpg").st_mode) == 0o440


def test_inputs_are_copies_that_were_checked(scratch, tmp_path):
    source = write(str(tmp_path / "base.png"), b"pixels")
    path = scratch.copy_input("image", "base.png", source, digest(b"pixels"))
    assert Path(path).read_bytes() == b"pixels"
    with open(path, "wb") as file:
        file.write(b"scribbled")
    assert Path(source).read_bytes() == b"pixels"
    assert Path(scratch.add_input("graph", "g.json", b"{}", digest(b"{}"))).read_bytes() == b"{}"
    for fails in (
        lambda: scratch.copy_input("other", "base.png", source, digest(b"else")),
        lambda: scratch.add_input("third", "g.json", b"{}", digest(b"else")),
    ):
        with pytest.raises(CorruptionError):
            fails()


@pytest.mark.parametrize("name", ["../x.py", "/etc/x", "a/../../x", ""])
def test_code_cannot_leave_the_folder(scratch, name):
    with pytest.raises(InvalidError):
        scratch.add_code(name, b"")


def test_a_plain_file(scratch):
    path = write(scratch.output_path("shots/010/sky.png"), b"12345")
    assert collect_output(scratch, "shots/010/sky.png") == [("", path, 5)]
    write(path + ".tmp")  # what else lies there is not the asset's
    assert len(collect_output(scratch, "shots/010/sky.png")) == 1


def test_a_folder(scratch):
    for name in ("b.png", "a/deep/c.png", "empty.txt"):
        write(os.path.join(scratch.output_path("set"), name), b"" if name == "empty.txt" else b"xy")
    assert [(name, size) for name, _, size in collect_output(scratch, "set")] == [
        ("a/deep/c.png", 2), ("b.png", 2), ("empty.txt", 0),
    ]  # fmt: skip


def test_a_sequence(scratch):
    for number in (1, 2, 10000):
        write(os.path.join(scratch.root, "output", f"sky.{number:04}.exr"))
    found = collect_output(scratch, "shots/sky.####.exr")
    assert [name for name, _, _ in found] == ["sky.0001.exr", "sky.0002.exr", "sky.10000.exr"]


@pytest.mark.parametrize("name", ["sky.1.exr", "sky.00001.exr", "sky.٠٠٠١.exr", "sky.-001.exr", "sky.0001.png", "log.txt"])
def test_what_is_no_frame(scratch, name):
    write(os.path.join(scratch.root, "output", "sky.0002.exr"))
    write(os.path.join(scratch.root, "output", name))
    with pytest.raises(JobFailed, match="no frame of"):
        collect_output(scratch, "sky.####.exr")


@pytest.mark.parametrize("asset", ["a.png", "sky.####.exr"])
def test_nothing_at_all(scratch, asset):
    with pytest.raises(JobFailed, match="wrote no"):
        collect_output(scratch, asset)


def test_empty_things(scratch):
    write(scratch.output_path("a.png"), b"")
    with pytest.raises(JobFailed, match="empty"):
        collect_output(scratch, "a.png")
    os.mkdir(scratch.output_path("set"))
    with pytest.raises(JobFailed, match="empty"):
        collect_output(scratch, "set")
    write(os.path.join(scratch.root, "output", "s.01.png"), b"")
    os.unlink(scratch.output_path("a.png"))
    os.rmdir(scratch.output_path("set"))
    with pytest.raises(JobFailed, match="empty"):
        collect_output(scratch, "s.##.png")


def link_file(path, target):
    os.symlink(target, path)


def hard_link(path, target):
    os.link(target, path)


def fifo(path, target):
    os.mkfifo(path)


def listener(path, target):
    here = os.getcwd()
    os.chdir(os.path.dirname(path))  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.basename(path))
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [link_file, hard_link, fifo, listener])
@pytest.mark.parametrize("asset", ["a.png", "set", "s.##.png"])
def test_nothing_but_regular_files(scratch, tmp_path, make, asset):
    secret = write(str(tmp_path / "secret"), b"key")
    path = {"a.png": "a.png", "set": "set/inner", "s.##.png": "s.01.png"}[asset]
    path = os.path.join(scratch.root, "output", path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    make(path, secret)
    with pytest.raises(JobFailed, match="link"):
        collect_output(scratch, asset)


def test_linked_folders(scratch, tmp_path):
    write(str(tmp_path / "other" / "photo.png"))
    os.makedirs(scratch.output_path("set"))
    os.symlink(tmp_path / "other", os.path.join(scratch.output_path("set"), "inner"))
    with pytest.raises(JobFailed, match="link"):
        collect_output(scratch, "set")
    os.symlink(tmp_path / "other", scratch.output_path("whole"))
    with pytest.raises(JobFailed, match="link"):
        collect_output(scratch, "whole")


def test_an_output_folder_that_is_another(scratch, tmp_path):
    write(str(tmp_path / "other" / "a.png"))
    os.rmdir(os.path.join(scratch.root, "output"))
    os.symlink(tmp_path / "other", os.path.join(scratch.root, "output"))
    with pytest.raises(JobFailed, match="replaced its output folder"):
        collect_output(scratch, "a.png")
    os.unlink(os.path.join(scratch.root, "output"))
    with pytest.raises(JobFailed, match="replaced its output folder"):
        collect_output(scratch, "a.png")


@pytest.mark.parametrize("name", [".git/config", "a.regen.json", ".gitattributes", "x/GIT~1", "a\\b", "regen.toml"])
def test_names_no_asset_may_have(scratch, name):
    write(os.path.join(scratch.output_path("set"), name))
    with pytest.raises(JobFailed, match="no asset may have"):
        collect_output(scratch, "set")
