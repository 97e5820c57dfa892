"""From regen.toml to pictures and back: the tool as users run it, git, trust, runner process and a server."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import pytest

from tests.comfyui.conftest import painting, picture, wait_for

BIG = "18446744073709551557"

PROJECT = """\
[generators.txt2img]
uses = "comfyui"
workflow = "workflows/txt2img.json"
servers = ["{url}"]
bind = {{ seed = "2.inputs.seed", strength = "2.inputs.strength" }}

[generators.over]
uses = "comfyui"
workflow = "workflows/over.json"
servers = ["{url}"]
bind = {{ plate = "1.inputs.image", seed = "2.inputs.seed" }}

[generators.slow]
uses = "comfyui"
workflow = "workflows/slow.json"
servers = ["{url}"]

[generators.paint]
uses = "comfyui"
workflow = "workflows/paint.json"
servers = ["{url}"]
bind = {{ seed = "5.inputs.seed" }}

[models.xl]
name = "sdxl.safetensors"

[models.flux]
name = "flux.safetensors"
"""


@pytest.fixture
def film(home, server):
    project = home.repo()
    over = picture(**{"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}})
    slow = picture(**{"8": {"class_type": "Slow", "inputs": {"image": ["2", 0], "steps": 5000}},
                      "3": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}}})  # fmt: skip
    for name, graph in (("txt2img", picture()), ("over", over), ("slow", slow), ("paint", painting())):
        project.write(f"workflows/{name}.json", json.dumps(graph, indent=1).encode())
    project.write("regen.toml", PROJECT.format(url=server.url).encode())
    project.commit("workflows")
    project.regen("trust", "--yes")
    return project


def sidecar(project, path: str) -> dict:
    return json.loads(project.path(f"{path}.regen.json").read_bytes())


def test_made_committed_lost_and_made_again_from_the_same_bytes(film, server):
    film.regen("generate", "shots/a.png", "--generator", "comfyui:txt2img", "--param", f"seed={BIG}")
    first = film.path("shots/a.png").read_bytes()
    recipe = sidecar(film, "shots/a.png")
    assert recipe["params"] == {"seed": BIG, "strength": 0.5}, "the graph's own value is written out"
    assert server.prompts[-1]["prompt"]["2"]["inputs"]["seed"] == int(BIG)
    film.commit("a")
    film.path("shots/a.png").unlink()
    shutil.rmtree(film.user.cache)
    shutil.rmtree(film.user.keep / "v1" / "objects")
    server.kill()
    server.start()
    film.regen("sync")
    assert film.path("shots/a.png").read_bytes() == first
    assert film.status() == {"shots/a.png": "ok"}
    assert len(server.prompts) == 2


def test_a_changed_workflow_makes_stale_and_wants_trust_again(film, server):
    film.regen("generate", "a.png", "--generator", "comfyui:txt2img")
    film.commit("a")
    first = film.path("a.png").read_bytes()
    graph = picture()
    graph["1"]["inputs"]["color"] = 0
    film.write("workflows/txt2img.json", json.dumps(graph).encode())
    assert film.status() == {"a.png": "stale"}
    done = film.regen("regenerate", "a.png", check=False)
    assert done.returncode == 4 and "workflows/txt2img.json" in done.stderr
    assert len(server.prompts) == 1, "nothing was sent anywhere"
    film.regen("trust", "--yes")
    film.regen("regenerate", "a.png")
    assert film.status() == {"a.png": "ok"}
    assert film.path("a.png").read_bytes() != first
    film.write("workflows/txt2img.json", json.dumps(picture(), indent=1).encode())
    film.regen("regenerate", "a.png")
    assert film.path("a.png").read_bytes() == first, "trusted before, and so are its bytes known"


def test_another_server_makes_nothing_stale(film, server):
    film.regen("generate", "a.png", "--generator", "comfyui:txt2img")
    film.write("regen.toml", film.path("regen.toml").read_text().replace(server.url, "http://10.0.0.9:8188").encode())
    assert film.status() == {"a.png": "ok"}


def test_one_asset_is_the_input_of_another(film, server):
    film.regen("generate", "plate.png", "--generator", "comfyui:txt2img", "--param", "seed=1")
    film.regen("generate", "over.png", "--generator", "comfyui:over", "--input", "plate=plate.png", "--param", "seed=2")
    assert film.path("over.png").exists()
    assert len(server.uploads) == 1
    assert "plate" not in sidecar(film, "over.png")["params"]


def test_models_by_alias_and_a_missing_one(film, server):
    film.regen("generate", "a.png", "--generator", "comfyui:paint", "--model", "checkpoint=xl")
    assert server.prompts[-1]["prompt"]["4"]["inputs"]["ckpt_name"] == "sdxl.safetensors"
    assert sidecar(film, "a.png")["models"]["checkpoint"]["name"] == "sdxl.safetensors"
    done = film.regen("generate", "b.png", "--generator", "comfyui:paint", "--model", "checkpoint=flux", check=False)
    assert done.returncode == 1
    assert f"the server {server.url} has no model 'flux.safetensors' (checkpoint); it has: sdxl.safetensors, sd15" in done.stderr
    done = film.regen("generate", "c.png", "--generator", "comfyui:paint", "--model", "lora=xl", check=False)
    assert done.returncode == 2 and "checkpoint" in done.stderr


def test_bad_params_are_refused_before_anything_is_written(film, server):
    for words in ("sed=1", "seed=x", "strength=much"):
        done = film.regen("generate", "a.png", "--generator", "comfyui:txt2img", "--param", words, check=False)
        assert done.returncode == 3, done.stderr
    assert not film.path("a.png.regen.json").exists()
    assert not server.prompts
    schema = json.loads(film.regen("schema", "comfyui:txt2img").stdout)
    assert schema["properties"]["strength"] == {"type": "number", "default": 0.5}


def test_check_looks_into_the_graph_that_is_staged(film):
    film.regen("generate", "a.png", "--generator", "comfyui:txt2img", "--param", "seed=1")
    film.git("add", "-A")
    film.regen("check")
    text = film.path("a.png.regen.json").read_text().replace('"seed": 1', '"seed": "rain"')
    film.path("a.png.regen.json").write_text(text)
    film.git("add", "-A")
    done = film.regen("check", check=False)
    assert done.returncode != 0 and "seed" in done.stdout + done.stderr


def test_untrusted_nothing_is_contacted(film, server):
    film.regen("trust", "--revoke")
    done = film.regen("generate", "a.png", "--generator", "comfyui:txt2img", check=False)
    assert done.returncode == 4
    assert not server.seen


def test_the_take_knows_the_servers_versions(film):
    film.regen("generate", "a.png", "--generator", "comfyui:txt2img")
    key = sidecar(film, "a.png")["output"]["key"]
    records = list((film.user.keep / "v1" / "results").rglob("*.json"))
    found = [json.loads(path.read_bytes()) for path in records if key in str(path)]
    assert found[0]["environment"] | {"comfyui": "0.3.64", "torch": "2.8.0+cpu", "device": "cpu"} == found[0]["environment"]


def test_interrupting_the_command_stops_the_server(film, server):
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "regen_vcs", "generate", "a.png", "--generator", "comfyui:slow"], cwd=film.root, env=film.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_for(lambda: server.executor.running, 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    wait_for(lambda: server.executor.running is None, 5)
    assert not server.files()
