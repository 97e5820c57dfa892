"""What a snapshot is refused for, said before it is taken; and whom git takes for the one who takes it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from addon_parts import snapshot_words, standing
from hypothesis import given
from hypothesis import strategies as st


def problem(path: str, field: str | None, reason: str, severity: str = "error") -> dict:
    return {"path": f"{path}.regen.json", "field": field, "reason": reason, "mend": None, "severity": severity}


def test_what_is_outdated_and_what_cannot_be_read_are_told_apart():
    said = snapshot_words.refusal({"problems": [
        problem("sky.png", "output.key", "stale: the accepted output was made from another recipe"), problem("bad.png", None, "not JSON: line 2"),
        problem("new.png", "params.scale", "a default", "warning"),
    ]})  # fmt: skip
    assert said.text == "No snapshot was taken. sky.png is outdated; bad.png: not JSON: line 2"
    assert "up to date" in said.hint and "mend" in said.hint


def test_of_many_a_few_are_named():
    said = snapshot_words.refusal({"problems": [problem(f"{number}.png", None, "is empty") for number in range(12)]})
    assert "0.png: is empty; 1.png: is empty; 2.png: is empty; and 9 more" in said.text


@pytest.mark.parametrize("document", [None, {}, {"problems": []}, {"problems": [problem("a.png", None, "x", "warning")]}])
def test_nothing_is_refused(document):
    assert snapshot_words.refusal(document) is None


def test_before_a_snapshot_rows_are_named():
    rows = [SimpleNamespace(name=name, state=state) for name, state in (("a.png", "invalid"), ("b.png", "stale"), ("c.png", "stale"), ("d.png", "ok"))]
    first, second, _third = snapshot_words.warning(rows)
    assert "a.png" in first and "b.png, c.png are outdated" in second and "d.png" not in first + second
    assert not snapshot_words.warning(rows[3:])


_JSON = st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
_PROBLEM = st.fixed_dictionaries({"severity": st.just("error"), "path": _JSON, "field": _JSON, "reason": _JSON})


@given(_JSON | st.fixed_dictionaries({"problems": _JSON | st.lists(_PROBLEM | _JSON)}))
def test_any_answer_is_read(document):
    snapshot_words.refusal(document)


def lacks(told: dict | None, **environ: str) -> bool:
    bridge = SimpleNamespace(environ=environ)
    return standing.lacks_who(SimpleNamespace(documents={} if told is None else {"who": told}, bridge=bridge))


def test_who_is_known_by_any_of_gits_ways():
    assert lacks({}) and lacks({"user.name": "Ada"}) and lacks({"author.name": "Ada", "author.email": "ada@example.org"})
    assert not lacks(None), "not answered yet: git will say"
    assert not lacks({"user.name": "Ada", "user.email": "ada@example.org"})
    assert not lacks({"user.name": "Ada"}, EMAIL="ada@example.org")
    assert not lacks({"user.email": "a@example.org"}, GIT_AUTHOR_NAME="Ada", GIT_COMMITTER_NAME="Ada")


@pytest.mark.parametrize(
    ("name", "email", "is_right"),
    [
        ("Jürgen Groß", "jg@example.org", True), ("", "a@example.org", False), ("...", "a@example.org", False), ("Ada", "", False), ("Ada", "ada", False),
        ("Ada <x>", "a@example.org", False), ("Ada\nb", "a@example.org", False), ("Ada", "a b@example.org", False), ("Ada", "a@b@example.org", False),
    ],
)  # fmt: skip
def test_a_name_and_an_address(name, email, is_right):
    assert (standing.wrong_with_who(name, email) == "") == is_right
