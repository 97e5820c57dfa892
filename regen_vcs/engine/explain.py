"""Why an asset is as it is: stale, missing, or not found in the cache; parameter by parameter.

What the accepted output was made from is found by its key: of all that keep and git's history remember (recipes,
and what each input was at each commit), the combination that hashes to the key is it. So what is said about the
past is proven, not guessed; where nothing hashes to it, that is said.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import replace

from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.desired import Desired
from regen_vcs.engine.in_place_snapshot import user_look
from regen_vcs.engine.in_place_sync import follow
from regen_vcs.engine.plan_execution import Outcome
from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.prospects import estimate_seconds
from regen_vcs.engine.provenance import Past, describe_inputs, document_path, find_asset, readable_recipe
from regen_vcs.engine.recipe_changes import differences
from regen_vcs.engine.remotes import where_it_was
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.sources import has_all
from regen_vcs.engine.status import Status, Survey, in_store
from regen_vcs.engine.sync import BY_HAND, sync
from regen_vcs.engine.takes import output_of_record
from regen_vcs.engine.trust import untrusted_reason
from regen_vcs.engine.workspace import PROJECT_FILE, Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.generators.installed import is_installed
from regen_vcs.model.generator_table import definition_table
from regen_vcs.model.key import compute_key
from regen_vcs.model.plan import FETCH, MATERIALISE, QUEUE, REFUSE, REGENERATE, REMOVE, RESCUE, Plan, Step
from regen_vcs.model.quantities import human_duration
from regen_vcs.model.recipe import Recipe, parse_recipe

# How many of the recipes in keep are compared, to find the nearest to one that was never made.
_NEAREST_OF = 2000

# What an output was made from. hashes: {input name: BLAKE3}; commit: where that was seen, None: as it is now.
Origin = namedtuple("Origin", ("recipe", "hashes", "commit"))


def explain(ws: Workspace, path: str) -> dict:
    """What `explain` tells of one asset, as JSON (docs/commands.md has the shape). RegenError without a sidecar."""
    everything, status, desired = find_asset(ws, path)
    answer = {
        "path": path, "state": status.state, "reason": status.reason, "key": status.key,
        "accepted_key": desired.facts.out_key, "changes": [], "since_head": [], "inputs": [], "notes": [],
        "cache": None, "nearest": None, "on_sync": None, "on_regenerate": None,
    }
    try:
        recipe = readable_recipe(everything.snapshot, desired, status)
    except InvalidError as error:
        answer["reason"] = error.what
        answer["notes"] = [error.hint] if error.hint else []
        return answer
    snapshot = everything.snapshot
    answer["inputs"] = [each for each in describe_inputs(everything, desired) if each["state"] != "ok"]
    answer["cache"] = _cache(ws, status, desired)
    answer["since_head"] = _since_head(ws, path, recipe)
    answer["on_sync"] = _on_sync(snapshot, path)
    if recipe.generator is None:
        answer["on_regenerate"] = "nothing: a source asset has no generator"
        answer["notes"] = _notes(everything, status, desired, recipe)
        return answer
    answer["changes"] = _changes(snapshot, desired, status, recipe)
    answer["nearest"] = _nearest(ws, status, desired, recipe)
    answer["notes"] = _notes(everything, status, desired, recipe)
    answer["on_regenerate"] = _on_regenerate(ws, path)
    return answer


# ---------------------------------------------------------------- what changed since the output was made


def _changes(snapshot: Snapshot, desired: Desired, status: Status, recipe: Recipe) -> list[str]:
    """What of the recipe is no longer as it was when the accepted output was made; a line each."""
    if desired.facts.out_key is None or desired.facts.out_key == status.key:
        return _definition_changes(snapshot, recipe.generator, recipe.definition)
    origin = find_origin(snapshot, desired, recipe)
    lines = _since_origin(snapshot, desired, recipe, origin)
    if origin is None or origin.recipe.generator != recipe.generator:
        return lines
    details = _definition_changes(snapshot, recipe.generator, origin.recipe.definition)
    if details:  # they say what the two hashes do not
        lines = [line for line in lines if not line.startswith("definition: ")]
    return lines + details or ["nothing that is on record: perhaps the format in its name"]


def find_origin(snapshot: Snapshot, desired: Desired, recipe: Recipe) -> Origin | None:
    """What the accepted output was made from, proven by its key; else keep's recipe with unknown inputs; else None."""
    kept = _kept_recipe(snapshot.ws, desired.facts.out_key)
    for origin in _candidates(snapshot, desired, recipe, kept):
        try:
            if compute_key(origin.recipe, desired.path, origin.hashes) == desired.facts.out_key:
                return origin
        except InvalidError:
            continue  # an input that was not there then
    return Origin(kept, None, None) if kept else None


