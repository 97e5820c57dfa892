"""Which assets the files of a .blend are, and how to mend paths that lead nowhere. Nothing here knows Blender.

Paths come out of a .blend that anybody may have made, with either system's rules: nothing is opened here.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

MATCHED, MISSING, BROKEN, OUTSIDE, PLAIN = "matched", "missing", "broken", "outside", "plain"

_DRIVE = re.compile(r"^(?:[A-Za-z]:[\\/]|\\\\)")
_UDIM = re.compile(r"<(?:UDIM|UVTILE)>", re.IGNORECASE)
_FRAME = re.compile(r"^(.*?)([0-9]+)(\.[^./]*)$", re.DOTALL)
_HASHES = re.compile(r"^(.*?)(#+)(\.[^./]*)$", re.DOTALL)


class Use(NamedTuple):
    """A file that a .blend names. owner: what names it ("Image sky"); path: as it stands there, `//…` or absolute;
    folder: of the .blend or library that the path is relative to; hash: of the asset it was, if the .blend remembers; sequence:
    the path is the first of many frames."""

    owner: str
    path: str
    folder: str
    hash: str = ""
    sequence: bool = False


class Asset(NamedTuple):
    """An asset of the project. path: from the root, POSIX; hash: its accepted one, or ""."""

    path: str
    hash: str = ""


class Finding(NamedTuple):
    """What became of a use.

    status: `matched` (an asset, its file is there), `missing` (an asset, not on disk now), `broken` (leads nowhere), `plain` (a file
    of the project that is no asset), `outside` (a file elsewhere). asset: the asset's path; repair: the absolute path to set instead;
    reason: why that, or why none.
    """

    use: Use
    status: str
    asset: str = ""
    repair: str = ""
    reason: str = ""


def is_windows_path(path: str) -> bool:
    return bool(_DRIVE.match(path))


def absolute_of(path: str, folder: str) -> str:
    """The absolute path of what stands in a .blend, with `/`; "" for an empty one. Backslashes are Windows' way to write `/`."""
    if not path or "\0" in path:
        return ""
    if path.startswith("//") and not path.startswith("///"):
        joined = posixpath.join(_slashes(folder), _slashes(path[2:]).lstrip("/"))
    elif is_windows_path(path):
        return ntpath.normpath(path).replace("\\", "/")
    elif path.startswith("/"):
        joined = path
    else:
        joined = posixpath.join(_slashes(folder), _slashes(path))
    normal = posixpath.normpath(joined)
    return "/" + normal.lstrip("/") if normal.startswith("/") else normal


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


def repository_path(absolute: str, root: str) -> str | None:
    """A path from the project's root, None if it lies outside. Drives and folders of Windows compare without case."""
    top = posixpath.normpath(_slashes(root))
    folds = bool(re.match(r"^[A-Za-z]:/", top))
    one, other = (absolute.lower(), top.lower()) if folds else (absolute, top)
    prefix = other.rstrip("/") + "/"
    return absolute[len(prefix) :] if one.startswith(prefix) and len(absolute) > len(prefix) else None


