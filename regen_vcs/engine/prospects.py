"""Whether accepted bytes that no local store has can be brought back, how, and in what time."""

from __future__ import annotations

from regen_vcs.engine.desired import Desired
from regen_vcs.engine.named_roots import NotRead
from regen_vcs.engine.planner import Bring
from regen_vcs.engine.trust import untrusted_reason
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.generators.installed import is_exact_built_in, is_installed
from regen_vcs.model.plan import PAID

# Seconds for a built-in per megapixel or per minute of sound: rough, and only until a take says better.
_SECONDS_PER_MB = 0.25
_BUILT_IN_FLOOR = 0.3


def prospects_of(snapshot, nowhere: list[Desired]) -> dict[str, Bring]:
    """A Bring for each of these: "regenerate" with an estimate, or None with the reason."""
    snapshot.inputs.preload(nowhere)
    return {desired.path: _prospect(snapshot, desired) for desired in nowhere}


def _prospect(snapshot, desired: Desired) -> Bring:
    facts = desired.facts
    if facts.is_source:
        return Bring(None, "a source asset, and its bytes are in no store here", None, [])
    try:
        reason = _refusal(snapshot, desired)
        targets = list(snapshot.inputs.targets(desired).values())
    except RegenError as error:
        return Bring(None, error.what, None, [])
    if reason:
        return Bring(None, reason, None, [], _cost(snapshot, desired) if reason == PAID else None)
    upstream = [each for each in targets if snapshot.inputs.is_asset(each)]
    # What has to be read first, and is long, is left to a worker: nobody knows how long that takes.
    seconds = None if snapshot.inputs.root_problem(desired) else estimate_seconds(snapshot, desired)
    return Bring("regenerate", None, seconds, upstream)


def _refusal(snapshot, desired: Desired) -> str | None:
    """Why this recipe must not be run to get its accepted bytes back; None where it may."""
    facts = desired.facts
    away = snapshot.inputs.root_problem(desired)
    if away is not None and not isinstance(away, NotRead):
        return f"blocked: its input {away.what}"
    if away is None and snapshot.inputs.key_of(desired) != facts.out_key:
        return "stale: its accepted bytes cannot be made again from the recipe as it is now"
    if not is_installed(facts.generator):
        return f"no generator {facts.generator.partition(':')[0]} is installed here"
    if ":" not in facts.generator:
        return _misfit(snapshot, desired) or untrusted_reason(snapshot, desired)
    try:
        current = snapshot.definitions.current(facts.generator)
    except InvalidError as error:
        return f"definition: {error.what}"
    if current != facts.definition:
        return f"definition: {facts.generator} is defined differently here than when it was made"
    if snapshot.definitions.table(facts.generator).get("paid"):
        return PAID
    return untrusted_reason(snapshot, desired)


def _cost(snapshot, desired: Desired) -> float | None:
    """Dollars of one run: of the last one, else as its table says; None where neither does."""
    costs = [take["cost"] for take in snapshot.ws.results.takes(desired.facts.out_key) if _is_number(take.get("cost"))]
    return costs[-1] if costs else snapshot.definitions.table(desired.facts.generator).get("cost")


def _misfit(snapshot, desired: Desired) -> str | None:
    """Why a generator here cannot run a recipe that was captured or recovered elsewhere under its name."""
    generator = desired.facts.generator
    if is_exact_built_in(generator):
        return None  # ours: checked when the recipe was written
    # Imports pydantic.
    from regen_vcs.generators.registry import complete_params, load

    try:
        complete_params(load(generator), snapshot.inputs.recipe_of(desired).params)
    except RegenError as error:
        return f"{generator} as it is installed here cannot run it: {error.what}"
    return None


def estimate_seconds(snapshot, desired: Desired) -> float | None:
    """From earlier takes of the same key; for exact built-ins from the size; else None: unknown."""
    facts = desired.facts
    takes = snapshot.ws.results.takes(facts.out_key) if facts.out_key else []
    times = [take["seconds"] for take in takes if _is_number(take.get("seconds"))]
    if times:
        return sorted(times)[len(times) // 2]
    if ":" in facts.generator:
        return None
    if not is_exact_built_in(facts.generator):
        return None
    return _BUILT_IN_FLOOR + facts.out_size / 1e6 * _SECONDS_PER_MB


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
