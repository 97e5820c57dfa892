"""The house's rules, so that nobody has to remember them: which room may know which, and who may do what.

    voices (cli) → verbs (engine) → places (stores | remote | git | generators | media) → nouns (model) → errors
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "regen_vcs"
PLACES = {"stores", "remote", "git", "generators", "media"}
# What each room may import of the others. platform/ stands beside the nouns: of ours it knows only the errors.
MAY_IMPORT = {
    "cli": {"cli", "api", "engine", "model", "errors", "platform", *PLACES},
    "engine": {"engine", "model", "errors", "platform", *PLACES},
    **{place: {place, "model", "errors", "platform"} for place in PLACES},
    "model": {"model", "errors"},
    "platform": {"platform", "errors"},
    "errors": set(),
    # A voice too: Python code speaks through it.
    "capture": {"engine", "model", "errors"},
    "__main__": {"cli"},
    # A voice as well; `__init__` hands out its names when they are asked for.
    "api": {"api", "engine", "model", "errors", "generators"},
    "__init__": {"api"},
}
# Modules that may touch the streams of the process, each with its reason.
EXCEPTIONS = {
    "media/exr.py": "a library prints on stdout, and this keeps it from that",
    "generators/runner.py": "the child process that runs jobs: its stdout is the protocol",
    "model/toml_schema.py": "python -m regen_vcs.model.toml_schema writes the schemas",
}
_VOICE = {
    ("os", "environ"), ("os", "environb"), ("os", "getenv"), ("os", "_exit"), ("sys", "exit"),
    ("sys", "stdout"), ("sys", "stderr"), ("sys", "argv"),
}
# Generators run in that child: its environment is the allow-list already, and its stderr is the job's log.
_OF_THE_CHILD = {("os", "environ"), ("sys", "stderr")}
# What Python code calls has the environment of its caller, as a command has.
_MAY_TOUCH = {"generators": _OF_THE_CHILD, "capture": {("os", "environ")}, "api": {("os", "environ")}}
# Who may start processes at all.
STARTERS = ("git/run.py", "generators/", "platform/")

MODULES = sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


def imports_of(tree: ast.AST, path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of every import, wherever in the module it stands."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: relative import"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_right(path):
    allowed = MAY_IMPORT[room_of(path)]
    wrong = []
    for line, name in imports_of(ast.parse(path.read_bytes()), path):
        parts = name.split(".")
        if parts[0] == "regen_vcs" and len(parts) > 1 and parts[1] not in allowed | {"__version__"}:
            wrong.append(f"line {line}: {name}")
    assert not wrong, f"{name_of(path)} imports what it may not: {wrong}"


def test_no_module_stands_outside_the_rooms():
    assert {room_of(path) for path in MODULES} <= MAY_IMPORT.keys()


@pytest.mark.parametrize("path", [each for each in MODULES if room_of(each) not in ("cli", "__main__")], ids=name_of)
def test_only_voices_print_exit_or_read_the_environment(path):
    if name_of(path) in EXCEPTIONS:
        return
    forbidden = _VOICE - _MAY_TOUCH.get(room_of(path), set())
    wrong = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input", "exit", "quit"):
            wrong.append(f"line {node.lineno}: {node.func.id}()")
        elif isinstance(node, ast.Attribute) and (ast.unparse(node.value), node.attr) in forbidden:
            wrong.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Raise) and "SystemExit" in ast.dump(node):
            wrong.append(f"line {node.lineno}: raise SystemExit")
    assert not wrong, f"{name_of(path)}: only cli/ does that: {wrong}"


_STARTING = {
    "system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile",
    *(f"{verb}{form}" for verb in ("exec", "spawn") for form in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
}


@pytest.mark.parametrize("path", [each for each in MODULES if not name_of(each).startswith(STARTERS)], ids=name_of)
def test_only_three_rooms_start_processes(path):
    wrong = []
    tree = ast.parse(path.read_bytes())
    for line, name in imports_of(tree, path):
        if name.split(".")[0] in ("subprocess", "multiprocessing", "pty", "_posixsubprocess"):
            wrong.append(f"line {line}: import {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in _STARTING:
            wrong.append(f"line {node.lineno}: os.{node.attr}")
    assert not wrong, f"{name_of(path)} starts processes: {wrong}"


@pytest.mark.parametrize("path", [each for each in MODULES if name_of(each) != "git/run.py"], ids=name_of)
def test_only_one_module_starts_git(path):
    """No list of ours begins with the word git, which is how an argv for it would begin."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.List | ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant):
            is_argv = node.elts[0].value == "git" and len(node.elts) > 1 and name_of(path).startswith(STARTERS)
            assert not is_argv, f"{name_of(path)}:{node.lineno}: starts git"


def test_pure_rooms_touch_no_disk():
    """model/ does no I/O (toml_schema's own program aside)."""
    wrong = []
    for path in sorted((ROOT / "model").glob("*.py")):
        if name_of(path) in EXCEPTIONS:
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
                wrong.append(f"{name_of(path)}:{node.lineno}")
            if isinstance(node, ast.Import) and any(alias.name in ("os", "io", "shutil", "tempfile") for alias in node.names):
                wrong.append(f"{name_of(path)}:{node.lineno}")
    assert not wrong
