"""The open .blend on disk, and who else has written it."""

from __future__ import annotations

import os

from addon_parts.film_file import FilmFile, aside_name


def test_another_one_is_told_once_and_put_aside(tmp_path):
    path = tmp_path / "ein film.blend"
    path.write_bytes(b"ours")
    film = FilmFile()
    film.remember(str(path))
    assert not film.is_another and not film.tell_once()
    other = tmp_path / "new"
    other.write_bytes(b"theirs")
    os.replace(other, path)
    assert film.is_another and film.tell_once() and not film.tell_once()
    kept = film.put_aside("other")
    assert os.path.basename(kept) == "ein film (other).blend"
    with open(kept, "rb") as file:
        assert file.read() == b"theirs"
    film.remember(str(path))
    assert not film.is_another


def test_one_that_is_gone_or_was_never_there_is_no_other(tmp_path):
    film = FilmFile()
    film.remember("")
    assert not film.is_another
    film.remember(str(tmp_path / "film.blend"))
    (tmp_path / "film.blend").write_bytes(b"x")
    assert not film.is_another, "nothing was read that could be lost"
    film.remember(str(tmp_path / "film.blend"))
    (tmp_path / "film.blend").unlink()
    assert not film.is_another


def test_names(tmp_path):
    path = str(tmp_path / "film.blend")
    first = aside_name(path, "shots/010: a\x1b[2J, not saved")
    assert os.path.dirname(first) == str(tmp_path) and os.path.basename(first) == "film (shots-010- a--2J, not saved).blend"
    with open(first, "wb"):
        pass
    assert aside_name(path, "shots/010: a\x1b[2J, not saved").endswith(" 2).blend")
