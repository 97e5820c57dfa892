"""The working set's file and its rules, without git."""

from __future__ import annotations

import json
import os

import pytest

from regen_vcs.engine.workset import Selector, describe, read_selectors, with_selectors, write_selectors
from regen_vcs.errors import InvalidError, NewerFormat

SHOTS, HERO, PLATES = Selector(True, "paths", ("shots/010/**",)), Selector(True, "tag", ("hero",)), Selector(True, "paths", ("plates",))
ALL = Selector(True, "paths", (":/",))
USES = Selector(True, "uses", ("film.blend",), ("a.png", "new\nline ü.png"), "ab" * 32)


def less(selector: Selector) -> Selector:
    return selector._replace(adds=False)


@pytest.mark.parametrize(("old", "new", "expected"), [
    (None, [SHOTS], None), (None, [less(SHOTS)], (ALL, less(SHOTS))), ((SHOTS,), [HERO], (SHOTS, HERO)), ((SHOTS,), [SHOTS], (SHOTS,)),
    ((SHOTS, HERO), [less(SHOTS)], (HERO, less(SHOTS))), ((SHOTS,), [less(SHOTS)], ()), ((HERO, less(SHOTS)), [SHOTS], (HERO, SHOTS)),
    ((SHOTS,), [ALL], None), ((), [less(SHOTS)], ()), ((ALL, less(SHOTS)), [SHOTS], (ALL, SHOTS)), (None, [less(ALL)], ()),
    ((SHOTS,), [less(ALL), PLATES], (PLATES,)), ((), [], ()), ((HERO, less(SHOTS), PLATES), [less(HERO)], (PLATES, less(HERO))),
])  # fmt: skip
def test_the_last_word_counts_and_no_word_stands_twice(old, new, expected):
    found = with_selectors(old, new)
    if old is None and new == [SHOTS]:
        assert found == (ALL, SHOTS) or found is None  # everything either way
    elif expected == (ALL, SHOTS):
        assert found in ((ALL, SHOTS), None)
    else:
        assert found == expected


@pytest.mark.parametrize("selectors", [(), (SHOTS,), (SHOTS, less(HERO), USES), (Selector(True, "paths", ("a", ":(exclude)a/b")),)])
def test_what_is_written_is_read(tmp_path, selectors):
    path = str(tmp_path / "regen" / "workset")
    write_selectors(path, selectors)
    assert read_selectors(path) == selectors
    text = (tmp_path / "regen" / "workset").read_text()
    assert len(text.splitlines()) == (len(selectors) + 5 if selectors else 4)  # a line each
    assert json.loads(text)["regen-workset"] == 1
    write_selectors(path, None)
    assert not os.path.exists(path) and read_selectors(path) is None
    write_selectors(path, None)


@pytest.mark.parametrize("garbage", [
    b"", b"{", b"[]", b"null", b"3", b'{"regen-workset": 1}', b'{"regen-workset": "x", "selectors": []}', b"\xff\0", b"[" * 100_000,
    b'{"regen-workset": 1, "selectors": [{"add": {"paths": ["../x"]}}]}', b'{"regen-workset": 1, "selectors": [{"drop": {"tag": "x"}}]}',
    b'{"regen-workset": 1, "selectors": [{"add": {"tag": ""}}]}', b'{"regen-workset": 1, "selectors": [{"add": {"tag": 3}}]}',
    b'{"regen-workset": 1, "selectors": [{"add": {}}]}', b'{"regen-workset": 1, "selectors": [{"add": {"paths": []}}]}',
    b'{"regen-workset": 1, "selectors": [3]}', b'{"regen-workset": 1, "selectors": {"add": 1}}', b'{"regen-workset": true, "selectors": []}',
    b'{"regen-workset": 1, "selectors": [{"add": {"uses": "x", "found": [1]}}]}', b'{"regen-workset": 0, "selectors": []}',
    b'{"regen-workset": 1, "selectors": [{"add": {"tag": "x"}, "remove": {"tag": "y"}}]}',
])  # fmt: skip
def test_garbage_is_invalid_and_says_how_to_go_on(tmp_path, garbage):
    (tmp_path / "workset").write_bytes(garbage)
    with pytest.raises(InvalidError) as caught:
        read_selectors(str(tmp_path / "workset"))
    assert "regen-vcs workset all" in caught.value.hint and not isinstance(caught.value, NewerFormat)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/etc/hostname", path), lambda path: os.symlink("gone", path)])
def test_what_is_no_file_is_invalid_and_never_waited_for(tmp_path, make):
    make(str(tmp_path / "workset"))
    with pytest.raises(InvalidError):
        read_selectors(str(tmp_path / "workset"))


def test_a_newer_one_is_left_alone(tmp_path):
    (tmp_path / "workset").write_text('{"regen-workset": 2}')
    with pytest.raises(NewerFormat):
        read_selectors(str(tmp_path / "workset"))


def test_in_words():
    assert [describe(each) for each in (SHOTS, less(HERO), USES)] == ["shots/010/**", "not tag hero", "what film.blend uses"]
