"""What is known of one asset: read out of `show --json` and `takes --json`. Nothing here knows Blender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Input(NamedTuple):
    name: str
    path: str
    kind: str
    state: str


class Take(NamedTuple):
    """One result. name: as people say it, "" until `takes` has told; current: of the recipe as it is now; has_recipe: what it was made from is known; thumbnail: the absolute path of a small picture, or ""."""

    name: str
    hash: str
    created: str
    seconds: float | None
    generator: str
    accepted: bool
    on_disk: bool
    current: bool
    in_store: bool
    has_recipe: bool
    thumbnail: str

    @property
    def can_be_accepted(self) -> bool:
        return not self.accepted and self.current and self.in_store

    @property
    def can_come_with_its_recipe(self) -> bool:
        return not self.current and self.in_store and self.has_recipe


class Detail(NamedTuple):
    """params: as the sidecar has them; log: the last lines of a failure; changed: the commit that last changed the sidecar."""

    path: str
    state: str
    reason: str
    generator: str
    params: dict[str, Any]
    inputs: tuple[Input, ...]
    takes: tuple[Take, ...]
    models: dict[str, Any]
    created: str
    kind: str
    media: dict[str, Any]
    log: tuple[str, ...]
    commit: str


def detail_of(document: Any) -> Detail | None:
    """None for what is no answer of `show --json`."""
    if not isinstance(document, Mapping) or not isinstance(document.get("path"), str):
        return None
    meta, output = _mapping(document.get("meta")), _mapping(document.get("output"))
    failure, commit = _mapping(document.get("failure")), _mapping(document.get("commit"))
    return Detail(
        document["path"], _text(document.get("state")), _text(document.get("reason")) or _text(failure.get("reason")), _text(document.get("generator")),
        dict(_mapping(document.get("params"))), tuple(_inputs(document.get("inputs"))), tuple(takes_of(document)),
        dict(_mapping(document.get("models"))), _text(meta.get("created")), _text(meta.get("type")), dict(_mapping(output.get("media"))),
        tuple(line[:300] for line in _list(failure.get("lines")) if isinstance(line, str))[-8:],
        " ".join(_text(commit.get(name)) for name in ("author", "subject")).strip(),
    )  # fmt: skip


def takes_of(document: Any) -> list[Take]:
    """The takes in an answer of `takes --json`, or of `show --json`, which has no names and no thumbnails."""
    entries = _list(document.get("takes")) if isinstance(document, Mapping) else []
    return [_take(entry) for entry in entries if isinstance(entry, Mapping) and isinstance(entry.get("hash"), str)]


def _take(entry: Mapping[str, Any]) -> Take:
    seconds = entry.get("seconds")
    return Take(
        _text(entry.get("name")), entry["hash"], _text(entry.get("created")) or _text(entry.get("at")),
        float(seconds) if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) else None,
        " ".join(filter(None, (_text(entry.get("generator")), _text(entry.get("generator_version"))))), entry.get("accepted") is True,
        entry.get("on_disk") is True, entry.get("current") is True, entry.get("in_store") is True,
        entry.get("has_recipe") is True, _text(entry.get("thumbnail")),
    )  # fmt: skip


def _inputs(value: Any) -> list[Input]:
    found = []
    for entry in _list(value):
        if isinstance(entry, Mapping):
            path = _text(entry.get("path")) or _text(entry.get("value"))
            found.append(Input(_text(entry.get("name")), path, _text(entry.get("kind")), _text(entry.get("state"))))
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
