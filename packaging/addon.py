"""Builds the addon's zips for Blender and checks them: `make addon`, `make addon-bundles`.

    python packaging/addon.py                          the extension and the legacy addon
    python packaging/addon.py --bundle linux-x64 …     zips that bring regen-vcs along, for machines without Python

Nothing here needs Blender. Where a bpy wheel is installed, Blender's own `extension validate` has a look too.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from regen_vcs import __version__
from regen_vcs.engine.addon_package import (
    LEGACY_FOLDER,
    MANIFEST,
    addon_files,
    extension_zip,
    file_name,
    legacy_zip,
    make_zip,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "blender_addon"

# Blender's name of a platform: what pip calls the wheels that run there, oldest system first.
PLATFORMS = {
    "linux-x64": ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_10_9_x86_64", "macosx_10_13_x86_64", "macosx_10_15_x86_64", "macosx_11_0_x86_64"),
}
# The Pythons of Blender 4.2 to 5.0, and of 5.1 and newer, among those regen-vcs runs on.
PYTHONS = ("3.11", "3.13")
# pip reads conditions such as `sys_platform == "win32"` for the machine it runs on.
_MORE_ON_WINDOWS = ("colorama",)
# Nobody runs these within Blender: other programs' tests, headers, and what compilers link.
_LEFT_OUT = re.compile(r"(?:^|/)numpy/(?:.*/)?tests/|\.(?:a|lib|pyi|h|pxd)$")
# Of a path in a zip: Windows takes 260 characters, and Blender's folder for extensions has up to a hundred.
_LONGEST_NAME = 150
# What old Blenders run: nothing newer may be written.
_SYNTAX = (3, 10)
_NEEDED = ("schema_version", "id", "name", "version", "tagline", "maintainer", "type", "license", "blender_version_min")


class Unsound(Exception):
    """What is wrong with a zip, one line each."""


# ------------------------------------------------------------------------------------------------------------ checking


def check_zip(data: bytes, *, legacy: bool) -> None:
    """Unsound if Blender would not install this, or would install something else than is meant."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        files = {name: archive.read(name) for name in names if "/bundled/" not in f"/{name}"}
    wrong = _wrong_names(names)
    top = f"{LEGACY_FOLDER}/" if legacy else ""
    if legacy:
        wrong += [f"{name} is outside {top}" for name in names if not name.startswith(top)]
        wrong += [f"{MANIFEST} is in it"] if f"{top}{MANIFEST}" in files else []
    else:
        wrong += _wrong_manifest(files.get(MANIFEST))
    wrong += _wrong_start(files.get(f"{top}__init__.py"))
    wrong += [f"{top}LICENSE is missing"] if f"{top}LICENSE" not in files else []
    for name, source in files.items():
        if name.endswith(".py"):
            wrong += _wrong_source(name, source)
    if wrong:
        raise Unsound("\n".join(wrong))


def _wrong_names(names: list[str]) -> list[str]:
    wrong = [f"{name} stands twice" for name in {name for name in names if names.count(name) > 1}] if len(set(names)) < len(names) else []
    for name in names:
        if name.startswith("/") or ".." in name.split("/") or "\\" in name or len(name) > _LONGEST_NAME:
            wrong.append(f"{name} is no good name")
        if "__pycache__" in name or name.endswith(".pyc"):
            wrong.append(f"{name} does not belong there")
    folded = {name.casefold() for name in names}
    return wrong if len(folded) == len(set(names)) else [*wrong, "names differ in case alone"]


def _wrong_manifest(data: bytes | None) -> list[str]:
    if data is None:
        return [f"{MANIFEST} is missing at the top"]
    manifest = tomllib.loads(data.decode("utf-8"))
    wrong = [f"{MANIFEST}: {name} is missing" for name in _NEEDED if not manifest.get(name)]
    tagline = manifest.get("tagline", "")
    if len(tagline) > 64 or not tagline[-1:].isalnum():
        wrong.append(f"{MANIFEST}: the tagline has at most 64 characters and no full stop")
    if manifest.get("version") != __version__:
        wrong.append(f"{MANIFEST}: version {manifest.get('version')} is not {__version__}")
    if manifest.get("license") != ["SPDX:GPL-3.0-or-later"] or manifest.get("id") != "regen_vcs":
        wrong.append(f"{MANIFEST}: license or id is another")
    return wrong


def _wrong_start(data: bytes | None) -> list[str]:
    """Blender reads `bl_info` without running the file, so it has to be a plain value."""
    if data is None:
        return ["__init__.py is missing"]
    tree = ast.parse(data)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    wrong = [f"__init__.py has no {name}()" for name in ("register", "unregister") if name not in defined]
    found = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "bl_info"]
    if len(found) != 1:
        return [*wrong, "__init__.py has not one bl_info"]
    info = ast.literal_eval(found[0])
    if ".".join(map(str, info.get("version", ()))) != __version__:
        wrong.append(f"bl_info: version {info.get('version')} is not {__version__}")
    if info.get("blender", ()) > (3, 4, 0):
        wrong.append("bl_info: Blender 3.4 would not take it")
    return wrong


