"""`regen-vcs pin` and `regen-vcs unpin`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.main import one_line
from regen_vcs.cli.terminal import print_json, say, workspace
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.pins import find_object, is_hash, pin, pinned, unpin
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.quantities import human_size


@click.command("pin")
@click.argument("what", nargs=-1, metavar="[PATH|HASH]...")
@click.option("--note", default="", help="Why; shown by --list.")
@click.option("--list", "listing", is_flag=True, help="Show what is pinned.")
@click.option("--remove", is_flag=True, help="Take the pins away.")
@click.option("--json", "as_json", is_flag=True, help="The list, as JSON.")
def pin_command(what: tuple[str, ...], note: str, listing: bool, remove: bool, as_json: bool) -> int:
    """Keep a take whatever happens: gc never sweeps or evicts it, and it is in keep.

    PATH pins the take that its recipe accepts now; it stays pinned when another one is accepted. HASH is of any take that a
    local store has (`show` lists them), or the beginning of it. Of a directory or sequence every file is kept.

    \b
    Examples:
      regen-vcs pin shots/010/sky.png --note "the director's favourite"
      regen-vcs pin --list
      regen-vcs pin --remove shots/010/sky.png
    """
    if listing + remove > 1 or (listing and what):
        raise UsageError("pin: --list stands alone", "regen-vcs pin --list")
    with workspace() as ws:
        if listing or not what:
            if remove or note:
                raise UsageError("pin: what?", "regen-vcs pin PATH, or regen-vcs pin HASH")
            return _list(ws, as_json)
        if remove:
            return _remove(ws, what)
        for argument in what:
            path, hash, is_tree = _resolve(ws, argument)
            entry = pin(ws, hash, note, path=path, is_tree=is_tree)
            files = len(entry["members"])
            told = f"{hash[:12]}, {human_size(_size(ws, hash, entry))}" + (f", {files} files" if files else "")
            say(f"pinned   {one_line(path or hash[:12])}  ({told})")
    return 0


@click.command("unpin")
@click.argument("what", nargs=-1, required=True, metavar="PATH|HASH...")
def unpin_command(what: tuple[str, ...]) -> int:
    """Take pins away. The takes stay where they are until gc decides about them.

    \b
    Example: regen-vcs unpin shots/010/sky.png
    """
    with workspace() as ws:
        return _remove(ws, what)


def _resolve(ws: Workspace, argument: str) -> tuple[str | None, str, bool | None]:
    """(asset or None, hash, whether it is a tree) of a path or a hash. RegenError where there is none of that name."""
    path = ws.asset_arg(argument, os.getcwd()) if not is_hash(argument) or os.path.lexists(argument) else None
    if path is not None:
        desired = look_at_both(ws, paths=set()).assets.get(path)
        if desired is not None and desired.facts.out_hash is not None:
            return path, desired.facts.out_hash, desired.facts.is_tree
        if not is_hash(argument):
            why = "nothing of it is accepted yet" if desired is not None else "there is no recipe for it"
            raise RegenError(f"{path}: {why}", "see: regen-vcs status")
    return None, find_object(ws, argument), None


def _remove(ws: Workspace, what: tuple[str, ...]) -> int:
    """Pins of these, also those of a take that was accepted when it was pinned."""
    entries = pinned(ws.stores.keep.root)
    for argument in what:
        found = _pins_of(ws, argument, entries)
        if not found:
            raise RegenError(f"{argument}: is not pinned", "see: regen-vcs pin --list")
        for hash in found:
            unpin(ws, hash)
            say(f"unpinned {one_line(entries[hash].get('path') or hash[:12])}  ({hash[:12]})")
    return 0


def _pins_of(ws: Workspace, argument: str, entries: dict[str, dict]) -> list[str]:
    own = {hash: entry for hash, entry in entries.items() if "of" not in entry}
    if is_hash(argument):
        bare = argument.removeprefix("blake3:")
        found = [hash for hash in own if hash.startswith(bare)]
        if len(found) > 1:
            raise UsageError(f"{argument}: begins the hashes of {len(found)} pins", "say more of it")
        if found:
            return found
    path = ws.asset_arg(argument, os.getcwd())
    return [hash for hash, entry in own.items() if entry.get("path") == path and entry.get("repo") == ws.uuid]


def _list(ws: Workspace, as_json: bool) -> int:
    entries = {hash: entry for hash, entry in pinned(ws.stores.keep.root).items() if "of" not in entry}
    rows = sorted(entries.items(), key=lambda item: (str(item[1].get("path", "~")), str(item[1].get("at", ""))))
    if as_json:
        print_json({"pins": [
            {"hash": f"blake3:{hash}", "path": entry.get("path"), "note": entry.get("note", ""), "at": entry.get("at"),
             "repo": entry.get("repo"), "files": len(entry.get("members") or ()), "size": _size(ws, hash, entry)}
            for hash, entry in rows
        ]})
        return 0
    total = 0
    for hash, entry in rows:
        size = _size(ws, hash, entry)
        total += size or 0
        elsewhere = "" if entry.get("repo") in (None, ws.uuid) else ", of another repository"
        note = f"  {one_line(str(entry['note']))}" if entry.get("note") else ""
        told = "missing" if size is None else human_size(size)
        say(f"{hash[:12]}  {str(entry.get('at', ''))[:10]}  {told:>7}  {one_line(str(entry.get('path') or '-'))}{elsewhere}{note}")
    say(f"{len(rows)} pinned ({human_size(total)})" if rows else "nothing is pinned")
    return 0


def _size(ws: Workspace, hash: str, entry: dict) -> int | None:
    """Bytes of a pinned take; None where not all of it is there."""
    sizes = [ws.stores.size_of(each) for each in entry.get("members") or [hash]]
    return None if None in sizes else sum(sizes)
