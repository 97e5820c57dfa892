"""Managed blocks: every other byte of a file stays, and taking the block out gives the file back."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regen_vcs.errors import InvalidError
from regen_vcs.git.managed_block import block_lines, drop_block, labels_in, put_block, read_file, replace_file

TEXTS = [
    None, b"", b"\n", b"a", b"a\n", b"a\n\n\n", b"a\r\nb\r\n", b"a\r\nb", b"\xff\n", b"# comment\n*.o\n",
    b"\xef\xbb\xbfa\n", b"mixed\r\nends\n", b"# <<< regen-vcs\n", b"# >>> regen-vcs (managed block; edit outside it)\nno end\n",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_in_and_out_again(text):
    once = put_block(text, ["/a", "/b"])
    assert once.startswith(text or b"")
    assert block_lines(once) == ["/a", "/b"]
    assert drop_block(once) == text
    twice = put_block(once, ["/c"])
    assert block_lines(twice) == ["/c"]
    assert put_block(twice, ["/a", "/b"]) == once
    assert drop_block(twice) == text
    assert put_block(once, []) == text


@given(st.one_of(st.none(), st.binary(max_size=60), st.text("ab\r\n#<> ", max_size=40).map(str.encode)))
def test_any_text_comes_back(text):
    assert drop_block(put_block(text, ["/x"])) == text


def test_the_look_of_it():
    assert put_block(b"*.o\n", ["/a.png"]) == (
        b"*.o\n# >>> regen-vcs (managed block; edit outside it)\n/a.png\n# <<< regen-vcs\n"
    )


def test_line_ends_of_the_file():
    block = put_block(b"a\r\n", ["/x"])
    assert block.count(b"\r\n") == block.count(b"\n") == 4


def test_what_a_hand_added_after_the_block_stays():
    for text in (None, b"", b"a\n"):
        added = put_block(text, ["/x"]).removesuffix(b"\n") + b"\nlate\n"
        assert drop_block(added) == (text or b"") + b"late\n"
        assert put_block(added, ["/y"]) == added.replace(b"/x", b"/y")


def test_blocks_of_several_worktrees():
    text = put_block(put_block(b"a", ["/x"]), ["/y"], "wt 2")
    assert labels_in(text) == ["", "wt 2"]
    assert block_lines(text) == ["/x"]
    assert block_lines(text, "wt 2") == ["/y"]
    assert drop_block(drop_block(text, "wt 2")) == b"a"
    assert drop_block(text, "wt") == text


def test_replace_file(tmp_path):
    path = str(tmp_path / "folder/file")
    assert replace_file(path, b"1") is True
    os.chmod(path, 0o600)
    assert replace_file(path, b"1") is False
    assert replace_file(path, b"2") is True
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert read_file(path) == b"2"
    assert replace_file(path, None) is True
    assert replace_file(path, None) is False
    assert read_file(path) is None
    assert os.listdir(tmp_path / "folder") == []


def test_a_symlink_is_not_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(InvalidError):
        replace_file(str(tmp_path / "link"), b"1")
