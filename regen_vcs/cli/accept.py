"""`accept`, `takes`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import (
    asset_paths,
    chosen_by,
    fail_with,
    print_json,
    require_matches,
    say,
    workspace,
)
from regen_vcs.engine.accept import accept, accept_take
from regen_vcs.engine.named_takes import NamedTake, find_take, named_takes
from regen_vcs.engine.status import survey
from regen_vcs.engine.thumbnails import thumbnails
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.model.quantities import human_duration, human_size

_ACCEPTABLE = frozenset({"drifted", "proposed", "modified"})


@click.command("accept")
@click.argument("paths", nargs=-1, required=True)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Only what is at least so like the accepted result.")
@click.option("--take", "take_name", metavar="NAME", help="This take of the one asset, whatever is on disk: v001, t2 or a hash, as `takes` says.")
def accept_command(paths: tuple[str, ...], min_score: float | None, take_name: str | None) -> int:
    """Make what is on disk the accepted result of its recipe, or the take that is named.

    The sidecar's output changes, so git shows it; the old take stays in the store.

    \b
    Example: regen-vcs accept shots/010 --min-score 0.98
    """
    if take_name is not None:
        return _accept_take(paths, take_name, min_score)
    errors: dict[str, RegenError] = {}
    with workspace() as ws:
        wanted = chosen_by(ws, paths)
        found = [each for each in survey(ws).statuses if wanted(each.path)]
        require_matches(paths, found)
        chosen = [each for each in found if each.state in _ACCEPTABLE]
        named = asset_paths(ws, paths)
        for each in found:
            if each.state == "invalid" and each.path in named:
                errors[each.path] = InvalidError(each.reason, "see: regen-vcs check")
        for each in chosen:
            try:
                say(f"{each.path}: {accept(ws, each.path, min_score=min_score)}")
            except RegenError as error:
                errors[each.path] = error
        if not chosen and not errors:
            say("nothing to accept: what is on disk is what was accepted, or is missing")
    return fail_with(errors)


def _accept_take(paths: tuple[str, ...], name: str, min_score: float | None) -> int:
    if len(paths) != 1 or min_score is not None:
        raise UsageError("--take goes with one asset, and without --min-score")
    with workspace() as ws:
        path = ws.asset_arg(paths[0], os.getcwd())
        take = find_take(named_takes(ws, path), name)
        say(f"{path}: {take.name} {accept_take(ws, path, take)}")
    return 0


@click.command("takes")
@click.argument("asset")
@click.option("--thumbnails", "with_thumbnails", is_flag=True, help="With --json: draw a small picture of each, and say where it is.")
@click.option("--json", "as_json", is_flag=True, help="The takes as JSON.")
def takes_command(asset: str, with_thumbnails: bool, as_json: bool) -> int:
    """List ASSET's takes: what was accepted (v001, v002, …), and the candidates (t1, t2, …).

    \b
    Example: regen-vcs takes sky.png
    """
    with workspace() as ws:
        path = ws.asset_arg(asset, os.getcwd())
        takes = named_takes(ws, path)
        pictures = thumbnails(ws, takes) if with_thumbnails and as_json else {}
    if as_json:
        print_json({"path": path, "takes": [_as_json(each, pictures.get(each.hash)) for each in takes]})
        return 0
    if not takes:
        say(f"{path}: no takes yet")
    for each in takes:
        say(_line(each))
    return 0


def _as_json(take: NamedTake, thumbnail: str | None) -> dict:
    record = take.record or {}
    return {
        "name": take.name,
        "hash": f"blake3:{take.hash}",
        "at": take.at,
        "seconds": record.get("seconds"),
        "cost": record.get("cost"),
        "generator_version": record.get("generator_version"),
        "environment": record.get("environment"),
        "size": take.output.size if take.output else None,
        "accepted": take.accepted,
        "current": take.current,
        "on_disk": take.on_disk,
        "in_store": take.in_store,
        "commit": take.commit,
        "thumbnail": thumbnail,
    }


def _line(take: NamedTake) -> str:
    seconds = (take.record or {}).get("seconds")
    words = [
        take.hash[:12], (take.at or "")[:16].replace("T", " "), human_size(take.output.size) if take.output else "",
        f"in {human_duration(seconds)}" if seconds is not None else "",
    ]  # fmt: skip
    marks = [word for word, holds in (("accepted", take.accepted), ("on disk", take.on_disk), ("its bytes are in no store here", not take.in_store)) if holds]
    if not take.current:
        marks.append("of an earlier recipe")
    return f"{take.name:<5} {'  '.join(filter(None, words))}{'  (' + ', '.join(marks) + ')' if marks else ''}"