class Catalogue:
    """A project's assets, to be found by path, frame, hash and name."""

    def __init__(self, assets: Iterable[Asset]):
        self.assets = {asset.path: asset for asset in assets}
        self._by_hash: dict[str, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        self._sequences: dict[tuple[str, int, str], str] = {}
        self._folded: dict[str, list[str]] = {}
        for path, asset in sorted(self.assets.items()):
            if asset.hash:
                self._by_hash.setdefault(asset.hash, []).append(path)
            self._by_name.setdefault(_folded_name(path) if _is_many(path) else _name(path), []).append(path)
            self._folded.setdefault(path.casefold(), []).append(path)
            hashes = _HASHES.match(path)
            if hashes:
                self._sequences[hashes[1], len(hashes[2]), hashes[3]] = path

    def at(self, path: str) -> str | None:
        """The asset at a path of the repository: itself, the sequence or tiles it is a part of, or the folder it lies in."""
        if path in self.assets:
            return path
        found = self._sequence_of(path) or self._folder_of(path)
        if found:
            return found
        folded = self._folded.get(path.casefold(), ())
        return folded[0] if len(folded) == 1 else None

    def _sequence_of(self, path: str) -> str | None:
        path = _UDIM.sub("1001", path)
        hashes = _HASHES.match(path)
        if hashes:
            return self._sequences.get((hashes[1], len(hashes[2]), hashes[3]))
        frame = _FRAME.match(path)
        if not frame:
            return path if path in self.assets else None
        before, digits, suffix = frame.groups()
        for length in range(len(digits), 0, -1):
            # The prefix may end in digits of its own: `take2_0001.png` and `take20001.png`.
            found = self._sequences.get((before + digits[:-length], length, suffix))
            if found:
                return found
        return path if path in self.assets else None

    def _folder_of(self, path: str) -> str | None:
        folder = posixpath.dirname(path)
        while folder:
            if folder in self.assets:
                return folder
            folder = posixpath.dirname(folder)
        return None

    def with_hash(self, hash_: str) -> list[str]:
        return self._by_hash.get(hash_, []) if hash_ else []

    def with_name(self, path: str) -> list[str]:
        """The assets of a file's name; of a frame or a tile the sequences that it may be of. `IMG_4711.png` and `IMG_4712.png` are two pictures."""
        return [*self._by_name.get(_name(path), ()), *self._by_name.get(_folded_name(path), ())]


def _name(path: str) -> str:
    return _slashes(path).rpartition("/")[2].casefold()


def _is_many(path: str) -> bool:
    return "#" in _name(path) or _UDIM.search(_name(path)) is not None


def _folded_name(path: str) -> str:
    """A sequence's name: a frame's or tile's number as `/#`, which no file's name has."""
    name = _UDIM.sub("1001", _name(path))
    found = _HASHES.match(name) or _FRAME.match(name)
    return f"{found[1]}/#{found[3]}" if found and (len(found[2]) >= 3 or "#" in found[2]) else f"{name}/"


def match_uses(uses: Iterable[Use], catalogue: Catalogue, *, root: str, exists: Callable[[str], bool]) -> list[Finding]:
    """A finding for each use, in their order. root: the project's folder; exists: whether there is a file at an absolute path."""
    return [_match(use, catalogue, root, exists) for use in uses]


def _match(use: Use, catalogue: Catalogue, root: str, exists: Callable[[str], bool]) -> Finding:
    absolute = absolute_of(use.path, use.folder)
    inside = repository_path(absolute, root) if absolute else None
    asset = catalogue.at(inside) if inside else None
    if asset:
        return Finding(use, MATCHED if _is_there(absolute, exists) else MISSING, asset)
    if absolute and not (is_windows_path(absolute) and not is_windows_path(root)) and _is_there(absolute, exists):
        return Finding(use, PLAIN if inside else OUTSIDE)
    return _propose(use, absolute or use.path, catalogue, root)


def _is_there(absolute: str, exists: Callable[[str], bool]) -> bool:
    return exists(_UDIM.sub("1001", absolute))


def _propose(use: Use, path: str, catalogue: Catalogue, root: str) -> Finding:
    """By hash it is surely the one, wherever it moved; by name only if nothing else bears it."""
    same = catalogue.with_hash(use.hash)
    if same:
        # The same bytes at two places: the one that also bears the name.
        best = next((each for each in same if each in catalogue.with_name(path)), same[0])
        return _repair(use, best, path, root, "the same content")
    named = catalogue.with_name(path)
    if len(named) == 1:
        return _repair(use, named[0], path, root, "the only asset of this name")
    return Finding(use, BROKEN, reason=f"{len(named)} assets bear this name" if named else "no asset bears this name")


def _repair(use: Use, asset: str, path: str, root: str, reason: str) -> Finding:
    return Finding(use, BROKEN, asset, posixpath.join(_slashes(root), _file_of(asset, path)), reason)


def _file_of(asset: str, path: str) -> str:
    """The file to name for an asset: of a sequence the frame (or `<UDIM>`) that the old path named, else its first one as `0001`."""
    hashes = _HASHES.match(asset)
    if not hashes:
        return asset
    name = _slashes(path).rpartition("/")[2]
    tile = _UDIM.search(name)
    if tile:
        return f"{hashes[1]}{tile[0]}{hashes[3]}"
    frame = _FRAME.match(name)
    number = int(frame[2][-9:]) if frame else 1
    return f"{hashes[1]}{number:0{len(hashes[2])}d}{hashes[3]}"


def relative_to_blend(absolute: str, blend_folder: str) -> str | None:
    """`//…` of an absolute path, None where there is none: on another drive."""
    here, there = _slashes(blend_folder), _slashes(absolute)
    if is_windows_path(here) or is_windows_path(there):
        if ntpath.splitdrive(here)[0].lower() != ntpath.splitdrive(there)[0].lower():
            return None
        return "//" + ntpath.relpath(there, here).replace("\\", "/")
    return "//" + posixpath.relpath(there, here)


def assets_used(findings: Sequence[Finding]) -> list[str]:
    """The assets that uses lead to, sorted, each once: what the working set of this .blend is."""
    return sorted({finding.asset for finding in findings if finding.status in (MATCHED, MISSING)})
