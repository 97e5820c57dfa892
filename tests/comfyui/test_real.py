"""The same questions to the tests' own ComfyUI and to a real one, so that the first stays honest.

`REGEN_COMFYUI_URL=http://127.0.0.1:8188 pytest tests/comfyui/test_real.py`; the graphs need no weights, and a server
without a checkpoint called "no-such-model.safetensors".
"""

from __future__ import annotations

import os
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from regen_vcs.errors import Interrupted
from regen_vcs.generators.base import JobFailed
from tests.comfyui.conftest import Bench, picture, wait_for
from tests.comfyui.server import ComfyServer

REAL = os.environ.get("REGEN_COMFYUI_URL")
BIG = 18446744073709551557


@pytest.fixture(params=["ours", pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="REGEN_COMFYUI_URL names no server"))])
def url(request, tmp_path):
    if request.param == "real":
        yield REAL
        return
    with ComfyServer(tmp_path / "comfy", models={"checkpoints": [], "loras": []}) as made:
        yield made.url


@pytest.fixture
def bench(url, tmp_path):
    return Bench(tmp_path / "jobs", [url])


def seeded(seed: int) -> dict:
    graph = picture()
    graph["2"]["inputs"]["seed"] = seed
    return graph


def failure(bench, graph, **kwargs) -> str:
    with pytest.raises(JobFailed) as caught:
        bench(graph, **kwargs)
    return caught.value.what


def test_equal_bytes_on_a_rerun_and_seeds_exact_to_the_last_bit(bench):
    first = bench(picture(), bind={"seed": "2.inputs.seed"}, params={"seed": str(BIG)}).read_bytes()
    assert bench(picture(), bind={"seed": "2.inputs.seed"}, params={"seed": str(BIG)}).read_bytes() == first
    bench(seeded(1))
    assert bench(picture(), bind={"seed": "2.inputs.seed"}, params={"seed": str(BIG)}).read_bytes() == first
    assert bench(picture(), bind={"seed": "2.inputs.seed"}, params={"seed": str(BIG - 1)}).read_bytes() != first
    assert bench.generator.environment()["comfyui"]


def test_inputs_previews_and_several_outputs(bench, tmp_path):
    source = tmp_path / "plate.png"
    Image.new("RGB", (20, 10), (10, 20, 30)).save(source)
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }
    made = bench(graph, bind={"plate": "1.inputs.image"}, inputs={"plate": source})
    assert np.asarray(Image.open(made))[0, 0].tolist() == [245, 235, 225]
    graph["3"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
    graph["5"] = {"class_type": "SaveAnimatedWEBP", "inputs": {
        "images": ["2", 0], "filename_prefix": "x", "fps": 6.0, "lossless": True, "quality": 80, "method": "default",
    }}  # fmt: skip
    made = bench(graph, "takes", bind={"plate": "1.inputs.image"}, inputs={"plate": source})
    assert sorted(each.name for each in made.iterdir()) == ["3_0001.png", "5_0001.webp"]
    assert "made 2 files" in failure(bench, graph, bind={"plate": "1.inputs.image"}, inputs={"plate": source})


def test_a_sequence(bench):
    graph = picture()
    graph["1"]["inputs"]["batch_size"] = 3
    made = bench(graph, "a.####.png", params={"frame_start": 10})
    assert sorted(each.name for each in made.parent.iterdir()) == ["a.0010.png", "a.0011.png", "a.0012.png"]


def test_errors_are_told_by_node(bench, url):
    graph = seeded(1)
    graph["2"]["inputs"]["strength"] = 2
    assert failure(bench, graph).startswith("“Grain” (ImageAddNoise, node 2): Value 2.0 bigger than max of 1.0")
    del graph["2"]["inputs"]["strength"]
    assert failure(bench, graph).startswith("“Grain” (ImageAddNoise, node 2): Required input is missing")
    model = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no-such-model.safetensors"}}
    lacking = {"1": model, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}
    assert failure(bench, lacking).startswith(f"the server {url} has no model 'no-such-model.safetensors' (checkpoint); it has: ")
    unknown = picture(**{"8": {"class_type": "NoSuchNode", "inputs": {}}})
    assert f"the server {url} cannot run NoSuchNode (node 8): " in failure(bench, unknown)
    nothing = picture()
    del nothing["3"]
    assert "Prompt has no outputs" in failure(bench, nothing)
    image = {"class_type": "LoadImage", "inputs": {"image": "no such.png"}}
    assert "Invalid image file" in failure(bench, {"1": image, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}})


def test_a_200_with_errors_is_a_failure(bench):
    bad = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no-such-model.safetensors"}}
    graph = seeded(5) | {"8": bad, "9": {"class_type": "PreviewAny", "inputs": {"source": ["8", 0]}}}
    assert "no-such-model.safetensors" in failure(bench, graph)


def test_a_cancel_leaves_at_once_and_is_heard(bench, url):
    graph = picture()
    graph["1"]["inputs"] |= {"width": 1024, "height": 1024, "batch_size": 4}
    graph["8"] = {"class_type": "ImageBlur", "inputs": {"image": ["1", 0], "blur_radius": 31, "sigma": 10.0}}
    graph["3"]["inputs"]["images"] = ["8", 0]
    cancelled = threading.Event()
    job = bench.in_background(graph, cancelled=cancelled)
    wait_for(lambda: httpx.get(f"{url}/queue").json()["queue_running"])
    prompt_id = httpx.get(f"{url}/queue").json()["queue_running"][0][1]
    cancelled.set()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        job.result()
    assert time.monotonic() - started < 1
    wait_for(lambda: httpx.get(f"{url}/history/{prompt_id}").json(), 60)
    status = httpx.get(f"{url}/history/{prompt_id}").json()[prompt_id]["status"]
    assert status["status_str"] == "error"
    assert "execution_interrupted" in [name for name, _ in status["messages"]]
