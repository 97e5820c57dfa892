"""What a change would touch: which assets become stale if these files, recipes or definitions change.

Asked about paths, it supposes that each of them changes. Asked about a revision, it knows what has changed since, and what
has been made again meanwhile: there a change ends where the same bytes came out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from regen_vcs.engine.choosing import chosen_by, is_glob
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.graph import graph_of
from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.status import Survey, staleness, survey_all
from regen_vcs.engine.workspace import PROJECT_FILE, Workspace
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.git.history import changes_since
from regen_vcs.git.index import read_blobs, tracked
from regen_vcs.model.dependency_graph import ASSET, Affected, Graph
from regen_vcs.model.generator_table import code_globs, definition_table, glob_matches
from regen_vcs.model.paths import SIDECAR_SUFFIX, asset_of
from regen_vcs.model.recipe import Recipe, parse_recipe


@dataclass(slots=True)
class Changes:
    """What changes. bytes: files and assets that come out with other bytes. recipes: {asset: why it is another recipe}.

    tables: {generator: why it is defined otherwise}; every_table: that of all. settled: whether an asset that has been
    made since counts as what it is now, not as what it might become.
    """

    bytes: set[str] = field(default_factory=set)
    recipes: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    every_table: bool = False
    settled: bool = False


def affected_by(ws: Workspace, arguments: Iterable[str], cwd: str) -> tuple[list[str], list[Affected]]:
    """(what was understood, what becomes stale if that changes: the certain first, then what might follow).

    arguments: assets (their accepted bytes change), sidecars (their recipes do), plain inputs and code, folders and
    globs of these, `@root/…`, generators of regen.toml ("command:upscale"), or regen.toml itself (all of its
    generators). UsageError for one that is nothing here.
    """
    found = survey_all(ws)
    graph = graph_of(found)
    changes = Changes()
    for argument in arguments:
        _understand(ws, found, graph, argument, cwd, changes)
    changes.every_table = PROJECT_FILE in changes.bytes
    told = sorted({*changes.bytes, *changes.tables, *(path + SIDECAR_SUFFIX for path in changes.recipes)})
    return told, _affected(found, graph, changes)


def affected_since(ws: Workspace, revision: str) -> tuple[list[str], list[Affected]]:
    """(paths that differ between a revision and the worktree, what they concern). GitError for an unknown revision."""
    found = survey_all(ws)
    graph = graph_of(found)
    before = changes_since(ws.repo, revision)
    changes = Changes(settled=True)
    kept = found.snapshot.in_place
    blobs = read_blobs(ws.repo, {oid for path, oid in before.items() if oid and (_is_read(path) or path in kept)})
    for path, oid in before.items():
        if path.endswith(SIDECAR_SUFFIX):
            _compare_sidecars(found, path, blobs.get(oid), changes)
        elif path in kept:
            _compare_documents(found, path, blobs.get(oid), changes)
        elif path == PROJECT_FILE:
            _compare_tables(ws, graph, blobs.get(oid), changes)
        else:
            changes.bytes.add(path)
    return sorted(before), _affected(found, graph, changes)


def _is_read(path: str) -> bool:
    return path.endswith(SIDECAR_SUFFIX) or path == PROJECT_FILE


# ---------------------------------------------------------------- what is supposed to change


def _understand(ws: Workspace, found: Survey, graph: Graph, argument: str, cwd: str, changes: Changes) -> None:
    generators = _generators(graph)
    if argument in generators and not os.path.lexists(os.path.join(cwd, argument)):
        changes.tables[argument] = f"the definition of {argument}"
        return
    if argument.startswith("@"):
        changes.bytes.add(argument)
        return
    path = ws.asset_arg(argument, cwd)
    absolute = f"{ws.root}/{path}"
    if argument.endswith(SIDECAR_SUFFIX):
        changes.recipes[path] = "its recipe"
    elif is_glob(argument, cwd) or (os.path.isdir(absolute) and path not in graph.nodes):
        wanted = chosen_by(ws, [argument], cwd)
        changes.bytes |= {each for each in {*graph.nodes, *_code_paths(found, generators), PROJECT_FILE} if wanted(each)}
    elif path in graph.nodes or os.path.lexists(absolute) or tracked(ws.repo, [path]):
        changes.bytes.add(path)
    else:
        raise UsageError(f"{argument}: there is no such file, asset or generator", "see: regen-vcs graph")


def _generators(graph: Graph) -> set[str]:
    return {node.generator for node in graph.nodes.values() if node.generator is not None}


def _code_paths(found: Survey, generators: Iterable[str]) -> set[str]:
    paths = set()
    for generator in generators:
        try:
            paths |= {path for path, _ in found.snapshot.definitions_on_disk.code(generator).values()}
        except RegenError:
            continue  # a table that is not valid names no code
    return paths


# ---------------------------------------------------------------- what has changed


def _compare_sidecars(found: Survey, path: str, data: bytes | None, changes: Changes) -> None:
    """Another recipe, other accepted bytes, or neither (a note, a review)."""
    try:
        asset = asset_of(path)
    except InvalidError:
        return
    desired = found.snapshot.assets.get(asset)
    if desired is None or desired.side_sig is None:
        changes.bytes.add(asset)  # gone: what is made from it lacks it
        return
    _compare_documents(found, asset, data, changes)


def _compare_documents(found: Survey, asset: str, data: bytes | None, changes: Changes) -> None:
    """data: what git had of the recipe; None: nothing."""
    if data is None:
        changes.recipes[asset] = "its recipe is new"
        changes.bytes.add(asset)
        return
    try:
        old, new = parse_recipe(data, asset), found.snapshot.inputs.recipe_of(found.snapshot.assets[asset])
    except InvalidError:
        changes.recipes[asset] = "its sidecar"
        changes.bytes.add(asset)
        return
    if _identity(old) != _identity(new):
        changes.recipes[asset] = "its recipe"
    if (old.output and old.output.hash) != (new.output and new.output.hash):
        changes.bytes.add(asset)
        changes.recipes.setdefault(asset, "its accepted output")


def _identity(recipe: Recipe) -> tuple:
    return recipe.generator, recipe.definition, recipe.models, recipe.params, recipe.inputs


def _compare_tables(ws: Workspace, graph: Graph, data: bytes | None, changes: Changes) -> None:
    """Which generators regen.toml defines otherwise than then, as far as that can change what they make."""
    old, new = ProjectFile.load(data), ProjectFile.load(ws.project_bytes())
    for generator in _generators(graph):
        if _definition(old, generator) != _definition(new, generator):
            changes.tables[generator] = f"the definition of {generator}"


def _definition(project: ProjectFile, generator: str) -> dict | None:
    try:
        return definition_table(project.generator_table(generator))
    except RegenError:
        return None


# ---------------------------------------------------------------- whom it concerns


def _affected(found: Survey, graph: Graph, changes: Changes) -> list[Affected]:
    code = _code_reasons(found, graph, changes)
    direct: dict[str, list[str]] = {}
    for path, node in graph.nodes.items():
        if node.kind != ASSET:
            continue
        reasons = [changes.recipes[path]] if path in changes.recipes else []
        reasons += [f"input {edge.name}: {edge.source}" for edge in graph.inputs_of(path) if edge.source in changes.bytes]
        reasons += code.get(node.generator, ())
        if reasons:
            direct[path] = reasons
    return [
        *(Affected(path, True, graph.nodes[path].state, tuple(reasons)) for path, reasons in direct.items()),
        *_followers(found, graph, direct, changes),
    ]


def _followers(found: Survey, graph: Graph, direct: dict[str, list[str]], changes: Changes) -> list[Affected]:
    """What is made from those, and not certain: if one of them comes out as it was, that is the end of it."""
    moving = [path for path in direct if not (changes.settled and _is_made(found, path))]
    reached = {path: None for path in graph.downstream(moving) if path not in direct}
    through = {*moving, *reached}
    return [
        Affected(path, False, graph.nodes[path].state, tuple(dict.fromkeys(
            f"made from {edge.source}" for edge in graph.inputs_of(path) if edge.source in through
        )))
        for path in reached
    ]


def _is_made(found: Survey, path: str) -> bool:
    """Whether the accepted bytes are what the recipe makes now, so that nothing else will come of it."""
    snapshot = found.snapshot
    desired: Desired | None = snapshot.assets.get(path)
    if desired is None or desired.facts.out_hash is None or desired.facts.problem:
        return False
    try:
        return staleness(snapshot, desired, snapshot.inputs.key_of(desired)) is None
    except InvalidError:
        return False


def _code_reasons(found: Survey, graph: Graph, changes: Changes) -> dict[str | None, list[str]]:
    """{generator: why what it makes is stale}: its table, or a file that the table names."""
    definitions = found.snapshot.definitions_on_disk
    reasons: dict[str | None, list[str]] = {}
    for generator in _generators(graph):
        told = [changes.tables[generator]] if generator in changes.tables else []
        try:
            table = definitions.table(generator)
        except RegenError:
            table = {}
        if table and changes.every_table and not told:
            told = [f"the definition of {generator}"]
        globs = code_globs(table)
        told += [f"code: {path}" for path in sorted(changes.bytes) if any(glob_matches(glob, path) for glob in globs)]
        if told:
            reasons[generator] = told
    return reasons
