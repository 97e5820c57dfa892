"""What becomes of takes: accepted, proposed, drifted, equal, fetched (DESIGN, section 4's table)."""

from __future__ import annotations

import json
import sys

import pytest

DICE = """
import os, sys
open(sys.argv[1], "wb").write(b"pixels " + os.urandom(8).hex().encode())
"""


@pytest.fixture
def dice(project):
    """A generator that never gives the same bytes twice, as diffusion on another GPU."""
    project.write("tools/dice.py", DICE.encode())
    toml = project.path("regen.toml")
    toml.write_text(toml.read_text() + (
        f'\n[generators.dice]\nuses = "command"\nargv = [{json.dumps(sys.executable)}, "{{code}}/dice.py", "{{output}}"]\n'
        'code = ["tools/dice.py"]\n'
    ))
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen("generate", "roll.png", "--generator", "command:dice")
    project.commit("roll")
    return project


def _output(project, path="roll.png"):
    return json.loads(project.path(path + ".regen.json").read_text())["output"]


def test_a_regeneration_that_differs_is_drifted_and_never_accepted_silently(dice):
    accepted, before = _output(dice), dice.path("roll.png").read_bytes()
    done = dice.regen("regenerate", "roll.png")
    assert "drifted" in done.stdout
    assert _output(dice) == accepted
    assert dice.path("roll.png").read_bytes() != before
    assert dice.status() == {"roll.png": "drifted"}
    assert dice.git("status", "--porcelain").stdout == ""


def test_fetch_brings_the_accepted_take_back(dice):
    before = dice.path("roll.png").read_bytes()
    dice.regen("regenerate", "roll.png")
    dice.regen("fetch", "roll.png")
    assert dice.path("roll.png").read_bytes() == before
    assert dice.status() == {"roll.png": "ok"}


def test_sync_leaves_a_stand_in(dice):
    dice.regen("regenerate", "roll.png")
    shown = dice.path("roll.png").read_bytes()
    dice.regen("sync")
    assert dice.path("roll.png").read_bytes() == shown


def test_accept_makes_it_the_accepted_take_and_the_old_one_stays(dice):
    accepted, before = _output(dice), dice.path("roll.png").read_bytes()
    dice.regen("regenerate", "roll.png")
    shown = dice.path("roll.png").read_bytes()
    dice.regen("accept", "roll.png")
    assert dice.status() == {"roll.png": "ok"}
    assert _output(dice)["hash"] != accepted["hash"]
    assert _output(dice)["key"] == accepted["key"]
    dice.git("checkout", "-q", "--", "roll.png.regen.json")
    assert dice.path("roll.png").read_bytes() == before != shown


def test_accept_takes_only_what_was_looked_at(dice):
    dice.regen("regenerate", "roll.png")
    looked_at = _on_disk(dice)
    dice.regen("regenerate", "roll.png")
    now, accepted = _on_disk(dice), _output(dice)
    done = dice.regen("accept", "roll.png", "--expect", looked_at, check=False)
    assert (done.returncode, f"is {now[:19]}… now" in done.stderr) == (1, True)
    assert _output(dice) == accepted
    dice.regen("accept", "roll.png", "--expect", now[:20])
    assert _output(dice)["hash"] == now
    # Once more, by somebody who has not seen that it was done already; and by one who is behind.
    assert "is accepted already" in dice.regen("accept", "roll.png", "--expect", now).stdout
    assert dice.regen("accept", "roll.png", "--expect", looked_at, check=False).returncode == 1
    dice.path("roll.png").unlink()
    assert dice.regen("accept", "roll.png", "--expect", now, check=False).returncode == 1


@pytest.mark.parametrize("words", [("roll.png", "--expect", "roll"), ("roll.png", "wave.wav", "--expect", "12345678")])
def test_what_is_expected_is_a_hash_of_one_asset(dice, words):
    dice.regen("generate", "wave.wav", "--generator", "tone", "--param", "duration=0.1")
    done = dice.regen("accept", *words, check=False)
    assert (done.returncode, done.stderr.startswith("error: ")) == (2, True)


def _on_disk(project, path="roll.png"):
    return json.loads(project.regen("status", "--json", path).stdout)["assets"][0]["on_disk"]


def test_a_switch_replaces_a_stand_in_when_the_output_changes(dice):
    first = dice.path("roll.png").read_bytes()
    dice.git("switch", "-qc", "other")
    dice.regen("regenerate", "roll.png")
    dice.regen("accept", "roll.png")
    second = dice.path("roll.png").read_bytes()
    dice.commit("another roll")
    dice.regen("regenerate", "roll.png")
    assert dice.status() == {"roll.png": "drifted"}
    dice.git("switch", "-q", "main")
    assert dice.path("roll.png").read_bytes() == first
    dice.git("switch", "-q", "other")
    assert dice.path("roll.png").read_bytes() == second


def test_an_edit_needs_accept_and_add_refuses_it(dice):
    dice.path("roll.png").write_bytes(b"painted")
    assert dice.status() == {"roll.png": "modified"}
    done = dice.regen("add", "roll.png", check=False)
    assert done.returncode == 1
    assert "regen-vcs accept roll.png" in done.stderr
    dice.regen("fetch", "roll.png")
    assert dice.path("roll.png").read_bytes() == b"painted"
    dice.regen("fetch", "--force", "roll.png")
    assert dice.path("roll.png").read_bytes() != b"painted"
    assert "roll.png" in dice.regen("rescued").stdout


def test_a_missing_one_that_comes_out_otherwise_is_drifted_too(dice, home):
    import shutil

    accepted = _output(dice)
    shutil.rmtree(home.cache, ignore_errors=True)
    shutil.rmtree(home.keep)
    shutil.rmtree(dice.root / ".git" / "regen" / "spare", ignore_errors=True)
    dice.path("roll.png").unlink()
    dice.regen("sync")
    assert dice.status() == {"roll.png": "drifted"}
    assert _output(dice) == accepted


def test_as_source_gives_up_the_recipe_for_the_bytes(dice):
    dice.path("roll.png").write_bytes(b"painted")
    dice.regen("add", "--as-source", "roll.png")
    document = json.loads(dice.path("roll.png.regen.json").read_text())
    assert "generator" not in document
    assert document["meta"]["made_from"]["generator"] == "command:dice"
    assert dice.status() == {"roll.png": "ok"}
