"""Names that are refused, names that must work, and how paths follow from one another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.model.paths import (
    Sequence,
    asset_of,
    check_asset_path,
    check_input,
    check_member_name,
    fold,
    frame_path,
    frames_text,
    parse_frames,
    parse_sequence,
    relative_input,
    resolve_input,
    sidecar_of,
    windows_problem,
)

NAMES = json.loads((Path(__file__).parents[1] / "vectors" / "names.json").read_text())


@pytest.mark.parametrize("path", NAMES["refused"], ids=ascii)
@pytest.mark.parametrize("check", [check_asset_path, check_member_name])
def test_refused(check, path):
    with pytest.raises(InvalidError) as error:
        check(path)
    assert "\n" not in error.value.what
    error.value.what.encode()


@pytest.mark.parametrize("path", NAMES["accepted"], ids=ascii)
@pytest.mark.parametrize("check", [check_asset_path, check_member_name])
def test_accepted(check, path):
    check(path)


def test_an_asset_leaves_room_for_its_sidecar():
    check_member_name("a" * 255)
    check_asset_path("a" * 255 + "/" + "b" * 244)
    with pytest.raises(InvalidError, match="no room"):
        check_asset_path("a" * 245)


@pytest.mark.parametrize("asset", ["sky.png", "a/b.c/sky.####.exr", "Makefile", "new\nline", ".hidden"])
def test_asset_and_sidecar(asset):
    assert asset_of(sidecar_of(asset)) == asset


@pytest.mark.parametrize("path", ["sky.png", "sky.regen.jsonx", "", ".regen.json", "a/.regen.json", "a.REGEN.JSON"])
def test_no_sidecar(path):
    with pytest.raises(InvalidError):
        asset_of(path)


def test_the_sidecar_of_git_itself():
    assert asset_of(".git.regen.json") == ".git"
    with pytest.raises(InvalidError):
        check_asset_path(asset_of(".git.regen.json"))


@pytest.mark.parametrize(
    "one, other",
    [("A/B.png", "a/b.PNG"), ("e\u0301.png", "\u00e9.png"), ("\u00c9", "e\u0301"), ("stra\u00dfe", "STRASSE"), ("\u212b", "\u00e5")],
)
def test_fold_joins(one, other):
    assert fold(one) == fold(other)


def test_fold_keeps_apart():
    assert len({fold(name) for name in ("a", "b", "a/b", "\u00e4", "ae", "\u0131", "i")}) == 7


@pytest.mark.parametrize(
    "name",
    ["con", "CON.png", "con .png", "nul", "COM1.exr", "lpt\u00b9", "conin$", "a:b", "a*", "a?", 'a"', "a|b", "<", "tab\t", "new\nline", "a.", "a ", "a\\b", "a/b"],
)
def test_windows_cannot(name):
    assert windows_problem(name)


@pytest.mark.parametrize("name", ["console", "com", "com10", "a.con", ".hidden", "sky.####.exr", "\u00e4 b", "lpt", "x.nul.png"])
def test_windows_can(name):
    assert windows_problem(name) is None


# ---------------------------------------------------------------- inputs

INPUTS = [
    # (sidecar, value, path from the root)
    ("sky.png.regen.json", "base.png", "base.png"),
    ("sky.png.regen.json", "plates/base.png", "plates/base.png"),
    ("shots/010/sky.png.regen.json", "base.png", "shots/010/base.png"),
    ("shots/010/sky.png.regen.json", "../020/base.png", "shots/020/base.png"),
    ("shots/010/sky.png.regen.json", "../../plates/base.png", "plates/base.png"),
    ("shots/010/sky.png.regen.json", "../sky.####.exr", "shots/sky.####.exr"),
    ("shots/010/sky.png.regen.json", "../odd\nname ~#.png", "shots/odd\nname ~#.png"),
    ("shots/010/sky.png.regen.json", "@plates/a/b.exr", "@plates/a/b.exr"),
    ("shots/sky.png.regen.json", "./@types/x.png", "shots/@types/x.png"),
    ("shots/sky.png.regen.json", "../.hidden/\u00e9.png", ".hidden/\u00e9.png"),
]


@pytest.mark.parametrize("sidecar, value, path", INPUTS)
def test_inputs_there_and_back(sidecar, value, path):
    assert resolve_input(sidecar, value) == path
    assert relative_input(sidecar, path) == value


@pytest.mark.parametrize("value", ["../x.png", "../../a/b.png"])
def test_an_input_does_not_leave_the_repository(value):
    check_input(value)
    with pytest.raises(InvalidError, match="leaves the repository"):
        resolve_input("sky.png.regen.json", value)


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "/", "./", "./x", "././x", "./../x", "a/./b", "a/../b", "../..", "a/", "/a", "a//b", "C:/x", "a\\b", "a\0", "@", "@x", "@/x", "@x/", "@x/..", "@-x/y", "@x/.git/y", "../.git/x", "x/GIT~1", "a\ud800", "x" * 256, "../" + "x" * 256],
)
def test_inputs_that_are_refused(value):
    with pytest.raises(InvalidError):
        check_input(value)
    with pytest.raises(InvalidError):
        resolve_input("a/b/c/d.png.regen.json", value)


@pytest.mark.parametrize("target", ["", "a/../b", ".git/config", "../x", "/etc/passwd", "a//b"])
def test_targets_that_no_input_may_be(target):
    with pytest.raises(InvalidError):
        relative_input("sky.png.regen.json", target)


def test_a_folder_that_looks_like_a_named_root():
    with pytest.raises(InvalidError, match="begins with @"):
        resolve_input("sky.png.regen.json", "./@types/x.png")


# ---------------------------------------------------------------- sequences


@pytest.mark.parametrize(
    "path, sequence, first",
    [
        ("sky.####.exr", Sequence("", "sky.", 4, ".exr"), "sky.0007.exr"),
        ("shots/010/sky_##", Sequence("shots/010", "sky_", 2, ""), "shots/010/sky_07"),
        ("###.png", Sequence("", "", 3, ".png"), "007.png"),
        ("a##b/c.##.png", Sequence("a##b", "c.", 2, ".png"), "a##b/c.07.png"),
        ("#1.####.exr", Sequence("", "#1.", 4, ".exr"), "#1.0007.exr"),
    ],
)
def test_sequences(path, sequence, first):
    assert parse_sequence(path) == sequence
    assert frame_path(sequence, 7) == first


@pytest.mark.parametrize("path", ["sky.exr", "a.##.##.exr", "a##/sky.exr", "take #1.wav", "C#.flac", "#hash.png", ""])
def test_not_a_sequence(path):
    assert parse_sequence(path) is None


def test_frame_numbers():
    sequence = parse_sequence("s.##.png")
    assert frame_path(sequence, 0) == "s.00.png"
    assert frame_path(sequence, 12345) == "s.12345.png"
    with pytest.raises(InvalidError):
        frame_path(sequence, -1)


@pytest.mark.parametrize(
    "text, ranges",
    [("1-48", ((1, 48),)), ("0", ((0, 0),)), ("0-1", ((0, 1),)), ("1-24,30,40-48", ((1, 24), (30, 30), (40, 48)))],
)
def test_frames(text, ranges):
    assert parse_frames(text) == ranges
    assert frames_text(number for first, last in ranges for number in range(first, last + 1)) == text


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1-1", "2-1", "1,1", "1,2", "3,1", "1-3,3-4", "1-3,4-5", "01", "1, 3", "1-3,", "1\n", "٣", "1-99999999999"])
def test_frames_that_are_refused(text):
    with pytest.raises(InvalidError):
        parse_frames(text)
