"""The wheel, as somebody installs it: built from a copy of the tree, in an environment of its own, far from the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

fcntl = pytest.importorskip("fcntl")

from regen_vcs.engine.addon_package import addon_files, extension_zip  # noqa: E402

SOURCE = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "dist", "build", "__pycache__", ".*cache", "tests")
# What pip says where it cannot get the build back end: no network, or an index without it.
NO_BACK_END = ("No matching distribution found", "Could not find a version", "Failed to establish a new connection")

pytestmark = pytest.mark.slow


def run(*argv: str | Path, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run([str(each) for each in argv], capture_output=True, text=True, timeout=300, check=False, **kwargs)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with `wheel/` and `an énvironment/`, made once for all processes of tests: a minute's work."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "wheel and environment"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "why not").exists():
            (folder / "why not").write_text(build(folder), encoding="utf-8")
    why_not = (folder / "why not").read_text(encoding="utf-8")
    if why_not:
        pytest.skip(why_not)
    return folder


def build(folder: Path) -> str:
    """Why it cannot be done here; "" once it is done."""
    environment = folder / "an énvironment"
    done = run(sys.executable, "-m", "venv", environment)
    if done.returncode:
        return f"no venv can be made here: {done.stderr.strip()[-200:]}"
    python = python_of(environment)
    # From a copy, so that the tree stays as it is.
    copy = shutil.copytree(SOURCE, folder / "tree", ignore=NOT_COPIED, symlinks=True, dirs_exist_ok=True)
    done = run(python, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", folder / "wheel", copy)
    if done.returncode and any(sign in done.stderr for sign in NO_BACK_END):
        return "needs the build back end, which pip cannot get here"
    assert done.returncode == 0, done.stderr
    done = run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", *(folder / "wheel").glob("*.whl"))
    assert done.returncode == 0, done.stderr
    # Dependencies are the running environment's, by a .pth file: it comes after the environment's own packages, and the .pth files
    # *there* (an editable regen-vcs) are not read.
    dependencies = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site_of(python) / "zz-dependencies.pth").write_text("".join(f"{path}\n" for path in dependencies), encoding="utf-8")
    return ""


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def site_of(python: Path) -> Path:
    return Path(run(python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    (file,) = (built / "wheel").glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(built) -> Path:
    """The Python of a fresh environment with the wheel installed."""
    python = python_of(built / "an énvironment")
    found = Path(run(python, "-I", "-c", "import regen_vcs; print(regen_vcs.__file__)").stdout.strip())
    assert found.parent == site_of(python) / "regen_vcs", "another regen_vcs than the wheel's is imported"
    return python


def test_the_wheel_has_every_hook_and_nothing_besides(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    hooks = {f"regen_vcs/git_hooks/{path.name}" for path in (SOURCE / "git_hooks").iterdir() if path.is_file()}
    assert hooks <= names
    addon = {f"regen_vcs/blender_addon/{name}" for name in addon_files(str(SOURCE / "blender_addon"))}
    assert {name for name in names if name.startswith("regen_vcs/blender_addon/")} == addon
    assert {name for name in names if not name.startswith("regen_vcs/") and ".dist-info/" not in name} == set()
    modules = {str(path.relative_to(SOURCE).as_posix()) for path in (SOURCE / "regen_vcs").rglob("*.py")}
    assert modules <= names


def test_a_repository_set_up_by_it_knows_nothing_of_the_tree(installed, home):
    project = home.repo(init=False)
    done = project.run(str(installed), "-I", "-m", "regen_vcs", "init")
    assert "installed hooks" in done.stdout
    hooks = [path for path in project.path(".git/hooks").iterdir() if not path.name.endswith(".sample")]
    assert {path.name for path in hooks} >= {"pre-commit", "post-checkout", "post-index-change"}
    for path in [*hooks, project.path(".git/config"), project.path("regen.toml"), project.path(".gitattributes")]:
        assert str(SOURCE) not in path.read_text(encoding="utf-8"), path
    launched = project.path(".git/hooks/post-checkout").read_text(encoding="utf-8")
    assert str(installed.parent) in launched


def test_the_demo_runs_from_it(installed, home):
    environ = {name: value for name, value in home.env.items() if not name.startswith("REGEN_")}
    demo = SOURCE / "examples" / "demo" / "demo.py"
    done = run(installed, "-I", demo, cwd=home.work, env=environ, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "Nothing was left behind" in done.stdout
    assert str(SOURCE) not in done.stdout


def test_it_writes_the_addon_of_the_tree(installed, home):
    done = run(installed, "-I", "-m", "regen_vcs", "addon", "--output", home.work / "addon.zip", cwd=home.work, env=home.env)
    assert done.returncode == 0, done.stderr
    assert (home.work / "addon.zip").read_bytes() == extension_zip(addon_files(str(SOURCE / "blender_addon")))


def test_both_names_of_the_command_are_there(installed):
    for name in ("regen-vcs", "git-regen"):
        done = run(installed.parent / name, "--version")
        assert done.returncode == 0 and done.stdout.startswith("regen-vcs "), done.stderr
