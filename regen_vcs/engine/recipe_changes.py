"""What changes from one recipe to another, and whether it may: said in lines, and without a circle."""

from __future__ import annotations

from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.model_reference import model_words
from regen_vcs.model.paths import resolve_input, sidecar_of
from regen_vcs.model.recipe import Model, Recipe

_ABSENT = object()  # a parameter that is null is there


def differences(old: Recipe, new: Recipe) -> list[str]:
    """What changed between two recipes' identities, a line each."""
    lines = []
    if old.generator != new.generator:
        lines.append(f"generator: {old.generator} → {new.generator}")
    if old.definition != new.definition:
        lines.append(f"definition: {_short(old.definition)} → {_short(new.definition)}")
    for word, before, after in (("params", old.params, new.params), ("inputs", old.inputs, new.inputs),
                                ("models", old.models, new.models)):
        for name in sorted({*before, *after}):
            left, right = before.get(name, _ABSENT), after.get(name, _ABSENT)
            if left != right or type(left) is not type(right):
                lines.append(f"{word}.{name}: {_shown(left)} → {_shown(right)}")
    return lines


def _short(value: str | None) -> str:
    return value[:12] + "…" if value else "none"


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "none"
    if value is None:
        return "null"
    if isinstance(value, Model):
        return model_words(value)
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def refuse_cycle(ws: Workspace, path: str, recipe: Recipe) -> None:
    """InvalidError where the asset would, through its inputs, depend on itself; the cycle is shown."""
    snapshot = look_at_both(ws, paths=set())
    trail: list[str] = []
    seen: set[str] = set()

    def inputs_of(each: str) -> list[str]:
        if each == path:
            return [resolve_input(sidecar_of(path), value) for value in recipe.inputs.values()]
        desired = snapshot.assets.get(each)
        try:
            return list(snapshot.inputs.targets(desired).values()) if desired else []
        except RegenError:
            return []

    stack = [(path, iter(inputs_of(path)))]
    trail.append(path)
    while stack:
        _, targets = stack[-1]
        target = next(targets, None)
        if target is None:
            stack.pop()
            trail.pop()
        elif target == path:
            raise InvalidError(f"{path}: would depend on itself: {' → '.join([*trail, path])}")
        elif target not in seen:
            seen.add(target)
            stack.append((target, iter(inputs_of(target))))
            trail.append(target)
