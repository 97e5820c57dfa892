"""An asset's takes under names that people can say: accepted ones v001, v002, … and the others t1, t2, …

What was accepted is read from the history of its recipe in git, in its order, and then from disk; so `v002` is the second
result that anybody committed. A candidate's number is its place among the takes on record, of the recipes that the asset had in
this worktree and of the one it has; these only grow, so that it is the same tomorrow.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator, Mapping

from regen_vcs.engine.in_place_filter import looks_like_document
from regen_vcs.engine.past_outputs import PastOutput, past_outputs
from regen_vcs.engine.provenance import describe_take, document_path, find_asset, take_records
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.status import Status
from regen_vcs.engine.takes import output_of_record, recipe_of_key
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError, UsageError
from regen_vcs.git.index import read_blobs
from regen_vcs.git.repo import Repo
from regen_vcs.model.paths import moved_inputs
from regen_vcs.model.recipe import Output, Recipe, parse_recipe

_SHORTEST = 6  # characters of a hash that name a take

# current: of the recipe as it is now. record: as `provenance.describe_take` has it; None for what is only known from git.
# output: what a sidecar says that accepts it; None where its record does not tell. at: ISO 8601, of the run or else of the commit.
# commit: the id of the first that accepted it. recipe: as that commit has it, its inputs as the asset's place now would spell them; of a
# candidate, the one it was made from, where that is an earlier one.
NamedTake = namedtuple("NamedTake", ("name", "hash", "at", "accepted", "current", "on_disk", "in_store", "record", "output", "commit", "recipe"))
_Version = namedtuple("_Version", ("output", "at", "commit", "recipe"), defaults=(None, None, None))


def named_takes(ws: Workspace, path: str) -> list[NamedTake]:
    """The takes of an asset: the accepted ones in the order of their acceptance, then the candidates, oldest first.

    RegenError where there is no such asset; InvalidError where its recipe cannot be read.
    """
    everything, status, desired = find_asset(ws, path)
    if desired.facts.problem:
        raise InvalidError(desired.facts.problem[1], desired.facts.problem[2])
    records: dict[str, dict] = {}
    outputs: dict[str, Output | None] = {}
    earlier = {each.key: each for each in past_outputs(ws, path)}
    for record in take_records(ws, status, desired, earlier):
        hash = record["output_hash"]
        if hash not in records:
            records[hash] = describe_take(ws, status, desired, record)
        outputs[hash] = output_of_record(record, record["key"]) or outputs.get(hash)
    versions = _versions(ws.repo, document_path(everything.snapshot, path))
    if desired.facts.out_hash is not None and desired.side_sig is not None:
        output = everything.snapshot.inputs.recipe_of(desired).output
        versions.setdefault(desired.facts.out_hash, _Version(output, recipe=_earlier_recipe(ws, earlier, output)))
    named = [(f"v{number:03}", hash, version) for number, (hash, version) in enumerate(versions.items(), 1)]
    named += [
        (f"t{number}", hash, _Version(outputs[hash], recipe=_earlier_recipe(ws, earlier, outputs[hash])))
        for number, hash in enumerate(records, 1) if hash not in versions
    ]  # fmt: skip
    return [_take(ws, name, hash, status, desired.facts.out_hash, records.get(hash), version) for name, hash, version in named]


def find_take(takes: list[NamedTake], wanted: str) -> NamedTake:
    """The take of a name, or of a hash or its beginning. UsageError where there is none, or more than one."""
    by_name = [each for each in takes if each.name == wanted]
    start = wanted.removeprefix("blake3:")
    found = by_name or [each for each in takes if len(start) >= _SHORTEST and each.hash.startswith(start)]
    if len(found) != 1:
        raise UsageError(f"{wanted}: {'several takes begin so' if found else 'no take has this name or hash'}", "see: regen-vcs takes ASSET")
    return found[0]


def _take(ws: Workspace, name: str, hash: str, status: Status, accepted: str | None, record: dict | None, version: _Version) -> NamedTake:
    output = version.output
    in_store = record["in_store"] if record else has_all(ws.stores, hash, bool(output) and output.is_tree)
    current = record["current"] if record else bool(output) and output.key is not None and output.key == status.key
    at = (record or {}).get("at") or version.at
    return NamedTake(name, hash, at, hash == accepted, current, hash == status.on_disk, in_store, record, output, version.commit, version.recipe)


def _earlier_recipe(ws: Workspace, earlier: Mapping[str, PastOutput], output: Output | None) -> Recipe | None:
    """What a take was made from that no commit has: the recipe is keep's, what does not count for its key is as it was noted."""
    noted = earlier.get(output.key or "") if output else None
    recipe = recipe_of_key(ws, noted.key) if noted else None
    if recipe is None:
        return None
    # Keep may have the text of another asset with the same key, whose inputs lie elsewhere from there.
    inputs = noted.inputs if noted.inputs.keys() == recipe.inputs.keys() else recipe.inputs
    return recipe.replace(inputs=inputs, meta=noted.meta, output=output)


# -- what was accepted -----------------------------------------------------------------------------------------------------


def _versions(repo: Repo, document: str) -> dict[str, _Version]:
    """{hash of an accepted output: where it came first}, oldest first, over moves of the recipe too."""
    listed = list(_commits(repo, document))
    if not listed:
        listed = [each for name in _names_in_head(repo, document) for each in _commits(repo, name)]
    blobs = read_blobs(repo, dict.fromkeys(oid for _, _, oid, _ in listed))
    found: dict[str, _Version] = {}
    for commit, at, oid, name in reversed(listed):
        recipe = _recipe(blobs.get(oid), name)
        if recipe is not None and recipe.output is not None:
            found.setdefault(recipe.output.hash, _Version(recipe.output, at, commit, _moved(recipe, name, document)))
    return found


def _moved(recipe: Recipe, name: str, document: str) -> Recipe:
    """A recipe, whose inputs are relative to its document, for the document's name now."""
    return recipe if name == document else recipe.replace(inputs=moved_inputs(recipe.inputs, name, document))


def _commits(repo: Repo, document: str) -> Iterator[tuple[str, str, str, str]]:
    """(commit, ISO 8601 date, blob of the document in it, its name then) of each commit that changed it, newest first."""
    argv = ("--literal-pathspecs", "log", "--follow", "--raw", "--no-abbrev", "-z", "--format=%x01%H %aI", "--", document)
    answer = repo.git.result(*argv)
    for part in answer.stdout.split(b"\1")[1:] if answer.status == 0 else ():
        head, _, rest = part.partition(b"\0")
        # A line of `--raw` with one name, of a move with two: the new one last.
        told, *names = rest.strip(b"\n\0").split(b"\0")
        fields = told.split(b" ")
        if len(fields) == 5 and names and fields[1].startswith(b"100"):
            commit, at = head.decode().split()
            yield commit, at, fields[3].decode(), os.fsdecode(names[-1])


def _names_in_head(repo: Repo, document: str) -> list[str]:
    """The name that HEAD has of a document whose move is staged and not committed; none where it was not moved."""
    answer = repo.git.result("diff", "--cached", "--find-renames", "--diff-filter=R", "--name-status", "-z", "HEAD", "--")
    names = answer.stdout.split(b"\0")[:-1] if answer.status == 0 else []
    return [os.fsdecode(old) for old, new in zip(names[1::3], names[2::3], strict=True) if os.fsdecode(new) == document]


def _recipe(data: bytes | None, document: str) -> Recipe | None:
    try:
        if data is None or (not document.endswith(".regen.json") and not looks_like_document(data)):
            return None
        return parse_recipe(data, document)
    except RegenError:
        return None
