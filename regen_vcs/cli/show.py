"""`regen-vcs show`."""

from __future__ import annotations

import json
import os

import click

from regen_vcs.cli.terminal import print_json, say, workspace
from regen_vcs.engine.provenance import describe, read_log
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError
from regen_vcs.model.quantities import human_duration, human_size

# Of a log, the end tells why; `--log` shows all of it.
_LOG_LINES = 15
# A value longer than this stands on one line with an ellipsis; --json has all of it.
_VALUE_WIDTH = 160


@click.command("show")
@click.argument("asset")
@click.option("--log", "whole_log", is_flag=True, help="Only the whole log of the last failure, or of the accepted take.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def show_command(asset: str, whole_log: bool, as_json: bool) -> int:
    """Show ASSET's recipe, its takes, what went wrong last, and the commit that last changed it.

    \b
    Example: regen-vcs show sky.png
    """
    with workspace() as ws:
        found = describe(ws, ws.asset_arg(asset, os.getcwd()))
        if whole_log:
            return _show_log(ws, found, as_json)
    if as_json:
        print_json(found)
    else:
        for line in _describing(found):
            say(line)
    return 0


def _show_log(ws: Workspace, found: dict, as_json: bool) -> int:
    digest = _log_of(found)
    lines = read_log(ws, digest)
    if lines is None:
        what = "its log is in no store any more" if digest else "there is no log: nothing was printed, or nothing ran here"
        raise RegenError(f"{found['path']}: {what}")
    if as_json:
        print_json({"path": found["path"], "log": f"blake3:{digest}", "lines": lines})
        return 0
    for line in lines:
        say(line)
    return 0


def _log_of(found: dict) -> str | None:
    """The hash of the log to show: of the last failure, else of the newest take, an accepted one first."""
    if found["failure"]:
        return found["failure"]["log"]
    takes = sorted(found["takes"], key=lambda take: take["accepted"])
    return next((take["log"] for take in reversed(takes) if take["log"]), None)


def _describing(found: dict) -> list[str]:
    reason = f"  ({found['reason']})" if found["reason"] else ""
    lines = [f"{found['path']}: {found['state']}{reason}"]
    lines += _recipe_lines(found)
    lines += _output_lines(found)
    if found["takes"]:
        lines += ["", "takes"] + [f"  {_take_line(take)}" for take in found["takes"]]
    if found["failure"]:
        lines += _failure_lines(found["failure"])
    return lines + _history_lines(found)


def _recipe_lines(found: dict) -> list[str]:
    if found["generator"] is None:
        return ["", "a source asset: nothing can make its bytes again"]
    rows = [("generator", found["generator"])]
    if found["definition"]:
        word = "" if found["definition_current"] else "  (not what regen.toml says here)"
        rows.append(("definition", f"{_short(found['definition'])}{word}"))
    rows += [(f"params.{name}", _value(value)) for name, value in found["params"].items()]
    rows += [(f"inputs.{each['name']}", f"{each['path']}  ({each['kind']}, {each['state']})") for each in found["inputs"]]
    for role, model in found["models"].items():
        words = [model.get("name"), model.get("version"), _short(model.get("hash")) or "(unpinned: by name only)"]
        rows.append((f"models.{role}", " ".join(word for word in words if word)))
    rows.append(("key", found["key"] or "none: an input is pending or missing"))
    rows += _origin_rows(found["meta"])
    return ["", "recipe", *_table(rows)]


def _origin_rows(meta: dict) -> list[tuple[str, str]]:
    """Who made it and for what, where that was captured; where the recipe was found, and what was not in there."""
    rows = [(name, str(meta[name])) for name in ("agent", "task", "tool") if isinstance(meta.get(name), str)]
    captured, recovered = meta.get("captured"), meta.get("recovered")
    if isinstance(captured, dict) and isinstance(captured.get("excluded"), list):
        rows.append(("not recorded", ", ".join(map(str, captured["excluded"]))))
    if isinstance(recovered, dict):
        rows.append(("recovered from", str(recovered.get("from"))))
        missing = recovered.get("missing")
        if isinstance(missing, list) and missing:
            rows.append(("not recovered", "; ".join(map(str, missing))))
    return rows


def _table(rows: list[tuple[str, str]]) -> list[str]:
    wide = min(30, max(len(name) for name, _ in rows))
    return [f"  {name:<{wide}}  {text}" for name, text in rows]


def _output_lines(found: dict) -> list[str]:
    output = found["output"]
    if output is None:
        return ["", "nothing is accepted yet"]
    rows = [("hash", output["hash"]), ("size", _size_words(output))]
    if output.get("content"):
        rows.append(("content", output["content"]))
    places = {"on disk": found["on_disk"] == output["hash"], "in a store": found["in_store"]}
    rows.append(("is", ", ".join(word for word, here in places.items() if here) or "neither on disk nor in a store"))
    if found["on_disk"] and found["on_disk"] != output["hash"]:
        rows.append(("on disk is", found["on_disk"]))
    if found["review"]:
        rows.append(("review", _review_words(found["review"], output)))
    return ["", "accepted output", *_table(rows)]


def _size_words(output: dict) -> str:
    media = output.get("media") or {}
    words = [human_size(output["size"])]
    if output.get("frames"):
        words.append(f"frames {output['frames']}")
    if output.get("files") is not None:
        words.append(f"{output['files']} files")
    if media.get("type"):
        words.append(str(media["type"]))
    if media.get("width") and media.get("height"):
        words.append(f"{media['width']}×{media['height']}")
    if media.get("duration"):
        words.append(f"{media['duration']} s")
    return ", ".join(words)


def _review_words(review: dict, output: dict) -> str:
    about = "" if review.get("hash") in (None, output["hash"]) else ", of another output"
    by = f" by {review['by']}" if review.get("by") else ""
    note = f": {review['note']}" if review.get("note") else ""
    return f"{review.get('state', '?')}{by}{about}{note}"


def _take_line(take: dict) -> str:
    words = [_short(take["hash"]), str(take["at"] or "")[:19].replace("T", " ")]
    if isinstance(take["seconds"], int | float):
        words.append(human_duration(round(take["seconds"], 2)))
    if isinstance(take["cost"], int | float):
        words.append(f"${take['cost']:.2f}")
    if take["generator_version"]:
        words.append(f"version {take['generator_version']}")
    marks = [word for word in ("accepted", "on disk", "in store") if take[word.replace(" ", "_")]]
    if not take["current"]:
        marks.append("of the recipe as it was")
    if isinstance(take["environment"], dict):
        words.append(" ".join(f"{name} {value}" for name, value in sorted(take["environment"].items())))
    return "  ".join(words) + (f"  ({', '.join(marks)})" if marks else "")


def _failure_lines(failure: dict) -> list[str]:
    lines = ["", f"last failure, {str(failure['at'])[:19].replace('T', ' ')}", f"  {failure['reason']}"]
    if failure["lines"] is None:
        return lines
    if len(failure["lines"]) > _LOG_LINES:
        lines.append(f"  … {len(failure['lines']) - _LOG_LINES} more lines: regen-vcs show --log")
    return lines + [f"  | {line}" for line in failure["lines"][-_LOG_LINES:]]


def _history_lines(found: dict) -> list[str]:
    commit = found["commit"]
    if commit is None:
        return ["", "never committed"]
    lines = ["", f"last changed by {commit['id'][:10]}  {commit['at'][:10]}  {commit['author']}: {commit['subject']}"]
    if not found["committed"]:
        lines.append("  and edited since, which is not committed")
    return lines


def _short(digest: str | None) -> str | None:
    """`blake3:9f2c12345678…`"""
    if not digest:
        return None
    kind, _, digits = digest.rpartition(":")
    return f"{kind}:{digits[:12]}…" if kind else f"{digits[:12]}…"


def _value(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 1] + "…"
