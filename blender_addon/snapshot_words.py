"""What a snapshot would be refused for, in words for an artist. Nothing here knows Blender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_SIDECAR = ".regen.json"
_NAMED = 3


class Refusal(NamedTuple):
    """text: what is wrong, with names; hint: what to do."""

    text: str
    hint: str


def refusal(document: Any) -> Refusal | None:
    """Of the answer of `check --staged --json`; None where nothing is refused."""
    found = document.get("problems") if isinstance(document, Mapping) else None
    errors = [each for each in found if isinstance(each, Mapping) and each.get("severity") == "error"] if isinstance(found, list) else []
    if not errors:
        return None
    outdated = _names(each for each in errors if _is_outdated(each))
    others = {_name(each): _reason(each) for each in reversed(errors) if not _is_outdated(each)}
    told = [f"{_some(outdated)} {'is' if len(outdated) == 1 else 'are'} outdated"] if outdated else []
    told += [f"{name}: {reason}" for name, reason in list(reversed(others.items()))[:_NAMED]]
    told += [f"and {len(others) - _NAMED} more"] if len(others) > _NAMED else []
    hints = ["bring what is outdated up to date first"] if outdated else []
    hints += ["mend the recipes that are named, or take back what they were"] if others else []
    return Refusal(f"No snapshot was taken. {'; '.join(told)}", ", and ".join(hints))


def warning(rows: Sequence[Any]) -> list[str]:
    """Before a snapshot, out of what is known of the assets: lines to read, none where all is well. rows: with `name` and `state`."""
    invalid = [row.name for row in rows if row.state == "invalid"]
    outdated = [row.name for row in rows if row.state == "stale"]
    lines = []
    if invalid:
        lines.append(f"{_some(invalid)} cannot be read: no snapshot is taken with {'it' if len(invalid) == 1 else 'them'} changed.")
    if outdated:
        lines.append(f"{_some(outdated)} {'is' if len(outdated) == 1 else 'are'} outdated: no snapshot is taken where the recipe was changed.")
        lines.append("Bring them up to date first.")
    return lines


def _is_outdated(problem: Mapping[str, Any]) -> bool:
    return problem.get("field") == "output.key" and str(problem.get("reason")).startswith("stale")


def _reason(problem: Mapping[str, Any]) -> str:
    field = f"{problem['field']}: " if problem.get("field") else ""
    return f"{field}{problem.get('reason') or 'is refused'}"[:200]


def _name(problem: Mapping[str, Any]) -> str:
    return str(problem.get("path") or "a file").removesuffix(_SIDECAR)


def _names(problems: Any) -> list[str]:
    return list(dict.fromkeys(map(_name, problems)))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
