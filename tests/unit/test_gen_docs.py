"""docs/generators.md names every param, kind, palette and chord there is, and its examples are valid."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from regen_vcs.generators import registry
from regen_vcs.generators.procedural.colour import PALETTES
from regen_vcs.generators.tone import CHORDS
from regen_vcs.model.schema import parse_param

PAGE = (Path(__file__).parents[2] / "docs" / "generators.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S)
TABLES = {name: table for kind, text in BLOCKS if kind == "toml" for name, table in tomllib.loads(text)["generators"].items()}


@pytest.mark.parametrize("name", ["texture", "tone"])
def test_every_param_is_told(name):
    section = PAGE.split(f"## `{name}`")[1].split("\n## ")[0]
    properties = registry.params_schema(registry.load(name))["properties"]
    words = set(re.findall(r"`([a-z_0-9-]+)`", section))
    assert set(properties) <= words
    assert set(properties["kind"]["enum"]) <= words
    assert set(PALETTES if name == "texture" else CHORDS) <= words


def test_the_tables_are_valid():
    assert {"plate", "upscale", "photo"} <= TABLES.keys()
    for name, table in TABLES.items():
        registry.validate_table(f"{table['uses']}:{name}", table)


def test_the_commands_are_valid():
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if " generate " in line]
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(line)
        name = words[words.index("--generator") + 1]
        generator = registry.load(name, TABLES.get(name.partition(":")[2]))
        schema = registry.params_schema(generator)
        given = [word.partition("=") for before, word in pairwise(words) if before == "--param"]
        registry.complete_params(generator, {key: parse_param(schema, key, text) for key, _, text in given})
