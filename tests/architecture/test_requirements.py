"""docs/requirements.md says of every requirement which test shows it, or which milestone brings it; and says so truly."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
MILESTONES = {"evolution"}

REFERENCE = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| asked ")]


@functools.cache
def functions_of(name: str) -> frozenset[str]:
    tree = ast.parse((ROOT / name).read_bytes())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("name", "function"), sorted(set(REFERENCE.findall(TEXT))))
def test_every_test_named_exists(name, function):
    assert (ROOT / name).is_file(), f"{name} does not exist"
    assert not function or function in functions_of(name), f"{name} has no {function}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_every_row_has_a_test_or_a_milestone(row):
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert len(cells) == 3, row
    planned = re.findall(r"planned: (\w+)", cells[2])
    assert REFERENCE.search(cells[2]) or planned, f"neither a test nor a milestone: {row}"
    assert set(planned) <= MILESTONES, f"no such milestone: {row}"


@pytest.mark.parametrize("word", [
    *(f"Story {story}" for story in ("1.1", "1.2", "2.1", "2.2", "3.1", "3.2", "4.1", "4.2")),
    "RegenerativeAssetProperties", "MOVIE_DIRECTOR_OT_regenerate_asset", "MOVIE_DIRECTOR_OT_regenerate_missing",
    "RegenerativePathManager", "RegenerativeAgentMixin", "RegenerationQueue", "RegenerationTask", "RegenerationPriority",
    "RegenerationError", "Storage reduction", "Transfer", "Regeneration speed", "Cache hit rate",
    "Regeneration success rate", "Parameter integrity", "Path resolution", "Recovery success", "Parameter storage",
    "Model deprecation", "Regeneration differences", "Performance perception",
])
def test_nothing_named_is_left_out(word):
    assert word in TEXT


def test_the_acceptance_tests_are_all_named():
    """A test written for a requirement is found from the requirement."""
    name = "tests/real_git/test_requirements.py"
    named = {function for path, function in REFERENCE.findall(TEXT) if path == name}
    assert {each for each in functions_of(name) if each.startswith("test_")} <= named
