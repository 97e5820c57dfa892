"""Files are hostile: whatever their bytes, reading their embedded texts gives a recipe or nothing, quickly, and raises nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regen_vcs.engine import recovery
from regen_vcs.engine.dialects import a1111, comfyui, invokeai
from regen_vcs.media.embedded import Text, read_texts
from regen_vcs.model.recipe import parse_recipe, recipe_bytes
from tests.embedded_files import (
    GRAPH,
    INFOTEXT,
    exif,
    flac,
    jpeg,
    matroska,
    mp3,
    mp4,
    ogg,
    packed_chunk,
    png,
    text_chunk,
    texts_of_comfyui,
    webp,
)

COMFYUI = texts_of_comfyui()
SEEDS = {
    "png": png(text_chunk("parameters", "Steps: 1, Seed: 2"), packed_chunk("prompt", COMFYUI["prompt"])),
    "webp": webp(exif_data=exif(Make="workflow:{}", Model="prompt:" + COMFYUI["prompt"], comment=b"UNICODE\0a\0b")),
    "jpeg": jpeg((0xE1, b"Exif\0\0" + exif(order=">", comment=b"ASCII\0\0\0Steps: 1, Seed: 2")), (0xFE, b"x")),
    "mp4": mp4(COMFYUI), "webm": matroska(COMFYUI), "flac": flac(COMFYUI), "ogg": ogg(COMFYUI), "mp3": mp3(COMFYUI),
}
HEADS = [data[:16] for data in SEEDS.values()]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile") / "file"


def _recovers(path, data: bytes) -> None:
    path.write_bytes(data)
    found = recovery.recover(str(path))
    if found is not None:
        text = recipe_bytes(found.recipe)
        assert len(text) < 1 << 20
        parse_recipe(text, "recovered")


@settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(head=st.sampled_from([b"", *HEADS]), rest=st.binary(max_size=2000))
def test_any_bytes(path, head, rest):
    _recovers(path, head + rest)


@settings(max_examples=300, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(SEEDS)), data=st.data())
def test_damaged_files(path, kind, data):
    """A few bytes of a sound file changed, or its end cut off."""
    raw = bytearray(SEEDS[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    _recovers(path, bytes(raw[: data.draw(st.integers(0, len(raw)))]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
LINKS = st.tuples(st.sampled_from([*GRAPH, "99"]), st.integers(-1, 2)).map(list)
NAMES = st.sampled_from(sorted({name for node in GRAPH.values() for name in node["inputs"]} | {
    "noise", "guider", "sampler", "sigmas", "noise_seed", "conditioning", "guidance", "image", "value"}))
NODES = st.fixed_dictionaries({
    "class_type": st.sampled_from(["KSampler", "SamplerCustomAdvanced", "LoadImage", "CLIPTextEncode", ""]),
    "inputs": st.dictionaries(NAMES, LINKS | JSON, max_size=8) | JSON,
})


@settings(max_examples=200, deadline=5000)
@given(graph=st.dictionaries(st.sampled_from([*GRAPH, "11"]), NODES, min_size=1, max_size=8))
def test_any_graph(graph):
    """Circles, dangling links, values of any type."""
    assert comfyui.is_graph(graph)
    found = recovery._from_comfyui([Text("prompt", json.dumps(graph), "PNG tEXt")])
    recipe_bytes(recovery._recovery(found).recipe)


@settings(max_examples=200, deadline=5000)
@given(text=st.text(max_size=300) | st.text(st.sampled_from('Steps:Sed1,{}"\\ \n'), max_size=200), key=st.sampled_from([
    "parameters", "prompt", "workflow", "comment", "Dream", "sd-metadata", "invokeai_metadata", "Make"]))
def test_any_text(text, key):
    for candidate in (text, text + "\n" + INFOTEXT, json.dumps({"prompt": text, "image": text, "model": text, "seed": text})):
        found = recovery._account([Text(key, candidate, "PNG tEXt")])
        if found is not None:
            recipe_bytes(recovery._recovery(found).recipe)


@settings(max_examples=200, deadline=5000)
@given(document=st.dictionaries(st.sampled_from([
    "positive_prompt", "model", "seed", "loras", "vae", "controlnets", "image", "app_id", "steps", "width"]), JSON))
def test_any_metadata(document):
    for read in (invokeai.read_metadata, invokeai.read_sd_metadata):
        found = read(document, "PNG tEXt")
        if found is not None:
            recipe_bytes(recovery._recovery(found).recipe)


def test_reading_takes_no_time_to_speak_of(path):
    import time

    deep = "[" * 100_000
    wide = json.dumps({str(n): {"class_type": "KSampler", "inputs": {
        "steps": 1, "model": [str(n + 1), 0], "positive": [str(n + 1), 0]}} for n in range(5000)})
    for text in (deep, "{" * 100_000, wide, "Steps: 1, " * 20_000 + "Seed: 1", '"' * 100_000, "<lora:" * 20_000):
        path.write_bytes(png(*(packed_chunk(key, text) for key in ("prompt", "parameters", "Dream"))))
        started = time.perf_counter()
        read_texts(str(path))
        recovery.recover(str(path))
        assert time.perf_counter() - started < 5
    assert a1111.is_infotext("Steps: 1, " * 20_000 + "Seed: 1") in (True, False)
