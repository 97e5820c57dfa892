"""`regen-vcs takes`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import print_json, say, workspace
from regen_vcs.engine.named_takes import NamedTake, named_takes
from regen_vcs.engine.thumbnails import thumbnails
from regen_vcs.model.quantities import human_duration, human_size


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
        "has_recipe": take.current or take.recipe is not None,
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
