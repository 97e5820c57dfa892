"""From what programs leave in their files to a recipe: ComfyUI, the web UI's infotext, InvokeAI; and what is missing then."""

from __future__ import annotations

import copy
import json

import pytest

from regen_vcs.engine.dialects import a1111, comfyui
from regen_vcs.engine.recovery import recover
from regen_vcs.model.key import hash_bytes
from tests.embedded_files import (
    GRAPH,
    INFOTEXT,
    WORKFLOW,
    exif,
    flac,
    international_chunk,
    jpeg,
    matroska,
    mp4,
    packed_chunk,
    png,
    text_chunk,
    texts_of_comfyui,
    webp,
)


@pytest.fixture
def recovered(tmp_path):
    def recovering(data: bytes):
        path = tmp_path / "file"
        path.write_bytes(data)
        return recover(str(path))

    return recovering


def graph_with(**nodes: dict) -> dict:
    """GRAPH with some nodes' inputs changed, or nodes added: n3={"seed": 1}, n20=("LoadImage", {…})."""
    graph = copy.deepcopy(GRAPH)
    for name, change in nodes.items():
        if isinstance(change, tuple):
            graph[name[1:]] = {"class_type": change[0], "inputs": change[1]}
        else:
            graph[name[1:]]["inputs"] |= change
    return graph


def read(graph: dict):
    return comfyui.read(graph, "PNG tEXt")


# ---------------------------------------------------------------- ComfyUI


@pytest.mark.parametrize("data", [
    png(*(text_chunk(*each) for each in texts_of_comfyui().items())),
    webp(exif_data=exif(Model="prompt:" + json.dumps(GRAPH), Make="workflow:" + json.dumps(WORKFLOW))),
    mp4(texts_of_comfyui()),
    mp4({"comment": json.dumps({"prompt": json.dumps(GRAPH), "workflow": WORKFLOW})}),
    matroska({key.upper(): text for key, text in texts_of_comfyui().items()}),
    flac(texts_of_comfyui()),
], ids=["png", "webp", "mp4", "mp4 in one comment", "webm", "flac"])
def test_comfyui_in_every_container(recovered, data):
    found = recovered(data)
    recipe = found.recipe
    assert recipe.generator == "comfyui"
    graph = recipe.params["graph"]
    assert recipe.params == {
        "prompt": "rain on glass", "negative_prompt": "blurry", "seed": "18446744073709551557", "steps": 20, "cfg": 7.5,
        "sampler": "euler", "scheduler": "normal", "denoise": 1, "width": 1024, "height": 576, "batch_size": 1,
        "loras": {"ink.safetensors": 0.8}, "graph": graph,
    }  # fmt: skip
    assert {role: model.name for role, model in recipe.models.items()} == {
        "checkpoint": "sd_xl_base_1.0.safetensors", "lora": "ink.safetensors"}
    assert found.missing == ("the hash of sd_xl_base_1.0.safetensors, ink.safetensors",)
    assert graph == f"blake3:{hash_bytes(found.texts['graph'])}"
    assert json.loads(found.texts["graph"]) == GRAPH
    assert json.loads(found.texts["workflow"]) == WORKFLOW
    assert recipe.meta["recovered"]["workflow"] == f"blake3:{hash_bytes(found.texts['workflow'])}"


def test_another_graph_is_another_recipe(recovered):
    """What is not understood counts: a node between two others changes the key."""
    left = recovered(png(text_chunk("prompt", json.dumps(GRAPH))))
    right = recovered(png(text_chunk("prompt", json.dumps(graph_with(n30=("Sharpen", {"image": ["8", 0]}))))))
    assert left.recipe.params["graph"] != right.recipe.params["graph"]


def test_values_behind_links_are_found():
    graph = graph_with(n3={"seed": ["20", 0], "steps": ["21", 0]}, n20=("Seed", {"seed": 99}), n21=("Int", {"value": ["22", 0]}),
                       n22=("Int", {"value": 33}), n6={"text": ["23", 0]}, n23=("Text", {"string": "from afar"}))  # fmt: skip
    params = read(graph).params
    assert (params["seed"], params["steps"], params["prompt"]) == (99, 33, "from afar")


