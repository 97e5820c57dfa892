"""The counts of what the cache has saved: cheap, shared, and nothing that a torn line could spoil."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from regen_vcs.engine import tally
from regen_vcs.engine.tally import Tally, totals


def test_nothing_counted_writes_nothing(tmp_path):
    Tally(str(tmp_path)).flush()
    assert os.listdir(tmp_path) == []
    found = totals(str(tmp_path))
    assert (found.hit_rate, found.success_rate, found.since, found.seconds_saved({})) == (None, None, None, 0.0)


def test_one_line_a_command_adds_up(tmp_path):
    for _ in range(3):
        counts = Tally(str(tmp_path))
        for _ in range(10):
            counts.add("hits", "texture", 1, 1000)
        counts.add("made", "texture", 1, 2.0)
        counts.add("missed", "texture")
        counts.add("failed", "command:x")
        counts.flush()
        counts.flush()
    with open(tmp_path / "tally") as file:
        assert len([line for line in file.read().split("\n") if line]) == 3
    found = totals(str(tmp_path))
    assert (found.hit_count, found.missed_count, found.made_count, found.failed_count) == (30, 3, 3, 3)
    assert found.hits["texture"] == [30, 30_000]
    assert found.hit_rate == pytest.approx(30 / 33) and found.success_rate == 0.5
    assert found.seconds_saved({}) == pytest.approx(60.0), "each hit saved what a run took here"


def test_what_was_never_made_here_is_priced_by_records(tmp_path):
    counts = Tally(str(tmp_path))
    counts.add("hits", "diffusers", 2, 5)
    counts.add("reused", "blender", 1, 90.0)
    counts.flush()
    assert totals(str(tmp_path)).seconds_saved({"diffusers": 30.0}) == pytest.approx(150.0)


def test_a_worker_does_not_write_all_the_time(tmp_path):
    counts = Tally(str(tmp_path))
    for _ in range(5):
        counts.add("made", "texture", 1, 1.0)
        counts.flush(now=False)
    counts.flush()
    with open(tmp_path / "tally") as file:
        assert len([line for line in file.read().split("\n") if line]) == 2
    assert totals(str(tmp_path)).made_count == 5


@pytest.mark.parametrize("line", [
    b'{"at": 1, "hits": {"texture": [1', b"\xff\xfe", b"[]", b"null", b'{"at": "x"}', b'{"at": 1, "hits": []}',
    b'{"at": 1, "hits": {"texture": 3}}', b'{"at": 1, "missed": {"texture": "many"}}', b'{"hits": {}}',
])
def test_a_line_that_is_none_says_nothing(tmp_path, line):
    counts = Tally(str(tmp_path))
    counts.add("hits", "texture", 2, 10)
    (tmp_path / "tally").write_bytes(line)
    counts.flush()
    assert totals(str(tmp_path)).hit_count == 2


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "file").write_text("")
    counts = Tally(str(tmp_path / "file" / "regen"))
    counts.add("missed", "texture")
    counts.flush()


_COUNTER = """
import sys
from regen_vcs.engine.tally import Tally, totals
for n in range(100):
    counts = Tally(sys.argv[1])
    counts.add("hits", "texture", 1, 1)
    counts.flush()
    if n % 10 == 0:
        totals(sys.argv[1])
"""


def test_several_at_once_and_one_that_folds_lose_nothing(tmp_path):
    script = _COUNTER.replace("from regen_vcs.engine.tally import Tally, totals", "from regen_vcs.engine import tally\nfrom regen_vcs.engine.tally import Tally, totals\ntally._FOLD_FROM, tally._PATIENCE = 2000, 30")
    children = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    assert totals(str(tmp_path)).hit_count == 400
    assert os.path.getsize(tmp_path / "tally") < 30_000


def test_folding_keeps_since_when(tmp_path, monkeypatch):
    (tmp_path / "tally").write_text(json.dumps({"at": 1000, "missed": {"x": 1}}) + "\n" + json.dumps({"at": 2000, "missed": {"x": 1}}) + "\n")
    monkeypatch.setattr(tally, "_FOLD_FROM", 10)
    assert totals(str(tmp_path)).since == 1000
    assert len((tmp_path / "tally").read_text().splitlines()) == 1
    found = totals(str(tmp_path))
    assert (found.since, found.missed_count) == (1000, 2)
