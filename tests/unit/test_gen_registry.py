"""The registry: entry points of the environment, tables of regen.toml, and named uses with defaults of their own."""

from __future__ import annotations

from importlib import metadata

import pytest

from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.generators import registry
from regen_vcs.generators.base import Generator
from regen_vcs.generators.installed import GROUP, entry_points, is_exact_built_in


@pytest.mark.parametrize("name", ["texture", "tone"])
def test_built_ins_are_generators(name):
    generator = registry.load(name)
    assert isinstance(generator, Generator)
    assert generator.name == name
    assert generator.exact
    assert registry.is_exact_built_in(name)
    assert registry.environment(generator)["numpy"]


def test_which_are_exact_is_known_without_loading_them():
    ours = {name for name, point in entry_points().items() if point.value.startswith("regen_vcs.generators.")}
    assert {name for name in ours if is_exact_built_in(name)} == {name for name in ours if getattr(entry_points()[name].load(), "exact", False)}


def test_names_are_sorted_and_hold_the_built_ins():
    assert registry.names() == sorted(registry.names())
    assert {"command", "texture", "tone"} <= set(registry.names())


@pytest.mark.parametrize(("name", "hint"), [("textur", "did you mean texture?"), ("zzz", "installed: ")])
def test_an_unknown_generator_is_guessed(name, hint):
    with pytest.raises(UsageError) as caught:
        registry.load(name)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["", ":x", "texture:", "a b", "../x", "texture:a:b", "-x"])
def test_names_that_are_none(name):
    with pytest.raises(InvalidError):
        registry.load(name)


def test_a_named_use_needs_its_table():
    with pytest.raises(InvalidError) as caught:
        registry.load("command:upscale")
    assert caught.value.field == "generators.upscale"
    with pytest.raises(InvalidError, match="name"):
        registry.load("command")
    with pytest.raises(InvalidError, match='uses "tone"'):
        registry.load("texture:x", {"uses": "tone"})


def test_a_table_of_the_wrong_kind_is_refused():
    with pytest.raises(InvalidError) as caught:
        registry.load("texture:x", {"uses": "texture", "argv": ["x"]})
    assert caught.value.field == "generators.x.argv"


def test_a_named_use_has_defaults_and_bounds_of_its_own():
    table = {"uses": "texture", "params": {"kind": {"default": "white"}, "width": {"default": 64, "maximum": 128}}}
    clouds = registry.load("texture:clouds", table)
    assert clouds.name == "texture"
    assert clouds.exact
    assert registry.is_exact_built_in("texture:clouds")
    complete = registry.complete_params(clouds, {"height": 32})
    assert (complete["kind"], complete["width"], complete["height"]) == ("white", 64, 32)
    assert set(complete) == set(registry.complete_params(registry.load("texture"), {}))
    assert registry.typed_params(clouds, complete).width == 64
    properties = registry.params_schema(clouds)["properties"]
    assert properties["width"] | {"default": 64, "maximum": 128, "minimum": 1} == properties["width"]
    with pytest.raises(InvalidError) as caught:
        registry.complete_params(clouds, {"width": 129})
    assert caught.value.field == "params.width"
    assert registry.estimate_seconds(clouds, complete) > 0


@pytest.mark.parametrize(
    "params", [{"widht": {"default": 1}}, {"width": {"default": 0}}, {"width": 64}, {"width": {"type": "pixels"}}], ids=str
)
def test_a_named_use_cannot_widen_its_generator(params):
    with pytest.raises(InvalidError) as caught:
        registry.load("texture:x", {"uses": "texture", "params": params})
    assert caught.value.field.startswith("generators.x.params")


class _Point:
    """An entry point of a broken or greedy distribution."""

    def __init__(self, name, value, load):
        self.name, self.value, self.load = name, value, load


@pytest.fixture
def installed(monkeypatch):
    def install(*points):
        real = tuple(metadata.entry_points(group=GROUP))
        monkeypatch.setattr(metadata, "entry_points", lambda group: (*points, *real, *points))
        entry_points.cache_clear()

    yield install
    monkeypatch.undo()
    entry_points.cache_clear()


def test_a_plugin_that_cannot_be_imported_is_told_of(installed):
    def load():
        raise ImportError("no module named torch")

    installed(_Point("broken", "broken_plugin:Broken", load))
    assert "broken" in registry.names()
    with pytest.raises(UsageError, match="no module named torch"):
        registry.load("broken")
    assert registry.load("texture").name == "texture"


def test_nobody_takes_the_name_of_a_built_in(installed):
    installed(_Point("texture", "evil:Texture", lambda: pytest.fail("loaded")))
    assert type(registry.load("texture")).__module__ == "regen_vcs.generators.texture"


def test_an_estimate_never_fails():
    assert registry.estimate_seconds(registry.load("texture"), {}) is None
    assert registry.estimate_seconds(registry.load("command:x", {"uses": "command", "argv": ["true"]}), {}) is None
