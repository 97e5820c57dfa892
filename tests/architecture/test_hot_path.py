"""Hooks, filter and plain `status` start fast: what they import, in theory and in a real run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Each costs 10 to 200 ms to import.
BANNED = {"click", "pydantic", "pydantic_core", "rich", "dulwich", "pygit2", "numpy", "PIL", "filelock", "importlib.metadata",
          "jsonschema", "platformdirs", "obstore", "zstandard", "ssl"}


def banned_among(names) -> set[str]:
    return {name for name in names if name in BANNED or name.partition(".")[0] in BANNED}


@pytest.mark.parametrize("module", [
    "regen_vcs.cli.main", "regen_vcs.cli.plumbing", "regen_vcs.cli.status", "regen_vcs.engine.hooks",
    "regen_vcs.engine.filter_loop", "regen_vcs.engine.sync", "regen_vcs.engine.checkout", "regen_vcs.engine.workspace",
])
def test_importing_it_imports_nothing_slow(module):
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not banned_among(done.stdout.split())


def imported_in(stderr: str) -> list[str]:
    """Module names in the output of `-X importtime`."""
    return [line.rpartition("|")[2].strip() for line in stderr.splitlines() if line.startswith("import time:")]


@pytest.fixture
def film(home):
    """Two branches with different source assets, everything in the store: hooks are warm."""
    project = home.repo()
    for name in ("a.wav", "b.wav"):
        project.write(name, name.encode() * 50)
    project.regen("add", ".")
    project.commit("one")
    project.git("switch", "-qc", "two")
    project.write("a.wav", b"two" * 50)
    project.regen("add", "a.wav")
    project.commit("two")
    return project


def timed(project, *argv: str, **kwargs):
    done = project.run(sys.executable, "-X", "importtime", "-I", "-m", "regen_vcs", *argv, **kwargs)
    names = imported_in(done.stderr)
    assert "regen_vcs.cli.main" in names
    return names


@pytest.mark.parametrize("argv", [("hook", "post-checkout", "0" * 40, "1" * 40, "1"), ("hook", "post-merge", "0"),
                                  ("hook", "post-index-change", "1", "0"), ("status",), ("status", "--json")])
def test_a_warm_run_imports_nothing_slow(film, argv):
    assert not banned_among(timed(film, *argv))


def test_a_hook_that_brings_media_imports_nothing_slow(film):
    """The branch is switched with all hooks silent, so that the hook run by hand has the work to do."""
    film.env["_PRE_COMMIT_SKIP_POST_CHECKOUT"] = "1"
    film.git("switch", "-q", "main")
    del film.env["_PRE_COMMIT_SKIP_POST_CHECKOUT"]
    assert film.path("a.wav").read_bytes() == b"two" * 50
    names = timed(film, "hook", "post-checkout", "0" * 40, "1" * 40, "1")
    assert film.path("a.wav").read_bytes() == b"a.wav" * 50
    assert not banned_among(names)


def test_the_filter_imports_nothing_slow(film):
    """git itself starts it, and shows us its stderr."""
    filter_command = f'"{sys.executable}" -X importtime -I -m regen_vcs filter-process'
    done = film.run(
        "git", "-c", f"filter.regen.process={filter_command}", "-c", f"core.hooksPath={os.devnull}", "checkout", "-q", "main",
    )
    names = imported_in(done.stderr)
    assert "regen_vcs.engine.filter_loop" in names and "regen_vcs.engine.sync" in names
    assert film.path("a.wav").read_bytes() == b"a.wav" * 50
    assert not banned_among(names)