def test_positive_and_negative_are_told_apart_behind_a_control_net():
    graph = graph_with(
        n3={"positive": ["20", 0], "negative": ["20", 1]},
        n20=("ControlNetApplyAdvanced", {"positive": ["6", 0], "negative": ["7", 0], "control_net": ["21", 0], "image": ["22", 0]}),
        n21=("ControlNetLoader", {"control_net_name": "canny.safetensors"}), n22=("LoadImage", {"image": "pose.png"}),
    )  # fmt: skip
    found = read(graph)
    assert (found.params["prompt"], found.params["negative_prompt"]) == ("rain on glass", "blurry")
    assert found.models["controlnet"].name == "canny.safetensors"
    assert "the input file 'pose.png' (it is on the server that ran it)" in found.missing


def test_a_custom_sampler_in_parts():
    graph = {
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["2", 0], "guider": ["3", 0], "sampler": ["4", 0],
                                                                "sigmas": ["5", 0], "latent_image": ["6", 0]}},
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
        "3": {"class_type": "BasicGuider", "inputs": {"model": ["7", 0], "conditioning": ["8", 0]}},
        "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "5": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 4, "denoise": 1, "model": ["7", 0]}},
        "6": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 832, "height": 480, "batch_size": 1}},
        "7": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.safetensors", "weight_dtype": "default"}},
        "8": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["9", 0]}},
        "9": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["10", 0]}},
        "10": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "clip_l.safetensors", "clip_name2": "t5.safetensors"}},
    }  # fmt: skip
    found = read(graph)
    assert found.params == {"seed": 5, "sampler": "euler", "scheduler": "simple", "steps": 4, "denoise": 1, "guidance": 3.5,
                            "width": 832, "height": 480, "batch_size": 1, "prompt": "a fox"}  # fmt: skip
    assert {role: model.name for role, model in found.models.items()} == {
        "unet": "flux.safetensors", "clip": "clip_l.safetensors", "clip.2": "t5.safetensors"}


def test_of_several_samplers_the_last_counts_and_the_others_are_named():
    second = {**GRAPH["3"]["inputs"], "seed": 2, "steps": 5, "latent_image": ["3", 0]}
    found = read(graph_with(n20=("KSampler", second)))
    assert (found.params["seed"], found.params["steps"], found.params["width"]) == (2, 5, 1024)
    assert "the settings of 1 earlier samplers (they are in the graph)" in found.missing


def test_a_graph_without_a_sampler_says_so():
    found = read({"1": {"class_type": "ImageAddNoise", "inputs": {"seed": 42, "image": ["2", 0]}}, "2": {"class_type": "EmptyImage", "inputs": {}}})
    assert found.params == {"seed": 42}
    assert any("no sampler that is known" in each for each in found.missing)


def test_only_the_editors_workflow(recovered):
    found = recovered(png(text_chunk("workflow", json.dumps(WORKFLOW))))
    assert found.recipe.generator == "comfyui"
    assert dict(found.recipe.params) == {}
    assert "only the editor's workflow" in found.missing[0]


def test_a_circle_ends():
    graph = graph_with(n3={"seed": ["20", 0], "positive": ["21", 0]}, n20=("A", {"seed": ["20", 0]}), n21=("B", {"conditioning": ["21", 0]}))
    found = read(graph)
    assert "seed" not in found.params
    assert "the seed" in found.missing


def test_nan_in_a_graph_is_no_obstacle(recovered):
    """ComfyUI writes `"is_changed": [NaN]`."""
    text = json.dumps(GRAPH)[:-1] + ', "40": {"class_type": "LoadImage", "inputs": {}, "is_changed": [NaN]}}'
    assert recovered(png(text_chunk("prompt", text))).recipe.params["steps"] == 20


# ---------------------------------------------------------------- infotext


