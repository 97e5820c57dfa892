"""What a server says when a graph is wrong or fails, as one line for people: which node, what of it, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from regen_vcs.generators.base import JobFailed
from regen_vcs.generators.comfyui.client import Refused, choices_of, one_line
from regen_vcs.generators.comfyui.graph import Graph, ModelUse

# How many of a server's models are named beside the one that it has not.
_SHOWN = 8
_NODE_ID = re.compile(r"Node ID '#(.+)'")

# choices(a model in the graph): the names that the server has there.
Choices = Callable[[ModelUse], list[str]]


def refused_submission(url: str, graph: Graph, error: Refused, choices: Choices) -> JobFailed:
    """Of a POST /prompt that was not taken."""
    body = error.body if isinstance(error.body, Mapping) else {}
    found = node_errors(url, graph, body.get("node_errors"), choices)
    if found is not None:
        return found
    said = body.get("error")
    if not isinstance(said, Mapping):
        return error
    where = _NODE_ID.search(str(said.get("details", "")))
    if said.get("type") == "invalid_prompt" and where and where.group(1) in graph.nodes:
        node = where.group(1)
        return JobFailed(f"the server {url} cannot run {graph.label(node)}: {one_line(said.get('message'))}",
                         "install what brings this node into that ComfyUI")
    words = [one_line(said.get(key)) for key in ("message", "details") if said.get(key)]
    return JobFailed(f"the server {url} does not take the workflow: {': '.join(words)}")


def node_errors(url: str, graph: Graph, errors: Any, choices: Choices) -> JobFailed | None:
    """The first of the nodes' errors, and how many more there are; None for none. They come with a refusal, and with
    an answer of 200 where another part of the graph can run."""
    if not isinstance(errors, Mapping) or not errors:
        return None
    told = [
        (str(node), detail)
        for node, found in errors.items()
        for detail in (found.get("errors") if isinstance(found, Mapping) else None) or [{}]
        if isinstance(detail, Mapping)
    ]
    if not told:
        return JobFailed(f"the server {url} does not take the workflow: {one_line(errors, 200)}")
    # A model that is not there explains more than what follows from it.
    told.sort(key=lambda each: _missing_model(graph, *each) is None)
    node, detail = told[0]
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    use = _missing_model(graph, node, detail)
    if use is not None:
        had = _choices_in(detail)  # left out where there are many
        return missing_model({url: choices(use) if had is None else had}, use, more)
    words = [one_line(detail.get(key), 300) for key in ("message", "details") if detail.get(key)]
    return JobFailed(f"{graph.label(node)}: {': '.join(words) or 'refused without a reason'}{more}")


def missing_model(had: Mapping[str, list[str]], use: ModelUse, more: str = "") -> JobFailed:
    """had: {server: the models it has of that kind}."""
    role = use.role.partition("-")[0]
    if len(had) == 1:
        (url, names), = had.items()
        what = f"the server {url} has no model '{one_line(use.name, 200)}' ({role}); it has: {_shown(names, use.name)}"
    else:
        each = "; ".join(f"{url} has: {_shown(names, use.name)}" for url, names in had.items())
        what = f"no server has the model '{one_line(use.name, 200)}' ({role}); {each}"
    return JobFailed(what + more, "copy it into that ComfyUI's models folder, or name another model")


def failed_run(url: str, graph: Graph, entry: Mapping[str, Any], log: Callable[[str], None]) -> JobFailed | None:
    """Why a prompt in the history failed; None where it went well. A traceback goes to the log."""
    status = entry.get("status")
    if not isinstance(status, Mapping) or status.get("status_str") in ("success", None):
        return None
    said = _said(status)
    error = said.get("execution_error")
    if error is not None:
        trace = error.get("traceback")
        if isinstance(trace, list):
            log("".join(str(line) for line in trace)[:65536])
        kind = one_line(error.get("exception_type", ""), 80)
        reason = one_line(error.get("exception_message", "")) or kind or "no reason given"
        memory = " (out of memory)" if "OutOfMemory" in kind else ""
        return JobFailed(f"{graph.label(str(error.get('node_id')))} failed{memory}: {reason}")
    if "execution_interrupted" in said:
        node = said["execution_interrupted"].get("node_id")
        at = f" at {graph.label(str(node))}" if node is not None else ""
        return JobFailed(f"somebody interrupted it on the server {url}{at}")
    return JobFailed(f"the server {url} says it failed, and not why")


def cached_nodes(entry: Mapping[str, Any]) -> list:
    """The nodes that a prompt in the history did not run, since the server remembered what they make."""
    status = entry.get("status")
    found = _said(status).get("execution_cached", {}).get("nodes") if isinstance(status, Mapping) else None
    return found if isinstance(found, list) else []


def _said(status: Mapping[str, Any]) -> dict[str, Mapping]:
    """{kind: what was said} of a prompt's messages."""
    messages = status.get("messages")
    return {
        each[0]: each[1] for each in (messages if isinstance(messages, list) else [])
        if isinstance(each, list) and len(each) == 2 and isinstance(each[0], str) and isinstance(each[1], Mapping)
    }  # fmt: skip


def _missing_model(graph: Graph, node: str, detail: Mapping[str, Any]) -> ModelUse | None:
    if detail.get("type") != "value_not_in_list":
        return None
    info = detail.get("extra_info")
    field = info.get("input_name") if isinstance(info, Mapping) else None
    return next((use for use in graph.models() if use.place == (node, field)), None)


def _choices_in(detail: Mapping[str, Any]) -> list[str] | None:
    return choices_of(detail["extra_info"].get("input_config"))


def _shown(names: list[str], wanted: str) -> str:
    """A few names, those like the wanted one first."""
    if not names:
        return "none of that kind"
    near = get_close_matches(wanted, names, n=_SHOWN, cutoff=0.5)
    listed = list(dict.fromkeys([*near, *names]))
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(one_line(name, 120) for name in listed[:_SHOWN]) + more
