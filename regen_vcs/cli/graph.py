"""`regen-vcs graph` and `regen-vcs affected`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from regen_vcs.cli.main import one_line
from regen_vcs.cli.project import project
from regen_vcs.cli.status import STATE_COLOURS
from regen_vcs.cli.terminal import note, print_json
from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.model.dependency_graph import ASSET, Affected, Graph, Node

# A file that is as git has it needs no further word.
_FILE_WORD = "file"
_COLOURS = STATE_COLOURS | {_FILE_WORD: "2", "edited": "33", "untracked": "33", "unmapped": "33"}


@click.command("graph")
@click.argument("paths", nargs=-1)
@click.option("--up", is_flag=True, help="Of PATHS, only what they are made from.")
@click.option("--down", is_flag=True, help="Of PATHS, only what is made from them; the tree then grows from the sources.")
@click.option("--json", "as_json", is_flag=True, help="Nodes and edges, as JSON.")
@click.option("--dot", "as_dot", is_flag=True, help="For Graphviz.")
def graph_command(paths: tuple[str, ...], up: bool, down: bool, as_json: bool, as_dot: bool) -> int:
    """Show what is made from what, with the states that status shows.

    A tree for each asset that nothing else is made from; below it what it is made from, input by input. What was shown
    further up is not repeated.

    \b
    Examples:
      regen-vcs graph shots/010
      regen-vcs graph --dot | dot -Tsvg > graph.svg
    """
    if as_json and as_dot:
        raise UsageError("graph: --json or --dot, not both")
    with project() as film:
        graph = film.graph(paths, up=up, down=down)
    if as_json:
        print_json(graph.to_json())
    elif as_dot:
        print(graph.to_dot())
    else:
        _print_tree(graph, grows_down=down and not up)
    for cycle in graph.cycles:
        note(f"error: {one_line(cycle[0])}: is made from itself: {one_line(' ← '.join(cycle))}")
    return InvalidError.exit_code if graph.cycles else 0


@click.command("affected")
@click.argument("paths", nargs=-1)
@click.option("--since", metavar="REV", help="What differs between REV and the working tree, instead of PATHS.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def affected_command(paths: tuple[str, ...], since: str | None, as_json: bool) -> int:
    """Show which assets a change concerns.

    PATHS are assets (made anew with another result), sidecars (another recipe), plain inputs, code files, folders, globs,
    generators ("command:upscale") or regen.toml. Nothing is changed or run.

    \b
    Examples:
      regen-vcs affected plates/base.png tools/upscale.py
      regen-vcs affected --since main
    """
    with project() as film:
        changed, found = film.affected_by(paths, since=since)
    if as_json:
        print_json({"changed": changed, "affected": [
            {"path": each.path, "direct": each.direct, "state": each.state, "reasons": list(each.reasons)} for each in found
        ]})
        return 0
    colour = _has_colour()
    for each in found:
        print(_affected_line(each, colour))
    print(_affected_summary(found))
    return 0


# ---------------------------------------------------------------- the tree


def _print_tree(graph: Graph, *, grows_down: bool) -> None:
    colour = _has_colour()
    lines = []
    for node, branch, name, remark in _walk(graph, grows_down):
        word = _word(node)
        padded = f"{word:<9}"
        if colour:
            padded = f"\x1b[{_COLOURS.get(word, '0')}m{padded}\x1b[0m"
        told = remark or node.reason
        lines.append(f"{padded} {branch}{one_line(name)}{one_line(node.path)}" + (f"  ({one_line(told)})" if told else ""))
    print("\n".join([*lines, _summary(graph)]))


def _walk(graph: Graph, grows_down: bool) -> Iterator[tuple[Node, str, str, str]]:
    """(node, the branch drawn before it, the input's name, a remark) in the order in which they are shown."""
    below = _uses if grows_down else _inputs
    shown: set[str] = set()
    for root in _roots(graph, grows_down):
        # Whether each node above is the last of its row decides what is drawn in its column.
        stack = [(root, "", "", "", ())]
        while stack:
            path, branch, following, name, above = stack.pop()
            rows = below(graph, path)
            cut = "made from itself" if path in above else "see above" if path in shown and rows else ""
            yield graph.nodes[path], branch, name, cut
            if cut:
                continue
            shown.add(path)
            for number, (child, label) in reversed(list(enumerate(rows))):
                last = number == len(rows) - 1
                stack.append((child, following + ("└─ " if last else "├─ "), following + ("   " if last else "│  "), label, (*above, path)))


def _inputs(graph: Graph, path: str) -> list[tuple[str, str]]:
    return [(edge.source, f"{edge.name}: ") for edge in graph.inputs_of(path)]


def _uses(graph: Graph, path: str) -> list[tuple[str, str]]:
    targets = dict.fromkeys(edge.target for edge in graph.uses_of(path))
    return [(target, "") for target in targets]


def _roots(graph: Graph, grows_down: bool) -> list[str]:
    """Where trees begin: what nothing is made from (or what is made from nothing), and of each cycle one node."""
    above = graph.inputs_of if grows_down else graph.uses_of
    roots = [path for path in graph.nodes if not above(path)]
    reach = graph.downstream if grows_down else graph.upstream
    reached = {*roots, *reach(roots)}
    for path in graph.nodes:
        if path not in reached:
            roots.append(path)
            reached |= {path, *reach([path])}
    return sorted(roots)


def _word(node: Node) -> str:
    return _FILE_WORD if node.kind != ASSET and node.state == "ok" else node.state


def _summary(graph: Graph) -> str:
    """`12 assets (10 ok, 2 stale), 3 files, 14 dependencies`."""
    assets = [node for node in graph.nodes.values() if node.kind == ASSET]
    if not graph.nodes:
        return "no assets yet: regen-vcs generate, or regen-vcs add"
    counts: dict[str, int] = {}
    for node in assets:
        counts[node.state] = counts.get(node.state, 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items(), key=lambda item: (item[0] != "ok", item[0])))
    files = len(graph.nodes) - len(assets)
    parts = [_counted(len(assets), "asset") + (f" ({states})" if states else ""), _counted(len(graph.edges), "dependency", "dependencies")]
    return ", ".join([parts[0], *([_counted(files, "file")] if files else []), parts[1]])


# ---------------------------------------------------------------- affected


def _affected_line(each: Affected, colour: bool) -> str:
    word = f"{'direct' if each.direct else 'further':<9}"
    if colour:
        word = f"\x1b[{'33' if each.direct else '2'}m{word}\x1b[0m"
    told = "; ".join([*each.reasons, *([f"{each.state} now"] if each.state != "ok" else [])])
    return f"{word} {one_line(each.path)}  ({one_line(told)})"


def _affected_summary(found: list[Affected]) -> str:
    if not found:
        return "no asset is affected"
    further = sum(not each.direct for each in found)
    text = f"{_counted(len(found), 'asset')} affected"
    return text + (f", {further} of them only if what they are made from comes out differently" if further else "")


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _has_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
