"""`doctor`: what is wrong with this set-up, and how to mend it.

It looks and changes nothing. Each part is examined by itself, so that one that cannot be looked at does not hide the
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from regen_vcs.engine import doctor_git, doctor_in_place, doctor_stores
from regen_vcs.engine.check import media_in_git
from regen_vcs.engine.finding import NOTE, OK, PROBLEM, Finding, count, some
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.trust import repository_items, trust_store
from regen_vcs.engine.workspace import PROJECT_FILE, Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.generators import registry
from regen_vcs.git import config
from regen_vcs.git.index import tracked
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import Git


def examine(cwd: str, environ: Mapping[str, str]) -> list[Finding]:
    """Everything there is to say, in the order in which it is best read."""
    try:
        git = Git(cwd, environ)
        findings = list(doctor_git.examine_git(git))
    except RegenError as error:
        return [_of_error("git", error)]
    try:
        repo = Repo.discover(cwd, environ)
    except RegenError as error:
        return [*findings, _of_error("repository", error)]
    if not _is_set_up(repo):
        findings.append(Finding("set-up", PROBLEM, "regen-vcs was never set up in this repository", "regen-vcs init"))
    for topic, part in (
        ("repository", doctor_git.examine_repository), ("hooks", doctor_git.examine_hooks),
        ("drivers", doctor_git.examine_drivers), ("attributes", doctor_git.examine_attributes),
    ):
        findings += _guarded(topic, lambda part=part: part(repo))
    try:
        ws = Workspace.open(cwd, environ)
    except RegenError as error:
        return [*findings, _of_error("settings", error)]
    try:
        findings += _examine_workspace(ws)
    finally:
        ws.tree.close()  # and not `ws.close()`, which would write down what was learnt
    return findings


def _examine_workspace(ws: Workspace) -> list[Finding]:
    findings = []
    for topic, part in (("settings", _examine_settings), (PROJECT_FILE, _examine_project),
                        ("stores", doctor_stores.examine_stores)):
        findings += _guarded(topic, lambda part=part: part(ws))
    try:
        snapshot = look_at_both(ws)
    except (RegenError, OSError) as error:
        return [*findings, _of_error("recipes", error)]
    for topic, part in (
        ("recipes", _examine_recipes), ("inputs", _examine_inputs), ("in place", doctor_in_place.examine_in_place),
        ("generators", _examine_generators), ("trust", _examine_trust),
        ("ignores", doctor_git.examine_ignores), ("media in git", _examine_media),
    ):
        findings += _guarded(topic, lambda part=part: part(snapshot))
    return [*findings, *doctor_git.warn_of_dangers()]


def _guarded(topic: str, part: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """One part's findings; what keeps it from being looked at is a finding too."""
    found: list[Finding] = []
    try:
        for finding in part():
            found.append(finding)
    except (RegenError, OSError) as error:
        found.append(_of_error(topic, error))
    return found