def _wrong_source(name: str, data: bytes) -> list[str]:
    try:
        ast.parse(data, feature_version=_SYNTAX)
    except SyntaxError as error:
        return [f"{name}:{error.lineno}: {error.msg}: Python {_SYNTAX[0]}.{_SYNTAX[1]} cannot read it"]
    return []


def blender_validators() -> list[Path]:
    """Blender's own program for extensions, out of every bpy wheel that is installed beside us. It needs no bpy to run."""
    pythons = [Path(each) for each in os.environ.get("REGEN_BPY_PYTHONS", "").split(os.pathsep) if each]
    folders = [each.parent.parent for each in pythons] or sorted(ROOT.glob(".venv-bpy-*"))
    return [path for folder in folders for path in folder.glob("lib/python*/site-packages/bpy/*/scripts/addons*/bl_pkg/cli/blender_ext.py")]


def validate(path: Path) -> int:
    """How many of Blender's validators looked at an extension; Unsound with their words if one says no."""
    validators = blender_validators()
    for each in validators:
        done = subprocess.run([sys.executable, each, "validate", path], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise Unsound(f"{each}:\n{done.stdout}{done.stderr}")
    return len(validators)


# ------------------------------------------------------------------------------------------------------------ building


def build(folder: Path) -> list[Path]:
    """Both zips, checked, in `folder`."""
    files = addon_files(str(SOURCE))
    written = []
    for legacy, data in ((False, extension_zip(files)), (True, legacy_zip(files))):
        check_zip(data, legacy=legacy)
        written.append(_write(folder / file_name(legacy=legacy), data))
    return written


def build_bundle(folder: Path, platform: str) -> Path:
    """The extension with regen-vcs and all it needs, for one platform, in `folder`."""
    files = addon_files(str(SOURCE))
    files[MANIFEST] = files[MANIFEST].rstrip() + b"\n"
    files[MANIFEST] = _with_platform(files[MANIFEST].decode(), platform).encode()
    with tempfile.TemporaryDirectory() as scratch:
        own = _own_wheel(Path(scratch))
        for python in PYTHONS:
            wheels = [own, *_download(Path(scratch) / python, platform, python)]
            top = f"bundled/cp{python.replace('.', '')}/"
            files |= {top + name: data for name, data in unpack(wheels).items()}
    data = make_zip(files)
    check_zip(data, legacy=False)
    return _write(folder / f"regen_vcs-{__version__}-{platform}.zip", data)


def _with_platform(manifest: str, platform: str) -> str:
    """A manifest with a line more, before its first table."""
    line = f'platforms = ["{platform}"]\n'
    head, table, rest = manifest.partition("\n[")
    return f"{head}\n{line}{table}{rest}" if table else manifest + line


def _own_wheel(folder: Path) -> Path:
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("regen_vcs-*.whl")
    return wheel


def _download(folder: Path, platform: str, python: str) -> list[Path]:
    """The wheels of everything regen-vcs needs there."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        needed = tomllib.load(file)["project"]["dependencies"]
    needed += _MORE_ON_WINDOWS if platform.startswith("windows") else ()
    tags = [word for tag in PLATFORMS[platform] for word in ("--platform", tag)]
    _pip("download", "--only-binary=:all:", *tags, "--python-version", python, "--implementation", "cp", "--dest", str(folder), *needed)
    return sorted(folder.glob("*.whl"))


def _pip(*args: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", args[0], "--quiet", "--disable-pip-version-check", *args[1:]], check=True)


def unpack(wheels: list[Path]) -> dict[str, bytes]:
    """{name: bytes} as they would be installed. Unsound where two wheels bring the same file with other bytes."""
    files: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                target = _installed_name(name)
                if target is None:
                    continue
                data = archive.read(name)
                if files.setdefault(target, data) != data:
                    raise Unsound(f"{wheel.name}: {target} is in another wheel too")
    return files


def _installed_name(name: str) -> str | None:
    """Where a wheel's file goes; None if it stays behind: folders, programs, and what nobody runs."""
    found = re.match(r"[^/]+\.data/(\w+)/(.+)", name)
    if found:
        name = found[2] if found[1] in ("purelib", "platlib") else ""
    return None if not name or name.endswith("/") or _LEFT_OUT.search(name) else name


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    os.replace(partial, path)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the addon's zips for Blender.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--bundle", nargs="+", choices=[*PLATFORMS, "all"], metavar="PLATFORM", help=f"with regen-vcs inside: {', '.join(PLATFORMS)}, all")
    args = parser.parse_args()
    platforms = list(PLATFORMS) if args.bundle and "all" in args.bundle else args.bundle or []
    try:
        written = [build_bundle(args.output, each) for each in platforms] if platforms else build(args.output)
        for path in written:
            seen = 0 if "legacy" in path.name else validate(path)
            by = f", and by Blender's validator in {seen} versions" if seen else ""
            print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB; checked{by})")
    except Unsound as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
