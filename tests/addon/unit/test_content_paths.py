"""Names that every system takes, and paths that stay where they belong."""

from __future__ import annotations

import ntpath
import os
import posixpath
import unicodedata

import pytest
from addon_parts.content_paths import NAME_BYTES, RegenerativePathManager, sanitize_filename
from hypothesis import given
from hypothesis import strategies as st

from regen_vcs.model.paths import check_asset_path

manager = RegenerativePathManager


@pytest.mark.parametrize("name", ["sky", "Der große Wald", "a b", "shot_010-v2.final", "空", "naïve café", "x" * NAME_BYTES])
def test_a_fine_name_stays(name):
    assert sanitize_filename(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("", "asset"), (".", "asset"), ("..", "asset"), ("...", "asset"), ("   ", "asset"), ("/", "asset"), ("\u200b", "asset"),
        ("../../etc/passwd", "_.._etc_passwd"), ("a/b\\c", "a_b_c"), ("C:evil", "C_evil"), ("-rf", "rf"), (".git", "_git"), (".g\u200cit", "_git"), ("GIT~1", "_GIT~1"),
        ("con", "_con"), ("CON.tar.gz", "_CON.tar.gz"), ("com1", "_com1"), ("LPT²", "_LPT²"), ("nul .txt", "_nul .txt"), ("console", "console"),
        ("a\0b", "ab"), ("a\nb", "a_b"), ("name. ", "name"), ("what?*", "what__"), ("x.regen.json", "x_regen_json"), ("regen.toml", "_regen.toml"),
        (".gitignore", "_gitignore"), ("sky.####", "sky.____"), ("\ud800half", "half"), ("a\u202egnp.exe", "agnp.exe"),
    ],
)  # fmt: skip
def test_others_are_made_safe(name, safe):
    assert sanitize_filename(name) == safe


def test_long_names_are_cut_between_characters():
    cut = sanitize_filename("ä" * 300)
    assert len(cut.encode()) <= NAME_BYTES and set(cut) == {"ä"}


@given(st.text(max_size=200))
def test_any_name_becomes_one_that_assets_may_have(name):
    safe = sanitize_filename(name)
    assert safe == sanitize_filename(safe), "cleaning twice changes nothing"
    assert safe == unicodedata.normalize("NFC", safe)
    assert len(safe.encode("utf-8")) <= NAME_BYTES + 1
    assert not set(safe) & set('<>:"/\\|?*\0') and safe == safe.strip(" .") and not safe.startswith("-")
    check_asset_path(f"film_generated/{safe}/{safe}.png")


def test_content_folder():
    assert manager.get_project_content_dir("/p/my film.blend") == "/p/my film_generated"
    assert manager.get_project_content_dir(r"C:\p\film.blend", flavour=ntpath) == r"C:\p\film_generated"
    assert manager.get_project_content_dir("/p/film.v2.blend") == "/p/film.v2_generated"
    for unsaved in ("", "/p/", "\0.blend"):
        with pytest.raises(ValueError):
            manager.get_project_content_dir(unsaved)


def test_relative_paths():
    assert manager.make_relative_path("/p/media/a.png", "/p/shots/x.blend") == "../media/a.png"
    assert manager.make_relative_path(r"C:\p\media\a.png", r"C:\p\x.blend", flavour=ntpath) == "media/a.png"
    assert manager.make_relative_path(r"D:\a.png", r"C:\p\x.blend", flavour=ntpath) == r"D:\a.png", "no way leads to another drive"
    with pytest.raises(ValueError):
        manager.make_relative_path("", "/p/x.blend")


def test_resolving():
    resolve = manager.resolve_path
    assert resolve("media/a.png", "/p/x.blend") == "/p/media/a.png"
    assert resolve("//media/a.png", "/p/x.blend") == "/p/media/a.png"
    assert resolve("//..\\media\\a.png", "/p/shots/x.blend") == "/p/media/a.png", "written by Windows"
    assert resolve("/abs/a.png", "/p/x.blend") == "/abs/a.png"
    assert resolve("../a b.png", "/p/ä/x.blend") == "/p/a b.png"
    assert resolve(r"//media\a.png", r"C:\p\x.blend", flavour=ntpath) == r"C:\p\media\a.png"
    for path, blend in (("a.png", ""), ("", "/p/x.blend"), ("a\0", "/p/x.blend")):
        with pytest.raises(ValueError):
            resolve(path, blend)


@given(st.lists(st.sampled_from(["a", "b ä", "..", "c.png"]), min_size=1, max_size=5))
def test_there_and_back(parts):
    absolute = posixpath.normpath("/p/q/r/" + "/".join(parts))
    blend = "/p/q/x.blend"
    assert manager.resolve_path(manager.make_relative_path(absolute, blend), blend) == absolute


def test_folders_by_type(tmp_path):
    made = manager.organize_by_type(str(tmp_path / "film_generated"), "Image", "Sky: dawn")
    assert made == str(tmp_path / "film_generated" / "image" / "Sky_ dawn") and os.path.isdir(made)
    assert manager.organize_by_type(str(tmp_path / "film_generated"), "Image", "Sky: dawn") == made
    escaping = manager.organize_by_type(str(tmp_path / "film_generated"), "../../..", "../../x")
    assert escaping.startswith(str(tmp_path / "film_generated") + os.sep)


def test_a_link_leads_nowhere_else(tmp_path):
    content, elsewhere = tmp_path / "film_generated", tmp_path / "elsewhere"
    content.mkdir()
    elsewhere.mkdir()
    (content / "image").symlink_to(elsewhere)
    with pytest.raises(ValueError, match="link"):
        manager.organize_by_type(str(content), "image", "sky")
    assert list(elsewhere.iterdir()) == []
