"""Shared fixtures: a guarded home, real git in temporary repositories, and the tool run as users run it."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from tests.fork_server import ForkServer

PYTHON = sys.executable

# A shell without job control starts what it puts into the background with ^C ignored, and so does many a CI system; children
# inherit that. The tests send ^C to the tool as a user's terminal does, so it has to arrive.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes to draw or to run says more about what else the machine does than about us.
hypothesis.settings.register_profile("regen-vcs", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("regen-vcs")


def pytest_collection_modifyitems(config, items):
    """`needs("program")`: skip with the reason where it is missing; fail where CI promised to have installed it."""
    for item in items:
        for mark in item.iter_markers("needs"):
            missing = [name for name in mark.args if not shutil.which(name)]
            if missing and not os.environ.get("REGEN_REQUIRE_PROGRAMS"):
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}, which is not installed"))


class Home:
    """A user's machine: home, stores, configuration, and a folder to work in."""

    def __init__(self, base: Path):
        self.base = base
        self.home = base / "home"
        self.home.mkdir(parents=True)
        self.work = base / "wörk space"
        self.work.mkdir()
        self.keep = base / "keep"
        self.cache = base / "cache"
        self.env = {
            "HOME": str(self.home),
            "PATH": f"{os.path.dirname(PYTHON)}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
            "GIT_TERMINAL_PROMPT": "0",
            "REGEN_KEEP_DIR": str(self.keep),
            "REGEN_CACHE_DIR": str(self.cache),
            "REGEN_CONFIG_DIR": str(base / "config"),
            # Tests that want a worker in the background say so: the others' folders go away under it.
            "REGEN_CHECKOUT_BACKGROUND": "false",
        }
        (self.home / ".gitconfig").write_text(
            "[user]\n\tname = A Test\n\temail = a@test.invalid\n[init]\n\tdefaultBranch = main\n"
            "[protocol \"file\"]\n\tallow = always\n[advice]\n\tdetachedHead = false\n[commit]\n\tgpgsign = false\n"
        )

    def repo(self, name: str = "film", *, init: bool = True) -> Project:
        root = self.work / name
        root.mkdir(parents=True)
        project = Project(self, root)
        project.git("init", "-q")
        if init:
            project.regen("init")
            project.git("add", "-A")
            project.git("commit", "-qm", "init")
        return project


class Project:
    """A repository and the commands run in it."""

    def __init__(self, home: Home, root: Path):
        self.user, self.root = home, root
        self.env = dict(home.env)

    def run(self, *argv: str, check: bool = True, cwd: Path | None = None, **kwargs) -> subprocess.CompletedProcess:
        done = subprocess.run(
            argv, cwd=cwd or self.root, env=self.env, capture_output=True, text=True, stdin=kwargs.pop("stdin", subprocess.DEVNULL),
            timeout=kwargs.pop("timeout", 120), **kwargs,
        )
        return _checked(done, check)

    def git(self, *argv: str, check: bool = True, **kwargs) -> subprocess.CompletedProcess:
        return self.run("git", *argv, check=check, **kwargs)

    def regen(self, *argv: str, check: bool = True, **kwargs) -> subprocess.CompletedProcess:
        """The tool, as `python -I -m regen_vcs` runs it: see fork_server.py."""
        if _fork_server() is None or kwargs.keys() - {"cwd", "timeout", "stdin"}:
            return self.run(PYTHON, "-I", "-m", "regen_vcs", *argv, check=check, **kwargs)
        done = self.regen_bytes(*argv, **kwargs)
        done.stdout, done.stderr = (said.decode("utf-8", "surrogateescape").replace("\r\n", "\n") for said in (done.stdout, done.stderr))
        return _checked(done, check)

    def regen_bytes(self, *argv: str, cwd: Path | None = None, stdin=subprocess.DEVNULL, timeout: float = 120) -> subprocess.CompletedProcess:
        """The same, and what it printed in bytes: names need not be UTF-8. Its exit status is not looked at."""
        cwd, server = str(cwd or self.root), _fork_server()
        if server is None:
            words = [each.encode("utf-8", "surrogateescape") for each in (PYTHON, "-I", "-m", "regen_vcs", *argv)]
            return subprocess.run(words, cwd=cwd, env=self.env, capture_output=True, stdin=stdin, timeout=timeout, check=False)
        return server.run(list(argv), cwd=cwd, env=self.env, stdin=stdin if isinstance(stdin, int) else stdin.fileno(), timeout=timeout)

    def regen_on(self, terminal: int, *argv: str, env: dict[str, str]) -> None:
        """Start the tool with a terminal as its output; it is closed when that ends."""
        server = _fork_server()
        if server is None:
            subprocess.Popen([PYTHON, "-I", "-m", "regen_vcs", *argv], cwd=self.root, env=env, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal)
            return
        os.close(server.start(list(argv), cwd=str(self.root), env=env, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal)[1])

    def status(self) -> dict[str, str]:
        """{asset: state}."""
        import json

        done = self.regen("status", "--json")
        return {each["path"]: each["state"] for each in json.loads(done.stdout)["assets"]}

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message)


def _checked(done: subprocess.CompletedProcess, check: bool) -> subprocess.CompletedProcess:
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, done.args))} → {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


@functools.cache
def _fork_server() -> ForkServer | None:
    """One for each process of tests; it ends with it."""
    return ForkServer() if sys.platform == "linux" else None


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def project(home: Home) -> Project:
    """A repository in a folder with a space and an umlaut in its name, set up and committed."""
    return home.repo()
