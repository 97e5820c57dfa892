"""Manifests: frozen vectors, and exactly one encoding."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from blake3 import blake3

from regen_vcs.errors import InvalidError, NewerFormat
from regen_vcs.model import manifest
from regen_vcs.model.manifest import Member, manifest_bytes, parse_manifest

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "manifest.json").read_text())
HEX = "0123456789abcdef" * 4


def named(cases: list[dict]) -> list:
    return [pytest.param(case, id=ascii(case["name"])) for case in cases]


@pytest.mark.parametrize("case", named(VECTORS["cases"]))
def test_vector(case):
    members = [Member(*member) for member in case["members"]]
    data = manifest_bytes(members)
    assert data == case["manifest"].encode()
    assert blake3(data).hexdigest() == case["blake3"]
    assert set(parse_manifest(data)) == set(members)


@pytest.mark.parametrize("case", named(VECTORS["refused"]))
def test_refused_vector(case):
    with pytest.raises(InvalidError) as error:
        parse_manifest(case["manifest"].encode())
    assert case["says"] in error.value.what
    assert "\n" not in error.value.what


def test_newer():
    with pytest.raises(NewerFormat):
        parse_manifest(b'{"anything":1,"regen-manifest":2}')


def test_order_does_not_matter_to_the_writer():
    members = [Member(f"sky.{number:04d}.exr", HEX, number) for number in range(50)]
    shuffled = random.Random(7).sample(members, len(members))
    assert parse_manifest(manifest_bytes(iter(shuffled))) == tuple(members)


@pytest.mark.parametrize(
    "members",
    [
        [Member("a", HEX, 1), Member("a", HEX, 1)],
        [Member("a", HEX, 1), Member("A", HEX, 1)],
        [Member("a/b", HEX, 1), Member("a", HEX, 1)],
        [Member("../a", HEX, 1)],
        [Member("\udcff", HEX, 1)],
        [Member("a", "blake3:" + HEX, 1)],
        [Member("a", HEX + "\n", 1)],
        [Member("a", HEX, True)],
        [Member("a", HEX, 1.0)],
        [Member("a", HEX, 2**53)],
    ],
)
def test_only_what_can_be_read_is_written(members):
    with pytest.raises(InvalidError):
        manifest_bytes(members)


def test_the_count_is_capped(monkeypatch):
    monkeypatch.setattr(manifest, "MAX_MEMBERS", 2)
    three = [Member(name, HEX, 1) for name in "abc"]
    manifest_bytes(three[:2])
    with pytest.raises(InvalidError, match="over the limit of 2"):
        manifest_bytes(three)
