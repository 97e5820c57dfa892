"""The zips that Blender installs: sound, the same every time, and with regen-vcs inside where that is asked for."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from regen_vcs.engine.addon_package import (
    LEGACY_FOLDER,
    MANIFEST,
    addon_files,
    addon_folder,
    extension_zip,
    legacy_zip,
    make_zip,
)
from tests.addon.blenders import ROOT, blenders, require

spec = importlib.util.spec_from_file_location("packaging_of_the_addon", ROOT / "packaging" / "addon.py")
packaging = importlib.util.module_from_spec(spec)
spec.loader.exec_module(packaging)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return addon_files(addon_folder())


# --- both zips ---


def test_they_are_sound_and_always_the_same(files, tmp_path):
    written = packaging.build(tmp_path)
    before = [path.read_bytes() for path in written]
    copy = shutil.copytree(addon_folder(), tmp_path / "copy")
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "x.pyc").write_bytes(b"")
    (copy / ".DS_Store").write_bytes(b"")
    again = addon_files(str(copy))
    assert again == files
    assert [extension_zip(again), legacy_zip(again)] == before
    assert [path.name for path in written] == ["regen_vcs-0.1.0.zip", "regen_vcs_addon-0.1.0-legacy.zip"]


def test_the_command_writes_the_same(home, files):
    done = home_run(home, "addon", "--output", "regen für Blender.zip")
    assert done.stdout == "regen für Blender.zip\n"
    assert (home.work / "regen für Blender.zip").read_bytes() == extension_zip(files)
    done = home_run(home, "addon", "--legacy")
    assert (home.work / done.stdout.strip()).read_bytes() == legacy_zip(files)


def test_the_command_where_nothing_can_be_written(home):
    done = home_run(home, "addon", "--output", "no/where.zip", check=False)
    assert done.returncode == 2 and "hint:" in done.stderr and list(home.work.iterdir()) == []


def home_run(home, *args, check=True):
    return subprocess.run([sys.executable, "-I", "-m", "regen_vcs", *args], cwd=home.work, env=home.env, capture_output=True, text=True, check=check, timeout=60)


def without(files, name):
    return {each: data for each, data in files.items() if each != name}


def replaced(files, name, old, new):
    assert old in files[name]
    return {**files, name: files[name].replace(old, new)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: without(f, MANIFEST), "is missing at the top"),
        (lambda f: without(f, "__init__.py"), "__init__.py is missing"),
        (lambda f: without(f, "LICENSE"), "LICENSE is missing"),
        (lambda f: replaced(f, MANIFEST, b'version = "0.1.0"', b'version = "0.2.0"'), "0.2.0 is not"),
        (lambda f: replaced(f, MANIFEST, b"git recipes", b"git recipes."), "full stop"),
        (lambda f: replaced(f, "__init__.py", b"(0, 1, 0)", b"(0, 9, 0)"), "bl_info: version"),
        (lambda f: replaced(f, "__init__.py", b"(3, 4, 0)", b"(4, 2, 0)"), "3.4 would not take it"),
        (lambda f: replaced(f, "__init__.py", b"def unregister", b"def other"), "no unregister"),
        (lambda f: {**f, "new.py": b"type X = int\n"}, "new.py:1"),
        (lambda f: {**f, "a\\b.py": b""}, "no good name"),
        (lambda f: {**f, "../x.py": b""}, "no good name"),
        (lambda f: {**f, "__pycache__/x.pyc": b""}, "does not belong"),
        (lambda f: {**f, "Vault.py": b""}, "case alone"),
    ],
)  # fmt: skip
def test_an_unsound_extension_is_told(files, change, said):
    with pytest.raises(packaging.Unsound, match=said):
        packaging.check_zip(extension_zip(change(files)), legacy=False)


def test_an_unsound_legacy_addon_is_told(files):
    with pytest.raises(packaging.Unsound, match="outside"):
        packaging.check_zip(make_zip({**{f"{LEGACY_FOLDER}/{name}": data for name, data in without(files, MANIFEST).items()}, "stray.py": b""}), legacy=True)
    with pytest.raises(packaging.Unsound, match=MANIFEST):
        packaging.check_zip(make_zip({f"{LEGACY_FOLDER}/{name}": data for name, data in files.items()}), legacy=True)


# --- what Blender's own tool says ---


def extension_tool(blender) -> Path:
    require(blender)
    (found,) = Path(blender.argv[0]).parent.parent.glob("lib/python*/site-packages/bpy/*/scripts/addons*/bl_pkg/cli/blender_ext.py")
    return found


@pytest.mark.parametrize("blender", [each for each in blenders() if not each.program], ids=lambda each: each.name)
def test_blender_validates_and_builds_it(blender, files, tmp_path):
    tool = extension_tool(blender)
    path = tmp_path / "extension.zip"
    path.write_bytes(extension_zip(files))
    source = tmp_path / "source"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(source)
    (tmp_path / "out").mkdir()
    for argv in (["validate", path], ["validate", source], ["build", "--source-dir", source, "--output-dir", tmp_path / "out"]):
        done = subprocess.run([sys.executable, tool, *argv], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    (built,) = (tmp_path / "out").iterdir()
    with zipfile.ZipFile(built) as theirs, zipfile.ZipFile(path) as ours:
        assert {name for name in theirs.namelist() if not name.endswith("/")} == set(ours.namelist())


# --- with regen-vcs inside ---


def make_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_wheels_are_unpacked_as_they_would_be_installed(tmp_path):
    wheel = make_wheel(tmp_path / "a.whl", {
        "a/__init__.py": b"1", "a/": b"", "a-1.data/platlib/a/x.so": b"2", "a-1.data/purelib/b.py": b"3", "a-1.data/scripts/a": b"4",
        "a-1.dist-info/entry_points.txt": b"5", "numpy/linalg/tests/t.py": b"6", "numpy/lib.a": b"7",
    })  # fmt: skip
    assert packaging.unpack([wheel]) == {"a/__init__.py": b"1", "a/x.so": b"2", "b.py": b"3", "a-1.dist-info/entry_points.txt": b"5"}


def test_two_wheels_with_another_file_of_one_name(tmp_path):
    one, other = (make_wheel(tmp_path / f"{name}.whl", {"x.py": name.encode()}) for name in "ab")
    with pytest.raises(packaging.Unsound, match=r"x\.py"):
        packaging.unpack([one, other])
    assert packaging.unpack([one, one]) == {"x.py": b"a"}


def test_a_platform_is_named_before_the_first_table():
    import tomllib

    text = (ROOT / "blender_addon" / MANIFEST).read_text(encoding="utf-8")
    manifest = tomllib.loads(packaging._with_platform(text, "linux-x64"))
    assert manifest["platforms"] == ["linux-x64"] and "platforms" not in manifest["permissions"]


@pytest.fixture
def bundled(tmp_path):
    """(A Python that has nothing of ours, the folder of an addon that brings it all.) The libraries are links: unpacked wheels look the same."""
    python = os.path.realpath(sys.executable)
    bare = subprocess.run([python, "-I", "-c", "import blake3"], capture_output=True, check=False).returncode != 0
    if not bare:
        pytest.skip("the Python beneath this environment has the libraries itself")
    packages = tmp_path / "an äddon" / "bundled" / f"cp{sys.version_info[0]}{sys.version_info[1]}"
    packages.mkdir(parents=True)
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(folder).iterdir():
            if path.suffix != ".pth" and not path.name.startswith(("regen_vcs", "__editable__", "_editable", "_regen")):
                (packages / path.name).symlink_to(path)
    shutil.copytree(ROOT / "regen_vcs", packages / "regen_vcs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "git_hooks", packages / "regen_vcs" / "git_hooks")
    entry = packages / "regen_vcs-0.1.0.dist-info"
    entry.mkdir()
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: regen-vcs\nVersion: 0.1.0\n")
    import tomllib

    with open(ROOT / "pyproject.toml", "rb") as file:
        points = tomllib.load(file)["project"]["entry-points"]["regen_vcs.generators"]
    (entry / "entry_points.txt").write_text("[regen_vcs.generators]\n" + "".join(f"{name} = {value}\n" for name, value in points.items()))
    return python, packages


def test_the_bundled_regen_vcs_does_it_all_without_anything_installed(bundled, home):
    """Set up, made by a generator in its child, and brought back by a git hook: each starts a Python of its own."""
    python, packages = bundled
    project = home.repo(init=False)
    project.env = {**project.env, "PATH": os.defpath + os.pathsep + os.path.dirname(shutil.which("git"))}

    def regen(*args):
        return project.run(python, "-I", str(packages / "regen_vcs" / "__main__.py"), *args)

    regen("init")
    regen("generate", "a.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    project.commit("a")
    picture = project.path("a.png").read_bytes()
    project.git("rm", "-q", "a.png.regen.json")
    project.commit("b")
    assert not project.path("a.png").exists()
    project.git("reset", "-q", "--hard", "HEAD~1")
    assert project.path("a.png").read_bytes() == picture
    assert str(packages) in regen("doctor").stdout


def test_a_zip_is_read_without_its_bundle(files):
    """The libraries' own files are theirs: they are not held to our rules."""
    data = extension_zip({**files, "bundled/cp311/x/new.py": b"type X = int\n"})
    packaging.check_zip(data, legacy=False)
    assert "bundled/cp311/x/new.py" in zipfile.ZipFile(io.BytesIO(data)).namelist()