@pytest.mark.parametrize("data", [
    png(international_chunk("parameters", INFOTEXT)),
    png(packed_chunk("parameters", INFOTEXT)),
    jpeg((0xE1, b"Exif\0\0" + exif(order=">", comment=b"UNICODE\0" + INFOTEXT.encode("utf-16-be")))),
    webp(exif_data=exif(comment=b"UNICODE\0" + INFOTEXT.encode("utf-16-be"))),
], ids=["iTXt", "zTXt", "jpeg", "webp"])
def test_infotext_in_every_container(recovered, data):
    found = recovered(data)
    recipe = found.recipe
    assert recipe.generator == "a1111"
    assert recipe.params == {
        "prompt": 'a café at dusk, "quoted", <lora:ink:0.8>\nsecond line: of the prompt', "negative_prompt": "blurry,\nlow quality",
        "steps": 20, "sampler": "DPM++ 2M", "scheduler": "Karras", "cfg": 7.5, "seed": 4294967297, "width": 512, "height": 768,
        "clip_skip": 2,
        "settings": {"ControlNet 0": "Module: canny, Model: control_v11 [d14c016b], Weight: 1", "Version": "v1.9.4"},
    }  # fmt: skip
    assert {role: (model.name, model.hash) for role, model in recipe.models.items()} == {
        "checkpoint": ("sd_xl_base_1.0", "autov2:31e35c80fc"), "vae": (None, "autov2:63aeecb90f"), "lora": ("ink", "autov3:abcdef123456")}
    assert "the control images" in found.missing


@pytest.mark.parametrize(("text", "prompt", "negative"), [
    ("Steps: 1, Seed: 2", None, None),
    ("a\nSteps: 1, Seed: 2", "a", None),
    ("\nNegative prompt: b\nSteps: 1, Seed: 2", None, "b"),
    ("Steps: 9, Seed: 9\na\nSteps: 1, Seed: 2", "Steps: 9, Seed: 9\na", None),
    ("a\r\nNegative prompt: b\r\nc\r\nSteps: 1, Seed: 2\r\n", "a", "b\nc"),
])
def test_prompts_over_lines(text, prompt, negative):
    params = a1111.read(text, "x").params
    assert (params.get("prompt"), params.get("negative_prompt"), params["steps"], params["seed"]) == (prompt, negative, 1, 2)


@pytest.mark.parametrize(("line", "expected"), [
    ("A: 1, B: 2", {"A": "1", "B": "2"}),
    ('A: "x, y: z", B: 2', {"A": "x, y: z", "B": "2"}),
    (r'A: "say \"hi\", you", B: 2', {"A": 'say "hi", you', "B": "2"}),
    ('A: {"k": "v, w", "l": [1, 2]}, B: 2', {"A": '{"k": "v, w", "l": [1, 2]}', "B": "2"}),
    ('A: "unfinished, B: 2', {"A": '"unfinished, B: 2'}),
    ("no colon, A: b:c", {"A": "b:c"}),
])
def test_settings_are_divided_at_the_right_commas(line, expected):
    assert dict(a1111.pairs(line)) == expected


@pytest.mark.parametrize("text", ["a picture of steps", "Steps: 20", "Model: a, Size: 1x1", "Author: me, Date: now", ""])
def test_prose_is_no_infotext(text):
    assert not a1111.is_infotext(text)


def test_an_input_image_is_missed():
    assert "the input image (image to image)" in a1111.read("Steps: 1, Seed: 2, Denoising strength: 0.5", "x").missing
    assert "the input image (image to image)" not in a1111.read("Steps: 1, Seed: 2, Denoising strength: 0.5, Hires upscale: 2", "x").missing


# ---------------------------------------------------------------- InvokeAI


def test_invokeai(recovered):
    metadata = {
        "generation_mode": "sdxl_txt2img", "positive_prompt": "a fox", "negative_prompt": "blur", "seed": 7, "steps": 30, "cfg_scale": 6.5,
        "scheduler": "euler", "width": 1024, "height": 1024, "app_version": "5.4.0", "controlnets": [{"image": "x"}],
        "model": {"key": "k", "hash": "blake3:" + "a" * 64, "name": "sdxl", "base": "sdxl", "type": "main"},
        "vae": {"hash": "random:abc", "name": "vae-fix"},
        "loras": [{"model": {"name": "ink", "hash": "blake3:" + "b" * 64}, "weight": 0.75}],
    }  # fmt: skip
    found = recovered(png(text_chunk("invokeai_metadata", json.dumps(metadata)), text_chunk("invokeai_graph", '{"nodes": {}}')))
    recipe = found.recipe
    assert recipe.generator == "invokeai"
    assert recipe.params["graph"] == "blake3:" + hash_bytes(b'{"nodes": {}}')
    assert {name: value for name, value in recipe.params.items() if name != "graph"} == {
        "mode": "sdxl_txt2img", "prompt": "a fox", "negative_prompt": "blur", "seed": 7, "steps": 30, "cfg": 6.5, "scheduler": "euler",
        "width": 1024, "height": 1024, "app_version": "5.4.0", "lora_weights": {"ink": 0.75},
    }  # fmt: skip
    assert recipe.models["checkpoint"].hash == "blake3:" + "a" * 64
    assert (recipe.models["vae"].name, recipe.models["vae"].hash) == ("vae-fix", None)
    assert found.missing == ("the control images", "the hash of vae-fix")


