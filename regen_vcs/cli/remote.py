"""`regen-vcs remote add|list|check|remove|prune`."""

from __future__ import annotations

import os
import sys

import click

from regen_vcs.cli.terminal import fail_with, note, print_json, say, workspace
from regen_vcs.cli.transfer_progress import TransferProgress
from regen_vcs.engine import remote_prune
from regen_vcs.engine.finding import count
from regen_vcs.engine.remote_check import Checked, check_remotes
from regen_vcs.engine.remotes import (
    active_remotes,
    add_remote,
    remote_named,
    remove_remote,
    suggested_remotes,
)
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import CorruptionError, NotTrusted, UsageError
from regen_vcs.model.quantities import human_duration, human_size, parse_duration
from regen_vcs.remote.urls import redact

_SHOWN = 20


@click.group("remote", invoke_without_command=True)
@click.pass_context
def remote_command(context: click.Context) -> int:
    """The remotes of this repository: shared stores of media. Active ones stand in git config, never in the repository.

    \b
    Example: regen-vcs remote add studio s3://film-media/store --durable
    """
    return context.invoke(list_remotes) if context.invoked_subcommand is None else 0


@remote_command.command("add")
@click.argument("name")
@click.argument("url", required=False)
@click.option("--durable", is_flag=True, help="It loses nothing: gc may rely on what it holds.")
@click.option("--read-only", is_flag=True, help="Fetch from it, never push to it.")
@click.option("--yes", "-y", is_flag=True, help="Take a suggested URL without asking: for scripts.")
def add(name: str, url: str | None, durable: bool, read_only: bool, yes: bool) -> int:
    """Use a remote from now on. Without URL: the one that regen.toml suggests under this name, after it was shown.

    s3://, gs://, az://, https://, http://, file:// or a path, which is taken as it is; a folder is made if need be.
    Credentials come from the provider's own chain; none is ever stored here.

    \b
    Example: regen-vcs remote add nas /mnt/film/regen --durable
    """
    with workspace() as ws:
        new = add_remote(ws, name, url or _suggested(ws, name, yes), os.getcwd(), durable=durable, read_only=read_only)
    say(f"added {name}" if new else f"{name} is in use already")
    return 0


def _suggested(ws: Workspace, name: str, yes: bool) -> str:
    """The URL that regen.toml suggests, if the user takes it: a repository must not choose where media go."""
    found = {each.name: each for each in suggested_remotes(ws)}.get(name)
    if found is None:
        raise UsageError(f"regen.toml suggests no remote {name}", f"regen-vcs remote add {name} URL")
    say(f"regen.toml suggests {name}: {found.shown_url}")
    if yes:
        return found.url
    if not sys.stdin.isatty():
        raise NotTrusted("nobody to ask whether that is the right place: this is no terminal", f"regen-vcs remote add {name} --yes")
    if not click.confirm("Use it for this repository's media?", err=True):
        raise NotTrusted("the remote was not added")
    return found.url


@remote_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_remotes(as_json: bool = False) -> int:
    """The remotes in use, in the order in which they are asked, and those that regen.toml suggests.

    \b
    Example: regen-vcs remote list
    """
    with workspace() as ws:
        active = active_remotes(ws)
        names = {each.name for each in active}
        suggested = [each for each in suggested_remotes(ws) if each.name not in names]
    if as_json:
        print_json({
            "remotes": [
                {"name": each.name, "url": redact(each.url), "durable": each.durable, "read_only": each.read_only} for each in active
            ],
            "suggested": [{"name": each.name, "url": each.shown_url} for each in suggested],
        })
        return 0
    for each in active:
        flags = [word for word, holds in (("durable", each.durable), ("read-only", each.read_only)) if holds]
        say(f"{each.name}  {redact(each.url)}" + (f"  ({', '.join(flags)})" if flags else ""))
    for each in suggested:
        say(f"{each.name}  {each.shown_url}  (suggested by regen.toml, not in use: regen-vcs remote add {each.name})")
    if not active and not suggested:
        note("there is no remote: regen-vcs remote add NAME URL")
    return 0


@remote_command.command("remove")
@click.argument("name")
def remove(name: str) -> int:
    """Stop using a remote. What lies there stays there.

    \b
    Example: regen-vcs remote remove studio
    """
    with workspace() as ws:
        remove_remote(ws, name)
    say(f"removed {name}; what lies there stays")
    return 0


