"""git's side as `doctor` sees it: version, hooks, drivers, attributes, ignores, and which trigger is at work."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator
from itertools import pairwise

from regen_vcs.engine.finding import NOTE, OK, PROBLEM, Finding, count, some
from regen_vcs.engine.setup import launcher
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.git import attributes, config, index, install
from regen_vcs.git.managed_block import read_file
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import Git
from regen_vcs.model.paths import sidecar_of

OLDEST_GIT = (2, 31)
_LAUNCHED = re.compile(rb"^  if \[ -x (.+) \] && \[ -e (.+) \]; then\r?$", re.MULTILINE)
_DRIVERS = {
    "merge.regen.driver": ("merge driver", "sidecars merge as plain text"),
    "diff.regen.textconv": ("diff driver", "sidecars diff as plain text"),
}
_LEFT_SECONDS = 600.0  # an index.lock older than this was left by a git that died
_DESTROYED = (
    "git deletes ignored files without asking in: clean -fdx, worktree remove, a switch to history that tracks the same "
    "path, cone-mode sparse-checkout; what was edited since the last status or sync is lost then"
)


def examine_git(git: Git) -> Iterator[Finding]:
    version = git.version()
    text = ".".join(map(str, version))
    if version < OLDEST_GIT:
        yield Finding("git", PROBLEM, f"git {text} is too old", "install git 2.31 or newer")
    else:
        yield Finding("git", OK, f"git {text}")


def examine_repository(repo: Repo) -> Iterator[Finding]:
    kind = "a linked worktree" if repo.is_linked else "the main worktree"
    yield Finding("repository", OK, f"{repo.root}, {kind}, {repo.oid_format}")
    operation = repo.operation()
    if operation:
        yield Finding("repository", NOTE, f"in the middle of a {operation}: git status says how to go on")
    lock = f"{repo.git_dir}/index.lock"
    try:
        age = time.time() - os.stat(lock).st_mtime
    except OSError:
        return
    if age > _LEFT_SECONDS:
        yield Finding("repository", PROBLEM, f"{lock} was left by a git that died", f"rm {shlex.quote(lock)}")
    else:
        yield Finding("repository", NOTE, "another git is at work here: it holds index.lock")


# --- hooks --------------------------------------------------------------------------------------------


def examine_hooks(repo: Repo) -> Iterator[Finding]:
    place, states = install.hooks_place(repo), install.hook_state(repo)
    if place.reason:
        yield Finding("hooks", NOTE, place.reason)
    if place.kind == "manual":
        yield _by_hand(place.folder)
        return
    missing = [name for name, state in states.items() if state == "absent"]
    foreign = [name for name, state in states.items() if state == "foreign"]
    chained = [name for name, state in states.items() if state == "chained"]
    if missing:
        yield Finding("hooks", PROBLEM, f"not in place: {some(missing, 8)}", "regen-vcs init")
    if foreign:
        yield Finding("hooks", PROBLEM, f"another program's, without ours: {some(foreign, 8)}", "regen-vcs init")
    if chained:
        yield Finding("hooks", OK, f"run after another program's: {some(chained, 8)}")
    if not missing and not foreign:
        yield Finding("hooks", OK, f"all {len(states)} in place in {place.folder}")
    yield from _examine_hook_files(place.folder, [name for name in states if name not in missing + foreign])


def _by_hand(folder: str) -> Finding:
    """Hooks in a folder that is not ours to write: whether a person has added the lines."""
    beside = os.path.dirname(folder) if os.path.basename(folder) == "_" else folder
    missing = [n for n in install.HOOK_NAMES if f"regen-vcs hook {n}".encode() not in (read_file(f"{beside}/{n}") or b"")]
    if missing:
        reason = f"to be added by hand in {beside}: {some(missing, 8)}"
        return Finding("hooks", NOTE, reason, "regen-vcs init prints the lines")
    return Finding("hooks", OK, f"called by the ones in {beside}")


def _examine_hook_files(folder: str, names: list[str]) -> Iterator[Finding]:
    """Whether the installed files can run, start something that is there, and are of this version."""
    idle, gone, other = [], {}, []
    for name in names:
        path = next((each for each in (f"{folder}/{name}", f"{folder}/{name}.legacy") if install.is_ours(each)), None)
        text = read_file(path) if path else None
        if text is None:
            continue
        if not os.access(path, os.X_OK):
            idle.append(name)
        for missing in _missing_programs(text):
            gone[missing] = name
        if text != install.render_hook(name, launcher()):
            other.append(name)
    if idle:
        yield Finding("hooks", PROBLEM, f"not executable, so git passes them over: {some(idle, 8)}", "regen-vcs init")
    for path in gone:
        yield Finding("launcher", PROBLEM, f"the hooks start {path}, which is gone", "regen-vcs init")
    if other and not gone:
        reason = f"{count(len(other), 'hook')} of another version of regen-vcs, or of another installation"
        yield Finding("launcher", NOTE, reason, "regen-vcs init, to use this one")
    elif not gone and names:
        yield Finding("launcher", OK, " ".join(launcher()))


def _missing_programs(hook_text: bytes) -> list[str]:
    found = _LAUNCHED.search(hook_text)
    words = shlex.split(" ".join(each.decode("utf-8", "surrogateescape") for each in found.groups())) if found else []
    return [word for word in words if not os.path.exists(word)]


# --- drivers and triggers ---------------------------------------------------------------------------------


def examine_drivers(repo: Repo) -> Iterator[Finding]:
    values = _driver_values(repo)
    process = values["filter.regen.process"].value if "filter.regen.process" in values else ""
    yield from _examine_trigger(repo, process)
    yield from _examine_filter(process, values.get("filter.regen.required"))
    for name, (topic, otherwise) in _DRIVERS.items():
        if name not in values:
            yield Finding(topic, PROBLEM, f"not set: {otherwise}", "regen-vcs init")
            continue
        gone = _gone_program(values[name].value)
        if gone:
            yield Finding(topic, PROBLEM, f"starts {gone}, which is gone", "regen-vcs init")
        else:
            yield Finding(topic, OK, f"set, {values[name].scope}")


def _driver_values(repo: Repo) -> dict[str, config.ConfigValue]:
    """What git takes for our drivers, but for `-c filter.regen.process=`: every git that we start ourselves gets that."""
    values: dict[str, config.ConfigValue] = {}
    for section in ("filter", "merge", "diff"):
        for name, value in config.read_config_list(repo, f"{section}.regen"):
            if not (name == "filter.regen.process" and value.scope == "command" and not value.value):
                values[name] = value
    return values


def _examine_filter(process: str, required: config.ConfigValue | None) -> Iterator[Finding]:
    gone = _gone_program(process)
    if gone:
        yield Finding("filter", PROBLEM, f"starts {gone}, which is gone", "regen-vcs init")
    if process and " -I " not in process:
        reason = "its Python is not isolated (no ' -I '): a module in the working tree could run in its place"
        yield Finding("filter", PROBLEM, reason, "regen-vcs init")
    if required and required.value.lower() in ("true", "yes", "on", "1"):
        reason = "filter.regen.required is set: programs with a git of their own can check out nothing without us"
        yield Finding("filter", NOTE, reason, "git config --unset filter.regen.required")


def _gone_program(command: str) -> str | None:
    """What a configured command starts or asks for (`[ -x … ]`) by its full path, and is not there."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    named = words[:1] + [word for before, word in pairwise(words) if before in ("-x", "-e", "exec")]
    return next((word for word in named if os.path.isabs(word) and not os.path.exists(word)), None)


