"""Which of several servers runs a job: one that answers and has its models, rather one that has them loaded, rather
one with little to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from regen_vcs.generators.base import JobFailed
from regen_vcs.generators.comfyui.client import Server, choices_among, quick_server
from regen_vcs.generators.comfyui.failures import missing_model
from regen_vcs.generators.comfyui.graph import Graph, ModelUse, model_names

# Loading its models costs a server about as much as this many prompts: a warm one may have so many more to do.
COLD = 2


class Probe(NamedTuple):
    """What one server said. problem: why it cannot be used, None where it can."""

    url: str
    problem: JobFailed | None = None
    waiting: int = 0
    is_warm: bool = False
    lacks: tuple[ModelUse, list[str]] | None = None

    @property
    def cost(self) -> int:
        return self.waiting + (0 if self.is_warm else COLD)


class Pool:
    """The servers of one table. It remembers which models each has run last, for those that do not tell."""

    def __init__(self, urls: tuple[str, ...]):
        self._urls = urls
        self._last: dict[str, frozenset[str]] = {}

    def choose(self, graph: Graph, headers: Mapping[str, str], without: frozenset[str] = frozenset()) -> str:
        """The address of the best one. JobFailed, which names them all and says what is wrong with each, for none."""
        urls = [url for url in self._urls if url not in without] or list(self._urls)
        uses = graph.models() if len(urls) > 1 else []
        with ThreadPoolExecutor(max_workers=min(len(urls), 16)) as several:
            probes = list(several.map(lambda url: self._probe(url, headers, uses), urls))
        usable = [probe for probe in probes if probe.problem is None and probe.lacks is None]
        if not usable:
            raise _nobody(probes)
        return min(usable, key=lambda probe: probe.cost).url

    def used(self, url: str, graph: Graph) -> None:
        """A server has run this graph: its models are loaded there."""
        self._last[url] = model_names(graph.nodes)

    def _probe(self, url: str, headers: Mapping[str, str], uses: list[ModelUse]) -> Probe:
        server = quick_server(url, headers)
        try:
            running, pending = server.queue()
            if not uses:
                return Probe(url, waiting=len(running) + len(pending), is_warm=True)
            for use in uses:
                inputs = server.node_inputs(use.loader)
                if inputs is None:
                    return Probe(url, problem=JobFailed(f"{url} has no node {use.loader}"))
                names = choices_among(inputs, use.place.field)
                if names is not None and use.name not in names:
                    return Probe(url, lacks=(use, names))
            wanted = frozenset(use.name for use in uses)
            return Probe(url, waiting=len(running) + len(pending), is_warm=wanted <= self._loaded(server, running, pending))
        except JobFailed as error:
            return Probe(url, problem=error)
        finally:
            server.close()

    def _loaded(self, server: Server, running: list, pending: list) -> frozenset[str]:
        """The models that will be loaded when the server's queue is through."""
        graphs = [graph for _, graph in [*running, *pending]] or server.last_graphs()
        return model_names(graphs[-1]) if graphs else self._last.get(server.url, frozenset())


def environment_of(server: Server) -> dict[str, str]:
    """Versions and device of a server, which the bytes depend on. JobFailed where it does not answer."""
    stats = server.system_stats()
    system = stats.get("system") if isinstance(stats.get("system"), Mapping) else {}
    devices = stats.get("devices") if isinstance(stats.get("devices"), list) else []
    first = devices[0] if devices and isinstance(devices[0], Mapping) else {}
    found = {
        "comfyui": system.get("comfyui_version"), "comfyui_python": str(system.get("python_version", "")).partition(" ")[0],
        "torch": system.get("pytorch_version"), "device": first.get("name"),
    }  # fmt: skip
    return {key: str(value)[:200] for key, value in found.items() if value}


def _nobody(probes: list[Probe]) -> JobFailed:
    lacking = [probe for probe in probes if probe.lacks is not None]
    dead = "; ".join(probe.problem.what for probe in probes if probe.problem is not None)
    if lacking:
        use = lacking[0].lacks[0]
        had = {probe.url: probe.lacks[1] for probe in lacking if probe.lacks[0].place == use.place}
        return missing_model(had, use, f"; {dead}" if dead else "")
    return JobFailed(
        f"no ComfyUI server can run it: {dead}",
        "start one, or put its address into servers in regen.toml",
        transient=any(probe.problem.transient for probe in probes if probe.problem is not None),
    )