@remote_command.command("check")
@click.argument("name", required=False)
@click.option("--all", "--objects", "objects", is_flag=True, help="Read and hash every object.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(name: str | None, objects: bool, as_json: bool) -> int:
    """A round trip to each remote, or to one; with --all, whether all they hold is what its name says.

    Exit code 5 where one cannot be used, 6 where one holds wrong bytes.

    \b
    Example: regen-vcs remote check studio --all
    """
    with workspace() as ws, TransferProgress("reading") as progress:
        remotes = active_remotes(ws) if name is None else [remote_named(ws, name)]
        if not remotes:
            raise UsageError("there is no remote to check", "regen-vcs remote add NAME URL")
        done = check_remotes(ws, remotes, objects=objects, on_change=progress)
    if as_json:
        print_json({"remotes": [_check_document(each) for each in done]})
    else:
        for each in done:
            _print_checked(each, objects)
    errors = {each.remote.name: each.error for each in done if each.error is not None}
    for each in done:
        if each.corrupt:
            errors[f"{each.remote.name} objects"] = CorruptionError(
                f"remote {each.remote.name}: {count(len(each.corrupt), 'object')} not what their names say",
                f"regen-vcs remote check {each.remote.name} --all names them; push them anew from where they are right",
            )
    return fail_with(errors)


def _print_checked(done: Checked, objects: bool) -> None:
    name = done.remote.name
    if done.error is not None:
        return
    if done.oddity:
        note(f"{name}: {done.oddity}")
    for hash in list(done.corrupt)[:_SHOWN]:
        say(f"{name}: damaged: object {hash}")
    if objects and not done.listed:
        note(f"{name}: does not say what it has; only what this repository accepts was looked at")
    if objects:
        state = "sound" if not done.corrupt else "sound, the others are not"
        say(f"{name}: {count(done.objects, 'object')} ({human_size(done.bytes)}) {state}")
    else:
        say(f"{name}: in order")


def _check_document(done: Checked) -> dict:
    return {
        "name": done.remote.name,
        "ok": done.error is None and not done.corrupt,
        "oddity": done.oddity,
        "objects": done.objects,
        "bytes": done.bytes,
        "listed": done.listed,
        "corrupt": sorted(done.corrupt),
        "error": None if done.error is None else done.error.what,
    }


@remote_command.command("prune")
@click.argument("name")
@click.option("--repo", "repositories", multiple=True, metavar="PATH", help="A repository that uses the remote; name all of them.")
@click.option("--grace", metavar="TIME", help="How long something must have been seen unreferenced; by default gc.grace.")
@click.option("--apply", "go", is_flag=True, help="Remove it. Without this: only say what could go.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def prune(name: str, repositories: tuple[str, ...], grace: str | None, go: bool, as_json: bool) -> int:
    """Remove what no repository refers to any more: not its history, refs, reflogs, worktrees, nor a pin of this machine.

    This repository and those named by --repo count, and no others: name every one that uses the remote (a mirror of the
    central one will do). A run without --apply notes what is unreferenced; only what was noted at least the grace ago, and is
    so still, can be removed.

    \b
    Example: regen-vcs remote prune studio --repo /srv/git/film.git --repo ../trailer
    """
    with workspace() as ws:
        remote = remote_named(ws, name)
        if remote.read_only and go:
            raise UsageError(f"remote {name} is read-only", f"git config --unset regen.remote.{name}.readOnly")
        seconds = ws.settings.get("gc.grace") if grace is None else parse_duration(grace)
        folders = [os.path.abspath(each) for each in repositories]
        plan = remote_prune.plan_prune(ws, remote, folders, grace=seconds)
        if go:
            remote_prune.prune(ws, plan)
    _print_prune(plan, go, seconds, as_json)
    return 0


def _print_prune(plan: remote_prune.PrunePlan, go: bool, grace: float, as_json: bool) -> None:
    size = sum(each.size for each in plan.remove)
    if as_json:
        print_json({
            "removed": go, "objects": [{"hash": f"blake3:{each.hash}", "size": each.size} for each in plan.remove],
            "bytes": size, "young": len(plan.young), "kept": plan.kept,
        })
        return
    verb = "removed" if go else "would remove"
    say(f"{verb} {count(len(plan.remove), 'object')} ({human_size(size)}); {plan.kept} are referred to")
    if plan.young:
        say(f"{count(len(plan.young), 'object')} more: unreferenced, but not seen so for {human_duration(grace)} yet")
    if plan.remove and not go:
        note(f"nothing was removed; to do so: regen-vcs remote prune {plan.remote.name} … --apply")
