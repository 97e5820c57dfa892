"""The asset list: odd answers, filters, orders, words; and quick with 5,000 assets."""

from __future__ import annotations

import random
import re
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from addon_parts import listing
from addon_parts.listing import STATES, arrange, filter_rows, human_duration, human_size, rows_of, sort_rows
from hypothesis import given
from hypothesis import strategies as st

from regen_vcs.model import quantities

DESIGN_STATES = ["ok", "missing", "stale", "pending", "proposed", "modified", "drifted", "queued", "running", "failed", "skipped", "unmanaged", "invalid", "orphan"]


def asset(path, state="ok", **fields):
    return {"path": path, "state": state, "generator": "texture", "size": 1000, "seconds": 2.0, "can_regenerate": True, "models": {}, "inputs": {}, "tags": [], **fields}


ROWS = rows_of({"assets": [
    asset("shots/020/sky.png", "missing", size=None, seconds=40),
    asset("shots/010/Wald.png", tags=["hero"], models={"checkpoint": {"name": "sd_xl", "version": "1.0"}}, generator="comfyui:txt2img", size=9),
    asset("audio/rain.wav", "stale", generator="tone", seconds=None),
]})  # fmt: skip


def paths(indices):
    return [ROWS[index].path for index in indices]


def test_a_row():
    row = ROWS[1]
    assert (row.path, row.name, row.models, row.tags, row.size, row.can_regenerate) == ("shots/010/Wald.png", "Wald.png", "sd_xl 1.0", ("hero",), 9, True)


@pytest.mark.parametrize("document", [None, [], 3, "x", {}, {"assets": None}, {"assets": {"a": 1}}, {"assets": [None, 1, "x", [], {}, {"path": 4}, {"path": ""}]}])
def test_odd_answers_have_no_rows(document):
    assert rows_of(document) == []


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=8), c, max_size=3), max_leaves=8)


@given(st.lists(st.dictionaries(st.sampled_from(["path", "state", "generator", "models", "tags", "size", "seconds", "inputs", "review", "reason"]), JSON), max_size=5))
def test_entries_of_odd_shapes_can_still_be_listed(entries):
    for index, entry in enumerate(entries):
        entry["path"] = f"a{index}.png"
    rows = rows_of({"assets": entries})
    assert len(rows) == len(entries)
    for by in listing.SORTS:
        arrange(rows, "a", (), by, descending=True)
    for row in rows:
        assert isinstance(human_size(row.size) + human_duration(row.seconds) + row.models, str)
    listing.describe_counts(rows)


def test_numbers_that_are_none():
    (row,) = rows_of({"assets": [asset("a", size=-1, seconds=float("inf"), can_regenerate="yes")]})
    assert (row.size, row.seconds, row.can_regenerate) == (None, None, False)


@pytest.mark.parametrize(
    ("text", "states", "found"),
    [
        ("", (), {0, 1, 2}), ("shots", (), {0, 1}), ("WALD", (), {1}), ("hero", (), {1}), ("sd_xl", (), {1}), ("shots sky", (), {0}),
        ("-shots", (), {2}), ("-", (), set()), ("", {"missing", "stale"}, {0, 2}), ("shots", {"stale"}, set()), ("comfyui:", (), {1}),
    ],
)  # fmt: skip
def test_filter(text, states, found):
    assert set(filter_rows(ROWS, text, states)) == found


def test_sort():
    assert paths(sort_rows(ROWS)) == ["audio/rain.wav", "shots/010/Wald.png", "shots/020/sky.png"]
    assert paths(sort_rows(ROWS, "state"))[0] == "shots/020/sky.png", "what is missing asks for attention"
    assert paths(sort_rows(ROWS, "size")) == ["shots/010/Wald.png", "audio/rain.wav", "shots/020/sky.png"]
    assert paths(sort_rows(ROWS, "size", descending=True)) == ["audio/rain.wav", "shots/010/Wald.png", "shots/020/sky.png"], "unknown stays last"
    assert paths(sort_rows(ROWS, "time")) == ["shots/010/Wald.png", "shots/020/sky.png", "audio/rain.wav"]
    with pytest.raises(ValueError):
        sort_rows(ROWS, "colour")


def test_arrange_is_what_a_list_of_blender_wants():
    shown, places = arrange(ROWS, "shots", (), "path")
    assert shown == [True, True, False]
    assert places == [2, 1, 0] and sorted(places) == [0, 1, 2]


def test_every_state_has_an_icon_and_a_word():
    assert set(STATES) == set(DESIGN_STATES)
    assert len({state.word for state in STATES.values()}) == len(STATES)
    assert listing.state_of("from the future").word == "Unknown"


def test_counts():
    assert listing.describe_counts(ROWS) == "1 missing, 1 outdated, 1 ready"


@pytest.mark.parametrize("size", [0, 9, 999, 1000, 9949, 9951, 117228, 3_400_000, 10**12, 10**18])
def test_sizes_are_said_as_the_command_line_says_them(size):
    assert human_size(size) == quantities.human_size(size)


@pytest.mark.parametrize("seconds", [0, 0.407, 9.94, 9.96, 59.6, 95, 3600, 7300, 86400.5])
def test_durations_are_said_as_the_command_line_says_them(seconds):
    assert human_duration(seconds) == quantities.human_duration(seconds)


def test_five_thousand_assets_are_filtered_within_a_frame():
    rng = random.Random(1)
    rows = rows_of({"assets": [asset(f"shots/{n % 90:03d}/plate_{rng.random()}.png", rng.choice(DESIGN_STATES), size=rng.randrange(10**9)) for n in range(5000)]})
    taken = []
    for _ in range(5):
        before = time.process_time()
        arrange(rows, "plate 01", {"ok", "missing", "stale"}, "state", descending=True)
        taken.append(time.process_time() - before)
    # Twenty milliseconds of a processor that has nothing else to do: what is quadratic takes seconds.
    assert min(taken) < 0.25, taken


def test_the_states_are_those_of_the_program():
    said = (Path(listing.__file__).parents[1] / "regen_vcs").rglob("*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in said)
    assert not [state for state in STATES if not re.search(rf'"{state}"', text)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-23T11:46:00Z", "13:46"), ("2026-11-23T23:30:00Z", "24 Nov"), ("2026-11-22T22:30:00Z", "00:30"), ("2026-11-01T10:00:00Z", "1 Nov"),
        ("2025-11-01T10:00:00Z", "Nov 2025"), ("2026-11-23T11:46:00.5+02:00", "11:46"), ("2026-11-23T11:46:00", "13:46"), ("9999-12-31T23:59:59Z", ""),
        ("0001-01-01T00:00:00Z", "Jan 1"), ("", ""), ("yesterday", ""),
    ],
)  # fmt: skip
def test_a_moment_in_few_words(text, said):
    assert listing.human_time(text, datetime(2026, 11, 23, 14, 0, tzinfo=timezone(timedelta(hours=2)))) == said


def test_names_that_two_assets_have_come_with_their_folder():
    rows = rows_of({"assets": [{"path": path, "state": "ok"} for path in ("a/010/comp.png", "a/020/comp.png", "sky.png", "b/fog.png", "comp.png")]})
    assert list(listing.short_names(rows).values()) == ["010/comp.png", "020/comp.png", "sky.png", "fog.png", "comp.png"]
