"""The active remotes of a repository: which there are, adding and removing them, and whether a durable one holds a thing.

They live in git config (`[regen "remote.store"] url, durable, readOnly`) and nowhere else: `regen.toml` can only suggest.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.engine.connections import PATIENCE, Connections
from regen_vcs.engine.known_remotely import KnownRemotely
from regen_vcs.engine.presence import find_held
from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.git import config as git_config
from regen_vcs.model.settings import SETTINGS, parse_setting
from regen_vcs.remote.base import Remote
from regen_vcs.remote.opening import open_remote
from regen_vcs.remote.urls import absolute_url, redact

# A name is also a part of a key of git config and of a file's name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_OPTIONS = ("url", "durable", "readOnly")

# url: as it is shown, without anything that could be a secret.
Suggestion = namedtuple("Suggestion", ("name", "url", "shown_url"))


def active_remotes(ws: Workspace) -> list[Remote]:
    """The remotes of this repository, in the order of git config. InvalidError for one that cannot be used."""
    return [_remote(name, table) for name, table in ws.settings.remotes().items()]


def writable_remotes(ws: Workspace) -> list[Remote]:
    return [remote for remote in active_remotes(ws) if not remote.read_only]


def where_it_was(ws: Workspace, hash: str) -> list[str]:
    """Of each remote, a sentence: whether it had an object when it was last asked. Asks none. InvalidError as `active_remotes`."""
    words = {True: "had its bytes when it was last asked", False: "did not have its bytes when it was last asked", None: "was never asked for its bytes"}
    return [f"the remote {remote.name} {words[KnownRemotely.of(ws, remote).has(hash)]}" for remote in active_remotes(ws)]


def remote_named(ws: Workspace, name: str) -> Remote:
    """UsageError where there is no active remote of that name."""
    remotes = active_remotes(ws)
    for remote in remotes:
        if remote.name == name:
            return remote
    known = ", ".join(each.name for each in remotes)
    raise UsageError(f"there is no remote {name}", f"there is {known}" if known else "regen-vcs remote add NAME URL")


def suggested_remotes(ws: Workspace) -> list[Suggestion]:
    """What regen.toml suggests, by name. InvalidError where that file is not valid."""
    project = ProjectFile.load(ws.project_bytes())
    found = []
    for name, table in sorted(project.suggested_remotes.items()):
        url = table.get("url")
        if isinstance(url, str):
            found.append(Suggestion(name, url, redact(url)))
    return found


def add_remote(ws: Workspace, name: str, url: str, folder: str, *, durable: bool = False, read_only: bool = False) -> bool:
    """Make a remote active; False where it was already. A folder is made and marked as a remote if need be.

    folder: what a relative path in `url` is relative to. The same name with the same URL takes new flags over.
    UsageError for a name that is taken by another URL; InvalidError, RemoteError for one that cannot be used.
    """
    if not _NAME.match(name):
        raise UsageError(f"{name!r} is not a name for a remote", "letters, digits, - and _ and ., beginning with a letter or digit")
    remote = Remote(name, absolute_url(url, folder), durable, read_only)
    known = ws.settings.remotes().get(name)
    if known and known.get("url") != remote.url:
        raise UsageError(
            f"there is a remote {name} already: {redact(known.get('url', ''))}",
            f"choose another name, or first: regen-vcs remote remove {name}",
        )
    before = _remote(name, known) if known else None
    if before is not None:  # said again without a flag, it keeps what it has
        remote = remote._replace(durable=durable or before.durable, read_only=read_only or before.read_only)
    _establish(ws, remote)
    if remote == before:
        return False
    _write(ws, remote)
    return True


def _establish(ws: Workspace, remote: Remote) -> None:
    with open_remote(remote, ws.environ, patience=PATIENCE) as store:
        store.establish()


def _write(ws: Workspace, remote: Remote) -> None:
    prefix = f"regen.remote.{remote.name}"
    git_config.set_local(ws.repo, f"{prefix}.url", remote.url)
    for option, value in (("durable", remote.durable), ("readOnly", remote.read_only)):
        if value:
            git_config.set_local(ws.repo, f"{prefix}.{option}", "true")


def remove_remote(ws: Workspace, name: str) -> None:
    """Forget a remote; what lies there stays. UsageError where there is none, or it is not this repository's to remove."""
    if name not in ws.settings.remotes():
        remote_named(ws, name)
    removed = [git_config.unset_local(ws.repo, f"regen.remote.{name}.{option}") for option in _OPTIONS]
    KnownRemotely.forget(ws.repo.shared_dir, name)
    if not any(removed):
        raise UsageError(f"remote {name} is not in this repository's own configuration", "see: git config --show-origin --get-regexp regen.remote")


def holds_durably(ws: Workspace, hashes: Iterable[str], *, progress: Callable[[int, int], None] | None = None) -> set[str]:
    """Which of these objects a durable remote says *now* that it holds, and this machine has once verified there.

    The second, because whoever can write there can put any bytes under a name: an object counts if these very bytes were
    uploaded from here, or fetched or checked (`remote check --all`), at some time. A remote that cannot be reached holds
    nothing. progress(asked, of how many).
    """
    wanted = list(dict.fromkeys(hashes))
    found: set[str] = set()
    with Connections(ws, [each for each in active_remotes(ws) if each.durable]) as connections:
        for remote in connections.remotes:
            known = KnownRemotely.of(ws, remote)
            hopeful = [each for each in wanted if each not in found and known.is_verified(each)]
            try:
                found |= find_held(connections.open(remote), hopeful, known, progress=progress)
            except RegenError as error:
                connections.give_up(remote, error)
            known.save()
    return found


def _remote(name: str, table: dict[str, str]) -> Remote:
    if not _NAME.match(name):
        raise InvalidError(f"remote {name!r} of git config has a name that cannot be used", "letters, digits, - and _ and .")
    if not table.get("url"):
        raise InvalidError(f"remote {name} has no url", f"git config regen.remote.{name}.url URL")
    flags = {}
    for option in ("durable", "readonly"):
        try:
            flags[option] = parse_setting(SETTINGS["push.auto"], table.get(option, "false"))  # a bool as any other
        except UsageError:
            raise InvalidError(
                f"regen.remote.{name}.{option} in git config is {table[option]!r}, not true or false", "mend or remove it"
            ) from None
    return Remote(name, table["url"], flags["durable"], flags["readonly"])
