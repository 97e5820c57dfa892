"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regen_vcs.errors import UsageError
from regen_vcs.model.quantities import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("500ms", 0.5), ("30s", 30), ("1.5m", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), (" 2 w ", 1209600)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "30", "-1s", "1y", "s", "1e3s", "nan", "infs", "1.2.3s", "1s2", "9" * 400 + "d", "٣s"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1048576", 1 << 20), ("50GB", 50 * 10**9), ("20GiB", 20 << 30), ("512M", 512 << 20), ("1.5 kB", 1500),
     ("1kib", 1024), ("7b", 7), ("2TB", 2 * 10**12)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1XB", "GB", "1GiBB", "nan", "9" * 400, "1_000"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError):
        parse_size(text)


@given(st.integers(0, 10**20))
def test_a_size_survives_being_written(size):
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**9))
def test_a_duration_survives_being_written(milliseconds):
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


def test_the_written_form_is_short():
    assert [format_size(4 << 30), format_size(50 * 10**9), format_size(7)] == ["4GiB", "50GB", "7"]
    assert [format_duration(30.0), format_duration(30 * 86400.0), format_duration(0.5)] == ["30s", "30d", "500ms"]
