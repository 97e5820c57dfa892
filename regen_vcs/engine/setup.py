"""Setting a repository up, and taking that back without a trace."""

from __future__ import annotations

import os
import sys
from collections import namedtuple
from collections.abc import Mapping

import regen_vcs
from regen_vcs.engine.ignoring import refresh_ignores
from regen_vcs.engine.project_file import FIRST_PROJECT_FILE
from regen_vcs.engine.snapshot import look
from regen_vcs.engine.trust import trust_store
from regen_vcs.engine.workspace import PROJECT_FILE, Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.git import attributes, ignore, index, install, tracking
from regen_vcs.git import config as git_config
from regen_vcs.git.managed_block import read_file, replace_file
from regen_vcs.git.run import Git
from regen_vcs.git.version import in_place

_NEVER_IN_PLACE = (".gitattributes", ".gitignore", PROJECT_FILE, "x.regen.json")

# actions: what was done, one line each; warnings: what the user should know; snippets: (file, line) to add by hand
SetUp = namedtuple("SetUp", ("actions", "warnings", "snippets"))


def launcher() -> list[str]:
    """The argv that starts this very installation, isolated from the directory it runs in.

    By the file and not by `-m`, whose machinery would cost every hook 4 ms.
    """
    package = os.path.dirname(os.path.abspath(regen_vcs.__file__))
    return [sys.executable, "-I", os.path.join(package, "__main__.py")]


def init(ws: Workspace) -> SetUp:
    """Attributes, regen.toml, drivers, hooks, ignores, registry. Safe to repeat; says only what it changed."""
    actions, warnings = [], []
    if attributes.write_attributes(ws.repo, attributes.in_place_patterns(ws.repo)):
        actions.append("wrote .gitattributes: sidecars merge and diff as recipes")
    if not os.path.lexists(f"{ws.root}/{PROJECT_FILE}"):
        with open(f"{ws.root}/{PROJECT_FILE}", "x", encoding="utf-8") as file:
            file.write(FIRST_PROJECT_FILE)
        actions.append(f"wrote {PROJECT_FILE}: generators and defaults go there")
    os.makedirs(ws.repo.state_dir, exist_ok=True)
    ws.register()
    installed = install.install_hooks(ws.repo, launcher())
    hooks_in_place = install.hooks_in_place(ws.repo)
    install.set_drivers(
        ws.repo, launcher(), hooks_in_place=hooks_in_place, in_place=bool(attributes.in_place_patterns(ws.repo))
    )
    if installed.written:
        actions.append(f"installed hooks in {_shorten(ws, installed.place.folder)}")
    for name in installed.chained:
        warnings.append(f"{name}: another program's hook was there; it runs first, as before")
    for name, why in installed.refused.items():
        warnings.append(f"hook {name} was left alone: {why}")
    if installed.place.kind == "manual":
        warnings.append(f"{installed.place.reason}: the filter does the hooks' work; removals wait for the next sync")
    snapshot = look(ws)
    refresh_ignores(ws, snapshot)
    warnings += attribute_warnings(ws)
    return SetUp(actions, warnings, installed.snippets)


def attribute_warnings(ws: Workspace) -> list[str]:
    """Attributes that another rule gives to sidecars, against what we wrote."""
    problems = attributes.attribute_problems(ws.repo, "x.regen.json")
    return [f"attribute {name} of sidecars is {found!r}, not {wanted!r}: another line of .gitattributes says so"
            for name, (found, wanted) in problems.items()]


def install_global(cwd: str, environ: Mapping[str, str]) -> list[str]:
    """Drivers for every repository of this user: a fresh clone's media come by the filter."""
    install.set_drivers(Git(cwd, environ), launcher(), in_place=True)
    return ["set the filter, merge and diff drivers in your global git config"]


def uninstall_global(cwd: str, environ: Mapping[str, str]) -> list[str]:
    install.unset_drivers(Git(cwd, environ))
    return ["removed the drivers from your global git config"]


