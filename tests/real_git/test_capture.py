"""Capture: Python functions and agent tools whose media get recipes, in real repositories."""

from __future__ import annotations

import asyncio
import enum
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy
import pytest
from PIL import Image

from regen_vcs import capture
from regen_vcs.errors import InvalidError, RegenError, UsageError


@pytest.fixture
def film(project, monkeypatch):
    """A repository that is the current directory, with this process using its user's stores."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "REGEN_"))]:
        monkeypatch.delenv(name)
    for name, value in project.env.items():
        if name != "PATH":
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.root)
    return project


def sidecar(film, path: str) -> dict:
    return json.loads(film.path(path + ".regen.json").read_text())


def records(film) -> list[dict]:
    """Every observation in keep."""
    return [json.loads(path.read_text()) for path in sorted(film.user.keep.rglob("results/**/*.json"))]


def draw(path: str, shade: int = 7) -> None:
    Image.new("L", (4, 4), shade).save(path)


@capture.generator("my-sky", version="2")
def paint(output: str, *, seed: int, octaves: int = 4, plate: capture.Input | None = None) -> None:
    draw(output, seed)


# ---------------------------------------------------------------- what is recorded


def test_two_lines_give_file_sidecar_cache_and_take(film):
    assert paint("shots/010/sky.png", seed=7) == "shots/010/sky.png"
    document = sidecar(film, "shots/010/sky.png")
    assert document["generator"] == "my-sky"
    assert document["params"] == {"octaves": 4, "seed": 7}
    assert document["meta"]["captured"] == {"by": f"{__name__}:paint", "version": "2"}
    assert document["output"]["media"]["type"] == "image/png"
    assert film.status() == {"shots/010/sky.png": "ok"}
    (record,) = records(film)
    assert record["generator_version"] == "2"
    assert 0 <= record["seconds"] < 60
    film.commit("sky")
    assert film.git("status", "--porcelain", "--ignored").stdout == "!! shots/010/sky.png\n"


def test_its_bytes_come_back_from_the_store(film):
    paint("sky.png", seed=7)
    film.commit("sky")
    before = film.path("sky.png").read_bytes()
    film.path("sky.png").unlink()
    film.regen("sync")
    assert film.path("sky.png").read_bytes() == before


def test_a_branch_with_another_take_brings_it(film):
    paint("sky.png", seed=7)
    film.commit("seven")
    seven = film.path("sky.png").read_bytes()
    film.git("switch", "-qc", "eight")
    paint("sky.png", seed=8)
    film.commit("eight")
    assert film.path("sky.png").read_bytes() != seven
    film.git("switch", "-q", "main")
    assert film.path("sky.png").read_bytes() == seven


def test_a_context_manager_records_all_there_is(film):
    paint("plates/a.png", seed=1)
    with capture.recording(
        "shots/020/comp.png", generator="my-tool", params={"mode": "soft"}, inputs={"plate": "plates/a.png"},
        models={"checkpoint": {"name": "sdxl", "hash": "sha256:" + "a" * 64}}, agent="gpt-film", task="T-12", tool="comp",
        meta={"shot": "020", "tags": ["hero"]}, version="3",
    ) as rec:
        rec.params["seed"] = numpy.int64(7)
        draw(rec.path)
    document = sidecar(film, "shots/020/comp.png")
    assert document["params"] == {"mode": "soft", "seed": 7}
    assert document["inputs"] == {"plate": "../../plates/a.png"}
    assert document["models"] == {"checkpoint": {"hash": "sha256:" + "a" * 64, "name": "sdxl"}}
    meta = document["meta"]
    assert (meta["agent"], meta["task"], meta["tool"], meta["shot"], meta["tags"]) == ("gpt-film", "T-12", "comp", "020", ["hero"])
    assert document["output"]["key"] == rec.key
    assert document["output"]["hash"] == f"blake3:{rec.output.hash}"
    assert next(each for each in records(film) if each["generator"] == "my-tool")["captured"] == {
        "agent": "gpt-film", "task": "T-12", "tool": "comp"}
    assert "agent" in film.regen("show", "shots/020/comp.png").stdout


def test_agent_and_task_are_not_part_of_the_key(film):
    paint("a.png", seed=1)
    with capture.acting(agent="other", task="T-1"):
        paint("b.png", seed=1)
    assert sidecar(film, "a.png")["output"]["key"] == sidecar(film, "b.png")["output"]["key"]
    assert sidecar(film, "b.png")["meta"]["agent"] == "other"


def test_acting_is_inherited_and_overridden(film):
    with (
        capture.acting(agent="producer", task="T-1"), capture.acting(task="T-2"),
        capture.recording("a.png", generator="g", agent="painter") as rec,
    ):
        draw(rec.path)
    meta = sidecar(film, "a.png")["meta"]
    assert (meta["agent"], meta["task"]) == ("painter", "T-2")


def test_recall_is_the_memory(film):
    paint("plates/a.png", seed=1)
    paint("shots/b.png", seed=2, plate="plates/a.png")
    found = capture.recall("shots/b.png")
    assert (found.generator, found.params, found.inputs, found.is_source) == ("my-sky", {"octaves": 4, "seed": 2}, {"plate": "plates/a.png"}, False)
    paint("shots/c.png", **found.params | {"seed": 3})
    assert capture.recall(film.path("shots/c.png")).params == {"octaves": 4, "seed": 3}
    with pytest.raises(RegenError, match="no recipe"):
        capture.recall("nothing.png")


def test_sequences_and_folders(film):
    with capture.recording("sky.####.png", generator="g") as rec:
        for number in (1, 2, 3):
            draw(rec.frame(number), number)
    with capture.recording("cache", generator="g") as rec:
        os.makedirs(f"{rec.path}/in")
        Path(rec.path, "in", "a.bin").write_bytes(b"a")
    assert sidecar(film, "sky.####.png")["output"]["frames"] == "1-3"
    assert film.path("sky.0002.png").is_file()
    assert film.path("cache/in/a.bin").read_bytes() == b"a"
    assert set(film.status().values()) == {"ok"}


# ---------------------------------------------------------------- functions of all kinds


def test_what_a_function_returns_becomes_the_asset(film, tmp_path):
    (tmp_path / "elsewhere.bin").write_bytes(b"copied")

    @capture.generator("g")
    def as_bytes(*, seed: int = 1):
        return b"bytes %d" % seed

    @capture.generator("g")
    def as_image(*, size: int = 4):
        return Image.new("L", (size, size))

    @capture.generator("g")
    def as_path():
        return tmp_path / "elsewhere.bin"

    @capture.generator("g")
    def as_own_path(output):
        Path(output).write_bytes(b"own")
        return output

    assert as_bytes(output="a.bin") == b"bytes 1"
    assert as_image(output="b.png").size == (4, 4)
    assert as_path(output="c.bin") == tmp_path / "elsewhere.bin"
    assert as_own_path("d.bin") == "d.bin"
    assert film.path("a.bin").read_bytes() == b"bytes 1"
    assert film.path("c.bin").read_bytes() == b"copied" == (tmp_path / "elsewhere.bin").read_bytes()
    assert film.path("d.bin").read_bytes() == b"own"
    assert sidecar(film, "b.png")["params"] == {"size": 4}


def test_a_function_that_makes_nothing_is_told(film):
    @capture.generator("g")
    def idle(output):
        return 7

    with pytest.raises(RegenError, match=r"idle: wrote nothing to its output, and returned 7"):
        idle("a.png")
    assert not film.path("a.png").exists()


def test_coroutine_functions(film):
    @capture.generator("async")
    async def slowly(output, seed):
        await asyncio.sleep(0.01)
        capture.current().params["steps"] = seed * 10
        draw(output, seed)

    async def all_at_once():
        await asyncio.gather(*(slowly(f"a{n}.png", n) for n in range(1, 5)))
        async with capture.recording("b.png", generator="g") as rec:
            draw(rec.path)

    asyncio.run(all_at_once())
    assert [sidecar(film, f"a{n}.png")["params"] for n in range(1, 5)] == [{"seed": n, "steps": n * 10} for n in range(1, 5)]
    assert set(film.status().values()) == {"ok"}


def test_positions_keywords_variadics_and_methods(film):
    class Mode(enum.Enum):
        SOFT = "soft"

    class Painter:
        @capture.generator("painter")
        def paint(self, first, output: Path, /, mode: Mode = Mode.SOFT, *rest, size=(4, 4), **more):
            assert isinstance(output, Path)
            draw(str(output))

    Painter().paint(1, Path("a.png"), Mode.SOFT, 5, 6, hue=0.5)
    assert sidecar(film, "a.png")["params"] == {"first": 1, "mode": "soft", "rest": [5, 6], "size": [4, 4], "hue": 0.5}


def test_inputs_by_annotation_by_name_by_path_and_several(film):
    film.write("ref/a.txt", b"a")
    film.write("ref/b.txt", b"b")

    @capture.generator("g", inputs=("second",))
    def build(output, first: capture.Input, second, third, many: list[capture.Input] = ()):
        draw(output)

    build("x/a.png", "ref/a.txt", film.path("ref/b.txt"), Path("ref/a.txt"), many=["ref/a.txt", "ref/b.txt"])
    assert sidecar(film, "x/a.png")["inputs"] == {
        "first": "../ref/a.txt", "second": "../ref/b.txt", "third": "../ref/a.txt", "many.0": "../ref/a.txt", "many.1": "../ref/b.txt"}


def test_the_signature_stays_readable():
    import inspect

    assert list(inspect.signature(paint).parameters) == ["output", "seed", "octaves", "plate"]

    @capture.generator("g")
    def make(seed, **more): ...

    assert list(inspect.signature(make).parameters) == ["seed", "output", "more"]


def test_a_wrong_call_is_the_functions_own_error(film):
    with pytest.raises(TypeError, match="seed"):
        paint("a.png")


def test_generator_functions_are_refused():
    with pytest.raises(UsageError, match="yields"):
        @capture.generator("g")
        def frames(output):
            yield 1


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(("value", "why"), [
    (math.nan, "not a finite number"), (object(), "object cannot be recorded"), (b"x", "bytes"), ({1, 2}, "set"), ([Path("a")], "a path"),
])
def test_params_that_cannot_be_recorded_stop_it_before_the_work(film, value, why):
    worked = []

    @capture.generator("g")
    def make(output, thing):
        worked.append(1)

    with pytest.raises(InvalidError, match=r"params\.thing") as caught:
        make("a.png", value)
    assert why in caught.value.what
    assert not worked


def test_secrets_stay_out_of_recipes(film):
    with pytest.raises(UsageError, match="api_key looks like a secret"):
        @capture.generator("g")
        def careless(output, api_key): ...

    @capture.generator("g", exclude=("api_key",))
    def careful(output, prompt, api_key="sk-hidden"):
        draw(output)

    @capture.generator("g")
    def open_ended(output, **more):
        draw(output)

    careful("a.png", "a fox", api_key="sk-" + "a1" * 20)
    text = film.path("a.png.regen.json").read_text()
    assert "sk-" not in text
    assert sidecar(film, "a.png")["meta"]["captured"]["excluded"] == ["api_key"]
    for more in ({"token": "x"}, {"headers": {"Authorization": "x"}}, {"prompt": "use sk-" + "a1" * 20}):
        with pytest.raises(InvalidError, match="committed to git"):
            open_ended("b.png", **more)
    assert not film.path("b.png.regen.json").exists()


def test_names_that_only_look_so_can_be_allowed(film):
    @capture.generator("g", allow=("trigger_token",))
    def make(output, trigger_token, max_tokens=5):
        draw(output)

    make("a.png", "ohwx")
    assert sidecar(film, "a.png")["params"] == {"trigger_token": "ohwx", "max_tokens": 5}


def test_outside_a_repository(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        paint(str(tmp_path / "a.png"), seed=1)
    assert not (tmp_path / "a.png").exists()
    # The current directory does not matter where the asset's own folder is in one.
    paint(film.path("new/folder/a.png"), seed=1)
    assert film.path("new/folder/a.png").is_file()


@pytest.mark.parametrize(("path", "error"), [
    ("regen.toml", InvalidError), (".git/x.png", RegenError), ("../../x.png", UsageError), ("a.png.regen.json/x", InvalidError), ("", UsageError),
    ("a\0b", UsageError), (b"a.png", UsageError), (7, UsageError),
])
def test_paths_no_asset_may_have(film, path, error):
    with pytest.raises(error):
        paint(path, seed=1)


def test_what_git_tracks_is_refused(film):
    film.write("logo.png", b"x")
    film.commit("logo")
    with pytest.raises(InvalidError, match="git tracks this file"):
        paint("logo.png", seed=1)
    assert film.path("logo.png").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["two words", "-x", "a:b:c", ""])
def test_generator_names_no_recipe_may_have(film, name):
    with pytest.raises(RegenError), capture.recording("a.png", generator=name):
        raise AssertionError("it began")


def test_an_installed_generators_name_wants_its_params(film):
    with pytest.raises(InvalidError, match="texture is a generator installed here"), capture.recording("a.png", generator="texture", params={"x": 1}) as rec:
        draw(rec.path)
    assert not film.path("a.png").exists()
    assert "captured, not filed" in film.regen("rescued").stdout


def test_inputs_that_are_not_what_the_key_would_say_are_refused(film):
    paint("a.png", seed=1)
    film.path("a.png").write_bytes(b"edited")
    for target, why in (("a.png", "not the accepted take"), ("nowhere.png", "no such file"), ("../x.png", "outside")):
        with pytest.raises(RegenError, match=why), capture.recording("b.png", generator="g", inputs={"plate": target}):
            raise AssertionError("it began")


def test_an_asset_from_itself_is_refused(film):
    paint("a.png", seed=1)
    with pytest.raises(RegenError, match="its own input"):
        paint("a.png", seed=1, plate="a.png")


# ---------------------------------------------------------------- when things go wrong


def test_an_exception_leaves_everything_as_it_was(film):
    paint("sky.png", seed=7)
    film.commit("sky")
    before = film.path("sky.png").read_bytes()
    with pytest.raises(RuntimeError, match="no"), capture.recording("sky.png", generator="other") as rec:
        draw(rec.path, 9)
        raise RuntimeError("no")
    assert film.path("sky.png").read_bytes() == before
    assert film.git("status", "--porcelain").stdout == ""
    assert len(records(film)) == 1
    assert not [name for name in os.listdir(film.user.cache / "scratch") if name.startswith("job-")]


def test_nothing_written_is_an_error(film):
    with pytest.raises(RegenError, match="wrote no output"), capture.recording("a.png", generator="g"):
        pass
    assert not film.path("a.png.regen.json").exists()


def test_work_that_cannot_be_filed_is_rescued(film):
    """A param that turns out to be unrecordable after an hour of work costs the recipe, not the pixels."""
    with pytest.raises(InvalidError, match=r"params\.thing") as caught, capture.recording("a.png", generator="g") as rec:
        draw(rec.path, 99)
        rec.params["thing"] = object()
    assert "regen-vcs rescued" in caught.value.hint
    assert "a.png" in film.regen("rescued").stdout


def test_work_survives_a_store_that_cannot_be_written(film, monkeypatch):
    film.write("../in the way", b"")
    monkeypatch.setenv("REGEN_KEEP_DIR", str(film.path("../in the way/keep")))
    with pytest.raises(RegenError) as caught, capture.recording("a.png", generator="g") as rec:
        draw(rec.path, 99)
    place = caught.value.hint.rpartition("what was made is in ")[2]
    assert Image.open(Path(place, "a.png")).getpixel((0, 0)) == 99
    assert not film.path("a.png.regen.json").exists()


def test_edited_bytes_are_rescued(film):
    paint("a.png", seed=1)
    film.path("a.png").write_bytes(b"somebody's work")
    paint("a.png", seed=2)
    assert "a.png" in film.regen("rescued").stdout
    assert any(path.read_bytes() == b"somebody's work" for path in film.user.keep.rglob("objects/*/*"))


def test_a_file_that_was_no_asset_is_rescued_too(film):
    film.path("a.png").write_bytes(b"nobody knows it")
    paint("a.png", seed=2)
    assert film.status() == {"a.png": "ok"}
    assert any(path.read_bytes() == b"nobody knows it" for path in film.user.keep.rglob("objects/*/*"))


def test_a_sidecar_in_conflict_is_not_rewritten(film):
    text = b"<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n"
    film.write("a.png.regen.json", text)
    with pytest.raises(InvalidError, match="conflict markers"):
        paint("a.png", seed=1)
    assert film.path("a.png.regen.json").read_bytes() == text


def test_what_stands_beside_the_recipe_survives(film):
    paint("a.png", seed=1)
    document = sidecar(film, "a.png")
    document["meta"] |= {"shot": "010", "agent": "old"}
    document["future"] = {"x": 1}
    document["review"] = {"state": "wip"}
    film.path("a.png.regen.json").write_text(json.dumps(document))
    paint("a.png", seed=2)
    after = sidecar(film, "a.png")
    assert (after["future"], after["review"], after["meta"]["shot"]) == ({"x": 1}, {"state": "wip"}, "010")
    assert "agent" not in after["meta"], "the old take's agent did not make this one"
    assert after["meta"]["created"] == document["meta"]["created"]


# ---------------------------------------------------------------- several at once


def test_nested_captures(film):
    with capture.recording("outer.png", generator="outer") as outer:
        plate = paint("inner.png", seed=3)
        assert capture.current() is outer
        outer.inputs["plate"] = plate
        draw(outer.path)
    assert sidecar(film, "outer.png")["inputs"] == {"plate": "inner.png"}
    assert film.status() == {"outer.png": "ok", "inner.png": "ok"}
    paint("inner.png", seed=4)
    assert film.status()["outer.png"] == "stale"


def test_an_input_edited_while_it_worked_makes_it_stale(film):
    film.write("ref.txt", b"one")
    film.commit("ref")
    with capture.recording("a.png", generator="g", inputs={"ref": "ref.txt"}) as rec:
        film.write("ref.txt", b"two")
        draw(rec.path)
    film.git("add", "-A")
    assert film.status()["a.png"] == "stale"
    refused = film.git("commit", "-qm", "two", check=False)
    assert refused.returncode == 1 and "stale" in refused.stderr


def test_current_outside_of_one():
    with pytest.raises(UsageError, match="nothing is being recorded"):
        capture.current()


def test_a_recording_is_for_one_asset(film):
    context = capture.recording("a.png", generator="g")
    with context as rec:
        draw(rec.path)
    with pytest.raises(UsageError, match="used already"):
        rec.begin()


def test_threads(film):
    errors = []

    def work(number: int) -> None:
        try:
            for turn in range(3):
                paint(f"t{number}.{turn}.png", seed=number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert not errors
    assert len(film.status()) == 18
    assert set(film.status().values()) == {"ok"}


def test_processes(film):
    code = ("import sys; from regen_vcs import capture\n"
            "for turn in range(3):\n"
            "    with capture.recording(f'p{sys.argv[1]}.{turn}.bin', generator='g', params={'n': turn}) as rec:\n"
            "        open(rec.path, 'w').write(sys.argv[1])\n")
    running = [subprocess.Popen([sys.executable, "-c", code, str(number)], env=film.env, cwd=film.root) for number in range(4)]
    assert [each.wait(60) for each in running] == [0] * 4
    assert len(film.status()) == 12
    assert set(film.status().values()) == {"ok"}


def test_two_who_make_the_same_asset_leave_one_of_both(film):
    def work(shade: int) -> None:
        with capture.recording("same.png", generator="g", params={"shade": shade}) as rec:
            draw(rec.path, shade)

    threads = [threading.Thread(target=work, args=(shade,)) for shade in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert film.status() == {"same.png": "ok"}


# ---------------------------------------------------------------- what can be made again


def test_nobody_claims_that_it_could_be_made_again(film, home):
    paint("a.png", seed=1)
    film.commit("a")
    (asset,) = json.loads(film.regen("status", "--json").stdout)["assets"]
    assert asset["can_regenerate"] is False
    assert "no generator my-sky is installed here" in film.regen("explain", "a.png").stdout
    digest = sidecar(film, "a.png")["output"]["hash"].removeprefix("blake3:")
    assert (home.keep / "v1" / "objects" / digest[:2] / digest[2:]).is_file(), "unproven bytes are kept"


def test_as_generator_makes_a_class_that_fits(tmp_path):
    from regen_vcs.generators import registry
    from regen_vcs.generators.base import Generator, Job

    class Mode(enum.Enum):
        SOFT = "soft"

    @capture.generator("my-sky", version="5", models={"checkpoint": {"name": "sdxl"}})
    def make(output: str, seed: int, size: float = 2.0, mode: Mode = Mode.SOFT, plates: list[capture.Input] = ()):
        Path(output).write_text(f"{seed} {size} {mode.value} {[Path(each).read_text() for each in plates]}")

    kind = capture.as_generator(make, suffixes=(".txt",))
    generator = kind()
    assert isinstance(generator, Generator)
    assert (generator.name, generator.version, generator.exact, generator.suffixes) == ("my-sky", "5", False, (".txt",))
    assert generator.models(None) == {"checkpoint": {"name": "sdxl"}}
    raw = {"seed": "18446744073709551557"}
    assert registry.complete_params(generator, raw) == {"seed": 18446744073709551557, "size": 2.0, "mode": "soft"}
    with pytest.raises(InvalidError, match="hue is not a parameter"):
        registry.complete_params(generator, {"seed": 1, "hue": 2})
    (tmp_path / "p0").write_text("a")
    (tmp_path / "p1").write_text("b")
    output = tmp_path / "out.txt"
    generator.run(Job(params=registry.typed_params(generator, {"seed": 3}), raw_params={}, output=str(output), scratch=str(tmp_path),
                      inputs={"plates.1": str(tmp_path / "p1"), "plates.0": str(tmp_path / "p0")}))
    assert output.read_text() == "3 2.0 soft ['a', 'b']"


def test_functions_that_cannot_be_generators():
    @capture.generator("g", exclude=("client",))
    def needs_a_client(output, client): ...

    @capture.generator("g")
    async def coroutine(output): ...

    for function, why in ((needs_a_client, "no default"), (coroutine, "coroutine"), (draw, "not captured")):
        with pytest.raises(UsageError, match=why):
            capture.as_generator(function)