def _examine_trigger(repo: Repo, process: str) -> Iterator[Finding]:
    """Which of the two brings media after git has changed sidecars."""
    if install.hooks_in_place(repo):
        if process:
            reason = "hooks and filter are both at work: the filter costs every checkout a second start"
            yield Finding("trigger", NOTE, reason, "regen-vcs init")
        else:
            yield Finding("trigger", OK, "hooks")
    elif install.hooks_place(repo).kind == "config" and "absent" not in install.hook_state(repo).values():
        yield Finding("trigger", OK, "hooks in git's configuration; gits before 2.54 see none of them")
    elif process:
        yield Finding("trigger", OK, "filter: media follow every checkout, removals wait for the next regen-vcs sync")
    else:
        yield Finding("trigger", PROBLEM, "none: media follow only when you run regen-vcs sync", "regen-vcs init")


# --- attributes, ignores ------------------------------------------------------------------------------------


def examine_attributes(repo: Repo) -> Iterator[Finding]:
    folders = [path.rpartition("/")[0] for path in index.list_matching(repo, ["**/.gitattributes"])]
    wrong = False
    for folder in dict.fromkeys(["", *folders[:50]]):
        sidecar = f"{folder}/x.regen.json" if folder else "x.regen.json"
        problems = attributes.attribute_problems(repo, sidecar)
        for name, (wanted, found) in problems.items():
            wrong = True
            where = f" in {folder}/" if folder else ""
            reason = f"{name} of sidecars{where} is {found!r}, not {wanted!r}{_blamed(repo, folder, name)}"
            yield Finding("attributes", PROBLEM, reason, "regen-vcs init" if not folder else f"mend {folder}/.gitattributes")
    if wrong:
        return
    yield Finding("attributes", OK, "sidecars merge and diff as recipes")
    if not index.tracked(repo, [".gitattributes"]):
        yield Finding("attributes", NOTE, ".gitattributes is not in git yet: who clones has no merge driver", "git add .gitattributes")


