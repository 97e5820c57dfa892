"""Every command is documented, has an example in its help, and is there at all."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from regen_vcs.cli.commands import COMMANDS, regen_vcs
from regen_vcs.cli.main import _PLUMBING

DOCS = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """{command: its section of docs/commands.md}."""
    parts = re.split(r"^### `([a-z-]+)[^`]*`.*$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(params=COMMANDS)
def command(request) -> tuple[str, click.Command]:
    found = regen_vcs.get_command(click.Context(regen_vcs), request.param)
    assert isinstance(found, click.Command)
    return request.param, found


def test_has_a_section_and_an_example(command, sections):
    name, _ = command
    assert name in sections, f"docs/commands.md has no section for {name}"
    assert "regen-vcs " + name in sections[name], "its section has no example"


def test_has_an_example_in_its_help(command):
    name, found = command
    assert "Example" in (found.help or "")
    assert f"regen-vcs {name}" in found.help


def test_every_option_is_in_its_section(command, sections):
    name, found = command
    options = [opt for param in found.params if isinstance(param, click.Option) for opt in param.opts if opt.startswith("--")]
    missing = [option for option in options if option != "--help" and option not in sections[name]]
    assert not missing, f"docs/commands.md does not tell of {name} {missing}"


def test_json_shape_is_documented(command, sections):
    name, found = command
    if any("--json" in param.opts for param in found.params):
        assert "```json" in sections[name], f"docs/commands.md has no JSON shape for {name}"


@pytest.mark.parametrize("name", _PLUMBING)
def test_plumbing_is_documented(name, sections):
    assert name in sections


def test_nothing_is_documented_that_is_not_there(sections):
    assert sections.keys() <= {*COMMANDS, *_PLUMBING}
