"""How far a prompt is, from the events of its server: nodes done of all, and how far into the one that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regen_vcs.generators.base import Job
from regen_vcs.generators.comfyui.events import Event
from regen_vcs.generators.comfyui.graph import Graph, class_of, title_of

# What follows the last event of a prompt: fetching its files.
_BEFORE_FETCHING = 0.95


class Progress:
    """Never goes back, also when a server restarts and the prompt runs again."""

    def __init__(self, job: Job, graph: Graph):
        self._job, self._graph = job, graph
        self._done: set[str] = set()
        self._inner: dict[str, float] = {}
        self._fraction = 0.0

    def restart(self) -> None:
        self._done.clear()
        self._inner.clear()

    def waiting(self, url: str, ahead: int) -> None:
        """The prompt is in the server's queue, behind `ahead` others."""
        self._job.progress(self._fraction, f"waiting for {url}: {ahead} before it")

    def say(self, message: str) -> None:
        self._job.progress(self._fraction, message)

    def fetching(self, fraction: float) -> None:
        self._tell(_BEFORE_FETCHING + (1 - _BEFORE_FETCHING) * fraction, "fetching what it made")

    def note(self, event: Event) -> None:
        """An event of this prompt."""
        data = event.data
        if event.kind == "execution_cached":
            self._done.update(str(node) for node in _list(data.get("nodes")))
        elif event.kind == "executed":
            self._done.add(str(data.get("node")))
        elif event.kind == "progress":
            self._enter(data.get("node"), _share(data))
        elif event.kind == "executing" and data.get("node") is not None:
            self._enter(data["node"], 0.0)
        elif event.kind == "progress_state" and isinstance(data.get("nodes"), Mapping):
            for node, state in data["nodes"].items():
                if isinstance(state, Mapping):
                    if state.get("state") == "finished":
                        self._done.add(node)
                    elif state.get("state") == "running":
                        self._enter(node, _share(state))

    def _enter(self, node: Any, share: float) -> None:
        node = str(node)
        self._inner[node] = max(share, self._inner.get(node, 0.0))
        nodes = self._graph.nodes
        done = len(self._done & nodes.keys())
        inner = sum(each for name, each in self._inner.items() if name in nodes and name not in self._done)
        found = nodes.get(node)
        self._tell(_BEFORE_FETCHING * (done + inner) / len(nodes), (title_of(found) or class_of(found)) if found else "")

    def _tell(self, fraction: float, message: str) -> None:
        self._fraction = max(self._fraction, min(fraction, 1.0))
        self._job.progress(self._fraction, message)


def _share(data: Mapping[str, Any]) -> float:
    value, most = data.get("value"), data.get("max")
    if not isinstance(value, int | float) or not isinstance(most, int | float) or most <= 0:
        return 0.0
    return min(max(value / most, 0.0), 1.0)


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []
