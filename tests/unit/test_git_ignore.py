"""As few patterns as are safe."""

from __future__ import annotations

import pytest

from regen_vcs.git.ignore import ignore_patterns


def patterns(*paths, folders=None):
    listing = folders or {}
    return ignore_patterns(paths, exists=lambda folder: listing.get(folder, []))


def test_one_asset_has_its_own_line():
    assert patterns("a.png", "shots/010/sky.png") == ["/a.png", "/shots/010/sky.png"]


def test_a_folder_where_every_file_of_the_suffix_is_ours():
    folders = {"shots/010": ["a.png", "b.png", "a.png.regen.json", "notes.txt"]}
    assert patterns("shots/010/a.png", "shots/010/b.png", folders=folders) == ["/shots/010/*.png"]


@pytest.mark.parametrize("stranger", ["logo.png", "LOGO.PNG", ".png"])
def test_a_stranger_in_the_folder_keeps_the_lines_exact(stranger):
    assert patterns("a.png", "b.png", folders={"": ["a.png", "b.png", stranger]}) == ["/a.png", "/b.png"]


def test_assets_that_are_not_on_disk_count_too():
    assert patterns("s/a.png", "s/b.png", folders={"s": []}) == ["/s/*.png"]


def test_no_pattern_may_cover_sidecars():
    assert patterns("a.json", "b.json", "c.JSON", "d.JSON") == ["/a.json", "/b.json", "/c.JSON", "/d.JSON"]


def test_files_without_suffix():
    assert patterns("a", "b", ".hidden", ".other") == ["/.hidden", "/.other", "/a", "/b"]


def test_folders_and_sequences():
    found = patterns("shots/sky/", "shots/sky.####.exr", "shots/x #1.wav")
    longer = [f"/shots/sky.[1-9]{'[0-9]' * count}.exr" for count in (4, 5, 6)]  # frame 10000 and on
    assert found == ["/shots/sky.[0-9][0-9][0-9][0-9].exr", *longer, "/shots/sky/", "/shots/x #1.wav"]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("!a.png", "/!a.png"),
        ("#a.png", "/#a.png"),
        ("a[1]*?.png", "/a\\[1]\\*\\?.png"),
        ("back\\slash", "/back\\\\slash"),
        ("two  ", "/two\\ \\ "),
        (" lead and  mid.png", "/ lead and  mid.png"),
        ("folder /a.png", "/folder /a.png"),
        ("ä\udcff.png", "/ä\udcff.png"),
        ("a\nb.png", "/a[\t-\v]b.png"),
        ("dir\n/c.png", "/dir[\t-\v]/c.png"),
        ("ends\r", "/ends[\r]"),
    ],
)
def test_escapes(path, pattern):
    assert patterns(path) == [pattern]


def test_a_folder_is_listed_only_where_it_may_save_lines():
    asked = []
    ignore_patterns(["a/x.png", "b/x.png", "b/y.png"], exists=lambda folder: asked.append(folder) or [])
    assert asked == ["b"]


def test_the_same_asset_twice():
    assert patterns("a.png", "a.png") == ["/a.png"]
