"""What changed since it was trusted is shown whole, and as it is."""

from __future__ import annotations

import time

import pytest

from regen_vcs.engine.trust import TrustItem
from regen_vcs.engine.trust_difference import difference
from regen_vcs.model.key import hash_bytes


def show(new: bytes, old: bytes | None = None, path: str = "tools/x.py") -> str:
    item = TrustItem("code", path, hash_bytes(new))
    return difference([item], lambda _: new, lambda kind, path: old)


def test_a_change():
    assert show(b"one\nTWO\nthree\n", b"one\ntwo\nthree\n") == (
        "--- trusted/tools/x.py\n+++ now/tools/x.py\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n"
    )


def test_a_new_file_is_shown_whole():
    assert show(b"one\ntwo\n") == "--- nothing trusted\n+++ now/tools/x.py\n@@ -0,0 +1,2 @@\n+one\n+two\n"


def test_what_did_not_change_shows_nothing():
    assert show(b"same\n", b"same\n") == ""


@pytest.mark.parametrize("new", [b"a\0b", b"\xff\xfe"])
def test_bytes_that_are_no_text_are_named(new):
    assert show(new, b"text") == f"tools/x.py: binary, {len(new)} bytes, blake3:{hash_bytes(new)}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rm -rf /\x1b[2K\x1b[1Gprint('hi')", r"rm -rf /\x1b[2K\x1b[1Gprint('hi')"),
        ("evil()\rharmless()", r"evil()\rharmless()"),
        ("a \u202e b", r"a \u202e b"),
        ("a\u200bb", r"a\u200bb"),
        ("a\u2028b", r"a\u2028b"),
        ("a\x9b2Jb", r"a\x9b2Jb"),
        ("\tgrün 漢", "\tgrün 漢"),
    ],
)
def test_nothing_hides_on_a_terminal(text, shown):
    assert show(f"{text}\n".encode()).splitlines()[-1] == f"+{shown}"


def test_a_path_cannot_hide_either():
    assert "\x1b" not in show(b"x\n", path="a\x1b[31m.py") and "\x1b" not in show(b"\0", path="a\x1b[31m.py")


def test_a_file_made_to_be_slow_is_shown_as_new():
    old = b"\n".join(b"a%d" % (n % 7) for n in range(30_000))
    new = b"\n".join(b"b%d" % (n % 7) for n in range(30_000))
    started = time.monotonic()
    shown = show(new, old)
    assert time.monotonic() - started < 10
    assert shown.startswith("--- too long to compare: all of it\n") and shown.count("\n+b") == 30_000
