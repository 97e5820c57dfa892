"""The addon's own rules: what runs in Blender's process, and which of its modules may know Blender at all."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "blender_addon"
MODULES = sorted(ROOT.rglob("*.py"))
# What Blender itself brings.
BLENDER = {"bpy", "bmesh", "mathutils", "gpu", "gpu_extras", "blf", "aud", "bl_ui", "addon_utils", "nodeitems_utils", "bpy_extras", "rna_prop_ui"}
# Tested without Blender: whatever of the addon is logic.
PURE = {
    "bridge.py", "children.py", "content_paths.py", "forms.py", "graph_layout.py", "jobs.py", "listing.py", "references.py", "vault.py",
    "answers.py", "details.py", "frame_names.py", "messages.py", "queue_view.py", "remembered.py", "sidecars.py", "state.py", "vault_recipes.py", "watching.py",
}  # fmt: skip
# `children.py` starts processes; these two name its types.
STARTERS = {"bridge.py", "children.py", "jobs.py"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path) -> list[tuple[int, int, str]]:
    """(line, level, dotted name) of every import, wherever in the module it stands; level 0 is absolute."""
    found = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, 0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.lineno, node.level, f"{node.module or ''}.{alias.name}".lstrip(".")) for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_it_imports_python_and_blender_and_itself(path):
    """Nothing of regen-vcs, and no library: Blender's process has its own, and other addons have theirs."""
    wrong = [
        f"line {line}: {name}" for line, level, name in imports_of(path)
        if level == 0 and name.split(".")[0] not in {*sys.stdlib_module_names, *BLENDER}
    ]  # fmt: skip
    assert not wrong, f"{name_of(path)} imports {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_relative_imports_stay_inside_and_find_their_module(path):
    """An extension is called by another name than a legacy addon, so absolute imports of itself find nothing."""
    depth = len(path.relative_to(ROOT).parts)
    for line, level, name in imports_of(path):
        if level == 0:
            assert name.split(".")[0] not in ("blender_addon", "regen_vcs_addon"), f"line {line}: {name}"
            continue
        assert level <= depth, f"{name_of(path)}:{line} leaves the addon"
        base = path.parents[level - 1]
        first = base / name.split(".")[0]
        assert first.with_suffix(".py").exists() or first.is_dir() or (base / "__init__.py").exists(), f"{name_of(path)}:{line}: {name}"


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_know_no_blender(name):
    """Neither they nor what they import."""
    seen, left = set(), [name]
    while left:
        module = left.pop()
        seen.add(module)
        for line, level, each in imports_of(ROOT / module):
            first = each.split(".")[0]
            assert level or first not in BLENDER, f"{module}:{line}: {name} gets to know {each}"
            if level and f"{first}.py" not in seen and (ROOT / f"{first}.py").exists():
                left.append(f"{first}.py")


@pytest.mark.parametrize("path", [each for each in MODULES if name_of(each) not in STARTERS], ids=name_of)
def test_only_the_bridge_and_the_jobs_start_processes(path):
    wrong = [name for _, level, name in imports_of(path) if level == 0 and name.split(".")[0] in ("subprocess", "multiprocessing", "pty")]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr.startswith(("system", "popen", "exec", "spawn", "posix_spawn", "fork", "startfile")):
            wrong.append(f"os.{node.attr}")
    assert not wrong, f"{name_of(path)} starts processes: {wrong}"


@pytest.mark.parametrize("path", [each for each in MODULES if name_of(each) not in PURE], ids=name_of)
def test_no_thread_where_blender_is_known(path):
    """Blender's data may be touched from its main thread alone; threads are in modules that cannot reach it."""
    wrong = [name for _, level, name in imports_of(path) if level == 0 and name.split(".")[0] in ("threading", "_thread", "concurrent", "asyncio")]
    assert not wrong, f"{name_of(path)} has threads and bpy: {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_old_blenders_can_read_it(path):
    ast.parse(path.read_bytes(), feature_version=(3, 10))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_evaluated(path):
    """What comes out of a .blend or a repository is data."""
    called = {node.func.id for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec", "compile", "__import__"}


def test_the_pure_modules_are_there():
    assert {name_of(path) for path in MODULES} >= PURE