def _candidates(snapshot: Snapshot, desired: Desired, recipe: Recipe, kept: Recipe | None) -> Iterator[Origin]:
    targets = snapshot.inputs.targets(desired)
    now = {name: snapshot.inputs.hash_of(target) for name, target in targets.items()}
    if kept:
        yield Origin(kept, now, None)
    past = Past(snapshot.ws, _tracked_paths(snapshot, desired, targets))
    for commit in past.commits:
        for old in (past.recipe(commit, desired.path), kept):
            if old is not None and old.generator is not None:
                yield Origin(old, _hashes_at(snapshot, past, commit, desired, old), commit)
    # Last, as a record names no commit: the bytes may never have been committed.
    for hashes in _recorded_inputs(snapshot.ws, desired.facts.out_key):
        yield Origin(kept or recipe, hashes, None)


def _kept_recipe(ws: Workspace, key: str) -> Recipe | None:
    data = ws.results.recipe(key)
    try:
        return parse_recipe(data, "keep") if data is not None else None
    except InvalidError:
        return None


def _recorded_inputs(ws: Workspace, key: str) -> Iterator[dict[str, str]]:
    """{input name: hash} as result records of this key have them."""
    for record in ws.results.takes(key):
        found = record.get("inputs")
        if isinstance(found, dict) and all(isinstance(each, str) for each in found.values()):
            yield {name: digest.removeprefix("blake3:") for name, digest in found.items()}


def _tracked_paths(snapshot: Snapshot, desired: Desired, targets: Mapping[str, str]) -> list[str]:
    """The sidecar, and what its inputs stand for in git: files, or sidecars of assets."""
    inside = [target for target in targets.values() if not target.startswith("@")]
    assets = [document_path(snapshot, target) for target in inside if snapshot.inputs.is_asset(target)]
    return [document_path(snapshot, desired.path), *inside, *assets]


def _hashes_at(snapshot: Snapshot, past: Past, commit: str, desired: Desired, old: Recipe) -> dict[str, str]:
    """The hash of each input as it was at a commit; those that were not there are left out."""
    inputs = snapshot.inputs
    found = {}
    try:
        targets = inputs.targets(desired._replace(facts=desired.facts._replace(inputs=dict(old.inputs))))
    except InvalidError:
        return {}
    for name, target in targets.items():
        digest = inputs.hash_of(target) if target.startswith("@") else _hash_at(past, commit, target)
        if digest is not None:
            found[name] = digest
    return found


def _hash_at(past: Past, commit: str, target: str) -> str | None:
    """An asset's accepted hash at a commit, else the hash of a plain file's blob."""
    recipe = past.recipe(commit, target)
    if recipe is not None:
        return recipe.output.hash if recipe.output else None
    return past.hash(commit, target)


def _since_origin(snapshot: Snapshot, desired: Desired, recipe: Recipe, origin: Origin | None) -> list[str]:
    if origin is None:
        return ["it was made from a recipe that neither keep nor git's history here remembers"]
    lines = differences(replace(origin.recipe, inputs={}), replace(recipe, inputs={}))
    if origin.hashes is None:
        lines += _input_names(origin.recipe, recipe)
        if recipe.inputs and not lines:
            lines.append("the bytes of an input: what it was then is in no commit")
        return lines
    return lines + _input_changes(snapshot, desired, origin)


