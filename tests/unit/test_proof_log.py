"""The log of what this machine has seen come out again: only its own lines count, and no writer hurts another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.stores import proof_log
from regen_vcs.stores.proof_log import ProofLog

KEY, OUT = "a" * 64, "b" * 64
UNDER = {"generator": "texture", "version": "1"}


@pytest.fixture
def paths(tmp_path):
    return str(tmp_path / "keep"), str(tmp_path / "config" / "proofs.key")


def log_of(paths, machine="here"):
    return ProofLog(*paths, machine)


def file_of(paths):
    (name,) = [name for name in os.listdir(f"{paths[0]}/proofs") if name.endswith(".log")]
    return f"{paths[0]}/proofs/{name}"


def test_nothing_is_there_at_first(paths):
    assert log_of(paths).observations(KEY, OUT) == []
    assert not os.path.exists(paths[0]) and not os.path.exists(paths[1]), "asking writes nothing"


def test_what_was_noted_is_read_by_another_process(paths):
    log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.5, 0.25)
    other = log_of(paths)
    (seen,) = other.observations(KEY, OUT)
    assert (seen.outcome, seen.seconds, seen.cost) == ("bytes", 1.5, 0.25)
    assert other.conditions(seen.conditions) == UNDER
    assert other.observations(OUT, KEY) == []


def test_a_log_that_is_open_sees_what_others_add(paths):
    first, second = log_of(paths), log_of(paths)
    first.add(KEY, OUT, "bytes", UNDER, 1.0)
    assert len(second.observations(KEY, OUT)) == 1
    first.add(KEY, OUT, "different", UNDER, 1.0)
    assert [each.outcome for each in second.observations(KEY, OUT)] == ["bytes", "different"]


def test_the_same_conditions_are_written_once(paths):
    log = log_of(paths)
    for number in range(5):
        log.add(f"{number}" * 64, OUT, "bytes", UNDER, 1.0)
    with open(file_of(paths)) as file:
        assert sum(line.startswith("c ") for line in file) == 1


def test_another_machine_with_the_same_home_has_its_own(paths):
    log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)
    assert log_of(paths, "elsewhere").observations(KEY, OUT) == []


def test_what_somebody_else_wrote_says_nothing(paths, tmp_path):
    """A store that brings proofs along: from another user, under our file's name."""
    log = log_of(paths)
    log.add("c" * 64, OUT, "bytes", UNDER, 1.0)
    theirs = (str(tmp_path / "theirs"), str(tmp_path / "their" / "proofs.key"))
    log_of(theirs).add(KEY, OUT, "bytes", UNDER, 1.0)
    shutil.copy(file_of(theirs), file_of(paths))
    found = log_of(paths)
    assert found.observations(KEY, OUT) == [] == found.observations("c" * 64, OUT)


@pytest.mark.parametrize("change", [
    lambda line: line.replace(b" bytes ", b" made "),
    lambda line: line.replace(b"a" * 64, b"d" * 64),
    lambda line: line[:-10],
    lambda line: line[: len(line) // 2],
    lambda line: line + b" x",
], ids=["outcome", "key", "short mac", "torn", "more"])
def test_a_line_that_was_changed_says_nothing(paths, change):
    log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)
    path = file_of(paths)
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    with open(path, "wb") as file:
        file.write(b"\n".join(change(line) if line.startswith(b"p ") else line for line in lines))
    found = log_of(paths)
    assert found.observations(KEY, OUT) == [] == found.observations("d" * 64, OUT)
    found.add(KEY, OUT, "bytes", UNDER, 2.0)
    assert [each.seconds for each in found.observations(KEY, OUT)] == [2.0], "and what follows it is whole"


def test_forged_conditions_do_not_take_the_place_of_ours(paths):
    log = log_of(paths)
    log.add(KEY, OUT, "bytes", UNDER, 1.0)
    name = log.observations(KEY, OUT)[0].conditions
    forged = f'c {name} {{"generator":"evil"}} {"0" * 32}\n'.encode()
    for where in ("before", "after"):
        with open(file_of(paths), "rb") as file:
            data = file.read()
        with open(file_of(paths), "wb") as file:
            file.write(forged + data if where == "before" else data + forged)
    assert log_of(paths).conditions(name) == UNDER


def test_a_key_that_others_can_read_proves_nothing(paths):
    log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)
    os.chmod(paths[1], 0o644)
    with pytest.raises(InvalidError, match="others can read it"):
        log_of(paths).observations(KEY, OUT)


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_said_and_not_replaced(paths, data):
    log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)
    with open(paths[1], "wb") as file:
        file.write(data)
    with pytest.raises(InvalidError, match="none counts"):
        log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)


def test_a_link_in_the_keys_place_is_refused(paths, tmp_path):
    os.makedirs(os.path.dirname(paths[1]))
    (tmp_path / "real").write_bytes(b"x" * 32)
    os.symlink(tmp_path / "real", paths[1])
    with pytest.raises(InvalidError):
        log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)


def test_without_the_key_nothing_counts_any_more(paths):
    log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)
    os.unlink(paths[1])
    assert log_of(paths).observations(KEY, OUT) == []


def test_a_folder_that_cannot_be_written_is_told(paths):
    os.makedirs(os.path.dirname(paths[0]), exist_ok=True)
    with open(paths[0], "w"):
        pass  # a file where the store should be
    with pytest.raises(RegenError):
        log_of(paths).add(KEY, OUT, "bytes", UNDER, 1.0)


_WRITER = """
import sys
from regen_vcs.stores.proof_log import ProofLog
log = ProofLog(sys.argv[1], sys.argv[2], "here")
for n in range(40):
    log.add(sys.argv[3] * 32 + f"{n:032d}", "b" * 64, "bytes", {"n": n % 3}, 1.0)
"""


def test_several_writers_lose_nothing_and_make_one_key(paths):
    children = [subprocess.Popen([sys.executable, "-c", _WRITER, *paths, who]) for who in "cdef"]
    assert [child.wait(60) for child in children] == [0] * 4
    log = log_of(paths)
    for who in "cdef":
        assert all(log.observations(who * 32 + f"{n:032d}", OUT) for n in range(40))


def test_a_long_log_is_written_anew_and_tells_the_same(paths, monkeypatch):
    monkeypatch.setattr(proof_log, "_COMPACT_FROM", 20_000)
    log = log_of(paths)
    for number in range(300):
        log.add(KEY, OUT, "bytes" if number != 100 else "different", UNDER, float(number))
    assert os.path.getsize(file_of(paths)) < 25_000
    found = log_of(paths).observations(KEY, OUT)
    assert found[-1].seconds == 299.0
    assert "different" in {each.outcome for each in found}, "what withdraws a proof is not forgotten"
