"""The memory of what remotes hold: advisory, small, and never wrong about another URL."""

from __future__ import annotations

import threading

import pytest

from regen_vcs.engine.known_remotely import KnownRemotely

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def open_memory(tmp_path):
    return lambda url="file:///store", name="studio": KnownRemotely(str(tmp_path / "remotes"), name, url)


def test_what_is_noted_is_known_to_the_next(open_memory):
    known = open_memory()
    assert (known.has(A), known.is_verified(A)) == (None, False)
    known.note_held(A)
    known.note_absent(B)
    known.note_verified(C)
    known.note_put("r" + A)
    known.note_speed(1e6, 0.002)
    known.save()
    again = open_memory()
    assert [again.has(each) for each in (A, B, C)] == [True, False, True]
    assert [again.is_verified(each) for each in (A, B, C)] == [False, False, True]
    assert again.was_put("r" + A) and not again.was_put("k" + A)
    assert again.speed == (1e6, 0.002)


def test_seen_again_stays_verified_and_seen_gone_does_not(open_memory):
    known = open_memory()
    known.note_verified(A)
    known.note_held(A)
    known.save()
    assert open_memory().is_verified(A)
    known.note_absent(A)
    known.note_held(A)
    known.save()
    assert (open_memory().has(A), open_memory().is_verified(A)) == (True, False)


def test_another_url_is_another_remote(open_memory):
    known = open_memory()
    known.note_verified(A)
    known.save()
    moved = open_memory("file:///elsewhere")
    assert moved.has(A) is None
    moved.note_held(B)
    moved.save()
    assert open_memory("file:///elsewhere").has(B) and open_memory().has(A) is None


def test_torn_and_foreign_lines_are_passed_over(open_memory, tmp_path):
    known = open_memory()
    known.note_held(A)
    known.save()
    with open(tmp_path / "remotes" / "studio", "ab") as file:
        file.write(b"+abc\n\xff\xfe\nt- -\nnonsense\n-" + B.encode()[:30])
    again = open_memory()
    again.note_held(C)
    again.save()
    final = open_memory()
    assert [final.has(each) for each in (A, B, C)] == [True, None, True]
    assert final.speed is None


def test_the_file_does_not_grow_for_ever(open_memory, tmp_path):
    known = open_memory()
    for number in range(40):
        for digit in range(1000):
            hash = f"{digit:064x}"
            (known.note_held if number % 2 else known.note_absent)(hash)
        known.save()
    assert len((tmp_path / "remotes" / "studio").read_text().split("\n")) < 16_000
    assert open_memory().has(f"{1:064x}") is True


def test_names_that_are_no_file_names(open_memory, tmp_path):
    for name in ("../evil", "a/b", ".", "", "ü"):
        known = open_memory(name=name)
        known.note_held(A)
        known.save()
        assert open_memory(name=name).has(A)
    assert sorted(path.parent for path in tmp_path.rglob("*") if path.is_file()) == [tmp_path / "remotes"] * 5


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "remotes").write_text("a file in its place")
    known = KnownRemotely(str(tmp_path / "remotes"), "studio", "x")
    known.note_held(A)
    known.save()


def test_many_threads(open_memory):
    known = open_memory()
    known.has(A)

    def note(start: int) -> None:
        for number in range(start, start + 500):
            known.note_held(f"{number:064x}")

    threads = [threading.Thread(target=note, args=(each * 500,)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    known.save()
    again = open_memory()
    assert all(again.has(f"{number:064x}") for number in range(4000))