def _of_error(topic: str, error: RegenError | OSError) -> Finding:
    if isinstance(error, RegenError):
        return Finding(topic, PROBLEM, error.what, error.hint)
    return Finding(topic, PROBLEM, f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _is_set_up(repo: Repo) -> bool:
    return "regen.uuid" in config.read_config(repo)


def _examine_settings(ws: Workspace) -> Iterable[Finding]:
    ws.settings.check()
    chosen = [name for name, _value, origin in ws.settings.all() if origin != "default"]
    yield Finding("settings", OK, f"valid; {count(len(chosen), 'setting')} other than the default (regen-vcs config)")
    for name, origin in ws.settings.unknown():
        yield Finding("settings", NOTE, f"{name}, from {origin}, is no setting of this version", "regen-vcs config lists them")


def _examine_project(ws: Workspace) -> Iterable[Finding]:
    project = ProjectFile.load(ws.project_bytes())
    if not project.exists:
        yield Finding(PROJECT_FILE, NOTE, "there is none: only built-in generators can be used", "regen-vcs init")
        return
    project.validate()
    names = project.generator_names()
    yield Finding(PROJECT_FILE, OK, f"valid; defines {some(names, 6)}" if names else "valid; defines no generators")


def _examine_recipes(snapshot: Snapshot) -> Iterable[Finding]:
    invalid = [path for path, desired in snapshot.assets.items() if desired.facts.problem]
    unmerged = [path for path, desired in snapshot.assets.items() if desired.unmerged]
    kept = f", and {count(len(snapshot.in_place), 'asset')} kept in place" if snapshot.in_place else ""
    yield Finding("recipes", OK, count(len(snapshot.assets) - len(snapshot.in_place), "sidecar") + kept)
    if invalid:
        yield Finding("recipes", PROBLEM, f"not valid: {some(invalid)}", "regen-vcs check")
    if unmerged:
        yield Finding("recipes", NOTE, f"in conflict, so their media are left as they are: {some(unmerged)}", "resolve, then git add")


def _examine_inputs(snapshot: Snapshot) -> Iterable[Finding]:
    """Whether what recipes are made from is where they say."""
    inputs, wanted, outside = snapshot.inputs, {}, {}
    for path, desired in snapshot.assets.items():
        if desired.facts.problem or desired.side_sig is None:
            continue
        try:
            wanted |= dict.fromkeys((each for each in inputs.targets(desired).values() if not each.startswith("@")), path)
        except RegenError as error:
            outside[error.what] = path
    plain = [target for target in wanted if target not in snapshot.assets and not inputs.is_regular(target)]
    missing = [*outside, *sorted(set(plain) - tracked(snapshot.ws.repo, plain))]
    wanted |= outside
    if missing:
        asset = wanted[missing[0]]
        reason = f"{count(len(missing), 'input')} of recipes not there: {some(missing)} (of {asset})"
        yield Finding("inputs", PROBLEM, reason, "regen-vcs doctor --fix")


def _examine_generators(snapshot: Snapshot) -> Iterable[Finding]:
    """Those the recipes need, and those there are."""
    needed: dict[str, int] = {}
    for desired in snapshot.assets.values():
        if desired.facts.generator:
            needed[desired.facts.generator] = needed.get(desired.facts.generator, 0) + 1
    yield Finding("generators", OK, f"installed: {', '.join(registry.names())}")
    for name, recipes in sorted(needed.items()):
        try:
            registry.load(name, snapshot.definitions.table(name) or None)
        except UsageError as error:
            reason = f"{error.what}; {count(recipes, 'recipe')} need{'s' if recipes == 1 else ''} it"
            yield Finding("generators", PROBLEM, reason, error.hint)
        except RegenError as error:
            yield Finding("generators", PROBLEM, f"{name}: {error.what}", error.hint)


def _examine_trust(snapshot: Snapshot) -> Iterable[Finding]:
    if not _is_set_up(snapshot.ws.repo):
        return  # asking would give the repository its name
    items = repository_items(snapshot)
    store = trust_store(snapshot)
    if store.problem:
        yield Finding("trust", PROBLEM, store.problem.what, store.problem.hint)
    missing = store.untrusted(items)
    if missing:
        paths = list(dict.fromkeys(item.path for item in missing))
        yield Finding("trust", NOTE, f"not trusted, so not run here: {some(paths)}", "look at it, then: regen-vcs trust")
    elif items:
        yield Finding("trust", OK, f"you trust all that could run here ({count(len(items), 'file')})")
    else:
        yield Finding("trust", OK, "nothing here needs it")


def _examine_media(snapshot: Snapshot) -> Iterable[Finding]:
    problems = media_in_git(snapshot.ws)
    if problems:
        paths = [each.path for each in problems]
        yield Finding("media in git", PROBLEM, f"git has the raw bytes of {some(paths)}", problems[0].mend)
    else:
        yield Finding("media in git", OK, "none: git has recipes only")
