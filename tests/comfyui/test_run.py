"""One job on one server: what is sent, what comes back, and every trap of the protocol."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import JobFailed
from tests.comfyui.conftest import painting, picture, wait_for

BIG = 18446744073709551557


def noise(seed: int, strength: float = 0.5) -> np.ndarray:
    grain = np.random.Generator(np.random.PCG64(seed)).normal(0, strength * 255, (1, 24, 32, 3))
    return np.clip(0x80 + grain, 0, 255).astype(np.uint8)[0]


def failure(bench, *args, **kwargs) -> str:
    with pytest.raises(JobFailed) as caught:
        bench(*args, **kwargs)
    assert "\n" not in caught.value.what and "\x1b" not in caught.value.what
    return caught.value.what


# -- what is sent ------------------------------------------------------------------------------------------------------


def test_params_reach_their_places_and_big_seeds_are_exact(bench, server):
    bind = {"seed": "2.inputs.seed", "strength": "2.inputs.strength"}
    made = bench(picture(), bind=bind, params={"seed": str(BIG), "strength": 0.25})
    assert server.prompts[0]["prompt"]["2"]["inputs"] == {"image": ["1", 0], "seed": BIG, "strength": 0.25}
    assert np.array_equal(np.asarray(Image.open(made)), noise(BIG, 0.25))


def test_one_param_may_go_to_several_places(bench, server):
    bench(picture(), bind={"size": ["1.inputs.width", "1.inputs.height"]}, params={"size": 16})
    assert server.prompts[0]["prompt"]["1"]["inputs"] | {"width": 16, "height": 16} == server.prompts[0]["prompt"]["1"]["inputs"]


def test_what_is_not_bound_stays_as_the_graph_has_it(bench):
    assert np.array_equal(np.asarray(Image.open(bench(picture()))), noise(7))


@pytest.mark.parametrize(("params", "words"), [
    ({"seed": "seven"}, "params.seed"), ({"seed": True}, "params.seed"), ({"strength": "much"}, "params.strength"), ({"other": 1}, "bound to nothing"),
])
def test_a_recipe_whose_params_do_not_fit_is_never_submitted(bench, server, params, words):
    with pytest.raises(InvalidError, match=words):
        bench(picture(), bind={"seed": "2.inputs.seed", "strength": "2.inputs.strength"}, params=params)
    assert not server.prompts


def test_inputs_are_uploaded_and_the_name_the_server_gives_them_is_used(bench, server, tmp_path):
    graph = picture(**{"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}})
    source = tmp_path / "plate one.PNG"
    Image.new("RGB", (32, 24), (128, 128, 128)).save(source)
    made = bench(graph, bind={"plate": "1.inputs.image"}, inputs={"plate": source})
    assert np.array_equal(np.asarray(Image.open(made)), noise(7))
    sent = server.prompts[0]["prompt"]["1"]["inputs"]["image"]
    assert sent.startswith("regen/") and sent.endswith(".png") and "plate" not in sent, "named by what is in it"
    (server.folder / "input" / sent).write_bytes(b"somebody else's")
    bench(graph, bind={"plate": "1.inputs.image"}, inputs={"plate": source})
    assert (server.folder / "input" / sent).read_bytes() == source.read_bytes()


def test_an_input_that_goes_nowhere_or_is_a_folder_is_an_error(bench, tmp_path):
    assert "its input plate is bound to nothing" in failure(bench, picture(), inputs={"plate": tmp_path})
    graph = picture(**{"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}})
    assert "a folder" in failure(bench, graph, bind={"plate": "1.inputs.image"}, inputs={"plate": tmp_path})


def test_an_upload_that_is_too_big_is_named(bench, server, tmp_path):
    server.kill()
    server.max_upload_size = 1000
    server.start()
    (tmp_path / "a.png").write_bytes(bytes(5000))
    graph = picture(**{"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}})
    said = failure(bench, graph, bind={"plate": "1.inputs.image"}, inputs={"plate": tmp_path / "a.png"})
    assert "a.png has 5000 bytes" in said and "1000" in said


def test_the_recipes_models_are_the_ones_loaded(bench, server):
    bench(painting(), models={"checkpoint": {"hash": None, "name": "sdxl.safetensors", "version": None}})
    assert server.prompts[0]["prompt"]["4"]["inputs"]["ckpt_name"] == "sdxl.safetensors"
    with pytest.raises(InvalidError, match=r"models\.lora: the workflow loads no such model"):
        bench(painting(), models={"lora": {"name": "rain.safetensors"}})


def test_nothing_is_sent_that_would_change_the_bytes(bench, server):
    made = bench(picture())
    assert "extra_data" not in server.prompts[0]
    assert set(Image.open(made).text) == {"prompt"}


def test_the_workflow_may_be_an_input_of_the_recipe(bench, server, tmp_path):
    (tmp_path / "g.json").write_text(json.dumps(painting()))
    assert "which is it" in failure(bench, picture(), inputs={"workflow": tmp_path / "g.json"})
    bench(picture(), inputs={"workflow": tmp_path / "g.json"}, workflow=None)
    assert "KSampler" in {node["class_type"] for node in server.prompts[0]["prompt"].values()}


# -- the same bytes again ----------------------------------------------------------------------------------------------


def test_a_rerun_gives_the_same_bytes_from_the_cache_and_after_a_restart(bench, server):
    first = bench(picture()).read_bytes()
    assert bench(picture()).read_bytes() == first
    assert server.executor.ran[-1] == [], "all of it came from the cache"
    server.kill()
    server.start()
    assert bench(picture()).read_bytes() == first
    assert len(server.files()) == 2, "the counter went on, the bytes did not change"


def test_another_prompt_between_empties_the_cache_and_changes_nothing(bench):
    first = bench(picture()).read_bytes()
    bench(painting())
    assert bench(picture()).read_bytes() == first


def test_another_seed_has_another_prefix(bench, server):
    for seed in (1, 2):
        bench(picture(), bind={"seed": "2.inputs.seed"}, params={"seed": seed})
    assert len({name.rpartition("_0")[0] for name in server.files()}) == 2


@pytest.mark.parametrize("hidden", [False, True])
def test_a_cached_rerun_whose_file_is_gone_is_run_again_under_another_name(bench, server, hidden):
    server.hide_cached = hidden
    first = bench(picture())
    prefix = server.prompts[0]["prompt"]["3"]["inputs"]["filename_prefix"]
    for name in server.files():
        (server.folder / "output" / name).unlink()
    again = bench(picture())
    assert np.array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(first)))
    names = [body["prompt"]["3"]["inputs"]["filename_prefix"] for body in server.prompts]
    assert names == [prefix, prefix, prefix.removesuffix("-3") + "-again-3"]
    assert server.executor.ran[-1] == ["3"], "only the saving ran again"


# -- what comes out ----------------------------------------------------------------------------------------------------


def saving(*nodes: tuple[str, dict]) -> dict:
    graph = picture()
    del graph["3"]
    for number, (kind, inputs) in enumerate(nodes):
        graph[str(20 + number)] = {"class_type": kind, "inputs": inputs}
    return graph


def prefixed(**inputs) -> dict:
    return {"filename_prefix": "x", **inputs}


@pytest.mark.parametrize(("asset", "kind", "inputs", "head"), [
    ("a.png", "SaveImage", prefixed(images=["2", 0]), b"\x89PNG"),
    ("a.webp", "SaveAnimatedWEBP", prefixed(images=["2", 0], fps=6), b"RIFF"),
    ("a.mp4", "SaveVideo", prefixed(images=["2", 0], format="mp4"), b"\0\0\0\x18ftyp"),
    ("A.MP4", "VHS_VideoCombine", prefixed(images=["2", 0], format="mp4"), b"\0\0\0\x18ftyp"),
    ("a.flac", "SaveAudio", prefixed(duration=1.5), b"fLaC"),
])
def test_outputs_of_every_kind(bench, asset, kind, inputs, head):
    assert bench(saving((kind, inputs)), asset).read_bytes().startswith(head)


def test_several_files_are_a_folder(bench):
    made = bench(saving(("SaveImage", prefixed(images=["2", 0])), ("SaveAudio", prefixed(duration=1))), "takes")
    assert sorted(each.name for each in made.iterdir()) == ["20_0001.png", "21_0001.flac"]


def test_a_batch_is_a_folder_or_a_sequence(bench):
    graph = picture()
    graph["1"]["inputs"]["batch_size"] = 3
    assert sorted(each.name for each in bench(graph, "takes").iterdir()) == ["0001.png", "0002.png", "0003.png"]
    made = bench(graph, "rain.####.png")
    assert sorted(each.name for each in made.parent.iterdir()) == ["rain.0001.png", "rain.0002.png", "rain.0003.png"]
    made = bench(graph, "rain.####.png", params={"frame_start": 99})
    assert sorted(each.name for each in made.parent.iterdir()) == ["rain.0099.png", "rain.0100.png", "rain.0101.png"]


def test_what_does_not_suit_the_assets_name_is_said_with_both_names(bench):
    said = failure(bench, picture(), "a.jpg")
    assert "3_00001_.png" in said and "a.jpg" in said
    graph = picture()
    graph["1"]["inputs"]["batch_size"] = 2
    assert "made 2 files" in failure(bench, graph, "a.png")
    assert "no .exr" in failure(bench, graph, "a.####.exr")


def test_previews_count_only_where_nothing_is_saved(bench):
    both = saving(("PreviewImage", {"images": ["1", 0]}), ("SaveImage", prefixed(images=["2", 0])))
    assert np.array_equal(np.asarray(Image.open(bench(both))), noise(7))
    assert np.asarray(Image.open(bench(saving(("PreviewImage", {"images": ["1", 0]}))))).std() == 0


def test_text_is_no_file(bench):
    assert "made no files" in failure(bench, saving(("PreviewAny", {"source": ["2", 0]})))


def test_a_servers_names_are_never_paths_here(bench, server, tmp_path):
    real = server.executor
    hostile = {"filename": "../../../evil.png", "subfolder": "..", "type": "output"}

    def entry_of(prompt_id):
        return {"outputs": {"../3": {"images": [hostile, {"filename": 3}, "x"], "odd": 5}}, "status": {"status_str": "success"}}

    class Evil(dict):
        def __contains__(self, key): return True
        def __getitem__(self, key): return entry_of(key)

    real.history = Evil()
    assert "HTTP 400" in failure(bench, picture(), "takes")
    assert not list(tmp_path.rglob("evil*"))


# -- progress and environment ------------------------------------------------------------------------------------------


def test_progress_is_told_and_never_goes_back(bench, server):
    bench(painting(**{"5": painting()["5"] | {"inputs": painting()["5"]["inputs"] | {"steps": 40}, "_meta": {"title": "Paint"}}}))
    fractions = [fraction for fraction, _ in bench.told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert server.clients == [server.prompts[0]["client_id"]]


def test_who_waits_is_told_how_many_are_before(bench, server):
    server.hold()
    first = bench.in_background(painting(), bind={"seed": "5.inputs.seed"}, params={"seed": 1})
    wait_for(lambda: server.executor.running)
    second = bench.in_background(painting(), bind={"seed": "5.inputs.seed"}, params={"seed": 2})
    wait_for(lambda: any("1 before it" in message for _, message in bench.told))
    server.release()
    assert first.result() and second.result()


def test_the_servers_versions_are_told(bench):
    bench(picture())
    assert bench.generator.environment() == {"comfyui": "0.3.64", "comfyui_python": "3.12.3", "torch": "2.8.0+cpu", "device": "cpu"}


# -- errors ------------------------------------------------------------------------------------------------------------


def test_a_missing_model_is_named_as_such(bench, server):
    graph = painting()
    graph["4"]["inputs"]["ckpt_name"] = "sd_xl_base_1.0.safetensors"
    said = failure(bench, graph)
    assert said == (
        f"the server {server.url} has no model 'sd_xl_base_1.0.safetensors' (checkpoint); it has: sdxl.safetensors, sd15.safetensors"
    )


def test_of_many_models_those_with_like_names_are_shown(bench, server):
    server.models["checkpoints"] = [f"other_{number}.safetensors" for number in range(30)] + ["sdxl_base.safetensors"]
    graph = painting()
    graph["4"]["inputs"]["ckpt_name"] = "sdxl-base.safetensors"
    said = failure(bench, graph)
    assert "it has: sdxl_base.safetensors, other_" in said and "and 23 more" in said


def test_a_refused_value_is_said_with_the_nodes_title(bench):
    graph = picture()
    graph["2"]["inputs"]["strength"] = 2
    assert "“Grain” (ImageAddNoise, node 2): Value 2.0 bigger than max of 1.0" in failure(bench, graph)
    graph["2"]["inputs"] |= {"strength": 1, "image": ["77", 0]}
    assert "“Grain” (ImageAddNoise, node 2): Exception" in failure(bench, graph)
    bad = painting()
    bad["5"]["inputs"]["sampler_name"] = "bogus"
    assert "KSampler (node 5): Value not in list: sampler_name: 'bogus'" in failure(bench, bad)


def test_a_node_the_server_does_not_know(bench, server):
    graph = picture(**{"7": {"class_type": "Fancy", "inputs": {}, "_meta": {"title": "My fancy node"}}})
    said = failure(bench, graph)
    assert f"the server {server.url} cannot run “My fancy node” (Fancy, node 7)" in said


def test_a_graph_without_an_output(bench):
    graph = picture()
    del graph["3"]
    assert "Prompt has no outputs" in failure(bench, graph)


def test_a_200_with_errors_is_a_failure_and_nothing_of_it_goes_on(bench, server):
    """The good branch would run, and something else than asked for would be taken."""
    bad = painting()["5"] | {"inputs": painting()["5"]["inputs"] | {"seed": -3}}
    graph = painting(**{"5": bad, "6": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
                        "7": {"class_type": "Slow", "inputs": {"image": ["6", 0], "steps": 500}},
                        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "y"}}})  # fmt: skip
    said = failure(bench, graph)
    assert "KSampler (node 5): Value -3 smaller than min of 0" in said
    wait_for(lambda: server.executor.running is None and not server.executor.pending, 3)
    assert server.files() == []


def test_a_node_that_fails_is_named_with_its_reason_and_the_traceback_is_in_the_log(bench, capfd):
    graph = picture(**{"3": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
                       "8": {"class_type": "Broken", "inputs": {"image": ["2", 0]}, "_meta": {"title": "Mend"}}})  # fmt: skip
    assert failure(bench, graph) == "“Mend” (Broken, node 8) failed: the shapes do not match:  [31m3 and 4"
    assert "Traceback" in capfd.readouterr().err


def test_interrupted_by_somebody_else(bench, server):
    graph = picture(**{"3": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
                       "8": {"class_type": "Slow", "inputs": {"image": ["2", 0], "steps": 500}}})  # fmt: skip
    job = bench.in_background(graph)
    wait_for(lambda: any(message == "Slow" for _, message in bench.told))
    server.executor.interrupt(None)
    with pytest.raises(JobFailed, match=r"somebody interrupted it on the server .* at Slow \(node 8\)"):
        job.result()


def test_removed_from_the_queue_by_somebody_else(bench, server):
    server.hold()
    first = bench.in_background(painting())
    wait_for(lambda: server.executor.running)
    second = bench.in_background(painting(), bind={"seed": "5.inputs.seed"}, params={"seed": 2})
    wait_for(lambda: server.executor.pending)
    server.executor.delete([server.executor.pending[0][1]])
    with pytest.raises(JobFailed, match="somebody removed it from the queue"):
        second.result()
    server.release()
    first.result()


# -- the server itself -------------------------------------------------------------------------------------------------


def test_no_server_at_all(bench, server):
    server.kill()
    with pytest.raises(JobFailed) as caught:
        bench(picture())
    assert f"{server.url} cannot be reached: Connection refused" in caught.value.what
    assert caught.value.transient, "it may come back, so a queue may try later"


def test_something_that_is_no_comfyui(tmp_path, bench, server):
    bench.urls = [f"{server.url}/moved"]
    assert "HTTP 404" in failure(bench, picture())


def test_redirects_are_not_followed(server):
    from regen_vcs.generators.comfyui.client import Refused, Server

    with pytest.raises(Refused, match=r"redirects to http://elsewhere\.invalid/, which is not followed"):
        Server(server.url)._send("GET", "/moved")


def test_an_answer_is_bounded(server, monkeypatch):
    from regen_vcs.generators.comfyui import client

    monkeypatch.setattr(client, "MAX_JSON", 1000)
    with pytest.raises(JobFailed, match="an answer of more than"):
        client.Server(server.url)._object("GET", "/object_info")


def test_the_key_is_sent_where_the_table_says_so_and_only_there(servers, bench):
    locked = servers("locked", token="s3cret")
    bench.urls = [locked.url]
    assert "HTTP 401" in failure(bench, picture(), secrets={"KEY": "s3cret"}, env=["KEY"])
    assert "KEY" in failure(bench, picture(), secrets={}, env=["KEY"], auth_env="KEY")
    assert "odd character" in failure(bench, picture(), secrets={"KEY": "a\r\nHost: b"}, env=["KEY"], auth_env="KEY")
    assert bench(picture(), secrets={"KEY": "s3cret"}, env=["KEY"], auth_env="KEY").exists()
    assert len(locked.clients) == 1, "the socket needs it too"


# -- to show whether it comes out again ---------------------------------------------------------------------------------


def test_a_fresh_job_is_not_answered_from_the_servers_memory(bench, server):
    bench(picture())
    bench(picture())
    assert server.executor.ran[-1] == [], "an ordinary job may be"
    assert np.array_equal(np.asarray(Image.open(bench(picture(), fresh=True))), noise(7))
    assert server.executor.ran[-1] == ["1", "2", "3"]


def test_an_answer_from_memory_shows_nothing(bench, server, monkeypatch):
    bench(picture())
    monkeypatch.setattr(server.executor, "forget", lambda: None)  # as a server whose memory somebody fills again at once
    assert "shows nothing" in failure(bench, picture(), fresh=True)


def test_what_a_server_is_can_be_asked_without_a_job(bench, server):
    bench(picture())
    told = bench.generator.conditions()
    assert told == {server.url: json.dumps(bench.generator.environment(), sort_keys=True)} and bench.generator.environment()
    server.kill()
    assert "cannot be reached" in _refusal(bench.generator.conditions)


def _refusal(ask) -> str:
    with pytest.raises(JobFailed) as caught:
        ask()
    return caught.value.what