def _input_names(old: Recipe, new: Recipe) -> list[str]:
    lines = [f"inputs.{name}: removed" for name in sorted(old.inputs.keys() - new.inputs.keys())]
    return lines + [f"inputs.{name}: added" for name in sorted(new.inputs.keys() - old.inputs.keys())]


def _input_changes(snapshot: Snapshot, desired: Desired, origin: Origin) -> list[str]:
    """Inputs whose bytes are not those of then. Another path with the same bytes is no change."""
    targets = snapshot.inputs.targets(desired)
    lines = []
    for name in sorted(origin.hashes.keys() | targets.keys()):
        before = origin.hashes.get(name)
        target = targets.get(name)
        after = snapshot.inputs.hash_of(target) if target else None
        if before == after and target:
            continue
        what = f"inputs.{name}" + (f" ({target})" if target else "")
        lines.append(f"{what}: {_short(before)} → {_short(after) if target else 'removed'}{_when(origin)}")
    return lines


def _when(origin: Origin) -> str:
    return f"  (as of commit {origin.commit[:10]})" if origin.commit else ""


def _short(digest: str | None) -> str:
    return f"blake3:{digest[:12]}…" if digest else "nothing"


# ---------------------------------------------------------------- definitions


def _definition_changes(snapshot: Snapshot, generator: str, old: str | None) -> list[str]:
    """How regen.toml and its code, on disk and in the index, differ from the definition with the hash `old`."""
    if ":" not in generator:
        return []
    on_disk = _differences_of(Definitions(snapshot.ws, from_disk=True), snapshot, generator, old)
    staged = _differences_of(snapshot.definitions, snapshot, generator, old)
    lines = [line for line in staged if line in on_disk]
    lines += [f"{line}  (on disk, not staged)" for line in on_disk if line not in staged]
    return lines + [f"{line}  (as staged)" for line in staged if line not in on_disk]


def _differences_of(definitions: Definitions, snapshot: Snapshot, generator: str, old: str | None) -> list[str]:
    try:
        if definitions.current(generator) == old:
            return []
        table = definitions.table(generator)
        code = {dest: digest for dest, (_, digest) in definitions.code(generator).items()}
    except RegenError as error:
        return [f"definition: {error.what}"]
    then = _definition_then(snapshot, definitions, generator, old)
    if then is None:
        return [f"definition: {generator} is not defined as it was; what it was is in no commit"]
    return _definition_details(generator.partition(":")[2], then, table, code)


def _definition_details(alias: str, then: tuple[dict, dict, str], table: dict, code: Mapping[str, str]) -> list[str]:
    old_table, old_code, commit = then
    where = f"  (as of commit {commit[:10]})"
    tables = [Recipe(generator="x", params=definition_table(each)) for each in (old_table, table)]
    lines = [f"regen.toml [generators.{alias}] {line.removeprefix('params.')}{where}" for line in differences(*tables)]
    for dest in sorted(old_code.keys() | code.keys()):
        before, after = old_code.get(dest), code.get(dest)
        if before != after:
            lines.append(f"code {dest}: {_short(before)} → {_short(after)}{where}")
    return lines


def _definition_then(
    snapshot: Snapshot, definitions: Definitions, generator: str, old: str | None
) -> tuple[dict, dict[str, str], str] | None:
    """(table, {name below {code}: hash}, commit) that hash to the definition `old`."""
    past = Past(snapshot.ws, _definition_paths(definitions, generator))
    for commit in past.commits:
        project = ProjectFile.load(past.read(commit, PROJECT_FILE))
        try:
            digest, code = project.definition(
                generator, lambda path, at=commit: past.read(at, path) or b"", lambda globs, at=commit: past.names(at)
            )
        except RegenError:
            continue
        if digest == old:
            return project.generator_table(generator), {dest: found for dest, (_, found) in code.items()}, commit
    return None


