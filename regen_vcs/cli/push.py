"""`regen-vcs push`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import Wanted, fail_with, note, print_json, say, workspace
from regen_vcs.cli.transfer_progress import TransferProgress
from regen_vcs.engine.accepted import LOCAL_REFS, Accepted, accepted_at, accepted_now
from regen_vcs.engine.pushing import Pushed, push
from regen_vcs.engine.remotes import active_remotes, remote_named, writable_remotes
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.quantities import human_size
from regen_vcs.remote.base import Remote

_SHOWN = 20


@click.command("push")
@click.argument("paths", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="What every local branch and tag accepts, not only HEAD and the index.")
@click.option("--history", is_flag=True, help="With --all: what any commit of these accepts.")
@click.option("--to", "remote", metavar="REMOTE", help="To this remote only; by default to every one that can be written.")
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="What was sent, as JSON.")
def push_command(
    paths: tuple[str, ...], everything: bool, history: bool, remote: str | None, dry_run: bool, as_json: bool
) -> int:
    """Bring the remotes what HEAD and the index accept and they lack. git push does it by itself (push.auto).

    Stand-ins and takes that nobody accepted stay here. What is accepted and in no store here is named; it is no error
    where the remote has it.

    \b
    Example: regen-vcs push --all --dry-run
    """
    if history and not everything:
        raise UsageError("push: --history belongs to --all", "say both")
    with workspace() as ws, TransferProgress("pushing") as progress:
        remote, paths = _remote_among(ws, remote, paths)
        targets = _targets(ws, remote)
        wanted = Wanted(ws, paths)
        accepted = accepted_at(ws, LOCAL_REFS, wanted, history=history) if everything else accepted_now(ws, wanted)
        wanted.require_some()
        done = push(ws, accepted, targets, dry_run=dry_run, on_change=progress)
    if as_json:
        print_json({"dry_run": dry_run, "remotes": [_document(each) for each in done]})
    else:
        for each in done:
            _print(each, dry_run)
    return fail_with(_errors(done))


def _remote_among(ws: Workspace, remote: str | None, paths: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """`push studio`: a remote's name is taken for it where nothing else has that name."""
    if remote is not None or len(paths) != 1 or paths[0] not in {each.name for each in active_remotes(ws)}:
        return remote, paths
    is_asset = os.path.lexists(paths[0]) or os.path.lexists(f"{paths[0]}.regen.json")
    return (remote, paths) if is_asset else (paths[0], ())


def _targets(ws: Workspace, remote: str | None) -> list[Remote]:
    if remote is not None:
        found = remote_named(ws, remote)
        if found.read_only:
            raise UsageError(f"remote {remote} is read-only", f"git config --unset regen.remote.{remote}.readOnly")
        return [found]
    found = writable_remotes(ws)
    if not found:
        raise UsageError("there is no remote to push to", "regen-vcs remote add NAME URL")
    return found


def _print(done: Pushed, dry_run: bool) -> None:
    if done.error is not None:
        return
    verb = "would send" if dry_run else "sent"
    what = f"{done.objects} objects ({human_size(done.bytes)})" if done.objects else "nothing"
    say(f"{done.remote.name}: {verb} {what}; {done.held} were there already")
    if done.released:
        say(f"{done.released} objects left keep for cache: {done.remote.name} is durable, and has them")
    for line in homeless_lines(done.homeless, done.remote.name):
        note(line)


def homeless_lines(homeless: list[Accepted], remote: str) -> list[str]:
    """What is accepted and nowhere to be had, named: what can be made again, and what cannot."""
    lines = []
    for source in (True, False):
        paths = sorted(each.path for each in homeless if each.is_source == source)
        if not paths:
            continue
        kind = "source assets" if source else "accepted results"
        lines.append(f"{len(paths)} {kind} in no store here, and not in {remote}:")
        lines += [f"  {path}" for path in paths[:_SHOWN]]
        if len(paths) > _SHOWN:
            lines.append(f"  and {len(paths) - _SHOWN} more")
    return lines


def _document(done: Pushed) -> dict:
    return {
        "remote": done.remote.name,
        "objects": done.objects,
        "bytes": done.bytes,
        "held": done.held,
        "released": done.released,
        "nowhere": sorted(each.path for each in done.homeless),
        "failed": [error.what for error in done.failed.values()],
        "error": None if done.error is None else done.error.what,
    }


def _errors(done: list[Pushed]) -> dict[str, RegenError]:
    errors: dict[str, RegenError] = {}
    for each in done:
        errors.update({f"{each.remote.name} {hash}": error for hash, error in each.failed.items()})
        if each.error is not None:
            errors[each.remote.name] = each.error
    return errors
