"""The manifest of a directory or numbered sequence: one canonical JSON object, stored as an object itself.

    {"files":[{"hash":"9f2c…","name":"sky.0001.exr","size":1048576},…],"regen-manifest":1}

Names are relative to the asset's folder (a directory) or to the folder it stands in (a sequence), sorted by
their UTF-8 bytes. docs/spec/manifest.md has it in MUST words.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Iterable

from regen_vcs.errors import InvalidError, NewerFormat
from regen_vcs.model.canonical import MAX_SAFE_INTEGER, Json, canonical_bytes, parse_json
from regen_vcs.model.paths import check_member_name, fold

FORMAT = 1
MAX_MEMBERS = 1_000_000
BEGINNING = b'{"files":['
MAX_BYTES = 1 << 29  # room for that many members with long names

_HEX64 = re.compile(r"[0-9a-f]{64}")
_MEMBER_FIELDS = {"hash", "name", "size"}


class Member(namedtuple("_Member", ("name", "hash", "size"))):
    """One file: its name (relative POSIX), the BLAKE3 of its bytes (bare hex), its size in bytes."""

    __slots__ = ()


def manifest_bytes(members: Iterable[Member]) -> bytes:
    """The one byte string of a set of files, given in any order. InvalidError as `parse_manifest`."""
    ordered = sorted(members, key=_name_bytes)
    _check_members(ordered)
    files = [{"hash": member.hash, "name": member.name, "size": member.size} for member in ordered]
    return canonical_bytes({"files": files, "regen-manifest": FORMAT})


def parse_manifest(data: bytes) -> tuple[Member, ...]:
    """The files, sorted by name. InvalidError for any bytes that `manifest_bytes` would not have written."""
    document = parse_json(data, max_bytes=MAX_BYTES)
    _check_format(document)
    if document.keys() != {"files", "regen-manifest"} or type(document["files"]) is not list:
        raise InvalidError('manifest: must have "files", an array, and "regen-manifest" only')
    members = tuple(_member(index, value) for index, value in enumerate(document["files"]))
    _check_members(members)
    if canonical_bytes(document) != data:
        raise InvalidError("manifest: not in canonical form")
    return members


def _name_bytes(member: Member) -> bytes:
    try:
        return member.name.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"manifest: {member.name!r} is not Unicode") from None


def _check_format(document: Json) -> None:
    if type(document) is not dict or type(document.get("regen-manifest")) is not int:
        raise InvalidError('manifest: must be an object with an integer "regen-manifest"')
    if document["regen-manifest"] > FORMAT:
        raise NewerFormat("manifest: format is newer than this regen-vcs reads", "upgrade regen-vcs")
    if document["regen-manifest"] != FORMAT:
        raise InvalidError(f'manifest: "regen-manifest" must be {FORMAT}')


def _member(index: int, value: Json) -> Member:
    if type(value) is not dict or value.keys() != _MEMBER_FIELDS or type(value["name"]) is not str:
        raise _bad(index, "must have hash, name and size only")
    return Member(value["name"], value["hash"], value["size"])


def _check_members(members: Iterable[Member]) -> None:
    """Each name, hash and size by itself; then that no name gets in another's way on any file system."""
    if len(members) > MAX_MEMBERS:
        raise InvalidError(f"manifest: {len(members):,} files, over the limit of {MAX_MEMBERS:,}")
    previous = b""
    for index, member in enumerate(members):
        _check_member(index, member)
        name = _name_bytes(member)
        if name <= previous:
            raise _bad(
                index, f"{member.name!r} is not in order" if name < previous else f"{member.name!r} twice"
            )
        previous = name
    _check_collisions(members)


def _check_member(index: int, member: Member) -> None:
    try:
        check_member_name(member.name)
    except InvalidError as error:
        raise _bad(index, error.what) from None
    if type(member.hash) is not str or not _HEX64.fullmatch(member.hash):
        raise _bad(index, "hash must be 64 lower-case hex digits")
    if type(member.size) is not int or not 0 <= member.size <= MAX_SAFE_INTEGER:
        raise _bad(index, "size must be a whole number of bytes")


def _check_collisions(members: Iterable[Member]) -> None:
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for member in members:
        other = files.setdefault(fold(member.name), member.name)
        if other is not member.name:
            raise InvalidError(f"manifest: {member.name!r} and {other!r} are one name on some file systems")
        _add_folders(folders, member.name)
    for folded, folder in folders.items():
        if folded in files:
            raise InvalidError(f"manifest: {files[folded]!r} is a file, and {folder!r} a folder")


def _add_folders(folders: dict[str, str], name: str) -> None:
    folder = name.rpartition("/")[0]
    while folder:
        other = folders.setdefault(fold(folder), folder)
        if other != folder:
            raise InvalidError(f"manifest: folders {folder!r} and {other!r} are one on some file systems")
        folder = folder.rpartition("/")[0]


def _bad(index: int, problem: str) -> InvalidError:
    field = f"files[{index}]"
    return InvalidError(f"manifest: {field}: {problem}", field=field)