def _definition_paths(definitions: Definitions, generator: str) -> list[str]:
    """regen.toml, the code, and the code's folders: a file that is gone was in one of them."""
    paths = [path for path, _ in definitions.code(generator).values()]
    return [PROJECT_FILE, *paths, *(path.rpartition("/")[0] or "." for path in paths)]


# ---------------------------------------------------------------- against HEAD, and the cache


def _since_head(ws: Workspace, path: str, recipe: Recipe) -> list[str]:
    """What of the recipe differs from HEAD's; [] also where HEAD has none."""
    past = Past(ws, [])
    head = past.recipe("HEAD", path)
    return differences(head, recipe) if head else []


def _cache(ws: Workspace, status: Status, desired: Desired) -> dict:
    """What the stores have: takes of the current key, how many of them with bytes, and the accepted bytes."""
    takes = ws.results.takes(status.key) if status.key else []
    outputs = {each["output_hash"]: output_of_record(each, status.key) for each in takes}
    stored = [digest for digest, output in outputs.items() if has_all(ws.stores, digest, bool(output) and output.is_tree)]
    return {
        "takes": len(takes),
        "outputs": len(outputs),
        "in_store": len(stored),
        "accepted_in_store": in_store(ws, desired) if desired.facts.out_hash else None,
    }


def _nearest(ws: Workspace, status: Status, desired: Desired, recipe: Recipe) -> dict | None:
    """Of what was ever made here by this generator, the recipe most like this one: for one that was never made.

    {"key", "takes", "changes": from that one to this}. Inputs are left out: they count by bytes, which it does not tell.
    """
    if desired.facts.out_hash is not None or (status.key and ws.results.takes(status.key)):
        return None
    best = None
    for _, key in zip(range(_NEAREST_OF), ws.results.keys(), strict=False):
        known = _kept_recipe(ws, key)
        if known is None or known.generator != recipe.generator:
            continue
        lines = differences(replace(known, inputs={}), replace(recipe, inputs={}))
        if best is None or (len(lines), key) < (len(best[1]), best[0]):
            best = key, lines
    return {"key": best[0], "takes": len(ws.results.takes(best[0])), "changes": best[1]} if best else None


# ---------------------------------------------------------------- notes


def _notes(everything: Survey, status: Status, desired: Desired, recipe: Recipe) -> list[str]:
    """What else is worth knowing in the asset's state; sentences."""
    ws = everything.snapshot.ws
    if status.state == "missing":
        return _missing_notes(ws, desired)
    if status.state == "failed":
        return ["the log: regen-vcs show --log " + desired.path]
    if status.state == "modified":
        stored = bool(status.on_disk) and ws.stores.has(status.on_disk)
        return ["the edited bytes are in keep: nothing can lose them" if stored else "the edited bytes are on disk only"]
    if status.state in ("drifted", "proposed") and recipe.generator:
        return _environment_changes(ws, status, desired)
    return []


def _missing_notes(ws: Workspace, desired: Desired) -> list[str]:
    digest = desired.facts.out_hash
    if in_store(ws, desired):
        return [f"its bytes, {_short(digest)}, are in a store"]
    notes = [f"its bytes, {_short(digest)}, are in no store: not in {ws.stores.keep.root}, not in {ws.stores.cache.root}"]
    takes = [each for each in ws.results.takes(desired.facts.out_key or "0" * 64) if each["output_hash"] == digest]
    if takes:
        notes.append(f"they were made here at {takes[-1].get('at')}, and have left the store since")
    elif desired.facts.generator:
        notes.append("they were never made on this machine")
    return notes + (where_it_was(ws, digest) or ["no remote is set up here that could have them"])


