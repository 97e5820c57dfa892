"""The files a .blend names: which asset each is, and how to mend those that lead nowhere."""

from __future__ import annotations

import time

import pytest
from addon_parts.references import (
    BROKEN,
    MATCHED,
    MISSING,
    OUTSIDE,
    PLAIN,
    Asset,
    Catalogue,
    Use,
    absolute_of,
    assets_used,
    match_uses,
    relative_to_blend,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st

ROOT = "/films/ein film"
ASSETS = [
    Asset("shots/010/sky.png", "h1"), Asset("plates/bg.####.exr", "h2"), Asset("textures/floor.####.png", "h3"), Asset("sets/wood", "h4"),
    Asset("audio/rain.wav", "h5"), Asset("a/twin.png", "h6"), Asset("b/twin.png", "h7"),
]  # fmt: skip


def find(path, *, on_disk=(), folder=ROOT + "/shots/010", hash_="", root=ROOT, assets=ASSETS):
    (finding,) = match_uses([Use("Image", path, folder, hash_)], Catalogue(assets), root=root, exists=lambda absolute: absolute in on_disk)
    return finding


@pytest.mark.parametrize(
    ("path", "asset"),
    [
        ("//sky.png", "shots/010/sky.png"), ("//../../shots/010/sky.png", "shots/010/sky.png"), ("//..\\..\\shots\\010\\sky.png", "shots/010/sky.png"),
        (ROOT + "/shots/010/sky.png", "shots/010/sky.png"), ("//../../plates/bg.0037.exr", "plates/bg.####.exr"), ("//../../textures/floor.<UDIM>.png", "textures/floor.####.png"),
        ("//../../textures/floor.1002.png", "textures/floor.####.png"), ("//../../sets/wood/oak/a.png", "sets/wood"), ("sky.png", "shots/010/sky.png"), ("//SKY.png", "shots/010/sky.png"),
    ],
)  # fmt: skip
def test_matched_or_missing(path, asset):
    assert (find(path).status, find(path).asset) == (MISSING, asset)
    absolute = absolute_of(path, ROOT + "/shots/010").replace("<UDIM>", "1001")
    assert find(path, on_disk={absolute}).status == MATCHED


@pytest.mark.parametrize("path", ["//../../plates/bg.37.exr", "//../../plates/bg.exr"])
def test_fewer_digits_are_another_file(path):
    assert find(path).status == BROKEN


def test_files_that_are_no_assets():
    assert find("//model.png", on_disk={ROOT + "/shots/010/model.png"}).status == PLAIN
    assert find("/usr/share/x.png", on_disk={"/usr/share/x.png"}).status == OUTSIDE
    assert find("//../../../other/x.png", on_disk={"/films/other/x.png"}).status == OUTSIDE


def test_repair_by_hash_wherever_it_went():
    finding = find("//old name.png", hash_="h1")
    assert (finding.status, finding.asset, finding.repair) == (BROKEN, "shots/010/sky.png", ROOT + "/shots/010/sky.png")


def test_repair_by_a_name_that_is_the_only_one():
    assert find("//../gone/rain.wav").repair == ROOT + "/audio/rain.wav"
    assert find("C:\\Users\\ada\\film\\audio\\rain.wav").repair == ROOT + "/audio/rain.wav"
    finding = find("//../gone/twin.png")
    assert (finding.status, finding.repair) == (BROKEN, "") and "2 assets" in finding.reason
    assert find("//../gone/nothing.png").reason == "no asset bears this name"


def test_the_hash_decides_between_two_of_a_name():
    assert find("//../gone/twin.png", hash_="h7").repair == ROOT + "/b/twin.png"
    same = [Asset("x/first.png", "h"), Asset("y/twin.png", "h")]
    assert find("//../gone/twin.png", hash_="h", assets=same).repair == ROOT + "/y/twin.png"


def test_a_sequence_is_repaired_at_its_frame():
    assert find("//../old/bg.0012.exr").repair == ROOT + "/plates/bg.0012.exr"
    assert find("//../old/floor.<UDIM>.png").repair == ROOT + "/textures/floor.<UDIM>.png"


def test_digits_before_the_frame():
    assert find("//take20001.png", folder=ROOT, assets=[Asset("take2####.png")]).asset == "take2####.png"


def test_two_assets_that_differ_in_case_are_not_guessed():
    twins = [Asset("a/Sky.png"), Asset("a/sky.PNG")]
    assert find("//a/SKY.png", folder=ROOT, assets=twins).status == BROKEN


def test_windows():
    found = find("D:\\films\\x\\shots\\sky.png", root="D:/films/x", assets=[Asset("shots/sky.png")])
    assert (found.status, found.asset) == (MISSING, "shots/sky.png")
    assert find("d:\\FILMS\\x\\shots\\sky.png", root="D:/films/x", assets=[Asset("shots/sky.png")]).asset == "shots/sky.png"


@pytest.mark.parametrize(
    ("absolute", "folder", "relative"),
    [
        ("/p/media/a.png", "/p/shots", "//../media/a.png"), ("/p/a.png", "/p", "//a.png"), ("C:\\p\\a.png", "C:\\p\\shots", "//../a.png"),
        ("D:\\a.png", "C:\\p", None), ("c:/p/a b.png", "C:/p", "//a b.png"),
    ],
)  # fmt: skip
def test_relative(absolute, folder, relative):
    assert relative_to_blend(absolute, folder) == relative


def test_what_the_blend_uses():
    uses = [Use("i", "//sky.png", ROOT + "/shots/010"), Use("s", "//../../audio/rain.wav", ROOT + "/shots/010"), Use("s", "//nothing.wav", ROOT), Use("i", "//sky.png", ROOT + "/shots/010")]
    assert assets_used(match_uses(uses, Catalogue(ASSETS), root=ROOT, exists=lambda _: False)) == ["audio/rain.wav", "shots/010/sky.png"]


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=10))
def test_any_path_of_a_hostile_file_gives_a_finding_inside_the_project(path, folder, hash_):
    finding = find(path, folder=folder, hash_=hash_)
    assert finding.status in (MATCHED, MISSING, BROKEN, PLAIN, OUTSIDE)
    if finding.repair:
        assert finding.repair.startswith(ROOT + "/") and ".." not in finding.repair.split("/")


def test_many():
    assets = [Asset(f"shots/{n:04d}/sky.####.png", f"h{n}") for n in range(3000)]
    uses = [Use("i", f"//{n:04d}/sky.0001.png", ROOT + "/shots") for n in range(3000)]
    before = time.process_time()
    found = match_uses(uses, Catalogue(assets), root=ROOT, exists=lambda _: True)
    assert {each.status for each in found} == {MATCHED} and time.process_time() - before < 2


def test_a_number_in_a_name_is_a_part_of_it():
    """A photograph's is no frame's: the next picture of the camera is another."""
    catalogue = Catalogue([Asset("photos/IMG_4712.png"), Asset("plates/rain.####.exr")])
    found = match_uses([Use("Image a", "//old/IMG_4711.png", "/p"), Use("Image b", "//old/rain.0007.exr", "/p"), Use("Image c", "//old/img_4712.PNG", "/p")], catalogue, root="/p", exists=lambda path: False)
    assert [finding.asset for finding in found] == ["", "plates/rain.####.exr", "photos/IMG_4712.png"]
