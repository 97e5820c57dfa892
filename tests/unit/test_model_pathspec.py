"""Pathspecs: what git's own `ls-files` matches, over names and patterns that are hard on purpose."""

from __future__ import annotations

import itertools
import subprocess

import pytest

from regen_vcs.errors import UsageError
from regen_vcs.model.pathspec import matcher_of, parse_pathspec

NAMES = (
    "a.png", "b.png", "B.PNG", "shots/010/a.png", "shots/010/deep/b.png", "shots/020/a.png", "shots/[x]/c.png", "shots/x/c.png",
    "-dash.png", "ü/é.png", "sp ace/a b.png", "ab", "a]b", "a-b", "axb", "sky.####.exr", "plates", "010/z.png", "new\nline.png",
    "deep/shots/010/a.png", "shots/010x/a.png", "a*b.png", "back\\slash.png", ":colon.png",
)
PATTERNS = (
    "a.png", "*.png", "shots", "shots/", "shots/010", "shots/010/**", "shots/0?0", "shots/0?0/*", "shots/*/a.png", ":(glob)shots/*/a.png",
    ":(glob)shots/**/a.png", ":(glob)**/a.png", ":(glob)**", ":(glob)shots/**", ":(glob)*.png", ":(icase)b.png", ":(icase)SHOTS/*",
    ":(literal)shots/[x]", "shots/[x]", "shots/[x]/c.png", "shots/[!x]*", "a[]]b", "a[!]]b", "a[a-x]b", "a[x-a]b", "a[-]b", "a\\*b.png",
    ":/", ":(top)a.png", ":(glob)shots/***/a.png", ":(glob)sh**/a.png", "**", "*", "?", "a[", "a[[:alpha:]]b", "a[[:punct:]]b",
    "a[^x]b", "sp ace", "ü", "ü/*", "sky.####.exr", "new*", "*\\", "[[:nonsense:]]*", ":(glob,icase)**/B.png", "./a.png",
    "shots//010", "shots/./010", "shots/x/../010", "-dash.png", "*/a.png", "shots/010/deep/..", "back\\\\slash.png", "[\\a]b", "a[\\]]b",
    ":(literal)a*b.png", ":(literal,icase)SHOTS", "shots/010/*/", "a[b-]b", "[a-]*", ":(top):colon.png",
)
SETS = (
    ("shots/**", ":(exclude)shots/010"), ("shots/**", ":!*.png"), (":^shots",), ("*.png", ":!/shots", ":^ü"), ("a.png", ":(exclude)a.png"),
    (":(exclude,glob)shots/*/a.png",), ("ab", "shots", ":(exclude,icase)SHOTS/020"),
)


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    root = tmp_path_factory.mktemp("names")
    subprocess.run(["git", "init", "-q", root], check=True)
    blob = subprocess.run(["git", "-C", root, "hash-object", "-w", "--stdin"], input=b"", capture_output=True, check=True).stdout.decode().strip()
    lines = "".join(f"100644 {blob}\t{name}\0" for name in NAMES)
    subprocess.run(["git", "-C", root, "update-index", "-z", "--index-info"], input=lines.encode(), check=True)
    for folder in ("shots/010", "shots/[x]"):
        (root / folder).mkdir(parents=True)

    def list_files(folder: str, *specs: str) -> set[str]:
        argv = ["git", "-C", root / folder, "ls-files", "--full-name", "-z", "--", *specs]
        done = subprocess.run(argv, capture_output=True, check=True)
        return set(done.stdout.decode().split("\0")[:-1])

    return list_files


def found(folder: str, *specs: str) -> set[str]:
    test = matcher_of(parse_pathspec(each, folder) for each in specs)
    return {name for name in NAMES if test(name)}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_git_matches(listing, pattern):
    assert found("", pattern) == listing("", pattern)


@pytest.mark.parametrize("specs", SETS, ids=" ".join)
def test_several_and_excluded_ones(listing, specs):
    assert found("", *specs) == listing("", *specs)


@pytest.mark.parametrize("folder", ["shots", "shots/010", "shots/[x]"])
@pytest.mark.parametrize("pattern", ["*.png", "a.png", ".", "../", "deep", ":/a.png", ":(top)shots", "../../a.png", "../*/a.png", "c.png", ":!c.png"])
def test_from_a_folder(listing, folder, pattern):
    try:
        expected = listing(folder, pattern)
    except subprocess.CalledProcessError:
        with pytest.raises(UsageError):
            found(folder, pattern)
    else:
        if pattern == ":!c.png":
            expected = listing("", ":/", ":!:(top)x") - listing(folder, "c.png")  # git adds the folder itself, we the root
        assert found(folder, pattern) == expected


@pytest.mark.parametrize("pattern", [*PATTERNS, ":!x", ":(exclude,icase)y/*"])
@pytest.mark.parametrize("folder", ["", "shots", "shots/[x]"])
def test_its_text_at_the_root_is_itself(pattern, folder):
    try:
        spec = parse_pathspec(pattern, folder)
    except UsageError:
        return
    assert parse_pathspec(spec.text, "") == spec


def test_a_pattern_from_a_folder_with_wildcards_in_its_name_is_git_s_own_text(listing):
    spec = parse_pathspec("*.png", "shots/[x]")
    assert listing("", spec.text) == {"shots/[x]/c.png"} == found("", spec.text)


@pytest.mark.parametrize("text", ["", ":(attr:x)a", ":(top", ":(glob,literal)x", "../out", "a\0b", ":(prefix:1x)a", ":(prefix:3)../x", ":x"])
def test_refused(text):
    with pytest.raises(UsageError):
        parse_pathspec(text, "")


def test_a_sidecar_stands_for_its_asset_and_a_pattern_for_a_folder_that_is_one():
    assert matcher_of([parse_pathspec("shots/a.png.regen.json", "")])("shots/a.png")
    assert matcher_of([parse_pathspec("*.regen.json", "")])("shots/a.png")
    assert matcher_of([parse_pathspec("caches/sim/**", "")])("caches/sim")
    assert not matcher_of([parse_pathspec("caches/sim/**", "")])("caches/simulation")


def test_no_pattern_takes_for_ever():
    test = matcher_of([parse_pathspec("*a" * 12 + "*b", "")])
    assert not any(test(name) for name in itertools.repeat("a" * 40, 3))
