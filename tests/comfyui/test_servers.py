"""Which of several servers gets a job."""

from __future__ import annotations

import pytest

from regen_vcs.generators.base import JobFailed
from tests.comfyui.conftest import painting, picture, wait_for

SD15 = {"checkpoints": ["sd15.safetensors"], "loras": []}
SDXL = {"checkpoints": ["sdxl.safetensors"], "loras": []}
BOTH = {"checkpoints": ["sd15.safetensors", "sdxl.safetensors"], "loras": []}


def with_model(name: str, seed: int = 7) -> dict:
    graph = painting()
    graph["4"]["inputs"]["ckpt_name"] = name
    graph["5"]["inputs"]["seed"] = seed
    return graph


def test_the_one_that_has_the_model(bench, servers):
    one, two = servers("one", models=SD15), servers("two", models=SDXL)
    bench.urls = [one.url, two.url]
    bench(with_model("sdxl.safetensors"))
    bench(with_model("sd15.safetensors"))
    assert (len(one.prompts), len(two.prompts)) == (1, 1)


def test_no_server_has_it(bench, servers):
    one, two = servers("one", models=SD15), servers("two", models=SDXL)
    bench.urls = [one.url, two.url]
    with pytest.raises(JobFailed) as caught:
        bench(with_model("flux.safetensors"))
    assert caught.value.what == (
        f"no server has the model 'flux.safetensors' (checkpoint); {one.url} has: sd15.safetensors; {two.url} has: sdxl.safetensors"
    )


def test_rather_the_one_that_has_it_loaded(bench, servers):
    one, two = servers("one", models=BOTH), servers("two", models=BOTH)
    bench.urls = [one.url]
    bench(with_model("sd15.safetensors"))
    bench.urls = [two.url]
    bench(with_model("sdxl.safetensors"))
    bench.urls = [one.url, two.url]
    for seed in range(3):
        bench(with_model("sdxl.safetensors", seed))
        bench(with_model("sd15.safetensors", seed))
    assert (len(one.prompts), len(two.prompts)) == (4, 4), "neither had to load anything again"


def test_a_cold_one_is_taken_where_the_warm_one_is_busy(bench, servers):
    warm, cold = servers("warm", models=BOTH), servers("cold", models=BOTH)
    bench.urls = [warm.url]
    warm.hold()
    jobs = [bench.in_background(with_model("sdxl.safetensors", seed)) for seed in range(4)]
    wait_for(lambda: len(warm.prompts) == 4 and warm.executor.running)
    bench.urls = [warm.url, cold.url]
    bench(with_model("sdxl.safetensors", 50))
    assert len(cold.prompts) == 1
    warm.release()
    assert all(job.result() for job in jobs)


def test_without_models_the_one_with_less_to_do(bench, servers):
    busy, idle = servers("busy"), servers("idle")
    busy.hold()
    bench.urls = [busy.url]
    job = bench.in_background(painting())
    wait_for(lambda: busy.executor.running)
    bench.urls = [busy.url, idle.url]
    bench(picture())
    assert len(idle.prompts) == 1
    busy.release()
    job.result()


def test_a_dead_one_is_passed_over(bench, servers):
    dead, alive = servers("dead"), servers("alive")
    dead.kill()
    bench.urls = [dead.url, alive.url]
    assert bench(painting()).exists()
    alive.kill()
    with pytest.raises(JobFailed) as caught:
        bench(painting())
    assert dead.url in caught.value.what and alive.url in caught.value.what