def _blamed(repo: Repo, folder: str, attribute: str) -> str:
    path = f"{folder}/.gitattributes" if folder else ".gitattributes"
    rules = attributes.foreign_rules(read_file(f"{repo.root}/{path}") or b"", "x.regen.json")
    pattern = next((rule.pattern for rule in reversed(rules) if rule.attribute == attribute), None)
    return f": {path} says so for {pattern}" if pattern else ""


def examine_ignores(snapshot: Snapshot) -> Iterator[Finding]:
    """Whether git would take an asset on disk for a file of its own."""
    repo, rows = snapshot.ws.repo, snapshot.ws.state.rows
    present = [path for row in rows.values() for path in row.files if os.path.lexists(f"{repo.root}/{path}")]
    if not present:
        return
    request = "\0".join(present).encode("utf-8", "surrogateescape") + b"\0"
    answer = repo.git.result("check-ignore", "-z", "--stdin", "--no-index", input=request)
    ignored = {name.decode("utf-8", "surrogateescape") for name in answer.stdout.split(b"\0")}
    seen = [path for path in present if path not in ignored]
    if seen:
        yield Finding("ignores", PROBLEM, f"git would add as raw bytes: {some(seen)}", "regen-vcs sync")
    else:
        yield Finding("ignores", OK, f"git sees none of the {count(len(present), 'media file')} here")
    hidden = _hidden_sidecars(snapshot)
    if hidden:
        reason = f"a .gitignore hides {count(len(hidden), 'sidecar')}, so nobody can add {'it' if len(hidden) == 1 else 'them'}: {some(hidden)}"
        yield Finding("ignores", PROBLEM, reason, f"git check-ignore -v {shlex.quote(hidden[0])}, and mend that line")


def _hidden_sidecars(snapshot: Snapshot) -> list[str]:
    """Untracked sidecars of ours that git ignores."""
    untracked = [sidecar_of(path) for path, desired in snapshot.assets.items() if not desired.tracked]
    if not untracked:
        return []
    request = "\0".join(untracked).encode("utf-8", "surrogateescape") + b"\0"
    answer = snapshot.ws.repo.git.result("check-ignore", "-z", "--stdin", input=request)
    return [name.decode("utf-8", "surrogateescape") for name in answer.stdout.split(b"\0") if name]


def warn_of_dangers() -> Iterator[Finding]:
    yield Finding("dangers", NOTE, _DESTROYED)