def uninstall(ws: Workspace) -> SetUp:
    """Every file as it was before `init`. The stores, the sidecars and regen.toml stay: they are yours."""
    removed = install.uninstall_hooks(ws.repo)
    install.unset_drivers(ws.repo)
    attributes.drop_attributes(ws.repo)
    tracking.drop_ignores(ws.repo)
    ignore.drop_exclude(ws.repo)
    actions = ["removed hooks, drivers, attributes and ignore blocks"]
    actions += [f"put {name} back as it was" for name in removed.restored]
    warnings = [f"{path} was left alone: {why}" for path, why in removed.left.items()]
    warnings += _forget_project_file(ws)
    try:
        trust_store(look(ws, paths=set())).revoke()
    except RegenError:
        pass
    git_config.unset_local(ws.repo, "regen.uuid")
    return SetUp(actions, warnings, [])


def _forget_project_file(ws: Workspace) -> list[str]:
    """regen.toml goes only if it is still the one `init` wrote and git does not have it."""
    if ws.project_bytes() != FIRST_PROJECT_FILE.encode():
        return []
    if not index.tracked(ws.repo, [PROJECT_FILE]):
        ws.tree.unlink(PROJECT_FILE)
    return []


def track(ws: Workspace, pattern: str) -> bool:
    return tracking.track_pattern(ws.repo, pattern)


def untrack(ws: Workspace, pattern: str) -> bool:
    return tracking.untrack_pattern(ws.repo, pattern)


def in_place_patterns(ws: Workspace) -> list[str]:
    return attributes.in_place_patterns(ws.repo)


def track_in_place(ws: Workspace, pattern: str) -> bool:
    """Have git keep assets of this pattern as their documents; False where it does already.

    UsageError, and nothing changed, for a pattern that would take sidecars or git's own files along.
    """
    if not pattern.strip() or "\n" in pattern or pattern != pattern.strip() or pattern[0] in "!#" or pattern.startswith("[attr]"):
        raise UsageError(f"{pattern!r} is not a pattern of media", "for example: regen-vcs track --in-place '*.png'")
    if pattern.endswith("/"):
        raise UsageError(f"{pattern!r}: attributes are of files, not of folders", f"regen-vcs track --in-place '{pattern}**'")
    known = attributes.in_place_patterns(ws.repo)
    if pattern in known:
        set_in_place_drivers(ws)
        return False
    path = f"{ws.root}/.gitattributes"
    before = read_file(path)
    attributes.write_attributes(ws.repo, [*known, pattern])
    taken = in_place(ws.repo, [*_NEVER_IN_PLACE, *(f"{folder}/{name}" for folder in _folders_of(pattern) for name in _NEVER_IN_PLACE)])
    if taken:
        replace_file(path, before)
        raise UsageError(
            f"{pattern!r} would turn {min(taken)} into a document too", "name the media, as in: regen-vcs track --in-place '*.png'"
        )
    set_in_place_drivers(ws)
    return True


def untrack_in_place(ws: Workspace, pattern: str) -> bool:
    """The reverse of `track_in_place`; False for a pattern that is not there."""
    known = attributes.in_place_patterns(ws.repo)
    if pattern not in known:
        return False
    known.remove(pattern)
    attributes.write_attributes(ws.repo, known)
    return True


def set_in_place_drivers(ws: Workspace) -> None:
    install.set_drivers(ws.repo, launcher(), hooks_in_place=install.hooks_in_place(ws.repo), in_place=True)


def _folders_of(pattern: str) -> list[str]:
    """A folder that this pattern speaks of, if any: `shots/**` → `shots`."""
    folder = pattern.strip("/").rpartition("/")[0].replace("**", "x").replace("*", "x").replace("?", "x")
    return [folder] if folder else []


def _shorten(ws: Workspace, path: str) -> str:
    return os.path.relpath(path, ws.root) if path.startswith(ws.root + "/") else path


def tracked_patterns(ws: Workspace) -> list[str]:
    return tracking.tracked_patterns(ws.repo)
