"""`comfyui`: a workflow graph of the repository, run by a ComfyUI server.

    [generators.txt2img]
    uses = "comfyui"
    workflow = "workflows/txt2img.json"
    bind = { prompt = "6.inputs.text", seed = "3.inputs.seed" }

Not exact: what comes out depends on the server's hardware and versions, which are kept with each take.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import Job, JobFailed, OpenParams
from regen_vcs.generators.comfyui.binding import (
    check_bindings,
    merged,
    model_places,
    model_values,
    param_values,
    params_schema,
)
from regen_vcs.generators.comfyui.graph import MAX_BYTES, Graph, parse_graph
from regen_vcs.generators.comfyui.table import WORKFLOW_ROLE, Place, Table, parse_table
from regen_vcs.model.generator_table import workflow_destination
from regen_vcs.model.schema import validate_schema
from regen_vcs.platform.files import read_regular

_CHUNK = 1 << 20


class Comfyui:
    """One `[generators.NAME] uses = "comfyui"`. With the graph at hand, its params are typed."""

    name = "comfyui"
    Params = OpenParams
    exact = False
    version = "1"

    def __init__(self, table: Table, graph: Graph | None = None):
        self._table = table
        self._graph = graph
        self._schema = params_schema(table, graph)
        self._environment: dict[str, str] = {}
        self._pool: Any = None
        self.patience: Any = None

    @classmethod
    def from_table(cls, name: str, table: Mapping[str, Any]) -> Comfyui:
        """InvalidError, naming the field, where the table is not one of ComfyUI's."""
        if ":" not in name:
            raise InvalidError(
                "comfyui runs a workflow of yours, and needs its name", 'define [generators.NAME] in regen.toml, and say "comfyui:NAME"'
            )
        return cls(parse_table(name, table))

    def with_code(self, files: Mapping[str, bytes]) -> Comfyui:
        """The same, with the table's workflow at hand. InvalidError where it is no graph, or a binding goes nowhere."""
        workflow = self._table.workflow
        if workflow is None:
            return self
        graph = parse_graph(files[workflow_destination(workflow)], workflow)
        check_bindings(self._table, graph)
        return Comfyui(self._table, graph)

    @property
    def model_roles(self) -> tuple[str, ...] | None:
        """The roles a recipe's models can have; None where no graph is at hand to tell."""
        if self._graph is None:
            return None
        return tuple(model_places(self._table, self._graph))

    def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
        """The models that the graph would load for this recipe, by role and name."""
        if self._graph is None:
            return {}
        named = {role: {"name": model.name} for role, model in recipe.models.items() if model.name}
        values = merged(param_values(self._table, self._graph, recipe.params), model_values(self._table, self._graph, named))
        return {use.role: {"name": values.get(use.place, use.name)} for use in self._graph.models()}

    def params_schema(self) -> dict[str, Any]:
        return self._schema

    def complete_params(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The params with the graph's own values written out, as far as they are of a plain type."""
        return validate_schema(self._schema, raw)

    def environment(self) -> dict[str, str]:
        """Of the server that ran the last job: versions of ComfyUI, Python and torch, and its device."""
        return self._environment

    def conditions(self) -> dict[str, str]:
        """What each of its servers says of itself. JobFailed where one does not answer: it might be the one that is asked."""
        # As in `run`.
        from regen_vcs.generators.comfyui.client import quick_server
        from regen_vcs.generators.comfyui.servers import environment_of

        found = {}
        for url in self._table.servers:
            server = quick_server(url, self._headers(os.environ))
            try:
                found[url] = json.dumps(environment_of(server), sort_keys=True)
            finally:
                server.close()
        return found

    def run(self, job: Job) -> None:
        # Here, not above: what talks to the network takes 150 ms to import, and only a job needs it.
        from regen_vcs.generators.comfyui.run import Patience, Run
        from regen_vcs.generators.comfyui.servers import Pool

        self._environment = {}
        graph = self._graph_of(job)
        check_bindings(self._table, graph)
        values = merged(param_values(self._table, graph, job.raw_params), model_values(self._table, graph, job.models))
        uploads, places = self._uploads(job, graph, values)

        def bound(names: Mapping[str, str]) -> Graph:
            return graph.with_values({**values, **{place: names[path] for place, path in places.items()}})

        self._pool = self._pool or Pool(self._table.servers)
        run = Run(job, self._table, bound(uploads), self._pool, self.patience or Patience(), self._headers(job.env))
        run.make(uploads, bound)
        self._environment = run.environment

    def _graph_of(self, job: Job) -> Graph:
        """The recipe's own workflow, else the table's, as it was trusted."""
        workflow = self._table.workflow
        if WORKFLOW_ROLE in job.inputs:
            if workflow is not None:
                raise JobFailed(f"the recipe has an input {WORKFLOW_ROLE}, and [{self._table.where}] a workflow: which is it?")
            path, where = job.inputs[WORKFLOW_ROLE], f"inputs.{WORKFLOW_ROLE}"
        elif workflow is not None:
            path, where = os.path.join(job.scratch, "code", workflow_destination(workflow)), workflow
        else:
            raise JobFailed(f"[{self._table.where}] names no workflow, and the recipe has no input {WORKFLOW_ROLE}")
        data = read_regular(path, MAX_BYTES + 1)
        if data is None:
            raise JobFailed(f"{where}: no file to be read")
        return parse_graph(data, where)

    def _uploads(self, job: Job, graph: Graph, values: Mapping[Place, Any]) -> tuple[dict[str, str], dict[Place, str]]:
        """({path: name to upload it as}, {place: path}) of the recipe's inputs. Named by what is in them: nothing of
        anybody else's is overwritten, and the graph, which pictures hold, is the same whatever the file was called."""
        uploads, places = {}, {}
        for role, path in sorted(job.inputs.items()):
            if role == WORKFLOW_ROLE:
                continue
            if role not in self._table.bind:
                raise JobFailed(f"its input {role} is bound to nothing", f'in [{self._table.where}]: bind = {{ {role} = "NODE.inputs.image" }}')
            if not os.path.isfile(path):
                raise JobFailed(f"its input {role} is a folder or a sequence: the server takes one file at a time")
            uploads[path] = f"{_hash_of(path)[:32]}{os.path.splitext(path)[1].lower()}"
            for place in self._table.bind[role]:
                if place in values:
                    raise JobFailed(f"{place} is both a param and the input {role}")
                places[place] = path
        return uploads, places

    def _headers(self, env: Mapping[str, str]) -> dict[str, str]:
        name = self._table.auth_env
        if name is None:
            return {}
        key = env.get(name, "")
        if not key:
            raise JobFailed(f"the variable {name}, which holds the key of its servers, is not set", f"export {name}=…")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise JobFailed(f"the variable {name} holds no key: a space, a line end or another odd character is in it")
        return {"Authorization": f"Bearer {key}"}


def _hash_of(path: str) -> str:
    hasher = blake3()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()
