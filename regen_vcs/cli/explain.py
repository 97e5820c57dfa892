"""`regen-vcs explain`."""

from __future__ import annotations

import os

import click

from regen_vcs.cli.terminal import print_json, say, workspace
from regen_vcs.engine.explain import explain


@click.command("explain")
@click.argument("asset")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def explain_command(asset: str, as_json: bool) -> int:
    """Say why ASSET is stale, missing or not in the cache, parameter by parameter, and what sync or regenerate would do.

    \b
    Example: regen-vcs explain sky.png
    """
    with workspace() as ws:
        answer = explain(ws, ws.asset_arg(asset, os.getcwd()))
    if as_json:
        print_json(answer)
    else:
        for line in _explaining(answer):
            say(line)
    return 0


def _explaining(answer: dict) -> list[str]:
    lines = [f"{answer['path']}: {answer['state']}" + (f": {answer['reason']}" if answer["reason"] else "")]
    if answer["changes"]:
        lines += ["", "changed since the accepted output was made" if answer["accepted_key"] else "changed"]
        lines += [f"  {line}" for line in answer["changes"]]
    if answer["inputs"]:
        lines += ["", "inputs"]
        lines += [f"  {each['name']}: {each['path']} is {each['state']}" for each in answer["inputs"]]
    if answer["since_head"]:
        lines += ["", "changed since the last commit"] + [f"  {line}" for line in answer["since_head"]]
    if answer["notes"]:
        lines += [""] + [f"  {line}" for line in answer["notes"]]
    if answer["nearest"]:
        lines += _nearest_lines(answer["nearest"])
    if answer["cache"]:
        lines += ["", _cache_line(answer)]
    for verb in ("sync", "regenerate"):
        if answer[f"on_{verb}"]:
            lines.append(f"  {verb:<10} {answer[f'on_{verb}']}")
    return lines


def _nearest_lines(nearest: dict) -> list[str]:
    count = "1 take" if nearest["takes"] == 1 else f"{nearest['takes']} takes"
    lines = ["", f"never made before; the nearest recipe that was ({nearest['key'][:12]}…, {count}) differs in"]
    return lines + [f"  {line}" for line in nearest["changes"] or ["an input, or the format"]]


def _cache_line(answer: dict) -> str:
    """What the cache has for the key, in one line."""
    cache = answer["cache"]
    if answer["key"] is None:
        return "there is no key to look up in the cache"
    if not cache["takes"]:
        return f"the cache has no take of this key ({answer['key'][:12]}…)"
    count = "1 take" if cache["takes"] == 1 else f"{cache['takes']} takes"
    return f"the cache has {count} of this key ({answer['key'][:12]}…), {cache['in_store']} of {cache['outputs']} with its bytes"
