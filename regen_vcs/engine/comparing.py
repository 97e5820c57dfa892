"""How what came out compares with what was accepted: the same bytes, the same content in other bytes, or different.

Nobody's word is taken for what is compared: a sidecar may claim any content hash, so the accepted bytes themselves are
decoded. Where no store has them only their hash can be compared.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Mapping

from regen_vcs import media
from regen_vcs.engine.observe import hash_file, read_manifest
from regen_vcs.engine.proofs import BYTES, CONTENT, DIFFERENT
from regen_vcs.errors import RegenError
from regen_vcs.model.key import hash_bytes
from regen_vcs.model.manifest import Member, manifest_bytes
from regen_vcs.model.recipe import Output
from regen_vcs.stores.objects import LocalStores

# outcome: BYTES, CONTENT or DIFFERENT. score: 0..1, the worst of several files; None where it cannot be measured. differing:
# names of the files of a directory or sequence that are not the same bytes, or are not in both. recognised: whether sync
# would take it for the accepted take.
Comparison = namedtuple("Comparison", ("outcome", "score", "differing", "recognised"))

_RANK = (BYTES, CONTENT, DIFFERENT)


def compare_file(stores: LocalStores, accepted: Output, path_abs: str) -> Comparison:
    """A single file with the accepted one."""
    if hash_file(path_abs) == accepted.hash:
        return Comparison(BYTES, 1.0, (), True)
    outcome, score, content = _compare_other(stores.find(accepted.hash), path_abs)
    return Comparison(outcome, score, (), outcome == CONTENT and content == accepted.content)


class TreeComparison:
    """Files of a directory or sequence with the accepted ones, a few at a time: add all, then ask."""

    def __init__(self, stores: LocalStores, accepted: Output):
        self._stores, self._accepted = stores, accepted
        self._wanted = _members(stores, accepted.hash)
        self._found: dict[str, Member] = {}
        self._outcomes: dict[str, tuple[str, float | None]] = {}

    def add(self, files: Iterable[tuple[str, str, int]]) -> None:
        """files: (name as in a manifest, absolute path, bytes); they are not needed afterwards."""
        for name, path, size in files:
            digest = hash_file(path)
            self._found[name] = Member(name, digest, size)
            wanted = self._wanted.get(name)
            if wanted is None:
                self._outcomes[name] = (DIFFERENT, None)
            elif wanted.hash != digest:
                self._outcomes[name] = _compare_other(self._stores.find(wanted.hash), path)[:2]

    def result(self) -> Comparison:
        if hash_bytes(manifest_bytes(self._found.values())) == self._accepted.hash:
            return Comparison(BYTES, 1.0, (), True)
        for name in self._wanted.keys() - self._found.keys():
            self._outcomes[name] = (DIFFERENT, 0.0)
        outcomes = [outcome for outcome, _ in self._outcomes.values()] or [DIFFERENT]  # no manifest here to compare with
        scores = [score for _, score in self._outcomes.values()]
        worst = None if None in scores or not scores else min(scores)
        # A manifest says nothing of content: sync would show the other bytes as drifted.
        return Comparison(max(outcomes, key=_RANK.index), worst, tuple(sorted(self._outcomes, key=_natural)), False)


def _members(stores: LocalStores, hash: str) -> Mapping[str, Member]:
    try:
        return {member.name: member for member in read_manifest(stores, hash)}
    except RegenError:
        return {}


def _compare_other(accepted_abs: str | None, path_abs: str) -> tuple[str, float | None, str | None]:
    """(outcome, score, content hash) of a file whose bytes are not the accepted ones."""
    if accepted_abs is None:
        return DIFFERENT, None, None
    content = media.content_hash(path_abs)
    if content is not None and content == media.content_hash(accepted_abs):
        return CONTENT, 1.0, content
    return DIFFERENT, media.score(accepted_abs, path_abs), content


def _natural(name: str) -> tuple[int, str]:
    """Frames by number, anything else by name."""
    digits = name.partition(".")[0]
    return (int(digits) if digits.isascii() and digits.isdigit() else -1, name)
