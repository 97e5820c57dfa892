"""Stand-ins for what is missing: of its size and length, outside of the working tree, whatever a recipe says."""

from __future__ import annotations

import io
import json
import struct
import wave

import pytest
from PIL import Image

from regen_vcs.media.stand_in import MOVIE, PICTURE, SOUND, NoStandIn, draw_stand_in, kind_of
from tests.real_git import recipes


@pytest.fixture
def film(project):
    project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=320", "--param", "height=200", "--param", "depth=8", "--param", "seed=3")
    project.regen("generate", "wind.wav", "--generator", "tone", "--param", "duration=1.5")
    project.commit("film")
    return project


def stand_ins(project, *paths: str) -> dict:
    return json.loads(project.regen("stand-in", "--json", *paths).stdout)


def test_of_the_size_and_with_the_look(film):
    def top(file):
        return Image.open(file).convert("RGB").crop((0, 0, 320, 60)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))

    average = top(film.path("sky.png"))
    assert stand_ins(film) == {"stand_ins": [], "without": []}
    film.path("sky.png").unlink()
    [found] = stand_ins(film)["stand_ins"]
    assert (found["path"], found["kind"]) == ("sky.png", "picture")
    picture = Image.open(found["file"])
    assert picture.size == (320, 200)
    assert max(abs(a - b) for a, b in zip(top(found["file"]), average, strict=True)) < 40
    middle = picture.convert("L").crop((0, 80, 320, 120))
    assert middle.getextrema()[0] < 40 and middle.getextrema()[1] > 200, "there are words to be read"


def test_nothing_of_it_is_in_the_working_tree(film):
    before = film.git("status", "--porcelain", "--ignored").stdout
    film.path("wind.wav").unlink()
    [found] = stand_ins(film, "wind.wav")["stand_ins"]
    assert str(film.user.cache) in found["file"]
    with wave.open(found["file"]) as sound:
        assert round(sound.getnframes() / sound.getframerate(), 3) == 1.5
        assert set(sound.readframes(1000)) == {0}
    assert film.status()["wind.wav"] == "missing"
    film.regen("sync")
    assert film.git("status", "--porcelain", "--ignored").stdout == before
    assert film.regen("fsck").returncode == 0


def test_drawn_once(film):
    film.path("sky.png").unlink()
    [first] = stand_ins(film)["stand_ins"]
    [again] = stand_ins(film)["stand_ins"]
    assert first == again


def test_words_for_people(film):
    film.path("sky.png").unlink()
    done = film.regen("stand-in", "sky.png")
    assert done.stdout.startswith("sky.png  ")
    assert film.regen("stand-in", "nothing.png", check=False).returncode == 2


@pytest.mark.parametrize("media", [
    {"type": "image/png", "width": 10**12, "height": 5},
    {"type": "image/png", "width": -3, "height": 5},
    {"type": "image/png", "width": "wide", "height": 5},
    {"type": "image/png", "width": True, "height": 5},
    {"type": "image/png", "width": 16_384, "height": 16_384},
    {"type": "audio/wav"},
    {"type": "audio/wav", "duration": 1e300},
    {"type": "audio/wav", "duration": 1e6, "sample_rate": 192_000},
    {"type": "video/mp4", "width": 640, "height": 480, "duration": 1e6, "fps": 1000},
    {"type": ["image"], "width": 1e400},
    {"type": "model/obj"},
    {},
])  # fmt: skip
def test_hostile_numbers(media):
    with pytest.raises(NoStandIn):
        draw_stand_in(kind_of(media, is_tree=False), media, None, "missing")


@pytest.mark.parametrize("look", [None, "", "not base64!", "AAAA", "1QcSHQRnh493V4dIh4eXh1h4kJUI"])
def test_any_look(look):
    media = {"type": "image/png", "width": 97, "height": 41}
    picture = Image.open(io.BytesIO(draw_stand_in(PICTURE, media, look, "missing: 2 h 5 min to make")))
    assert picture.size == (97, 41)


@pytest.mark.parametrize("width, height", [(1, 1), (3, 500), (500, 3), (8, 8)])
def test_small_ones(width, height):
    media = {"type": "image/png", "width": width, "height": height}
    assert Image.open(io.BytesIO(draw_stand_in(PICTURE, media, None, "missing"))).size == (width, height)


def test_a_movie_is_an_avi_of_its_length():
    media = {"type": "video/mp4", "width": 641, "height": 359, "frames": 48, "fps": 23.976}
    assert kind_of(media, is_tree=False) == MOVIE
    data = draw_stand_in(MOVIE, media, None, "missing: 40 s to make")
    assert data[:4] == b"RIFF" and data[8:12] == b"AVI " and struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert data.count(b"00dc") == 2 * 48
    assert struct.unpack_from("<I", data, data.index(b"avih") + 8 + 16)[0] == 48
    assert struct.unpack_from("<II", data, data.index(b"avih") + 8 + 32) == (641, 359)
    scale, rate = struct.unpack_from("<II", data, data.index(b"strh") + 8 + 20)
    assert round(rate / scale, 3) == 23.976
    start = data.index(b"\xff\xd8\xff")
    assert Image.open(io.BytesIO(data[start:])).size == (641, 359)


def test_a_folder_of_pictures_has_one_picture():
    assert kind_of({"type": "image/png", "width": 5, "height": 5}, is_tree=True) == "sequence"
    assert kind_of({"type": "audio/flac", "duration": 2.0}, is_tree=False) == SOUND


def test_a_source_asset_is_just_missing(project):
    Image.new("RGB", (64, 48)).save(project.path("plate.png"))
    project.regen("add", "plate.png")
    assert recipes.read(project, "plate.png").output.media["width"] == 64
    project.path("plate.png").unlink()
    [found] = stand_ins(project)["stand_ins"]
    assert Image.open(found["file"]).size == (64, 48)
