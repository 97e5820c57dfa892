"""What a table, a graph and its bindings must be, and what params follow from them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.generators import registry
from regen_vcs.generators.comfyui import Comfyui
from regen_vcs.generators.comfyui.graph import parse_graph
from regen_vcs.generators.comfyui.table import Place, parse_place, parse_table
from regen_vcs.model.schema import parse_param
from tests.comfyui.conftest import painting, picture

BIG = 18446744073709551557


def with_graph(graph: dict, **table) -> Comfyui:
    table = {"uses": "comfyui", "workflow": "w/graph.json", **table}
    return registry.load("comfyui:test", table, lambda: {"graph.json": json.dumps(graph).encode()})


@pytest.mark.parametrize(("table", "field", "words"), [
    ({"bnd": {}}, "bnd", "did you mean bind"),
    ({"workflow": "../x.json"}, "workflow", "component"),
    ({"workflow": "/x.json"}, "workflow", "absolute"),
    ({"workflow": "w/*.json"}, "workflow", "wildcard"),
    ({"workflow": 3}, "workflow", "path"),
    ({"servers": ["ftp://x"]}, "servers", "http"),
    ({"servers": ["http://me:secret@x"]}, "servers", "password"),
    ({"servers": "http://x"}, "servers", "list"),
    ({"bind": {"seed": "3.seed"}}, "bind", "3.inputs.seed"),
    ({"bind": {"seed": []}}, "bind", "nowhere"),
    ({"bind": {"seed": "3.inputs.filename_prefix"}}, "bind", "set by regen-vcs"),
    ({"bind": {"workflow": "3.inputs.x"}}, "bind", "the graph itself"),
    ({"bind": {"seed": "3.inputs.seed"}, "params": {"sed": {"type": "integer"}}}, "params.sed", "did you mean seed"),
    ({"bind": {"seed": "3.inputs.seed"}, "params": {"seed": {"type": "whole"}}}, "params", "seed"),
    ({"timeout": "soon"}, "timeout", "10m"),
    ({"env": ["A=b"]}, "env", "plain variable name"),
    ({"auth_env": "KEY"}, "auth_env", 'env = ["KEY"]'),
])
def test_a_table_that_does_not_suit_is_refused_by_field(table, field, words):
    with pytest.raises(InvalidError) as caught:
        registry.load("comfyui:x", {"uses": "comfyui", **table})
    assert caught.value.field == f"generators.x.{field}"
    assert words in f"{caught.value.what} {caught.value.hint}"
    assert "secret" not in f"{caught.value.what} {caught.value.hint}"


def test_a_table_is_needed():
    with pytest.raises(InvalidError, match=r"generators\.NAME|needs its name"):
        registry.load("comfyui", {})


def test_a_table_as_parsed():
    table = parse_table("comfyui:x", {"uses": "comfyui", "servers": ["http://a:1/", "http://a:1"], "bind": {"s": ["1.inputs.a", "12:3.inputs.b"]}, "timeout": "10m"})
    assert table.servers == ("http://a:1",)
    assert table.bind == {"s": (Place("1", "a"), Place("12:3", "b"))}
    assert table.timeout == 600
    assert parse_table("comfyui:x", {"uses": "comfyui"}).servers == ("http://127.0.0.1:8188",)
    assert str(parse_place("12:3.inputs.b")) == "12:3.inputs.b"


@pytest.mark.parametrize(("data", "words"), [
    (b"{", "not JSON"),
    (b"[]", "by id"),
    (b"{}", "by id"),
    (b'{"1": {"class_type": "A", "inputs": {}}, "1": {"class_type": "A", "inputs": {}}}', "stands twice"),
    (b'{"1": {"class_type": "A", "inputs": {"a": NaN}}}', "NaN"),
    (b'{"1": {"inputs": {}}}', "node 1"),
    (b'{"1": 3}', "node 1"),
    (b'{"nodes": [], "links": [], "version": 0.4}', "Export (API)"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "deep"),
    (b"\xff", "not JSON"),
])
def test_what_is_no_graph_is_refused(data, words):
    with pytest.raises(InvalidError) as caught:
        parse_graph(data, "w/graph.json")
    assert words in f"{caught.value.what} {caught.value.hint}"
    assert "w/graph.json" in caught.value.what


def test_a_binding_to_nothing_names_what_is_there():
    with pytest.raises(InvalidError) as caught:
        with_graph(picture(), bind={"seed": "2.inputs.sed"})
    assert caught.value.field == "generators.test.bind.seed"
    assert "“Grain” (ImageAddNoise, node 2)" in caught.value.what
    assert "seed" in caught.value.hint
    with pytest.raises(InvalidError, match="no node 7"):
        with_graph(picture(), bind={"seed": "7.inputs.seed"})


def test_types_and_defaults_follow_from_the_graph():
    graph = painting(**{"2": {"class_type": "X", "inputs": {"on": True, "text": "rain", "link": ["4", 0], "cfg": 7.5}}})
    generator = with_graph(graph, bind={
        "seed": "5.inputs.seed", "steps": "5.inputs.steps", "cfg": "5.inputs.cfg", "sampler": "5.inputs.sampler_name",
        "on": "2.inputs.on", "text": "2.inputs.text", "link": "2.inputs.link", "model": "4.inputs.ckpt_name",
    })  # fmt: skip
    properties = generator.params_schema()["properties"]
    assert properties["seed"] == {"type": "integer", "minimum": 0, "maximum": 2**64 - 1, "default": 7}
    assert properties["steps"] == {"type": "integer", "default": 2}
    assert properties["cfg"] == {"type": "number", "default": 8}, "a graph spells 8.0 as 8"
    assert properties["on"] == {"type": "boolean", "default": True}
    complete = generator.complete_params({"cfg": 7.25})
    assert complete == {"seed": 7, "steps": 2, "cfg": 7.25, "sampler": "sampler_1", "on": True, "text": "rain"}
    for bad in ({"steps": 2.5}, {"text": 3}, {"on": "yes"}, {"seed": -1}, {"seed": str(2**64)}, {"sed": 1}):
        with pytest.raises(InvalidError) as caught:
            generator.complete_params(bad)
        assert caught.value.field == f"params.{next(iter(bad))}"


def test_seeds_are_exact_to_the_last_bit():
    graph = picture()
    graph["2"]["inputs"]["seed"] = BIG
    generator = with_graph(graph, bind={"seed": "2.inputs.seed"})
    assert generator.complete_params({}) == {"seed": str(BIG)}
    assert parse_param(generator.params_schema(), "seed", str(BIG - 1)) == str(BIG - 1)
    assert generator.complete_params({"seed": str(BIG - 1)}) == {"seed": str(BIG - 1)}


def test_the_tables_own_schema_goes_first_and_takes_the_graphs_value_where_it_fits():
    bind = {"seed": "2.inputs.seed", "strength": "2.inputs.strength"}
    generator = with_graph(picture(), bind=bind, params={"strength": {"type": "number", "maximum": 0.6}, "seed": {"type": "integer", "minimum": 100}})
    assert generator.complete_params({"seed": 100}) == {"seed": 100, "strength": 0.5}
    with pytest.raises(InvalidError, match="maximum"):
        generator.complete_params({"seed": 100, "strength": 0.7})
    with pytest.raises(InvalidError, match="seed is missing"):
        generator.complete_params({})


def test_without_a_graph_bound_names_are_all_there_is():
    generator = registry.load("comfyui:x", {"uses": "comfyui", "bind": {"seed": "2.inputs.seed"}})
    assert generator.complete_params({"seed": "x"}) == {"seed": "x"}
    with pytest.raises(InvalidError) as caught:
        generator.complete_params({"sed": 1})
    assert "did you mean seed" in caught.value.hint
    assert generator.model_roles is None


def test_models_by_role():
    graph = painting(**{
        "6": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["4", 0], "lora_name": "a.safetensors", "strength_model": 1}},
        "12": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["6", 0], "lora_name": "b.safetensors", "strength_model": 1}},
        "13": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "4x.pth"}},
        "14": {"class_type": "VAELoader", "inputs": {"vae_name": "taesd"}},
        "15": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["6", 0], "lora_name": "None", "strength_model": 1}},
    })
    generator = with_graph(graph, bind={"base": "4.inputs.ckpt_name"})
    assert generator.model_roles == ("checkpoint", "lora-6", "lora-12", "model", "vae", "base")

    def models(params=None, models=None):
        named = {role: SimpleNamespace(name=name) for role, name in (models or {}).items()}
        return {role: each["name"] for role, each in generator.models(SimpleNamespace(params=params or {}, models=named)).items()}

    assert models() == {"checkpoint": "sd15.safetensors", "lora-6": "a.safetensors", "lora-12": "b.safetensors", "model": "4x.pth", "vae": "taesd"}
    assert models({"base": "other.ckpt"})["checkpoint"] == "other.ckpt"
    assert models(models={"lora-12": "c.safetensors"})["lora-12"] == "c.safetensors"
    with pytest.raises(InvalidError, match="set twice"):
        models({"base": "other.ckpt"}, {"checkpoint": "third.ckpt"})
    assert "base" not in generator.complete_params({}), "a model is no param until somebody says so"