def _environment_changes(ws: Workspace, status: Status, desired: Desired) -> list[str]:
    """How the environment of the take on disk differs from that of the accepted one."""
    takes = {each["output_hash"]: each for each in ws.results.takes(status.key or "0" * 64)}
    old, new = takes.get(desired.facts.out_hash), takes.get(status.on_disk)
    if not old or not new:
        return ["the accepted take was not made on this machine: its environment is not known here"] if new else []
    before = {"generator_version": old.get("generator_version"), **_object(old.get("environment"))}
    after = {"generator_version": new.get("generator_version"), **_object(new.get("environment"))}
    lines = differences(Recipe(generator="x", params=before), Recipe(generator="x", params=after))
    return [f"environment {line.removeprefix('params.')}" for line in lines] or ["made in the same environment"]


def _object(value: object) -> dict:
    return value if isinstance(value, dict) else {}


# ---------------------------------------------------------------- what would happen

_SYNC_WORDS = {
    MATERIALISE: "brings the accepted bytes from the store",
    FETCH: "fetches the accepted bytes",
    REGENERATE: "regenerates the accepted bytes",
    QUEUE: "leaves the regeneration for later",
    REMOVE: "removes what is on disk",
    RESCUE: "puts the edited file away (regen-vcs rescued)",
    REFUSE: "cannot bring it",
}


def _on_sync(snapshot: Snapshot, path: str) -> str:
    ws = snapshot.ws
    try:
        if path in snapshot.in_place:
            plan = Plan([])
            follow(ws, Outcome(plan, [], {}), BY_HAND, dry_run=True)
        else:
            plan = sync(ws, BY_HAND, paths={path}, dry_run=True).plan
    except RegenError as error:
        return f"cannot run: {error.what}"
    steps = [step for step in plan.steps if step.path == path]
    return "; then ".join(_step_words(step) for step in steps) or "leaves it as it is"


def _step_words(step: Step) -> str:
    words = _SYNC_WORDS[step.action]
    if step.action == REGENERATE:
        return f"{words} ({_about(step.seconds)})"
    return f"{words}: {step.reason}" if step.reason and step.action in (REFUSE, REMOVE) else words


def _about(seconds: float | None) -> str:
    return f"about {human_duration(seconds)}" if seconds is not None else "time unknown"


def _on_regenerate(ws: Workspace, path: str) -> str:
    """What the user's own `regenerate` would do, with inputs and definition as they are on disk."""
    snapshot = user_look(ws)
    desired = snapshot.assets[path]
    if not is_installed(desired.facts.generator):
        return f"cannot run: no generator {desired.facts.generator.partition(':')[0]} is installed here; gc keeps its bytes"
    try:
        recipe = replace(snapshot.inputs.recipe_of(desired), definition=snapshot.definitions.current(desired.facts.generator))
        snapshot.inputs.preload([desired])
        hashes = {name: snapshot.inputs.hash_of(target) for name, target in snapshot.inputs.targets(desired).items()}
        blocked = [name for name, digest in hashes.items() if digest is None]
        if blocked:
            return f"is blocked: its input {blocked[0]} is missing or pending"
        reason = untrusted_reason(snapshot, desired)
    except RegenError as error:
        return f"cannot run: {error.what}"
    if reason:
        return f"is refused: {reason} (regen-vcs trust)"
    return _run_words(snapshot, desired, compute_key(recipe, path, hashes))


def _run_words(snapshot: Snapshot, desired: Desired, key: str) -> str:
    facts = desired.facts
    stored = [take["output_hash"] for take in snapshot.ws.results.takes(key) if snapshot.ws.stores.has(take["output_hash"])]
    accepted = facts.out_hash if facts.out_key == key else None
    if accepted:
        return f"runs {facts.generator} again ({_about(_estimate(snapshot, desired, key))}); another result than the accepted one is shown as drifted"
    if stored:
        return f"of what is stale or pending takes {_short(stored[0])} from the store, without a run; named, runs {facts.generator}"
    return f"runs {facts.generator} ({_about(_estimate(snapshot, desired, key))}) and accepts the result"


def _estimate(snapshot: Snapshot, desired: Desired, key: str) -> float | None:
    return estimate_seconds(snapshot, desired._replace(facts=desired.facts._replace(out_key=key)))
