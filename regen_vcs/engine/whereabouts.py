"""Where in a repository certain bytes lie, and where something went: what repairs of references are found with.

By bytes: each asset by its accepted hash, each plain file by its blob in the index (an untracked one by its clean form).
By history: a file that was taken away has a last blob; that blob, or a sidecar of that very text, may lie elsewhere now.
By name: the same path but for case, accents' form or separators; the same name in another folder.
"""

from __future__ import annotations

import functools
import os

from blake3 import blake3

from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.errors import RegenError
from regen_vcs.git import index
from regen_vcs.git.history import past_blobs
from regen_vcs.model.paths import SIDECAR_SUFFIX, fold, sidecar_of

# Blobs whose BLAKE3 is not known are read to learn it: no more of them than this.
_READ_BYTES = 256 << 20
# Untracked files above this are known by their names alone: to know their clean form, git would have to store them.
_LOOSE_BYTES = 1 << 20
_UNREAD = ""


class Whereabouts:
    """Of one look at a worktree, of both layouts, with inputs as they are on disk."""

    def __init__(self, snapshot: Snapshot):
        self._snapshot, self._repo, self._memo = snapshot, snapshot.ws.repo, snapshot.ws.memo

    # -- what there is -------------------------------------------------------------------------------------------

    @functools.cached_property
    def files(self) -> dict[str, str]:
        """{path: blob} of every plain file that is there, in clean form; "" for one that git does not have so and that is large.
        What is deleted from disk is not there, though the index has it; what sparse-checkout leaves out is."""
        names = index.list_matching(self._repo, ["**"], untracked=True)
        plain = [name for name in names if not name.endswith(SIDECAR_SUFFIX) and name not in self._snapshot.assets]
        entries = index.list_paths(self._repo, plain)
        is_regular = self._snapshot.inputs.is_regular
        found = {
            path: each.oid for path, each in entries.items()
            if each.mode.startswith("100") and not each.stage and (each.tag in "Ss" or is_regular(path))
        }
        edited = index.modified(self._repo)
        loose = [path for path in plain if (path not in entries or path in edited) and is_regular(path)]
        small = [path for path in loose if os.lstat(f"{self._repo.root}/{path}").st_size <= _LOOSE_BYTES]
        return found | dict.fromkeys(loose, _UNREAD) | index.clean_oids(self._repo, small, write=True)

    def is_there(self, target: str) -> bool:
        """Whether an input of this path can be had: an asset, or a file, be it one that git ignores."""
        return self._is_here(target) or self._snapshot.inputs.is_regular(target)

    @functools.cached_property
    def _by_fold(self) -> dict[str, list[str]]:
        return _grouped((fold(path), path) for path in self.everything)

    @functools.cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return _grouped((fold(path.rpartition("/")[2]), path) for path in self.everything)

    @functools.cached_property
    def everything(self) -> list[str]:
        """Every asset and plain file."""
        return sorted({*self._snapshot.assets, *self.files})

    # -- by bytes ------------------------------------------------------------------------------------------------

    def hash_of(self, target: str) -> str | None:
        """BLAKE3 of an input of this path; None while it is pending or not there."""
        if target in self._snapshot.assets:
            return self._snapshot.assets[target].facts.out_hash
        oid = self.files.get(target)
        return self._hash_of_blob(oid) if oid else None

    def with_hash(self, digest: str) -> list[str]:
        """Every asset and file whose bytes have this BLAKE3."""
        return self._by_hash.get(digest, [])

    def hashes(self) -> list[str]:
        """The BLAKE3 of everything here, each once."""
        return list(self._by_hash)

    @functools.cached_property
    def _by_hash(self) -> dict[str, list[str]]:
        self._learn({*self.files.values()} - {_UNREAD})
        return _grouped((digest, path) for path in self.everything if (digest := self.hash_of(path)))

    def _learn(self, oids: set[str]) -> None:
        """Read blobs whose BLAKE3 nobody has noted yet, small ones first."""
        unknown = index.sizes_of(self._repo, {oid for oid in oids if self._memo.get(f"b:{oid}") is None})
        left, wanted = _READ_BYTES, []
        for oid, size in sorted(unknown.items(), key=lambda each: (each[1], each[0])):
            left -= size
            if left < 0:
                break
            wanted.append(oid)
        for oid, data in index.iter_blobs(self._repo, wanted):
            self._memo.put(f"b:{oid}", blake3(data).hexdigest())

    def _hash_of_blob(self, oid: str) -> str | None:
        known = self._memo.get(f"b:{oid}")
        if known is None:
            self._learn({oid})
            known = self._memo.get(f"b:{oid}")
        return known

    # -- by history ----------------------------------------------------------------------------------------------

    @functools.cached_property
    def _past(self) -> list[tuple[str, str]]:
        """(path, a blob it had), newest first: of HEAD, of this worktree's memory, of every commit."""
        found = []
        try:
            found += index.blobs_of(self._repo, "HEAD").items()
            found += ((path, oid) for path, oid, _ in past_blobs(self._repo))
        except RegenError:
            pass  # nothing is committed yet
        for path, row in self._snapshot.ws.state.rows.items():
            if (row.memo_name or "").startswith("s:"):
                found.append((sidecar_of(path), row.memo_name.split(":")[1]))
        return found

    @functools.cached_property
    def last(self) -> dict[str, str]:
        """{path: its last blob} of everything that was ever there."""
        return dict(reversed(self._past))

    def former_hash(self, target: str) -> str | None:
        """BLAKE3 of the bytes that were at this path when it was there last."""
        sidecar = self.last.get(sidecar_of(target))
        if sidecar:
            data = index.read_blobs(self._repo, [sidecar]).get(sidecar)
            if data is not None:
                return self._memo.facts(data, sidecar, target)[1].out_hash
            row = self._snapshot.ws.state.rows.get(target)
            return row.facts.out_hash if row and row.facts else None
        oid = self.last.get(target)
        return self._hash_of_blob(oid) if oid else None

    def gone_to(self, target: str) -> list[str]:
        """Where what was at this path lies now: assets whose sidecars, and files whose blobs, are or were once the same.

        So a file that was moved, and edited afterwards, is still found.
        """
        if sidecar_of(target) in self.last:
            names = self._was_at.get(self.last[sidecar_of(target)], [])
            found = [name.removesuffix(SIDECAR_SUFFIX) for name in names if name.endswith(SIDECAR_SUFFIX)]
            found += self._by_sidecar.get(self.last[sidecar_of(target)], [])
        else:
            oid = self.last.get(target)
            found = [*self._was_at.get(oid, []), *self._by_blob.get(oid, [])]
        return [path for path in dict.fromkeys(found) if path != target and self._is_here(path)]

    def _is_here(self, path: str) -> bool:
        return path in self._snapshot.assets or path in self.files

    def former_places(self, asset: str) -> list[str]:
        """Assets that are gone whose sidecars had the very text that this one's has: where it was before it was moved."""
        oid = self._oid_of(asset)
        return [
            path for path in (name.removesuffix(SIDECAR_SUFFIX) for name in self._was_at.get(oid, []) if name.endswith(SIDECAR_SUFFIX))
            if path != asset and path not in self._snapshot.assets
        ] if oid else []

    def _oid_of(self, asset: str) -> str | None:
        name = self._snapshot.assets[asset].memo_name
        return name.split(":")[1] if name.startswith("s:") else None

    @functools.cached_property
    def _was_at(self) -> dict[str, list[str]]:
        return _grouped((oid, path) for path, oid in dict.fromkeys(self._past))

    @functools.cached_property
    def _by_sidecar(self) -> dict[str, list[str]]:
        return _grouped((oid, path) for path in self._snapshot.assets if (oid := self._oid_of(path)))

    @functools.cached_property
    def _by_blob(self) -> dict[str, list[str]]:
        return _grouped((oid, path) for path, oid in self.files.items() if oid)

    # -- by name -------------------------------------------------------------------------------------------------

    def folded(self, target: str) -> list[str]:
        """Every asset and file whose path is this one but for case and accents' form."""
        return self._by_fold.get(fold(target), [])

    def named(self, target: str) -> list[str]:
        """Every asset and file of this name, in whatever folder; those that share most of the path alone, if some do."""
        parts = [fold(each) for each in target.split("/") if each not in ("", ".", "..")]
        found = self._by_name.get(parts[-1], []) if parts else []
        shared = {path: _shared_tail(parts, [fold(each) for each in path.split("/")]) for path in found}
        most = max(shared.values(), default=0)
        return [path for path in found if shared[path] == most]


def _shared_tail(left: list[str], right: list[str]) -> int:
    count = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        count += 1
    return count


def _grouped(pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