def test_invokeai_3_names_its_models_otherwise(recovered):
    metadata = {"app_version": "3.4.0", "positive_prompt": "a", "seed": 1, "model": {"model_name": "sd15", "base_model": "sd-1", "model_type": "main"},
                "loras": [{"lora": {"model_name": "ink"}, "weight": 1}], "init_image": "x.png"}  # fmt: skip
    found = recovered(png(text_chunk("invokeai_metadata", json.dumps(metadata))))
    assert {role: model.name for role, model in found.recipe.models.items()} == {"checkpoint": "sd15", "lora": "ink"}
    assert "the input image" in found.missing


def test_invokeai_2(recovered):
    metadata = {"model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "model_hash": "c" * 64, "app_id": "invoke-ai/InvokeAI",
                "app_version": "2.3.5", "image": {"type": "txt2img", "prompt": [{"prompt": "a fox [blur] [noise]", "weight": 1}], "steps": 50,
                                                  "cfg_scale": 7.5, "height": 512, "width": 512, "seed": 42, "sampler": "k_lms"}}  # fmt: skip
    recipe = recovered(png(text_chunk("sd-metadata", json.dumps(metadata)), text_chunk("Dream", '"a fox" -s50 -S42'))).recipe
    # The older form stands first in a file of both only by chance: whichever is read says the same.
    assert (recipe.params["prompt"], recipe.params["negative_prompt"]) == ("a fox", "blur, noise")
    assert (recipe.params["seed"], recipe.params["scheduler"]) == (42, "k_lms")
    assert recipe.models["checkpoint"].hash == "sha256:" + "c" * 64


@pytest.mark.parametrize("text", ['"a fox [blur]" -s 50 -S 42 -W 512 -H 640 -C 7.5 -A k_lms', '"a fox [blur]" -s50 -S42 -W512 -H640 -C7.5 -Ak_lms'])
def test_the_dream_command(recovered, text):
    found = recovered(png(text_chunk("Dream", text)))
    assert found.recipe.params == {"prompt": "a fox", "negative_prompt": "blur", "steps": 50, "seed": 42, "width": 512, "height": 640,
                                   "cfg": 7.5, "scheduler": "k_lms"}  # fmt: skip
    assert found.missing == ("the model",)


# ---------------------------------------------------------------- strangers' values


def test_what_a_terminal_would_obey_is_cleaned_away(recovered):
    found = recovered(png(international_chunk("parameters", "a\x1b[31mred\u202e\x07\nSteps: 1, Seed: 2, Model: \x1b]0;x\x07y")))
    assert found.recipe.params["prompt"] == "a[31mred"
    assert found.recipe.models["checkpoint"].name == "]0;xy"


def test_keys_in_a_graph_stay_out_of_the_recipe(recovered):
    graph = graph_with(n6={"text": "a fox sk-abcdefghijklmnopqrstuvwx"})
    found = recovered(png(text_chunk("prompt", json.dumps(graph))))
    assert "prompt" not in found.recipe.params
    assert any("an API key" in each for each in found.missing)
    assert "sk-" not in json.dumps(found.recipe.meta)


def test_a_prompt_without_end_is_cut_and_said(recovered):
    found = recovered(png(packed_chunk("parameters", "x" * 100_000 + "\nSteps: 1, Seed: 2")))
    assert len(found.recipe.params["prompt"]) == 32 << 10
    assert any("the end of the prompt" in each for each in found.missing)


@pytest.mark.parametrize("data", [png(), png(text_chunk("Software", "Blender")), png(text_chunk("prompt", "a fox")), png(text_chunk("prompt", "{}")),
                                  png(text_chunk("comment", '{"prompt": "a"}')), b"plain text", b""])  # fmt: skip
def test_ordinary_files_hold_no_recipe(recovered, data):
    assert recovered(data) is None
